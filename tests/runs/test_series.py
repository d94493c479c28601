"""The macro results on disk: what they hold, that a continued run goes on with them, and that those of others go."""

from mpi4py import MPI

import basix.ufl
import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support import macro_tools

import hmm
from hmm.foundation.errors import InputError
from hmm.foundation.vtu import read_pvd

COMM = MPI.COMM_WORLD
pv = pytest.importorskip("pyvista")


@pytest.fixture
def folder(tmp_path):
    """One directory for all ranks."""
    return COMM.bcast(tmp_path)


def bent(degree=2):
    """A unit square of triangles with the displacement (0.1 x, -0.05 y^degree)."""
    domain = mesh.create_unit_square(COMM, 3, 2)
    u = fem.Function(fem.functionspace(domain, ("Lagrange", degree, (2,))), name="displacement")
    u.interpolate(lambda x: np.stack([0.1 * x[0], -0.05 * x[1] ** degree]))
    hom = hmm.Homogenizer(macro_tools.composite(macro_tools.STIFF), ufl.sym(ufl.grad(u)), algorithm="nested")
    assert hom.evaluate()
    hom.commit()
    return u, hom


def times_in(path):
    return [time for time, _ in read_pvd(path)]


def grid_at(path, time):
    reader = pv.get_reader(path)
    reader.set_active_time_value(time)
    return reader.read()[0]


@pytest.mark.mpi
@pytest.mark.parametrize("degree", [1, 2])
def test_files_of_vtk_hold_what_was_written(folder, degree):
    u, hom = bent(degree)
    with hmm.Output(folder, hom, u, format="vtu") as output:
        assert output.path == folder / "macro.pvd"
        output.write(0.5)
        u.x.array[:] *= 2
        output.write(1.0)
    total = COMM.allreduce(output.cellwise["stress"].x.array[: 4 * hom.cells.size].reshape(-1, 4).sum(axis=0))
    if COMM.rank:
        return
    assert times_in(output.path) == [0.5, 1.0]
    for time, factor in ((0.5, 1.0), (1.0, 2.0)):
        grid = grid_at(output.path, time)
        x = np.asarray(grid.points)
        expected = factor * np.stack([0.1 * x[:, 0], -0.05 * x[:, 1] ** degree, 0 * x[:, 0]], axis=1)
        assert np.asarray(grid.point_data["displacement"]) == pytest.approx(expected, abs=1e-12)
        stress = np.asarray(grid.cell_data["stress"])
        assert stress.shape == (12, 9) and stress.sum(axis=0)[[0, 1, 3, 4]] == pytest.approx(total)
        assert grid.compute_cell_sizes().cell_data["Area"].sum() == pytest.approx(1.0)


@pytest.mark.mpi
def test_the_fields_of_a_cell_as_a_file_of_vtk(folder):
    rve = macro_tools.composite(macro_tools.STIFF)
    E = np.array([1e-3, 0.0, 0.0])
    fields = hmm.local_fields(rve, rve.solve(E).state, E)
    written = hmm.write_fields(folder / f"cell_{COMM.rank}.vtu", fields)
    grid = pv.read(written)
    assert set(grid.cell_data) == {"phase", "stress", "von_mises"} and set(grid.point_data) == {"displacement"}
    assert np.asarray(grid.cell_data["von_mises"]) == pytest.approx(fields.cellwise["von_mises"].x.array)
    _, hom = bent()
    where = hmm.worst_point(hom, hom.coordinates().sum(axis=1))
    assert hmm.write_rve(folder / "rve.vtu", hom, where) == folder / "rve.vtu"
    assert pv.read(folder / "rve.vtu").n_cells == rve.cell.phase_tags.values.size


@pytest.mark.mpi
def test_a_mixed_field_is_written_in_parts(folder):
    """Displacements of degree 2 and a pressure of degree 1, which is interpolated exactly."""
    _, hom = bent()
    degrees = [
        basix.ufl.element("Lagrange", "triangle", 2, shape=(2,)),
        basix.ufl.element("Lagrange", "triangle", 1),
    ]
    mixed = fem.Function(fem.functionspace(hom.mesh, basix.ufl.mixed_element(degrees)), name="u_and_p")
    extra = fem.Function(fem.functionspace(hom.mesh, ("Lagrange", 1)), name="T")
    for format in ("vtu", "bp"):
        with hmm.Output(folder / format, hom, [mixed, extra], format=format) as output:
            mixed.sub(0).interpolate(lambda x: np.stack([x[0] ** 2, x[0] * x[1]]))
            mixed.sub(1).interpolate(lambda x: 1 + x[0] - x[1])
            extra.interpolate(lambda x: 3 * x[1])
            output.write(1.0)
    COMM.barrier()
    if COMM.rank == 0:
        grid = grid_at(folder / "vtu" / "macro.pvd", 1.0)
        x, y, _ = np.asarray(grid.points).T
        assert np.asarray(grid.point_data["u_and_p_0"]) == pytest.approx(np.stack([x**2, x * y, 0 * x], axis=1))
        assert np.asarray(grid.point_data["u_and_p_1"]) == pytest.approx(1 + x - y)
        assert np.asarray(grid.point_data["T"]) == pytest.approx(3 * y)
        names = b"".join(f.read_bytes() for f in (folder / "bp" / "macro.bp").iterdir() if f.name.startswith("md"))
        assert all(name in names for name in (b"u_and_p_0", b"u_and_p_1", b"T"))


@pytest.mark.mpi
@pytest.mark.parametrize("format", ["vtu", "bp"])
def test_a_continued_run_goes_on_with_its_results(folder, format):
    """Also if it was killed within a step, whose results it writes again."""

    def run(last):
        body = macro_tools.beam(macro_tools.composite())
        with hmm.Output(folder / "results", body.hom, body.u, format=format) as output:
            for step in hmm.steps(body.problem, body.load, -0.04, 4, checkpoint=folder / "run.h5"):
                output.write(float(step.number))
                if step.number == last:
                    return
        COMM.barrier()

    run(2)
    run(None)
    if COMM.rank == 0:
        names = {path.name for path in (folder / "results").iterdir()}
        if format == "vtu":
            assert times_in(folder / "results" / "macro.pvd") == [1.0, 2.0, 3.0, 4.0]
            assert len({path.name[:6] for path in (folder / "results" / "macro").iterdir()}) == 4
        else:
            assert {"macro.bp", "macro_2.bp"} <= names
    COMM.barrier()
    (folder / "run.h5").unlink(missing_ok=True)
    COMM.barrier()
    run(1)
    COMM.barrier()
    if COMM.rank == 0:
        assert "macro_2.bp" not in {path.name for path in (folder / "results").iterdir()}
        if format == "vtu":
            assert times_in(folder / "results" / "macro.pvd") == [1.0]


@pytest.mark.mpi
def test_results_of_an_earlier_run_are_removed_and_nothing_else(folder):
    u, hom = bent()
    kept = ["macro_notes.bp", "macro/notes.txt", "notes.txt"]
    for format in ("bp", "vtu", "bp"):
        with hmm.Output(folder, hom, u, format=format) as output:
            output.write(1.0)
        COMM.barrier()
        if COMM.rank == 0:
            for name in kept:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text("mine")
            assert (folder / "macro.bp").exists() == (format == "bp")
            assert (folder / "macro.pvd").exists() == (format == "vtu")
            assert all((folder / name).exists() for name in kept)
        COMM.barrier()


@pytest.mark.mpi
def test_an_output_without_a_step_removes_nothing(folder):
    u, hom = bent()
    with hmm.Output(folder, hom, u, format="vtu") as output:
        output.write(1.0)
    with hmm.Output(folder, hom, u, format="vtu"):
        pass
    assert times_in(folder / "macro.pvd") == [1.0]


@pytest.mark.mpi
def test_bad_input_of_an_output_is_said_on_all_ranks(folder):
    u, hom = bent()
    with pytest.raises(InputError, match="format 'xdmf' is unknown: choose one of 'bp', 'vtu'"):
        hmm.Output(folder, hom, u, format="xdmf")
    flat = fem.Function(fem.functionspace(hom.mesh, ("DG", 0)), name="flat")
    with pytest.raises(InputError, match="no field of degree 1 or more among flat"):
        hmm.Output(folder, hom, flat)
    elements = [basix.ufl.element("RT", "triangle", 1), basix.ufl.element("DG", "triangle", 0)]
    mixed = fem.Function(fem.functionspace(hom.mesh, basix.ufl.mixed_element(elements)), name="darcy")
    with pytest.raises(InputError, match=r"'darcy_0'.*Lagrange"):
        hmm.Output(folder, hom, mixed)
    output = hmm.Output(folder / "closed", hom, u, format="vtu")
    output.close()
    with pytest.raises(InputError, match=r"macro\.pvd is closed"):
        output.write(1.0)
    if COMM.rank == 0:
        (folder / "macro.pvd").mkdir()
    COMM.barrier()
    with pytest.raises(InputError, match=r"macro\.pvd, which is a directory"):
        hmm.Output(folder, hom, u, format="vtu")


@pytest.mark.parametrize("text", ["", "<a", '<VTKFile><DataSet timestep="x" file="a.vtu"/></VTKFile>'])
def test_a_damaged_index_is_refused(text, tmp_path):
    (tmp_path / "macro.pvd").write_text(text)
    with pytest.raises(InputError, match=r"macro\.pvd is damaged .*: remove it"):
        read_pvd(tmp_path / "macro.pvd")


def test_an_index_that_names_other_files_is_refused(tmp_path):
    (tmp_path / "macro.pvd").write_text('<VTKFile><DataSet timestep="1" file="../../mine.txt"/></VTKFile>')
    with pytest.raises(InputError, match="names other files"):
        read_pvd(tmp_path / "macro.pvd")
