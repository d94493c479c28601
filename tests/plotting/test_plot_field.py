"""Fields on a macro mesh and curves with references: what is drawn is what the functions say."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh

import hmm
from hmm.pictures import fields

COMM = MPI.COMM_WORLD


@pytest.fixture
def folder(tmp_path):
    """One directory for all ranks."""
    return COMM.bcast(tmp_path)


def rectangle(cell_type=mesh.CellType.triangle):
    return mesh.create_rectangle(COMM, [[0.0, 0.0], [2.0, 1.0]], [6, 3], cell_type)


def pixels_of(path):
    from matplotlib.image import imread

    return imread(path)[..., :3]


def assert_is_a_picture(path):
    if COMM.rank == 0:
        assert len(np.unique((255 * pixels_of(path)).astype(int).reshape(-1, 3), axis=0)) > 20


@pytest.mark.mpi
@pytest.mark.parametrize("cell_type", [mesh.CellType.triangle, mesh.CellType.quadrilateral])
def test_triangles_and_their_values(cell_type):
    """The triangles fill the mesh without overlap, and have the values of the field at their corners."""
    domain = rectangle(cell_type)
    x = ufl.SpatialCoordinate(domain)
    panel = fields._Panel.of("", x[0] ** 2 + x[1], ufl.as_vector((x[1], -x[0])), 3 * x[0], None, 1.0)
    if COMM.rank:
        assert len(panel.x) == 0
        return
    a, b = panel.x[:, 1] - panel.x[:, 0], panel.x[:, 2] - panel.x[:, 0]
    assert np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2 == pytest.approx(2.0)
    X, Y = panel.x[..., 0], panel.x[..., 1]
    assert np.allclose(panel.values, X**2 + Y)
    assert np.allclose(panel.vector, np.stack([Y, -X], axis=-1))
    assert np.allclose(panel.level, 3 * X)
    gx, gy, found = panel.on_grid(panel.level)
    assert found.count() > 0.9 * found.size
    assert np.allclose(found[..., 0].compressed(), np.broadcast_to(3 * gx, (gy.size, gx.size))[~found.mask[..., 0]])


def test_outside_of_the_mesh_there_are_no_streamlines():
    domain = mesh.create_unit_square(MPI.COMM_SELF, 8, 8, mesh.CellType.quadrilateral)
    radius, angle = 1 + domain.geometry.x[:, 0], domain.geometry.x[:, 1] * np.pi / 2
    domain.geometry.x[:, :2] = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    x = ufl.SpatialCoordinate(domain)
    panel = fields._Panel.of("", x[0], None, x[0], None, 1.0)
    gx, gy, found = panel.on_grid(panel.level)
    X, Y = np.meshgrid(gx, gy)
    r, inner = np.hypot(X, Y), np.minimum(X, Y) > 1e-9  # on the border itself either is right
    assert found.mask[..., 0][(r < 0.95) | (r > 2.05)].all()
    assert not found.mask[..., 0][(r > 1.05) & (r < 1.95) & inner].any()


@pytest.mark.mpi
def test_a_field_with_lines(folder):
    domain = rectangle()
    x = ufl.SpatialCoordinate(domain)
    T = fem.Function(fem.functionspace(domain, ("Lagrange", 2)))
    T.interpolate(lambda x: 1 + x[0] * x[1])
    plain = hmm.plotting.plot_field(folder / "plain.png", T, label="Temperature in K")
    lines = hmm.plotting.plot_field(
        folder / "lines.png", T, label="Temperature in K", streamlines=-ufl.grad(T), contours=T, log=True
    )
    panels = {"one": T, "two": x[0]}
    several = hmm.plotting.plot_field(folder / "panels.png", panels, label="T", streamlines={"two": ufl.grad(T)})
    for path in (plain, lines, several):
        assert_is_a_picture(path)


@pytest.mark.mpi
def test_a_deformed_body(folder):
    domain = rectangle()
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (2,))))
    u.interpolate(lambda x: np.stack([0 * x[0], 0.1 * x[0]]))
    assert_is_a_picture(hmm.plotting.plot_field(folder / "u.png", u[1], label="u2", displacement=u, warp=2.0))
    panel = fields._Panel.of("", u[1], None, None, u, 2.0)
    if COMM.rank == 0:
        assert panel.x[..., 1].max() == pytest.approx(1.0 + 2.0 * 0.1 * 2.0)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"field": lambda x: x}, r"field must be a UFL expression of shape \(\), not \(2,\)"),
        ({"field": lambda x: 1.0}, r"field must be a UFL expression of shape \(\), not float"),
        ({"field": lambda x: ufl.as_ufl(1.0)}, "field contains nothing on a mesh"),
        ({"field": lambda x: {}}, "field is empty"),
        ({"streamlines": lambda x: x[0]}, r"streamlines must be a UFL expression of shape \(2,\), not \(\)"),
        ({"contours": lambda x: {"a": x[0]}}, "contours: no field has the title 'a'"),
        ({"displacement": lambda x: x, "contours": lambda x: x[0]}, "a field with a displacement has no streamlines"),
        ({"log": lambda x: True}, "log=True needs a positive field, but its least value is 0"),
        ({"warp": lambda x: -1.0}, "warp = -1.0"),
    ],
)
def test_mistakes(folder, change, message):
    x = ufl.SpatialCoordinate(rectangle())
    given = {"field": x[0], "label": "x"} | {name: make(x) for name, make in change.items()}
    with pytest.raises(hmm.InputError, match=message):
        hmm.plotting.plot_field(folder / "wrong.png", **given)


@pytest.mark.mpi
def test_a_solid_is_refused(folder):
    x = ufl.SpatialCoordinate(mesh.create_unit_cube(COMM, 1, 1, 1))
    with pytest.raises(hmm.InputError, match=r"draws plane meshes, not 3D: write the field with hmm\.Output"):
        hmm.plotting.plot_field(folder / "solid.png", x[0], label="x")


@pytest.mark.mpi
def test_a_curve_with_references(folder):
    x, fine = np.array([1.0, 2.0, 3.0]), np.linspace(1, 3, 30)
    known = {"paper": ([1.0, 2.0], [1.0, 4.1]), "formula": (fine, fine**2)}
    curves = {"coarse": x**2 + 0.1, "fine": x**2}
    path = hmm.plotting.plot_curve(folder / "c.png", COMM, x, curves, "x", "y", references=known, log="xy")
    assert_is_a_picture(path)
    with pytest.raises(hmm.InputError, match="log = 'z': give"):
        hmm.plotting.plot_curve(folder / "c.png", COMM, x, x, "x", "y", log="z")
    with pytest.raises(hmm.InputError, match="bars belong to a single curve"):
        hmm.plotting.plot_curve(folder / "c.png", COMM, x, curves, "x", "y", x)
