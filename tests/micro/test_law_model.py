"""A law as a micro model: a single-scale problem answers as one of homogeneous cells, whatever is done with it."""

from mpi4py import MPI

import numpy as np
import pytest
from dolfinx import fem
from support.cells_and_rves import relative_error
from support.macro_tools import ALGORITHMS, J2, beam, homogeneous_cell, rve_of

import hmm
from hmm import laws, models

TARGETS = [-0.06, -0.02]


@pytest.mark.mpi
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_beam_answers_as_one_of_homogeneous_cells(algorithm):
    alone = beam(hmm.LawModel(J2, 2), algorithm)
    cells = beam(rve_of(homogeneous_cell(), {"matrix": J2}), algorithm)
    expected = cells.reactions(TARGETS, 4)
    assert relative_error(alone.reactions(TARGETS, 4), expected) < 1e-9
    assert len(alone.problem.stats) == len(cells.problem.stats) == 8  # a step cut in two ends elsewhere
    p = alone.hom.observe("p")
    assert np.allclose(p, cells.hom.point_average("matrix", "p"), rtol=1e-7, atol=1e-12)
    assert alone.hom.comm.allreduce(float(p.max(initial=0.0)), op=MPI.MAX) > 1e-3


def followed(body, path, last=4):
    """Reactions of the steps that are left of four; the loop is left in the body of the step after `last`."""
    reactions = []
    for step in hmm.steps(body.problem, body.load, TARGETS[0], 4, checkpoint=path):
        if step.number > last:
            break
        reactions.append(body.problem.reaction(body.drive))
    return reactions


@pytest.mark.mpi
def test_a_checkpoint_goes_on(tmp_path):
    folder = MPI.COMM_WORLD.bcast(tmp_path)
    expected = followed(beam(hmm.LawModel(J2, 2)), folder / "whole.h5")
    followed(beam(hmm.LawModel(J2, 2)), folder / "run.h5", last=2)
    with pytest.raises(hmm.InputError, match="law of the micro model"):
        followed(beam(hmm.LawModel(laws.J2(70e3, 0.3, 120.0, 700.0), 2)), folder / "run.h5")
    assert followed(beam(hmm.LawModel(J2, 2)), folder / "run.h5") == pytest.approx(expected[2:], rel=1e-10)


def test_tension_and_plane_stress():
    model = hmm.LawModel(J2)
    test = hmm.uniaxial(model, "11", [1e-3, 3e-3, 5e-3])
    E, yields, H = 70e3, 100.0, 700.0
    plastic = np.maximum(E * test.strain - yields, 0) / (E + H)
    assert test.stress == pytest.approx(E * (test.strain - plastic), rel=1e-8)
    assert test.moduli[-1] == pytest.approx(E * H / (E + H), rel=1e-6)
    plane = hmm.plane_stress(model)
    flat = hmm.LawModel(J2, 2, inputs=models.strain(2, out_of_plane=True))
    given = {"11": 2e-3, "12": 1e-3}
    assert np.allclose(plane.solve(given).vector, hmm.plane_stress(flat).solve(given).vector, rtol=1e-8)


def test_large_strain_in_tension():
    law = laws.NeoHooke(3.0, 0.3)
    test = hmm.uniaxial(hmm.LawModel(law), "11", [1.0001, 1.5])
    assert test.stress[0] == pytest.approx(3.0 * 1e-4, rel=1e-3)
    assert abs(test.responses[1].full.stress[1, 1]) < 1e-8 < test.stress[1]


def test_several_inputs_a_reference_and_the_tangent():
    law = laws.ThermoElastic(3.0, 0.3, expansion=1e-3, conductivity=2.0)
    model = hmm.LawModel(law, 2, inputs=[models.scalar("temperature", "entropy", 20.0)])
    assert [e.name for e in model.inputs] == list(law.fields)
    answer = model.solve({"strain 11": 1e-2})
    assert np.allclose(answer.tangent @ (np.eye(answer.vector.size)[0] * 1e-2), answer.vector - model.solve({}).vector)
    assert hmm.checks.tangent(hmm.LawModel(J2, 2), {"11": 3e-3})


def test_constants_and_rates():
    cell = homogeneous_cell()
    young = fem.Constant(cell.mesh, 1.0)
    model = hmm.LawModel(laws.Elastic(young, 0.0), 2)
    assert list(model.parameters) == [young] and not model.has_rates
    for E in (1.0, 5.0):
        young.value = E
        assert model.solve({"11": 1.0}).stress[0, 0] == pytest.approx(E)
    maxwell = hmm.LawModel(laws.GeneralizedMaxwell(3.0, 0.3, ((1.0, 2.0),)), 2)
    with pytest.raises(hmm.InputError, match="LawModel depends on time"):
        maxwell.solve({"11": 1.0})
    assert maxwell.solve({"11": 1.0}, dt=1.0).vector[0] > 0


def test_bad_input():
    for wrong, message in (
        (lambda: hmm.LawModel(laws.Rigid()), "has no response of its own"),
        (lambda: hmm.LawModel(laws.Stokes(1.0)), "Stokes answers the field 'pressure_gradient', for which there is no"),
        (lambda: hmm.LawModel(J2, inputs=models.scalar("heat", "q")), "J2 has no field 'heat': it answers strain"),
        (lambda: hmm.LawModel(J2, 5), "dim = 5"),
    ):
        with pytest.raises(hmm.InputError, match=message):
            wrong()
    with pytest.raises(hmm.ConvergenceError, match="NeoHooke: the response is not a number"):
        hmm.LawModel(laws.NeoHooke(3.0, 0.3), 2).solve({"11": -1.0})
