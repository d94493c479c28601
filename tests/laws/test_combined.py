"""Laws of laws: fields side by side or added, internal variables and local unknowns that do not clash."""

import numpy as np
import pytest
from support.cells_and_rves import TIGHT, central_differences, relative_error
from support.material_point import homogeneous_cell, point, variable

import hmm
from hmm import checks
from hmm.laws import J2, Anisotropic, Elastic, Fourier, GeneralizedMaxwell, ThermoElastic, Voce, combine, rename

PATH = (np.array([[0.01, 0.004], [0.004, 0.0]]), np.array([[0.02, -0.004], [-0.004, 0.005]]))


@pytest.mark.mpi
def test_fields_side_by_side():
    """A displacement and a temperature in one cell: the answers are those of two cells."""
    cell = hmm.cells.laminate({"a": 0.4, "b": 0.6}, normal=1, mesh_size=0.5)
    elastic = {"a": Elastic(1.0, 0.3), "b": Elastic(8.0, 0.2)}
    thermal = {"a": Fourier(1.0), "b": Fourier(((3.0, 0.5), (0.5, 2.0)))}
    w = hmm.fluctuation(cell, (1, 1))
    inputs = [hmm.macro_strain(cell, component=0), hmm.macro_gradient(cell, component=1)]
    law = {phase: combine(elastic[phase], thermal[phase]) for phase in elastic}
    both = hmm.RVE(cell, w, inputs, law=law).solve(np.zeros(5)).tangent
    one = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=elastic).solve(np.zeros(3)).tangent
    two = hmm.RVE(cell, hmm.fluctuation(cell, shape=()), hmm.macro_gradient(cell), law=thermal)
    assert np.allclose(both[:3, :3], one, rtol=0, atol=1e-10)
    assert np.allclose(both[3:, 3:], two.solve(np.zeros(2)).tangent, rtol=0, atol=1e-10)
    assert np.abs(both[:3, 3:]).max() < 1e-12


def test_added_elastic_laws_are_their_sum():
    law = combine(Elastic(1.0, 0.0), Elastic(2.0, 0.0), add=("strain",))
    assert relative_error(point(law).solve(PATH[0]).vector, point(Elastic(3.0, 0.0)).solve(PATH[0]).vector) < 1e-14


@pytest.mark.parametrize(
    "parts",
    [
        (J2(1.0, 0.3, 0.005, 0.1), J2(2.0, 0.3, 0.02, 0.2)),
        (J2(1.0, 0.3, 0.005, Voce(0.01, 50.0)), J2(2.0, 0.3, 0.02, Voce(0.02, 20.0))),
        (GeneralizedMaxwell(1.0, 0.3, ((1.0, 0.5),)), J2(2.0, 0.3, 0.02, Voce(0.02, 20.0))),
    ],
    ids=["closed form", "two local unknowns", "of two kinds"],
)
def test_parts_in_parallel_have_histories_of_their_own(parts):
    """Sublayers (Besseling): the stress is the sum of the parts' stresses, each on its own path."""
    rve, alone = point(combine(*parts, add=("strain",))), [point(part) for part in parts]
    state, states = None, [None] * len(parts)
    for E in PATH:
        tangent = rve.solve(E, state, dt=0.1).tangent
        assert relative_error(tangent, central_differences(rve, E, state, 1e-7)) < 1e-5
        answer, answers = (
            rve.solve(E, state, dt=0.1),
            [r.solve(E, s, dt=0.1) for r, s in zip(alone, states, strict=True)],
        )
        assert relative_error(answer.vector, sum(a.vector for a in answers)) < 1e-10
        state, states = answer.state, [a.state for a in answers]
    if isinstance(parts[0], J2):
        assert list(rve.histories["all"].packings) == ["plastic_strain_1", "p_1", "plastic_strain_2", "p_2"]
        for k in (0, 1):
            assert variable(rve, answer, f"p_{k + 1}") == pytest.approx(variable(alone[k], answers[k], "p"), rel=1e-9)
    else:
        assert list(rve.histories["all"].packings) == ["deviator", "stress_1", "plastic_strain", "p"]


def test_two_diffusions_beside_plasticity():
    """Renamed laws are parts like others, also beside one with local unknowns."""
    plastic = J2(1.0, 0.3, 0.005, Voce(0.01, 50.0))
    law = combine(plastic, Fourier(2.0), rename(Fourier(3.0), gradient="concentration"))
    assert law.fields == ("strain", "gradient", "concentration")
    cell = homogeneous_cell()
    inputs = [hmm.macro_strain(cell, component=0), hmm.macro_gradient(cell, component=1)]
    inputs.append(hmm.macro_gradient(cell, component=2, name="concentration"))
    rve = hmm.RVE(cell, hmm.fluctuation(cell, (1, 1, 1)), inputs, law={"all": law}, newton_options=TIGHT)
    E = np.r_[rve.inputs[0].packing.to_vector(PATH[0]), 1.0, 0.0, 0.0, 1.0]
    answer = rve.solve(E)
    assert np.allclose(answer.vector[3:], [2.0, 0.0, 0.0, 3.0], rtol=0, atol=1e-12)
    assert relative_error(answer.vector[:3], point(plastic).solve(PATH[0]).vector) < 1e-10


def test_names_that_clash_after_numbering():
    class Own(hmm.laws.Memoryless):
        fields = ("strain",)

        def __init__(self, *names):
            self.names = names

        def internal(self, dim):
            return dict.fromkeys(self.names, hmm.tensors.general())

        def response(self, at):
            return sum((at.old[name] for name in self.names), 0.0) * at.strain

        def update(self, at):
            return {name: at.old[name] for name in self.names}

    law = combine(Own("p", "p_2"), Own("p"), add=("strain",))
    assert list(law.internal(2)) == ["p_1", "p_2_1", "p_2"]
    assert set(law.update(hmm.laws.Local({}, dict.fromkeys(law.internal(2), 0.0), 0.0))) == set(law.internal(2))


def test_a_conductivity_that_depends_on_temperature_beside_thermoelasticity():
    law = combine(ThermoElastic(2.0, 0.3, 1e-3), Fourier(lambda T: 1 + T / 300), add=("temperature",))
    assert law.fields == ("strain", "temperature", "gradient")
    cell = homogeneous_cell()
    w = hmm.fluctuation(cell, (1, 1))
    inputs = [hmm.macro_strain(cell, component=0), hmm.macro_temperature(cell, 293.15)]
    inputs.append(hmm.macro_gradient(cell, component=1))
    rve = hmm.RVE(cell, w, inputs, law={"all": law}, newton_options=TIGHT)
    E = np.array([1e-3, 0.0, 0.0, 300.0, 2.0, 0.0])
    answer = rve.solve(E)
    assert answer.vector[4] == pytest.approx(4.0)
    assert relative_error(answer.tangent, central_differences(rve, E, None, 1e-4)) < 1e-6


def test_energies_times_and_axes():
    law = combine(GeneralizedMaxwell(1.0, 0.3, ((1.0, 0.5),)), Elastic(1.0, 0.2), add=("strain",))
    assert law.relaxation_times == (0.5,)
    assert checks.dissipation(point(law), PATH, dt=0.1).smallest > -1e-12
    crystal = Anisotropic.transversely_isotropic(10.0, 1.0, 0.3, 0.3, 0.5, axis=1)
    assert np.allclose(combine(Fourier(1.0), crystal).axis, [1, 0, 0])
    assert not hasattr(combine(Elastic(1.0, 0.2), Fourier(1.0)), "energy")
    grains = hmm.cells.voronoi(3, dim=2, mesh_size=0.4)
    rotated = grains.rotated(combine(Anisotropic.cubic(168.4, 121.4, 75.4), Fourier(1.0)))
    assert rotated.parts[0].rotation is not None and rotated.parts[1] == Fourier(1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: combine(Elastic(1.0, 0.3)), "combine: 1 laws are given: give at least two"),
        (lambda: combine(Elastic(1.0, 0.3), 7.0), "combine: part 2, 7.0, is no law"),
        (
            lambda: combine(Elastic(1.0, 0.3), J2(1.0, 0.3, 1.0)),
            r"combine: Elastic and J2 both answer 'strain': leave one out, or give add=\('strain',\)",
        ),
        (
            lambda: combine(Elastic(1.0, 0.3), Fourier(1.0), add=("strain",)),
            "combine: add = 'strain' is answered by Elastic of the laws",
        ),
    ],
)
def test_ambiguity_is_refused_by_name(make, message):
    with pytest.raises(hmm.InputError, match=message):
        make()
