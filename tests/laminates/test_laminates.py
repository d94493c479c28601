"""Classical laminate theory: textbook examples, identities, failure criteria, plies of cells, and bad input."""

import json

from mpi4py import MPI

import numpy as np
import pytest

import hmm
from hmm.laminates import CRITERIA, Laminate, Layer, Ply, Strength, stacked
from hmm.laminates.criteria import failure_modes
from hmm.laminates.picture import draw_laminate
from hmm.laminates.stacking import angles_of

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="laminates are computed by one rank")

STRENGTH = Strength(1500e6, 1500e6, 40e6, 246e6, 68e6)
GRAPHITE = Ply.of_constants(181e9, 10.3e9, 0.28, 7.17e9, alpha1=0.02e-6, alpha2=22.5e-6, strength=STRENGTH)
"""Graphite/epoxy of Kaw, Mechanics of Composite Materials, 2nd edition (2006), Table 2.1, in Pa."""


# -- published examples ---------------------------------------------------------------------------------------------


def test_the_matrices_of_kaw():
    """Kaw (2006), Example 4.2: [0/30/-45], plies of 5 mm."""
    laminate = Laminate.of([0, 30, -45], GRAPHITE, 5e-3)
    A = np.array([[1.739e9, 3.884e8, 5.663e7], [3.884e8, 4.533e8, -1.141e8], [5.663e7, -1.141e8, 4.525e8]])
    B = np.array([[-3.129e6, 9.855e5, -1.072e6], [9.855e5, 1.158e6, -1.072e6], [-1.072e6, -1.072e6, 9.855e5]])
    D = np.array([[3.343e4, 6.461e3, -5.240e3], [6.461e3, 9.320e3, -5.596e3], [-5.240e3, -5.596e3, 7.663e3]])
    for found, expected in ((laminate.A, A), (laminate.B, B), (laminate.D, D)):
        assert found == pytest.approx(expected, rel=5e-4)
    assert laminate.ABD @ laminate.compliance == pytest.approx(np.eye(6), abs=1e-9)


def test_deformation_and_ply_stresses_of_kaw():
    """Kaw (2006), Example 4.3: the same laminate under Nx = Ny = 1000 N/m."""
    found = Laminate.of([0, 30, -45], GRAPHITE, 5e-3).under(N=(1000, 1000, 0))
    expected = [3.123e-7, 3.492e-6, -7.598e-7, 2.971e-5, -3.285e-4, 4.101e-4]
    assert found.deformation == pytest.approx(expected, rel=3e-4)
    assert found.stress[1, 0] == pytest.approx([9.973e4, 4.348e4, 1.890e4], rel=3e-4)  # top of the 30 degree ply there


def test_thermal_loads_of_kaw():
    """Kaw (2006), Example 4.5: [0/90], plies of 5 mm, cooled by 75 degrees."""
    laminate = Laminate.of([0, 90], GRAPHITE, 5e-3)
    N, M = laminate.thermal_loads(-75)
    assert pytest.approx([-1.131e5, -1.131e5, 0], rel=3e-4, abs=1e-6) == N
    assert pytest.approx([-1.538e2, 1.538e2, 0], rel=3e-4, abs=1e-9) == M
    cooled = laminate.under(temperature=-75)
    assert cooled.deformation == pytest.approx([-3.907e-4, -3.907e-4, 0, -1.276e-1, 1.276e-1, 0], rel=5e-4, abs=1e-12)
    assert laminate.expansion * -75 == pytest.approx(cooled.deformation, rel=1e-12, abs=1e-18)


def test_failure_of_an_angle_ply_of_kaw():
    """Kaw (2006), Examples 2.17 and 2.19: a ply at 60 degrees under (2, -3, 4) S; S = 16.33 and 22.39 MPa."""
    found = Laminate.of([60], GRAPHITE, 1.0).under(N=(2e6, -3e6, 4e6))
    largest, tsai_wu = (found.first_failure(name) for name in ("maximum stress", "tsai-wu"))
    assert (largest.load_factor, largest.mode) == (pytest.approx(16.33, abs=0.01), "shear")
    assert tsai_wu.load_factor == pytest.approx(22.39, abs=0.01)


def test_first_ply_failure_of_kaw():
    """Kaw (2006), Example 5.3: [0/90/0], plies of 5 mm, under Nx: the ply at 90 degrees fails at 7.277e6 N/m."""
    found = Laminate.of([0, 90, 0], GRAPHITE, 5e-3).under(N=(1, 0, 0))
    failure = found.first_failure("tsai-wu")
    assert failure.load_factor == pytest.approx(7.277e6, rel=2e-4)
    assert (failure.layer, failure.mode) == (1, "combined stress")
    assert found.load_factors("tsai-wu")[0] == pytest.approx(1.339e7, rel=1e-3)
    assert found.first_failure("hashin").mode == "matrix tension"


# -- identities -----------------------------------------------------------------------------------------------------


def test_a_homogeneous_isotropic_plate():
    E, nu, h = 70.0, 0.3, 2.0
    ply = Ply.of_constants(E, E, nu, E / (2 * (1 + nu)))
    laminate = Laminate.of([0, 17, -60, 80], ply, h / 4)
    K = E / (1 - nu**2) * np.array([[1, nu, 0], [nu, 1, 0], [0, 0, (1 - nu) / 2]])
    assert pytest.approx(h * K, rel=1e-12, abs=1e-12) == laminate.A
    assert pytest.approx(h**3 / 12 * K, rel=1e-12, abs=1e-12) == laminate.D
    assert laminate.is_symmetric
    assert laminate.constants["Ex bending"] == pytest.approx(E, rel=1e-12)
    bent = laminate.under(M=(1.0, 0, 0))
    assert bent.stress[-1, 1, 0] * np.cos(np.radians(80)) ** 2 == pytest.approx(6 / h**2 * np.cos(np.radians(80)) ** 4)


@pytest.mark.parametrize("code", ["[0/±60]s", "[0/±45/90]s", "[0/36/72/108/144]_2s", "[10/70/-50]s"])
def test_quasi_isotropic_laminates(code):
    """A = E h / (1 - nu^2) with the invariants of Tsai and Pagano: U1 and U4 of the reduced stiffness."""
    laminate = Laminate.of(code, GRAPHITE, 1e-4)
    Q = GRAPHITE.stiffness
    U1 = (3 * Q[0, 0] + 3 * Q[1, 1] + 2 * Q[0, 1] + 4 * Q[2, 2]) / 8
    U4 = (Q[0, 0] + Q[1, 1] + 6 * Q[0, 1] - 4 * Q[2, 2]) / 8
    h = laminate.thickness
    expected = h * np.array([[U1, U4, 0], [U4, U1, 0], [0, 0, (U1 - U4) / 2]])
    assert pytest.approx(expected, rel=1e-12, abs=1e-9 * h * U1) == laminate.A
    assert not laminate.B.any()
    found = laminate.constants
    assert found["Gxy"] == pytest.approx(found["Ex"] / (2 * (1 + found["nuxy"])), rel=1e-12)
    assert laminate.expansion[:2] == pytest.approx(np.full(2, laminate.expansion[0]))
    assert laminate.expansion[2:] == pytest.approx(np.zeros(4), abs=1e-15)


def test_antisymmetric_couplings():
    """Jones (1999), Section 4.4: a cross-ply has B11 = -B22 alone, an angle-ply B16 and B26 alone."""
    cross, angle = Laminate.of([0, 90], GRAPHITE, 1.0).B, Laminate.of([-30, 30], GRAPHITE, 1.0).B
    Q = GRAPHITE.stiffness
    assert cross[0, 0] == pytest.approx((Q[1, 1] - Q[0, 0]) / 2)
    assert cross == pytest.approx(np.diag([cross[0, 0], -cross[0, 0], 0]))
    assert not angle[:2, :2].any() and angle[0, 2] > 0 and angle[1, 2] > 0


def test_balance_of_forces_and_moments():
    """The stresses, turned to the plate and integrated over z, are the loads; temperature adds none."""
    laminate = Laminate.of([0, 25, -70, 45], GRAPHITE, 2e-3)
    loads = np.array([3e4, -1e4, 2e4, 10.0, -20.0, 5.0])
    found = laminate.under(N=loads[:3], M=loads[3:], temperature=-100)
    turned = np.einsum("nji,nkj->nki", laminate.turnings, found.stress)
    low, high = laminate.levels[:-1], laminate.levels[1:]
    h, mean, slope = high - low, turned.mean(axis=1), (turned[:, 1] - turned[:, 0]) / (high - low)[:, None]
    middle = (low + high) / 2
    assert (h[:, None] * mean).sum(0) == pytest.approx(loads[:3], rel=1e-9)
    moments = (h * middle)[:, None] * mean + (h**3 / 12)[:, None] * slope
    assert moments.sum(0) == pytest.approx(loads[3:], rel=1e-6)


def test_a_stack_of_layers_is_a_homogeneous_cell_in_the_plane():
    """The stiffness A / h of a symmetric laminate, against a cell of two layers under zero stress along the normal."""
    stiff, soft = hmm.laws.Elastic(70.0, 0.2), hmm.laws.Elastic(3.0, 0.35)
    cell = hmm.cells.laminate({"stiff": 0.4, "soft": 0.6}, normal=2, dim=3, mesh_size=0.5)
    found = Ply.of_properties(hmm.homogenize(cell, {"stiff": stiff, "soft": soft}))
    plies = [Ply.of_constants(E, E, nu, E / (2 * (1 + nu))) for E, nu in ((70.0, 0.2), (3.0, 0.35))]
    laminate = Laminate([Layer(plies[1], 0, 0.3), Layer(plies[0], 0, 0.4), Layer(plies[1], 0, 0.3)])
    assert found.stiffness == pytest.approx(laminate.A, rel=1e-9, abs=1e-9)


# -- plies of homogenized cells -------------------------------------------------------------------------------------


def orthotropic(E, nu, G):
    """Effective properties with given constants along 1, 2, 3; nu12, nu13, nu23 and G12, G13, G23."""
    S = np.diag([*(1 / np.array(E)), *(1 / (2 * np.array(G)))])
    for (i, j), v in zip(((0, 1), (0, 2), (1, 2)), nu, strict=True):
        S[i, j] = S[j, i] = -v / E[i]
    C = np.linalg.inv(S)
    return hmm.EffectiveProperties("thermoelasticity", C, {"a": 1.0}, "periodic", C @ [1e-6, 2e-6, 3e-6, 0, 0, 0])


@pytest.mark.parametrize(
    ("fibres", "normal", "expected", "alpha"),
    [
        (1, None, (10.0, 7.0, 0.3, 2.0), (1e-6, 2e-6)),
        (3, None, (3.0, 10.0, 0.2 * 3 / 10, 1.5), (3e-6, 1e-6)),
        (3, 1, (3.0, 7.0, 0.25 * 3 / 7, 1.0), (3e-6, 2e-6)),
        ((0, 2, 0), (1, 0, 0), (7.0, 3.0, 0.25, 1.0), (2e-6, 3e-6)),
    ],
)
def test_a_ply_in_the_axes_of_the_cell(fibres, normal, expected, alpha):
    found = Ply.of_properties(
        orthotropic((10.0, 7.0, 3.0), (0.3, 0.2, 0.25), (2.0, 1.5, 1.0)), fibres=fibres, normal=normal
    )
    assert list(found.constants.values()) == pytest.approx(expected, rel=1e-10)
    assert found.expansion == pytest.approx([*alpha, 0], rel=1e-9, abs=1e-18)


def test_off_axis_fibres_are_turned():
    tilted = np.array([np.cos(0.4), np.sin(0.4), 0])
    found = Ply.of_properties(orthotropic((10.0, 7.0, 3.0), (0.3, 0.2, 0.25), (2.0, 1.5, 1.0)), fibres=tilted)
    straight = Ply.of_properties(orthotropic((10.0, 7.0, 3.0), (0.3, 0.2, 0.25), (2.0, 1.5, 1.0)))
    turned = Laminate.of([-np.degrees(0.4)], straight, 1.0)  # a ply whose axis 1 lies at -0.4 from that of the plate
    assert found.stiffness == pytest.approx(turned.A, rel=1e-10, abs=1e-10)
    assert found.expansion == pytest.approx(turned.expansion[:3], rel=1e-9)


# -- failure criteria -----------------------------------------------------------------------------------------------

S = Strength(10.0, 8.0, 2.0, 5.0, 3.0, S23=2.2)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(
    ("stress", "strength"),
    [((1, 0, 0), 10.0), ((-1, 0, 0), 8.0), ((0, 1, 0), 2.0), ((0, -1, 0), 5.0), ((0, 0, 1), 3.0), ((0, 0, -1), 3.0)],
)
def test_each_criterion_gives_the_strengths(criterion, stress, strength):
    factors = [mode.load_factor(np.zeros(3), np.array(stress, dtype=float)) for mode in failure_modes(criterion, S)]
    assert min(factors) == pytest.approx(strength, rel=1e-12)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_mode_reaches_one_at_its_load_factor(criterion):
    rng = np.random.default_rng(1)
    for constant, growing in rng.normal(size=(200, 2, 3)):
        constant = 0.3 * constant
        for mode in failure_modes(criterion, S):
            t = mode.load_factor(constant, growing)
            path = [constant + s * growing for s in np.linspace(0, min(t, 50.0), 200)[:-1]]
            switches = abs((constant + t * growing)[mode.component]) < 1e-9 if 0 < t < np.inf else False
            if 0 < t < np.inf and not switches:
                assert mode.value(constant + t * growing) == pytest.approx(1.0, rel=1e-9)
            if t > 0:
                assert all(mode.value(s) < 1 for s in path if mode.counts(s))


def test_a_mode_that_begins_to_count_beyond_its_limit():
    """Shear beyond its strength does not fail compressed fibres in Hashin's criterion, but those in tension."""
    tension = next(mode for mode in failure_modes("hashin", S) if mode.name == "fibre tension")
    assert tension.load_factor(np.array([-1.0, 0, 4.0]), np.array([1.0, 0, 0])) == 1.0


def test_hashin_in_compression_of_the_matrix():
    """Hashin (1980), Eq. 41 in plane stress."""
    s2, s12 = -1.5, 1.0
    found = next(mode for mode in failure_modes("hashin", S) if mode.name == "matrix compression")
    expected = (s2 / 4.4) ** 2 + ((5 / 4.4) ** 2 - 1) * s2 / 5 + (s12 / 3) ** 2
    assert found.value(np.array([0.0, s2, s12])) == pytest.approx(expected, rel=1e-12)
    assert not found.counts(np.array([0.0, 1.0, 1.0]))


def test_residual_stresses_shift_the_load_factor():
    """In a cross-ply, cooling puts the plies in tension across their fibres, which uses up part of their strength."""
    laminate = Laminate.of("[0/90]s", GRAPHITE, 1e-3)
    warm, cold = (laminate.under(N=(1e5, 0, 0), temperature=dT) for dT in (0, -50))
    failure = warm.first_failure("maximum stress")
    lost = 1 - cold.residual[failure.layer, 0, 1] / STRENGTH.Yt
    assert cold.first_failure("maximum stress").load_factor == pytest.approx(failure.load_factor * lost, rel=1e-12)
    frozen = laminate.under(N=(1e5, 0, 0), temperature=-500)
    assert frozen.first_failure("maximum stress").load_factor == 0
    assert laminate.under().first_failure().load_factor == np.inf


def test_plies_without_strengths_do_not_fail():
    weak = Ply.of_constants(10.0, 10.0, 0.3, 4.0, strength=S)
    strong = Ply.of_constants(10.0, 10.0, 0.3, 4.0)
    found = Laminate([Layer(strong, 0, 1.0), Layer(weak, 0, 1.0), Layer(strong, 0, 1.0)]).under(N=(1, 0, 0))
    assert found.first_failure().layer == 1
    assert np.isinf(found.load_factors()[[0, 2]]).all()
    assert Laminate([Layer(strong, 0, 1.0)]).under().failures() == []


# -- stacking codes, files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "angles"),
    [
        ("[0/90]s", [0, 90, 90, 0]),
        ("[0/±45/90]_2s", [0, 45, -45, 90] * 2 + [90, -45, 45, 0] * 2),
        ("[0_2/(30/-30)_2]", [0, 0, 30, -30, 30, -30]),
        (" 0 / -12.5, +90 ", [0, -12.5, 90]),
        ("[∓30]", [-30, 30]),
        ("[[0/45]s/90]S", [0, 45, 45, 0, 90, 90, 0, 45, 45, 0]),
    ],
)
def test_stacking_codes(code, angles):
    assert angles_of(code) == angles


@pytest.mark.parametrize(
    "code", ["", "[", "[0/45", "[0//45]", "0 45", "[0/x]", "[0]_99999", "[0/90]s)", "[(0_9999)_9999]"]
)
def test_wrong_stacking_codes_are_one_line(code):
    with pytest.raises(hmm.InputError, match="stacking") as error:
        angles_of(code)
    assert "\n" not in str(error.value)


def test_the_picture_and_the_tables(tmp_path):
    found = Laminate.of("[0/±45/90]s", GRAPHITE, 1e-3).under(N=(1e5, 0, 0), M=(10, 0, 0))
    assert draw_laminate(found, tmp_path / "stresses.png").stat().st_size > 10_000
    data = json.loads(json.dumps(found.to_dict()))
    assert len(data["plies"]) == 16 and data["first_failure"][0]["criterion"] == "tsai-wu"
    assert data["plies"][-1]["s1"] == found.stress[-1, 1, 0]


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Ply.of_constants(10.0, -1.0, 0.3, 4.0), "E2 = -1.0: give a positive"),
        (lambda: Ply.of_constants(10.0, 10.0, 1.3, 4.0), r"nu12\^2 < E1/E2 = 1"),
        (lambda: Ply(np.eye(2)), r"shape \(3, 3\)"),
        (lambda: Strength(1, 1, 1, 0, 1), "strength Yc = 0: give a positive"),
        (lambda: Strength(1, 1, 1, 1, 1, f12=-1.0), "f12 = -1.0"),
        (lambda: Layer(GRAPHITE, "45", 1.0), "angle = '45'"),
        (lambda: Layer(GRAPHITE, 45, 0.0), "thickness = 0.0"),
        (lambda: Laminate([]), "no layers"),
        (lambda: Laminate([GRAPHITE]), "is not a layer"),
        (lambda: stacked([], GRAPHITE, 1.0), "0 plies"),
        (lambda: Laminate.of([0], GRAPHITE, 1.0).under(N=(1, 2)), r"N = \(1, 2\): give three"),
        (lambda: Laminate.of([0], GRAPHITE, 1.0).under(temperature=np.nan), "temperature = nan"),
        (lambda: Laminate.of([0], GRAPHITE, 1.0).under().first_failure("tsai-hill"), "did you mean 'tsai-wu'"),
        (lambda: Laminate.of([0], Ply(GRAPHITE.compliance), 1.0).under().first_failure(), "no ply of the laminate has"),
        (lambda: Ply.of_properties(orthotropic((1, 1, 1), (0, 0, 0), (1, 1, 1)), fibres=3, normal=3), "not orthogonal"),
        (lambda: Ply.of_properties(orthotropic((1, 1, 1), (0, 0, 0), (1, 1, 1)), fibres=4), "fibres = 4: give an axis"),
        (lambda: Ply.of_properties(hmm.EffectiveProperties("elasticity", np.eye(3), {}, "periodic")), "extrude"),
    ],
)
def test_bad_input_is_one_line(make, words):
    with pytest.raises(hmm.InputError, match=words) as error:
        make()
    assert "\n" not in str(error.value)
