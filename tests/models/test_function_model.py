"""A user's function as a micro model: the same answers as a homogeneous RVE and as a single-scale problem."""

import logging

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from support.function_models import j2_model, radial_return
from support.macro_tools import J2, beam, difference, homogeneous_cell, rve_of

import hmm
from hmm.models.asking import answer

STRAIN = hmm.models.strain(2)
TIP = -0.05
"""Displacement of the end of the beam, which yields at a quarter of it."""


def linear(E, old, dt):
    C = np.diag([2.0, 3.0, 4.0])
    return E @ C, np.broadcast_to(C, (len(E), 3, 3)), {}


def run(body, steps=4, **options):
    for _ in hmm.steps(body.problem, body.load, TIP, steps, **options):
        pass
    return body


@pytest.mark.mpi
def test_j2_function_is_the_homogeneous_rve():
    """Displacements of a plastic beam, with the function and with RVEs of a homogeneous cell, agree to 1e-9."""
    function, cell = (run(beam(model)) for model in (j2_model(), rve_of(homogeneous_cell(), {"matrix": J2})))
    assert difference(function.u, cell.u) < 1e-9
    own = function.hom.batches.points[0].committed.variables["p"]
    assert function.hom.comm.allreduce(own.max(initial=0.0), MPI.MAX) > 1e-3


@pytest.mark.parametrize("tangent", ["differences", "broyden"])
def test_without_a_tangent(tangent, caplog):
    exact = run(beam(j2_model()))
    with caplog.at_level(logging.WARNING, "hmm"):
        body = run(beam(j2_model(tangent=tangent)))
    assert difference(exact.u, body.u) < 1e-8
    micro = body.problem.stats[-1].micro
    assert micro.differences > 0
    if MPI.COMM_WORLD.rank == 0:
        assert sum("gives no tangent" in r.getMessage() for r in caplog.records) == 1
    per_point = micro.evaluations / micro.differences
    assert per_point == pytest.approx(7.0 if tangent == "differences" else 1.0)


def test_point_by_point_and_vectorized_are_the_same():
    vectorized = j2_model()
    one = radial_return(70e3, 0.3, 100.0, 700.0)

    def single(E, old, dt):
        response, tangent, new = one(E[None], {k: v[None] for k, v in old.items()}, dt)
        return response[0], tangent[0], {k: v[0] for k, v in new.items()}

    pointwise = hmm.FunctionModel(single, STRAIN, {"plastic_strain": 6, "p": 1}, vectorized=False)
    state = None
    for E in ([1e-3, 0, 0], [4e-3, -1e-3, 2e-3]):
        a, b = vectorized.solve(E, state), pointwise.solve(E, state)
        assert np.array_equal(a.vector, b.vector) and np.array_equal(a.tangent, b.tangent)
        state = a.state
    assert a.state["p"][0] > 0


@pytest.mark.mpi
@pytest.mark.parametrize("ensemble", ["owner", "balanced"])
def test_checkpoint_and_balance(tmp_path_factory, ensemble):
    path = MPI.COMM_WORLD.bcast(tmp_path_factory.mktemp("run") / "run.h5")
    whole = run(beam(j2_model(), ensemble=ensemble), 4)
    first = beam(j2_model(), ensemble=ensemble)
    for step in hmm.steps(first.problem, first.load, TIP, 4, checkpoint=path):
        if step.number == 3:
            break
    again = run(beam(j2_model(), ensemble=ensemble), 4, checkpoint=path)
    assert difference(whole.u, again.u) < 1e-10


def test_cutback(caplog):
    """A function that has no answer beyond a step size makes the macro step be cut, with the same result."""
    law = radial_return(70e3, 0.3, 100.0, 700.0)

    def careful(E, old, dt):
        response, tangent, new = law(E, old, dt)
        response[(new["p"] - old["p"])[:, 0] > 2.5e-3] = np.nan
        return response, tangent, new

    body = beam(hmm.FunctionModel(careful, STRAIN, {"plastic_strain": 6, "p": 1}))
    steps = list(hmm.steps(body.problem, body.load, TIP, 1))
    assert steps[0].cutbacks > 0
    fine = run(beam(j2_model()), steps[0].increments)
    assert difference(fine.u, body.u) < 0.05


def test_two_models_in_one_variation():
    rve, function = rve_of(homogeneous_cell(), {"matrix": J2}), j2_model()
    mixed = run(beam(hmm.variation.scattered([rve, function], seed=1)), 3)
    alone = run(beam(j2_model()), 3)
    assert difference(mixed.u, alone.u) < 1e-9


def test_a_wrong_tangent_is_caught():
    def lying(E, old, dt):
        response, tangent, new = linear(E, old, dt)
        return response, 1.05 * tangent, new

    check = hmm.checks.tangent(hmm.FunctionModel(lying, STRAIN), {"11": 1e-3})
    assert not check and check.error == pytest.approx(0.05, rel=1e-3) and "NOT" in str(check)
    assert hmm.checks.tangent(hmm.FunctionModel(linear, STRAIN), {"11": 1e-3})
    assert hmm.checks.tangent(j2_model(), [4e-3, -1e-3, 2e-3]).error < 1e-6


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda E, old, dt: E, "return a tuple"),
        (lambda E, old, dt: (E[:, :2], None, {}), r"response has the shape \(1, 2\) and should have \(1, 3\)"),
        (lambda E, old, dt: (E, E, {}), "tangent has the shape"),
        (lambda E, old, dt: (E * 1j, None, {}), "complex128"),
        (lambda E, old, dt: (E, None, {"q": E}), "new variables are q and should be none"),
    ],
)
def test_wrong_answers_are_named(function, message):
    with pytest.raises(hmm.InputError, match=message):
        hmm.models.points_of(hmm.FunctionModel(function, STRAIN, name="mine"), 1)


def test_nan_names_model_and_point():
    def fails(E, old, dt):
        response, tangent, _ = linear(E, old, dt)
        return np.where(E[:, :1] > 1e-4, np.nan, response), tangent, {}

    body = beam(hmm.FunctionModel(fails, STRAIN, name="fragile"))
    with pytest.raises(hmm.ConvergenceError, match=r"at \(.*\) on rank \d.*response is not a number"):
        list(hmm.steps(body.problem, body.load, TIP, 1, max_cutbacks=0))


def test_wrong_options():
    with pytest.raises(
        hmm.InputError, match=r"FunctionModel <lambda>: function cannot be called with \(E, old, dt\): too"
    ):
        hmm.FunctionModel(lambda E, old: E, hmm.models.strain(2))
    with pytest.raises(hmm.InputError, match=r"FunctionModel int: function = 5 is not a function: give a function of"):
        hmm.FunctionModel(5, hmm.models.strain(2))
    with pytest.raises(hmm.InputError, match="two inputs named 'strain'"):
        hmm.FunctionModel(linear, [STRAIN, STRAIN])
    with pytest.raises(hmm.InputError, match="no macroscopic input"):
        hmm.FunctionModel(linear, [])
    with pytest.raises(hmm.InputError, match="'guess' must be one of"):
        hmm.FunctionModel(linear, STRAIN, tangent="guess")
    with pytest.raises(hmm.InputError, match="variable 'p' = 'many'"):
        hmm.FunctionModel(linear, STRAIN, {"p": "many"})
    with pytest.raises(hmm.InputError, match="are reserved"):
        hmm.models.points_of(hmm.FunctionModel(lambda E, o, dt: (E, None, {"E": o["E"]}), STRAIN, {"E": 1}), 1)
    with pytest.raises(hmm.InputError, match="is not a micro model"):
        hmm.Homogenizer(linear, ufl.sym(ufl.grad(beam(j2_model()).u)))


@pytest.mark.parametrize("tangent", ["given", "broyden"])
def test_a_dropped_step_leaves_no_trace(tangent):
    """After an answer that is not a number: the last tangent is still there, and so is what was known."""
    C = np.diag([2.0, 3.0, 4.0])

    def fragile(E, old, dt):
        response, C, new = linear(E, old, dt)
        return np.where(E[:, :1] > 1.0, np.nan, response), C, new

    model = hmm.FunctionModel(fragile, STRAIN, tangent=tangent)
    points = hmm.models.points_of(model, 2)
    for E, fails in ((0.1, False), (2.0, True), (0.2, False)):
        points.ask(np.array([[E, 0.0, 0.0], [0.1, 0.0, 0.0]]), 0.0, "nested")
        answer(model, points)
        assert list(points.failures) == [0] * fails
        if fails:
            points.revert()
    assert points.tangent == pytest.approx(np.array([C, C]), rel=1e-8)


def test_rows_that_an_exception_left_out_know_nothing():
    def raises(E, old, dt):
        if (E[:, 0] > 1.0).any():
            raise ValueError("too large")
        return linear(E, old, dt)

    model = hmm.FunctionModel(raises, STRAIN)
    points = hmm.models.points_of(model, 2)
    small, large = np.full((2, 3), 0.1), np.array([[0.2, 0.0, 0.0], [2.0, 0.0, 0.0]])
    for E in (small, large):
        points.ask(E, 0.0, "nested")
        answer(model, points)
    assert points.failures == {0: "ValueError: too large"}
    assert not points.converged.any() and np.array_equal(points.trial.E, small)
    points.ask(large, 0.0, "nested")
    assert points.asked.tolist() == [0, 1]
