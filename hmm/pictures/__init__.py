"""Pictures of cells, local fields and curves.

PyVista draws bodies and Matplotlib curves, both off screen on rank 0 (the extra ``plot``). May import cells, micro
and below, and knows nothing of FE2: pictures of it are in `hmm.plotting`. Begin with `cells`; a body travels between
ranks as a `drawing.Drawing`, and `canvas` holds the parts of a picture.
"""

from hmm.pictures.cells import plot_cell, plot_rve
from hmm.pictures.curves import plot_attempts, plot_curve
from hmm.pictures.packages import check_available

__all__ = ["check_available", "plot_attempts", "plot_cell", "plot_curve", "plot_rve"]
