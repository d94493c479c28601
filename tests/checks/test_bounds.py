"""Reuss <= minimal <= periodic <= dirichlet <= Voigt as quadratic forms, at the same mesh."""

from itertools import pairwise

import numpy as np
import pytest
from support import closed_forms
from support.cells_and_rves import CONSTRAINTS, strain_rve

import hmm

MATRIX, STIFF = (70e3, 0.33), (400e3, 0.2)


def chain(cell, inclusion):
    """Mandel stiffnesses from the lower to the upper bound."""
    materials = {"matrix": MATRIX, inclusion: STIFF}
    law = {phase: hmm.laws.Elastic(*m) for phase, m in materials.items()}
    fractions = [cell.volume_fractions[phase] for phase in materials]
    local = [closed_forms.isotropic(*m)[: cell.dim, : cell.dim, : cell.dim, : cell.dim] for m in materials.values()]
    voigt, reuss = closed_forms.voigt_reuss(fractions, [closed_forms.mandel(C) for C in local])
    size = len(voigt)
    computed = [strain_rve(cell, law, name).solve(np.zeros(size)).tangent for name in CONSTRAINTS]
    return [reuss, *computed, voigt]


@pytest.mark.parametrize(
    ("make", "inclusion"),
    [
        pytest.param(lambda: hmm.cells.fibre(0.3, mesh_size=0.2), "fibre", id="2D fibre"),
        pytest.param(lambda: hmm.cells.fibre(0.3, array="hexagonal", mesh_size=0.2), "fibre", id="2D rhombic cell"),
        pytest.param(lambda: hmm.cells.sphere(0.2, mesh_size=0.4), "inclusion", id="3D sphere"),
    ],
)
def test_constraints_are_ordered(make, inclusion):
    stiffnesses = chain(make(), inclusion)
    scale = np.abs(stiffnesses[-1]).max()
    for lower, upper in pairwise(stiffnesses):
        eigenvalues = np.linalg.eigvalsh(upper - lower)
        assert eigenvalues[0] >= -1e-9 * scale
        assert eigenvalues[-1] > 1e-3 * scale  # they are five different numbers


def test_a_laminate_meets_the_bounds_it_should():
    """Along the layers the strain is uniform (Voigt holds for shear there); across, the traction is (Reuss)."""
    cell = hmm.cells.laminate({"A": 0.6, "B": 0.4}, dim=3, mesh_size=0.5)
    C = strain_rve(cell, {"A": hmm.laws.Elastic(*MATRIX), "B": hmm.laws.Elastic(*STIFF)}).solve(np.zeros(6)).tangent
    local = [closed_forms.mandel(closed_forms.isotropic(*m)) for m in (MATRIX, STIFF)]
    voigt, reuss = closed_forms.voigt_reuss([0.6, 0.4], local)
    assert C[5, 5] == pytest.approx(voigt[5, 5], rel=1e-12)  # 23
    assert C[3, 3] == pytest.approx(reuss[3, 3], rel=1e-12)  # 12


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_units_do_not_matter(constraint):
    """SI at the micrometre: moduli of 1e11 and a cell of 1e-6, where the multipliers' rows are 1e-17 of the others."""
    cells = [hmm.cells.fibre(0.3, mesh_size=0.2 * size, size=size) for size in (1.0, 1e-6)]
    tangents = []
    for cell, unit in zip(cells, (1.0, 1e6), strict=True):
        law = {
            "matrix": hmm.laws.J2(70e3 * unit, 0.33, 100 * unit, 1e3 * unit),
            "fibre": hmm.laws.Elastic(4e5 * unit, 0.2),
        }
        rve = strain_rve(cell, law, constraint)
        tangents.append(rve.solve([[3e-3, 1e-3], [1e-3, 0.0]]).tangent / unit)
    assert np.abs(tangents[1] - tangents[0]).max() < 1e-9 * np.abs(tangents[0]).max()
