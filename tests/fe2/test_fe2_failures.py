"""A step that fails is refused by every rank together, says where, and leaves no trace."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem
from support.macro_tools import (
    ALGORITHMS,
    beam,
    beam_mesh,
    cantilever,
    composite,
    difference,
    homogeneous_cell,
    neo_hooke_rve,
    rve_of,
    square_cell,
)

import hmm
from hmm.foundation.errors import ConvergenceError

COMM = MPI.COMM_WORLD
NEO_HOOKE = {"matrix": (50.0, 75.0), "inclusion": (500.0, 750.0)}
HARD = hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=10e3)


def snapshot(body):
    """Everything a user may look at, and what the points remember."""
    hom = body.hom
    trial, history = hom.states.trial, hom.states.committed.variables["history"]
    arrays = [body.u.x.array, hom.stress.x.array, trial.variables["z"], trial.E, history, trial.response]
    return [a.copy() for a in arrays], body.problem.reaction(body.drive)


def assert_untouched(body, before):
    arrays, reaction = snapshot(body)
    for now, then in zip(arrays, before[0], strict=True):
        assert np.array_equal(now, then)
    assert reaction == before[1]


def assert_same_on_all_ranks(message: str) -> None:
    assert len(set(COMM.allgather(message))) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_cell_turned_inside_out(algorithm):
    """The neo-Hookean logarithm is not a number once det F < 0: a tip displacement of -60 per step does that."""
    body = beam(neo_hooke_rve(square_cell(), NEO_HOOKE), algorithm)
    body.reactions([0.5])
    before, load = snapshot(body), body.load.value.item()
    with pytest.raises(ConvergenceError) as caught:
        body.reactions([1.0, -60.0], max_cutbacks=0)
    message = str(caught.value)
    assert_same_on_all_ranks(message)
    assert "load step 1 of 1 (load -60.0)" in message
    assert "RVE at (" in message and "packed macro input [" in message and "not a number" in message
    assert body.load.value.item() == 1.0 and load == 0.5
    assert len(body.problem.stats) == 2

    fresh = beam(neo_hooke_rve(square_cell(), NEO_HOOKE), algorithm)
    assert np.allclose(fresh.reactions([0.5, 1.0, 1.5])[-1], body.reactions([1.5])[-1], rtol=1e-10, atol=0)
    assert difference(body.u, fresh.u) < 1e-10
    assert before[1] == pytest.approx(0.5080532678741662, rel=1e-9)  # from test_fe2_algorithms.SERIAL


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_limit_load(algorithm):
    """A perfectly plastic cantilever carries no more than its limit load; there the macro tangent is singular.

    Bending by a dead shear load P at the free end, height 1, length 4, sigma_y = 100: the plastic moment in plane
    strain is 2/sqrt(3) sigma_y h^2 / 4 = 28.9 = 4 P, so P = 7.2; the coarse mesh carries a bit more, but never 15.
    """
    law = hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=0.0)
    V, _, clamp, _ = cantilever(beam_mesh())
    u, v = fem.Function(V), ufl.TestFunction(V)
    load = fem.Constant(V.mesh, 0.0)
    hom = hmm.Homogenizer(
        rve_of(homogeneous_cell(), {"matrix": law}), ufl.sym(ufl.grad(u)), degree=2, algorithm=algorithm, dumps=None
    )
    edge = ufl.conditional(ufl.gt(ufl.SpatialCoordinate(V.mesh)[0], 4 - 1e-6), 1.0, 0.0)
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx + load * edge * v[1] * ufl.ds
    problem = hmm.MacroProblem(F, u, hom, bcs=[clamp], petsc_options_prefix="limit_", rtol=1e-10)
    with pytest.raises(ConvergenceError) as caught:
        for _ in hmm.steps(problem, load, 30.0, 6, max_cutbacks=0):
            accepted = (
                u.x.array.copy(),
                hom.states.committed.variables["history"].copy(),
                load.value.item(),
                problem.reaction(clamp),
            )
    message = str(caught.value)
    assert_same_on_all_ranks(message)
    assert f"load step {len(problem.stats) + 1} of 6" in message
    assert "largest macro input at (" in message or "RVE at (" in message
    strain = [float(x) for x in message.split("[")[-1].split("]")[0].split(",")]
    assert np.linalg.norm(strain) > 1e-4, "the strain is that of the failed iterate, not of the accepted step"
    assert 5.0 <= load.value == accepted[2] < 15.0
    assert np.array_equal(u.x.array, accepted[0])
    assert np.array_equal(hom.states.committed.variables["history"], accepted[1])
    assert problem.reaction(clamp)[1] == accepted[3][1] == pytest.approx(load.value.item(), rel=1e-9)

    for _ in hmm.steps(problem, load, accepted[2] + 0.25, 1):
        pass
    assert problem.reaction(clamp)[1] == pytest.approx(accepted[2] + 0.25, rel=1e-9)


def inject(body, monkeypatch, rank, fault, after=2):
    """Replace one method of the RVE of `rank`: from so many calls on, `fault` decides what it gives."""
    name, replacement = fault
    if COMM.rank != rank % COMM.size:
        return
    thing = body.hom.model.system
    original, calls = getattr(thing, name), []

    def faulty(*args, **kwargs):
        calls.append(None)
        return replacement(original, *args, **kwargs) if len(calls) > after else original(*args, **kwargs)

    monkeypatch.setattr(thing, name, faulty)


def nan_residual(original):
    return original() * np.nan


def singular(original):
    raise ConvergenceError("the micro tangent is singular")


FAULTS = {"residual": ("residual", nan_residual), "factorize": ("linearize", singular)}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("fault", list(FAULTS))
def test_fault_on_one_rank_only(algorithm, fault, monkeypatch):
    """The last rank alone meets a NaN, or a singular tangent: all ranks raise, revert, and go on."""
    body = beam(composite(HARD), algorithm)
    body.reactions([-0.02])
    before = snapshot(body)
    with monkeypatch.context() as patch:
        inject(body, patch, COMM.size - 1, FAULTS[fault])
        with pytest.raises(ConvergenceError) as caught:
            body.reactions([-0.03], max_cutbacks=0)
    message = str(caught.value)
    assert_same_on_all_ranks(message)
    assert f"on rank {COMM.size - 1}" in message
    assert_untouched(body, before)

    fresh = beam(composite(HARD), algorithm)
    assert np.allclose(body.reactions([-0.03]), fresh.reactions([-0.02, -0.03])[-1], rtol=1e-10, atol=0)
    assert difference(body.u, fresh.u) < 1e-10
    assert np.allclose(
        body.hom.states.committed.variables["history"],
        fresh.hom.states.committed.variables["history"],
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_diverged_attempt_does_not_loosen_tolerances(algorithm, monkeypatch):
    """A step of ten thousand times the yield displacement fails late; its forces are no measure of later residuals."""
    body = beam(composite(HARD), algorithm)
    body.reactions([-0.02])
    scale = body.hom.states.trial.variables["scale"].copy()
    with monkeypatch.context() as patch, pytest.raises(ConvergenceError):
        inject(body, patch, 0, FAULTS["residual"], after=2 * body.hom.n_points)
        body.reactions([100.0], max_cutbacks=0)
    assert np.array_equal(body.hom.states.trial.variables["scale"], scale)
    fresh = beam(composite(HARD), algorithm)
    assert np.allclose(body.reactions([-0.03]), fresh.reactions([-0.02, -0.03])[-1], rtol=1e-10, atol=0)
    assert max(s.residuals[-1] for s in body.problem.stats) <= 1e-12


def test_steps_kept_before_a_failure():
    """The loop has seen every accepted step, and the load is the one of the last."""
    body = beam(neo_hooke_rve(square_cell(), NEO_HOOKE))
    body.reactions([1.0])
    seen = []
    with pytest.raises(ConvergenceError, match=r"load step \d of 4 .* before are kept, at load .*: use more steps"):
        for step in hmm.steps(body.problem, body.load, -100.0, 4, max_cutbacks=0):
            seen.append(step.number)
    assert seen == list(range(1, len(seen) + 1)) and len(seen) < 4
    assert body.load.value.item() == pytest.approx(1.0 - 101.0 * len(seen) / 4)
