"""hmm: the heterogeneous multiscale method and FE2 on FEniCSx."""

from hmm._environment import load_stack

load_stack()

from hmm import bounds, cells, checkpoint, checks, descriptors, images, laws, plot, report, study  # noqa: E402
from hmm.cell import Cell  # noqa: E402
from hmm.control import MixedControl, TensionTest, follow, plane_stress, uniaxial  # noqa: E402
from hmm.ensemble import Ensemble  # noqa: E402
from hmm.errors import ConvergenceError, HMMError, InputError  # noqa: E402
from hmm.fields import fluctuation, macro_deformation_gradient, macro_gradient, macro_strain, macro_temperature  # noqa: E402
from hmm.homogenizer import Homogenizer  # noqa: E402
from hmm.io import (  # noqa: E402
    LocalFields,
    Output,
    WorstPoint,
    local_fields,
    point_fields,
    worst_point,
    write_csv,
    write_rve,
)
from hmm.macro import MacroProblem  # noqa: E402
from hmm.newton import NewtonOptions  # noqa: E402
from hmm.replaying import Replay, replay  # noqa: E402
from hmm.response import ControlledResponse, PointState, Response  # noqa: E402
from hmm.rve import RVE  # noqa: E402
from hmm.stepping import Step, steps  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "RVE",
    "Cell",
    "ControlledResponse",
    "ConvergenceError",
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
    "descriptors",
    "fluctuation",
    "follow",
    "images",
    "laws",
    "local_fields",
    "macro_deformation_gradient",
    "macro_gradient",
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
    "worst_point",
    "write_csv",
    "write_rve",
]
