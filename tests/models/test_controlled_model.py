"""Prescribed responses of any micro model: uniaxial and plane stress, the same numbers as with RVEs, and mistakes."""

import numpy as np
import pytest
from support.function_models import j2_model
from support.macro_tools import J2, beam, difference, homogeneous_cell

import hmm
from hmm.models import ControlledModel, Variable

YOUNG, YIELD, HARDENING = 70e3, 100.0, 700.0
ELASTOPLASTIC = YOUNG * HARDENING / (YOUNG + HARDENING)
TENSION = {"22": 0.0, "33": 0.0, "12": 0.0}
LEVELS = [1e-3, 2e-3, 4e-3]


def flow_stress(strain):
    """Stress of linear hardening in uniaxial tension."""
    return np.minimum(YOUNG * strain, YIELD + ELASTOPLASTIC * (strain - YIELD / YOUNG))


def rve_out_of_plane():
    cell = homogeneous_cell()
    E = hmm.macro_strain(cell, out_of_plane=True)
    return hmm.RVE(cell, hmm.fluctuation(cell), E, law={"matrix": J2}, newton_options=hmm.NewtonOptions(rtol=1e-12))


@pytest.mark.parametrize("tangent", ["given", "differences", "broyden"])
def test_uniaxial_tension(tangent):
    """The closed form, and its slope where the tangent is exact."""
    test = hmm.uniaxial(j2_model(out_of_plane=True, tangent=tangent), "11", LEVELS)
    assert test.stress == pytest.approx(flow_stress(np.array(LEVELS)), rel=1e-8)
    if tangent == "given":
        assert test.moduli == pytest.approx([YOUNG, ELASTOPLASTIC, ELASTOPLASTIC], rel=1e-6)


def test_answers_have_all_components():
    model = j2_model(out_of_plane=True)
    control = hmm.MixedControl(model, TENSION)
    assert isinstance(control, ControlledModel)
    answer = control.solve({"11": 1e-3})
    assert answer.vector[0] == pytest.approx(YOUNG * 1e-3) and answer.stress.shape == (1, 1)
    assert answer.input == pytest.approx(np.diag([1e-3, -3e-4, -3e-4]), abs=1e-15)
    assert answer.full.vector == pytest.approx([YOUNG * 1e-3, 0, 0, 0], abs=1e-6)
    assert answer.full.tangent == pytest.approx(model.solve({"11": 0.0}).tangent)
    pushed = control.solve({"11": 0.0}, answer.state, response={"22": 35.0})
    assert pushed.full.vector[1] == pytest.approx(35.0, rel=1e-9)
    assert pushed.input[0, 0] == 0.0


def test_plane_stress_along_a_path_is_that_of_an_rve():
    """Responses, tangents and free components, with loading beyond yield, shear and unloading."""
    path = [{"11": 1e-3}, {"11": 4e-3, "22": -1e-3}, {"11": 4e-3, "12": 2e-3}, {"11": 1e-3}]
    answers = [hmm.follow(hmm.plane_stress(m), path) for m in (j2_model(out_of_plane=True), rve_out_of_plane())]
    for function, rve in zip(*answers, strict=True):
        assert function.vector == pytest.approx(rve.vector, rel=1e-8, abs=1e-6)
        assert function.tangent == pytest.approx(rve.tangent, rel=1e-6, abs=1e-2)
        assert function.input == pytest.approx(rve.input, rel=1e-7, abs=1e-11)


def test_finite_strain_holds_the_rotation():
    """A quadratic energy of ``F - I`` as the simplest model with a deformation gradient."""

    def linear(F, old, dt):
        C = np.diag(np.arange(1.0, 10.0)) + 0.1
        return (F - np.eye(3).ravel()) @ C, np.broadcast_to(C, (len(F), 9, 9)), {}

    model = hmm.FunctionModel(linear, hmm.models.deformation_gradient(3))
    answer = hmm.plane_stress(model).solve({"11": 1.1, "22": 1.0})
    assert answer.input[2, :2] == pytest.approx(0.0), "fixed"
    assert answer.full.parts[0][:, 2] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.mpi
def test_a_macro_problem_in_plane_stress():
    """The plastic beam is the one of a homogeneous RVE in plane stress."""
    models = (j2_model(out_of_plane=True), rve_out_of_plane())
    bodies = [beam(hmm.plane_stress(model)) for model in models]
    for body in bodies:
        body.reactions([-0.02, -0.03, -0.04])
    assert difference(*(body.u for body in bodies)) < 1e-8
    micro = bodies[0].problem.stats[-1].micro
    assert micro.evaluations > micro.solves > 0, "several evaluations for one question"


def test_what_it_remembers_can_be_observed():
    control = hmm.plane_stress(j2_model(out_of_plane=True))
    points = hmm.models.points_of(control, 2)
    points.ask(np.array([[1e-3, 0.0, 0.0], [0.0, 0.0, 0.0]]), 0.0, "nested")
    control.answer(points)
    points.accept()
    across = control.observe(points, "free_33")
    assert across == pytest.approx(np.array([[-1e-3 * 0.3 / 0.7], [0.0]]), abs=1e-15)
    assert control.observe(points, "p") == pytest.approx(np.zeros((2, 1)))
    assert set(control.observables) == {"plastic_strain", "p", "free_33"}


class Deferred:
    """A spring whose memory is written in `commit`, with what it needs of the step."""

    inputs = (hmm.models.strain(2),)
    variables = {"work": Variable((), "deferred")}  # noqa: RUF012

    def initial(self):
        return hmm.models.InitialPoint()

    def answer(self, points):
        rows = points.asked
        points.trial.response[rows], points.tangent[rows] = 2.0 * points.E[rows], 2.0 * np.eye(3)
        points.converged[rows] = True

    def commit(self, points):
        trial = points.trial
        points.deferred["work"] = np.einsum("ni,ni->n", trial.E, trial.response) * points.dt


def test_the_end_of_the_step_knows_the_whole_answer():
    answer = hmm.MixedControl(Deferred(), {"22": 3.0}).solve({"11": 1.0}, dt=0.5)
    assert answer.state["work"] == pytest.approx((1.0 * 2.0 + 1.5 * 3.0) * 0.5)


def test_rates_and_parameters_are_the_models():
    def viscous(E, old, dt):
        C = np.eye(3) / dt
        return E @ C, np.broadcast_to(C, (len(E), 3, 3)), {}

    model = hmm.FunctionModel(viscous, hmm.models.strain(2), rates=True)
    control = hmm.MixedControl(model, {"22": 1.0})
    for each in (model, control):
        with pytest.raises(hmm.InputError, match="depends on time, and the step has no duration"):
            each.solve({"11": 1.0})
    assert hmm.uniaxial(model, "11", [1.0], dt=0.5).stress == pytest.approx([2.0])
    assert control.solve({"11": 1.0}, dt=0.5).input[1, 1] == pytest.approx(0.5)


def test_failures_and_mistakes():
    def fragile(E, old, dt):
        C = np.eye(3)
        response = np.where(E[:, :1] > 1.0, np.nan, E)
        return response, np.broadcast_to(C, (len(E), 3, 3)), {}

    control = hmm.MixedControl(hmm.FunctionModel(fragile, hmm.models.strain(2)), {"22": 0.0})
    with pytest.raises(hmm.ConvergenceError, match="the response is not a number"):
        control.solve({"11": 2.0})
    with pytest.raises(hmm.InputError, match="the response 11 is not prescribed in this MixedControl, which has: 22"):
        control.prescribe({"11": 0.0})
    with pytest.raises(hmm.InputError, match="the state belongs to another model"):
        control.solve({"11": 0.1}, j2_model().solve({"11": 0.1}).state)
    with pytest.raises(hmm.InputError, match="'33' is not a macro component"):
        hmm.MixedControl(j2_model(), {"33": 0.0})
    soft = hmm.FunctionModel(lambda E, o, dt: (0 * E, np.zeros((len(E), 3, 3)), {}), hmm.models.strain(2))
    with pytest.raises(hmm.InputError, match=r"no stiffness against a free component \(22\): prescribe the input"):
        hmm.MixedControl(soft, {"22": 0.0}).solve({"11": 0.1})
    stuck = hmm.FunctionModel(
        lambda E, o, dt: (E + 1, np.tile(1e9 * np.eye(3), (len(E), 1, 1)), {}), hmm.models.strain(2)
    )
    with pytest.raises(hmm.ConvergenceError, match="the prescribed responses were not reached"):
        hmm.MixedControl(stuck, {"22": 0.0}).solve({"11": 0.1})
