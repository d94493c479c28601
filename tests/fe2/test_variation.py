"""Microstructures that vary over the macro mesh: regions, grades, chance, and the orientation of cells."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from dolfinx.fem import petsc
from scipy.spatial.transform import Rotation
from support import closed_forms
from support.heated import A, B, heated_rve
from support.macro_tools import (
    ALGORITHMS,
    J2,
    STIFF,
    _box_cell,
    beam,
    beam_mesh,
    cantilever,
    difference,
    halves,
    homogeneous_cell,
    neo_hooke_rve,
    rve_of,
    square_cell,
)

import hmm
from hmm.fe2 import orientation, variation
from hmm.fe2.quadrature_points import MacroPoints

COMM = MPI.COMM_WORLD
SOFT = hmm.laws.Elastic(70e3, 0.3)
pytestmark = pytest.mark.mpi


def layers(normal=0, law=J2):
    return rve_of(hmm.cells.laminate({"a": 0.6, "b": 0.4}, normal=normal, mesh_size=0.5), {"a": law, "b": STIFF})


def rotated(C, R):
    """Fourth-order stiffness in another frame: ``R R R R C``."""
    return np.einsum("ai,bj,ck,dl,ijkl->abcd", R, R, R, R, C)


def plane_rotation(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def composite_halves(algorithm="monolithic", **options):
    """A beam of plastic cells whose left and right half have different cells, of different size."""
    domain = beam_mesh((8, 2))
    coarse = rve_of(square_cell(), {"matrix": J2, "inclusion": STIFF})
    fine = rve_of(square_cell(8), {"matrix": J2, "inclusion": SOFT})
    return beam(variation.regions({1: coarse, 2: fine}, halves(domain)), algorithm, domain=domain, **options)


# -- regions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_regions_of_homogeneous_cells_are_a_problem_of_two_materials(algorithm):
    domain = beam_mesh()
    tags = halves(domain, 3, 7)
    rves = {tag: rve_of(homogeneous_cell(), {"matrix": law}) for tag, law in ((7, STIFF), (3, SOFT))}
    fe2 = beam(variation.regions(rves, tags), algorithm, domain=domain)
    fe2.reactions([-0.01])

    V, load, clamp, drive = cantilever(domain)
    load.value = -0.01
    u, v = ufl.TrialFunction(V), ufl.TestFunction(V)
    dx = ufl.Measure("dx", domain, subdomain_data=tags)
    eps = lambda w: ufl.sym(ufl.grad(w))  # noqa: E731
    a = 0
    for tag, law in ((3, SOFT), (7, STIFF)):
        lmbda, mu = closed_forms.lame_constants(law.young, law.poisson)
        a += (lmbda * ufl.tr(eps(u)) * ufl.tr(eps(v)) + 2 * mu * ufl.inner(eps(u), eps(v))) * dx(tag)
    rhs = ufl.inner(fem.Constant(domain, np.zeros(2)), v) * ufl.dx
    options = {"ksp_type": "preonly", "pc_type": "lu", "pc_factor_mat_solver_type": "mumps"}
    exact = petsc.LinearProblem(a, rhs, bcs=[clamp, drive], petsc_options_prefix="two_", petsc_options=options).solve()
    assert difference(fe2.u, exact) < 1e-11


def test_both_algorithms_find_the_same_plastic_solution():
    bodies = [composite_halves(algorithm) for algorithm in ALGORITHMS]
    first, second = (body.reactions([-0.06], 3) for body in bodies)
    assert first == pytest.approx(second, rel=1e-9)
    p = bodies[0].hom.point_average("matrix", "p")
    assert np.allclose(p, bodies[1].hom.point_average("matrix", "p"), atol=1e-9)
    assert COMM.allreduce(p.max(initial=0.0), MPI.MAX) > 1e-4, "not plastic: this would prove nothing"
    assert bodies[0].problem.stats[-1].iterations <= bodies[1].problem.stats[-1].iterations + 2


def test_kinds_with_the_same_rve_change_nothing():
    domain, rve = beam_mesh(), rve_of(square_cell(), {"matrix": J2, "inclusion": STIFF})
    one = beam(rve, domain=domain)
    two = beam(variation.regions({1: rve, 2: rve}, halves(domain)), domain=domain)
    assert two.reactions([-0.06], 2) == pytest.approx(one.reactions([-0.06], 2), rel=1e-12)
    assert two.hom.count == one.hom.count


# -- orientation -------------------------------------------------------------------------------------------------------


def test_rotated_by_a_right_angle_layers_along_x_are_layers_along_y():
    """Plastic, with history: the whole FE2 solution is that of the other cell."""
    rotated, other = beam(layers(0), orientation=np.pi / 2), beam(layers(1))
    path = [-0.04, -0.08, -0.03]
    assert rotated.reactions(path) == pytest.approx(other.reactions(path), rel=1e-10)
    assert difference(rotated.hom.stress, other.hom.stress) < 1e-9
    p = rotated.hom.point_average("a", "p")
    assert np.allclose(p, other.hom.point_average("a", "p"), atol=1e-12)
    assert COMM.allreduce(p.max(initial=0.0), MPI.MAX) > 1e-3
    assert rotated.problem.stats[0].iterations == other.problem.stats[0].iterations, "the tangent is rotated wrongly"


def test_rotated_finite_strain_cells():
    moduli = {"a": (80.0, 120.0), "b": (800.0, 1200.0)}
    cells = [hmm.cells.laminate({"a": 0.6, "b": 0.4}, normal=n, mesh_size=0.5) for n in (0, 1)]
    rotated = beam(neo_hooke_rve(cells[0], moduli), orientation=-np.pi / 2)
    other = beam(neo_hooke_rve(cells[1], moduli))
    assert rotated.reactions([0.5, 1.0]) == pytest.approx(other.reactions([0.5, 1.0]), rel=1e-9)
    assert rotated.problem.stats[-1].iterations == other.problem.stats[-1].iterations


def test_the_tangent_of_layers_at_any_angle_is_the_rotated_closed_form():
    C = closed_forms.plane_strain(closed_forms.backus([0.6, 0.4], [(70e3, 0.3), (400e3, 0.2)]))
    hom = beam(layers(law=SOFT), orientation=lambda x: 0.3 + 2 * x[0] * x[1]).hom
    slots = hom.tangents[0][0].function_space.dofmap.list[hom.cells].ravel()
    found = hom.tangents[0][0].x.array.reshape(-1, 3, 3)[slots]
    for x, tangent in zip(hom.coordinates(), found, strict=True):
        exact = closed_forms.mandel(rotated(C, plane_rotation(0.3 + 2 * x[0] * x[1])))
        assert np.allclose(tangent, exact, rtol=0, atol=1e-8 * exact.max())


def test_a_rotated_3d_cell_answers_in_the_macro_frame():
    """The stress of a homogeneous macro strain is ``R sigma_cell(R^T E R) R^T``, whatever way R is given."""
    rve = rve_of(hmm.cells.laminate({"a": 0.6, "b": 0.4}, dim=3, mesh_size=0.5), {"a": SOFT, "b": STIFF})
    C = closed_forms.backus([0.6, 0.4], [(70e3, 0.3), (400e3, 0.2)])
    R = Rotation.from_rotvec([0.4, -1.1, 0.7])
    domain = mesh.create_unit_cube(COMM, 1, 1, 2)
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (3,))))
    E = np.array([[1.0, 0.3, -0.2], [0.3, -0.5, 0.4], [-0.2, 0.4, 0.2]]) * 1e-3
    u.interpolate(lambda x: E @ x)
    exact = np.einsum("ijkl,kl->ij", rotated(C, R.as_matrix()), E)
    first_axis = R.as_matrix()[:, 0]
    spread = fem.Function(fem.functionspace(domain, ("DG", 0, (3,))))
    spread.x.array.reshape(-1, 3)[:] = 5 * first_axis
    everywhere = Rotation.from_matrix(np.repeat(R.as_matrix()[None], 1, axis=0))
    ways = (R, R.as_matrix(), lambda x: np.repeat(R.as_matrix()[..., None], x.shape[1], axis=2))
    ways += (ufl.as_matrix(R.as_matrix().tolist()) * fem.Constant(domain, 1.0), first_axis, spread)
    ways += (lambda x: Rotation.concatenate([everywhere] * x.shape[1]) if x.shape[1] else np.zeros((3, 3, 0)),)
    for way in ways:  # of layers only the direction of the normal matters
        hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree=1, orientation=way)
        assert hom.evaluate()
        stress = hom.stress.x.array.reshape(-1, 3, 3)[: hom.n_points]
        assert np.allclose(stress, exact, rtol=0, atol=1e-9 * np.abs(exact).max())


@pytest.mark.parametrize("direction", [[1, 0, 0], [-1, 0, 0], [-1, 1e-9, 0], [0, 0, -1], [0.3, -0.5, 0.2]])
def test_a_direction_is_where_the_first_axis_goes(direction):
    R = orientation._rotation_to(np.array([direction]) / np.linalg.norm(direction))[0]
    assert np.allclose(R @ [1, 0, 0], np.array(direction) / np.linalg.norm(direction), atol=1e-8)
    assert np.allclose(R @ R.T, np.eye(3), atol=1e-8)
    assert np.isclose(np.linalg.det(R), 1)


def test_several_inputs_are_rotation_together():
    """Thermo-mechanics: strain and temperature gradient are rotated, the temperature is not."""
    cells = [hmm.cells.laminate({"A": 0.6, "B": 0.4}, normal=n, mesh_size=0.5) for n in (0, 1)]
    rotated, other = (heated_rve(cell, {"A": A, "B": B}) for cell in cells)
    domain = mesh.create_unit_square(COMM, 2, 2)
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 2, (2,))))
    u.interpolate(lambda x: 1e-3 * np.stack([x[0] * x[1], x[1] ** 2 - x[0]]))
    T = fem.Function(fem.functionspace(domain, ("Lagrange", 1)))
    T.interpolate(lambda x: 3 * x[0] - x[1])
    strains = [ufl.sym(ufl.grad(u)), T, ufl.grad(T)]
    homs = [hmm.Homogenizer(rotated, strains, orientation=[[0, -1], [1, 0]]), hmm.Homogenizer(other, strains)]
    assert all(hom.evaluate() for hom in homs)
    for a, b in zip(homs[0].responses, homs[1].responses, strict=True):
        assert difference(a, b) < 1e-10
    for a, b in zip(sum(homs[0].tangents, ()), sum(homs[1].tangents, ()), strict=True):
        assert np.allclose(a.x.array, b.x.array, rtol=0, atol=1e-9 * max(np.abs(b.x.array).max(initial=0.0), 1.0))


def test_plane_stress_cells_turn_in_their_plane():
    bodies = []
    for normal, angle in ((0, np.pi / 2), (1, None)):
        cell = hmm.cells.laminate({"a": 0.6, "b": 0.4}, normal=normal, mesh_size=0.5)
        E = hmm.macro_strain(cell, out_of_plane=True)
        rve = hmm.RVE(cell, hmm.fluctuation(cell), E, law={"a": J2, "b": STIFF})
        bodies.append(beam(hmm.plane_stress(rve), orientation=angle))
    first, second = (body.reactions([-0.06, -0.1]) for body in bodies)
    assert first == pytest.approx(second, rel=1e-8)


# -- grades ------------------------------------------------------------------------------------------------------------


def graded_layers(n):
    """Layers of n fractions of the stiff phase from 0.2 to 0.6."""
    fractions = np.linspace(0.2, 0.6, n)
    cells = {float(f): hmm.cells.laminate({"a": 1 - f, "b": f}, mesh_size=0.5) for f in fractions}
    return {f: rve_of(cell, {"a": SOFT, "b": STIFF}) for f, cell in cells.items()}


def worst_error(rves, interpolate):
    """Largest relative error of the tangent where the fraction varies linearly over the beam."""
    hom = beam(variation.graded(rves, lambda x: 0.2 + 0.1 * x[0], interpolate=interpolate), cells=(16, 1)).hom
    slots = hom.tangents[0][0].function_space.dofmap.list[hom.cells].ravel()
    found, error = hom.tangents[0][0].x.array.reshape(-1, 3, 3)[slots], 0.0
    for x, tangent in zip(hom.coordinates(), found, strict=True):
        f = 0.2 + 0.1 * x[0]
        exact = closed_forms.plane_strain(closed_forms.backus([1 - f, f], [(70e3, 0.3), (400e3, 0.2)]))
        error = max(error, np.abs(tangent - closed_forms.mandel(exact)).max() / np.abs(exact).max())
    return COMM.allreduce(error, MPI.MAX)


def test_interpolation_between_grades_converges_with_the_square_of_their_distance():
    errors = [worst_error(graded_layers(n), True) for n in (3, 5, 9)]
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(rates > 1.7)
    assert errors[-1] < 2e-3
    nearest = [worst_error(graded_layers(n), False) for n in (3, 5, 9)]
    assert np.all(np.log2(np.array(nearest[:-1]) / nearest[1:]) > 0.7)
    assert nearest[-1] > 5 * errors[-1]


def test_a_point_between_two_grades_has_both_histories():
    """A quarter of the way, in a homogeneous strain path: the response is the mean of those of the two RVEs."""
    rves = {
        f: rve_of(hmm.cells.laminate({"a": 1 - f, "b": f}, mesh_size=0.5), {"a": J2, "b": STIFF}) for f in (0.2, 0.6)
    }
    domain = mesh.create_unit_square(COMM, 1, 1)
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (2,))))
    hom = hmm.Homogenizer(variation.graded(rves, 0.3), ufl.sym(ufl.grad(u)), degree=1)
    path = [np.array([[1.0, 0.5], [0.5, -0.4]]) * t for t in (2e-3, 6e-3, -1e-3)]
    for E in path:
        u.interpolate(lambda x, E=E: E @ x[:2])
        for _ in range(8):  # monolithic: Newton's method of the fluctuations, the macro field held
            assert hom.evaluate()
            if hom.converged():
                break
        hom.commit()
    answers = [list(hmm.follow(rve, path))[-1] for rve in rves.values()]
    exact = 0.75 * answers[0].stress + 0.25 * answers[1].stress
    assert np.allclose(hom.stress.x.array.reshape(-1, 2, 2)[: hom.n_points], exact, rtol=1e-8)
    p = [rve.histories["a"].average(a.state.history, "p")[0] for rve, a in zip(rves.values(), answers, strict=True)]
    assert np.allclose(hom.point_average("a", "p"), 0.75 * p[0] + 0.25 * p[1], rtol=1e-8)


# -- chance ------------------------------------------------------------------------------------------------------------


def kinds_by_key(plan, cells=(40, 10)):
    """Key and kind of each point of a mesh, from all ranks, sorted."""
    points = MacroPoints(beam_mesh(cells), 2)
    rows = variation.Rows.of(plan, points)
    return sorted(row for part in COMM.allgather(list(zip(points.keys, rows.kind, strict=True))) for row in part)


def test_chance_is_fair_and_the_same_on_any_number_of_ranks():
    rve = rve_of(homogeneous_cell(), {"matrix": SOFT})
    found = np.array(kinds_by_key(variation.scattered([rve] * 3, seed=5, probabilities=[0.5, 0.3, 0.2])))
    n = len(found)
    counts = np.bincount(found[:, 1], minlength=3)
    assert n == 2400
    assert np.all(np.abs(counts / n - [0.5, 0.3, 0.2]) < 4 * np.sqrt(0.25 / n)), "four standard deviations"
    alone = hmm.foundation.hashing.uniform(np.arange(n), 5)  # by the key alone
    assert np.array_equal(found[:, 1], np.searchsorted([0.5, 0.8], alone, side="right"))
    other = np.array(kinds_by_key(variation.scattered([rve] * 3, seed=6)))
    assert not np.array_equal(found, other)


def test_chance_by_cell():
    rve = rve_of(homogeneous_cell(), {"matrix": SOFT})
    found = np.array(kinds_by_key(variation.scattered({"x": rve, "y": rve}, per="cell"), (4, 1)))[:, 1].reshape(8, -1)
    assert np.all(found == found[:, :1])
    assert 0 < found[:, 0].sum() < 8


# -- through the house -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference():
    body = composite_halves(ensemble="owner")
    return body.reactions([-0.06], 3), body.hom.point_average("matrix", "p")


@pytest.fixture
def eager(monkeypatch):
    monkeypatch.setattr(hmm.parallel.ensemble, "WORTHWHILE", 1.0)


def test_rows_of_several_kinds_move_between_ranks(reference, eager):
    body = composite_halves(ensemble="balanced")
    assert body.reactions([-0.06], 3) == pytest.approx(reference[0], rel=1e-10)
    assert np.allclose(body.hom.point_average("matrix", "p"), reference[1], atol=1e-10)
    if COMM.size > 1:
        assert COMM.allreduce(body.hom.ensemble.moved) > 0


def test_groups_of_ranks_share_rves_of_several_kinds(reference):
    comm, domain = hmm.Ensemble.split(COMM, COMM.size), beam_mesh((8, 2))
    kinds = {}
    for tag, n, law in ((1, 4, STIFF), (2, 8, SOFT)):
        cell = _box_cell(mesh.create_unit_square(comm, n, n), True)
        kinds[tag] = rve_of(cell, {"matrix": J2, "inclusion": law})
    body = beam(variation.regions(kinds, halves(domain)), domain=domain)
    assert body.hom.ensemble.policy == ("grouped" if COMM.size > 1 else "owner")
    assert body.reactions([-0.06], 3) == pytest.approx(reference[0], rel=1e-10)
    assert np.allclose(body.hom.point_average("matrix", "p"), reference[1], atol=1e-10)


def test_a_restart_finds_each_kind_again(reference, eager, tmp_path):
    path = COMM.bcast(tmp_path) / "run.h5"
    for policy, last in (("balanced", 2), ("owner", 3)):
        body = composite_halves(ensemble=policy)
        for step in hmm.steps(body.problem, body.load, -0.06, 3, checkpoint=path):
            if step.number > last:
                break
    assert body.problem.reaction(body.drive) == pytest.approx(reference[0][-1], rel=1e-10)
    assert len(body.problem.stats) == 1, "the first two steps were not done again"


def test_a_restart_needs_the_same_choice_and_the_same_orientation(tmp_path):
    path, domain = COMM.bcast(tmp_path) / "run.h5", beam_mesh()
    rve = rve_of(square_cell(), {"matrix": J2, "inclusion": STIFF})

    def run(plan, angle=0.1):
        body = beam(plan, domain=domain, orientation=angle)
        for _ in hmm.steps(body.problem, body.load, -0.01, 1, checkpoint=path):
            pass

    run(variation.scattered([rve, rve], seed=1))
    run(variation.scattered([rve, rve], seed=1))
    with pytest.raises(hmm.InputError, match="the choice of RVEs is 0, 1, checksum"):
        run(variation.scattered([rve, rve], seed=2))
    with pytest.raises(hmm.InputError, match="the orientation of RVEs is checksum"):
        run(variation.scattered([rve, rve], seed=1), 0.2)


def test_results_of_several_kinds(tmp_path):
    """Outputs name internal variables of all kinds, NaN where a kind has none; the worst RVE is found and written."""
    folder, domain = COMM.bcast(tmp_path), beam_mesh()
    plastic = rve_of(square_cell(), {"matrix": J2, "inclusion": STIFF})
    elastic = rve_of(homogeneous_cell(), {"matrix": STIFF})
    body = beam(variation.regions({1: plastic, 2: elastic}, halves(domain)), domain=domain)
    with hmm.Output(folder, body.hom, body.u) as output:
        body.reactions([-0.1], 2)
        output.write(1.0)
    p, x = body.hom.point_average("matrix", "p").ravel(), body.hom.coordinates()[:, 0]
    assert np.array_equal(np.isnan(p), x > 2)
    where = hmm.worst_point(body.hom, p)
    assert where.value > 1e-3
    assert hmm.write_rve(folder / "rve.bp", body.hom, where).is_dir()
    shares = output.cellwise["share_2"].x.array[: body.hom.cells.size]
    assert np.array_equal(shares, (body.hom.cell_average(x) > 2).ravel())
    with pytest.raises(hmm.InputError, match=r"no micro model has a quantity 'q_matrix': there are p_matrix"):
        body.hom.point_average("matrix", "q")


def test_a_failure_names_the_kind_and_is_replayed(tmp_path):
    folder, domain = COMM.bcast(tmp_path), beam_mesh()
    kinds = {tag: rve_of(square_cell(), {"matrix": J2, "inclusion": STIFF}) for tag in (1, 2)}
    kinds[1].system.newton_options = hmm.NewtonOptions(rtol=1e-11, max_iterations=1, max_cuts=1)
    body = beam(variation.regions(kinds, halves(domain)), "nested", domain=domain, dumps=folder, orientation=0.2)
    body.reactions([-1e-3])
    with pytest.raises(hmm.ConvergenceError, match=r"RVE '1' at \(.*'hmm replay (.*)' repeats it") as caught:
        body.reactions([-0.05])
    dump = str(caught.value).split("'hmm replay ")[1].split("'")[0]
    COMM.barrier()
    again = hmm.replay(dump)
    assert not again.converged
    assert str(again.dump.failure) in str(caught.value)
    assert hmm.replay(dump, rve=kinds[2]).converged, "with patience it works"
