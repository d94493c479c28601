"""A step that does not converge is cut, and grows again; when nothing helps, what was reached is kept."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem
from support.macro_tools import beam, composite, held_square, homogeneous_cell, neo_hooke_rve, square_cell

import hmm

COMM = MPI.COMM_WORLD
NEO_HOOKE = {"matrix": (50.0, 75.0), "inclusion": (500.0, 750.0)}


def refuse(problem, monkeypatch, load, too_much):
    """Let the solver fail, on all ranks, when the load moves by more than it may from the last accepted one."""
    solve, accepted, tried = problem.solve, [load.value.item()], []

    def limited():
        tried.append(load.value.item())
        if too_much(accepted[-1], tried[-1]):
            raise hmm.ConvergenceError("too much at once")
        stats = solve()
        accepted.append(tried[-1])
        return stats

    monkeypatch.setattr(problem, "solve", limited)
    return accepted, tried


@pytest.mark.mpi
def test_a_step_too_large_is_cut():
    """A neo-Hookean beam whose cells turn inside out if its end moves by 6 at once gets there by itself."""
    one = beam(neo_hooke_rve(square_cell(), NEO_HOOKE))
    with pytest.raises(hmm.ConvergenceError):
        list(hmm.steps(one.problem, one.load, 6.0, 1, max_cutbacks=0))
    (step,) = hmm.steps(one.problem, one.load, 6.0, 1)
    assert step.cutbacks >= 1 and step.increments >= 2 and step.load == 6.0
    assert step.increments == len(one.problem.stats)
    assert step.stats.iterations == sum(s.iterations for s in one.problem.stats)
    assert len(step.stats.residuals) == step.stats.iterations + step.increments
    assert step.stats.micro.solves == sum(s.micro.solves for s in one.problem.stats)
    small = beam(neo_hooke_rve(square_cell(), NEO_HOOKE))
    expected = small.reactions([6.0], n=12)[-1]
    assert one.problem.reaction(one.drive) == pytest.approx(expected, rel=1e-9)


def test_increments_halve_and_double(monkeypatch):
    """Between 0 and 1/2 only steps of 1/8 work, later all: 1, 1/2, 1/4, 1/8 are tried, and two successes double."""
    body = beam(composite(hmm.laws.Elastic(70e3, 0.3)))
    _, tried = refuse(body.problem, monkeypatch, body.load, lambda a, b: a < 0.5 and b - a > 0.125)
    seen = [(s.number, s.load, s.increments, s.cutbacks) for s in hmm.steps(body.problem, body.load, 2.0, 2)]
    first = [1.0, 0.5, 0.25, 0.125, 0.25, 0.5, 0.375, 0.5, 0.75, 1.0]
    assert tried == [*first, 1.5, 2.0]
    assert seen == [(1, 1.0, 6, 4), (2, 2.0, 2, 0)]


@pytest.mark.mpi
def test_the_end_of_the_road_is_on_disk(tmp_path, monkeypatch):
    """A load of 0.4 cannot be passed: the run stops at 25/64, says so, and goes on from there when it can."""
    path = COMM.bcast(tmp_path) / "run.h5"
    body = beam(composite())
    with monkeypatch.context() as patch:
        refuse(body.problem, patch, body.load, lambda a, b: b > 0.4)
        with pytest.raises(hmm.ConvergenceError, match=r"not even an increment of 0.015625 of it: too much") as caught:
            list(hmm.steps(body.problem, body.load, 1.0, 1, checkpoint=path))
    assert "are kept, at load 0.390625: raise max_cutbacks; they are in " in str(caught.value)
    assert body.load.value == 0.390625
    again = beam(composite())
    (step,) = hmm.steps(again.problem, again.load, 1.0, 1, checkpoint=path)
    assert (step.load, step.cutbacks) == (1.0, 0), "it went on from 25/64, in increments of 1/64 that doubled"
    assert step.increments == len(again.problem.stats)


@pytest.mark.mpi
def test_vector_loads_and_time_steps(monkeypatch):
    """A viscous stress eta (E - E_old) / dt, here E / dt: each increment has its own time step, a quarter of a step."""
    cell = homogeneous_cell()
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)
    dt = fem.Constant(cell.mesh, 1.0)
    e = E.local(w)
    rve = hmm.RVE(cell, w, E, energy=3.0 / (2 * dt) * ufl.inner(e, e) * cell.measure(), dt=dt)
    problem, hom = held_square(rve, lambda x: 0.01 * x[:2], "monolithic")
    load = fem.Constant(hom.mesh, np.zeros(2))
    solve, tried = problem.solve, []

    def fails_twice():
        tried.append((load.value.tolist(), hom.time_step))
        if len(tried) <= 2:
            raise hmm.ConvergenceError("not yet")
        return solve()

    monkeypatch.setattr(problem, "solve", fails_twice)
    (step,) = hmm.steps(problem, load, [1.0, -2.0], 1, duration=8.0)
    steps = [(1.0, 8.0), (0.5, 4.0), (0.25, 2.0), (0.5, 2.0), (1.0, 4.0)]
    assert tried == [([a, -2 * a], time) for a, time in steps]
    assert step.load.tolist() == [1.0, -2.0]
    sigma = hom.stress.x.array.reshape(-1, 2, 2)[: hom.n_points]
    assert np.allclose(sigma, 3.0 / 4.0 * 0.01 * np.eye(2), rtol=1e-12, atol=1e-15)


def test_a_time_step_that_cannot_be():
    with pytest.raises(hmm.InputError, match=r"time step -1.0 must be finite and not negative"):
        beam(composite()).hom.time_step = -1.0
