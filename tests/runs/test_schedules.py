"""Loads as functions of time: they are set at the end of each increment, survive a restart, and are checked by name."""

import os
import signal
from dataclasses import dataclass

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.function_models import j2_model
from support.macro_tools import beam, composite

import hmm

COMM = MPI.COMM_WORLD
G, TAU = 40.0, 8.0


@dataclass
class Square:
    """A unit square whose boundary moves by a Function, with a body force in two Constants."""

    problem: hmm.MacroProblem
    g: fem.Function
    a: fem.Constant
    b: fem.Constant

    @property
    def state(self) -> np.ndarray:
        """What a run has reached."""
        hom = self.problem.hom
        return np.concatenate([self.problem.u.x.array, hom.stress.x.array[: 4 * hom.n_points]])


def square(model=None) -> Square:
    domain = mesh.create_unit_square(COMM, 2, 2)
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v, g = fem.Function(V), ufl.TestFunction(V), fem.Function(V, name="edge")
    a, b = fem.Constant(domain, 0.0), fem.Constant(domain, np.zeros(2))
    edge = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0] * (1 - x[0]) * x[1] * (1 - x[1]), 0))
    hom = hmm.Homogenizer(model or j2_model(), ufl.sym(ufl.grad(u)), degree=1)
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx - ufl.inner(a * ufl.as_vector((1, 0)) + b, v) * ufl.dx
    problem = hmm.MacroProblem(F, u, hom, bcs=[fem.dirichletbc(g, edge)], petsc_options_prefix="square_", rtol=1e-12)
    return Square(problem, g, a, b)


def shear(x, t):
    """A boundary displacement that grows, and turns back."""
    return np.sin(t) * 6e-3 * np.stack([x[1], x[0]])


def all_loads(body: Square) -> hmm.Schedule:
    force = hmm.table([0, 1, 2, 4], [[0, 0], [9, 0], [9, -5], [0, 0]])
    return hmm.schedule({body.g: shear, body.a: lambda t: 10 * np.sin(2 * t), body.b: force})


def maxwell() -> hmm.FunctionModel:
    """A spring of modulus 2 G in series with a dashpot, by backward Euler."""

    def function(E, old, dt):
        a = dt / TAU
        flow = (old["flow"] + a * E) / (1 + a)
        return 2 * G * (E - flow), np.broadcast_to(2 * G / (1 + a) * np.eye(3), (len(E), 3, 3)), {"flow": flow}

    return hmm.FunctionModel(function, hmm.models.strain(2), {"flow": 3}, rates=True)


@pytest.mark.mpi
def test_loads_are_what_the_schedule_says():
    """At the end of each step of any duration: a sine, a table between its instants, and a boundary function."""
    body = square()
    times = [0.0, 0.5, 1.5, 4.0]
    for step, time in zip(hmm.steps(body.problem, all_loads(body), times), times[1:], strict=True):
        assert step.time == time
        assert body.a.value == 10 * np.sin(2 * time)
        assert np.allclose(body.b.value, {0.5: [4.5, 0], 1.5: [9, -2.5], 4.0: [0, 0]}[time], rtol=0, atol=1e-15)
        expected = fem.Function(body.g.function_space)
        expected.interpolate(lambda x, time=time: shear(x, time))
        assert np.array_equal(body.g.x.array, expected.x.array)
        (dofs, _), u = body.problem.bcs[0].dof_indices(), body.problem.u.x.array
        assert np.allclose(u[dofs], expected.x.array[dofs], rtol=0, atol=1e-14)
        assert step.load[0] == body.a.value
        assert np.array_equal(step.load[1], body.b.value)


@pytest.mark.mpi
def test_a_ramp_is_the_simplest_schedule():
    """The same steps, bit by bit."""
    ramp, table = beam(composite()), beam(composite())
    one = [s.load for s in hmm.steps(ramp.problem, ramp.load, -0.03, 3, duration=6.0)]
    pull = hmm.schedule({table.load: hmm.table([0, 6], [0, -0.03])})
    other = [(s.load, s.time) for s in hmm.steps(table.problem, pull, times=[0, 2, 4, 6])]
    assert other == [(load, time) for load, time in zip(one, (2.0, 4.0, 6.0), strict=True)]
    assert np.array_equal(ramp.u.x.array, table.u.x.array)


def test_a_law_gets_the_time_of_each_increment(monkeypatch):
    """Maxwell in constant shear: sigma12 = 2 G e / prod(1 + dt / tau), also where a step is cut in halves."""
    body = square(maxwell())
    solve, tried = body.problem.solve, []

    def fails_once():
        tried.append(body.problem.hom.time_step)
        if len(tried) == 3:
            raise hmm.ConvergenceError("not yet")
        return solve()

    monkeypatch.setattr(body.problem, "solve", fails_once)
    constant = hmm.schedule({body.g: lambda x, t: 0.01 * np.stack([x[1], x[0]])})
    steps = list(hmm.steps(body.problem, constant, [1.0, 2.0, 5.0, 6.0]))
    assert tried == [1.0, 3.0, 1.0, 0.5, 0.5]
    assert [s.increments for s in steps] == [1, 1, 2]
    sigma = body.problem.hom.stress.x.array.reshape(-1, 2, 2)[: body.problem.hom.n_points, 0, 1]
    passed = np.prod([1 + dt / TAU for dt in (1.0, 3.0, 0.5, 0.5)])
    assert np.allclose(sigma, 2 * G * 0.01 / passed, rtol=1e-9, atol=0)


@pytest.mark.mpi
def test_loads_are_put_back_when_nothing_helps(monkeypatch):
    """Constants and Functions are those of the last accepted increment, of half of the second step."""
    body = square()
    solve = body.problem.solve

    def refuses_late():
        if body.a.value > 1.5:
            raise hmm.ConvergenceError("too late")
        return solve()

    monkeypatch.setattr(body.problem, "solve", refuses_late)
    loads = hmm.schedule({body.a: lambda t: t, body.g: lambda x, t: 1e-3 * t * x[:2]})
    with pytest.raises(
        hmm.ConvergenceError, match=r"load step 2 of 2 \(time 2\).* 0.5 of this one are kept, at time 1"
    ):
        list(hmm.steps(body.problem, loads, [0, 1, 2], max_cutbacks=1))
    assert body.a.value == 1.5
    expected = fem.Function(body.g.function_space)
    expected.interpolate(lambda x: 1.5e-3 * x[:2])
    assert np.allclose(body.g.x.array, expected.x.array, rtol=0, atol=1e-18)


TIMES = [0.0, 0.5, 1.5, 3.0]


def with_limit(body: Square, stop_at: int = -1) -> Square:
    """Let increments longer than 0.5 fail, and a signal come during the accepted increment `stop_at`."""
    solve = body.problem.solve

    def limited():
        if body.problem.hom.time_step > 0.5:
            raise hmm.ConvergenceError("too long")
        stats = solve()
        if len(body.problem.stats) == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return stats

    body.problem.solve = limited
    return body


@pytest.mark.mpi
@pytest.mark.parametrize(("stop_at", "left"), [(1, [2, 3]), (2, [2, 3]), (4, [3])])
def test_a_restart_goes_on_in_the_middle(tmp_path, stop_at, left):
    """After a step, or inside one that is cut: the end is that of a run without a break."""
    path = COMM.bcast(tmp_path) / "run.h5"
    whole = with_limit(square())
    for _ in hmm.steps(whole.problem, all_loads(whole), TIMES):
        pass
    body = with_limit(square(), stop_at)
    with pytest.raises(SystemExit):
        list(hmm.steps(body.problem, all_loads(body), TIMES, checkpoint=path))
    again = with_limit(square())
    seen = [s.number for s in hmm.steps(again.problem, all_loads(again), TIMES, checkpoint=path)]
    assert seen == left
    assert len(again.problem.stats) + stop_at == len(whole.problem.stats) == 7
    assert np.allclose(again.state, whole.state, rtol=0, atol=1e-9)
    assert again.a.value == whole.a.value
    assert [s.time for s in hmm.steps(again.problem, hmm.schedule({again.a: 1.0}), [3, 3.5], checkpoint=path)] == [3.5]


@pytest.mark.mpi
def test_another_schedule_is_refused(tmp_path):
    """Values decide, not the code: another amplitude or other times; the same values by another function are taken."""
    path = COMM.bcast(tmp_path) / "run.h5"

    def run(times=(0, 1, 2), amplitude=1.0, spin=1.0) -> int:
        body = square()
        loads = {body.a: lambda t: amplitude * t**2, body.g: lambda x, t: spin * 1e-4 * t * x[:2]}
        return len(list(hmm.steps(body.problem, hmm.schedule(loads), times, checkpoint=path)))

    assert run() == 2
    assert run() == 0
    for change in ({"times": (0, 0.5, 2)}, {"amplitude": 1.01}, {"spin": 1.01}):
        with pytest.raises(hmm.InputError, match=r"part 1 of the run in .* is 2 steps from time 0 to 2 .*, and this"):
            run(**change)


@pytest.mark.mpi
def test_bad_schedules_are_one_line():
    """On all ranks, before anything is solved, with the loads as they were."""
    body = square()
    a, b, g = body.a, body.b, body.g
    stray, other = fem.Constant(g.function_space.mesh, 0.0), fem.Function(g.function_space, name="other")
    cases = [
        ({a: abs}, [0, 2, 1], "the times of the load steps go from 2 to 1: each must be later"),
        ({a: abs}, [0, np.nan], r"the times of the load steps are \[0.0, nan\]: give finite"),
        ({a: abs}, [1.0], r"the times of the load steps have shape \(1,\)"),
        ({a: abs}, None, "a schedule needs its times"),
        ({a: lambda t: np.log(t - 1.5)}, [0, 1], "gives nan at time 0: not finite"),
        ({a: lambda t: [t, t]}, [0, 1], r"has shape \(\) and its schedule gives shape \(2,\) at time 0"),
        ({a: lambda t: "much"}, [0, 1], "at time 0 = 'much': give numbers"),
        (
            {b: hmm.table([0, 1], [[0, 0], [1, 1]])},
            [0, 2],
            "load table is given from time 0 to 1, but is needed at 2",
        ),
        ({stray: abs}, [0, 1], "load 1 .* is not in the macro form, the macro inputs, the Dirichlet conditions"),
        ({other: shear}, [0, 1], "load 1 .*the Function 'other'.* is not in the macro form"),
        ({body.problem.u: shear}, [0, 1], "is not in the macro form"),
        ({g: lambda x, t: x}, [0, 1], r"the Function 'edge' gives shape \(3, \d+\) for .* give \(2, n\)"),
        ({g: lambda x, t: np.where(x[:2] > 0.9, np.inf, 0)}, [0, 1], "'edge' is not finite at time 0, x = "),
    ]
    with np.errstate(invalid="ignore"):
        for loads, times, match in cases:
            with pytest.raises(hmm.InputError, match=match) as caught:
                list(hmm.steps(body.problem, hmm.schedule(loads), times))
            assert "\n" not in str(caught.value)
    assert a.value == 0.0
    assert not g.x.array.any()
    assert not body.problem.stats


@pytest.mark.mpi
@pytest.mark.skipif(COMM.size == 1, reason="needs several ranks")
def test_ranks_that_disagree_are_told():
    body = square()
    with pytest.raises(hmm.InputError, match="the schedule gives different values on rank 1 and rank 0"):
        list(hmm.steps(body.problem, hmm.schedule({body.a: lambda t: t + COMM.rank}), [0, 1]))


@pytest.mark.mpi
def test_a_ramp_of_nothing_is_warned_of(caplog):
    body = square()
    stray = fem.Constant(body.g.function_space.mesh, 0.0)
    assert [s.load for s in hmm.steps(body.problem, stray, 1.0, 2)] == [0.5, 1.0]
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == (COMM.rank == 0)
    assert all("load 1 (a Constant, now 0.0) is not in the macro form" in text for text in said)


def test_bad_parts_of_schedules():
    body = square()
    for make, match in [
        (lambda: hmm.schedule({1.0: abs}), "a load of a schedule = 1.0 is no Constant or Function"),
        (lambda: hmm.schedule([body.a]), "give a dictionary of functions of time"),
        (lambda: hmm.schedule({body.g: 3.0}), "the Function 'edge' is a float: give a function of x and t"),
        (lambda: hmm.schedule({body.g: hmm.table([0, 1], [0, 1])}), "the Function 'edge' is a Table"),
        (lambda: hmm.table([0, 0], [1, 2]), "the times of a table go from 0 to 0"),
        (lambda: hmm.table([0, 1], [1, 2, 3]), r"2 times and values of shape \(3,\)"),
        (lambda: hmm.table([0, 1], [0, np.inf]), "give finite numbers"),
        (lambda: list(hmm.steps(body.problem, body.a, times=[0, 1])), "one Constant needs a target and n steps"),
        (lambda: list(hmm.steps(body.problem, hmm.schedule(), 1.0, 3)), "a schedule needs its times"),
    ]:
        with pytest.raises(hmm.InputError, match=match):
            make()
