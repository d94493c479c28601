"""Crystals, fibres and wood: elasticity with axes of its own, and polycrystals of it."""

from dataclasses import replace

from mpi4py import MPI

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support import closed_forms
from support.cells_and_rves import relative_error, strain_rve
from support.macro_tools import homogeneous_cell

import hmm
from hmm.laws import Anisotropic

COPPER = (168.4, 121.4, 75.4)  # GPa; Simmons and Wang 1971
SPRUCE = (
    (0.69, 10.7, 0.43),
    (0.04, 0.3, 0.02),
    (0.5, 0.04, 0.62),
)  # GPa; of the order of spruce: radial, along, tangential
CARBON = (230.0, 15.0, 0.2, 0.3, 24.0)  # GPa; of the order of a carbon fibre
TURN = Rotation.from_rotvec([0.3, -0.7, 1.1]).as_matrix()
pytestmark = pytest.mark.mpi


def fourth_order(law):
    return hmm.tensors.symmetric(3).to_fourth_order(np.array(law.stiffness))


def rotated(C, R):
    return np.einsum("ai,bj,ck,dl,ijkl->abcd", R, R, R, R, C)


def tangent(law, dim=3):
    rve = strain_rve(homogeneous_cell(dim), {"matrix": law})
    return rve.solve({}).tangent


def test_an_isotropic_stiffness_is_isotropic_elasticity():
    C = closed_forms.mandel(closed_forms.isotropic(70.0, 0.3))
    for dim in (2, 3):
        for law in (Anisotropic(C), Anisotropic(C, TURN)):
            assert relative_error(tangent(law, dim), tangent(hmm.laws.Elastic(70.0, 0.3), dim)) < 1e-12


def test_cubic_constants():
    """Hand calculation: C1111 = C11, C1122 = C12, C1212 = C44."""
    C = fourth_order(Anisotropic.cubic(*COPPER))
    assert [C[0, 0, 0, 0], C[0, 0, 1, 1], C[0, 1, 0, 1]] == pytest.approx(COPPER)
    assert C[0, 1, 1, 0] == C[1, 0, 0, 1] == pytest.approx(COPPER[2])


def test_engineering_constants():
    found = hmm.EffectiveProperties("elasticity", np.array(Anisotropic.orthotropic(*SPRUCE).stiffness), {}, "periodic")
    young, poisson, shear = SPRUCE
    names = [*("E1", "E2", "E3"), *("nu12", "nu13", "nu23"), *("G12", "G13", "G23")]
    assert [found.constants[name] for name in names] == pytest.approx([*young, *poisson, *shear])
    E1, E2, nu12, nu23, G12 = CARBON
    fibre = Anisotropic.transversely_isotropic(*CARBON, axis=1)
    S = np.linalg.inv(fibre.stiffness)
    assert [S[0, 0], S[1, 1], S[0, 1], S[1, 2]] == pytest.approx([1 / E1, 1 / E2, -nu12 / E1, -nu23 / E2])
    assert [S[3, 3], S[4, 4], S[5, 5]] == pytest.approx([1 / (2 * G12), 1 / (2 * G12), (1 + nu23) / E2])
    about = Rotation.from_rotvec([0.7, 0, 0]).as_matrix()
    assert np.allclose(rotated(fourth_order(fibre), about), fourth_order(fibre))


def test_voigts_order():
    C = np.arange(36.0).reshape(6, 6)
    C = C + C.T + 300 * np.eye(6)
    T = fourth_order(Anisotropic.from_voigt(C, ("11", "22", "33", "23", "13", "12")))
    assert T[1, 2, 0, 1] == pytest.approx(C[3, 5]), "Voigt: 4 is 23, 6 is 12"
    assert T[0, 0, 0, 2] == pytest.approx(C[0, 4])
    found = hmm.EffectiveProperties("elasticity", np.array(Anisotropic.orthotropic(*SPRUCE).stiffness), {}, "periodic")
    again = Anisotropic.from_voigt(found.voigt, found.labels)
    assert np.allclose(again.stiffness, found.tensor)
    with pytest.raises(hmm.InputError, match=r"order = \['11', '22'\] are not the labels 11, 22, 33, 12, 13, 23"):
        Anisotropic.from_voigt(C, ("11", "22"))


@pytest.mark.parametrize("law", [Anisotropic.cubic(*COPPER), Anisotropic.orthotropic(*SPRUCE)])
def test_rotated_axes(law):
    exact = closed_forms.mandel(rotated(fourth_order(law), TURN))
    assert relative_error(tangent(replace(law, rotation=TURN)), exact) < 1e-12


def test_a_laminate_of_rotated_layers():
    """A cross-ply of carbon fibres at 0 and 60 degrees, layers along z, against the closed form for any layers."""
    laws = {
        "a": Anisotropic.transversely_isotropic(*CARBON, axis=1),
        "b": Anisotropic.transversely_isotropic(*CARBON, Rotation.from_rotvec([0, 0, np.pi / 3]).as_matrix(), 1),
    }
    cell = hmm.cells.laminate({"a": 0.3, "b": 0.7}, normal=2, dim=3, mesh_size=0.5)
    layers = [
        rotated(fourth_order(law), np.eye(3) if law.rotation is None else np.array(law.rotation))
        for law in laws.values()
    ]
    exact = closed_forms.laminate([0.3, 0.7], layers, [0, 0, 1])
    assert relative_error(hmm.homogenize(cell, laws).tensor, closed_forms.mandel(exact)) < 1e-10


def test_fibres_of_carbon_lie_along_those_of_the_cell(caplog):
    """Along the fibres ``E3 = f E1 + (1 - f) E_matrix``, to the small effect of Poisson's ratios."""
    plane = hmm.cells.fibre(0.6, mesh_size=0.25)
    laws = {"matrix": hmm.laws.Elastic(3.0, 0.35), "fibre": Anisotropic.transversely_isotropic(*CARBON)}
    along = 0.6 * 230 + 0.4 * 3
    assert hmm.homogenize(hmm.cells.extrude(plane, 0.3), laws).constants["E3"] == pytest.approx(along, rel=2e-3)
    assert hmm.homogenize(plane, laws, out_of_plane=True).constants["E3"] == pytest.approx(along, rel=2e-3)
    assert not caplog.records


def test_the_axis_of_a_law():
    """It is where `axis` puts it, rotated by the rotation; materials with none or many have none."""
    for axis, along in ((1, [1, 0, 0]), (2, [0, 1, 0]), (3, [0, 0, 1]), ([3, 0, 4], [0.6, 0, 0.8])):
        law = Anisotropic.transversely_isotropic(*CARBON, axis=axis)
        assert law.axis == pytest.approx(along, abs=1e-12)
        assert 1 / (along @ compliance(law, along) @ along) == pytest.approx(CARBON[0])
        assert np.abs(replace(law, rotation=TURN).axis @ TURN @ along) == pytest.approx(1.0)
    assert Anisotropic.cubic(*COPPER).axis is None and Anisotropic.orthotropic(*SPRUCE).axis is None
    assert Anisotropic(closed_forms.mandel(closed_forms.isotropic(70.0, 0.3))).axis is None
    with pytest.raises(hmm.InputError, match=r"axis = 4 is no axis: give 1, 2 or 3, or a direction"):
        Anisotropic.transversely_isotropic(*CARBON, axis=4)


def compliance(law, along):
    """The strain, shape (3, 3), of the unit tension along a direction."""
    packing = hmm.tensors.symmetric(3)
    return packing.to_tensor(np.linalg.solve(law.stiffness, packing.to_vector(np.outer(along, along))))


def test_up_one_scale_and_another():
    """What a cell of fibres is homogenized to is the law of a yarn, rotated where it runs."""
    cell = hmm.cells.laminate({"a": 0.4, "b": 0.6}, dim=3, mesh_size=0.5)
    yarn = hmm.homogenize(cell, {"a": hmm.laws.Elastic(3.0, 0.35), "b": hmm.laws.Elastic(70.0, 0.2)}).tensor
    exact = closed_forms.mandel(rotated(hmm.tensors.symmetric(3).to_fourth_order(yarn), TURN))
    assert relative_error(tangent(Anisotropic(yarn, TURN)), exact) < 1e-12


@pytest.fixture(scope="module")
def crystal():
    return hmm.cells.voronoi(grains=8, mesh_size=0.3, seed=3)


def test_a_polycrystal_of_cubic_grains(crystal):
    """Its bulk modulus is that of the crystal, exactly, for a uniform expansion is one of each grain; the rest lies
    between the means over its own grains (Hill 1952) of stiffness and compliance."""
    found = hmm.homogenize(crystal, {"*": Anisotropic.cubic(*COPPER)}).tensor
    C11, C12, _ = COPPER
    one = np.r_[np.ones(3), np.zeros(3)]
    assert np.allclose(found @ one, (C11 + 2 * C12) * one, rtol=1e-8, atol=1e-8 * C11)
    single = fourth_order(Anisotropic.cubic(*COPPER))
    grains = [closed_forms.mandel(rotated(single, R)) for R in crystal.orientations]
    f = list(crystal.cell.volume_fractions.values())
    upper, lower = hmm.bounds.voigt(f, grains), hmm.bounds.reuss(f, grains)
    assert np.linalg.eigvalsh(upper - found)[0] > -1e-8 * C11
    assert np.linalg.eigvalsh(found - lower)[0] > -1e-8 * C11
    assert np.linalg.eigvalsh(upper - found)[-1] > 1.0, "heterogeneous: the bounds are apart"


def test_each_grain_has_its_own_axes(crystal):
    """With one law a grain, compiled for each, the answer is that of one law with a field."""
    law = Anisotropic.orthotropic(*SPRUCE)
    field = hmm.homogenize(crystal.cell, crystal.laws(law)).tensor
    flat = hmm.cells.voronoi(grains=3, dim=2, mesh_size=0.3, seed=1)
    each = {name: replace(law, rotation=R) for name, R in zip(flat.cell.phases, flat.orientations, strict=True)}
    assert (
        relative_error(hmm.homogenize(flat.cell, flat.laws(law)).tensor, hmm.homogenize(flat.cell, each).tensor) < 1e-12
    )
    assert np.all(np.linalg.eigvalsh(field) > 0)


def test_a_polycrystal_on_all_ranks_is_the_one_on_one(crystal):
    law = Anisotropic.cubic(*COPPER)
    spread = hmm.cells.voronoi(grains=8, mesh_size=0.3, seed=3, comm=MPI.COMM_WORLD)
    assert np.allclose(spread.orientations, crystal.orientations)
    alone = hmm.homogenize(crystal.cell, crystal.laws(law)).tensor
    assert relative_error(hmm.homogenize(spread.cell, spread.laws(law)).tensor, alone) < 1e-9


@pytest.mark.slow
def test_how_many_grains_are_representative():
    """A study of polycrystals: the law of the crystal is that of all grains; its own scatter is not known."""
    result = hmm.study.representative_size(
        lambda size, seed: hmm.cells.voronoi(grains=int(size**2), dim=2, mesh_size=0.6 / size, seed=seed),
        {"*": Anisotropic.cubic(*COPPER)},
        sizes=(2, 4),
        realisations=3,
        constraints=("minimal", "dirichlet"),
        property=hmm.study.stiffness({"*": Anisotropic.cubic(*COPPER)}, "shear"),
    )
    assert result.point_variance is None
    assert result.sample(4, "minimal").mean < result.sample(4, "dirichlet").mean
    assert result.gap(4)[0] < result.gap(2)[0]


def test_bad_input(crystal):
    good = Anisotropic.cubic(*COPPER)
    with pytest.raises(hmm.InputError, match=r"stiffness, shape \(3, 3\), must be a \(6, 6\) matrix of finite numbers"):
        Anisotropic(np.eye(3))
    with pytest.raises(hmm.InputError, match="must be positive definite"):
        Anisotropic.cubic(100.0, 120.0, 50.0)
    with pytest.raises(hmm.InputError, match=r"must be a \(3, 3\) rotation matrix"):
        Anisotropic(good.stiffness, 2 * np.eye(3))
    with pytest.raises(hmm.InputError, match="is no matrix of numbers"):
        Anisotropic([[1.0, 2.0], [3.0]])
    with pytest.raises(hmm.InputError, match=r"must be a .* matrix of finite numbers"):
        Anisotropic.cubic(float("nan"), 1.0, 1.0)
    with pytest.raises(hmm.InputError, match=r"1 \+ nu23 = 0"):
        Anisotropic.transversely_isotropic(1.0, 1.0, 0.2, -1.0, 1.0)
    with pytest.raises(hmm.InputError, match="no material has Poisson's ratios"):
        Anisotropic.orthotropic((1.0, 10.0, 1.0), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    with pytest.raises(hmm.InputError, match=r"young = -1.0 must be positive"):
        Anisotropic.orthotropic((1.0, -1.0, 1.0), (0.1, 0.1, 0.1), (1.0, 1.0, 1.0))
    with pytest.raises(hmm.InputError, match="give three numbers for each"):
        Anisotropic.orthotropic((1.0, 1.0), (0.1, 0.1, 0.1), (1.0, 1.0, 1.0))
    with pytest.raises(hmm.InputError, match="give it without a rotation"):
        crystal.laws(replace(good, rotation=TURN))
