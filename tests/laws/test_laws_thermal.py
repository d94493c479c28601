"""Conduction and thermo-elasticity: layers in series and parallel, arrays, and a single point of the coupled law."""

import numpy as np
import pytest
import ufl
from dolfinx import fem
from support.cells_and_rves import TIGHT, relative_error
from support.material_point import homogeneous_cell
from support.references import CONDUCTIVITY_DISCS_SQUARE

import hmm
from hmm.laws import Elastic, Fourier, ThermoElastic


def rve_of(cell, law, temperature=False, degree=1):
    T, G = hmm.fluctuation(cell, degree=degree, shape=()), hmm.macro_gradient(cell)
    inputs = [hmm.macro_temperature(cell), G] if temperature else G
    return hmm.RVE(cell, T, inputs, law=law, newton_options=TIGHT)


def layers(dim=2):
    return hmm.cells.laminate({"A": 0.6, "B": 0.4}, dim=dim, mesh_size=0.5)


@pytest.mark.mpi
@pytest.mark.parametrize("dim", [2, 3])
def test_layers_in_series_and_parallel(dim):
    """k = 200 and 30: 1 / (0.6/200 + 0.4/30) across, 0.6 200 + 0.4 30 along."""
    k = rve_of(layers(dim), {"A": Fourier(200.0), "B": Fourier(30.0)}).solve(np.zeros(dim)).tangent
    assert relative_error(k, np.diag([61.22449, *[132.0] * (dim - 1)])) < 1e-7


def test_anisotropic_conductivity():
    k = [[3.0, 1.0], [0.5, 2.0]]  # not symmetric: with a magnetic field, say
    rve = rve_of(homogeneous_cell(), {"all": Fourier(k)})
    assert relative_error(rve.solve([0.2, -0.1]).stress, np.array(k) @ [0.2, -0.1]) < 1e-12
    assert not rve.system.is_symmetric


@pytest.fixture(scope="module")
def heated():
    return rve_of(layers(), {"A": Fourier(lambda T: 200 - 0.1 * T), "B": Fourier(lambda T: 30 + 0.02 * T)}, True)


@pytest.mark.parametrize("T", [0.0, 500.0])
def test_conductivity_of_temperature(heated, T):
    a, b = 200 - 0.1 * T, 30 + 0.02 * T
    response = heated.solve([T, 2.0, 1.0])
    entropy, flux = response.parts
    across, along = 1 / (0.6 / a + 0.4 / b), 0.6 * a + 0.4 * b
    assert entropy == 0.0
    assert relative_error(flux, [2 * across, along]) < 1e-12
    dT = [2 * across**2 * (0.6 * -0.1 / a**2 + 0.4 * 0.02 / b**2), 0.6 * -0.1 + 0.4 * 0.02]
    assert relative_error(response.tangent, [[0, 0, 0], [dT[0], across, 0], [dT[1], 0, along]]) < 1e-12


def test_nonlinear_layers():
    """``q = k g^3`` in both layers: with equal fluxes ``G = q^(1/3) <k^(-1/3)>`` across them."""
    law = {name: Fourier(lambda g, k=k: k * ufl.inner(g, g), "gradient") for name, k in {"A": 2.0, "B": 0.1}.items()}
    response = rve_of(layers(), law).solve([1.5, 0.0])
    assert response.stress[0] == pytest.approx((1.5 / (0.6 * 2.0 ** (-1 / 3) + 0.4 * 0.1 ** (-1 / 3))) ** 3, rel=1e-10)


def test_array_of_discs():
    """Rayleigh's multipoles; the error falls with h^4, from 8e-5 here to 1e-5 in `test_arrays.py`."""
    cell = hmm.cells.fibre(0.3, mesh_size=0.1, order=2)
    k = fem.Constant(cell.mesh, 1.0)
    rve = rve_of(cell, {"matrix": Fourier(1.0), "fibre": Fourier(k)}, degree=2)
    for contrast in (10, 100):
        k.value = contrast
        assert relative_error(rve.solve([0, 0]).tangent, CONDUCTIVITY_DISCS_SQUARE[contrast] * np.eye(2)) < 2e-4


def test_square_inclusion_and_checkerboard():
    """Obnosov's ``sqrt((1 + 3k)/(3 + k))`` for a quarter square inclusion; ``sqrt(k1 k2)`` for a checkerboard.

    The singularities at corners slow convergence down; 16 elements of degree 2 along the edge give what is asserted.
    """
    x = (np.arange(16) + 0.5) / 16
    inside = (abs(x - 0.5) < 0.25).astype(int)
    square, board = np.outer(inside, inside), np.logical_xor.outer(x < 0.5, x < 0.5).astype(int)
    for labels, k, exact, tolerance in ((square, 10.0, 1.54422, 2e-3), (board, 2.0, 2**0.5, 1e-3)):
        cell = hmm.cells.voxels(labels, {"one": 0, "two": 1})
        found = rve_of(cell, {"one": Fourier(1.0), "two": Fourier(k)}, degree=2).solve([0, 0]).tangent
        assert found[0, 0] > exact  # a discretized energy is an upper bound
        assert relative_error(found, exact * np.eye(2)) < tolerance


def test_thermoelastic():
    """At eps, T and g all constant: stress C:(eps - alpha (T - T0)), entropy, flux, and their derivatives.

    alpha = 1e-5 (1 + (T - T0)/1000), E = 1000 (1 - (T - T0)/2000), T - T0 = 100: alpha = 1.1e-5, E = 950.
    """
    law = ThermoElastic(
        *(lambda T: 1000 * (1 - (T - 300) / 2000), 0.25, lambda T: 1e-5 * (1 + (T - 300) / 1000), 5.0),
        heat_capacity=2.0,
        reference_temperature=300.0,
    )
    cell = homogeneous_cell()
    eps, T, g = (fem.Constant(cell.mesh, value) for value in (np.diag([1e-3, 2e-3, 0.0]), 400.0, np.array([1.0, 2.0])))
    at = hmm.laws.Local({"strain": eps, "temperature": T, "gradient": g}, {}, ufl.as_ufl(0.0))
    answer = hmm.laws.base.responses(law, at)

    def value(expression):
        scalar = fem.form(expression * ufl.dx(cell.mesh))
        return fem.assemble_scalar(scalar)

    elastic = eps.value - 1.1e-3 * np.eye(3)
    for i in range(3):
        expected = 2 * 380 * elastic[i, i] + 380 * np.trace(elastic)  # lambda = mu = 380
        assert value(answer["strain"][i, i]) == pytest.approx(expected, rel=1e-12)
    pressure = 5 / 3 * 380 * np.trace(elastic)
    dalpha = 1.1e-5 + 100 * 1e-8  # d(alpha (T - T0)) / dT
    unit = np.sum(elastic**2) * 0.4 + 0.2 * np.trace(elastic) ** 2  # 1/2 e:C:e of E = 1
    assert value(answer["temperature"]) == pytest.approx(
        2.0 * np.log(4 / 3) + 3 * pressure * dalpha + 0.5 * unit, rel=1e-10
    )
    assert value(answer["gradient"][1]) == pytest.approx(10.0)


CARBON = (230.0, 15.0, 0.2, 0.3, 24.0)  # GPa


def test_expansion_asks_for_nothing_but_the_elastic_constants():
    """Schapery's ``alpha_3 = <E alpha> / <E>`` along fibres, nearly exact with equal Poisson's ratios."""
    cell = hmm.cells.fibre(0.5, mesh_size=0.2)
    carbon = ThermoElastic.transversely_isotropic(*CARBON, expansion=(-0.7e-6, 10e-6))
    law = {"matrix": ThermoElastic(3.0, 0.2, 60e-6), "fibre": carbon}
    found = hmm.homogenize(cell, law, physics="thermoelasticity", out_of_plane=True)
    along = (0.5 * 230 * -0.7e-6 + 0.5 * 3 * 60e-6) / (0.5 * 230 + 0.5 * 3)
    assert found.thermal_expansion[2] == pytest.approx(along, rel=0.05)
    assert found.constants["E3"] == pytest.approx(0.5 * 230 + 0.5 * 3, rel=1e-3)
    assert found.conductivity is None and found.heat_capacity is None


@pytest.mark.parametrize("axis", [1, 3, [0.6, 0.8, 0.0]])
def test_anisotropic_body(axis):
    """A body alone expands as its law says, in any axes: along a, across it, and so it conducts."""
    cell = homogeneous_cell()
    law = ThermoElastic.transversely_isotropic(*CARBON, (-0.7e-6, 10e-6), (50.0, 5.0), 2.0, axis=axis)
    found = hmm.homogenize(cell, {"all": law}, physics="thermoelasticity", out_of_plane=True)
    a = np.eye(3)[axis - 1] if isinstance(axis, int) else np.array(axis)
    alpha = 10e-6 * np.eye(3) - 10.7e-6 * np.outer(a, a)
    assert found.thermal_expansion == pytest.approx(
        [alpha[0, 0], alpha[1, 1], alpha[2, 2], np.sqrt(2) * alpha[0, 1]], rel=1e-7, abs=1e-14
    )
    assert found.conductivity == pytest.approx((5 * np.eye(3) + 45 * np.outer(a, a))[:2, :2], rel=1e-9, abs=1e-9)


def test_properties_in_the_axes_of_the_material():
    """Three numbers, a matrix and a pair are the same body; its rotation turns them."""
    R = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    elastic = hmm.laws.Anisotropic.transversely_isotropic(*CARBON, axis=1)
    rotated = hmm.laws.Anisotropic.transversely_isotropic(*CARBON, R.tolist(), 1)
    expected = [10e-6, -0.7e-6, 10e-6, 0.0]
    for given in ((-0.7e-6, 10e-6), (-0.7e-6, 10e-6, 10e-6), np.diag([-0.7e-6, 10e-6, 10e-6])):
        law = ThermoElastic(expansion=given, elastic=rotated)
        assert law.expansion == ThermoElastic(expansion=given, elastic=elastic).expansion
    found = hmm.homogenize(homogeneous_cell(), {"all": law}, physics="thermoelasticity", out_of_plane=True)
    assert found.thermal_expansion == pytest.approx(expected, rel=1e-7, abs=1e-14)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fourier(-1.0), r"Fourier: conductivity = -1.0 must be positive"),
        (lambda: Fourier([[1.0, 2.0], [2.0, 1.0]]), r"must be a positive definite \(d, d\) matrix"),
        (lambda: Fourier(1.0, "pressure"), r"depends_on = 'pressure' must be 'temperature' or 'gradient'"),
        (lambda: ThermoElastic(1.0, 0.3, 0.0, 1.0, -1.0), r"ThermoElastic: heat_capacity = -1.0"),
        (lambda: ThermoElastic(1.0), r"young = 1.0, poisson = None: give both, or elastic="),
        (lambda: ThermoElastic(1.0, 0.3), r"expansion is missing: give it, or 0.0"),
        (lambda: ThermoElastic(1.0, elastic=Elastic(1.0, 0.3)), r"young = 1.0, .* instead of both"),
        (lambda: ThermoElastic(1.0, 0.3, float("nan")), r"expansion = nan must be a finite number"),
        (lambda: ThermoElastic(1.0, 0.3, (1.0, 2.0)), r"expansion = \(1.0, 2.0\) is no property of a body"),
        (lambda: ThermoElastic(1.0, 0.3, 0.0, (1.0, 2.0, -3.0)), r"conductivity = .* must be positive definite"),
        (
            lambda: hmm.homogenize(
                layers(),
                {"A": ThermoElastic(1.0, 0.3, 0.0), "B": ThermoElastic(1.0, 0.3, 0.0, 1.0)},
                physics="thermoelasticity",
            ),
            r"phase 'A' has no conductivity, and others have one",
        ),
        (
            lambda: rve_of(layers(3), dict.fromkeys("AB", Fourier([[1.0, 0], [0, 1]]))),
            r"\(2, 2\): give a scalar, or a \(3",
        ),
        (lambda: rve_of(layers(), dict.fromkeys("AB", Elastic(1.0, 0.3))), r"answers strain, but the macro inputs are"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(hmm.InputError, match=message):
        make()
