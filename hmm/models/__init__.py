"""The micro-model protocol.

Imports nothing of `hmm` but the foundation. Begin with `protocol`, which says what a micro model is, and `points`,
which says what it is given; `function` is the shortest complete model.
"""

from hmm.models.asking import points_of
from hmm.models.controlled import ControlledAnswer, ControlledModel
from hmm.models.function import FunctionModel
from hmm.models.inputs import deformation_gradient, gradient, scalar, strain
from hmm.models.points import InitialPoint, Input, Points, Variable
from hmm.models.process import ProcessModel
from hmm.models.protocol import (
    Collective,
    Distributed,
    Estimated,
    Fingerprinted,
    MicroModel,
    Observable,
    Parametrized,
    Rated,
    Recoverable,
    Replayable,
    Viewable,
)
from hmm.models.single import PointAnswer, solve_one
from hmm.models.statistics import Counters
from hmm.models.table import TableModel
from hmm.models.tabulate import tabulate

__all__ = [
    "Collective",
    "ControlledAnswer",
    "ControlledModel",
    "Counters",
    "Distributed",
    "Estimated",
    "Fingerprinted",
    "FunctionModel",
    "InitialPoint",
    "Input",
    "MicroModel",
    "Observable",
    "Parametrized",
    "PointAnswer",
    "Points",
    "ProcessModel",
    "Rated",
    "Recoverable",
    "Replayable",
    "TableModel",
    "Variable",
    "Viewable",
    "deformation_gradient",
    "gradient",
    "points_of",
    "scalar",
    "solve_one",
    "strain",
    "tabulate",
]
