"""Pictures of FE2, and access to the others.

Pictures of cells, fields and curves are from `hmm.pictures`; this package draws a macro problem. May import fe2,
pictures and below. Begin with `fe2`.
"""

from hmm.pictures import (
    cell_scene,
    check_available,
    plot_attempts,
    plot_cell,
    plot_curve,
    plot_field,
    plot_residuals,
    plot_rve,
)
from hmm.plotting.fe2 import plot_fe2
from hmm.plotting.notebook import explore, interactive

__all__ = [
    "cell_scene",
    "check_available",
    "explore",
    "interactive",
    "plot_attempts",
    "plot_cell",
    "plot_curve",
    "plot_fe2",
    "plot_field",
    "plot_residuals",
    "plot_rve",
]
