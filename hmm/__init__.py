"""hmm: the heterogeneous multiscale method and FE2 on FEniCSx."""

from hmm._environment import load_stack

load_stack()

from hmm import cells, checks, flow, laws, plot, report  # noqa: E402
from hmm.cell import Cell  # noqa: E402
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
    write_rve,
)
from hmm.macro import MacroProblem  # noqa: E402
from hmm.newton import NewtonOptions  # noqa: E402
from hmm.response import PointState, Response  # noqa: E402
from hmm.rve import RVE  # noqa: E402
from hmm.stepping import Step, steps  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "RVE",
    "Cell",
    "ConvergenceError",
    "HMMError",
    "Homogenizer",
    "InputError",
    "LocalFields",
    "MacroProblem",
    "NewtonOptions",
    "Output",
    "PointState",
    "Response",
    "Step",
    "WorstPoint",
    "cells",
    "checks",
    "component",
    "flow",
    "fluctuation",
    "held_on_walls",
    "laws",
    "local_fields",
    "macro_deformation_gradient",
    "macro_gradient",
    "macro_pressure_gradient",
    "macro_strain",
    "macro_temperature",
    "plot",
    "point_fields",
    "report",
    "steps",
    "worst_point",
    "write_csv",
    "write_rve",
]
