"""Stokes flow through a cell: its permeability, with and without slip at the walls."""

import logging

from mpi4py import MPI

import numpy as np
import pytest
from dolfinx import fem, mesh
from support import references
from support.cells_and_rves import TIGHT, relative_error

import hmm
from hmm.cells.connectivity import pieces

FLUID = hmm.laws.Stokes(viscosity=2.0)


def flow_rve(cell, slip_length=None, fixed=None, **options):
    """A Taylor-Hood cell; no velocity on its walls unless they slip."""
    w = hmm.fluctuation(cell, degree=(2, 1))
    G = hmm.macro_pressure_gradient(cell)
    if slip_length is not None:
        slip_length = fem.Constant(cell.mesh, float(slip_length))
        energy = hmm.stokes_slip.energy(cell, w, G, FLUID.viscosity, slip_length)
        dofs = () if fixed is None else fixed(w)
        return hmm.RVE(cell, w, G, energy=energy, fixed_dofs=dofs, newton_options=TIGHT, **options)
    fixed = hmm.wall_dofs(cell, w, 0)
    laws = dict.fromkeys(cell.phases, FLUID)
    return hmm.RVE(cell, w, G, law=laws, fixed_dofs=fixed, newton_options=TIGHT, **options)


def permeability(rve):
    return FLUID.viscosity * rve.solve(np.zeros(rve.n_inputs)).tangent


def fluid_part(cell, inside):
    """The cell without the elements whose midpoints are not `inside`."""
    tdim, n = cell.mesh.topology.dim, cell.mesh.topology.index_map(cell.mesh.topology.dim).size_local
    middles = mesh.compute_midpoints(cell.mesh, tdim, np.arange(n, dtype=np.int32))
    part = mesh.create_submesh(cell.mesh, tdim, np.flatnonzero(inside(middles.T)).astype(np.int32))[0]
    n = part.topology.index_map(tdim).size_local
    tags = mesh.meshtags(part, tdim, np.arange(n, dtype=np.int32), np.ones(n, dtype=np.int32))
    return hmm.Cell(part, tags, {"fluid": 1}, cell.lattice, cell.origin)


def voxels(n, inside):
    return fluid_part(hmm.cells.voxels(np.zeros(n, dtype=int), {"fluid": 0}), inside)


def tilted_channel(angle, height=0.5, n=4):
    """A channel of a given height across a rotated unit cell."""
    domain = mesh.create_rectangle(MPI.COMM_SELF, [[0, 0.25], [1, 0.25 + height]], [n, n])
    Q = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    domain.geometry.x[:, :2] = domain.geometry.x[:, :2] @ Q.T
    cells = np.arange(domain.topology.index_map(2).size_local, dtype=np.int32)
    tags = mesh.meshtags(domain, 2, cells, np.ones_like(cells))
    return hmm.Cell(domain, tags, {"fluid": 1}, Q.T, np.zeros(2)), Q


def test_channel():
    """Plane Poiseuille flow is in the velocity space: ``k = h^2/12`` times the porosity, and nothing across."""
    rve = flow_rve(voxels((4, 4), lambda x: np.abs(x[1] - 0.5) < 0.25))
    K = permeability(rve)
    assert pytest.approx(np.diag([0.5**3 / 12, 0.0]), abs=1e-12) == K
    response = rve.solve([-3.0, 0.0])
    assert response.stress == pytest.approx(K @ [-3.0, 0.0] / FLUID.viscosity, rel=1e-11)
    assert hmm.checks.hill_mandel_defect(rve, response) < 1e-11


@pytest.mark.parametrize("angle", [0.0, 0.3])
@pytest.mark.parametrize("slip_length", [1e-3, 0.05, 10.0])
def test_channel_with_slip(angle, slip_length):
    """``k = h^2/12 (1 + 6 b/h)``, along the axes or not: the weak condition ``u.n = 0`` is consistent."""
    cell, Q = tilted_channel(angle)
    exact = Q @ np.diag([0.5**3 / 12 * (1 + 6 * slip_length / 0.5), 0.0]) @ Q.T
    assert relative_error(permeability(flow_rve(cell, slip_length)), exact) < 1e-9


def test_slip_with_the_normal_velocity_fixed():
    """On walls along an axis the normal component can be fixed instead."""
    cell, _ = tilted_channel(0.0)
    rve = flow_rve(cell, 0.05, fixed=lambda w: hmm.wall_dofs(cell, w, 0, 1))
    assert permeability(rve)[0, 0] == pytest.approx(0.5**3 / 12 * 1.6, rel=1e-10)


def test_square_duct():
    """A duct along z that does not touch the other faces of the cell; ``k`` per open area from the Fourier series."""
    cell = voxels((8, 8, 2), lambda x: np.abs(x[:2] - 0.5).max(axis=0) < 0.25)
    K = permeability(flow_rve(cell))
    assert K[2, 2] / 0.5**4 == pytest.approx(references.PERMEABILITY_SQUARE_DUCT, rel=3e-3)
    assert np.abs(K[:2]).max() < 1e-12


@pytest.mark.parametrize("slip", [None, 0.1])
def test_pipe(slip):
    """A pipe along z, a prism of triangles: ``R^2 / 8 (1 + 4 b / R)`` per open area with ``b = slip R``."""
    area = 0.3
    R = np.sqrt(area / np.pi)
    body = hmm.cells.extrude(hmm.cells.fibre(area, mesh_size=0.08), 0.2, mesh_size=0.1)
    pipe = fluid_part(body, lambda x: np.hypot(x[0] - 0.5, x[1] - 0.5) < R)
    K = permeability(flow_rve(pipe, None if slip is None else slip * R))
    exact = R**2 / 8 * (1 + 4 * (slip or 0))
    assert K[2, 2] / pipe.volume_fractions["fluid"] == pytest.approx(exact, rel=2e-2)


@pytest.mark.parametrize("fraction", [0.1, 0.4])
def test_cylinders(fraction):
    """1.6e-3 off at mesh size 0.08, 4e-4 at 0.05, 6e-5 at 0.03."""
    cell = hmm.cells.fibre(fraction, mesh_size=0.05, void=True, order=2, match_fraction=False)
    K = permeability(flow_rve(cell))
    assert np.diag(K) == pytest.approx(references.PERMEABILITY_CYLINDERS[fraction], rel=5e-4)
    assert abs(K[0, 1]) < 1e-4 * K[0, 0]


def test_spheres():
    """2.6 % off at mesh size 0.18, 1.4 % at 0.13."""
    cell = hmm.cells.sphere(0.125, mesh_size=0.18, void=True, order=2, match_fraction=False)
    K = permeability(flow_rve(cell))
    assert np.diag(K) == pytest.approx(references.PERMEABILITY_SPHERES_SC[0.125], rel=3e-2)


def test_cylinders_slip_more_the_longer_the_slip_length():
    """A short slip length gives the flow without slip, a long one that of a perfectly smooth wall."""
    cell = hmm.cells.fibre(0.3, mesh_size=0.1, void=True, order=2)
    none, *some = (permeability(flow_rve(cell, b))[0, 0] for b in (None, 1e-6, 0.02, 0.2, 1e6))
    assert some[0] == pytest.approx(none, rel=1e-3)
    assert np.all(np.diff(some) > 0)


def test_pieces():
    """Two channels are two pieces, both open along x; the pressure of each is fixed."""
    cell = voxels((4, 8), lambda x: np.abs(np.mod(x[1], 0.5) - 0.25) < 0.125)
    found = pieces(cell)
    assert [w.tolist() for w in found.windings] == [[[-1, 0], [1, 0]]] * 2
    assert permeability(flow_rve(cell))[0, 0] == pytest.approx(2 * 0.25**3 / 12, rel=1e-11)


def test_closed_pores(caplog):
    with pytest.raises(hmm.InputError, match="does not percolate in any direction of the lattice"):
        hmm.macro_pressure_gradient(voxels((4, 4), lambda x: np.abs(x - 0.5)[:2].max(axis=0) < 0.3))
    with caplog.at_level(logging.WARNING, logger="hmm"):
        hmm.macro_pressure_gradient(tilted_channel(0.0)[0])
    assert "does not percolate along lattice vector 2: its permeability is zero there" in caplog.text


def test_bad_flow():
    cell = hmm.cells.fibre(0.3, mesh_size=0.3, void=True)
    w, G = hmm.fluctuation(cell, degree=(2, 1)), hmm.macro_pressure_gradient(cell)
    with pytest.raises(hmm.InputError, match=r"slip_length = 0.0 must be positive"):
        hmm.stokes_slip.energy(cell, w, G, 1.0, 0.0)
    with pytest.raises(hmm.InputError, match="viscosity = -1"):
        hmm.laws.Stokes(-1.0)
    with pytest.raises(hmm.InputError, match="fixed_dofs has some but not all of the 2 components"):
        u = hmm.fluctuation(cell)
        law = {"matrix": hmm.laws.Elastic(1.0, 0.3)}
        hmm.RVE(cell, u, hmm.macro_strain(cell), law=law, fixed_dofs=hmm.wall_dofs(cell, u, 0))


@pytest.mark.mpi
@pytest.mark.skipif(MPI.COMM_WORLD.size == 1, reason="compares ranks: run with mpirun -n 2")
def test_on_two_ranks():
    cells = [hmm.cells.fibre(0.3, mesh_size=0.15, void=True, comm=comm) for comm in (MPI.COMM_SELF, MPI.COMM_WORLD)]
    for slip_length in (None, 0.1):
        alone, together = (permeability(flow_rve(cell, slip_length)) for cell in cells)
        assert relative_error(together, alone) < 1e-10
    assert pieces(cells[1]).open_directions.tolist() == [0, 1]
