"""Unit-cell generators against geometry; every rank of `mpirun -n 2` runs these on COMM_SELF."""

from math import pi, sqrt
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
from dolfinx.mesh import compute_midpoints
from support.mesh_quality import radius_ratios, unmatched

import hmm
from hmm import Cell, InputError, cells
from hmm.cells import _gmsh, _round
from hmm.cells._bodies import Rods
from hmm.cells._inclusions import Inclusions
from hmm.cells.gmsh_session import session

MESH = Path(__file__).parents[2] / "meshes" / "fibre_square.msh"

GENERATORS = {
    "laminate": lambda **k: cells.laminate({"A": 0.6, "B": 0.4}, **k),
    "laminate 3D": lambda **k: cells.laminate([("A", 0.3), ("B", 0.4), ("A", 0.3)], dim=3, normal=2, size=3.0, **k),
    "square": lambda **k: cells.fibre(0.3, mesh_size=0.1, **k),
    "square, dense": lambda **k: cells.fibre(0.77, mesh_size=0.2, **k),
    "square, small": lambda **k: cells.fibre(0.001, mesh_size=0.2, size=2.0, **k),
    "square, curved": lambda **k: cells.fibre(0.3, mesh_size=0.2, order=2, **k),
    "square, hole": lambda **k: cells.fibre(0.3, mesh_size=0.1, void=True, **k),
    "hexagonal": lambda **k: cells.fibre(0.5, array="hexagonal", mesh_size=0.1, **k),
    "hexagonal, corners": lambda **k: cells.fibre(0.8, array="hexagonal", mesh_size=0.1, **k),
    "hexagonal, corner holes": lambda **k: cells.fibre(0.8, array="hexagonal", mesh_size=0.1, void=True, order=2, **k),
    "sphere": lambda **k: cells.sphere(0.2, mesh_size=0.25, **k),
    "sphere, pore": lambda **k: cells.sphere(0.2, mesh_size=0.25, void=True, **k),
    "sphere, curved": lambda **k: cells.sphere(0.3, mesh_size=0.3, order=2, **k),
}

FRACTIONS = {
    "laminate": {"A": 0.6, "B": 0.4},
    "laminate 3D": {"A": 0.6, "B": 0.4},
    "square": {"matrix": 0.7, "fibre": 0.3},
    "square, dense": {"matrix": 0.23, "fibre": 0.77},
    "square, small": {"matrix": 0.999, "fibre": 0.001},
    "square, curved": {"matrix": 0.7, "fibre": 0.3},
    "square, hole": {"matrix": 0.7},
    "hexagonal": {"matrix": 0.5, "fibre": 0.5},
    "hexagonal, corners": {"matrix": 0.2, "fibre": 0.8},
    "hexagonal, corner holes": {"matrix": 0.2},
    "sphere": {"matrix": 0.8, "inclusion": 0.2},
    "sphere, pore": {"matrix": 0.8},
    "sphere, curved": {"matrix": 0.7, "inclusion": 0.3},
}

VOLUMES = {"laminate 3D": 27.0, "square, small": 4.0} | {name: sqrt(3) / 2 for name in FRACTIONS if "hexagonal" in name}


@pytest.fixture(scope="module", params=GENERATORS)
def named(request: pytest.FixtureRequest) -> tuple[str, Cell]:
    return request.param, GENERATORS[request.param]()


def test_fractions_and_volume(named: tuple[str, Cell]) -> None:
    name, cell = named
    assert list(cell.phases) == list(FRACTIONS[name])
    assert cell.volume_fractions == pytest.approx(FRACTIONS[name], rel=0, abs=1e-10)
    assert cell.volume == pytest.approx(VOLUMES.get(name, 1.0), rel=1e-14)


def test_opposite_faces_carry_the_same_mesh(named: tuple[str, Cell]) -> None:
    _, cell = named
    assert unmatched(cell, cell.mesh.geometry.x) == 0
    assert unmatched(cell, compute_midpoints(cell.mesh, cell.dim - 1, cell.boundary_facets())) == 0


def test_elements_are_well_shaped(named: tuple[str, Cell]) -> None:
    assert radius_ratios(named[1]).min() > 0.2


@pytest.mark.parametrize("name", ["laminate", "square", "hexagonal, corners", "sphere"])
def test_the_same_call_gives_the_same_mesh(name: str) -> None:
    first, second = GENERATORS[name](), GENERATORS[name]()
    assert np.array_equal(first.mesh.geometry.x, second.mesh.geometry.x)
    assert np.array_equal(first.mesh.geometry.dofmaps[0], second.mesh.geometry.dofmaps[0])
    assert np.array_equal(first.phase_tags.values, second.phase_tags.values)


@pytest.mark.mpi
@pytest.mark.parametrize("name", ["laminate 3D", "square", "hexagonal, corner holes", "sphere"])
def test_a_distributed_cell_is_the_same_cell(name: str) -> None:
    alone, shared = GENERATORS[name](), GENERATORS[name](comm=MPI.COMM_WORLD)
    assert shared.volume_fractions == pytest.approx(alone.volume_fractions, rel=0, abs=1e-13)
    assert np.array_equal(shared.lattice, alone.lattice) and shared.phases == alone.phases
    assert (
        shared.mesh.topology.index_map(shared.dim).size_global == alone.mesh.topology.index_map(alone.dim).size_global
    )


def test_laminate_layers_lie_where_they_should() -> None:
    cell = cells.laminate([("A", 0.05), ("B", 0.45), ("A", 0.5)], normal=1, size=2.0, mesh_size=0.5)
    y = compute_midpoints(cell.mesh, 2, np.arange(len(cell.phase_tags.values), dtype=np.int32))[:, 1]
    expected = np.where((y > 0.1) & (y < 1.0), cell.phases["B"], cell.phases["A"])
    assert np.array_equal(cell.phase_tags.values, expected)
    # 0.05 * 2 / 0.5 -> 1 row, 0.45 * 2 / 0.5 -> 2 rows, 0.5 * 2 / 0.5 -> 2 rows; 4 squares of 2 triangles in each row
    assert len(y) == 5 * 4 * 2


@pytest.mark.parametrize("array", ["square", "hexagonal"])
def test_radius_instead_of_volume_fraction(array: str) -> None:
    cell = cells.fibre(radius=0.6, size=2.0, mesh_size=0.2, array=array)
    # f = pi r^2 / |Y|, |Y| = 2 * 2 and 2 * 2 * sqrt(3) / 2
    assert cell.volume_fractions["fibre"] == pytest.approx(
        pi * 0.36 / (4 if array == "square" else 2 * sqrt(3)), abs=1e-10
    )
    sphere = cells.sphere(radius=0.6, size=2.0, mesh_size=0.5)
    assert sphere.volume_fractions["inclusion"] == pytest.approx(4 / 3 * pi * 0.216 / 8, abs=1e-10)


def test_unmatched_nodes_lie_on_the_circle() -> None:
    straight = cells.fibre(0.3, mesh_size=0.1, match_fraction=False)
    curved = cells.fibre(0.3, mesh_size=0.1, match_fraction=False, order=2)
    # An n-gon in the circle has the fraction f sin(t) / t of n segments, t = 2 pi / n; a parabola errs by O(t^4).
    rho = np.linalg.norm(straight.mesh.geometry.x[:, :2] - 0.5, axis=1)
    t = 2 * pi / np.count_nonzero(np.abs(rho - sqrt(0.3 / pi)) < 1e-9)
    assert straight.volume_fractions["fibre"] == pytest.approx(0.3 * np.sin(t) / t, abs=1e-9)
    assert 0 < abs(curved.volume_fractions["fibre"] - 0.3) < 0.3 * t**4 / 100


def test_phases_may_be_named() -> None:
    assert set(cells.fibre(0.2, mesh_size=0.2, phases=("epoxy", "glass")).phases) == {"epoxy", "glass"}


def test_msh_file() -> None:
    cell = hmm.images.msh_cell(MESH)
    # Edges of 0.08 at most on the circle of radius sqrt(0.3 / pi) = 0.309: ceil(2 pi 0.309 / 0.08) = 25 segments.
    t = 2 * pi / 25
    assert cell.volume_fractions == pytest.approx(
        {"matrix": 1 - 0.3 * np.sin(t) / t, "fibre": 0.3 * np.sin(t) / t}, abs=1e-9
    )
    assert unmatched(cell, cell.mesh.geometry.x) == 0
    assert radius_ratios(cell).min() > 0.2
    assert MESH.stat().st_size < 60_000


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cells.fibre(0.8), ["volume_fraction = 0.8", "0.785398", "square", "pi/4", "smaller"]),
        (lambda: cells.fibre(0.91, array="hexagonal"), ["volume_fraction = 0.91", "0.9069", "pi/(2 sqrt 3)"]),
        (lambda: cells.sphere(0.6), ["volume_fraction = 0.6", "0.523599", "pi/6"]),
        (lambda: cells.fibre(0.0), ["volume_fraction = 0 ", "(0, "]),
        (lambda: cells.fibre(float("nan")), ["volume_fraction = nan"]),
        (lambda: cells.fibre(), ["volume_fraction", "radius", "exactly one"]),
        (lambda: cells.fibre(0.3, radius=0.1), ["volume_fraction = 0.3", "radius = 0.1", "exactly one"]),
        (lambda: cells.sphere(radius=1.5, size=2.0), ["radius = 1.5", "(0, 1)", "smaller"]),
        (lambda: cells.fibre(0.3, mesh_size=0.0), ["mesh_size = 0 ", "(0, 1]", "positive"]),
        (lambda: cells.sphere(0.3, mesh_size=0.1, size=0.01), ["mesh_size = 0.1", "(0, 0.01]", "unit of size"]),
        (lambda: cells.fibre(0.3, size=-1.0), ["size = -1", "positive"]),
        (lambda: cells.fibre(0.3, array="random"), ["array = 'random'", "hexagonal", "square"]),
        (lambda: cells.fibre(0.3, interface=1e-7), ["interface = 1e-07", "too thin", "give 1e-06 or more"]),
        (lambda: cells.fibre(0.3, size=10, mesh_size=1, interface=9e-6), ["interface = 9e-06", "give 1e-05 or more"]),
        (lambda: cells.sphere(0.2, interface=1e-5), ["interface = 1e-05", "too many elements", "give 0.002 or more"]),
        (lambda: cells.random_fibres(0.3, interface=1e-7), ["interface = 1e-07", "give 1e-06 or more"]),
        (lambda: cells.random_spheres(0.3, interface=1e-4), ["interface = 0.0001", "too many elements", "or more"]),
        (lambda: cells.fibre(radius=0.49999), ["gap", "2e-05 of the cell", "match_fraction=False"]),
        (lambda: cells.fibre(0.3, order=3), ["order = 3", "1", "2"]),
        (lambda: cells.fibre(0.3, phases=("a", "a")), ["phases", "('a', 'a')", "different"]),
        (lambda: cells.laminate({"A": 0.6, "B": 0.5}), ["0.6", "0.5", "sum to 1.1"]),
        (lambda: cells.laminate({"A": 1.2, "B": -0.2}), ["layer 'A' = 1.2", "(0, 1]"]),
        (lambda: cells.laminate({}), ["sum to 0"]),
        (lambda: cells.laminate({"A": 1.0}, mesh_size=-1), ["mesh_size = -1"]),
        (lambda: cells.laminate({"A": 1.0}, dim=1), ["dim = 1", "2 or 3"]),
        (lambda: cells.laminate({"A": 1.0}, normal=2), ["normal = 2", "2D", "[0, 1]"]),
    ],
)
def test_bad_input_is_named(call, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


@pytest.mark.mpi
def test_an_error_while_meshing_reaches_every_rank() -> None:
    def draw(model: object) -> None:
        raise Exception("no such curve")

    import gmsh

    with pytest.raises(hmm.HMMError, match="no such curve"):
        _gmsh.build(draw, MPI.COMM_WORLD, np.eye(2))
    assert not gmsh.isInitialized()


@pytest.mark.mpi
def test_unequal_faces_are_refused() -> None:
    def draw(model) -> None:
        cell = _gmsh.add_parallelogram(model, np.eye(2))
        _gmsh.split(model, 2, cell, [[model.occ.addDisk(0.0, 0.5, 0.0, 0.2, 0.2)]])
        _gmsh.set_periodic(model, np.eye(2))

    with pytest.raises(hmm.HMMError, match="lattice vector 1 have 3 and 1 entities"):
        _gmsh.build(draw, MPI.COMM_WORLD, np.eye(2))


def drawn(array: str, fraction_of_densest: float, layer: float) -> None:
    """Draw an array and pair its faces, without a mesh; the layer is relative to the room for it."""
    lattice = _round.LATTICES.get(array, np.eye(3))
    dim = len(lattice)
    centres = _round.SPHERES.get(array, lattice.sum(axis=0)[None] / 2)
    limit = _round._touching(lattice, centres)
    radius = limit * fraction_of_densest ** (1 / dim)
    if array == "hexagonal" and radius > _round.CENTRED_UP_TO:
        centres = np.zeros((1, 2))
    bodies = Rods.balls(centres, np.full(len(centres), radius))
    inclusions = Inclusions(lattice, bodies, 0.5, interface=layer * (limit - radius), match_fraction=True)
    with session("array") as model:
        inclusions.divide(model)
        _gmsh.set_periodic(model, lattice)


@pytest.mark.parametrize(("array", "n"), [("square", 20), ("hexagonal", 20), ("sc", 10), ("bcc", 2), ("fcc", 4)])
@pytest.mark.parametrize("layer", [0.0, 0.25])
def test_faces_have_their_partners_at_every_fraction(array: str, n: int, layer: float) -> None:
    """The disc on a face and the ring or matrix around it have the same middle: each finds its own image."""
    for fraction in np.linspace(0.02, 0.98, n):
        drawn(array, fraction, layer)


def test_a_face_centred_array_is_meshed() -> None:
    cell = cells.sphere(0.2, array="fcc", mesh_size=0.3)
    assert cell.volume_fractions["inclusion"] == pytest.approx(0.2, rel=1e-9)
    assert unmatched(cell, cell.mesh.geometry.x) == 0


def test_entities_that_are_alike_are_no_partners() -> None:
    twice = np.array([[0.0, 0.0], [0.0, 1e-18]])
    with pytest.raises(hmm.HMMError, match=r"1 of the 2 entities .* vector 2 are like others"):
        _gmsh._partners(twice, np.array([[0.0, 0.0], [1.0, 0.0]]), 1)


@pytest.mark.mpi
def test_a_phase_that_vanished_is_named() -> None:
    def draw(model) -> None:
        _gmsh.name_phases(model, 2, {"matrix": [_gmsh.add_parallelogram(model, np.eye(2))], "film": []})

    with pytest.raises(hmm.HMMError, match=r"the phase 'film' is lost in the tolerance.*thicker"):
        _gmsh.build(draw, MPI.COMM_WORLD, np.eye(2))


def test_a_running_gmsh_session_is_left_alone() -> None:
    import gmsh

    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("Mesh.Algorithm", 5)
        gmsh.model.add("mine")
        cells.fibre(0.3, mesh_size=0.2)
        assert gmsh.isInitialized() and gmsh.model.getCurrent() == "mine"
        assert gmsh.model.list() == ["", "mine"] and gmsh.option.getNumber("Mesh.Algorithm") == 5
    finally:
        gmsh.finalize()
    cells.fibre(0.3, mesh_size=0.2)
    assert not gmsh.isInitialized()
