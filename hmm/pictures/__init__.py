"""Pictures of cells, local fields and curves.

PyVista draws bodies and Matplotlib curves, both off screen on rank 0 (the extra ``plot``). May import cells, micro
and below, not FE2: its pictures are in `hmm.plotting`. Begin with `cells`; `drawing.Drawing` is a body as it is sent
between ranks, and `canvas` contains the parts of a picture.
"""

from hmm.pictures.cells import cell_scene, plot_cell, plot_rve
from hmm.pictures.curves import plot_attempts, plot_curve, plot_residuals
from hmm.pictures.fields import plot_field
from hmm.pictures.groups import draw_groups
from hmm.pictures.packages import check_available

__all__ = [
    "cell_scene",
    "check_available",
    "draw_groups",
    "plot_attempts",
    "plot_cell",
    "plot_curve",
    "plot_field",
    "plot_residuals",
    "plot_rve",
]
