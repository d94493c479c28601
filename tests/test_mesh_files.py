"""Mesh files of other programs as cells."""

from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
from support import relative_error, strain_rve

import hmm

meshio = pytest.importorskip("meshio")
COMM = MPI.COMM_WORLD
LAWS = {"matrix": hmm.laws.Elastic(1.0, 0.3), "fibre": hmm.laws.Elastic(10.0, 0.2)}
BENCHMARK = Path(__file__).parent / "data" / "fibre_benchmark.msh"


@pytest.fixture
def folder(tmp_path):
    """One directory for all ranks."""
    return COMM.bcast(tmp_path)


def stiffness(cell):
    return strain_rve(cell, LAWS).solve(np.zeros((cell.dim, cell.dim))).tangent


def write(path, kind, points, elements, tags):
    sets = {name: [np.flatnonzero(tags == k)] for k, name in ((3, "MATRIX"), (8, "FIBRE"))}
    mesh = meshio.Mesh(points, [(kind, elements)], cell_data={"material": [tags]}, cell_sets=sets)
    if path.suffix != ".inp":
        mesh = meshio.Mesh(points, [(kind, elements)], cell_data={"material": [tags]})
    mesh.write(path)
    return path


def cube(n=2):
    """Points and elements of a cube of n^3 hexahedra, nodes in VTK's order, and tags."""
    index = np.arange((n + 1) ** 3).reshape((n + 1,) * 3)
    around = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    corners = [index[i : i + n, j : j + n, k : k + n].ravel() for i, j, k in around]
    points = np.stack(np.unravel_index(np.arange((n + 1) ** 3), (n + 1,) * 3), axis=1) / n
    return points, np.stack(corners, axis=1), np.where(np.arange(n**3) % 3 == 0, 8, 3).astype(np.int32)


@pytest.mark.mpi
@pytest.mark.parametrize("suffix", ["vtu", "xdmf", "inp"])
def test_hexahedra_of_other_programs_are_the_voxels_they_look_like(folder, suffix):
    points, elements, tags = cube()
    path = folder / f"cube.{suffix}"
    if COMM.rank == 0:
        write(path, "hexahedron", points, elements, tags)
    COMM.barrier()
    phases = {"matrix": "MATRIX", "fibre": "FIBRE"} if suffix == "inp" else {"matrix": 3, "fibre": 8}
    cell = hmm.Cell.from_mesh(path, phases, tags=None if suffix == "inp" else "material")
    same = hmm.cells.voxels(tags.reshape(2, 2, 2), {"matrix": 3, "fibre": 8}, spacing=0.5)
    assert cell.volume_fractions == pytest.approx(same.volume_fractions, rel=1e-12)
    assert relative_error(stiffness(cell), stiffness(same)) < 1e-10


@pytest.mark.mpi
def test_gmsh_files_by_meshio_and_by_gmsh_are_the_same():
    names = {"matrix": "matrix", "fibre": "fibre"}
    by_gmsh, by_name = hmm.Cell.from_mesh(BENCHMARK), hmm.Cell.from_mesh(BENCHMARK, names)
    spread = hmm.Cell.from_mesh(BENCHMARK, names, comm=COMM)
    assert by_name.phases.keys() == by_gmsh.phases.keys() == {"matrix", "fibre"}
    C = stiffness(by_gmsh)
    assert relative_error(stiffness(by_name), C) < 1e-10
    assert relative_error(stiffness(spread), C) < 1e-10


def test_quadratic_triangles(tmp_path):
    """A square of two six-node triangles, whose middle nodes VTK numbers otherwise than DOLFINx."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    pairs = [(0, 1), (1, 2), (0, 2), (2, 3), (0, 3)]
    points = np.concatenate([corners, [(corners[a] + corners[b]) / 2 for a, b in pairs]])
    elements = np.array([[0, 1, 2, 4, 5, 6], [0, 2, 3, 6, 7, 8]])
    path = write(tmp_path / "a.vtu", "triangle6", np.pad(points, ((0, 0), (0, 1))), elements, np.array([3, 8]))
    cell = hmm.Cell.from_mesh(path, {"matrix": 3, "fibre": 8}, tags="material")
    assert cell.mesh.geometry.cmaps[0].degree == 2
    assert cell.volume_fractions == pytest.approx({"matrix": 0.5, "fibre": 0.5})


def test_mistakes(tmp_path):
    points, elements, tags = cube()
    path = write(tmp_path / "cube.vtu", "hexahedron", points, elements, tags)
    (tmp_path / "broken.vtu").write_text("nothing")
    (tmp_path / "odd.xyz").write_text("nothing")
    meshio.Mesh(points, [("line", elements[:, :2])]).write(tmp_path / "lines.vtu")
    bad = [
        ("none.vtu", None, {}, "there is no mesh file"),
        ("broken.vtu", {"a": 1}, {}, "cannot be read by meshio"),
        ("odd.xyz", {"a": 1}, {}, "cannot be read by meshio"),
        ("lines.vtu", {"a": 1}, {}, "has elements ['line']: give a mesh of one type"),
        ("cube.vtu", None, {}, "has no named sets of elements: give phases="),
        ("cube.vtu", {"matrix": "M"}, {}, "phase 'matrix' is the set 'M', but"),
        (
            "cube.vtu",
            {"matrix": 3},
            {"tags": "label"},
            "no integer cell data 'label': give tags= as one of",
        ),
        ("cube.vtu", {"matrix": 3}, {"tags": "material"}, "tags [8] without a name"),
    ]
    for name, phases, options, message in bad:
        with pytest.raises(hmm.InputError) as caught:
            hmm.Cell.from_mesh(tmp_path / name, phases, **options)
        assert message in str(caught.value), name
        assert "\n" not in str(caught.value)
    assert path.is_file()
