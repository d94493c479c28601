"""hmm: the heterogeneous multiscale method and FE2 on FEniCSx."""

from hmm.foundation.starting import guard_start

_started = guard_start()

from hmm.foundation.unmapping import bound_unmapped  # noqa: E402

bound_unmapped()

from hmm.foundation.environment import load_stack  # noqa: E402

load_stack()

from hmm import (  # noqa: E402
    cells,
    checks,
    descriptors,
    effective,
    images,
    jobs,
    laminates,
    laws,
    models,
    plotting,
    reduced,
    study,
    sweeps,
)
from hmm.cells.cell import Cell  # noqa: E402
from hmm.checks import bounds, ellipticity  # noqa: E402
from hmm.effective import EffectiveProperties, homogenize  # noqa: E402
from hmm.fe2 import variation  # noqa: E402
from hmm.fe2.homogenizer import Homogenizer  # noqa: E402
from hmm.fe2.problem import MacroProblem  # noqa: E402
from hmm.fe2.time_integration import GeneralizedAlpha, Newmark  # noqa: E402
from hmm.fe2.worst_point import WorstPoint, point_fields, worst_point  # noqa: E402
from hmm.foundation import console, errors, tensors  # noqa: E402
from hmm.foundation.errors import ConvergenceError, HMMError, InputError  # noqa: E402
from hmm.foundation.tables import write_csv  # noqa: E402
from hmm.foundation.version import VERSION  # noqa: E402
from hmm.micro import stokes_slip  # noqa: E402
from hmm.micro.fluctuation import component, fluctuation, wall_dofs  # noqa: E402
from hmm.micro.inputs import (  # noqa: E402
    macro_deformation_gradient,
    macro_gradient,
    macro_input,
    macro_pressure_gradient,
    macro_strain,
    macro_temperature,
)
from hmm.micro.law_model import LawModel  # noqa: E402
from hmm.micro.loading import TensionTest, follow, plane_stress, uniaxial  # noqa: E402
from hmm.micro.local_fields import LocalFields, write_fields  # noqa: E402
from hmm.micro.mixed_control import MixedControl  # noqa: E402
from hmm.micro.protocols import NewtonOptions  # noqa: E402
from hmm.micro.response import ControlledResponse, PointState, Response  # noqa: E402
from hmm.micro.rve import RVE  # noqa: E402
from hmm.micro.views import local_fields  # noqa: E402
from hmm.models.adaptive import Adaptive  # noqa: E402
from hmm.models.function import FunctionModel  # noqa: E402
from hmm.models.table import TableModel  # noqa: E402
from hmm.models.tabulate import tabulate  # noqa: E402
from hmm.parallel.ensemble import Ensemble  # noqa: E402
from hmm.reports import RunLog, report  # noqa: E402
from hmm.runs import checkpoint  # noqa: E402
from hmm.runs.load_steps import Step, steps  # noqa: E402
from hmm.runs.output import Output, write_rve  # noqa: E402
from hmm.runs.recording import recorded_paths  # noqa: E402
from hmm.runs.replay import Replay, replay  # noqa: E402
from hmm.runs.schedules import Schedule, schedule, table  # noqa: E402
from hmm.umat.writing import write_umat  # noqa: E402

__version__ = VERSION

_started()
del _started

__all__ = [
    "RVE",
    "Adaptive",
    "Cell",
    "ControlledResponse",
    "ConvergenceError",
    "EffectiveProperties",
    "Ensemble",
    "FunctionModel",
    "GeneralizedAlpha",
    "HMMError",
    "Homogenizer",
    "InputError",
    "LawModel",
    "LocalFields",
    "MacroProblem",
    "MixedControl",
    "Newmark",
    "NewtonOptions",
    "Output",
    "PointState",
    "Replay",
    "Response",
    "RunLog",
    "Schedule",
    "Step",
    "TableModel",
    "TensionTest",
    "WorstPoint",
    "bounds",
    "cells",
    "checkpoint",
    "checks",
    "component",
    "console",
    "descriptors",
    "effective",
    "ellipticity",
    "errors",
    "fluctuation",
    "follow",
    "homogenize",
    "images",
    "jobs",
    "laminates",
    "laws",
    "local_fields",
    "macro_deformation_gradient",
    "macro_gradient",
    "macro_input",
    "macro_pressure_gradient",
    "macro_strain",
    "macro_temperature",
    "models",
    "plane_stress",
    "plotting",
    "point_fields",
    "recorded_paths",
    "reduced",
    "replay",
    "report",
    "schedule",
    "steps",
    "stokes_slip",
    "study",
    "sweeps",
    "table",
    "tabulate",
    "tensors",
    "uniaxial",
    "variation",
    "wall_dofs",
    "worst_point",
    "write_csv",
    "write_fields",
    "write_rve",
    "write_umat",
]
