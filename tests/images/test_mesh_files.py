"""Mesh files of other programs as cells."""

from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem
from dolfinx.io import gmsh as gmsh_io
from support.cells_and_rves import relative_error, strain_rve

import hmm

meshio = pytest.importorskip("meshio")
COMM = MPI.COMM_WORLD
LAWS = {"matrix": hmm.laws.Elastic(1.0, 0.3), "fibre": hmm.laws.Elastic(10.0, 0.2)}
BENCHMARK = Path(__file__).parents[1] / "data" / "fibre_benchmark.msh"


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
    cell = hmm.images.mesh_cell(path, phases, tags=None if suffix == "inp" else "material")
    same = hmm.cells.voxels(tags.reshape(2, 2, 2), {"matrix": 3, "fibre": 8}, spacing=0.5)
    assert cell.volume_fractions == pytest.approx(same.volume_fractions, rel=1e-12)
    assert relative_error(stiffness(cell), stiffness(same)) < 1e-10


@pytest.mark.mpi
def test_gmsh_files_by_meshio_and_by_gmsh_are_the_same():
    names = {"matrix": "matrix", "fibre": "fibre"}
    by_gmsh, by_name = hmm.images.mesh_cell(BENCHMARK), hmm.images.mesh_cell(BENCHMARK, names)
    spread = hmm.images.mesh_cell(BENCHMARK, names, comm=COMM)
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
    cell = hmm.images.mesh_cell(path, {"matrix": 3, "fibre": 8}, tags="material")
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
            hmm.images.mesh_cell(tmp_path / name, phases, **options)
        assert message in str(caught.value), name
        assert "\n" not in str(caught.value)
    assert path.is_file()


ABAQUS = """*HEADING
** a square of four triangles, two of them in a second block without a set of its own
*NODE
1, 0., 0.
2, 1., 0.
** a comment among the data
3, 1., 1.
4, 0., 1.
9, .5, .5
*ELEMENT, TYPE={0}
11, 1, 2, 9
12, 2, 3, 9
*Element, type={0}, elset=Fibre
13, 3, 4, 9
14, 4, 1, 9
{1}"""


@pytest.mark.parametrize("kind", ["CPE3", "CPS3", "CPE3H", "CAX3", "CPEG3", "S3R", "DC2D3", "CPE3T"])
def test_abaqus_elements_and_sets(tmp_path, kind):
    """The set of the second block belongs to it, although the first block has none."""
    path = tmp_path / "a.inp"
    path.write_text(ABAQUS.format(kind, "*ELSET, ELSET=matrix, GENERATE\n11, 12\n*NSET, NSET=all\n1, 2\n"))
    cell = hmm.images.mesh_cell(path)
    assert cell.volume_fractions == pytest.approx({"Fibre": 0.5, "matrix": 0.5})
    fibre = cell.phase_tags.find(cell.phases["Fibre"])
    centres = cell.mesh.geometry.x[cell.mesh.geometry.dofmaps[0][fibre]].mean(axis=1)
    assert (centres[:, 0] < centres[:, 1] + 1e-12).all()  # the upper and the left triangle


ALL = "*ELSET, ELSET=ALL, GENERATE\n11, 14, 1\n"
MATRIX = "*ELSET, ELSET=MATRIX\n11, 12\n"


@pytest.mark.parametrize(
    ("sets", "phases", "fractions"),
    [
        (ALL + MATRIX, None, {"Fibre": 0.5, "MATRIX": 0.5}),
        (MATRIX + "*ELSET, ELSET=ALL\nFibre, MATRIX\n", None, {"Fibre": 0.5, "MATRIX": 0.5}),
        (ALL, None, {"Fibre": 0.5, "ALL": 0.5}),
        (ALL, {"f": "Fibre", "m": "ALL"}, {"f": 0.5, "m": 0.5}),
        (ALL, {"m": "ALL", "f": "Fibre"}, {"f": 0.5, "m": 0.5}),
        (ALL, {"all": "ALL"}, {"all": 1.0}),
    ],
)
def test_overlapping_sets(tmp_path, sets, phases, fractions):
    path = tmp_path / "a.inp"
    path.write_text(ABAQUS.format("CPS3", sets))
    assert hmm.images.mesh_cell(path, phases).volume_fractions == pytest.approx(fractions)


@pytest.mark.parametrize(
    ("more", "phases", "message"),
    [
        ("*ELSET, ELSET=X\n11, 12, 13\n", None, "1 elements are in the set 'Fibre' and in 'X'"),
        ("*ELSET, ELSET=X\n13, 14\n" + MATRIX, None, "2 elements are in the set"),
        (ALL + MATRIX, {"a": "ALL", "b": "Fibre", "c": "MATRIX"}, "'ALL' of"),
        (MATRIX, {"a": "MATRIX"}, "2 elements in none of the sets"),
        (MATRIX, {"a": "MATRIX", "b": 2}, "mixes numbers and sets"),
        (MATRIX, {"a": 1.5}, "phase 'a' = 1.5 is not a number"),
        (MATRIX, [], "phases = [] names no phases"),
        ("*ELSET, ELSET=X\n99\n", None, "names the element 99"),
        ("*ELSET, ELSET=X\nnothing\n", None, "the set 'nothing', which is not defined"),
        ("*ELSET, ELSET=X, GENERATE\n1, 99999999999\n", None, "give first, last, step"),
        ("*ELEMENT, TYPE=CPE3\n15, 1, 2\n", None, "have 3 nodes"),
        ("*ELEMENT, TYPE=CPE3\n14, 1, 2, 3\n", None, "element 14 twice"),
        ("*ELEMENT, TYPE=COH2D4\n15, 1, 2, 3, 4\n", None, "elements of type COH2D4"),
        ("*ELEMENT, TYPE=CPE3\n15, 1, 2, 77\n", None, "names the node 77"),
        ("*ELEMENT, TYPE=CPE3\n15, 1, 2, x\n", None, "'x' is not a number"),
        ("*NODE\n1, 0, 0\n", None, "node 1 twice"),
        ("*NODE, SYSTEM=C\n10, 0, 0\n", None, "another system"),
        ("*NODE\n10, 0\n", None, "*NODE has a line"),
        ("*NGEN\n1, 2\n", None, "*NGEN"),
        ("*ASSEMBLY\n*INSTANCE, NAME=a\n*INSTANCE, NAME=b\n", None, "several instances"),
    ],
)
def test_mistakes_in_abaqus_files(tmp_path, more, phases, message):
    path = tmp_path / "a.inp"
    path.write_text(ABAQUS.format("CPS3", more))
    with pytest.raises(hmm.InputError) as caught:
        hmm.images.mesh_cell(path, phases)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_abaqus_assembly_and_long_elements(tmp_path):
    """One part in an assembly with a reference point, and ten nodes over two lines."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    middles = [(corners[i] + corners[j]) / 2 for i, j in ((0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3))]
    nodes = "".join(f"{k}, {x}, {y}, {z}\n" for k, (x, y, z) in enumerate([*corners, *middles], start=1))
    path = tmp_path / "a.inp"
    path.write_text(
        f"*Part, name=P\n*Node\n{nodes}*Element, type=C3D10M,\nelset=tet\n"
        "1, 1, 2, 3, 4, 5,\n6, 7, 8, 9, 10\n*End Part\n"
        "*Assembly, name=A\n*Instance, name=P-1, part=P\n*End Instance\n*Node\n1, 9., 9., 9.\n*End Assembly\n"
    )
    cell = hmm.images.mesh_cell(path)
    assert cell.mesh.geometry.cmaps[0].degree == 2
    assert cell.volume_fractions == pytest.approx({"tet": 1 / 6})


def drawn(path, order, version, binary, recombine=False):
    """A disc in a square, meshed and written by Gmsh; the areas as DOLFINx takes the mesh from Gmsh itself."""
    import gmsh

    from hmm.cells.gmsh_session import session

    with session("drawn") as model:
        gmsh.option.setNumber("Mesh.MshFileVersion", version)
        gmsh.option.setNumber("Mesh.Binary", binary)
        outer, inner = model.occ.addRectangle(0, 0, 0, 1, 1), model.occ.addDisk(0.5, 0.5, 0, 0.3, 0.3)
        model.occ.fragment([(2, outer)], [(2, inner)])
        model.occ.synchronize()
        fibre = [t for _, t in model.getEntities(2) if model.occ.getMass(2, t) < 0.4]
        for tag, name in ((7, "matrix"), (3, "fibre")):
            group = [t for _, t in model.getEntities(2) if (t in fibre) == (name == "fibre")]
            model.addPhysicalGroup(2, group, tag, name)
        model.addPhysicalGroup(1, [t for _, t in model.getEntities(1)], 5, "lines")
        gmsh.option.setNumber("Mesh.MeshSizeMax", 0.25)
        if recombine:
            gmsh.option.setNumber("Mesh.RecombineAll", 1)
            gmsh.option.setNumber("Mesh.RecombinationAlgorithm", 3)
        model.mesh.generate(2)
        model.mesh.setOrder(order)
        gmsh.write(str(path))
        for option, value in (("Mesh.MshFileVersion", 4.1), ("Mesh.Binary", 0), ("Mesh.RecombineAll", 0)):
            gmsh.option.setNumber(option, value)
        return volumes(model, 2)


def volumes(model, dim):
    """Volume of each physical group of the current model, without a file between."""
    data = gmsh_io.model_to_mesh(model, MPI.COMM_SELF, 0, gdim=dim)
    dx = ufl.Measure("dx", data.mesh, subdomain_data=data.cell_tags)
    tags = {name: group.tag for name, group in data.physical_groups.items() if group.dim == dim}
    return {name: fem.assemble_scalar(fem.form(1.0 * dx(tag))) for name, tag in tags.items()}


@pytest.mark.parametrize(("version", "binary"), [(2.2, 0), (2.2, 1), (4.1, 0), (4.1, 1)])
@pytest.mark.parametrize(("order", "recombine"), [(1, False), (2, False), (3, False), (2, True), (3, True)])
def test_gmsh_formats_and_orders(tmp_path, version, binary, order, recombine):
    areas = drawn(tmp_path / "a.msh", order, version, binary, recombine)
    cell = hmm.images.msh_cell(tmp_path / "a.msh")
    assert cell.mesh.geometry.cmaps[0].degree == order
    assert dict(cell.phases) == {"matrix": 7, "fibre": 3}
    assert cell.volume_fractions == pytest.approx(areas, rel=1e-12)
    assert sum(areas.values()) == pytest.approx(1.0, abs=1e-12)
    with pytest.raises(hmm.InputError, match=r"dim = 3 is not the dimension"):
        hmm.images.msh_cell(tmp_path / "a.msh", dim=3)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_solid_gmsh_files(tmp_path, order):
    import gmsh

    from hmm.cells.gmsh_session import session

    with session("ball") as model:
        model.occ.addSphere(0, 0, 0, 1)
        model.occ.synchronize()
        model.addPhysicalGroup(3, [1], 4, "ball")
        gmsh.option.setNumber("Mesh.MeshSizeMax", 0.7)
        model.mesh.generate(3)
        model.mesh.setOrder(order)
        gmsh.write(str(tmp_path / "a.msh"))
        found = volumes(model, 3)
    cell = hmm.images.msh_cell(tmp_path / "a.msh", lattice=2 * np.eye(3))
    assert cell.volume_fractions["ball"] * 8 == pytest.approx(found["ball"], rel=1e-12)


def test_overlapping_physical_groups(tmp_path):
    """A group inside another: by name the inner one counts, by number the element would have two."""
    import gmsh

    from hmm.cells.gmsh_session import session

    path = tmp_path / "a.msh"
    with session("groups") as model:
        for k in range(2):
            model.occ.addRectangle(0, k / 2, 0, 1, 0.5)
        model.occ.fragment([(2, 1)], [(2, 2)])
        model.occ.synchronize()
        model.addPhysicalGroup(2, [1, 2], 1, "all")
        model.addPhysicalGroup(2, [2], 2, "upper")
        model.mesh.generate(2)
        gmsh.write(str(path))
    expected = pytest.approx({"all": 0.5, "upper": 0.5})
    assert hmm.images.msh_cell(path).volume_fractions == expected
    assert hmm.images.mesh_cell(path, {"upper": "upper", "all": "all"}).volume_fractions == expected
    with pytest.raises(hmm.InputError, match="several physical groups"):
        hmm.images.mesh_cell(path, {"all": 1, "upper": 2})
