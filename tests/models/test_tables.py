"""Tables: interpolated answers of micro models, their derivatives, errors and files."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh

import hmm
from hmm.foundation import files

C0 = np.diag([3.0, 2.0, 1.0])


def spring(stiffness, start=0.0):
    def law(E, old, dt):
        C = stiffness * C0
        return start + E @ C, np.broadcast_to(C, (len(E), 3, 3)), {}

    return hmm.FunctionModel(law, hmm.models.strain(2))


def graded(a, b):
    return spring(np.exp(2 * a) * (1 + b**2), start=np.sin(a))


def cubic(E, old, dt):
    return E + 2 * E**3, np.einsum("ni,ij->nij", 1 + 6 * E**2, np.eye(E.shape[1])), {}


@pytest.fixture(scope="module")
def table():
    return hmm.tabulate(graded, {"a": (0, 1), "b": (-1, 1)}, tolerance=1e-4)


def test_error_between_nodes_is_as_stated(table):
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, 1, 50), rng.uniform(-1, 1, 50)
    response, tangent = table.at(a=a, b=b)
    exact = np.exp(2 * a) * (1 + b**2)
    assert np.allclose(tangent, exact[:, None, None] * C0, rtol=1e-4, atol=1e-12)
    assert np.allclose(response, np.sin(a)[:, None], atol=2e-4)
    assert 0 < table.error <= 1e-4


def test_tangent_is_exact_for_parameters_too(table):
    E, h = np.array([[0.1, -0.2, 0.3, 0.37, 0.21]]), 1e-6
    tangent = table.evaluate(E)[1][0]
    for k in range(5):
        step = h * np.eye(5)[k]
        quotient = (table.evaluate(E + step)[0] - table.evaluate(E - step)[0])[0] / (2 * h)
        assert np.allclose(tangent[:, k], quotient, atol=1e-7)
    assert not tangent[3:].any()


def test_refines_where_needed():
    kink = hmm.tabulate(lambda p: spring(1 + np.exp(-((p / 0.1) ** 2))), {"p": (-0.1, 2.0)}, tolerance=1e-3)
    nodes = kink.grid.axes["p"]
    assert np.diff(nodes).max() > 4 * np.diff(nodes).min()


def test_outside_is_an_error_unless_chosen(table):
    with pytest.raises(hmm.InputError, match=r"a = 1\.5 is outside the table, 0 to 1"):
        table.at(a=1.5, b=0.0)
    with pytest.raises(hmm.ConvergenceError, match="outside the table"):
        hmm.models.solve_one(table, [0.1, 0, 0, 1.5, 0.0])
    make = {"linear": True, "error": 0.0}
    clamped = hmm.models.TableModel(table.tabulated, table.grid, outside="clamp", **make)
    further = hmm.models.TableModel(table.tabulated, table.grid, outside="extrapolate", **make)
    edge = table.at(a=1.0, b=0.0)[1]
    assert np.array_equal(clamped.at(a=1.5, b=0.0)[1], edge)
    assert not clamped.evaluate(np.array([[0.1, 0, 0, 1.5, 0.0]]))[1][0, :3, 3].any()
    assert further.at(a=1.1, b=0.0)[1][0, 0] > edge[0, 0]


def test_nonlinear_model_over_its_inputs():
    model = hmm.FunctionModel(cubic, hmm.models.gradient(2))
    with pytest.raises(hmm.InputError, match="not linear: give over="):
        hmm.tabulate(lambda p: model, {"p": (0, 1)})
    found = hmm.tabulate(lambda: model, {}, over=[(-1, 1), (-1, 1)], tolerance=1e-3)
    E = np.array([[0.3, -0.55]])
    response, tangent = found.evaluate(E)
    assert np.allclose(response, cubic(E, {}, 0)[0], atol=5e-3)
    assert np.allclose(tangent, cubic(E, {}, 0)[1], atol=5e-2)


def test_models_with_memory_and_impossible_tolerances_are_refused():
    def ratchet(E, old, dt):
        k = np.maximum(old["k"], np.abs(E[:, :1]))
        return E + k, None, {"k": k}

    with pytest.raises(hmm.InputError, match="remembers its path"):
        hmm.tabulate(lambda p: hmm.FunctionModel(ratchet, hmm.models.gradient(2), {"k": 1}), {"p": (0, 1)})
    with pytest.raises(hmm.ConvergenceError, match="max_evaluations = 5"):
        hmm.tabulate(lambda p: spring(np.exp(5 * p)), {"p": (0, 1)}, tolerance=1e-9, max_evaluations=5)
    with pytest.raises(hmm.InputError, match="increasing"):
        hmm.tabulate(lambda p: spring(p), {"p": (1, 0)})


@pytest.mark.parametrize(
    "make, options, message",
    [
        (5, {}, "tabulate: make = 5 is not a function: give a function of (a)"),
        (lambda b: spring(b), {}, "tabulate: make cannot be called with (a): missing a required argument: 'b'"),
        (spring, {"tolerance": "fine"}, "tabulate: tolerance = 'fine': give a positive, finite number"),
        (spring, {"max_evaluations": 0}, "tabulate: max_evaluations = 0: give a whole number of at least 1"),
    ],
)
def test_wrong_arguments(make, options, message):
    with pytest.raises(hmm.InputError) as caught:
        hmm.tabulate(make, {"a": (0, 1)}, **options)
    assert str(caught.value) == message


def test_saved_and_read(table, tmp_path):
    path = table.save(tmp_path / "t.npz")
    again = hmm.models.TableModel.load(path)
    E = np.array([[0.1, -0.2, 0.3, 0.37, 0.21]])
    assert all(np.array_equal(x, y) for x, y in zip(table.evaluate(E), again.evaluate(E), strict=True))
    assert (again.error, again.fingerprint()) == (table.error, table.fingerprint())
    data = path.read_bytes()
    for k in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:k])
        with pytest.raises(hmm.InputError, match="damaged"):
            hmm.models.TableModel.load(path)


def test_a_link_to_a_table_stays_one(table, tmp_path):
    link = tmp_path / "link.npz"
    link.symlink_to(tmp_path / "t.npz")
    table.save(link)
    assert link.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.npz", "t.npz"]


def test_a_table_too_large_to_unpack_is_refused(table, tmp_path, monkeypatch):
    path = table.save(tmp_path / "t.npz")
    monkeypatch.setattr(files.unpacked, "__defaults__", (100,))
    with pytest.raises(hmm.InputError, match=r"t\.npz unpacks to .* GB, and tables of up to 1e-07 GB are read"):
        hmm.models.TableModel.load(path)


def test_nothing_remains_of_a_table_that_cannot_be_written(table, tmp_path):
    (tmp_path / "t.npz").mkdir()
    with pytest.raises(hmm.InputError, match=r"cannot write .*t\.npz .*give another path"):
        table.save(tmp_path / "t.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["t.npz"]


def test_cells_over_a_volume_fraction():
    def rve(fraction):
        cell = hmm.cells.laminate({"a": 1 - fraction, "b": fraction}, mesh_size=0.5)
        law = {"a": hmm.laws.Fourier(1.0), "b": hmm.laws.Fourier(10.0)}
        return hmm.RVE(cell, hmm.fluctuation(cell, shape=()), hmm.macro_gradient(cell), law=law)

    table = hmm.tabulate(rve, {"fraction": (0.1, 0.9)}, tolerance=1e-3)
    f = np.array([0.15, 0.42, 0.83])
    K = table.at(fraction=f)[1]
    series, parallel = 1 / (1 - f + f / 10), 1 - f + 10 * f
    assert np.allclose(np.sort(np.abs(np.linalg.eigvalsh(K))), np.stack([series, parallel], axis=1), rtol=2e-3)


@pytest.mark.mpi
def test_ranks_share_evaluations_and_fail_together():
    comm = MPI.COMM_WORLD
    table = hmm.tabulate(graded, {"a": (0, 1), "b": (-1, 1)}, tolerance=1e-3, comm=comm)
    alone = hmm.tabulate(graded, {"a": (0, 1), "b": (-1, 1)}, tolerance=1e-3)
    assert np.array_equal(table.grid.values, alone.grid.values)

    def fails(p):
        if p > 0.9:
            raise hmm.InputError("no such cell")
        return spring(p + 1)

    with pytest.raises(hmm.InputError, match="no such cell"):
        hmm.tabulate(fails, {"p": (0, 1)}, comm=comm)


@pytest.mark.mpi
def test_parameter_is_a_field_of_the_macro_mesh():
    table = hmm.tabulate(lambda p: spring(1 + p), {"p": (0, 1)}, tolerance=1e-6)
    domain = mesh.create_unit_square(MPI.COMM_WORLD, 2, 2)
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, x = fem.Function(V), ufl.SpatialCoordinate(domain)
    u.interpolate(lambda x: np.array([0.1 * x[0], 0 * x[0]]))
    homogenizer = hmm.Homogenizer(table, (ufl.sym(ufl.grad(u)), x[0]))
    assert homogenizer.evaluate()
    form = fem.form(homogenizer.stress[0, 0] * homogenizer.dx)
    total = MPI.COMM_WORLD.allreduce(fem.assemble_scalar(form))
    assert np.isclose(total, 0.1 * 3.0 * 1.5, rtol=1e-6)


def test_flipped_bytes_are_refused(table, tmp_path):
    data = table.save(tmp_path / "t.npz").read_bytes()
    answer = table.grid.values
    for k in range(40, len(data), max(1, len(data) // 60)):
        path = tmp_path / "bad.npz"
        path.write_bytes(data[:k] + bytes([data[k] ^ 0xFF]) + data[k + 1 :])
        try:
            read = hmm.models.TableModel.load(path)
        except hmm.InputError:
            continue
        assert np.array_equal(read.grid.values, answer)  # a byte of the archive that carries no data


def test_tangent_check_of_a_table(table):
    point = [0.1, -0.2, 0.3, 0.37, 0.21]
    assert hmm.checks.tangent(table, point).error < 1e-6
