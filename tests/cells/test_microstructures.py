"""Random and periodic microstructures against geometry, theory and their own inputs."""

from dataclasses import replace
from math import pi

from mpi4py import MPI

import numpy as np
import pytest
from dolfinx import fem
from dolfinx.mesh import compute_midpoints
from scipy.spatial import Delaunay
from support import closed_forms
from support.cells_and_rves import strain_rve
from support.mesh_quality import radius_ratios, unmatched

import hmm
from hmm import InputError, cells, laws
from hmm.cells import _checks, _generate, _gmsh, _random
from hmm.cells._bodies import Rods
from hmm.cells._inclusions import Inclusions
from hmm.cells._slivers import FACETS, Tetrahedra
from hmm.cells._surfaces import shapes, triangulate

GENERATORS = {
    "random fibres": lambda **k: cells.random_fibres(0.5, number=8, mesh_size=0.15, **k),
    "coated fibres": lambda **k: cells.random_fibres(0.3, number=4, spread=0.2, interface=0.03, mesh_size=0.2, **k),
    "extruded": lambda **k: cells.random_fibres(0.3, number=4, thickness=0.2, mesh_size=0.2, **k),
    "spheres": lambda **k: cells.random_spheres(0.15, number=3, mesh_size=0.4, **k),
    "pores": lambda **k: cells.random_spheres(0.15, number=3, mesh_size=0.4, void=True, **k),
    "ellipses": lambda **k: cells.random_ellipsoids(0.2, number=5, dim=2, aspect=2, mesh_size=0.2, **k),
    "stadiums": lambda **k: cells.short_fibres(0.15, number=6, dim=2, aspect=3, mesh_size=0.2, **k),
    "cracks": lambda **k: cells.cracks(0.05, number=4, mesh_size=0.2, **k),
    "grains": lambda **k: cells.voronoi(6, dim=2, mesh_size=0.2, **k).cell,
}
FRACTIONS = {  # of what is not matrix
    "random fibres": {"fibre": 0.5},
    "coated fibres": {"fibre": 0.3},
    "extruded": {"fibre": 0.3},
    "spheres": {"inclusion": 0.15},
    "pores": {},
    "ellipses": {"inclusion": 0.2},
    "stadiums": {"fibre": 0.15},
    "cracks": {},
    "grains": {},
}
VOIDS = {"pores": 0.15}


@pytest.fixture(scope="module", params=GENERATORS)
def named(request):
    return request.param, GENERATORS[request.param](seed=1)


def test_fractions_are_those_wanted(named):
    name, cell = named
    for phase, fraction in FRACTIONS[name].items():
        assert cell.volume_fractions[phase] == pytest.approx(fraction, rel=4e-3)
    assert sum(cell.volume_fractions.values()) == pytest.approx(1 - VOIDS.get(name, 0.0), rel=1e-3)


def test_a_fraction_that_gaps_leave_no_room_for_is_said(monkeypatch):
    monkeypatch.setattr(_random._Options, "_chords", lambda self, bodies: 1.0)
    monkeypatch.setattr(_random, "free_scale", lambda *_: 1.0)
    said = r"fraction 0\.4[78]\d+ of the phase 'fibre' instead of 0\.5, .*smaller mesh_size"
    with pytest.warns(UserWarning, match=said):
        cells.random_fibres(0.5, number=5, mesh_size=0.2)


def test_packings_leave_room_for_chords():
    """Edges of r / 2 make discs a percent larger, more than half of a gap of 0.01 r allows."""
    cell = cells.random_fibres(0.5, number=6, gap=0.002, mesh_size=0.3)
    assert cell.volume_fractions["fibre"] == pytest.approx(0.5, rel=4e-3)


def test_nodes_lie_on_the_circles_if_the_fraction_is_not_matched():
    matched, drawn = (cells.random_fibres(0.5, number=5, mesh_size=0.2, match_fraction=m) for m in (True, False))
    assert matched.volume_fractions["fibre"] == pytest.approx(0.5, rel=4e-3)
    assert 0.47 < drawn.volume_fractions["fibre"] < 0.495


def test_opposite_faces_carry_the_same_mesh(named):
    cell = named[1]
    assert unmatched(cell, cell.mesh.geometry.x) == 0
    assert unmatched(cell, compute_midpoints(cell.mesh, cell.dim - 1, cell.boundary_facets())) == 0


def test_quality_is_bounded_and_reported(named):
    name, cell = named
    ratios, found = radius_ratios(cell), cells.quality(cell)
    assert found.minimum == pytest.approx(ratios.min(), rel=1e-9)
    assert found.mean == pytest.approx(ratios.mean(), rel=1e-9)
    assert found.n_elements == len(ratios)
    assert found.minimum > 0.05, name
    middles = compute_midpoints(cell.mesh, cell.dim, cell.phase_tags.indices)[:, : cell.dim]
    assert middles[ratios.argmin()] == pytest.approx(found.worst_at, abs=1e-9)
    assert cell.phases[found.worst_phase] == cell.phase_tags.values[ratios.argmin()]
    assert f"{len(ratios):,} elements" in str(found) and found.worst_phase in str(found)


@pytest.mark.parametrize("name", ["coated fibres", "spheres", "grains"])
def test_a_seed_is_a_cell(name):
    first, second, other = (GENERATORS[name](seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.mesh.geometry.x, second.mesh.geometry.x)
    assert np.array_equal(first.phase_tags.values, second.phase_tags.values)
    assert not np.array_equal(first.mesh.geometry.x, other.mesh.geometry.x)


@pytest.mark.mpi
@pytest.mark.parametrize("name", ["extruded", "grains"])
def test_a_distributed_cell_is_the_same_cell(name):
    alone, shared = GENERATORS[name](seed=1), GENERATORS[name](seed=1, comm=MPI.COMM_WORLD)
    assert shared.volume_fractions == pytest.approx(alone.volume_fractions, rel=0, abs=1e-12)
    assert cells.quality(shared).n_elements == cells.quality(alone).n_elements
    assert cells.quality(shared).mean == pytest.approx(cells.quality(alone).mean, rel=1e-12)


# -- three dimensions, where a geometry kernel used to fail ----------------------------------------------------------

IN_SPACE = {  # each failed, or kept a sliver, when its surfaces were cut by the kernel
    "fibres": (lambda: cells.short_fibres(0.1, aspect=5, mesh_size=0.3, seed=4), {"fibre": 0.1}),
    "coated fibres": (
        lambda: cells.short_fibres(0.05, aspect=4, number=6, interface=0.02, mesh_size=0.3, seed=3),
        {"fibre": 0.05},
    ),
    "discs": (lambda: cells.random_ellipsoids(0.1, aspect=0.4, number=6, mesh_size=0.3), {"inclusion": 0.1}),
    "any axes": (
        lambda: cells.random_ellipsoids(0.15, aspect=(3, 2, 1), number=5, mesh_size=0.3, void=True),
        {},
    ),
    "curved": (lambda: cells.random_spheres(0.2, number=5, mesh_size=0.3, order=2), {"inclusion": 0.2}),
}


@pytest.mark.parametrize("name", IN_SPACE)
def test_inclusions_in_space_are_meshed_without_slivers(name, recwarn):
    make, fractions = IN_SPACE[name]
    cell = make()
    assert not recwarn.list
    assert cells.quality(cell).minimum > 0.05
    assert unmatched(cell, cell.mesh.geometry.x) == 0
    for phase, fraction in fractions.items():
        assert cell.volume_fractions[phase] == pytest.approx(fraction, rel=0.003 if name == "curved" else 4e-3)
    assert sum(cell.volume_fractions.values()) == pytest.approx(0.85 if name == "any axes" else 1.0, abs=0.001)


def test_surfaces_are_closed_and_cut_along_the_faces():
    """A rod through a corner of the cell: V - E + F = 2, no triangle crosses a face, the area is 4 pi r (r + h)."""
    rod = Rods(np.array([[0.95, 0.06, 0.08]]), np.array([0.1]), np.array([0.2]), np.array([[0.48, 0.6, 0.64]]))
    surface = triangulate(rod, lambda x: np.full(len(x), 0.02))[0]
    corners = surface.points[surface.triangles]
    edges = np.sort(surface.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert len(surface.points) - len(np.unique(edges, axis=0)) + len(corners) == 2
    assert np.all(np.floor(corners.max(axis=1) - 1e-12) <= np.floor(corners.min(axis=1) + 1e-12))
    assert np.abs(rod.distances(surface.points)).max() < 1e-12
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    assert area == pytest.approx(4 * pi * 0.1 * 0.3, rel=0.01)
    assert shapes(corners).min() > 0.4


def test_slivers_are_replaced_and_surfaces_kept():
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 5)] * 3), axis=-1).reshape(-1, 3)
    walls = np.any(np.isin(grid, (0.0, 1.0)), axis=1) | (grid[:, 0] == 0.5)
    x = grid + 0.04 * np.random.default_rng(1).normal(size=grid.shape) * ~walls[:, None]
    tets = Delaunay(x).simplices.astype(np.intp)
    volumes = np.linalg.det(x[tets[:, 1:]] - x[tets[:, :1]])
    tets[volumes < 0] = tets[volumes < 0][:, [1, 0, 2, 3]]
    tets = tets[np.abs(volumes) > 1e-12]
    region = (x[tets].mean(axis=1)[:, 0] > 0.5).astype(np.intp)

    def outside(mesh):
        """The facets between the regions and of the cube."""
        facets = np.sort(mesh.tets[:, FACETS], axis=2)
        found = [np.unique(facets[mesh.region == k].reshape(-1, 3), axis=0, return_counts=True) for k in (0, 1)]
        return {(k, *facet) for k in (0, 1) for facet in found[k][0][found[k][1] == 1].tolist()}

    mesh = Tetrahedra(x.copy(), tets, region, np.zeros((0, 3), dtype=np.intp))
    before, walls = mesh.quality(), outside(mesh)
    mesh.repair(0.2)
    volume = np.linalg.det(mesh.x[mesh.tets[:, 1:]] - mesh.x[mesh.tets[:, :1]]).sum() / 6
    assert volume == pytest.approx(1.0, abs=1e-12)
    assert outside(mesh) == walls
    assert np.array_equal(mesh.x[: len(x)], x)
    assert (mesh.quality() < 0.1).sum() < 0.2 * (before < 0.1).sum()
    assert mesh.quality().min() >= before.min()


def test_a_failure_of_gmsh_does_not_spoil_the_next_try():
    touching = Rods.balls(np.array([[0.4, 0.5, 0.5], [0.6, 0.5, 0.5]]), np.array([0.15, 0.15]))
    apart = touching.at(np.array([[0.2, 0.5, 0.5], [0.8, 0.5, 0.5]]))
    tries = [Inclusions(np.eye(3), bodies, 0.3).draw for bodies in (touching, apart)]
    chosen = []
    _gmsh.build(lambda model: chosen.append(_generate.draw_best(model, tries)), MPI.COMM_SELF, np.eye(3))
    assert chosen == [1]


# -- voxels, honeycombs, cracks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("surface", ["gyroid", "schwarz_p", "diamond"])
@pytest.mark.parametrize("kind", ["sheet", "solid"])
def test_minimal_surfaces_meet_the_fraction(surface, kind):
    cell = cells.tpms(0.4, surface=surface, kind=kind, mesh_size=1 / 20)
    assert cell.grid == (20, 20, 20)
    assert cell.volume_fractions["solid"] == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("surface", ["gyroid", "schwarz_p", "diamond"])
def test_minimal_surfaces_without_the_void(surface):
    """Also where opposite faces differ; the stiffness is that of the same cell full of a very soft matrix."""
    n = {"gyroid": 8, "schwarz_p": 8, "diamond": 12}[surface]
    options = {"surface": surface, "mesh_size": 1 / n}
    alone, filled = cells.tpms(0.5, void=True, **options), cells.tpms(0.5, **options)
    assert list(alone.phases) == ["solid"] and alone.grid == filled.grid == (n, n, n)
    assert alone.volume_fractions["solid"] == pytest.approx(filled.volume_fractions["solid"], rel=1e-12)
    law = {"solid": hmm.laws.Elastic(1.0, 0.3), "matrix": hmm.laws.Elastic(1e-7, 0.0)}
    C, soft = (
        strain_rve(cell, {phase: law[phase] for phase in cell.phases}, solver="direct").solve(np.zeros((3, 3))).tangent
        for cell in (alone, filled)
    )
    assert np.abs(C - soft).max() < 1e-5 * np.abs(C).max()
    assert cubic_error(C) < 1e-9


@pytest.mark.parametrize("struts", ["cubic", "bcc", "octet"])
def test_struts_are_periodic_without_the_void(struts):
    cell = cells.lattice(0.3, struts=struts, mesh_size=1 / 12, void=True)
    assert list(cell.phases) == ["strut"]
    assert cell.volume_fractions["strut"] == pytest.approx(0.3, abs=0.06)
    assert unmatched(cell, cell.mesh.geometry.x) == 0


def test_a_cubic_lattice_of_struts_has_their_volume():
    """Three square-to-round beams of radius r: 3 pi r^2 - 8 sqrt(2) r^3 is their union (tricylinder)."""
    cell = cells.lattice(0.3, struts="cubic", mesh_size=1 / 40)
    r = next(r for r in np.linspace(0, 0.5, 5001) if 3 * pi * r**2 - 8 * 2**0.5 * r**3 >= 0.3)
    x = compute_midpoints(cell.mesh, 3, cell.phase_tags.indices) - 0.5
    axial = np.sqrt((x**2).sum(axis=1)[:, None] - x**2).min(axis=1)
    assert np.mean((axial < r) == (cell.phase_tags.values == 1)) > 0.97


def test_weave_is_balanced():
    fractions = cells.plain_weave(0.45, mesh_size=1 / 16).volume_fractions
    assert fractions["warp"] == pytest.approx(fractions["weft"], abs=0.01)
    assert fractions["warp"] + fractions["weft"] == pytest.approx(0.45, abs=0.02)


def test_a_plain_weave_is_two_cosines():
    """The voxels are those of ellipses around the cosines +-h/4 cos(2 pi (x - 1/4)), with one threshold."""
    n, height = 32, 0.25
    cell = cells.plain_weave(0.5, mesh_size=1 / n)
    x = compute_midpoints(cell.mesh, 3, cell.phase_tags.indices) - [0, 0, height / 2]

    def distance(along, across, z, sign):
        found = []
        for k in (0, 1):
            middle = sign * (-1) ** k * height / 4 * np.cos(2 * pi * (along - 0.25))
            aside = (across - (0.25 + 0.5 * k) + 0.5) % 1.0 - 0.5
            found.append(np.hypot(aside / 0.2, (z - middle) / (height / 4)))
        return np.minimum(*found)

    warp, weft = distance(x[:, 0], x[:, 1], x[:, 2], 1), distance(x[:, 1], x[:, 0], x[:, 2], -1)
    tags = cell.phase_tags.values
    nearest = np.minimum(warp, weft)
    assert nearest[tags > 0].max() < nearest[tags == 0].min()
    clear = (tags > 0) & (np.abs(warp - weft) > 1e-9)
    assert np.array_equal(tags[clear], np.where(warp < weft, 1, 2)[clear])


@pytest.mark.parametrize("pattern, number, floats", [("plain", 2, 1), ("twill", 4, 2), ("satin", 5, 4)])
def test_the_axes_of_yarns_follow_them(pattern, number, floats):
    """The rotation tilts the yarn's direction to the tangent of its axis, which is level above or below its floats."""
    cell = cells.weave(0.4, pattern=pattern, mesh_size=1 / (16 * number))
    R = cell.rotation.x.array.reshape(-1, 3, 3)
    assert np.allclose(R @ R.transpose(0, 2, 1), np.eye(3)) and np.allclose(np.linalg.det(R), 1)
    assert np.array_equal(R[cell.phase_tags.find(0)], np.broadcast_to(np.eye(3), (len(cell.phase_tags.find(0)), 3, 3)))
    x = compute_midpoints(cell.mesh, 3, cell.phase_tags.indices)
    for axis, name in enumerate(("warp", "weft")):
        found = cell.phase_tags.find(cell.phases[name])
        tangent = R[found, :, axis]
        assert np.abs(tangent[:, 1 - axis]).max() < 1e-12
        slope = tangent[:, 2] / tangent[:, axis]
        one = found[np.floor(x[found, 1 - axis] * number) == 0]
        columns = np.unique(x[one, axis].round(9))
        middle = np.array([x[one[np.isclose(x[one, axis], at)], 2].mean() for at in columns])
        tilt = np.array([slope[np.isin(found, one)][np.isclose(x[one, axis], at)].mean() for at in columns])
        step = columns[1] - columns[0]
        by_voxels = (np.roll(middle, -1) - np.roll(middle, 1)) / (2 * step)
        assert np.corrcoef(tilt, by_voxels)[0, 1] > 0.9
        assert np.abs(tilt.mean()) < 1e-9  # periodic
        level = np.abs(tilt) < 1e-9
        assert level.mean() == pytest.approx(max(0, number - 2) / number, abs=2 / (16 * number))
    up = cells._weaves.PATTERNS[pattern][1](*np.indices((number, number)))
    longest = max(len(run) for row in up for run in "".join("x" if one else " " for one in [*row, *row]).split())
    assert longest == floats


def test_laws_follow_the_rotation_of_a_cell():
    """A uniform tilt by 30 degrees gives the law with this rotation; a law's own rotation comes first."""
    c, s = np.cos(pi / 6), 0.5
    tilt = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    cell = cells.voxels(np.zeros((2, 2, 2), int), {"yarn": 0})
    field = fem.Function(fem.functionspace(cell.mesh, ("DG", 0, (3, 3))))
    field.x.array[:] = np.tile(tilt.ravel(), 8)
    cell = replace(cell, rotation=field)
    own = np.eye(3)[[1, 2, 0]]
    for given, R in ((None, tilt), (own, tilt @ own)):
        carbon = laws.Anisotropic.transversely_isotropic(230.0, 15.0, 0.2, 0.3, 24.0, axis=1, rotation=given)
        direct = laws.Anisotropic(carbon.stiffness, R)
        expected = hmm.homogenize(replace(cell, rotation=None), {"yarn": direct}).tensor
        assert np.allclose(hmm.homogenize(cell, {"yarn": carbon}).tensor, expected, rtol=1e-10, atol=1e-8)
    steel = laws.Elastic(210.0, 0.3)
    assert cell.rotated(steel) is steel and replace(cell, rotation=None).rotated(carbon) is carbon


def test_a_warning_says_that_laws_do_not_follow_their_yarns(caplog):
    cell = cells.weave(0.4, mesh_size=1 / 12)
    given = {"matrix": laws.Elastic(3.5, 0.35)}
    given |= {
        name: laws.Anisotropic.transversely_isotropic(230.0, 15.0, 0.2, 0.3, 24.0, axis=k)
        for k, name in enumerate(("warp", "weft"), 1)
    }
    flat = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=given)
    assert caplog.text.count("do not follow its yarns: give the law cell.rotated(law)") == 2
    caplog.clear()
    wavy = hmm.homogenize(cell, given)
    assert not caplog.records
    assert abs(wavy.constants["E1"] / wavy.constants["E2"] - 1) < 1e-3
    change = np.linalg.norm(wavy.tensor - flat.solve(flat.reference).tangent) / np.linalg.norm(wavy.tensor)
    assert 0.005 < change < 0.3
    hmm.homogenize(cell, {**given, "warp": given["weft"]})
    assert "the axis [0.0, 1.0, 0.0] of the law of phase 'warp' lies 90 degrees off" in caplog.text


def test_checkerboard():
    assert cells.checkerboard(dim=3, mesh_size=0.25).volume_fractions == pytest.approx({"white": 0.5, "black": 0.5})


@pytest.mark.parametrize("shape", ["hexagonal", "square", "triangular"])
def test_honeycombs(shape):
    cell = cells.honeycomb(0.2, shape=shape, mesh_size=0.1, size=2.0)
    assert cell.volume_fractions == pytest.approx({"wall": 0.2}, abs=1e-12)
    assert unmatched(cell, cell.mesh.geometry.x) == 0


def test_slits_have_two_sides():
    cell = cells.cracks(0.05, number=4, mesh_size=0.2)
    x = cell.mesh.geometry.x
    assert len(np.unique(x.round(9), axis=0)) < len(x)
    assert cell.volume_fractions["matrix"] == pytest.approx(1, abs=1e-12)


def test_extruded_cell_is_periodic():
    cell = cells.extrude(cells.fibre(0.3, array="hexagonal", mesh_size=0.3), 0.4, mesh_size=0.2)
    assert cell.volume_fractions == pytest.approx({"matrix": 0.7, "fibre": 0.3}, abs=1e-10)
    assert cell.volume == pytest.approx(0.4 * 3**0.5 / 2)
    assert unmatched(cell, compute_midpoints(cell.mesh, 2, cell.boundary_facets())) == 0


def test_curved_cells_are_extruded_too():
    """The volume fractions are those of the plane cell, and neighbours have all nodes of a face in common."""
    plane = cells.fibre(0.3, array="hexagonal", mesh_size=0.3, order=2)
    cell = cells.extrude(plane, 0.4, mesh_size=0.2)
    assert cell.mesh.geometry.cmaps[0].degree == 2
    assert cell.volume_fractions == pytest.approx(plane.volume_fractions, rel=1e-12)
    assert len(np.unique(cell.mesh.geometry.x.round(9), axis=0)) == len(cell.mesh.geometry.x)
    assert len(cell.mesh.geometry.x) == 5 * len(plane.mesh.geometry.x)
    assert unmatched(cell, cell.mesh.geometry.x) == 0


# -- stiffnesses -----------------------------------------------------------------------------------------------------

SOFT, HARD = (1.0, 0.3), (10.0, 0.3)


def stiffness(cell, soft, hard):
    law = {soft: hmm.laws.Elastic(*SOFT), hard: hmm.laws.Elastic(*HARD)}
    return strain_rve(cell, law).solve(np.zeros(6 if cell.dim == 3 else 3)).tangent


def cubic_error(C):
    """Largest deviation from the nearest cubic stiffness, relative."""
    cubic = np.zeros((6, 6))
    cubic[:3, :3] = C[[0, 0, 1], [1, 2, 2]].mean()
    cubic[range(6), range(6)] = np.r_[np.full(3, np.diag(C)[:3].mean()), np.full(3, np.diag(C)[3:].mean())]
    return np.abs(C - cubic).max() / np.abs(C).max()


@pytest.mark.parametrize("array", ["bcc", "fcc"])
def test_cubic_arrays_of_spheres_are_cubic(array):
    assert cubic_error(stiffness(cells.sphere(0.3, array=array, mesh_size=0.3), "matrix", "inclusion")) < 0.01


def test_hexagonal_fibres_are_isotropic_across():
    C = stiffness(cells.fibre(0.5, array="hexagonal", mesh_size=0.05), "matrix", "fibre")
    # Mandel: C33 = 2 C1212, and isotropy in the plane means 2 C1212 = C1111 - C1122.
    assert C[2, 2] == pytest.approx(C[0, 0] - C[0, 1], rel=2e-3)
    assert C[0, 0] == pytest.approx(C[1, 1], rel=2e-3)


def test_aligned_cracks_soften_across_only():
    cell = cells.cracks(0.03, number=4, orientation="aligned", mesh_size=0.1)
    C = strain_rve(cell, {"matrix": hmm.laws.Elastic(*SOFT)}, degree=2).solve(np.zeros(3)).tangent
    S, whole = (np.linalg.inv(c) for c in (C, closed_forms.mandel(closed_forms.isotropic(*SOFT)[:2, :2, :2, :2])))
    # Dilute parallel slits with the normal x: S11 grows by the factor 1 + 2 pi alpha (Kachanov 1992), S22 does not.
    assert S[0, 0] / whole[0, 0] == pytest.approx(1 + 2 * pi * 0.03, rel=0.05)
    assert S[1, 1] == pytest.approx(whole[1, 1], rel=1e-3)


def test_voxels_of_a_minimal_surface_are_exactly_cubic():
    cell = cells.tpms(0.4, surface="schwarz_p", kind="solid", mesh_size=1 / 6)
    assert cubic_error(stiffness(cell, "matrix", "solid")) < 1e-6


def test_random_spheres_obey_hashin_shtrikman():
    cell = cells.random_spheres(0.2, number=4, mesh_size=0.4)
    f = cell.volume_fractions["inclusion"]
    C = stiffness(cell, "matrix", "inclusion")
    bulk = C[:3, :3].mean()
    (lam1, mu1), (lam2, mu2) = (closed_forms.lame_constants(*m) for m in (SOFT, HARD))
    k1, k2 = lam1 + 2 / 3 * mu1, lam2 + 2 / 3 * mu2
    lower = k1 + f / (1 / (k2 - k1) + 3 * (1 - f) / (3 * k1 + 4 * mu1))
    upper = k2 + (1 - f) / (1 / (k1 - k2) + 3 * f / (3 * k2 + 4 * mu2))
    assert lower < bulk < upper


# -- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cells.random_fibres(1.2), ["volume_fraction = 1.2", "(0, 1)"]),
        (lambda: cells.random_fibres(), ["volume_fraction = None", "radii = None", "exactly one"]),
        (lambda: cells.random_fibres(0.3, seed=-1), ["seed = -1", "integer"]),
        (lambda: cells.random_fibres(0.3, number=0), ["number = 0"]),
        (lambda: cells.random_fibres(0.3, spread=2.0), ["spread = 2"]),
        (lambda: cells.random_fibres(0.3, gap=-0.1), ["gap = -0.1"]),
        (lambda: cells.random_fibres(0.3, order=2, thickness=0.1), ["order = 2", "thickness"]),
        (lambda: cells.random_fibres(0.79, number=1), ["1.03", "larger number"]),
        (lambda: cells.random_fibres(0.3, phases=("matrix", "interface")), ["interface"]),
        (lambda: cells.random_ellipsoids(0.1, aspect=0), ["aspect = 0"]),
        (lambda: cells.random_ellipsoids(0.1, orientation="random"), ["orientation = 'random'", "uniform"]),
        (lambda: cells.short_fibres(0.1, orientation=np.eye(3)), ["trace 1"]),
        (lambda: cells.short_fibres(0.1, aspect=0.5), ["aspect = 0.5"]),
        (lambda: cells.short_fibres(0.1, dim=4), ["dim = 4"]),
        (lambda: cells.sphere(0.7, array="bcc"), ["volume_fraction = 0.7", "0.680175", "pi sqrt(3)/8"]),
        (lambda: cells.sphere(0.1, array="hcp"), ["array = 'hcp'", "bcc"]),
        (lambda: cells.fibre(0.3, interface=0.4), ["interface = 0.4", "touch"]),
        (lambda: cells.voronoi(0), ["grains = 0"]),
        (lambda: cells.voronoi(2, texture=np.ones((2, 3, 3))), ["texture", "is not a rotation"]),
        (lambda: cells.voronoi(2, seeds=[[0.0]]), ["seeds have shape (1, 1)"]),
        (lambda: cells.tpms(0.3, surface="cube"), ["surface = 'cube'", "gyroid"]),
        (lambda: cells.tpms(0.1, mesh_size=1 / 16, void=True), ["volume_fraction = 0.1", "64 pieces", "soft law"]),
        (lambda: cells.tpms(0.1, surface="schwarz_p", kind="solid", void=True), ["0.1 floats", "larger"]),
        (lambda: cells.tpms(0.001, mesh_size=1 / 8), ["volume_fraction = 0.001", "mesh_size"]),
        (lambda: cells.checkerboard(3), ["blocks = 3", "even"]),
        (lambda: cells.honeycomb(1e-7), ["GB", "mesh_size coarser"]),
        (lambda: cells.honeycomb(1.0), ["volume_fraction = 1"]),
        (lambda: cells.cracks(0.9, number=1), ["larger number"]),
        (lambda: cells.extrude(cells.checkerboard(), 0.1), ["quadrilateral elements", "triangles of order 1 or 2"]),
        (lambda: cells.plain_weave(phases=("a", "b", "a")), ["three different names"]),
        (lambda: cells.random_spheres("0.3"), ["volume_fraction = '0.3' is not a number"]),
        (lambda: cells.random_spheres(0.3, gap="thin"), ["gap = 'thin' is not a number"]),
        (lambda: cells.random_spheres(0.3, gap=0.5), ["gap = 0.5", "was reached", "smaller volume_fraction or gap"]),
        (lambda: cells.random_spheres(0.3, spread="wide"), ["spread = 'wide' is not a number"]),
        (lambda: cells.random_spheres(radii=[]), ["radii = [] are not numbers"]),
        (lambda: cells.random_spheres(0.1, phases=(1, 2)), ["phases = (1, 2)", "names"]),
        (lambda: cells.random_ellipsoids(0.1, aspect="flat"), ["aspect = 'flat' are not numbers"]),
        (lambda: cells.random_ellipsoids(0.1, orientation=[["a"]]), ["orientation = [['a']] are not numbers"]),
        (lambda: cells.random_fibres(0.3, thickness="1"), ["thickness = '1' is not a number"]),
        (lambda: cells.voronoi(2, dim=2, seeds=[[0.1, 0.1], [0.1, 1.1]]), ["seeds [0, 1]", "same place"]),
        (lambda: cells.laminate([0.3, 0.7]), ["[0.3, 0.7] are not layers", "pairs"]),
        (lambda: cells.fibre(0.1, mesh_size=1e-6), ["GB", "mesh_size coarser"]),
        (lambda: cells.laminate({"A": 1.0}, dim=3, mesh_size=1e-4), ["GB", "mesh_size coarser"]),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, words):
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_mesh_too_large_for_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(_checks, "available_memory", lambda: 1e6)
    for call in (lambda: cells.random_spheres(0.2, mesh_size=0.1), lambda: cells.tpms(0.3, mesh_size=0.05)):
        with pytest.raises(InputError, match=r"elements needs about .* GB, and .* free: make mesh_size coarser"):
            call()
