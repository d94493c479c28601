"""Models written as UMATs: compiled, and driven strain by strain against the models themselves."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dolfinx import fem
from support.cells_and_rves import relative_error
from support.umat_driver import Umat, compiled

import hmm
from hmm import reduced
from hmm.laws import J2, Elastic, GeneralizedMaxwell, Perzyna
from hmm.models.asking import answer, points_of

LAWS = {"matrix": J2(70e3, 0.3, 100.0, 1000.0), "inclusion": Elastic(400e3, 0.2)}


def in_voigt(packing, strain):
    """Engineering strains of packed ones."""
    return np.asarray(strain) * np.array(packing.factors)


def followed(model, path, dt=0.0):
    """Packed responses and tangents of a model along a path, and its points."""
    points, found = points_of(model, 1), []
    for E in path:
        points.ask(np.atleast_2d(E), dt, "nested")
        answer(model, points)
        model.commit(points)
        points.accept()
        found.append((points.committed.response[0].copy(), points.tangent[0].copy()))
    return found, points


def assert_same(umat, packing, path, found, dt=0.0, stress=1e-8, tangent=1e-6):
    """Stress and tangent of the UMAT along a path are those that were found, in Voigt's notation."""
    scale = 1 / np.array(packing.factors)
    largest = max(np.linalg.norm(s) for s, _ in found)
    for E, (s, C) in zip(path, found, strict=True):
        STRESS, DDSDDE, PNEWDT = umat(in_voigt(packing, E), dt)
        assert PNEWDT == 1
        assert np.linalg.norm(STRESS - s * scale) < stress * largest
        assert relative_error(DDSDDE, scale[:, None] * C * scale) < tangent


def loads_and_unloads(direction, size):
    """To the full strain, back beyond zero and to a half; the other components follow later."""
    factors = np.r_[np.linspace(0, 1, 6)[1:], np.linspace(1, -0.3, 6)[1:], np.linspace(-0.3, 0.5, 4)[1:]]
    turned = np.roll(direction, 1)
    return [size * (f * np.asarray(direction) + 0.3 * f**2 * turned) for f in factors]


def fibre_rve(laws, constraint="periodic", **options):
    cell = hmm.cells.fibre(volume_fraction=0.3, mesh_size=0.3)
    of_phases = dict(zip(("matrix", "fibre"), laws.values(), strict=True))
    strain = hmm.macro_strain(cell, **options)
    return hmm.RVE(cell, hmm.fluctuation(cell, 1), strain, law=of_phases, constraint=constraint)


def trained(rve, size, dt=0.0):
    return reduced.train(rve, reduced.random_walks(rve.inputs, size, 4, 8, seed=3, dt=dt), modes=8, points=24)


@pytest.fixture(scope="module")
def plane():
    """In plane strain, with the stress 33."""
    return trained(fibre_rve(LAWS, out_of_plane=True), [0.01, 0.01, 1e-8, 0.01])


def test_reduced_in_plane_strain(plane, tmp_path):
    packing = plane.inputs[0].packing
    path = [E * [1, 1, 0, 1] for E in loads_and_unloads([0.6, -0.4, 0.0, 0.7], 0.01)]
    found, points = followed(plane, path)
    states = points.committed.variables["y"].size + points.committed.variables["history"].size
    umat = Umat(compiled(hmm.write_umat(tmp_path / "plane.c", plane)), 4, states)
    assert_same(umat, packing, path, found)
    state = np.concatenate([points.committed.variables[name][0] for name in ("y", "history")])
    assert relative_error(umat.values["STATEV"][:-1], state) < 1e-7
    assert np.abs(state[plane.reduction.n_modes :]).max() > 1e-3  # it has yielded


def test_reduced_in_3d(tmp_path):
    cell = hmm.cells.sphere(volume_fraction=0.2, mesh_size=0.5)
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law=LAWS)
    model = trained(rve, 0.01)
    path = loads_and_unloads([0.6, -0.4, 0.2, 0.3, -0.5, 0.4], 0.01)
    found, _ = followed(model, path)
    source = hmm.write_umat(tmp_path / "cell.c", model)
    states = int(source.read_text().split("NSTATV ")[1].split(";")[0])
    assert_same(Umat(compiled(source), 6, states), rve.inputs[0].packing, path, found)


def test_reduced_with_rates_and_local_unknowns(tmp_path):
    """The step's duration is DTIME; one law solves for an unknown of its own."""
    viscoplastic = J2(70e3, 0.3, 100.0, 1000.0, rate=Perzyna(50.0, 3.0, 1e-3))
    laws = {"a": viscoplastic, "b": GeneralizedMaxwell(200e3, 0.2, ((100e3, 5.0),))}
    rve = fibre_rve(laws)
    model = trained(rve, 0.01, dt=0.5)
    path = loads_and_unloads([0.6, -0.4, 0.7], 0.01)
    found, points = followed(model, path, dt=0.5)
    states = points.committed.variables["y"].size + points.committed.variables["history"].size
    source = hmm.write_umat(tmp_path / "rates.c", model)
    assert "DTIME" in source.read_text()[:1000]
    assert_same(Umat(compiled(source), 3, states), rve.inputs[0].packing, path, found, dt=0.5)


def test_reduced_without_cubature_points(tmp_path):
    rve = fibre_rve({"a": Elastic(70e3, 0.3), "b": Elastic(400e3, 0.2)})
    model = trained(rve, 0.01)
    path = loads_and_unloads([0.6, -0.4, 0.7], 0.01)
    umat = Umat(compiled(hmm.write_umat(tmp_path / "linear.c", model)), 3, model.reduction.n_modes)
    assert_same(umat, rve.inputs[0].packing, path, followed(model, path)[0])


def test_no_answer_asks_for_a_smaller_increment(plane, tmp_path, capfd):
    umat = Umat(compiled(hmm.write_umat(tmp_path / "plane.c", plane)), 4, 2000)
    first = umat([1e-4, 0, 0, 0])[0]
    for _ in range(2):
        stress, _, smaller = umat([np.inf, 0, 0, 0])
        assert (smaller, stress.tolist()) == (0.5, first.tolist())
    assert capfd.readouterr().err.count("the reduced cell did not converge; a smaller increment is asked for") == 1


def spring(a=0.0, temperature=0.0):
    """Linear, with a thermal stress; stiffness and expansion depend on a parameter and the temperature."""
    C = np.exp(a) * (1 + 0.2 * np.sin(temperature)) * np.diag([3.0, 2.0, 1.5, 1.0])

    def law(E, old, dt):
        return E @ C - temperature * np.array([0.1, 0.2, 0.3, 0.0]), np.broadcast_to(C, (len(E), 4, 4)), {}

    return hmm.FunctionModel(law, hmm.models.strain(2, out_of_plane=True))


PATH = [np.array([0.1, -0.2, 0.3, 0.1]) * f for f in (0.5, 1.0, -0.4)]


def test_table_over_a_constant_and_the_temperature(tmp_path):
    ranges = {"temperature": (-1, 1), "a": (0, 1)}
    table = hmm.tabulate(spring, ranges, tolerance=1e-3)
    scale = 1 / np.array(table.tabulated[0].packing.factors)
    umat = Umat(compiled(hmm.write_umat(tmp_path / "table.c", table)), 4, props=[0.37])
    for E, temperature in zip(PATH, (0.2, 0.9, -0.7), strict=True):
        strain = in_voigt(table.tabulated[0].packing, E)
        stress, tangent, smaller = umat(strain, temperature=temperature)
        response, A = (of[0] for of in table.evaluate(np.array([[*E, temperature, 0.37]])))
        assert smaller == 1
        assert np.allclose(stress, response[:4] * scale, rtol=1e-12, atol=1e-14)
        assert np.allclose(tangent, scale[:, None] * A[:4, :4] * scale, rtol=1e-12, atol=1e-14)
        assert np.allclose(umat.values["DDSDDT"], A[:4, 4] * scale, rtol=1e-11, atol=1e-13)


def test_a_linear_table_stores_the_work_of_the_stress(tmp_path):
    table = hmm.tabulate(spring, {"a": (0, 1)}, tolerance=1e-3)
    umat = Umat(compiled(hmm.write_umat(tmp_path / "table.c", table)), 4, props=[0.37])
    for E in PATH:
        umat(in_voigt(table.tabulated[0].packing, E))
        stress = table.evaluate(np.array([[*E, 0.37]]))[0][0, :4]
        assert umat.values["SSE"][0] == pytest.approx(stress @ E / 2, rel=1e-12)


@pytest.mark.parametrize("outside", ["error", "clamp", "extrapolate"])
@pytest.mark.parametrize("degree", [1, 3])
def test_table_of_a_nonlinear_law(tmp_path, capfd, outside, degree):
    def stiffening(E, old, dt):
        size = (E**2).sum(axis=1)
        return (1 + size)[:, None] * E, None, {}

    model = hmm.FunctionModel(stiffening, hmm.models.strain(2))
    table = hmm.tabulate(
        lambda: model, {}, over=3 * [(-0.5, 1)], tolerance=0.3, degree=degree, outside=outside, max_evaluations=4000
    )
    packing = table.tabulated[0].packing
    umat = Umat(compiled(hmm.write_umat(tmp_path / "table.c", table)), 3)
    path = [np.array([0.1, -0.4, 0.3]), np.array([0.9, 0.2, -0.1]), np.array([1.0, 1.0, -0.5])]
    assert_same(umat, packing, path, [tuple(of[0] for of in table.evaluate(E[None])) for E in path], stress=1e-12)
    beyond = np.array([1.2, 0.3, -0.7])
    if outside == "error":
        assert umat(in_voigt(packing, beyond))[2] == 0.5
        assert "outside the table" in capfd.readouterr().err
    else:
        assert_same(umat, packing, [beyond], [tuple(of[0] for of in table.evaluate(beyond[None]))], stress=1e-12)


def in_a_process(call):
    program = f"from support.umat_driver import Umat; {call}"
    tests = str(Path(__file__).parents[1])
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": tests})


@pytest.mark.parametrize(
    "ntens, props, message",
    [
        (6, [0.5], "NTENS is 6, and this model needs 4"),
        (4, [], "NPROPS (*USER MATERIAL, CONSTANTS=) is 0, and this model needs 1"),
    ],
)
def test_wrong_use_ends_the_program(tmp_path, ntens, props, message):
    table = hmm.tabulate(spring, {"a": (0, 1)}, tolerance=1e-2)
    library = compiled(hmm.write_umat(tmp_path / "table.c", table))
    done = in_a_process(f"Umat({str(library)!r}, {ntens}, 0, {props})([0.0] * {ntens})")
    assert done.returncode == 1
    assert done.stderr == f"UMAT of hmm: {message}\n"


def test_names_stay_in_the_comment(tmp_path):
    """A table from elsewhere cannot bring code of its own."""
    grid = hmm.models.table.Grid({"a */ int x; /*\n#error": np.array([0.0, 1.0])}, np.ones((2, 12)))
    table = hmm.models.TableModel([hmm.models.strain(2)], grid, linear=True, error=0.0)
    umat = Umat(compiled(hmm.write_umat(tmp_path / "table.c", table)), 3, props=[0.5])
    assert np.allclose(umat([1.0, 0.0, 0.0])[0], [2, 2, 2 / 2**0.5])


def test_state_variables_are_counted(plane, tmp_path):
    """In a process of its own, as it ends."""
    source = hmm.write_umat(tmp_path / "plane.c", plane)
    states = int(source.read_text().split("NSTATV ")[1].split(";")[0])
    done = in_a_process(f"Umat({str(compiled(source))!r}, 4, {states - 1})([0.0] * 4)")
    assert (done.returncode, done.stderr) == (
        1,
        f"UMAT of hmm: NSTATV (*DEPVAR) is {states - 1}, and this model needs {states}\n",
    )


def test_constants_in_laws(tmp_path):
    """Their values when the model was trained are in the source; a model whose constants have changed is refused."""
    cell = hmm.cells.fibre(volume_fraction=0.3, mesh_size=0.3)
    yield_stress = fem.Constant(cell.mesh, 100.0)
    law = {"matrix": J2(70e3, 0.3, yield_stress, 1000.0), "fibre": LAWS["inclusion"]}
    model = trained(hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law=law), 0.01)
    path = loads_and_unloads([0.6, -0.4, 0.7], 0.01)
    umat = Umat(compiled(hmm.write_umat(tmp_path / "cell.c", model)), 3, 2000)
    assert_same(umat, model.inputs[0].packing, path, followed(model, path)[0])
    yield_stress.value = 200.0
    with pytest.raises(hmm.InputError, match="a parameter of the RVE has changed"):
        hmm.write_umat(tmp_path / "cell.c", model)


def test_other_models_are_refused(tmp_path):
    def of(*inputs):
        return hmm.FunctionModel(lambda E, old, dt: (E, None, {}), inputs)

    heat, finite = of(hmm.models.gradient(2)), of(hmm.models.deformation_gradient(2))
    both = of(hmm.models.strain(2), hmm.models.scalar("T", "entropy"))
    for model, message in {
        heat: "the model's input gradient is no small strain: make the model of hmm.macro_strain or hmm.models.strain",
        both: "the model has the inputs strain, T: a UMAT has one, a small strain",
        finite: "the model's input deformation_gradient is no small strain",
    }.items():
        table = hmm.tabulate(lambda p, model=model: model, {"p": (0, 1)})
        with pytest.raises(hmm.InputError, match=message):
            hmm.write_umat(tmp_path / "a.c", table)
    with pytest.raises(hmm.InputError, match="is not a TableModel or ReducedModel: make one"):
        hmm.write_umat(tmp_path / "a.c", heat)
    with pytest.raises(hmm.InputError, match="path = None is not a str or Path: give the path of a file"):
        hmm.write_umat(None, hmm.tabulate(spring, {"a": (0, 1)}, tolerance=1e-2))
    with pytest.raises(hmm.InputError, match=r"cannot write .*missing"):
        hmm.write_umat(tmp_path / "missing" / "a.c", hmm.tabulate(spring, {"a": (0, 1)}, tolerance=1e-2))
    assert not list(tmp_path.iterdir())
