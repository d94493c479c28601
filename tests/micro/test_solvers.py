"""The choice of the micro linear solver, and iterations on conforming meshes against MUMPS."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from support.cells_and_rves import (
    central_differences,
    conduction_rve,
    follow,
    plane_strain_tensor,
    relative_error,
    strain_rve,
)

import hmm
from hmm.laws import J2, Elastic
from hmm.micro.solvers.assembled import AssembledSolver

COMMS = {"one rank": MPI.COMM_SELF, "spread": MPI.COMM_WORLD}
ELASTIC = {"matrix": Elastic(1.0, 0.3), "inclusion": Elastic(10.0, 0.2)}
PLASTIC = {"matrix": J2(70e3, 0.3, yield_stress=100.0, hardening=1000.0), "inclusion": Elastic(400e3, 0.2)}
FIBRES = {name: {"matrix": law["matrix"], "fibre": law["inclusion"]} for name, law in (("e", ELASTIC), ("p", PLASTIC))}
PATH = (1e-3, 4e-3, 2e-3)


@pytest.fixture(scope="module", params=COMMS)
def sphere(request):
    return hmm.cells.sphere(0.2, mesh_size=0.25, comm=COMMS[request.param])


@pytest.fixture(scope="module", params=COMMS)
def fibre(request):
    return hmm.cells.fibre(0.3, mesh_size=0.15, comm=COMMS[request.param])


def pair(create, *arguments, **options):
    """The same RVE with either solver."""
    return [create(*arguments, solver=solver, **options) for solver in ("direct", "iterative")]


def types(rve):
    return rve.system.solver.ksp.getType(), rve.system.solver.ksp.getPC().getType()


def assert_same(paths, tolerance=1e-7):
    for direct, iterative in zip(*paths, strict=True):
        assert relative_error(iterative.vector, direct.vector) < tolerance
        assert relative_error(iterative.tangent, direct.tangent) < tolerance


@pytest.mark.mpi
@pytest.mark.parametrize("constraint", ["periodic", "dirichlet"])
def test_elastic_sphere(sphere, constraint):
    rves = pair(strain_rve, sphere, ELASTIC, constraint)
    assert_same([[rve.solve(np.arange(1.0, 7.0))] for rve in rves])
    assert [types(rve) for rve in rves] == [("preonly", "cholesky"), ("cg", "gamg")]


@pytest.mark.mpi
def test_plastic_sphere(sphere):
    strain = np.array([[1.0, 0.5, 0.0], [0.5, -0.3, 0.2], [0.0, 0.2, 0.1]])
    paths = [follow(rve, [t * strain for t in PATH]) for rve in pair(strain_rve, sphere, PLASTIC)]
    assert MPI.COMM_WORLD.allreduce(np.abs(paths[0][1].state.history).max(initial=0), op=MPI.MAX) > 1e-3, "it yields"
    assert_same(paths)


@pytest.mark.mpi
@pytest.mark.parametrize("law", FIBRES.values(), ids=["elastic", "plastic"])
@pytest.mark.parametrize("degree", [1, 2])
def test_fibre(fibre, law, degree):
    strain = plane_strain_tensor(1.0, -0.3, 0.5)
    assert_same([follow(r, [t * strain for t in PATH]) for r in pair(strain_rve, fibre, law, degree=degree)])


@pytest.mark.mpi
def test_conduction(fibre):
    rves = pair(conduction_rve, fibre, {"matrix": 1.0, "fibre": 10.0})
    assert_same([[rve.solve([1.0, 0.5])] for rve in rves])


# -- tangents without symmetry -----------------------------------------------------------------------------------------


class Skewed:
    """Elasticity in which a strain 22 adds to the stress 11, but not the other way round; optionally cubic."""

    def __init__(self, young, cubic=0.0):
        self.elastic, self.cubic = Elastic(young, 0.3), cubic

    fields = ("strain",)

    def internal(self, dim):
        return {}

    def response(self, at):
        e22 = at.strain[1, 1]
        more = 0.2 * self.elastic.young * (e22 + self.cubic * e22**3)
        return self.elastic.stress(at.strain) + more * ufl.as_tensor([[1, 0, 0], [0, 0, 0], [0, 0, 0]])

    def update(self, at):
        return {}


@pytest.mark.mpi
@pytest.mark.parametrize("cubic", [0.0, 100.0], ids=["linear", "nonlinear"])
def test_nonsymmetric_tangent(fibre, cubic):
    rves = pair(strain_rve, fibre, {"matrix": Skewed(1.0, cubic), "fibre": Elastic(10.0, 0.2)})
    E = plane_strain_tensor(0.03, -0.05, 0.02)
    responses = [rve.solve(E) for rve in rves]
    assert [types(rve) for rve in rves] == [("preonly", "lu"), ("gmres", "gamg")]
    assert_same([[r] for r in responses])
    A = responses[0].tangent
    assert A[0, 1] - A[1, 0] > 0.05
    assert relative_error(central_differences(rves[0], E, None, 1e-5), A) < 1e-7


def test_nonsymmetric_tangent_on_voxels():
    """CG on the grid would be wrong there."""
    cell = hmm.cells.voxels(np.random.default_rng(0).integers(0, 2, (6, 5)), {"matrix": 0, "fibre": 1})
    rves = pair(strain_rve, cell, {"matrix": Skewed(1.0), "fibre": Elastic(10.0, 0.2)})
    assert_same([[rve.solve(np.ones(3))] for rve in rves])
    assert types(rves[1]) == ("gmres", "gamg")


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cell():
    return hmm.cells.fibre(0.3, mesh_size=0.2)


def rve_of(cell, **options):
    return strain_rve(cell, FIBRES["e"], **options)


@pytest.mark.parametrize("solver", ["auto", "iterative"])
def test_options_that_name_a_solver_win(cell, solver):
    options = {"ksp_type": "cg", "pc_type": "jacobi", "ksp_rtol": 1e-10}
    rve = rve_of(cell, solver=solver, petsc_options=options)
    assert relative_error(rve.solve(np.ones(3)).tangent, rve_of(cell).solve(np.ones(3)).tangent) < 1e-9
    assert types(rve) == ("cg", "jacobi")
    assert rve.system.solver.ksp.rtol == 1e-10
    assert options == {"ksp_type": "cg", "pc_type": "jacobi", "ksp_rtol": 1e-10}, "not modified"


def test_options_of_voxel_cells_too():
    cell = hmm.cells.voxels(np.array([[0, 1], [1, 1]]), {"matrix": 0, "fibre": 1})
    rve = rve_of(cell, solver="iterative", petsc_options={"ksp_type": "cg", "pc_type": "jacobi"})
    assert isinstance(rve.system.solver, AssembledSolver)


def test_tolerances_leave_the_choice_alone(cell):
    rve = rve_of(cell, solver="iterative", petsc_options={"ksp_rtol": 1e-11})
    assert relative_error(rve.solve(np.ones(3)).tangent, rve_of(cell).solve(np.ones(3)).tangent) < 1e-10
    assert types(rve) == ("cg", "gamg")


@pytest.mark.parametrize("E", [np.zeros(3), np.ones(3)], ids=["tangent only", "Newton"])
@pytest.mark.parametrize("last_is_zero", [True, False])
def test_too_few_iterations(cell, E, last_is_zero):
    """No column may be left unconverged, whatever became of the others."""
    rve = rve_of(cell, solver="iterative", petsc_options={"ksp_max_it": 1})
    with pytest.raises(
        hmm.ConvergenceError, match=r"after 1 iterations .*ksp_max_it, or take solver='direct'"
    ) as caught:
        if last_is_zero:
            rve.solve(E)
        else:
            rve.system.linearize()
            rve.system.condense(np.ones(rve.n_unknowns))
    assert "\n" not in str(caught.value)


def test_unknown_solver(cell):
    with pytest.raises(hmm.InputError, match=r"^solver 'multigrid' is unknown: choose one of 'auto', 'direct', .*'$"):
        rve_of(cell, solver="multigrid")


def test_multipliers_need_a_direct_solver(cell):
    with pytest.raises(
        hmm.InputError, match=r"constraint 'minimal' makes the tangent indefinite: take solver='direct'"
    ):
        rve_of(cell, solver="iterative", constraint="minimal")


def test_auto_is_direct_with_multipliers(cell, monkeypatch):
    """However large the cell."""
    monkeypatch.setattr("hmm.micro.solvers.choose.DIRECT_LIMIT", {2: 0, 3: 0})
    rves = [rve_of(cell, constraint=constraint) for constraint in ("minimal", "periodic")]
    for rve in rves:
        rve.system.linearize()
    assert [types(rve)[0] for rve in rves] == ["preonly", "cg"]


@pytest.mark.parametrize(
    "option, names",
    [("pc_factor_mat_solver_type", ["mkl_pardiso", "strumpack"]), ("pc_type", ["hypre", "ml"])],
)
def test_packages_that_are_missing(cell, monkeypatch, option, names):
    """Names what is missing and what is there; this PETSc is made to have only MUMPS."""
    monkeypatch.setattr("hmm.micro.solvers.assembled.PETSc", _OnlyMumps())
    there = {"pc_factor_mat_solver_type": "mumps, petsc", "pc_type": "gamg"}[option]
    for name in names:
        with pytest.raises(hmm.InputError) as caught:
            rve_of(cell, petsc_options={option: name})
        assert str(caught.value) == (
            f"option hmm_micro_{option} asks for '{name}', which this PETSc is built without: choose one of {there}"
        )


class _OnlyMumps:
    """PETSc as `hmm.micro.solvers.assembled` sees it, of another build."""

    def __getattr__(self, name):
        from petsc4py import PETSc

        return getattr(PETSc, name)

    class Sys:
        """What is asked of PETSc.Sys."""

        @staticmethod
        def hasExternalPackage(name):
            return name == "mumps"


@pytest.mark.parametrize("solver", ["direct", "iterative"])
def test_options_of_the_command_line_win(cell, solver):
    from petsc4py import PETSc

    database = PETSc.Options()
    database.setValue("hmm_micro_ksp_type", "gmres")
    database.setValue("hmm_micro_pc_type", "jacobi")
    try:
        rve = rve_of(cell, solver=solver)
        rve.system.linearize()
    finally:
        database.delValue("hmm_micro_ksp_type")
        database.delValue("hmm_micro_pc_type")
    assert types(rve) == ("gmres", "jacobi")
    rve = rve_of(cell)
    rve.system.linearize()
    assert types(rve) == ("preonly", "cholesky"), "nothing is left behind"


@pytest.mark.mpi
def test_reuse_of_the_first_factorization(sphere):
    """CG with the factorization of the undeformed cell: the same path, and the tangent of the plastic cell."""
    strain = np.array([[1.0, 0.5, 0.0], [0.5, -0.3, 0.2], [0.0, 0.2, 0.1]])
    direct, reuse = (strain_rve(sphere, PLASTIC, solver=solver) for solver in ("direct", "reuse"))
    assert_same([follow(rve, [t * strain for t in PATH]) for rve in (direct, reuse)])
    assert types(reuse) == ("cg", "cholesky")


def test_a_solver_package_alone_takes_the_choice():
    labels = np.zeros((12, 12, 12), dtype=int)
    cell = hmm.cells.voxels(labels, {"matrix": 0})
    options = {"pc_factor_mat_solver_type": "mumps"}
    rve = strain_rve(cell, {"matrix": Elastic(1.0, 0.3)}, petsc_options=options)
    assert isinstance(rve.system.solver, AssembledSolver)


# -- hard cells --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=COMMS)
def spheres(request):
    """A body-centred array, on whose tangents multigrid with the default eigenvalue estimates is indefinite."""
    mesh_size = 0.08 if request.param == "one rank" else 0.12
    return hmm.cells.sphere(0.2, array="bcc", mesh_size=mesh_size, comm=COMMS[request.param])


@pytest.mark.mpi
@pytest.mark.parametrize("contrast", [1e-6, 1e-3, 1e3, 1e6])
def test_multigrid_at_any_contrast(spheres, contrast):
    laws = {"matrix": Elastic(1.0, 0.3), "inclusion": Elastic(contrast, 0.2)}
    rve = strain_rve(spheres, laws, "dirichlet", solver="iterative")
    rve.system.linearize()
    x = rve.system.solver.solve(rve.system._columns(rve.forms.L)[:, 0].copy())
    assert np.isfinite(x).all()
    assert types(rve) == ("cg", "gamg")
    assert rve.system.solver.ksp.getIterationNumber() < 60


@pytest.mark.mpi
@pytest.mark.parametrize("tangent", [True, False], ids=["tangent", "Newton"])
def test_fall_back_on_a_direct_solver(fibre, monkeypatch, caplog, tangent):
    """Only where the choice was the program's, with one line."""
    monkeypatch.setattr("hmm.micro.solvers.choose.DIRECT_LIMIT", {2: 0, 3: 0})
    rve = rve_of(fibre, petsc_options={"ksp_max_it": 1})
    E = np.zeros(3) if tangent else np.ones(3)
    answers = [rve.solve(E, tangent=tangent) for _ in range(2)]
    assert types(rve) == ("preonly", "cholesky")
    expected = rve_of(fibre, solver="direct").solve(E)
    for answer in answers:
        assert answer.vector == pytest.approx(expected.vector, rel=1e-10)
        assert not tangent or relative_error(answer.tangent, expected.tangent) < 1e-10
    lines = [record.message for record in caplog.records if "goes on with solver='direct'" in record.message]
    assert len(lines) == (MPI.COMM_WORLD.rank == 0)
    assert all("after 1 iterations" in line and "\n" not in line for line in lines)


def test_no_fall_back_where_its_factor_would_fill_the_machine(cell, monkeypatch):
    monkeypatch.setattr("hmm.micro.solvers.choose.DIRECT_LIMIT", {2: 0, 3: 0})
    monkeypatch.setattr("hmm.micro.solvers.choose.FALLBACK_LIMIT", {2: 0, 3: 0})
    with pytest.raises(hmm.ConvergenceError, match=r"after 1 iterations"):
        rve_of(cell, petsc_options={"ksp_max_it": 1}).solve(np.zeros(3))
