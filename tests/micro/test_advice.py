"""Warnings of what is wrong without an error: axes that miss the fibres, elements that lock."""

from mpi4py import MPI

import numpy as np
import pytest
from support.macro_tools import homogeneous_cell

import hmm
from hmm.laws import J2, Anisotropic, Elastic
from hmm.micro.advice import effective_poisson

CARBON = (230.0, 15.0, 0.2, 0.3, 24.0)
EPOXY = Elastic(3.0, 0.35)


@pytest.fixture(scope="module")
def fibre():
    return hmm.cells.fibre(0.3, mesh_size=0.3)


pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.rank > 0, reason="warnings are said on rank 0 only")


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "hmm"]


def test_an_axis_that_misses_the_fibres(fibre, caplog):
    hmm.homogenize(fibre, {"matrix": EPOXY, "fibre": Anisotropic.transversely_isotropic(*CARBON, axis=1)})
    (warning,) = said(caplog)
    assert "axis [1.0, 0.0, 0.0] of the law of phase 'fibre' lies 90 degrees off its fibres" in warning
    assert "run along [0.0, 0.0, 1.0]: give the law axis=[0.0, 0.0, 1.0]" in warning


@pytest.mark.parametrize(
    ("make", "axes"),
    [
        (lambda: hmm.cells.extrude(hmm.cells.fibre(0.3, mesh_size=0.3), 0.4), {"fibre": [0, 0, 1]}),
        (lambda: hmm.cells.random_fibres(0.2, number=3, mesh_size=0.2, thickness=0.3), {"fibre": [0, 0, 1]}),
        (lambda: hmm.cells.short_fibres(0.1, orientation="aligned", dim=2, mesh_size=0.2), {"fibre": [1, 0, 0]}),
        (lambda: hmm.cells.plain_weave(mesh_size=1 / 12), {"warp": [1, 0, 0], "weft": [0, 1, 0]}),
        (lambda: hmm.cells.fibre(0.3, void=True, mesh_size=0.3), {}),
    ],
)
def test_cells_know_their_fibres(make, axes):
    cell = make()
    assert set(cell.fibres) == set(axes)
    for phase, axis in axes.items():
        assert np.allclose(cell.fibres[phase], np.outer(axis, axis))


def test_fibres_of_many_directions(caplog):
    cell = hmm.cells.short_fibres(0.1, orientation="uniform", dim=2, mesh_size=0.2)
    laws = {"matrix": EPOXY, "fibre": Anisotropic.transversely_isotropic(*CARBON, axis=1)}
    hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=laws)
    (warning,) = said(caplog)
    assert "lies 45 degrees off its fibres on average, which run in several directions" in warning


@pytest.mark.parametrize("poisson", [0.49, 0.4999])
def test_degree_one_locks(fibre, poisson, caplog):
    """Softer by degree 2, about which nothing is said."""
    laws = {"matrix": Elastic(3.0, poisson), "fibre": Elastic(70.0, 0.2)}
    stiff = hmm.homogenize(fibre, laws).tensor
    (warning,) = said(caplog)
    assert f"phase 'matrix' has an effective Poisson's ratio of {poisson}" in warning and "degree=2" in warning
    caplog.clear()
    assert hmm.homogenize(fibre, laws, degree=2).tensor[2, 2] < stiff[2, 2]
    assert not said(caplog)


@pytest.mark.parametrize("law", [Elastic(3.0, 0.45), Anisotropic.transversely_isotropic(*CARBON)])
def test_no_warning_without_need(fibre, law, caplog):
    hmm.homogenize(fibre, {"matrix": EPOXY, "fibre": law})
    cell = homogeneous_cell(2)
    hmm.homogenize(cell, dict.fromkeys(cell.phases, Elastic(1.0, 0.4999)))  # nothing fluctuates
    assert not said(caplog)


def test_finite_strain_locks(fibre, caplog):
    laws = {"matrix": hmm.laws.NeoHooke(3.0, 0.499), "fibre": hmm.laws.NeoHooke(70.0, 0.2)}
    hmm.homogenize(fibre, laws)
    (warning,) = said(caplog)
    assert "effective Poisson's ratio of 0.499" in warning


def test_plastic_flow_locks(fibre, caplog):
    """Small strains are elastic; far into plasticity only the volume resists. Said once."""
    laws = {"matrix": J2(70e3, 0.3, 100.0, 700.0), "fibre": Elastic(400e3, 0.2)}
    rve = hmm.RVE(fibre, hmm.fluctuation(fibre), hmm.macro_strain(fibre), law=laws)
    state = rve.solve({"12": 1e-4}).state
    assert not said(caplog)
    for E12 in (0.005, 0.01, 0.02):
        state = rve.solve({"12": E12}, state).state
    (warning,) = said(caplog)
    assert "phase 'matrix' flows with an effective Poisson's ratio of 0.49" in warning


def test_plastic_flow_locks_under_stress_control_too(fibre, caplog):
    laws = {"matrix": J2(70e3, 0.3, 100.0, 700.0), "fibre": Elastic(400e3, 0.2)}
    rve = hmm.RVE(fibre, hmm.fluctuation(fibre), hmm.macro_strain(fibre), law=laws)
    control, state = hmm.MixedControl(rve, {"11": 0.0, "22": 0.0}), None
    for E12 in (0.001, 0.005, 0.01, 0.02):
        state = control.solve({"12": E12}, state).state
    (warning,) = said(caplog)
    assert "phase 'matrix' flows with an effective Poisson's ratio" in warning


@pytest.mark.parametrize("poisson", [0.0, 0.3, 0.49, 0.4999])
def test_effective_poisson(poisson):
    """That of isotropic elasticity in the plane and in space."""
    for dim, out_of_plane in ((2, False), (2, True), (3, False)):
        cell = homogeneous_cell(dim)
        E = hmm.macro_strain(cell, out_of_plane=out_of_plane)
        rve = hmm.RVE(cell, hmm.fluctuation(cell), E, law=dict.fromkeys(cell.phases, Elastic(2.0, poisson)))
        assert effective_poisson(rve.solve({}).tangent) == pytest.approx(poisson, abs=1e-9)
