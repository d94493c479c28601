"""The same problem in other units of stress and length: the same numbers, up to rounding."""

import numpy as np
import pytest
from support.cells_and_rves import relative_error
from support.macro_tools import beam

import hmm
from hmm.laws import J2, Elastic, Stokes, ThermoElastic

UNITS = [(1e9, 1.0), (1e-9, 1.0), (1.0, 1e-6), (1.0, 1e6), (1e9, 1e-6), (1e-9, 1e9)]


def cell_of(length, **options):
    """A fibre in a cell whose side is `length`."""
    cell = hmm.cells.fibre(0.3, mesh_size=0.25, **options)
    cell.mesh.geometry.x[:] *= length
    scale = (np.asarray(cell.lattice) * length, np.asarray(cell.origin) * length)
    return hmm.Cell(cell.mesh, cell.phase_tags, dict(cell.phases), *scale)


def elasticity(stress, length):
    laws = {"matrix": Elastic(stress, 0.3), "fibre": Elastic(10 * stress, 0.2)}
    return hmm.homogenize(cell_of(length), laws).tensor / stress


def uniform_tractions(stress, length):
    laws = {"matrix": Elastic(stress, 0.3), "fibre": Elastic(10 * stress, 0.2)}
    return hmm.homogenize(cell_of(length), laws, constraint="minimal").tensor / stress


def conduction(stress, length):
    return (
        hmm.homogenize(cell_of(length), {"matrix": stress, "fibre": 10 * stress}, physics="conduction").tensor / stress
    )


def flow(stress, length):
    """The unit of time is kept, so that a viscosity has that of a stress."""
    cell = cell_of(length, void=True)
    return hmm.homogenize(cell, {"matrix": Stokes(stress)}, physics="flow").tensor / length**2


def thermoelasticity(stress, length):
    laws = {
        phase: ThermoElastic(young * stress, 0.3, expansion=young * 1e-5, conductivity=stress, heat_capacity=stress)
        for phase, young in {"matrix": 1.0, "fibre": 10.0}.items()
    }
    found = hmm.homogenize(cell_of(length), laws, physics="thermoelasticity")
    return np.r_[
        found.tensor.ravel() / stress, found.conductivity.ravel() / stress, found.thermal_expansion.ravel() * 1e5
    ]


def plasticity(stress, length):
    """Two steps of an RVE under mixed control, the second one far beyond the yield stress."""
    cell = cell_of(length)
    matrix = J2(1e3 * stress, 0.3, yield_stress=stress, hardening=10 * stress)
    laws = {"matrix": matrix, "fibre": Elastic(1e4 * stress, 0.2)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=laws)
    controlled = hmm.MixedControl(rve, {"22": 0.0})
    first = controlled.solve({"11": 0.003, "12": 0.0})
    second = controlled.solve({"11": 0.006, "12": 0.001}, first.state)
    return np.r_[second.vector, second.tangent.ravel()] / stress


def two_scales(stress, length):
    """A plastic beam: its reactions over two steps."""
    cell = cell_of(length)
    matrix = J2(1e3 * stress, 0.3, yield_stress=stress, hardening=10 * stress)
    laws = {"matrix": matrix, "fibre": Elastic(1e4 * stress, 0.2)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=laws)
    b = beam(rve, cells=(2, 1), rtol=1e-10)
    b.u.function_space.mesh.geometry.x[:] *= length
    return np.array(b.reactions([0.01 * length, 0.02 * length])) / (stress * length)


@pytest.mark.parametrize(
    "problem",
    [
        elasticity,
        uniform_tractions,
        conduction,
        flow,
        pytest.param(thermoelasticity, marks=pytest.mark.slow),
        plasticity,
        two_scales,
    ],
)
def test_units(problem):
    expected = problem(1.0, 1.0)
    for stress, length in UNITS:
        assert relative_error(problem(stress, length), expected) < 1e-9, f"stress {stress:g}, length {length:g}"
