"""Pictures"""

from hmm.pictures.cells import plot_cell, plot_rve
from hmm.pictures.curves import plot_attempts, plot_curve
from hmm.pictures.packages import check_available

__all__ = ["check_available", "plot_attempts", "plot_cell", "plot_curve", "plot_rve"]
