"""What is written: fields of each step, one RVE from inside, tables; errors are everybody's."""

import csv
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support import macro_tools

import hmm

COMM = MPI.COMM_WORLD
LAWS = {"matrix": macro_tools.J2, "inclusion": macro_tools.STIFF}
SIZE = {"matrix": 0.75, "inclusion": 0.25}


@pytest.fixture
def folder(tmp_path):
    """One directory for all ranks."""
    return COMM.bcast(tmp_path)


def stretched(rve, amount=1e-3, n=4):
    """A macro unit square under the uniform strain ``diag(amount, 0)``, answered and committed."""
    domain = mesh.create_unit_square(COMM, n, n)
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 2, (2,))), name="displacement")
    u.interpolate(lambda x: np.stack([amount * x[0], 0 * x[0]]))
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree=2, algorithm="nested")
    assert hom.evaluate()
    hom.commit()
    return u, hom


def plastic_rve():
    return macro_tools.rve_of(macro_tools.square_cell(), LAWS)


def nodal_values(field):
    """Coordinates and values, shapes (n, 2), of a vector field in the plane."""
    return field.function_space.tabulate_dof_coordinates()[:, :2], field.x.array.reshape(-1, 2)


def bytes_in(directory):
    return sum(f.stat().st_size for f in Path(directory).rglob("*") if f.is_file())


@pytest.mark.mpi
def test_output_holds_the_cell_averages_of_each_step(folder):
    """Under uniform strain every macro cell has the stress and the plastic strain of a single RVE."""
    u, hom = stretched(plastic_rve(), 5e-3)
    alone = plastic_rve()
    response = alone.solve(np.diag([5e-3, 0.0]))
    p = alone.histories["matrix"].average(response.state.history, "p")
    assert p > 1e-3
    n = hom.cells.size
    with hmm.Output(folder / "new" / "run", hom, u) as output:
        assert list(output.cellwise) == ["stress", "p_matrix"]
        output.write(0.0)
        first = bytes_in(output.path)
        for time in range(1, 40):
            output.write(float(time))
    stress = output.cellwise["stress"].x.array.reshape(-1, 2, 2)[:n]
    assert stress == pytest.approx(np.broadcast_to(response.stress, (n, 2, 2)), rel=1e-8, abs=1e-6)
    assert output.cellwise["p_matrix"].x.array[:n] == pytest.approx(np.full(n, p[0]), rel=1e-7)
    COMM.barrier()
    assert output.path == folder / "new" / "run" / "macro.bp"
    names = b"".join(f.read_bytes() for f in output.path.iterdir() if f.name.startswith("md"))
    assert all(name in names for name in (b"displacement", b"stress", b"p_matrix"))
    assert bytes_in(output.path) > 10 * first


@pytest.mark.mpi
def test_a_second_run_replaces_the_first(folder):
    u, hom = stretched(plastic_rve())
    sizes = []
    for _ in range(2):
        with hmm.Output(folder, hom, u) as output:
            output.write(1.0)
        COMM.barrier()
        sizes.append(sum(f.stat().st_size for f in output.path.glob("data.*")))
        COMM.barrier()
    assert sizes[0] == sizes[1] > 0


@pytest.mark.mpi
def test_worst_point_is_the_same_for_all_ranks_and_numbers_of_ranks():
    _, hom = stretched(plastic_rve())
    x = hom.coordinates()
    corner = hmm.worst_point(hom, x.sum(axis=1))
    # (1, 1) is a corner of two triangles; the rule of degree 2 has points with weights 2/3, 1/6, 1/6 of the vertices,
    # thus (2/3, 5/6) and (5/6, 2/3) in the last of the 4 x 4 squares, with the same sum
    assert corner.x == pytest.approx((1 - 0.25 * (1 - 2 / 3), 1 - 0.25 * (1 - 5 / 6)))
    assert corner.value == pytest.approx(sum(corner.x))
    assert COMM.allgather((corner.rank, corner.point)) == [(corner.rank, corner.point)] * COMM.size
    if COMM.rank == corner.rank:
        assert x[corner.point] == pytest.approx(corner.x)
    tie = hmm.worst_point(hom, np.ones((hom.n_points, 1)))
    everywhere = np.concatenate(COMM.allgather(x)).round(9)
    assert tie.x == min(map(tuple, everywhere.tolist()))


@pytest.mark.mpi
def test_worst_point_refuses_a_wrong_shape_on_all_ranks():
    _, hom = stretched(plastic_rve())
    values = np.zeros(hom.n_points if COMM.rank else hom.n_points + 1)
    with pytest.raises(hmm.InputError, match=r"one number for each"):
        hmm.worst_point(hom, values)


def test_local_fields_average_to_the_macroscopic_ones():
    """Mean stress = Sigma, mean p of the matrix = the history's average; displacement differs by E x between faces."""
    rve = plastic_rve()
    E = np.array([[2e-3, 1e-3], [1e-3, -1e-3]])
    response = rve.solve(E)
    fields = hmm.local_fields(rve, response.state, E)
    tags = fields.cellwise["phase"].x.array
    assert [np.mean(tags == tag) for tag in rve.cell.phases.values()] == pytest.approx(list(SIZE.values()))
    stress = fields.cellwise["stress"].x.array.reshape(-1, 3, 3)  # the cells are of equal size
    assert stress.mean(axis=0)[:2, :2] == pytest.approx(response.stress, rel=1e-7)
    p = fields.cellwise["p"].x.array
    in_matrix = tags == rve.cell.phases["matrix"]
    average = rve.histories["matrix"].average(response.state.history, "p")[0]
    assert p[in_matrix].mean() == pytest.approx(average)
    assert not p[~in_matrix].any()
    assert fields.phases["p"] == ("matrix",)
    q = fields.cellwise["von_mises"].x.array[in_matrix & (p > 0)]
    assert q.max() <= 100.0 + 700.0 * p.max() + 1e-6  # linear elements: one stress a cell, on the yield surface
    x, u = (
        fields.displacement.function_space.tabulate_dof_coordinates()[:, :2],
        fields.displacement.x.array.reshape(-1, 2),
    )
    left, right = (np.flatnonzero(np.isclose(x[:, 0], side)) for side in (0.0, 1.0))
    left, right = left[np.argsort(x[left, 1])], right[np.argsort(x[right, 1])]
    assert u[right] - u[left] == pytest.approx(np.broadcast_to(E[:, 0], (left.size, 2)), abs=1e-12)


def test_local_fields_of_a_deformation_gradient_start_from_the_identity():
    rve = macro_tools.neo_hooke_rve(macro_tools.homogeneous_cell(), {"matrix": (1.0, 2.0)})
    F = np.array([[1.1, 0.2], [0.0, 1.0]])
    fields = hmm.local_fields(rve, rve.solve(F).state, F)
    x, u = (
        fields.displacement.function_space.tabulate_dof_coordinates()[:, :2],
        fields.displacement.x.array.reshape(-1, 2),
    )
    assert u == pytest.approx(x @ (F - np.eye(2)).T, abs=1e-12)
    assert list(fields.cellwise) == ["phase"]  # the energy does not say which stress belongs to which phase


@pytest.mark.mpi
def test_write_rve_writes_the_point_of_another_rank(folder):
    _, hom = stretched(plastic_rve())
    where = hmm.worst_point(hom, hom.coordinates().sum(axis=1))
    path = hmm.write_rve(folder / "rve.at.corner", hom, where)
    assert path == folder / "rve.at.corner.bp"
    names = b"".join(f.read_bytes() for f in path.iterdir() if f.name.startswith("md"))
    assert all(name in names for name in (b"displacement", b"stress", b"von_mises", b"p", b"phase"))


@pytest.mark.mpi
def test_csv_holds_every_digit(folder):
    rows = [(0.1, 1 / 3), (2, "b,c")]
    path = hmm.write_csv(folder / "deeper" / "curve.csv", COMM, ["u in mm", "R in N"], rows)
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [["u in mm", "R in N"], ["0.1", repr(1 / 3)], ["2", "b,c"]]


@pytest.mark.mpi
@pytest.mark.parametrize("write", ["output", "rve", "csv"])
def test_a_place_that_cannot_be_written_to_is_named_on_all_ranks(folder, write):
    u, hom = stretched(plastic_rve())
    if COMM.rank == 0:
        (folder / "file").write_text("not a directory")
    COMM.barrier()
    place = folder / "file" / "below"
    with pytest.raises(hmm.InputError, match=r"cannot write to .*file.*: give a directory") as caught:
        if write == "output":
            hmm.Output(place, hom, u)
        elif write == "rve":
            hmm.write_rve(place / "rve.bp", hom, hmm.worst_point(hom, hom.coordinates().sum(axis=1)))
        else:
            hmm.write_csv(place / "a.csv", COMM, ["a"], [[1]])
    assert "\n" not in str(caught.value)


@pytest.mark.mpi
def test_a_field_that_paraview_output_cannot_hold_is_refused(folder):
    _, hom = stretched(plastic_rve())
    other = fem.Function(fem.functionspace(hom.mesh, ("N1curl", 1)), name="other")
    with pytest.raises(hmm.InputError, match=r"'other'.*Lagrange"):
        hmm.Output(folder, hom, other)


@pytest.mark.mpi
def test_a_rank_without_cells_of_a_phase(folder):
    """A cell spread over all ranks, its inclusion one quadrilateral on one of them: fields are written all the same."""
    image = np.ones((4, 4), dtype=int)
    image[0, 0] = 2
    cell = hmm.cells.voxels(image, {"matrix": 1, "inclusion": 2}, comm=COMM)
    rve = macro_tools.rve_of(cell, {**LAWS, "inclusion": macro_tools.J2})
    response = rve.solve(np.array([1e-3, 0.0, 0.0]))
    fields = hmm.local_fields(rve, response.state, [1e-3, 0.0, 0.0])
    assert set(fields.cellwise) >= {"stress", "von_mises", "p"}
    written = hmm.write_fields(folder / "cell", fields)
    assert bytes_in(written) > 0


@pytest.mark.mpi
@pytest.mark.parametrize("kind", ["file", "directory in it"])
def test_something_in_the_way_of_the_output(folder, kind):
    """One line on all ranks, where ADIOS2 would end rank 0 and leave the others waiting."""
    u, hom = stretched(plastic_rve())
    where = folder / "results" / "macro.bp"
    if COMM.rank == 0:
        (where.parent if kind == "file" else where / "data.0").mkdir(parents=True)
        if kind == "file":
            where.write_text("")
    COMM.Barrier()
    with pytest.raises(hmm.InputError, match=r"cannot write .*macro\.bp \("):
        hmm.Output(where.parent, hom, u)


@pytest.mark.mpi
def test_nothing_is_added_to_a_closed_output(folder):
    u, hom = stretched(plastic_rve())
    output = hmm.Output(folder / "results", hom, u)
    output.close()
    output.close()
    with pytest.raises(hmm.InputError, match="is closed"):
        output.write(1.0)
