"""Pictures are drawn, show more than one colour, and say what is missing when they cannot be."""

import sys

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support import macro_tools

import hmm
from hmm.pictures.style import PHASE_COLOURS, phase_colours

COMM = MPI.COMM_WORLD
LAWS = {"matrix": macro_tools.J2, "inclusion": macro_tools.STIFF}


@pytest.fixture
def folder(tmp_path):
    """One directory for all ranks."""
    return COMM.bcast(tmp_path)


def colours(path):
    """Number of different colours in a picture, and that of its corner."""
    from matplotlib.image import imread

    pixels = (255 * imread(path)[..., :3]).astype(int)
    return len(np.unique(pixels.reshape(-1, 3), axis=0)), tuple(pixels[2, 2])


def assert_is_a_picture(path):
    n, corner = colours(path)
    assert n > 20
    assert corner == (255, 255, 255)


def sheared(cell, domain, degree=1):
    """A macro body under a strain that grows with x, answered and committed."""
    rve = macro_tools.rve_of(cell, LAWS)
    dim = domain.geometry.dim
    u = fem.Function(fem.functionspace(domain, ("Lagrange", degree, (dim,))))
    u.interpolate(lambda x: np.stack([0 * x[0], 2e-3 * x[0] ** 2, 0 * x[0]][:dim]))
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree=1, algorithm="nested")
    assert hom.evaluate()
    hom.commit()
    return u, hom


@pytest.mark.mpi
@pytest.mark.parametrize("body", ["long", "tall", "solid"])
def test_body_and_rve(folder, body):
    if body == "solid":
        cell, domain = macro_tools.cube_cell(), mesh.create_box(COMM, [[0, 0, 0], [2, 1, 1]], [2, 1, 1])
    else:
        end = [4.0, 1.0] if body == "long" else [1.0, 2.0]
        cell, domain = macro_tools.square_cell(), mesh.create_rectangle(COMM, [[0.0, 0.0], end], [4, 2])
    u, hom = sheared(cell, domain, degree=1 if body == "solid" else 2)
    p = hom.point_average("matrix", "p")
    where = hmm.worst_point(hom, p)
    path = hmm.plotting.plot_fe2(folder / "new" / "body.png", hom, u, p, where, label="mean p")
    if COMM.rank == 0:
        assert_is_a_picture(path)


@pytest.mark.mpi
def test_all_ranks_hear_of_a_field_that_is_not_there(folder):
    u, hom = sheared(macro_tools.square_cell(), mesh.create_unit_square(COMM, 2, 2))
    p = hom.point_average("matrix", "p")
    with pytest.raises(hmm.InputError, match=r"no scalar field 'damage': its fields are \['phase', 'von_mises', 'p'\]"):
        hmm.plotting.plot_fe2(folder / "a.png", hom, u, p, hmm.worst_point(hom, p), label="p", variable="damage")


@pytest.mark.mpi
def test_all_ranks_hear_of_a_place_that_cannot_be_written_to(folder):
    if COMM.rank == 0:
        (folder / "file").write_text("not a directory")
    with pytest.raises(hmm.InputError, match="cannot write to"):
        hmm.plotting.plot_curve(folder / "file" / "a.png", COMM, [0, 1], [0, 1], "u in mm", "R in N")


@pytest.mark.parametrize("dim", [2, 3])
def test_cell_and_rve(tmp_path, dim):
    cell = macro_tools.square_cell() if dim == 2 else macro_tools.cube_cell()
    rve = macro_tools.rve_of(cell, LAWS)
    E = 5e-3 * (np.eye(dim)[::-1] - np.eye(dim) * (dim == 3))
    fields = hmm.local_fields(rve, rve.solve(E).state, E)
    n, corner = colours(hmm.plotting.plot_cell(tmp_path / "cell.png", cell))
    assert (n > 2, corner) == (True, (255, 255, 255))
    assert_is_a_picture(hmm.plotting.plot_rve(tmp_path / "rve.png", cell, fields, "von_mises", label="q in MPa"))


def test_a_weave_shows_its_yarns_with_their_axes(tmp_path, monkeypatch):
    """The matrix is left out, and dark lines cover part of the yarns."""
    from matplotlib.image import imread

    cell = hmm.cells.weave(0.45, mesh_size=1 / 16)
    pixels = imread(hmm.plotting.plot_cell(tmp_path / "weave.png", cell))[:700, :, :3]  # without the legend
    red, blue = pixels[..., 0] - pixels[..., 2], pixels[..., 2]
    warp, dark = red > 0.3, pixels.max(axis=2) < 0.3
    weft = (pixels[..., 1] - blue > 0.15) & ~warp
    assert warp.mean() > 0.02 and weft.mean() > 0.02
    monkeypatch.setattr("hmm.pictures.cells.add_directions", lambda *args: None)
    without = imread(hmm.plotting.plot_cell(tmp_path / "weave.png", cell))[:700, :, :3]
    assert dark.mean() > 1.5 * (without.max(axis=2) < 0.3).mean()
    assert not ((np.abs(pixels - np.array([0.79, 0.84, 0.89])) < 0.03).all(axis=2)).mean() > 1e-3
    scene = hmm.plotting.cell_scene(cell)
    assert {body.name for body in scene.bodies} == {"warp", "weft"}


def test_solids_of_many_phases_have_different_colours():
    assert len(set(phase_colours(40))) == 40 and phase_colours(3) == list(PHASE_COLOURS[:3])


@pytest.mark.mpi
def test_curve(folder):
    path = hmm.plotting.plot_curve(folder / "curve.png", COMM, [0, 1, 2], [0, 2, 3], "u in mm", "R in N")
    if COMM.rank == 0:
        assert_is_a_picture(path)


@pytest.mark.mpi
@pytest.mark.parametrize("package", ["pyvista", "matplotlib"])
def test_a_missing_package_is_named_with_its_remedy(folder, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # what Python does for a package that is not there
    match = rf"pictures need {package}.*pip install 'fenicsx-hmm\[plot\]'"
    with pytest.raises(hmm.HMMError, match=match):
        hmm.plotting.check_available()
    with pytest.raises(hmm.HMMError, match=match):
        if package == "matplotlib":
            hmm.plotting.plot_curve(folder / "a.png", COMM, [0], [0], "", "")
        else:
            u, hom = sheared(macro_tools.square_cell(), mesh.create_unit_square(COMM, 2, 2))
            p = hom.point_average("matrix", "p")
            hmm.plotting.plot_fe2(folder / "a.png", hom, u, p, hmm.worst_point(hom, p), label="p")
    assert not (folder / "a.png").exists()
