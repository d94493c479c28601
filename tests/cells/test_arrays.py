"""Periodic arrays of discs and spheres against multipole and Trefftz solutions.

Second-order fields on curved meshes. The stiffness of a periodic cell is an energy, so its error is the square of the
field's: about h^4. Errors of the entries, relative, as the mesh is refined (measured once):

    discs, elastic         0.1: 3e-3    0.05: 3e-4    0.025: 2.4e-5   (worst entry: C1212 of the void)
    discs, conduction      0.1: 1.2e-4  0.05: 8e-6    0.025: 7e-7
    spheres, elastic       0.2: 7e-3    0.15: 6e-3    0.1: 1.7e-3
    spheres, conduction    0.2: 2.8e-3  0.15: 2.1e-3  0.1: 4.4e-4     0.07: 1.3e-4
    J2 discs, shear        0.1: 2.3e-3  0.05: 6.3e-4  0.03: 1.9e-4    (the reference is good to 1e-3)
"""

import numpy as np
import pytest
from support import references
from support.cells_and_rves import conduction_rve, follow, plane_strain_tensor, relative_error, strain_rve

import hmm
from hmm.foundation import tensors
from hmm.laws import J2, Elastic


def disc_cell(void, mesh_size=0.05):
    return hmm.cells.fibre(0.3, mesh_size=mesh_size, order=2, void=void)


@pytest.fixture(scope="module")
def disc_cells():
    return {void: disc_cell(void) for void in (True, False)}


@pytest.fixture(scope="module")
def sphere_cells():
    return {void: hmm.cells.sphere(0.1, mesh_size=0.15, order=2, void=void) for void in (True, False)}


def stiffness(rve):
    return tensors.symmetric(rve.cell.dim).to_fourth_order(rve.solve(np.zeros(rve.n_inputs)).tangent)


def disc_rve(cell, young):
    law = {"matrix": Elastic(1.0, 0.3), "fibre": Elastic(float(young) or 1.0, 0.2)}
    return strain_rve(cell, {phase: law[phase] for phase in cell.phases}, degree=2)


@pytest.mark.parametrize("young", references.ELASTIC_DISCS_SQUARE)
def test_elastic_discs(disc_cells, young):
    rve = disc_rve(disc_cells[young == 0], young)
    C = stiffness(rve)
    reference = references.ELASTIC_DISCS_SQUARE[young]
    rve.solve(np.diag([1.0, 0.0]))
    values = {"C1111": C[0, 0, 0, 0], "C1122": C[0, 0, 1, 1], "C1212": C[0, 1, 0, 1]}
    values["C1133"] = sum(rve.average(rve.local_response(phase)[2, 2], phase) for phase in rve.cell.phases)
    assert values == pytest.approx(reference, rel=4e-4)
    assert C[1, 1, 1, 1] == pytest.approx(C[0, 0, 0, 0], rel=1e-5)  # the square's symmetry, not the mesh's
    assert abs(C[0, 0, 0, 1]) < 1e-5


def test_the_error_falls_with_the_fourth_power_of_the_mesh_size():
    reference = references.ELASTIC_DISCS_SQUARE[10]["C1111"]
    coarse, fine = (stiffness(disc_rve(disc_cell(False, h), 10))[0, 0, 0, 0] - reference for h in (0.1, 0.05))
    assert coarse > fine > 0  # a discretized energy is an upper bound
    assert 3.0 < np.log2(coarse / fine) < 4.5


@pytest.mark.parametrize("young", references.ELASTIC_SPHERES_SC)
def test_elastic_spheres(sphere_cells, young):
    cell = sphere_cells[young == 0]
    law = {"matrix": Elastic(1.0, 0.3), "inclusion": Elastic(float(young) or 1.0, 0.3)}
    C = stiffness(strain_rve(cell, {phase: law[phase] for phase in cell.phases}, degree=2))
    values = {"C11": C[0, 0, 0, 0], "C12": C[0, 0, 1, 1], "C44": C[0, 1, 0, 1]}
    assert values == pytest.approx(references.ELASTIC_SPHERES_SC[young], rel=6e-3)


@pytest.mark.parametrize("contrast", references.CONDUCTIVITY_DISCS_SQUARE)
def test_conductivity_of_discs(disc_cells, contrast):
    rve = conduction_rve(disc_cells[contrast == 0], {"matrix": 1.0, "fibre": contrast}, degree=2)
    k = references.CONDUCTIVITY_DISCS_SQUARE[contrast]
    assert rve.solve([1.0, 0.0]).stress == pytest.approx([k, 0.0], rel=1e-5, abs=1e-6)
    assert relative_error(rve.solve([0.0, 0.0]).tangent, k * np.eye(2)) < 1e-5


@pytest.mark.parametrize("contrast", references.CONDUCTIVITY_SPHERES_SC)
def test_conductivity_of_spheres(sphere_cells, contrast):
    rve = conduction_rve(sphere_cells[contrast == 0], {"matrix": 1.0, "inclusion": contrast}, degree=2)
    tangent = rve.solve(np.zeros(3)).tangent
    assert relative_error(tangent, references.CONDUCTIVITY_SPHERES_SC[contrast] * np.eye(3)) < 2.5e-3


def test_keller_reciprocity(disc_cells):
    """k(r) k(1/r) = 1 in a square array (Keller 1964); a discretized energy makes the product a little larger."""
    product = 1.0
    for contrast in (10.0, 0.1):
        rve = conduction_rve(disc_cells[False], {"matrix": 1.0, "fibre": contrast}, degree=2)
        product *= rve.solve(np.zeros(2)).tangent[0, 0]
    assert 1.0 < product < 1.0 + 2e-5


def test_plastic_discs_in_shear(disc_cells):
    law = {"matrix": J2(70e3, 0.3, yield_stress=100.0, hardening=1000.0), "fibre": Elastic(400e3, 0.2)}
    rve = strain_rve(disc_cells[False], law, degree=2)
    responses = follow(rve, [plane_strain_tensor(e12=5e-4 * (k + 1)) for k in range(20)])
    s12 = [response.stress[0, 1] for response in responses]
    assert s12 == pytest.approx(references.J2_DISCS_SHEAR_S12, rel=1.5e-3)
