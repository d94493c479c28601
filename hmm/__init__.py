"""hmm: the heterogeneous multiscale method and FE2 on FEniCSx."""

from hmm._starting import guard_start

_started = guard_start()

from hmm._unmapping import bound_unmapped  # noqa: E402

bound_unmapped()

from hmm._environment import load_stack  # noqa: E402

load_stack()

from hmm import (  # noqa: E402
    bounds,
    cells,
    checkpoint,
    checks,
    descriptors,
    effective,
    ellipticity,
    flow,
    images,
    jobs,
    laws,
    plot,
    report,
    study,
    variation,
)
from hmm.cell import Cell  # noqa: E402
from hmm.control import MixedControl, TensionTest, follow, plane_stress, uniaxial  # noqa: E402
from hmm.effective import EffectiveProperties, homogenize  # noqa: E402
from hmm.ensemble import Ensemble  # noqa: E402
from hmm.errors import ConvergenceError, HMMError, InputError  # noqa: E402
from hmm.fields import (  # noqa: E402
    component,
    fluctuation,
    held_on_walls,
    macro_deformation_gradient,
    macro_gradient,
    macro_pressure_gradient,
    macro_strain,
    macro_temperature,
)
from hmm.homogenizer import Homogenizer  # noqa: E402
from hmm.io import (  # noqa: E402
    LocalFields,
    Output,
    WorstPoint,
    local_fields,
    point_fields,
    worst_point,
    write_csv,
    write_fields,
    write_rve,
)
from hmm.macro import MacroProblem  # noqa: E402
from hmm.newton import NewtonOptions  # noqa: E402
from hmm.replaying import Replay, replay  # noqa: E402
from hmm.response import ControlledResponse, PointState, Response  # noqa: E402
from hmm.rve import RVE  # noqa: E402
from hmm.stepping import Step, steps  # noqa: E402

__version__ = "0.1.0"

_started()
del _started

__all__ = [
    "RVE",
    "Cell",
    "ControlledResponse",
    "ConvergenceError",
    "EffectiveProperties",
    "Ensemble",
    "HMMError",
    "Homogenizer",
    "InputError",
    "LocalFields",
    "MacroProblem",
    "MixedControl",
    "NewtonOptions",
    "Output",
    "PointState",
    "Replay",
    "Response",
    "Step",
    "TensionTest",
    "WorstPoint",
    "bounds",
    "cells",
    "checkpoint",
    "checks",
    "component",
    "descriptors",
    "effective",
    "ellipticity",
    "flow",
    "fluctuation",
    "follow",
    "held_on_walls",
    "homogenize",
    "images",
    "jobs",
    "laws",
    "local_fields",
    "macro_deformation_gradient",
    "macro_gradient",
    "macro_pressure_gradient",
    "macro_strain",
    "macro_temperature",
    "plane_stress",
    "plot",
    "point_fields",
    "replay",
    "report",
    "steps",
    "study",
    "uniaxial",
    "variation",
    "worst_point",
    "write_csv",
    "write_fields",
    "write_rve",
]
