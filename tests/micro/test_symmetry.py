"""Symmetry classes and engineering constants of tensors that are known beforehand; no cell is solved."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import hmm
from hmm.effective import polar_invariants, symmetry_of_matrix, symmetry_of_stiffness
from hmm.effective.constants import in_axes
from hmm.foundation import tensors

COPPER = {"C11": 168.4, "C12": 121.4, "C44": 75.4}
"""GPa; Overton and Gaffney, *Phys. Rev.* 98 (1955) 969, at room temperature, as tabulated by Hirth and Lothe (1982)."""


def stiffness(normal, cross, shear, **others):
    """Mandel stiffness of (C11, C22, C33), (C12, C13, C23), (C66, C55, C44) and others such as C14, all Voigt's."""
    C = np.diag([*normal, *shear]).astype(float)
    for (i, j), value in zip([(0, 1), (0, 2), (1, 2)], cross, strict=True):
        C[i, j] = C[j, i] = value
    place = {"1": 0, "2": 1, "3": 2, "4": 5, "5": 4, "6": 3}
    for name, value in others.items():
        i, j = place[name[1]], place[name[2]]
        C[i, j] = C[j, i] = value
    root = np.r_[1, 1, 1, [2**0.5] * 3]
    return root[:, None] * C * root


def cubic(C11, C12, C44):
    return stiffness([C11] * 3, [C12] * 3, [C44] * 3)


CLASSES = {
    "isotropic": stiffness([5] * 3, [2] * 3, [1.5] * 3),
    "cubic": cubic(**COPPER),
    "transversely isotropic": stiffness([6, 6, 9], [2, 3, 3], [2, 1, 1]),  # C66 = (C11 - C12) / 2
    "tetragonal": stiffness([6, 6, 9], [2, 3, 3], [3, 1, 1]),
    "trigonal": stiffness([8, 8, 10], [1, 2, 2], [3.5, 4, 4], C14=1.5, C24=-1.5, C56=1.5),  # nearly quartz
    "orthotropic": stiffness([6, 7, 9], [2, 3, 2.5], [3, 1, 2]),
    "monoclinic": stiffness([6, 7, 9], [2, 3, 2.5], [3, 1, 2], C16=0.8, C26=-0.3, C36=0.4, C45=0.5),
    "triclinic": stiffness([6, 7, 9], [2, 3, 2.5], [3, 1, 2], C16=0.8, C25=0.6, C34=-0.7, C15=0.4, C46=0.5),
}
"""The form of each class in its own axes: Nye, *Physical Properties of Crystals* (1957), table 9."""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_found_in_any_axes(name, seed):
    Q = Rotation.random(rng=seed).as_matrix() if seed else np.eye(3)
    C = in_axes(CLASSES[name], Q)
    found = symmetry_of_stiffness(C, tolerance=1e-6)
    assert found.name == name
    assert found.distance < 1e-12
    assert found.axes @ found.axes.T == pytest.approx(np.eye(3), abs=1e-12)
    own = in_axes(C, found.axes)  # the invariants of the form, in the axes that were found
    if name == "cubic":
        assert own == pytest.approx(CLASSES[name], rel=1e-9, abs=1e-9)
    if name in ("transversely isotropic", "tetragonal"):
        assert own[2, 2] == pytest.approx(9) and own[0, 0] == pytest.approx(own[1, 1])
    if name == "orthotropic":
        assert sorted(np.diag(own)[:3]) == pytest.approx([6, 7, 9])
        assert np.abs(own[:3, 3:]).max() < 1e-9
    if not seed and name not in ("transversely isotropic", "monoclinic"):
        assert found.axes == pytest.approx(np.eye(3), abs=1e-9)


def test_the_distance_is_the_smallest_over_all_axes():
    """To isotropy in closed form; a subgroup is never farther away than a group."""
    C = CLASSES["triclinic"]
    d = symmetry_of_stiffness(C).distances
    assert d["isotropic"] == pytest.approx(hmm.bounds.moduli_of(C)[2], rel=1e-12)
    chains = [
        ("isotropic", "cubic", "tetragonal", "orthotropic", "monoclinic", "triclinic"),
        ("isotropic", "transversely isotropic", "trigonal", "monoclinic"),
        ("transversely isotropic", "tetragonal"),
        ("cubic", "trigonal"),
    ]
    for chain in chains:
        values = [d[name] for name in chain]
        assert values == sorted(values, reverse=True), chain
    for name in ("cubic", "orthotropic"):
        somewhere = [projected_distance(C, CLASSES[name], Q) for Q in Rotation.random(200, rng=0).as_matrix()]
        assert d[name] <= min(somewhere) + 1e-12


def projected_distance(C, form, Q):
    """Distance to a class in given axes: what is not in the pattern of its form, entries of one kind averaged."""
    own = in_axes(C, Q)
    nearest = np.zeros((6, 6))
    for value in np.unique(form.round(9)):
        same = np.isclose(form, value)
        nearest[same] = own[same].mean() if value else 0.0
    return np.linalg.norm(own - nearest) / np.linalg.norm(C)


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "triclinic"])
def test_noise_leaves_the_class_within_the_tolerance(name):
    """The distance is at most the noise; the next class is far."""
    rng = np.random.default_rng(1)
    C = in_axes(CLASSES[name], Rotation.random(rng=rng).as_matrix())
    noise = rng.normal(size=(6, 6))
    noise = (noise + noise.T) * 1e-3 * np.linalg.norm(C) / np.linalg.norm(noise + noise.T)
    found = symmetry_of_stiffness(C + noise)
    assert found.name == name
    assert 1e-5 < found.distance < 1.01e-3
    assert symmetry_of_stiffness(C + noise, tolerance=1e-5).name == "triclinic"


PLANE = {
    "isotropic": np.array([[5.0, 2, 0], [2, 5, 0], [0, 0, 3]]),
    "square": np.array([[5.0, 2, 0], [2, 5, 0], [0, 0, 4]]),
    "rectangular": np.array([[5.0, 1, 0], [1, 7, 0], [0, 0, 4]]),
    "oblique": np.array([[5.0, 2, 0.7], [2, 7, 0.2], [0.7, 0.2, 4]]),
}


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.1])
@pytest.mark.parametrize("name", PLANE)
def test_classes_in_the_plane_by_the_polar_invariants(name, angle):
    """``|C - C_square|^2 = 32 R1^2`` and ``|C - C_iso|^2 = 8 R0^2 + 32 R1^2``, from Verchery's components of C."""
    c, s = np.cos(angle), np.sin(angle)
    C = in_axes(PLANE[name], [[c, s], [-s, c]])
    found, polar = symmetry_of_stiffness(C, tolerance=1e-9), polar_invariants(C)
    assert found.name == name
    size = np.linalg.norm(C)
    assert found.distances["square"] * size == pytest.approx(32**0.5 * polar["R1"], abs=1e-12)
    both = (8 * polar["R0"] ** 2 + 32 * polar["R1"] ** 2) ** 0.5
    assert found.distances["isotropic"] * size == pytest.approx(both, abs=1e-12)
    if name == "rectangular":
        turns = (polar["Phi0"] - polar["Phi1"]) / (np.pi / 4)
        assert turns == pytest.approx(round(turns), abs=1e-9)
        assert abs(in_axes(C, found.axes)[:2, 2]).max() < 1e-9


def test_a_plane_stiffness_with_the_component_33():
    """Turned about the axis 3 only, and its coupling to 33 counts."""
    C = np.array([[5.0, 2, 1, 0], [2, 5, 1, 0], [1, 1, 8, 0], [0, 0, 0, 3]])
    assert symmetry_of_stiffness(C).name == "isotropic"
    C[1, 2] = C[2, 1] = 2
    assert symmetry_of_stiffness(in_axes(C, [[0.8, 0.6], [-0.6, 0.8]])).name == "rectangular"


def test_second_order_tensors():
    Q = Rotation.random(rng=3).as_matrix()
    assert symmetry_of_matrix(2 * np.eye(3)).name == "isotropic"
    for values in ([1.0, 1, 4], [4.0, 4, 1]):
        found = symmetry_of_matrix(Q @ np.diag(values) @ Q.T)
        assert found.name == "uniaxial"
        assert abs(found.axes[2] @ Q[:, 2]) == pytest.approx(1)
    k = Q @ np.diag([1.0, 2, 4]) @ Q.T
    found = symmetry_of_matrix(k)
    assert found.name == "orthotropic"
    own = found.axes @ k @ found.axes.T
    assert own == pytest.approx(np.diag(np.diag(own)), abs=1e-12)
    assert symmetry_of_matrix([[1.0, 0], [0, 3]]).name == "orthotropic"


def test_copper():
    """Zener's ratio 2 * 75.4 / 47 = 3.209; 1/E = S11 - 2 (S11 - S12 - S44/2) (n1^2 n2^2 + ...), softest along an edge.

    S11 = 289.8 / (47 * 411.2), S12 = -121.4 / (47 * 411.2), S44 = 1 / 75.4: E100 = 1 / S11 = 66.7 GPa, and along (111)
    1 / E111 = S11 - 2/3 (S11 - S12 - S44/2) = 5.2315e-3 / GPa, 191.15 GPa.
    """
    Q = Rotation.random(rng=5).as_matrix()
    found = hmm.EffectiveProperties("elasticity", in_axes(cubic(**COPPER), Q), {}, "periodic")
    assert found.zener == pytest.approx(2 * 75.4 / 47)
    assert found.principal_constants["E1"] == pytest.approx(66.7, abs=0.1)
    assert (found.extremes.lowest, found.extremes.highest) == pytest.approx((66.7, 191.1), abs=0.1)
    assert np.abs(found.symmetry.axes @ found.extremes.lowest_along).max() == pytest.approx(1)
    assert np.abs(found.symmetry.axes @ found.extremes.highest_along) == pytest.approx(3**-0.5)
    n = np.array([1.0, 1, 0]) / 2**0.5
    S11, S12, S44 = np.linalg.inv(cubic(**COPPER))[[0, 0, 3], [0, 1, 3]] * [1, 1, 2]
    expected = 1 / (S11 - 2 * (S11 - S12 - S44 / 2) / 4)
    assert found.along(Q @ n) == pytest.approx(expected)


def test_turned_constants_are_those_of_the_turned_tensor():
    C = CLASSES["orthotropic"]
    found = hmm.EffectiveProperties("elasticity", C, {}, "periodic").in_axes(np.roll(np.eye(3), 1, axis=0))
    S = np.linalg.inv(C)  # the axes 1, 2, 3 are now 3, 1, 2
    assert found.constants["E1"] == pytest.approx(1 / S[2, 2])
    assert found.constants["nu12"] == pytest.approx(-S[0, 2] / S[2, 2])
    assert found.constants["G23"] == pytest.approx(1 / (2 * S[3, 3]))
    assert found.voigt[5, 5] == pytest.approx(3)


def test_rotation_of_packed_tensors():
    """``R(Q) vec(T) = vec(Q T Q^T)``, orthogonal and multiplicative."""
    rng, packing = np.random.default_rng(0), tensors.symmetric(3)
    Q, P = Rotation.random(2, rng=rng).as_matrix()
    T = rng.normal(size=(3, 3))
    T = T + T.T
    R = packing.rotation(Q)
    assert R @ packing.to_vector(T) == pytest.approx(packing.to_vector(Q @ T @ Q.T))
    assert pytest.approx(np.eye(6)) == R @ R.T
    assert packing.rotation(Q @ P) == pytest.approx(R @ packing.rotation(P))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: symmetry_of_stiffness(np.eye(5)), r"shape \(5, 5\)"),
        (lambda: symmetry_of_stiffness(np.zeros((6, 6))), "zero or not finite"),
        (lambda: symmetry_of_stiffness(np.eye(6), tolerance=2.0), "tolerance = 2.0"),
        (
            lambda: hmm.EffectiveProperties("elasticity", np.eye(6), {}, "periodic").in_axes(np.ones((3, 3))),
            "3 orthogonal unit vectors",
        ),
        (
            lambda: hmm.EffectiveProperties("conduction", np.eye(3), {}, "periodic").anisotropy,
            "defined for a stiffness",
        ),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(hmm.InputError, match=message):
        make()
