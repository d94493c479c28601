"""Tables of heated and of rotated cells, at points and in macro problems, against the cells themselves."""

from functools import cache

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.cells_and_rves import relative_error

import hmm

T0, HOT = 300.0, (300.0, 500.0)
FIBROUS = hmm.laws.Anisotropic.transversely_isotropic(100.0, 10.0, 0.25, 0.4, 5.0)


def softening(young):
    """A Young's modulus that falls with the temperature."""
    return lambda T: young * (1 - 2e-3 * (T - T0) + 1e-6 * (T - T0) ** 2)


def heated_rve(reference=T0):
    """A thermoelastic laminate with the strain and the temperature as inputs."""
    cell = hmm.cells.laminate({"a": 0.4, "b": 0.6}, mesh_size=0.5)
    laws = {
        "a": hmm.laws.ThermoElastic(softening(10.0), 0.3, 3e-5, reference_temperature=T0),
        "b": hmm.laws.ThermoElastic(softening(50.0), 0.2, lambda T: 1e-5 + 1e-8 * (T - T0), reference_temperature=T0),
    }
    inputs = [hmm.macro_strain(cell), hmm.macro_temperature(cell, reference)]
    return hmm.RVE(cell, hmm.fluctuation(cell), inputs, law=laws)


@cache
def heated_table():
    """Over the temperature, which each cell keeps."""
    return hmm.tabulate(
        lambda temperature: hmm.MixedControl(heated_rve(temperature), {}, fixed=["temperature"]),
        {"temperature": HOT},
        tolerance=1e-6,
    )


def test_thermal_stress_and_its_derivative():
    table, rve = heated_table(), heated_rve()
    for E in ([1e-3, -2e-3, 5e-4, 337.0], [0.0, 0.0, 0.0, 481.0]):
        found, exact = hmm.models.solve_one(table, E), rve.solve(E)
        assert relative_error(found.vector[:3], exact.vector[:3]) < 1e-5
        assert relative_error(found.tangent[:3], exact.tangent[:3]) < 1e-4


def unit_square():
    domain = mesh.create_unit_square(MPI.COMM_WORLD, 2, 2)
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 2, (2,))))
    u.interpolate(lambda x: 1e-3 * np.array([x[0] ** 2 - x[1], x[0] * x[1]]))
    return domain, u


def mean_stress(hom):
    """Over the macro domain."""
    assert hom.evaluate()
    forms = [fem.form(hom.stress[i, j] * hom.dx) for i, j in ((0, 0), (1, 1), (0, 1))]
    return np.array([MPI.COMM_WORLD.allreduce(fem.assemble_scalar(form)) for form in forms])


@pytest.mark.mpi
def test_heated_macro_problem():
    """A table answers as FE2 does, at temperatures that vary."""
    domain, u = unit_square()
    T = fem.Function(fem.functionspace(domain, ("Lagrange", 1)))
    T.interpolate(lambda x: 320 + 150 * x[0] * x[1])
    strains = (ufl.sym(ufl.grad(u)), T)
    found, exact = (mean_stress(hmm.Homogenizer(model, strains)) for model in (heated_table(), heated_rve()))
    assert relative_error(found, exact) < 1e-5


def fibrous_rve(angle=0.0, fraction=0.4):
    """Layers of a fibrous material, the layers and the fibres turned by an angle."""
    cell = hmm.cells.laminate({"a": fraction, "b": 1 - fraction}, mesh_size=0.5)
    turn = fem.Constant(cell.mesh, angle)  # a number would be compiled anew for each angle
    c, s = ufl.cos(turn), ufl.sin(turn)
    fibrous = hmm.laws.Anisotropic(FIBROUS.stiffness, ufl.as_matrix([[c, -s, 0], [s, c, 0], [0, 0, 1]]))
    return hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law={"a": fibrous, "b": fibrous})


@cache
def angle_table():
    return hmm.tabulate(lambda angle: fibrous_rve(angle), {"angle": (0.0, np.pi / 2)}, tolerance=1e-5)


def test_angle_is_a_rotation():
    """Of a homogeneous cell, C(angle) = Q C Q', between the nodes too."""
    C = fibrous_rve().solve([0.0, 0.0, 0.0]).tangent
    for angle in (0.2, 0.9, 1.4):
        c, s = np.cos(angle), np.sin(angle)
        Q = hmm.tensors.symmetric(2).rotation([[c, -s], [s, c]])
        assert relative_error(angle_table().at(angle=angle)[1], Q @ C @ Q.T) < 1e-5


@pytest.mark.mpi
def test_rotated_table():
    """`orientation=` turns what a table answers, as the angle in a table does; its parameters stay."""

    def layers(fraction):
        cell = hmm.cells.laminate({"a": fraction, "b": 1 - fraction}, mesh_size=0.5)
        laws = {"a": hmm.laws.Elastic(10.0, 0.3), "b": FIBROUS}
        return hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=laws)

    domain, u = unit_square()
    x = ufl.SpatialCoordinate(domain)
    strain, turned = ufl.sym(ufl.grad(u)), lambda x: 0.2 + 1.1 * x[0]
    plain = hmm.tabulate(lambda fraction: fibrous_rve(0.0, fraction), {"fraction": (0.2, 0.8)})
    found = mean_stress(hmm.Homogenizer(plain, (strain, 0.3 + 0.2 * x[1]), orientation=turned))
    assert relative_error(found, mean_stress(hmm.Homogenizer(angle_table(), (strain, 0.2 + 1.1 * x[0])))) < 1e-5
    graded = hmm.tabulate(layers, {"fraction": (0.2, 0.8)}, tolerance=1e-5)
    found = mean_stress(hmm.Homogenizer(graded, (strain, fem.Constant(domain, 0.4)), orientation=turned))
    assert relative_error(found, mean_stress(hmm.Homogenizer(layers(0.4), strain, orientation=turned))) < 1e-4
