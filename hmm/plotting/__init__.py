"""Pictures of cells, fields, FE2 results and curves."""

from hmm.plotting.plot import check_available, plot_attempts, plot_cell, plot_curve, plot_fe2, plot_rve

__all__ = ["check_available", "plot_attempts", "plot_cell", "plot_curve", "plot_fe2", "plot_rve"]
