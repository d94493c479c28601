"""Random bodies do not overlap, and their directions and volumes are those wanted."""

from math import pi

import numpy as np
import pytest
from dolfinx.mesh import compute_midpoints
from scipy.spatial.transform import Rotation

from hmm import InputError, cells
from hmm.cells._bodies import Ellipsoids, Rods, overlap_measure
from hmm.cells._orientations import random_directions, wanted_tensor
from hmm.cells._packing import neighbours, pack

# -- packings --------------------------------------------------------------------------------------------------------


def balls(n, dim, fraction, spread=0.0):
    radii = np.linspace(1 - spread, 1 + spread, n)
    unit = {2: pi, 3: 4 / 3 * pi}[dim]
    return Rods.balls(np.zeros((n, dim)), radii * (fraction / unit / (radii**dim).sum()) ** (1 / dim))


@pytest.mark.parametrize(
    ("bodies", "gap"),
    [
        pytest.param(balls(50, 2, 0.6), 0.005, id="discs to 60 %"),
        pytest.param(balls(40, 3, 0.5), 0.005, id="spheres to 50 %"),
        pytest.param(balls(40, 3, 0.5, spread=0.5), 0.002, id="spheres of many sizes"),
        pytest.param(
            Rods(np.zeros((40, 3)), np.full(40, 0.03), np.full(40, 0.1), random_directions(40, "uniform", 3,
                 np.random.default_rng(0))), 0.005, id="short fibres"),
    ],
)  # fmt: skip
def test_nothing_overlaps(bodies, gap):
    packed = pack(bodies, gap, np.random.default_rng(3), "bodies")
    assert overlap_measure(packed, neighbours(packed.centres.shape[1])) <= -gap
    assert packed.volumes.sum() == bodies.volumes.sum()


def test_ellipsoids_do_not_overlap():
    rng = np.random.default_rng(5)
    rotations = Rotation.random(12, rng=rng).as_matrix()
    packed = pack(Ellipsoids(np.zeros((12, 3)), np.tile([0.2, 0.1, 0.07], (12, 1)), rotations), 0.0, rng, "ellipsoids")
    # No point on the surface of one is inside another: checked with the definition, not the contact function.
    sphere = rng.normal(size=(400, 3))
    sphere /= np.linalg.norm(sphere, axis=1)[:, None]
    for k in range(12):
        surface = packed.centres[k] + (sphere * packed.semi_axes[k]) @ packed.rotations[k].T
        for shift in neighbours(3):
            local = np.einsum("pnd,ndk->pnk", surface[:, None] + shift - packed.centres, rotations) / packed.semi_axes
            inside = (local**2).sum(axis=2) < 1 - 1e-9
            inside[:, k] &= bool(np.any(shift))
            assert not inside.any()


@pytest.mark.parametrize("bodies", [
    Rods(np.zeros((2, 3)), np.array([0.2, 0.3]), np.array([1.0, 0.5]), np.eye(3)[:2]),
    Ellipsoids(np.zeros((2, 3)), np.array([[1.0, 0.5, 0.4], [0.7, 0.3, 0.9]]),
               Rotation.from_euler("xyz", [[0.3, 0.5, 1], [1, 2, 0.1]]).as_matrix()),
])  # fmt: skip
def test_gradients_of_overlaps(bodies):
    i, j, offset, h = np.array([0]), np.array([1]), np.array([[0.3, 0.2, 0.4]]), 1e-6
    slope = bodies.overlaps(i, j, offset)[1][0]
    for k, step in enumerate(h * np.eye(3)):
        difference = bodies.overlaps(i, j, offset + step)[0] - bodies.overlaps(i, j, offset - step)[0]
        assert difference[0] / (2 * h) == pytest.approx(slope[k], abs=1e-7)


def test_ellipsoids_touch_where_they_should():
    """Two ellipsoids along their common axis: they touch when the distance is the sum of the semi-axes."""
    pair = Ellipsoids(np.zeros((2, 3)), np.array([[0.3, 0.1, 0.2], [0.5, 0.4, 0.1]]), np.tile(np.eye(3), (2, 1, 1)))
    i, j = np.array([0, 0, 0]), np.array([1, 1, 1])
    offset = np.diag([0.3 + 0.5, 0.1 + 0.4, 0.2 + 0.1])
    assert pair.overlaps(i, j, offset)[0] == pytest.approx(np.zeros(3), abs=1e-10)


def test_too_dense_a_packing_says_what_was_reached():
    with pytest.raises(InputError, match=r"volume_fraction = 0.75 .* 20 spheres .* 0\.[56]\d+ was reached"):
        cells.random_spheres(0.75, number=20, mesh_size=0.2)


# -- orientations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ["uniform", "planar", "aligned", [[0.7, 0.1, 0], [0.1, 0.2, 0], [0, 0, 0.1]]])
@pytest.mark.parametrize("n", [4, 50])
def test_orientation_tensor_is_met_by_the_sample(orientation, n):
    p = random_directions(n, orientation, 3, np.random.default_rng(2))
    assert np.linalg.norm(p, axis=1) == pytest.approx(np.ones(n), abs=1e-12)
    assert cells.orientation_tensor(p) == pytest.approx(wanted_tensor(orientation, 3), abs=1e-9)


# -- polycrystals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda: cells.voronoi(6, dim=2, mesh_size=0.2),
    lambda: cells.laguerre(8, dim=2, spread=0.4, mesh_size=0.2, size=2.0),
    lambda: cells.laguerre(4, mesh_size=0.4, seed=2),
])  # fmt: skip
def test_each_element_is_in_its_grain(make):
    crystal = make()
    cell = crystal.cell
    assert list(cell.phases) == [f"grain_{k}" for k in range(len(crystal.seeds))]
    middles = compute_midpoints(cell.mesh, cell.dim, cell.phase_tags.indices)
    assert np.array_equal(crystal.grain_of(middles), cell.phase_tags.values - 1)
    assert sum(cell.volume_fractions.values()) == pytest.approx(1, abs=1e-12)
    R = crystal.orientations
    assert R @ R.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (len(R), 1, 1)), abs=1e-12)


def test_volumes_of_two_grains():
    """Seeds at x = 0 and 0.4 of a unit square: the bisectors are at 0.2 and 0.7, so the second has one half."""
    crystal = cells.voronoi(2, dim=2, seeds=[[0.0, 0.3], [0.4, 0.3]], mesh_size=0.25)
    assert crystal.cell.volume_fractions == pytest.approx({"grain_0": 0.5, "grain_1": 0.5}, abs=1e-12)


def test_a_texture_may_be_given():
    texture = Rotation.from_euler("z", [[0.1], [0.2], [0.3]]).as_matrix().reshape(3, 3, 3)
    given = cells.voronoi(3, dim=2, mesh_size=0.25, texture=texture)
    called = cells.voronoi(3, dim=2, mesh_size=0.25, texture=lambda n, rng: texture[:n])
    assert np.array_equal(given.orientations, texture) and np.array_equal(called.orientations, texture)
