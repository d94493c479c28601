"""Micro solves made to fail: the run ends with the right answer, or stops on all ranks at the last good step."""

from mpi4py import MPI

import numpy as np
import pytest
from petsc4py import PETSc
from support.macro_tools import ALGORITHMS, beam, composite, difference, neo_hooke_rve, rve_of, square_cell

import hmm
from hmm.foundation.errors import Failure
from hmm.micro import algorithms, recovery
from hmm.micro.newton import NewtonResult
from hmm.micro.recovery import StepStart, failure_of, solve_step

COMM = MPI.COMM_WORLD
NEO_HOOKE = {"matrix": (50.0, 75.0), "inclusion": (500.0, 750.0)}
HARD = hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=10e3)
PATH = [0.5, 1.0, 1.5]

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(120)]


def raises(*_):
    raise RuntimeError("a cosmic ray\nhit the cell")


def petsc_raises(*_):
    raise PETSc.Error(76)


def not_a_number(original, *args):
    return original(*args) * np.nan


def no_convergence(*_):
    return NewtonResult(1, 1, (1.0,), Failure("made to fail"))


FAULTS = {
    "exception": ("linearize", raises),
    "exception in the solver": ("solver.update", raises),
    "PETSc error": ("condense", petsc_raises),
    "NaN residual": ("residual", not_a_number),
    "NaN response": ("response", not_a_number),
    "no convergence": ("newton", no_convergence),
}
RANKS = {"last rank": COMM.size - 1, "all ranks": None}


def strike(patch, rve, fault, fails):
    """Replace what the `fault` names: where ``fails()`` says so it fails, elsewhere it works."""
    name, replacement = FAULTS[fault]
    thing = recovery if name == "newton" else rve.system.solver if name.startswith("solver.") else rve.system
    original = getattr(thing, name.split(".")[-1])

    def faulty(*args, **kwargs):
        return replacement(original, *args) if fails() else original(*args, **kwargs)

    patch.setattr(thing, name.split(".")[-1], faulty)


def at_random(rate, rank):
    """Faults by a seeded generator, of one rank or of all."""
    rng = np.random.default_rng(COMM.rank)
    return lambda: (rank is None or rank == COMM.rank) and rng.random() < rate


@pytest.fixture(scope="module")
def rubber():
    return neo_hooke_rve(square_cell(), NEO_HOOKE)


@pytest.fixture(scope="module")
def plastic():
    return composite(HARD)


@pytest.fixture(scope="module")
def clean(rubber):
    """The run without faults."""
    body = beam(rubber)
    return body.reactions(PATH), body.u.copy()


@pytest.mark.parametrize("where", list(RANKS)[: COMM.size])
@pytest.mark.parametrize(("fault", "rate"), [*((f, 0.1) for f in FAULTS), ("exception", 0.01), ("NaN residual", 0.01)])
def test_passing_faults(rubber, clean, fault, rate, where, monkeypatch):
    """A point without history finds the same answer: faults that pass change nothing, at 1e-8."""
    algorithm = "nested" if fault == "no convergence" else "monolithic"
    body = beam(rubber, algorithm)
    with monkeypatch.context() as patch:
        strike(patch, rubber, fault, at_random(rate, RANKS[where]))
        try:
            reactions = body.reactions(PATH)
        except hmm.ConvergenceError as error:
            stopped(body, error)
            reactions = body.reactions([target for target in PATH if target > body.load.value])
    again = COMM.allreduce(body.hom.count.recoveries + body.hom.count.substeps)
    assert again > 0 or rate < 0.1, "some points had to try again"
    assert reactions[-1] == pytest.approx(clean[0][-1], rel=1e-8)
    assert difference(body.u, clean[1]) < 1e-8


def stopped(body, error):
    """All ranks have the same message, and the load is that of the last good step."""
    assert len(set(COMM.allgather(str(error)))) == 1
    assert body.load.value.item() == [0.0, *PATH][len(body.problem.stats)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("fault", "where"), list(zip(FAULTS, 3 * list(RANKS), strict=True)))
def test_lasting_faults(plastic, fault, where, algorithm, monkeypatch):
    """A tenth of the points fails in the second step, whatever is tried: stop, revert, and go on when it is over."""
    body = beam(plastic, algorithm)
    body.reactions([-0.02])
    good = [array.copy() for array in remembered(body)]
    bad = np.random.default_rng(COMM.rank).choice(body.hom.n_points, max(1, body.hom.n_points // 10))
    here: list[int] = []
    with monkeypatch.context() as patch:
        for name, answer in algorithms.ALGORITHMS.items():
            patch.setitem(algorithms.ALGORITHMS, name, noting(answer, here))
        strike(patch, plastic, fault, lambda: RANKS[where] in (None, COMM.rank) and here[-1:] and here[-1] in bad)
        try:
            for _ in hmm.steps(body.problem, body.load, -0.03, 1, max_cutbacks=0):
                pass
            failed = False
        except hmm.ConvergenceError as error:
            failed = True
            assert len(set(COMM.allgather(str(error)))) == 1
            assert "RVE at (" in str(error)
    assert len(set(COMM.allgather(failed))) == 1
    if failed:
        assert all(np.array_equal(a, b) for a, b in zip(remembered(body), good, strict=True))
        assert COMM.allreduce(body.hom.count.rejections) > 0
    else:
        assert algorithm == "monolithic", "a point that stays elastic there is never factorized, nor solved on its own"
    fresh = beam(plastic, algorithm)
    assert fresh.reactions([-0.02, -0.03])[-1] == pytest.approx(body.reactions([-0.03])[0], rel=1e-9)
    assert np.allclose(
        body.hom.states.committed.variables["history"],
        fresh.hom.states.committed.variables["history"],
        rtol=0,
        atol=1e-11,
    )


def remembered(body):
    """The macro field, and what its points remember between two steps or start the next one from."""
    trial, history = body.hom.states.trial, body.hom.states.committed.variables["history"]
    return [body.u.x.array, trial.variables["z"], trial.E, history, trial.response]


def noting(answer, here):
    """An algorithm that says which point it answers, in a list; nothing else does."""

    def answered(problem, points, p):
        here.append(p)
        try:
            return answer(problem, points, p)
        finally:
            here.clear()

    return answered


@pytest.mark.parametrize("wrong", ["exception", "NaN"])
def test_an_update_of_history_that_fails(plastic, wrong, monkeypatch):
    """It comes after convergence, on one rank: the step is refused on all, and nothing is half committed."""
    body = beam(plastic)
    body.reactions([-0.02])
    history, u = body.hom.states.committed.variables["history"].copy(), body.u.x.array.copy()
    with monkeypatch.context() as patch:
        if COMM.rank == COMM.size - 1:
            original = plastic.system.updated_history
            patch.setattr(
                plastic.system, "updated_history", raises if wrong == "exception" else lambda: original() * np.nan
            )
        with pytest.raises(hmm.ConvergenceError, match="internal variable") as caught:
            body.reactions([-0.03])
    assert len(set(COMM.allgather(str(caught.value)))) == 1
    assert np.array_equal(body.hom.states.committed.variables["history"], history) and np.array_equal(body.u.x.array, u)
    assert body.reactions([-0.03])[0] == pytest.approx(beam(plastic).reactions([-0.02, -0.03])[-1], rel=1e-9)


def test_the_type_of_an_exception_is_named(plastic, monkeypatch):
    body = beam(plastic)
    with monkeypatch.context() as patch:
        patch.setattr(plastic.system, "load_history", raises)
        with pytest.raises(hmm.ConvergenceError, match="RuntimeError: hit the cell; substeps"):
            body.reactions([-0.01])


@pytest.mark.parametrize("solver", ["direct", "iterative", "reuse"])
def test_a_solver_is_usable_after_an_exception_within(solver):
    """An exception in the middle of PETSc's solve leaves its vectors locked: they are made anew."""
    image = np.array([[1, 1, 1, 2], [1, 2, 2, 1], [2, 1, 1, 1], [1, 1, 2, 1]])
    cell = hmm.cells.voxels(image, {"matrix": 1, "fibre": 2})
    rve = rve_of(cell, {"matrix": HARD, "fibre": hmm.laws.Elastic(400e3, 0.2)}, solver=solver)
    E = np.array([3e-3, -1e-3, 1e-3])
    expected = rve.solve(E)
    start = StepStart(np.zeros(rve.n_unknowns), 0 * E, np.zeros(rve.n_history), 0.0, np.zeros((3, rve.n_unknowns)))
    rve.system.solver.ksp.setMonitor(raises)  # called by Krylov methods in each iteration; a new KSP has none
    again = solve_step(rve.system, start, E, start.z)
    assert again.solved is not None
    if solver != "direct":
        assert "PETSc.Error" in again.attempts[0].failure.reason and again.attempts[-1].failure is None
    failure_of(rve.system, RuntimeError())
    again = solve_step(rve.system, start, E, start.z)
    assert again.solved is not None and len(again.attempts) == 1
    assert np.allclose(again.solved.response, expected.vector, rtol=1e-7, atol=0)
    assert np.allclose(again.solved.condensed.tangent, expected.tangent, rtol=0, atol=1e-6 * expected.tangent.max())
