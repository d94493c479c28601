"""A cell that does not converge in one go: substeps, their history, the elastic first guess, and what is counted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
import ufl
from support.asking import accept, ask
from support.macro_tools import TIGHT, beam, composite, neo_hooke_rve, rve_of, square_cell

import hmm
from hmm.foundation import tensors
from hmm.foundation.errors import Failure
from hmm.micro import recovery
from hmm.micro.algorithms import ALGORITHMS
from hmm.micro.recovery import ELASTIC_START, LINE_SEARCH, SUBSTEPS, StepStart, solve_step
from hmm.models import points_of

SOFT = hmm.laws.Elastic(young=1.0, poisson=0.2)
PERFECT = hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=0.0)
SHEAR = np.array([0.1, -0.1, 0.0])  # 50 times the yield strain, in one step


@pytest.fixture(scope="module")
def hard():
    """A perfectly plastic matrix around a hole (a soft inclusion), quadratic: Newton's method fails for `SHEAR`."""
    return rve_of(square_cell(8), {"matrix": PERFECT, "inclusion": SOFT}, degree=2)


@pytest.fixture(scope="module")
def rubber():
    return neo_hooke_rve(square_cell(), {"matrix": (50.0, 75.0), "inclusion": (5000.0, 7500.0)})


def undeformed(rve):
    state = rve.initial_state()
    return StepStart(state.z, rve.reference, state.history, 0.0, rve.initial().values["sensitivity"])


def solved_step(rve, E, division=()):
    """A step from the undeformed state."""
    start = undeformed(rve)
    return solve_step(rve.system, start, np.asarray(E), start.z + (E - start.E) @ start.elastic, division)


def stepped(rve, E, ends):
    """The same increments as load steps, each committed: the last history but one, and the point."""
    points = points_of(rve, 1)
    for end in ends:
        before = points.committed.variables["history"][0].copy()
        ask(rve, points, {0: end * E})
        assert not points.notes
        accept(rve, points)
    return before, points


def test_substeps_solve_what_newton_cannot(hard):
    """And their history is the one of the same increments taken as load steps."""
    with pytest.raises(hmm.ConvergenceError):
        hard.solve(SHEAR)
    answer = solved_step(hard, SHEAR)
    assert answer.solved is not None and answer.failure is None
    assert answer.attempts[0].strategy == LINE_SEARCH and answer.attempts[0].failure is not None
    assert {a.strategy for a in answer.attempts[1:]} == {SUBSTEPS}
    ends = answer.substeps.ends
    sizes = np.diff([0.0, *ends])
    assert ends[-1] == 1.0 and sizes.min() < 0.5
    assert sizes.max() > sizes.min(), "substeps grow again after two successes"
    before, points = stepped(hard, SHEAR, ends)
    assert np.abs(before).max() > 0.1, "plastic flow"
    assert np.allclose(answer.substeps.history, before, rtol=0, atol=1e-12)
    assert np.allclose(answer.solved.response, points.trial.response[0], rtol=1e-10, atol=0)
    tangent = points.tangent[0]
    assert np.allclose(answer.solved.condensed.tangent, tangent, rtol=0, atol=1e-6 * np.abs(tangent).max())


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_committed_history_is_the_one_of_the_substeps(hard, algorithm, monkeypatch):
    """Until the commit the history of the step's start is untouched; `revert` forgets the substeps."""
    if algorithm == "monolithic":  # the joint step itself does not fail here
        monkeypatch.setattr("hmm.micro.algorithms._joint_step", lambda *_: Failure("made to fail"))
    points = points_of(hard, 2)
    count = points.count
    ask(hard, points, {1: SHEAR}, algorithm)
    assert not points.committed.variables["history"].any() and list(points.notes) == [1]
    assert count.substeps > 0 and count.line_searches > 0 and count.elastic_starts == 0
    assert count.recoveries == (algorithm == "monolithic")
    response, ends = points.trial.response[1].copy(), points.notes[1].ends
    points.revert()
    assert not points.notes and not points.trial.variables["z"].any()
    monkeypatch.undo()

    ask(hard, points, {1: SHEAR})
    accept(hard, points)
    assert not points.notes
    assert np.allclose(points.trial.response[1], response, rtol=1e-10, atol=0)
    history = points.committed.variables["history"]
    _, reference = stepped(hard, SHEAR, ends)
    assert np.allclose(history[1], reference.committed.variables["history"][0], rtol=0, atol=1e-12)
    assert not history[0].any()


def test_a_division_is_kept_while_the_step_iterates(hard):
    """A near-by macro input is answered with the same substeps, so that the response is smooth in it."""
    first = solved_step(hard, SHEAR)
    second = solved_step(hard, 1.001 * SHEAR, first.substeps.ends)
    assert second.substeps.ends == first.substeps.ends
    assert len(second.attempts) == len(first.substeps.ends), "nothing fails on the way"


def test_an_elastic_first_guess(hard, monkeypatch):
    """If the tangent leads astray, the last strategy does not: here it is poisoned wherever a step begins with it."""
    monkeypatch.setattr(recovery._Path, "_sensitivity", poisoned(recovery._Path._sensitivity))
    E = 0.005 * SHEAR
    start = undeformed(hard)
    answer = solve_step(hard.system, start, E, np.full_like(start.z, np.nan))
    assert answer.solved is not None and answer.substeps is None
    assert answer.attempts[0].strategy == LINE_SEARCH
    assert answer.attempts[-1].strategy == ELASTIC_START
    assert np.allclose(answer.solved.response, solved_step(hard, E).solved.response, rtol=1e-9, atol=0)


def poisoned(sensitivity):
    def give(self, strategy):
        return sensitivity(self, strategy) * (1.0 if strategy == ELASTIC_START else np.nan)

    return give


def test_a_cell_without_history_has_one_answer(rubber):
    """A shear of 2 in one go: NaN, then substeps; answer and tangent do not know the way (central differences)."""
    F = np.array([1.0, 2.0, 0.0, 1.0])
    with pytest.raises(hmm.ConvergenceError):
        rubber.solve(F)
    answer = solved_step(rubber, F)
    assert answer.solved is not None and answer.substeps is None and len(answer.attempts) > 2
    state = hmm.PointState(answer.solved.z, np.zeros(0))
    columns = []
    for k in range(4):
        d = 1e-6 * np.eye(4)[k]
        columns.append((rubber.solve(F + d, state).vector - rubber.solve(F - d, state).vector) / 2e-6)
    tangent = answer.solved.condensed.tangent
    assert np.allclose(tangent, np.column_stack(columns), rtol=0, atol=1e-7 * np.abs(tangent).max())


def test_what_no_strategy_can_solve(rubber):
    """Turned inside out: each attempt is logged, the reason names the first failure and the smallest substep."""
    answer = solved_step(rubber, np.array([-0.5, 0.0, 0.0, 1.0]))
    assert answer.solved is None and answer.substeps is None
    assert answer.failure.reason.startswith("the micro residual is not a number; substeps down to 0.0156 of the step")
    assert {a.strategy for a in answer.attempts} == {LINE_SEARCH, SUBSTEPS, ELASTIC_START}
    options, rubber.system.newton_options = rubber.system.newton_options, replace(TIGHT, max_cuts=0)
    assert len(solved_step(rubber, np.array([-0.5, 0.0, 0.0, 1.0])).attempts) == 1, "switched off"
    rubber.system.newton_options = options


@dataclass(frozen=True)
class Maxwell:
    """A viscous law, backward Euler: ``v' = (dev eps - v) / tau``, deviatoric stress ``mu (2 dev eps - v)``."""

    mu: float = 1.0
    kappa: float = 3.0
    tau: float = 2.0

    fields = ("strain",)

    def internal(self, dim: int) -> Mapping[str, tensors.Packing]:
        return {"v": tensors.plane(dim)}

    def update(self, at):
        a = at.dt / self.tau
        return {"v": (at.old["v"] + a * ufl.dev(at.strain)) / (1 + a)}

    def response(self, at):
        v = self.update(at)["v"]
        return self.kappa * ufl.tr(at.strain) * ufl.Identity(3) + self.mu * (2 * ufl.dev(at.strain) - v)


def test_the_time_step_is_divided_too():
    """Substeps of a rate-dependent law are steps of its time: the same as a quarter, a half and a quarter of it."""
    rve = rve_of(square_cell(), {"matrix": Maxwell(), "inclusion": Maxwell(mu=10.0)})
    rve.time_step = 0.8
    E, ends = np.array([0.01, -0.02, 0.005]), (0.25, 0.75, 1.0)
    answer = solved_step(rve, E, ends)
    assert answer.substeps.ends == ends and answer.substeps.last == 0.25 and rve.time_step == 0.8
    points = points_of(rve, 1)
    points.notes[0] = answer.substeps
    ask(rve, points, {0: E}, dt=0.8)
    assert points.notes[0].ends == ends
    accept(rve, points)
    assert rve.time_step == 0.8
    state = None
    for end, part in zip(ends, np.diff([0.0, *ends]), strict=True):
        solved = rve.solve(end * E, state, dt=0.8 * part)
        state = solved.state
    assert np.allclose(points.committed.variables["history"][0], state.history, rtol=0, atol=1e-14)
    assert np.allclose(answer.solved.response, solved.vector, rtol=1e-12, atol=0)
    assert not np.allclose(rve.solve(E, dt=0.8).vector, solved.vector, rtol=1e-3), "one step is another approximation"


@pytest.mark.mpi
def test_unloading_at_once_begins_with_the_elastic_tangent():
    """Plastic tangents lead astray when the load reverses: the step is tried again from elastic ones, and is elastic.

    Half of the load is taken off at once. No point yields, so the reaction falls along the initial slope.
    """
    body = beam(composite())
    path = body.reactions([-1e-4, -0.01, -0.02, -0.03, -0.04, -0.05])
    unloaded = body.reactions([-0.04])[0]
    assert (unloaded - path[-1]) / 0.01 == pytest.approx(path[0] / -1e-4, rel=1e-9)
    half = body.reactions([-0.025])[0]
    assert (half - path[-1]) / 0.025 == pytest.approx(path[0] / -1e-4, rel=1e-9)
    once = beam(composite())
    once.reactions([-0.01, -0.02, -0.03, -0.04, -0.05, -0.025])
    assert once.reactions([-0.025])[0] == pytest.approx(half, rel=1e-9)
    assert once.problem.stats[5].algorithm == "monolithic" and once.problem.stats[5].fallbacks == 1
    assert once.problem.stats[5].iterations <= 3
