"""Cells driven by stress: plane stress, generalised plane strain, uniaxial tests, fluxes, at small and finite strain.

Closed forms hold to round-off where the discrete problem contains them (homogeneous cells, laminates of P1 elements);
two elastic references are met to what their meshes allow, said beside each.
"""

from mpi4py import MPI

import numpy as np
import pytest
from support import closed_forms
from support.cells_and_rves import TIGHT, conduction_rve, neo_hookean, relative_error, strain_rve
from support.macro_tools import homogeneous_cell, square_cell
from support.references import ELASTIC_DISCS_SQUARE, ELASTIC_SPHERES_SC

import hmm
from hmm.micro.newton import newton

E0, NU = 70e3, 0.3
STEEL = hmm.laws.Elastic(E0, NU)
STIFF = hmm.laws.Elastic(400e3, 0.2)
J2 = hmm.laws.J2(E0, NU, yield_stress=100.0, hardening=700.0)
PHASES = {"matrix": 0, "fibre": 1}
PLANE_STRESS = E0 / (1 - NU**2) * np.array([[1, NU, 0], [NU, 1, 0], [0, 0, 1 - NU]])


def generalised(cell, law, degree=1, **options):
    """An RVE of a 2D cell with the component 33."""
    w, E = hmm.fluctuation(cell, degree), hmm.macro_strain(cell, out_of_plane=True)
    return hmm.RVE(cell, w, E, law=law, newton_options=TIGHT, **options)


@pytest.fixture(scope="module")
def composite():
    return generalised(square_cell(), {"matrix": J2, "inclusion": STIFF})


def controlled_differences(control, E, state, h):
    """Tangent of a controlled problem by central differences."""
    columns = [
        (control.solve(E + d, state).vector - control.solve(E - d, state).vector) / (2 * h) for d in h * np.eye(E.size)
    ]
    return np.column_stack(columns)


@pytest.mark.parametrize("dim", [2, 3])
def test_plane_stress_of_a_homogeneous_cell(dim):
    cell = homogeneous_cell(dim)
    rve = generalised(cell, {"matrix": STEEL}) if dim == 2 else strain_rve(cell, {"matrix": STEEL})
    sheet = hmm.plane_stress(rve)
    answer = sheet.solve([[1e-3, 2e-4], [2e-4, -5e-4]])
    assert sheet.inputs[0].packing.shape == (2, 2)
    assert relative_error(answer.tangent, PLANE_STRESS) < 1e-12
    assert answer.stress == pytest.approx(
        E0 / (1 - NU**2) * (np.diag([1e-3 - NU * 5e-4, NU * 1e-3 - 5e-4]) + (1 - NU) * 2e-4 * np.eye(2)[::-1]),
        rel=1e-11,
    )
    assert answer.input[2, 2] == pytest.approx(-NU / (1 - NU) * 5e-4, rel=1e-10)
    assert np.abs(answer.full.stress[2]).max() < 1e-9


def test_in_plane_part_of_generalised_plane_strain_is_plane_strain(composite):
    plane = strain_rve(square_cell(), {"matrix": J2, "inclusion": STIFF})
    E = np.array([[3e-3, 1e-3], [1e-3, -1e-3]])
    wide = np.zeros((3, 3))
    wide[:2, :2] = E
    a, b = plane.solve(E), composite.solve(wide)
    assert b.stress[:2, :2] == pytest.approx(a.stress, rel=1e-9)
    keep = np.ix_([0, 1, 3], [0, 1, 3])
    assert relative_error(b.tangent[keep], a.tangent) < 1e-9
    sigma = sum(composite.average(composite.local_response(p)[2, 2], p) for p in ("matrix", "inclusion"))
    assert b.stress[2, 2] == pytest.approx(sigma, rel=1e-12)


def test_a_fibre_cell_is_the_same_in_2d_and_3d():
    """Square fibres along axis 3, hexahedra against quadrilaterals: the 3D field does not depend on x3."""
    law = {"matrix": J2, "fibre": STIFF}
    flat, deep = (hmm.cells.voxels(image, PHASES) for image in fibre_images())
    E = {"11": 4e-3, "12": 1e-3}
    answers = [hmm.plane_stress(rve).solve(E) for rve in (generalised(flat, law), strain_rve(deep, law))]
    assert answers[0].input[2, 2] < -1e-4
    assert answers[1].stress == pytest.approx(answers[0].stress, rel=1e-9)
    assert answers[1].input == pytest.approx(answers[0].input, abs=1e-11)
    assert relative_error(answers[1].tangent, answers[0].tangent) < 1e-8


def fibre_images():
    """Labels of a 4 x 4 cell with a square fibre, in 2D and two layers deep in 3D."""
    flat = np.zeros((4, 4), dtype=int)
    flat[1:3, 1:3] = 1
    return flat, np.repeat(flat[:, :, None], 2, axis=2)


def test_tangent_of_the_controlled_problem(composite):
    """Against central differences, plastic, with the history of a first step."""
    control = hmm.MixedControl(composite, {"22": 10.0, "33": 0.0})
    E = np.array([6e-3, 1e-3])
    old = control.solve(0.5 * E).state
    answer = control.solve(E, old)
    assert answer.iterations > 1
    assert answer.full.stress[1, 1] == pytest.approx(10.0, abs=1e-8)
    assert relative_error(answer.tangent, controlled_differences(control, E, old, 1e-8)) < 1e-7


def test_newton_is_quadratic(composite):
    """The bordered Newton method squares its residual near the solution."""
    control = hmm.plane_stress(composite)
    state = control.initial_state()
    control.system.load_history(state.history)
    norms = np.array(newton(control.system, state.z.copy(), np.array([2e-3, 0, 1e-3]), TIGHT).norms) / E0
    assert len(norms) <= 8
    assert norms[-1] < 1e3 * norms[-2] ** 2 or norms[-1] < 1e-13


def test_stress_given_is_the_inverse_of_strain_given(composite):
    """All stresses prescribed: the strain that has them comes back."""
    E = np.array([[2e-3, 1e-3, 0], [1e-3, 1e-3, 0], [0, 0, -1e-3]])
    stress = composite.solve(E).stress
    names = {"11": (0, 0), "22": (1, 1), "33": (2, 2), "21": (0, 1)}
    control = hmm.MixedControl(composite, {name: stress[index] for name, index in names.items()})
    answer = control.solve({})
    assert answer.vector.size == 0
    assert answer.input == pytest.approx(E, abs=1e-10)


def test_uniaxial_j2_is_the_bilinear_curve():
    """sigma = E eps up to the yield stress, then with the slope ``E H / (E + H)``; free contraction, 3D cell."""
    rve = strain_rve(homogeneous_cell(3), {"matrix": J2})
    yield_strain = 100.0 / E0
    levels = yield_strain * np.array([0.5, 1.0, 2.0, 4.0])
    test = hmm.uniaxial(rve, "11", levels)
    slope = E0 * 700 / (E0 + 700)
    exact = np.where(levels <= yield_strain, E0 * levels, 100.0 + slope * (levels - yield_strain))
    assert test.stress == pytest.approx(exact, rel=1e-9)
    assert test.moduli[[0, 3]] == pytest.approx([E0, slope], rel=1e-7)
    back = hmm.uniaxial(rve, "11", levels[-1:] - yield_strain, test.responses[-1].state)
    assert back.stress == pytest.approx(exact[-1:] - 100.0, rel=1e-9)  # unloading is elastic


def test_uniaxial_laminate():
    """Across the layers with all lateral stresses free: from the compliance of the closed form (Backus 1962)."""
    cell = hmm.cells.laminate({"A": 0.6, "B": 0.4}, dim=3, mesh_size=0.5)
    rve = strain_rve(cell, {"A": hmm.laws.Elastic(70e3, 0.33), "B": STIFF})
    S = np.linalg.inv(closed_forms.mandel(closed_forms.backus([0.6, 0.4], [(70e3, 0.33), (400e3, 0.2)])))
    for k, direction in enumerate(("11", "22")):
        test = hmm.uniaxial(rve, direction, [1e-3])
        strain = np.diag(test.responses[0].input)
        assert test.moduli == pytest.approx([1 / S[k, k]], rel=1e-10)
        assert strain / 1e-3 == pytest.approx(S[k, :3] / S[k, k], abs=1e-10)


def test_uniaxial_references():
    """Young's modulus and Poisson's ratio from the stiffnesses of references."""
    law = {"matrix": hmm.laws.Elastic(1.0, 0.3), "inclusion": hmm.laws.Elastic(10.0, 0.3)}
    test = hmm.uniaxial(strain_rve(hmm.cells.sphere(0.1, mesh_size=0.3), law, degree=2), "11", [1e-3])
    c, A = ELASTIC_SPHERES_SC[10], test.responses[0].full.tangent
    young, poisson = test.moduli[0], -test.responses[0].input[1, 1] / 1e-3
    assert (young, poisson) == pytest.approx(cubic(A[0, 0], A[0, 1]), rel=2e-3)  # the mesh is not quite cubic
    assert (young, poisson) == pytest.approx(cubic(c["C11"], c["C12"]), rel=1.2e-2)  # 0.8 % with a mesh size of 0.2


def cubic(c11, c12):
    """Young's modulus and Poisson's ratio along the axis of a cubic stiffness."""
    return (c11 - c12) * (c11 + 2 * c12) / (c11 + c12), c12 / (c11 + c12)


def test_out_of_plane_stress_of_the_reference():
    """C1133 of fibres, and tension in the plane with E33 = 0, both from the reference (2e-5 at this mesh)."""
    law = {"matrix": hmm.laws.Elastic(1.0, 0.3), "fibre": hmm.laws.Elastic(10.0, 0.2)}
    rve = generalised(hmm.cells.fibre(0.3, mesh_size=0.05, order=2), law, degree=2)
    c = ELASTIC_DISCS_SQUARE[10]
    A = rve.solve(np.zeros((3, 3))).tangent
    assert A[2, 0] == pytest.approx(c["C1133"], rel=1e-4)
    answer = hmm.MixedControl(rve, {"22": 0.0}).solve({"11": 1e-3})
    assert answer.tangent[0, 0] == pytest.approx(c["C1111"] - c["C1122"] ** 2 / c["C1111"], rel=1e-4)


def test_finite_strain_tension():
    """Compressible neo-Hookean, homogeneous: P33 = 0 and P22 = 0 with free stretches; tangent by differences."""
    cell, mu, lam = homogeneous_cell(2), 1.0, 2.0
    w, F = hmm.fluctuation(cell), hmm.macro_deformation_gradient(cell, out_of_plane=True)
    energy = neo_hookean_3d(F.local(w), mu, lam) * cell.measure(quadrature_degree=2)
    rve = hmm.RVE(cell, w, F, energy=energy, newton_options=TIGHT)
    assert F.packing.labels == ("11", "12", "21", "22", "33")
    test = hmm.uniaxial(rve, "11", [1.1, 1.5])
    for stretch, answer in zip((1.1, 1.5), test.responses, strict=True):
        lateral = np.diag(answer.input)[1:]
        assert lateral[0] == pytest.approx(lateral[1], rel=1e-10)
        log_J = np.log(stretch * lateral[0] ** 2)
        assert mu * (lateral[0] - 1 / lateral[0]) + lam * log_J / lateral[0] == pytest.approx(0, abs=1e-10)
        assert answer.vector[0] == pytest.approx(mu * (stretch - 1 / stretch) + lam * log_J / stretch, rel=1e-10)
    sheet = hmm.plane_stress(rve)
    G = np.array([1.2, 0.3, -0.1, 0.9])
    answer = sheet.solve(G)
    assert sheet.inputs[0].packing.shape == (2, 2)
    assert answer.full.stress[2, 2] == pytest.approx(0, abs=1e-11)
    assert relative_error(answer.tangent, controlled_differences(sheet, G, answer.state, 1e-5)) < 1e-8
    assert hmm.checks.hill_mandel_defect(rve, answer.full) < 1e-10


def neo_hookean_3d(F, mu, lam):
    """Energy density ``mu/2 (F:F - 3 - 2 ln J) + lam/2 (ln J)^2``: the plane-strain one plus what F33 adds."""
    return neo_hookean(F, mu, lam) - mu / 2


def test_a_flux_is_prescribed():
    """Across a laminate the conductivity is the harmonic mean: gradient = flux / k."""
    cell = hmm.cells.laminate({"A": 0.5, "B": 0.5}, dim=2, mesh_size=0.25)
    control = hmm.MixedControl(conduction_rve(cell, {"A": 1.0, "B": 4.0}), {"1": 3.2})
    answer = control.solve({"2": 1.0})
    assert answer.input == pytest.approx([3.2 / 1.6, 1.0], rel=1e-10)
    assert answer.vector == pytest.approx([2.5], rel=1e-10)
    assert control.solve({}, response={"1": 1.6}).input[0] == pytest.approx(1.0, rel=1e-10)


def test_a_state_of_the_rve_starts_a_controlled_step(composite):
    """After strain control, the stress is let go: what stays is the plastic strain's doing."""
    loaded = composite.solve({"11": 5e-3})
    free = hmm.MixedControl(composite, {"11": 0.0, "22": 0.0, "33": 0.0, "12": 0.0})
    released = free.solve({}, loaded.state)
    assert released.input[0, 0] > 1e-4
    assert np.abs(released.full.vector).max() < 1e-8


def test_hill_mandel_holds_under_control(composite):
    control = hmm.MixedControl(composite, {"22": 20.0, "33": -10.0})
    answer = control.solve({"11": 4e-3})
    assert hmm.checks.hill_mandel_defect(composite, answer.full) < 1e-9
    assert hmm.checks.hill_mandel_defect(control, answer) < 1e-9


def test_bad_input(composite):
    with pytest.raises(hmm.InputError, match=r"'13' is not a macro component: the components are 11, 22, 33, 12"):
        hmm.MixedControl(composite, {"13": 0.0})
    with pytest.raises(hmm.InputError, match="component 12 is prescribed twice"):
        hmm.MixedControl(composite, {"12": 0.0, "21": 0.0})
    control = hmm.MixedControl(composite, {"22": 0.0})
    with pytest.raises(hmm.InputError, match="component 22 is prescribed twice: its response is prescribed"):
        control.solve({"11": 1e-3, "22": 0.0})
    with pytest.raises(hmm.InputError, match="response 33 is not prescribed in this MixedControl, which has: 22"):
        control.solve({}, response={"33": 0.0})
    with pytest.raises(hmm.InputError, match="must be a finite number"):
        control.prescribe({"22": np.nan})
    with pytest.raises(hmm.InputError, match="has no component 33"):
        hmm.plane_stress(strain_rve(homogeneous_cell(2), {"matrix": STEEL}))
    with pytest.raises(hmm.InputError, match="a state of one of the two"):
        control.solve({}, hmm.PointState(np.zeros(3), np.zeros(0)))


def test_a_component_without_stiffness_is_named():
    """An energy without E33: no value of it changes the stress 33."""
    cell = homogeneous_cell(2)
    w, F = hmm.fluctuation(cell), hmm.macro_strain(cell, out_of_plane=True)
    e = F.local(w)
    energy = (e[0, 0] ** 2 + e[1, 1] ** 2 + e[0, 1] ** 2) * cell.measure()
    rve = hmm.RVE(cell, w, F, energy=energy)
    with pytest.raises(hmm.InputError, match="no stiffness against the component 33"):
        hmm.MixedControl(rve, {"33": 0.0, "22": 0.0}).solve({"11": 1e-3})


@pytest.mark.mpi
def test_a_cell_on_all_ranks():
    """A cell spread over the ranks has its free components on the last one."""
    cells = [hmm.cells.voxels(fibre_images()[0], PHASES, comm=c) for c in (MPI.COMM_SELF, MPI.COMM_WORLD)]
    alone, spread = (
        hmm.plane_stress(generalised(c, {"matrix": J2, "fibre": STIFF})).solve({"11": 4e-3}) for c in cells
    )
    assert spread.vector == pytest.approx(alone.vector, rel=1e-9)
    assert relative_error(spread.tangent, alone.tangent) < 1e-8
