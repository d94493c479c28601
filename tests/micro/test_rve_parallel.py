"""One cell spread over the ranks of COMM_WORLD answers as the same cell on one rank."""

from mpi4py import MPI

import numpy as np
import pytest
from support.cells_and_rves import CONSTRAINTS, conduction_rve, follow, neo_hookean_rve, relative_error, strain_rve

import hmm

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(MPI.COMM_WORLD.size == 1, reason="compares ranks: run with mpirun -n 2"),
]
FIBRE = hmm.laws.Elastic(400e3, 0.2)
J2 = hmm.laws.J2(70e3, 0.3, yield_stress=100.0, hardening=1000.0)
LEVELS = (0.5, 1.0, 0.7)
STRAIN = np.array([[3e-3, 1e-3], [1e-3, -1e-3]])


@pytest.fixture(scope="module")
def cells():
    return [hmm.cells.fibre(0.3, mesh_size=0.15, comm=comm) for comm in (MPI.COMM_SELF, MPI.COMM_WORLD)]


@pytest.fixture(scope="module")
def cubes():
    return [
        hmm.cells.laminate({"matrix": 0.6, "fibre": 0.4}, dim=3, mesh_size=0.34, comm=comm)
        for comm in (MPI.COMM_SELF, MPI.COMM_WORLD)
    ]


def assert_same(responses):
    """Stress and tangent agree to 1e-10 after each step, and every rank has the same ones."""
    for alone, together in zip(*responses, strict=True):
        assert relative_error(together.vector, alone.vector) < 1e-10
        assert relative_error(together.tangent, alone.tangent) < 1e-10
        for values in (together.vector, together.tangent):
            everywhere = MPI.COMM_WORLD.allgather(values)
            assert all(np.array_equal(everywhere[0], other) for other in everywhere)


def test_the_cell_is_spread(cells):
    alone, together = cells
    local = together.mesh.topology.index_map(2).size_local
    total = alone.mesh.topology.index_map(2).size_local
    assert 0 < local < total
    assert MPI.COMM_WORLD.allreduce(local) == total
    assert together.volume_fractions == pytest.approx(alone.volume_fractions, rel=1e-12)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("matrix", [J2.elastic, J2], ids=["elastic", "plastic"])
def test_small_strain(cells, constraint, matrix):
    rves = [strain_rve(cell, {"matrix": matrix, "fibre": FIBRE}, constraint) for cell in cells]
    assert_same([follow(rve, [t * STRAIN for t in LEVELS]) for rve in rves])
    assert hmm.checks.hill_mandel_defect(rves[1], rves[1].solve(STRAIN)) < 1e-10


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_3d(cubes, constraint):
    rves = [strain_rve(cell, {"matrix": J2, "fibre": FIBRE}, constraint) for cell in cubes]
    strain = np.array([[3e-3, 1e-3, 0], [1e-3, -1e-3, 2e-3], [0, 2e-3, -1e-3]])
    assert_same([follow(rve, [t * strain for t in LEVELS]) for rve in rves])


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_finite_strain(cells, constraint):
    rves = [neo_hookean_rve(cell, {"matrix": (1.0, 2.0), "fibre": (10.0, 15.0)}, constraint)[0] for cell in cells]
    assert_same([[rve.solve([[1.2, 0.3], [-0.1, 0.9]])] for rve in rves])


def test_conduction(cells):
    rves = [conduction_rve(cell, {"matrix": 1.0, "fibre": 10.0}) for cell in cells]
    assert_same([[rve.solve([1.0, 0.5])] for rve in rves])
