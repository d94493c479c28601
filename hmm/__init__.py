"""hmm: the heterogeneous multiscale method and FE2 on FEniCSx."""

from hmm._environment import load_stack

load_stack()

from hmm import cells, checkpoint, checks, descriptors, images, laws, plot, report  # noqa: E402  # noqa: E402
from hmm.cell import Cell  # noqa: E402
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
from hmm.response import PointState, Response  # noqa: E402
from hmm.rve import RVE  # noqa: E402
from hmm.stepping import Step, steps  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "RVE",
    "Cell",
    "ConvergenceError",
    "Ensemble",
    "HMMError",
    "Homogenizer",
    "InputError",
    "LocalFields",
    "MacroProblem",
    "NewtonOptions",
    "Output",
    "PointState",
    "Replay",
    "Response",
    "Step",
    "WorstPoint",
    "cells",
    "checkpoint",
    "checks",
    "descriptors",
    "fluctuation",
    "images",
    "laws",
    "local_fields",
    "macro_deformation_gradient",
    "macro_gradient",
    "macro_strain",
    "macro_temperature",
    "plot",
    "point_fields",
    "replay",
    "report",
    "steps",
    "worst_point",
    "write_csv",
    "write_rve",
]
