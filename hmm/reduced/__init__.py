"""Hyper-reduced RVEs, trained on paths.

A model has few modes and few cubature points, and answers all integration points of a rank in one batch.

May import micro, pictures and the layers below; knows nothing of the macro problem. Begin with `training`, which makes
a model of an RVE, and `model`, which is a micro model like any other; `basis` and `cubature` are the two reductions;
`controlled` puts the RVE where the model is not good enough, by what `error_estimate` finds, and `enrichment` retrains
it on what was missed.
"""

from hmm.reduced.controlled import Controlled
from hmm.reduced.enrichment import Enrichment
from hmm.reduced.model import ReducedModel, load_model
from hmm.reduced.paths import TrainingPath, cyclic, proportional, random_walks, select_paths
from hmm.reduced.picture import plot_points
from hmm.reduced.report import TrainingReport
from hmm.reduced.training import train

__all__ = [
    "Controlled",
    "Enrichment",
    "ReducedModel",
    "TrainingPath",
    "TrainingReport",
    "cyclic",
    "load_model",
    "plot_points",
    "proportional",
    "random_walks",
    "select_paths",
    "train",
]
