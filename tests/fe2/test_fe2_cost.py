"""What FE2 does not do: needless factorizations; and what it says when it has to fall back."""

import logging

from mpi4py import MPI

import pytest
from support.macro_tools import J2, STIFF, beam, composite, rve_of, square_cell

import hmm
from hmm.foundation.errors import Failure
from hmm.micro import algorithms


def total(stats, name):
    return sum(getattr(s.micro, name) for s in stats)


def test_elastic_cells_are_factorized_once_for_all_points():
    """One residual per point and macro iterate, no factorization after the first, no right-hand side."""
    rve = rve_of(square_cell(), {"matrix": J2.elastic, "inclusion": STIFF})
    body = beam(rve)
    body.reactions([-0.01, -0.02, 0.01])
    assert rve.n_factorizations == 1
    assert total(body.problem.stats, "factorizations") == total(body.problem.stats, "right_hand_sides") == 0
    evaluations = sum(s.iterations + 1 for s in body.problem.stats)
    points = MPI.COMM_WORLD.allreduce(body.hom.n_points)
    assert total(body.problem.stats, "residuals") <= evaluations * points


def test_elastic_points_of_a_plastic_cell_are_not_factorized():
    """Below yield the tangent predictor is exact: the nonlinear law alone costs no factorization."""
    body = beam(composite())
    body.reactions([-1e-4, -2e-4])
    assert total(body.problem.stats, "factorizations") == 0


def test_monolithic_factorizes_a_fraction_of_nested():
    counts = []
    for algorithm in ("monolithic", "nested"):
        body = beam(composite(), algorithm)
        body.reactions([-0.01, -0.02, -0.03])
        counts.append(total(body.problem.stats, "factorizations"))
    assert 0 < counts[0] < 0.5 * counts[1]


def test_a_failed_monolithic_step_falls_back_once_said(monkeypatch, caplog):
    """The monolithic algorithm is made to fail: each step is done nested, counted, and said only the first time."""
    monkeypatch.setitem(algorithms.ALGORITHMS, "monolithic", lambda *_: Failure("made to fail"))
    with caplog.at_level(logging.WARNING, logger="hmm"):
        body = beam(composite())
        reactions = body.reactions([-0.01, -0.02])
    assert [s.fallbacks for s in body.problem.stats] == [2, 2], "as it was, and from elastic tangents"
    assert [s.algorithm for s in body.problem.stats] == ["nested", "nested"]
    said = [r for r in caplog.records if "nested" in r.getMessage()]
    assert len(said) == (1 if MPI.COMM_WORLD.rank == 0 else 0)
    assert "made to fail" in said[0].getMessage() if said else True
    assert body.hom.algorithm == "monolithic", "the next step tries again"
    monkeypatch.undo()
    assert beam(composite(), "nested").reactions([-0.01, -0.02]) == pytest.approx(reactions, rel=1e-9)


def test_ten_thousand_points_of_a_thousand_unknowns_fit_in_two_gibibytes():
    """Per point: fields and sensitivities of m = 3 inputs, 8 bytes each, history once: about 80 kB."""
    rve = rve_of(square_cell(20), {"matrix": J2, "inclusion": STIFF})
    states = hmm.models.points_of(rve, 3)
    assert 700 < rve.n_unknowns < 1_300
    assert 10_000 * states.nbytes_per_point < 2 * 2**30
    fields = 8 * ((2 + rve.n_inputs) * rve.n_unknowns + rve.n_history)
    assert states.nbytes_per_point == pytest.approx(fields, rel=0.02)
