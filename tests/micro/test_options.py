"""Options of the wrong type or range are refused at the door, and what was destroyed is not used."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from support.macro_tools import J2, beam, beam_mesh, cantilever, homogeneous_cell, rve_of

import hmm
from hmm.foundation.errors import InputError
from hmm.micro.response import PointState

COMM = MPI.COMM_WORLD
LAW = {"matrix": J2.elastic}


@pytest.fixture(scope="module")
def cell():
    return homogeneous_cell()


@pytest.fixture(scope="module")
def body(cell):
    return beam(rve_of(cell, LAW))


def refused(function, match):
    """That a call is refused in one line, on all ranks alike."""
    with pytest.raises(InputError, match=match) as caught:
        function()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300
    assert set(COMM.allgather(message)) == {message}


@pytest.mark.parametrize("degree", [1.5, 2.0, -1, 200, "2", True, [2]])
def test_degree_of_a_rule(cell, body, degree):
    strain = ufl.sym(ufl.grad(body.u))
    refused(lambda: hmm.Homogenizer(body.hom.model, strain, degree=degree), "^degree = .* whole number of at least 0")
    refused(lambda: rve_of(cell, LAW, quadrature_degree=degree), "^quadrature_degree = .* whole number")


@pytest.mark.parametrize("degree", [1.5, -1, 200, "2", True, (2, 1.5)])
def test_degree_of_a_fluctuation(cell, degree):
    refused(lambda: hmm.fluctuation(cell, degree), "degree .* of the fluctuation field: give a whole number")


@pytest.mark.parametrize(
    "rtol", [10**400, 10**5000, 0, -1e-8, 1.0, np.nan, np.inf, "1e-8", None, True], ids=lambda rtol: type(rtol).__name__
)
def test_tolerance(body, rtol):
    refused(lambda: hmm.NewtonOptions(rtol=rtol), "rtol of NewtonOptions = .* between 0 and 1")
    refused(lambda: problem_of(body, rtol=rtol), "^rtol = .* between 0 and 1")


def problem_of(body, **options):
    return hmm.MacroProblem(**{"F": body.problem.form, "u": body.u, "hom": body.hom} | options)


@pytest.mark.parametrize("name", ["max_iterations", "max_halvings", "max_cuts"])
def test_counts_of_newton(name):
    refused(lambda: hmm.NewtonOptions(**{name: 2.5}), f"{name} of NewtonOptions = 2.5")


def test_arguments_of_a_cell_problem(cell):
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)

    def rve(match, **options):
        given = {"cell": cell, "w": w, "E": E, "law": LAW} | options
        refused(lambda: hmm.RVE(**given), match)

    rve("cell = <Mesh> is no Cell", cell=cell.mesh)
    rve("w = <MacroInput> is no Function", w=E)
    rve("E = <Function> is no MacroInput", E=[w])
    rve(r"law = \[.* give a dictionary of laws by phase", law=[J2])
    rve("petsc_options = .* give a dictionary", petsc_options=["ksp_rtol", 1e-8])
    rve("micro = .* give a dictionary", micro=[hmm.component(0)])
    rve("newton_options = .* is no NewtonOptions", newton_options={"rtol": 1e-8})
    rve("dt = 0.1 is no Constant", dt=0.1)
    rve("energy = .* is no Form", law=None, energy=1.0)
    rve("constraint .* is unknown: choose one of 'periodic'", constraint=["periodic"])
    rve("solver .* is unknown: choose one of 'auto'", solver=None)
    rve("fixed_dofs = .* are not degrees of freedom of w", fixed_dofs=[10**6])
    rve("fixed_dofs = .* are not degrees of freedom of w", fixed_dofs=[0.5])
    rve("w is on another mesh than the cell", w=hmm.fluctuation(homogeneous_cell()))
    rve("strain is on another mesh than the cell", E=hmm.macro_strain(homogeneous_cell()))


def test_arguments_of_a_macro_problem(body):
    strain = ufl.sym(ufl.grad(body.u))
    refused(lambda: hmm.Homogenizer(body.hom.model, strain, algorithm=["nested"]), "algorithm .* is unknown")
    refused(lambda: hmm.Homogenizer(body.hom.model, strain, ensemble=["owner"]), "ensemble .* is unknown")
    refused(lambda: hmm.Homogenizer(body.hom.model, strain, dumps=3), "dumps = 3 is no str or Path")
    refused(lambda: hmm.Homogenizer(body.hom.model, [1.0]), "the macro strain = 1.0 is no Expr")
    refused(lambda: problem_of(body, F=0), "F = 0 is no Form")
    refused(lambda: problem_of(body, u=strain), "u = .* is no Function")
    refused(lambda: problem_of(body, hom=body.hom.model), "hom = .* is no Homogenizer")
    refused(lambda: problem_of(body, bcs=body.clamp), "bcs = .* give a list")
    refused(lambda: problem_of(body, bcs=[0.0]), "condition = 0.0 is no DirichletBC")
    refused(lambda: problem_of(body, petsc_options=["ksp_type"]), "petsc_options = .* give a dictionary")
    *_, clamp, drive = cantilever(beam_mesh())
    for bc in (clamp, drive):
        refused(lambda bc=bc: problem_of(body, bcs=[bc]), "another function space than u")
    refused(lambda: body.problem.reaction(clamp), "another function space than u")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n": 1.5}, "^n = 1.5 load steps: give a whole number of at least 1"),
        ({"n": "3"}, "^n = '3' load steps"),
        ({"load": 0.0}, "^load = 0.0 is no Constant"),
        ({"load": "drive"}, "^load = .* is no Constant"),
        ({"target": "far"}, "^the target of the load = 'far': give numbers"),
        ({"duration": "1"}, "^duration = '1' of the load steps: give a positive"),
        ({"max_cutbacks": 2.5}, "^max_cutbacks = 2.5"),
        ({"every": 1.5}, "^every = 1.5"),
        ({"max_wall_time": "1h", "checkpoint": "run.h5"}, "^max_wall_time = '1h'"),
        ({"checkpoint": 5}, "^checkpoint = 5 is no str or Path"),
        ({"problem": None}, "^problem = None is no MacroProblem"),
    ],
)
def test_steps(body, options, match):
    given = {"problem": body.problem, "load": body.load, "target": 1.0, "n": 2} | options
    refused(lambda: next(hmm.steps(**given)), match)
    assert body.load.value == 0.0


def test_numbers_of_numpy_are_numbers(cell, body):
    hmm.fluctuation(cell, np.int64(2))
    hmm.NewtonOptions(rtol=np.float32(1e-6), max_iterations=np.int32(9))
    hom = hmm.Homogenizer(body.hom.model, ufl.sym(ufl.grad(body.u)), degree=np.int64(3))
    assert type(hom.degree) is int


@pytest.mark.mpi
def test_use_after_destroy(cell):
    """PETSc would crash where it was asked for objects that were freed."""
    rve = rve_of(cell, LAW)
    generalised = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell, out_of_plane=True), law=LAW)
    free = hmm.plane_stress(generalised)
    free.solve({"11": 1e-3})
    loaded = beam(rve)
    loaded.reactions([0.1])
    reaction = loaded.problem.reaction(loaded.drive)
    for thing in (loaded.problem, loaded.problem, rve, rve, generalised):  # twice does no harm
        thing.destroy()
    refused(loaded.problem.solve, "macro problem was destroyed .*: create a new one")
    assert loaded.problem.reaction(loaded.drive) == reaction
    refused(lambda: rve.solve({"11": 1e-3}), "this RVE was destroyed .*: create a new one")
    refused(rve.system.linearize, "this RVE was destroyed")
    refused(lambda: free.solve({"11": 1e-3}), "this RVE was destroyed")
    refused(loaded.hom.evaluate, "this RVE was destroyed")
    again = beam(rve_of(cell, LAW))
    again.hom.model.destroy()
    refused(again.problem.solve, "this RVE was destroyed")
    assert not again.u.x.array.any()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda rve: rve.solve({"11": "x"}), "values .* of the macroscopic input: give numbers"),
        (lambda rve: rve.solve("abc"), "the macroscopic input = 'abc': give numbers"),
        (lambda rve: rve.solve({11: 1e-3}), "component = 11 is no str: the components are 11, 22, 12"),
        (lambda rve: rve.solve(np.zeros(3), dt=[1]), "time step .* must be finite and not negative"),
        (lambda rve: rve.solve(np.zeros(3), state=np.zeros(3)), "state = .* is no PointState"),
        (
            lambda rve: rve.solve(np.zeros(3), state=PointState(np.zeros(2), np.zeros(0))),
            "state belongs to another RVE",
        ),
        (lambda rve: rve.average(rve.w[0], "steel"), "phase 'steel' is unknown: choose one of 'matrix'"),
        (lambda rve: rve.local_response("steel"), "phase 'steel' is unknown: choose one of 'matrix'"),
        (lambda rve: rve.local_response("matrix", "flux"), "response 'flux' is unknown: choose one of 'strain'"),
        (lambda rve: hmm.MixedControl(rve, ["11"]), "response = .* give a dictionary"),
        (lambda rve: hmm.MixedControl(rve.cell, {"11": 0.0}), "rve = <Cell> is no MicroModel"),
        (lambda rve: hmm.uniaxial(rve, 11, [1e-3]), "component = 11 is no str"),
        (lambda rve: hmm.uniaxial(rve, "11", "x"), "levels = 'x': give numbers"),
        (lambda rve: hmm.plane_stress(rve.cell), "rve = <Cell> is no MicroModel"),
        (lambda rve: hmm.macro_strain(rve), "cell = <RVE> is no Cell"),
        (lambda rve: hmm.macro_gradient(rve.cell, 1.5), "component = 1.5"),
        (lambda rve: hmm.fluctuation(rve), "cell = <RVE> is no Cell"),
        (lambda rve: hmm.homogenize(rve.cell, LAW, physics=["x"]), "physics = .* is unknown"),
        (lambda rve: hmm.RVE(rve.cell, rve.w, 3, LAW), "E = 3 is no MacroInput"),
    ],
)
def test_arguments_of_a_cell(body, call, match):
    refused(lambda: call(body.hom.model), match)


@pytest.mark.parametrize(("quadrature_degree", "warned"), [(None, 0), (2, 0), (1, 1)])
def test_rule_of_a_cell_with_too_few_points(cell, quadrature_degree, warned, caplog):
    rve_of(cell, LAW, degree=2, quadrature_degree=quadrature_degree)
    messages = [record.getMessage() for record in caplog.records]
    assert COMM.allreduce(len(messages)) == warned
    assert all(m.startswith("quadrature_degree = 1 gives 1 quadrature point a cell") for m in messages)
