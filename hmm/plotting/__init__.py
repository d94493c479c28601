"""All pictures a user asks for."""

from hmm.pictures import check_available, plot_attempts, plot_cell, plot_curve, plot_rve
from hmm.plotting.fe2 import plot_fe2

__all__ = ["check_available", "plot_attempts", "plot_cell", "plot_curve", "plot_fe2", "plot_rve"]
