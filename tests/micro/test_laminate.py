"""Laminates: their fluctuation is piecewise linear, so first-order elements meet the closed forms exactly."""

import numpy as np
import pytest
from support import closed_forms, references
from support.cells_and_rves import neo_hookean_rve, relative_error, strain_rve

import hmm
from hmm.foundation import tensors

FRACTIONS = {"A": 0.6, "B": 0.4}
A, B = (70e3, 0.33), (400e3, 0.2)
J2_LAWS = {"A": hmm.laws.J2(*A, yield_stress=100.0, hardening=1000.0), "B": hmm.laws.Elastic(*B)}


def stiffness(cell, **kwargs):
    """Stiffness tensor ``C_ijkl`` of the linear laminate."""
    rve = strain_rve(cell, {"A": hmm.laws.Elastic(*A), "B": hmm.laws.Elastic(*B)}, **kwargs)
    tangent = rve.solve(np.zeros(rve.n_inputs)).tangent
    return tensors.symmetric(cell.dim).to_fourth_order(tangent)


def test_the_two_closed_forms_agree_with_each_other_and_the_table():
    C = closed_forms.backus([0.6, 0.4], [A, B])
    jump = closed_forms.laminate([0.6, 0.4], [closed_forms.isotropic(*A), closed_forms.isotropic(*B)], [1, 0, 0])
    assert relative_error(C, jump) < 1e-14
    names = {"C11": C[0, 0, 0, 0], "C12": C[0, 0, 1, 1], "C22": C[1, 1, 1, 1], "C23": C[1, 1, 2, 2]}
    names |= {"C44": C[1, 2, 1, 2], "C55": C[0, 1, 0, 1]}
    assert names == pytest.approx(references.LAMINATE_LINEAR, rel=1e-7)  # digits of the table


@pytest.mark.parametrize("normal", [0, 1])
def test_stiffness_in_plane_strain(normal):
    cell = hmm.cells.laminate(FRACTIONS, normal=normal, mesh_size=0.5)
    exact = closed_forms.plane_strain(closed_forms.backus([0.6, 0.4], [A, B], normal))
    assert relative_error(stiffness(cell), exact) < 1e-12


@pytest.mark.parametrize("normal", [0, 1, 2])
def test_stiffness_in_3d(normal):
    cell = hmm.cells.laminate(FRACTIONS, dim=3, normal=normal, mesh_size=0.5)
    assert relative_error(stiffness(cell), closed_forms.backus([0.6, 0.4], [A, B], normal)) < 1e-12


def test_neither_the_unit_of_length_nor_the_order_of_layers_matters():
    layers = [("A", 0.25), ("B", 0.15), ("A", 0.35), ("B", 0.25)]
    cell = hmm.cells.laminate(layers, size=1e-3, mesh_size=0.5e-3)
    exact = closed_forms.plane_strain(closed_forms.backus([0.6, 0.4], [A, B]))
    assert relative_error(stiffness(cell), exact) < 1e-12


DIRECTIONS = {
    "e11": np.diag([1.0, 0, 0]),
    "e22": np.diag([0, 1.0, 0]),
    "gamma12": np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]]),
    "gamma23": np.array([[0, 0, 0], [0, 0, 0.5], [0, 0.5, 0]]),
    "mixed": np.array([[0.2, 0.5, 0], [0.5, 1.0, 0], [0, 0, -0.4]]),
}
EXACT_IN_ONE_STEP = {"e11", "gamma12", "gamma23"}
"""Each layer's deviatoric strain keeps its direction: backward Euler with linear hardening then makes no time error."""


def out_of_plane_stress(rve):
    """<s33> of a plane-strain cell."""
    return sum(rve.average(rve.local_response(phase)[2, 2], phase) for phase in rve.cell.phases)


def stress_rows(rve, direction, substeps):
    """Rows (s11, s22, s33, s12, s23) at the reference levels, `substeps` backward-Euler steps between them."""
    state, last, rows, d = None, 0.0, [], rve.cell.dim
    for level in references.LAMINATE_J2_LEVELS:
        for t in np.linspace(last, level, substeps + 1)[1:]:
            response = rve.solve(t * direction[:d, :d], state)
            state = response.state
        s = response.stress
        s33, s23 = (out_of_plane_stress(rve), 0.0) if d == 2 else (s[2, 2], s[1, 2])
        rows.append((s[0, 0], s[1, 1], s33, s[0, 1], s23))
        last = level
    return np.array(rows)


@pytest.fixture(scope="module")
def j2_rves():
    return {dim: strain_rve(hmm.cells.laminate(FRACTIONS, dim=dim, mesh_size=1.0), J2_LAWS) for dim in (2, 3)}


@pytest.mark.parametrize(("dim", "path"), [(2, "e11"), (2, "e22"), (2, "gamma12"), *((3, path) for path in DIRECTIONS)])
def test_j2_history(j2_rves, dim, path):
    """The 2D cell is in plane strain, where <s33> comes from the local stress."""
    reference = np.array(references.LAMINATE_J2[path])
    rows = stress_rows(j2_rves[dim], DIRECTIONS[path], 1 if path in EXACT_IN_ONE_STEP else 400)
    assert np.abs(rows - reference).max() < 1e-7 * np.abs(reference).max()  # the same algorithm: digits of the table


def test_j2_time_error_is_first_order(j2_rves):
    exact, coarse, fine = (stress_rows(j2_rves[2], DIRECTIONS["e22"], n) for n in (160, 5, 10))
    ratio = np.abs(coarse - exact).max() / np.abs(fine - exact).max()
    assert 1.7 < ratio < 2.5


NEOHOOKE = {"one": (1.0, 2.0), "two": (10.0, 15.0)}


@pytest.mark.parametrize("case", references.LAMINATE_NEOHOOKE)
def test_neo_hookean_laminate(case):
    reference = references.LAMINATE_NEOHOOKE[case]
    cell = hmm.cells.laminate({"one": 0.7, "two": 0.3}, normal=reference["normal"], mesh_size=0.5)
    rve, density = neo_hookean_rve(cell, NEOHOOKE)
    response = rve.solve(reference["F"])
    A = tensors.general(2, 2).to_fourth_order(response.tangent)
    values = {"A_1111": A[0, 0, 0, 0], "A_1212": A[0, 1, 0, 1], "A_1122": A[0, 0, 1, 1]}
    values["W"] = sum(rve.average(W, phase) for phase, W in density.items())
    assert relative_error(response.stress, reference["P"]) < 1e-7
    assert values == pytest.approx({name: reference[name] for name in values}, rel=1e-7)
    F = rve.local()
    F_one = [[rve.average(F[i, j], "one") / 0.7 for j in range(2)] for i in range(2)]
    assert relative_error(F_one, reference["F_phase1"]) < 1e-7
