"""Views for notebooks, without a browser: what Jupyter receives, and what the slider does when it is moved."""

import sys

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support import macro_tools

import hmm
from hmm.plotting import notebook

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="a notebook is one process")

PNG = b"\x89PNG\r\n"
LAWS = {"matrix": macro_tools.J2, "inclusion": macro_tools.STIFF}


@pytest.fixture(scope="module")
def sheared():
    """A macro body of 4 points under a shear that grows with x, and its displacement."""
    domain = mesh.create_rectangle(MPI.COMM_WORLD, [[0.0, 0.0], [2.0, 1.0]], [2, 1])
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (2,))))
    u.interpolate(lambda x: np.stack([0 * x[0], 2e-3 * x[0] ** 2]))
    rve = macro_tools.rve_of(macro_tools.square_cell(), LAWS)
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree=1, algorithm="nested")
    assert hom.evaluate()
    hom.commit()
    return hom, u


def test_a_picture_without_the_extra(sheared, monkeypatch):
    """Outside of a kernel, or without trame, the view is a picture."""
    hom, _ = sheared
    cell, fields = hom.model.cell, hmm.point_fields(hom, 3)
    pytest.importorskip("pyvista")
    phases, stresses = hmm.plotting.interactive(cell), hmm.plotting.interactive(cell, fields, "p", label="p")
    assert phases._repr_png_().startswith(PNG)
    assert stresses.png.startswith(PNG)
    assert phases.png != stresses.png
    monkeypatch.setattr(notebook, "_has_trame", lambda: False)
    monkeypatch.setattr(notebook, "_in_kernel", lambda: True)
    assert hmm.plotting.interactive(cell).png == phases.png
    with pytest.raises(
        hmm.errors.EnvironmentMismatch, match=r"views for notebooks.*pip install 'fenicsx-hmm\[jupyter\]'"
    ):
        hmm.plotting.interactive(cell, backend="html")


def test_a_view_that_the_browser_draws(sheared):
    """The widget contains the scene itself, so that it stays in a saved notebook."""
    if not notebook._has_trame():
        pytest.skip("PyVista's views for notebooks are not installed")
    hom, _ = sheared
    view = hmm.plotting.interactive(hom.model.cell, backend="html")
    assert len(view.value) > 10_000
    assert "iframe" in view.value


def test_mistakes(sheared):
    hom, u = sheared
    with pytest.raises(hmm.InputError, match="backend = 'tram' is unknown"):
        hmm.plotting.interactive(hom.model.cell, backend="tram")
    with pytest.raises(hmm.InputError, match="cell = 3"):
        hmm.plotting.interactive(3)
    with pytest.raises(hmm.InputError, match="no scalar field 'q'"):
        hmm.plotting.interactive(hom.model.cell, hmm.point_fields(hom, 0), "q")
    with pytest.raises(hmm.InputError, match="values have 3 numbers: give one for each of 4 points"):
        hmm.plotting.explore(hom, u, np.zeros(3), label="p")


def test_the_slider_shows_the_point_that_it_is_moved_to(sheared, monkeypatch):
    pytest.importorskip("ipywidgets")
    pytest.importorskip("pyvista")
    hom, u = sheared
    p = hom.point_average("matrix", "p")
    drawn = []

    def draw(path, hom, u, values, where, **titles):
        drawn.append(where)
        path.write_bytes(PNG + bytes([len(drawn)]))

    monkeypatch.setattr(notebook, "plot_fe2", draw)
    box = hmm.plotting.explore(hom, u, p, label="Plastic strain")
    (slider, note), image = box.children[0].children, box.children[1]
    assert slider.max == hom.n_points - 1
    assert drawn[0].value == hmm.worst_point(hom, p).value
    assert note.value == f"Plastic strain: {p.max():.4g}"
    slider.value = 3
    assert drawn[-1].value == p.min()
    assert drawn[-1].x == tuple(hom.coordinates()[int(np.argmin(p))])
    second = bytes(image.value)
    slider.value = 0
    assert bytes(image.value) != second
    assert len(drawn) == 2, "a picture is drawn once"


def test_the_slider_draws(sheared):
    pytest.importorskip("ipywidgets")
    pytest.importorskip("pyvista")
    hom, u = sheared
    box = hmm.plotting.explore(hom, u, hom.point_average("matrix", "p"), label="Plastic strain")
    assert bytes(box.children[1].value).startswith(PNG)


def test_a_missing_slider_is_named_with_its_remedy(sheared, monkeypatch):
    hom, u = sheared
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(hmm.errors.EnvironmentMismatch, match=r"ipywidgets.*pip install 'fenicsx-hmm\[jupyter\]'"):
        hmm.plotting.explore(hom, u, hom.point_average("matrix", "p"), label="Plastic strain")
