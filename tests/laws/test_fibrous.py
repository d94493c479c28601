"""Holzapfel-Gasser-Ogden: hand calculations, fibres in tension only, tangents and objectivity."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation
from support.cells_and_rves import central_differences, relative_error
from support.material_point import point

import hmm
from hmm.laws import HolzapfelGasserOgden, MooneyRivlin, Rigid

MU, KAPPA, K1, K2 = 1.2, 3.0, 0.7, 1.5
HALF = np.sqrt(0.5)


def law(fibres=(1,), dispersion=0.0, **options):
    return HolzapfelGasserOgden(MU, KAPPA, K1, K2, dispersion, fibres, **options)


def spatial(E):
    return hmm.macro_deformation_gradient(E, out_of_plane=True)


def by_hand(stretches, directions, d=0.0):
    """P, shape (3,), of principal stretches along 1, 2, 3, of families that are symmetric to these axes.

    ``dW/dl_i = mu J^(-2/3) (l_i - I1 / (3 l_i)) + kappa (J - 1) J / l_i + sum k1 e exp(k2 e^2) de/dl_i`` with
    ``de/dl_i = 2 d l_i + 2 (1 - 3 d) a_i^2 l_i``.
    """
    lam = np.asarray(stretches)
    J, I1 = lam.prod(), (lam**2).sum()
    P = MU * J ** (-2 / 3) * (lam - I1 / (3 * lam)) + KAPPA * (J - 1) * J / lam
    for a in np.atleast_2d(directions):
        e = max(d * (I1 - 3) + (1 - 3 * d) * ((a * lam) ** 2).sum() - (1 - 3 * d), 0.0)
        P += K1 * e * np.exp(K2 * e**2) * 2 * lam * (d + (1 - 3 * d) * a**2)
    return P


@pytest.mark.parametrize("dispersion", [0.0, 0.2, 1 / 3])
def test_uniaxial_stress(dispersion):
    """Lateral stretches follow from the closed form: the law answers them with no stress across."""
    rve, along = point(law(dispersion=dispersion), spatial), np.array([1.0, 0.0, 0.0])
    for stretch in (0.8, 1.2, 1.4):
        t = brentq(lambda t, l=stretch: by_hand([l, t, t], along, dispersion)[1], 0.5, 1.5, xtol=1e-15)
        P = rve.solve(np.diag([stretch, t, t])).stress
        assert np.allclose(P, np.diag(by_hand([stretch, t, t], along, dispersion)), rtol=0, atol=1e-12)
        assert abs(P[1, 1]) < 1e-12 and (P[0, 0] > 0) == (stretch > 1)


def test_biaxial_tension_of_two_families():
    fibres = np.array([[HALF, HALF, 0], [HALF, -HALF, 0]])
    rve = point(law(((1, 1, 0), (2, -2, 0)), 0.1), spatial)
    for lam in ([1.3, 1.1, 0.8], [1.2, 1.2, 0.75], [0.9, 1.4, 1.0]):
        assert np.allclose(rve.solve(np.diag(lam)).stress, np.diag(by_hand(lam, fibres, 0.1)), rtol=0, atol=1e-12)


def test_fibres_bear_tension_only():
    rve, matrix = point(law(), spatial), point(MooneyRivlin.from_moduli(shear=MU, bulk=KAPPA), spatial)
    shortened, lengthened = np.diag([0.9, 1.2, 1.1]), np.diag([1.1, 0.9, 0.9])
    assert relative_error(rve.solve(shortened).vector, matrix.solve(shortened).vector) < 1e-14
    assert relative_error(rve.solve(np.eye(3)).tangent, matrix.solve(np.eye(3)).tangent) < 1e-14
    assert rve.solve(lengthened).stress[0, 0] - matrix.solve(lengthened).stress[0, 0] > 0.1 * K1
    step = 1e-6  # to a small tension: 4 k1 more
    more = rve.solve(np.diag([1 + step, 1, 1])).stress - matrix.solve(np.diag([1 + step, 1, 1])).stress
    assert more[0, 0] / step == pytest.approx(4 * K1, rel=1e-4)


@pytest.mark.parametrize("F", [np.eye(2), np.array([[1.3, 0.4], [-0.1, 0.8]]), np.array([[0.8, 0.3], [0.2, 1.4]])])
def test_tangent_and_objectivity(F):
    rve = point(law(((1, 0.5, 0), (1, -0.5, 0.2)), 0.05), hmm.macro_deformation_gradient)
    F = F @ np.array([[1.1, 0.02], [0.0, 1.0]])  # off the kink of a fibre that is not stretched
    assert relative_error(rve.solve(F).tangent, central_differences(rve, F, None, 1e-6)) < 1e-8
    Q = Rotation.from_rotvec([0.0, 0.0, 0.7]).as_matrix()[:2, :2]
    assert relative_error(rve.solve(Q @ F).stress, Q @ rve.solve(F).stress) < 1e-12


def test_a_rotation_turns_the_fibres():
    R = Rotation.from_rotvec([0.0, 0.0, 0.4]).as_matrix()
    rotated = law(rotation=R)
    straight = law(((np.cos(0.4), np.sin(0.4), 0.0),))
    assert np.allclose(rotated.axis, straight.axis) and law((1, 2)).axis is None
    F = np.array([[1.3, 0.2], [0.1, 1.1]])
    a, b = (point(one, hmm.macro_deformation_gradient).solve(F).vector for one in (rotated, straight))
    assert relative_error(a, b) < 1e-13


def test_a_composite_of_fibrous_layers_and_a_rigid_one():
    """A soft layer between rigid ones, pulled along the normal: it alone is stretched, in uniaxial strain."""
    cell = hmm.cells.laminate({"soft": 0.5, "hard": 0.5}, mesh_size=0.5)
    laws = {"soft": law(), "hard": Rigid()}
    rve = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_deformation_gradient(cell), law=laws)
    P = rve.solve(np.diag([1.1, 1.0])).stress
    assert P[0, 0] == pytest.approx(by_hand([1.2, 1.0, 1.0], [1.0, 0.0, 0.0])[0], rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fibres": ()}, r"HolzapfelGasserOgden: fibres = \(\) must be a list of directions"),
        ({"fibres": ((0, 0, 0),)}, r"HolzapfelGasserOgden: axis = \(0, 0, 0\) is no axis"),
        ({"dispersion": 0.4}, r"HolzapfelGasserOgden: dispersion = 0.4 must be in \[0, 0.333333\]"),
        ({"rotation": [[1, 0], [0, 1]]}, r"HolzapfelGasserOgden: rotation, shape \(2, 2\)"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(hmm.InputError, match=message):
        law(**options)
