"""Wrong input is refused on every rank, in one line that names the thing, its value and the remedy."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from mpi4py import MPI

import basix.ufl
import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.macro_tools import (
    J2,
    beam,
    beam_mesh,
    cantilever,
    cube_cell,
    homogeneous_cell,
    quadrature_function,
    rve_of,
)

import hmm
from hmm.fe2.quadrature_points import sufficient_degree
from hmm.foundation.errors import InputError

COMM = MPI.COMM_WORLD


@pytest.fixture(scope="module")
def rve():
    return rve_of(homogeneous_cell(), {"matrix": J2})


@pytest.fixture(scope="module")
def u():
    return fem.Function(cantilever(beam_mesh())[0])


def refused(function, *args, match, **kwargs):
    """The one-line message with which `function` refuses its arguments, the same on all ranks."""
    with pytest.raises(InputError, match=match) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    assert set(COMM.allgather(message)) == {message}
    return message


def test_unknown_algorithm(rve, u):
    message = refused(hmm.Homogenizer, rve, ufl.sym(ufl.grad(u)), algorithm="staggered", match="staggered")
    assert "monolithic" in message and "nested" in message


def test_macro_strain_of_another_dimension(u):
    cell3 = cube_cell()
    rve3 = rve_of(cell3, {"matrix": J2.elastic, "inclusion": J2.elastic})
    refused(hmm.Homogenizer, rve3, ufl.sym(ufl.grad(u)), match=r"strain has shape \(2, 2\).*\(3, 3\)")


def test_macro_strain_that_is_a_vector(rve, u):
    refused(hmm.Homogenizer, rve, u, match=r"strain has shape \(2,\).*\(2, 2\)")


def test_out_of_plane_shear_of_a_plane_cell():
    """A cell with E33 has no E13 and E23: what is zero there passes, also if it takes some algebra to see that."""
    cell = homogeneous_cell()
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell, out_of_plane=True)
    rve = hmm.RVE(cell, w, E, law={"matrix": J2.elastic})
    solid = fem.Function(fem.functionspace(mesh.create_unit_cube(COMM, 2, 1, 1), ("Lagrange", 1, (3,))))
    refused(
        hmm.Homogenizer, rve, ufl.sym(ufl.grad(solid)), match=r"components 13, 23, 31, 32, which .* hmm.cells.extrude"
    )
    plane = fem.Function(cantilever(beam_mesh())[0])
    F = ufl.Identity(3) + hmm.tensors.embed(ufl.grad(plane))
    hmm.Homogenizer(rve, ufl.sym(F) - ufl.Identity(3))
    tensor = np.diag([1e-3, 0.0, 1e-3])
    rve.solve(tensor)
    tensor[0, 2] = tensor[2, 0] = 1e-3
    refused(rve.solve, tensor, match=r"has 13 and 31, which .* hmm.cells.extrude")


def test_tensor_of_a_strain_that_is_not_symmetric(rve):
    refused(rve.solve, [[0.0, 1e-3], [0.0, 0.0]], match="not symmetric: give its symmetric part")


def test_two_inputs_of_one_name():
    """The laws and the user know inputs by name: of two the first would be lost."""
    cell = homogeneous_cell()
    w = hmm.fluctuation(cell, degree=(1, 1), shape=((), ()))

    def given(E):
        return E, sum(ufl.inner(e.local(w), e.local(w)) for e in E) * cell.measure()

    E, energy = given([hmm.macro_gradient(cell, 0), hmm.macro_gradient(cell, 1)])
    refused(hmm.RVE, cell, w, E, energy=energy, match="2 macro inputs .* 'gradient', .*such as name='gradient_2'")
    E, energy = given([hmm.macro_gradient(cell, 0), hmm.macro_gradient(cell, 1, name="gradient_2")])
    A = hmm.RVE(cell, w, E, energy=energy).solve({"gradient 1": 1.0}).tangent
    assert np.allclose(A, 2 * np.eye(4))
    operators = {"gradient": lambda w: ufl.grad(hmm.component(1)(w))}
    refused(hmm.RVE, cell, w, E, energy=energy, micro=operators, match="called 'gradient'")


def test_macro_strain_without_unknown(rve):
    refused(hmm.Homogenizer, rve, ufl.as_tensor(np.eye(2)), match="no Function")


def test_two_expressions_for_one_input(rve, u):
    e = ufl.sym(ufl.grad(u))
    refused(hmm.Homogenizer, rve, [e, e], match="1 macro inputs and got 2")


def test_form_without_stress(rve, u):
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)))
    v = ufl.TestFunction(u.function_space)
    F = ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx
    refused(hmm.MacroProblem, F, u, hom, match="hom.stress")


@pytest.mark.parametrize("degree", [1, 4])
def test_form_with_another_quadrature_rule(rve, degree):
    """The stress lives at the points of the RVEs: another rule in the form changes nothing."""
    reactions = []
    for dx in (None, ufl.dx(metadata={"quadrature_degree": degree})):
        V, load, clamp, drive = cantilever(beam_mesh())
        load.value = -0.01
        u, v = fem.Function(V), ufl.TestFunction(V)
        hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree=2)
        F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * (dx or hom.dx)
        problem = hmm.MacroProblem(F, u, hom, bcs=[clamp, drive], petsc_options_prefix="rule_")
        problem.solve()
        reactions.append(problem.reaction(drive))
    assert reactions[0] == pytest.approx(reactions[1], rel=1e-12)


@pytest.mark.parametrize("n", [0, -3])
def test_no_load_steps(rve, n):
    body = beam(rve)
    refused(lambda: list(hmm.steps(body.problem, body.load, 1.0, n)), match=f"n = {n} load steps")
    assert body.load.value == 0.0


def test_load_and_target_of_different_shape(rve):
    body = beam(rve)
    refused(lambda: list(hmm.steps(body.problem, body.load, [1.0, 2.0], 2)), match=r"\(\).*\(2,\)")


def test_target_that_is_not_a_number(rve):
    body = beam(rve)
    refused(lambda: list(hmm.steps(body.problem, body.load, np.nan, 2)), match="nan")


def test_wrong_strain_for_a_cell(rve):
    refused(rve.solve, [1.0, 2.0], match=r"shape \(2,\).*\(2, 2\).*\(3,\)")


@pytest.mark.parametrize(
    ("kind", "shape", "degree", "order", "enough"),
    [
        (mesh.CellType.triangle, 3, 1, 1, 1),
        (mesh.CellType.triangle, 6, 2, 1, 2),
        (mesh.CellType.triangle, 6, 2, 2, 4),
        (mesh.CellType.quadrilateral, 4, 1, 1, 3),
        (mesh.CellType.quadrilateral, 9, 2, 1, 5),
        (mesh.CellType.hexahedron, 27, 2, 1, 5),
    ],
)
def test_degree_of_the_macro_rule(kind, shape, degree, order, enough):
    """With that rule an element has no other stress-free deformation than the rigid motions; curved ones need more."""
    points = basix.ufl.element("Lagrange", kind.name, order).basix_element.points
    element = basix.ufl.element("Lagrange", kind.name, order, shape=points.shape[1:])
    nodes = points @ np.diag([1.0, 1.2, 0.9][: points.shape[1]])
    domain = mesh.create_mesh(MPI.COMM_SELF, np.arange(len(nodes))[None, :], element, nodes)
    V = fem.functionspace(domain, ("Lagrange", degree, (domain.geometry.dim,)))
    assert V.dofmap.index_map.size_local == shape
    u = fem.Function(V)
    assert sufficient_degree(domain, [ufl.sym(ufl.grad(u))]) == enough
    du, v = ufl.TrialFunction(V), ufl.TestFunction(V)
    dx = ufl.dx(metadata={"quadrature_degree": enough})
    K = fem.assemble_matrix(fem.form(ufl.inner(ufl.sym(ufl.grad(du)), ufl.sym(ufl.grad(v))) * dx)).to_dense()
    rigid = {2: 3, 3: 6}[domain.geometry.dim]
    values = np.linalg.eigvalsh(K)
    assert (values > 1e-10 * values.max()).sum() == len(K) - rigid


def test_degree_of_the_macro_rule_for_values():
    """Inputs that differentiate nothing: a mass matrix of a field, or values at the points of a rule."""
    domain = beam_mesh()
    T, u = (fem.Function(fem.functionspace(domain, ("Lagrange", k))) for k in (2, 1))
    assert sufficient_degree(domain, [T]) == 4
    assert sufficient_degree(domain, [T, ufl.grad(u)]) == 1
    assert sufficient_degree(domain, [quadrature_function(domain, 3, (2, 2))]) == 3


SCRIPT = """
    import hmm
    from hmm.foundation.errors import run

    def main():
        hmm.laws.Elastic(young=-1.0, poisson=0.3)

    run(main)
    print("not reached")
"""


@pytest.mark.skipif(COMM.size > 1, reason="starts a serial process; MPI forbids that under mpirun")
def test_run_gives_one_line_and_exit_code_1(tmp_path):
    script = tmp_path / "wrong.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PMI", "HYDRA", "MPIR"))}
    environment["PYTHONPATH"] = str(Path(hmm.__file__).parents[1])
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "error: Elastic: young = -1.0 must be positive and finite\n"
