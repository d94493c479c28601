"""Hyperelastic laws: objectivity, linearization, tangents also at equal stretches, and reference solutions."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support import references
from support.cells_and_rves import TIGHT, central_differences, relative_error
from support.material_point import point

import hmm
from hmm.checks.ellipticity import acoustic_tensor, weakest_direction
from hmm.foundation import tensors
from hmm.laws import MooneyRivlin, NeoHooke, Ogden, SaintVenant

RUBBER = ((0.63, 1.3), (0.0012, 5.0), (-0.01, -2.0))
"""Ogden's own fit of Treloar's data, in MPa: Ogden (1972), table 1."""

LAWS = {
    "NeoHooke": NeoHooke(8 / 3, 1 / 3),
    "SaintVenant": SaintVenant(8 / 3, 1 / 3),
    "MooneyRivlin": MooneyRivlin(0.4, 0.1, 2.0),
    "Ogden": Ogden(RUBBER, 2.0),
}
EQUAL = {
    "none": np.eye(2),
    "nearly none": np.diag([1.0 + 1e-5, 1.0]),
    "two in the plane": np.diag([1.3, 1.3]),
    "two across": np.diag([1.0, 1.4]),
    "nearly two": np.diag([1.3, 1.3 + 1e-5]),
    "all different": np.array([[1.3, 0.4], [-0.1, 0.8]]),
}


@pytest.fixture(scope="module", params=LAWS)
def named(request):
    return LAWS[request.param], point(LAWS[request.param], hmm.macro_deformation_gradient)


def test_the_linearization_is_hookes_law(named):
    law, rve = named
    C = law.elastic.bulk_modulus, law.elastic.shear_modulus
    one = np.eye(2)
    deviator = np.einsum("ik,jl->ijkl", one, one) + np.einsum("il,jk->ijkl", one, one)
    exact = (C[0] - 2 / 3 * C[1]) * np.einsum("ij,kl->ijkl", one, one) + C[1] * deviator
    response = rve.solve(one)
    assert np.abs(response.vector).max() < 1e-14
    assert relative_error(tensors.general(2, 2).to_fourth_order(response.tangent), exact) < 1e-12
    assert rve.system.is_symmetric


@pytest.mark.parametrize("stretches", EQUAL)
def test_tangent(named, stretches):
    _, rve = named
    F = EQUAL[stretches]
    assert relative_error(rve.solve(F).tangent, central_differences(rve, F, None, 1e-5)) < 1e-9


@pytest.mark.mpi
def test_objectivity(named):
    """P(Q F) = Q P(F)."""
    _, rve = named
    F, Q = EQUAL["all different"], Rotation.from_rotvec([0.0, 0.0, 0.7]).as_matrix()[:2, :2]
    assert relative_error(rve.solve(Q @ F).stress, Q @ rve.solve(F).stress) < 1e-12


def test_ogden_of_exponents_2_and_minus_2_is_mooney_rivlin():
    """``lambda^2`` and ``lambda^-2`` sum to the invariants: mu = (2 c1, -2 c2)."""
    ogden = point(Ogden(((0.8, 2.0), (-0.2, -2.0)), 2.0), hmm.macro_deformation_gradient)
    other = point(LAWS["MooneyRivlin"], hmm.macro_deformation_gradient)
    for F in [*EQUAL.values(), np.diag([0.2, 3.0]), np.diag([1.06, 1.0])]:
        a, b = ogden.solve(F), other.solve(F)
        assert np.abs(a.vector - b.vector).max() < 1e-12 * max(1.0, np.abs(b.vector).max())
        assert relative_error(a.tangent, b.tangent) < 1e-11


@pytest.mark.parametrize("case", references.LAMINATE_NEOHOOKE)
def test_neo_hookean_laminate(case):
    """mu = 1, lambda = 2 and mu = 10, lambda = 15."""
    reference = references.LAMINATE_NEOHOOKE[case]
    cell = hmm.cells.laminate({"one": 0.7, "two": 0.3}, normal=reference["normal"], mesh_size=0.5)
    law = {"one": NeoHooke(8 / 3, 1 / 3), "two": NeoHooke(26.0, 0.3)}
    w, F = hmm.fluctuation(cell), hmm.macro_deformation_gradient(cell)
    response = hmm.RVE(cell, w, F, law=law, newton_options=TIGHT).solve(reference["F"])
    A = tensors.general(2, 2).to_fourth_order(response.tangent)
    assert relative_error(response.stress, reference["P"]) < 1e-7
    values = {"A_1111": A[0, 0, 0, 0], "A_1212": A[0, 1, 0, 1], "A_1122": A[0, 0, 1, 1]}
    assert values == pytest.approx({name: reference[name] for name in values}, rel=1e-7)


def test_loss_of_ellipticity():
    """Saint Venant in uniaxial strain F11 = l, lambda, mu = 2, 1: ``Q = diag(6 l^2 - 2, 2 l^2 - 1)`` for n = e1.

    That is ``S11 I`` and the moduli ``F_iM F_kN C_M1N1``, with ``S11 = 2 (l^2 - 1)``.
    """
    rve = point(LAWS["SaintVenant"], hmm.macro_deformation_gradient)
    angles = np.linspace(0, np.pi, 2001)
    for stretch in (0.9, 0.7):
        A = tensors.general(2, 2).to_fourth_order(rve.solve(np.diag([stretch, 1.0])).tangent)
        Q = np.diag([6 * stretch**2 - 2, 2 * stretch**2 - 1])
        assert np.allclose(acoustic_tensor(A, [3.0, 0.0]), Q, rtol=0, atol=1e-12)
        value, n = weakest_direction(A)
        assert np.linalg.eigvalsh(acoustic_tensor(A, n))[0] == pytest.approx(value, abs=1e-12)
        scan = [np.linalg.eigvalsh(acoustic_tensor(A, [np.cos(a), np.sin(a)]))[0] for a in angles]
        assert min(scan) - 1e-5 < value <= min(scan)
    assert value < 0


def test_elasticity_is_elliptic():
    """The eigenvalues of Hooke's acoustic tensor are mu and lambda + 2 mu in each direction."""
    cell = hmm.cells.laminate({"all": 1.0}, mesh_size=0.5)
    law = hmm.laws.Elastic(8 / 3, 1 / 3)
    rve = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law={"all": law})
    assert weakest_direction(rve.solve(np.zeros((2, 2))).tangent)[0] == pytest.approx(1.0)
    C = np.einsum("ij,kl->ijkl", np.eye(3), np.eye(3)) + np.einsum("ik,jl->ijkl", np.eye(3), np.eye(3))
    assert weakest_direction(C)[0] == pytest.approx(1.0)
    with pytest.raises(hmm.InputError, match=r"tangent of shape \(5, 5\)"):
        weakest_direction(np.eye(5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MooneyRivlin(0.0, 0.0, 1.0), r"MooneyRivlin: c1 and c2 are both 0"),
        (lambda: Ogden(((1.0, -2.0),), 1.0), r"Ogden: terms\[0\] = \(1.0, -2.0\) must be a pair .* mu alpha > 0"),
        (lambda: Ogden((), 1.0), r"terms is empty"),
        (lambda: NeoHooke(1.0, 0.5), r"NeoHooke: poisson = 0.5 must be in \(-1, 0.5\)"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(hmm.InputError, match=message):
        make()
