"""Rigid phases: against exact stiffnesses of rigid discs, the stated error, finite strain, and what is refused."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support import references
from support.cells_and_rves import relative_error

import hmm
from hmm.foundation import tensors
from hmm.laws import J2, Anisotropic, Elastic, Fourier, GeneralizedMaxwell, NeoHooke, Rigid, ThermoElastic, combine
from hmm.laws.rigid import without_rigid


@pytest.fixture(scope="module")
def discs():
    return hmm.cells.fibre(0.3, mesh_size=0.05, order=2)


def strain_rve(cell, law, degree=2, **options):
    return hmm.RVE(cell, hmm.fluctuation(cell, degree), hmm.macro_strain(cell), law=law, **options)


@pytest.mark.mpi
def test_rigid_discs(discs):
    rve = strain_rve(discs, {"matrix": Elastic(1.0, 0.3), "fibre": Rigid()})
    C = tensors.symmetric(2).to_fourth_order(rve.solve(np.zeros((2, 2))).tangent)
    values = {"C1111": C[0, 0, 0, 0], "C1122": C[0, 0, 1, 1], "C1212": C[0, 1, 0, 1]}
    assert values == pytest.approx(references.ELASTIC_DISCS_SQUARE_RIGID, rel=1e-4)
    rve.destroy()


def test_the_error_is_the_energy_of_the_phase_and_falls_with_the_contrast():
    cell = hmm.cells.fibre(0.3, mesh_size=0.15)
    E, energies, own = np.diag([1.0, 0.0]), {}, {}
    for contrast in (1e2, 1e3, 1e5, 1e7):
        rve = strain_rve(cell, {"matrix": Elastic(1.0, 0.3), "fibre": Rigid(contrast)}, solver="direct")
        energies[contrast] = rve.solve(E).stress[0, 0] / 2
        own[contrast] = rve.average(rve.law["fibre"].energy(rve.at("fibre")), "fibre")
    for contrast in (1e2, 1e3, 1e5):
        error = energies[1e7] - energies[contrast]
        assert error == pytest.approx(own[contrast], rel=3 / contrast + 0.02)
        assert 0.45 < error / energies[1e7] * contrast < 0.6


@pytest.mark.parametrize("solver", ["direct", "iterative", "reuse"])
def test_all_solvers_and_constraints(solver):
    cell = hmm.cells.fibre(0.3, mesh_size=0.15)
    for constraint in ("periodic", "dirichlet"):
        law = {"matrix": J2(1.0, 0.3, 0.01, 0.1), "fibre": Rigid()}
        rve = strain_rve(cell, law, 1, constraint=constraint, solver=solver)
        exact = strain_rve(cell, law, 1, constraint=constraint, solver="direct")
        E = np.array([[0.02, 0.01], [0.01, 0.0]])
        assert relative_error(rve.solve(E).vector, exact.solve(E).vector) < 1e-5


def test_a_rigid_disc_turns_and_does_not_strain():
    cell = hmm.cells.fibre(0.3, mesh_size=0.15)
    law = {"matrix": NeoHooke(1.0, 0.3), "fibre": Rigid()}
    rve = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_deformation_gradient(cell), law=law)
    Q = Rotation.from_rotvec([0, 0, 0.5]).as_matrix()[:2, :2]
    assert np.abs(rve.solve(Q).vector).max() < 1e-8
    state = None
    for gamma in (0.1, 0.2, 0.3, 0.4):
        answer = rve.solve(np.array([[1.0, gamma], [0.0, 1.0]]), state)
        state = answer.state
    area = cell.volume_fractions["fibre"]
    F = rve.at("fibre").deformation_gradient
    mean = np.array([[rve.average(F[i, j], "fibre") for j in range(2)] for i in range(2)]) / area
    assert np.abs(mean.T @ mean - np.eye(2)).max() < 1e-4
    assert 0.1 < np.arctan2(mean[0, 1], mean[0, 0]) < 0.4  # as the mean rotation of the shear, atan(0.2)


def test_homogenize_and_phases_that_touch():
    """Rigid layers percolate: the soft ones alone give way across, and along them the stand-in answers."""
    cell = hmm.cells.laminate({"soft": 0.5, "hard": 0.5}, mesh_size=0.5)
    found = hmm.homogenize(cell, {"soft": Elastic(1.0, 0.3), "hard": Rigid(1e4)})
    assert found.tensor[0, 0] == pytest.approx(2 * 0.7 / 0.52, rel=2e-4)  # lambda + 2 mu of half the height
    assert found.tensor[1, 1] == pytest.approx(0.5 * 2.5e4, rel=1e-3)


def test_it_is_relative_to_the_stiffest_other_phase():
    """The largest eigenvalue of the other stiffnesses: 3 kappa = E / (1 - 2 nu), 2 mu, or of a cubic crystal."""
    for others, modulus in (
        ([Elastic(2.0, 0.3), Elastic(5.0, 0.2)], 5.0 / 0.6),
        ([Elastic(1.0, -0.5)], 2.0),
        ([Anisotropic.cubic(168.4, 121.4, 75.4)], 168.4 + 2 * 121.4),
        ([GeneralizedMaxwell(1.0, 0.3, ((1000.0, 1.0),))], 2002.5),
        ([J2(3.0, 0.3, 1.0)], 7.5),
        ([combine(Elastic(1.0, 0.0), Elastic(2.0, 0.0), add=("strain",))], 2.0),
    ):
        stand_in = without_rigid({"r": Rigid(100.0), **{str(k): law for k, law in enumerate(others)}})["r"]
        assert (stand_in.young, stand_in.poisson) == (pytest.approx(100 * modulus, rel=1e-12), 0.0)
    assert without_rigid({"r": Rigid(100.0, young=7.0), "o": Elastic(1.0, 0.3)})["r"].young == 700.0


@pytest.mark.parametrize(
    ("laws", "message"),
    [
        ({"a": Rigid()}, "of deformation_gradient, but there are none"),
        ({"a": Rigid(), "b": Fourier(1.0)}, "there are 'b' with gradient: give it a stiff law of your own"),
        ({"a": Rigid(), "b": ThermoElastic(1.0, 0.3, 0.0)}, "'b' with strain and temperature"),
        ({"a": Rigid(), "b": combine(Elastic(1.0, 0.3), Fourier(1.0))}, "'b' with strain and gradient"),
    ],
)
def test_what_is_refused(laws, message):
    with pytest.raises(hmm.InputError, match=message):
        without_rigid(laws)


def test_a_law_that_does_not_say_how_stiff_it_is():
    class Own(hmm.laws.Memoryless):
        fields = ("strain",)

        def response(self, at):
            return at.strain

    with pytest.raises(hmm.InputError, match="Own, have no known modulus: give young="):
        without_rigid({"a": Rigid(), "b": Own()})
    assert without_rigid({"a": Rigid(young=2.0), "b": Own()})["a"].young == 2e5
    with pytest.raises(hmm.InputError, match=r"Rigid: contrast = 10.0 must be in \[100, 1e\+08\]"):
        Rigid(10)
