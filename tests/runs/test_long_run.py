"""Long runs: neither memory nor communicators grow with steps, problems or points."""

import gc
import mmap
import os
import sys
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
from support.macro_tools import beam, composite, homogeneous_cell, rve_of

import hmm

pytestmark = pytest.mark.mpi

LONG = bool(os.environ.get("HMM_LONG_RUN"))
STEPS, PROBLEMS = (2000, 240) if LONG else (200, 30)
ELASTIC = hmm.laws.Elastic(young=1e3, poisson=0.3)
J2 = hmm.laws.J2(young=1e3, poisson=0.3, yield_stress=1.0, hardening=10.0)
MEGABYTE = 2**20


def resident() -> int:
    """Memory of this process in bytes (Linux)."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def communicators_left(most: int = 5000) -> int:
    """How many communicators this process can still make, found by making them; `most` if there is no end to them."""
    gc.collect()
    made, comm = [], MPI.COMM_SELF
    before = comm.Get_errhandler()
    comm.Set_errhandler(MPI.ERRORS_RETURN)
    try:
        while len(made) < most:
            made.append(comm.Dup())
    except MPI.Exception:
        pass
    finally:
        for duplicate in made:
            duplicate.Free()
        comm.Set_errhandler(before)
    return len(made)


def measure() -> tuple[int, int]:
    """Communicators left and memory, in this order: asking for the first takes memory the first time."""
    return communicators_left(), resident()


@pytest.mark.parametrize("ensemble", ["owner", "balanced"])
def test_steps(ensemble):
    """A plastic beam goes to and fro; after a tenth of the steps nothing grows any more."""
    if ensemble == "balanced" and MPI.COMM_WORLD.size == 1:
        pytest.skip("points move between ranks")
    b = beam(rve_of(homogeneous_cell(), {"matrix": J2}), cells=(2, 1), ensemble=ensemble, rtol=1e-8)

    def cycle(steps: int) -> None:
        for k in range(steps):
            b.load.value = 0.1 * np.sin(2 * np.pi * k / 20)
            b.problem.solve()

    cycle(STEPS // 10)
    left, memory = measure()
    cycle(STEPS)
    grown = resident() - memory
    assert communicators_left() == left
    print(f"{ensemble}: {grown / 1024:.0f} kB in {STEPS} steps")
    assert b.hom.comm.allreduce(float(b.hom.states.committed.variables["history"].max()), op=MPI.MAX) > 0
    assert grown < MEGABYTE + 1024 * STEPS
    b.problem.destroy()


@pytest.mark.slow
def test_problems_come_and_go():
    """Many problems, each with its RVE and Homogenizer, made, solved and destroyed."""

    def one() -> None:
        b = beam(composite(ELASTIC), cells=(2, 1))
        b.reactions([0.01])
        b.problem.destroy()
        b.hom.model.destroy()

    for _ in range(5):
        one()
    left, memory = measure()
    for _ in range(PROBLEMS):
        one()
    assert communicators_left() == left
    assert resident() - memory < PROBLEMS / 6 * MEGABYTE


def test_unmapping_leaves_nothing():
    """Memory given back is not remembered for ever, as MPICH's UCX does by default with 144 bytes a time."""

    def unmap(times: int) -> None:
        for _ in range(times):
            mmap.mmap(-1, 16384).close()  # as Python does with its stack

    unmap(5000)
    memory = resident()
    unmap(40000)
    assert resident() - memory < 2 * MEGABYTE  # by default 5.8 MB


def counts() -> dict[str, int]:
    """What would grow with RVEs that are not quite gone: Python objects, modules and mapped files."""
    gc.collect()
    mapped = Path("/proc/self/maps").read_text().count(".so")
    return {"objects": len(gc.get_objects()), "modules": len(sys.modules), "mapped": mapped}


def test_rves_come_and_go():
    """RVEs on one cell, made, solved and destroyed: nothing of them stays, in Python or as loaded code."""
    cell = homogeneous_cell()

    def one() -> None:
        rve = rve_of(cell, {"matrix": J2})
        rve.solve(np.array([1e-3, 0.0, 0.0]))
        rve.destroy()

    for _ in range(3):
        one()
    left, memory = measure()
    before = counts()
    for _ in range(10):
        one()
    after = counts()
    assert after["objects"] - before["objects"] < 10  # less than one object each
    assert (after["modules"], after["mapped"]) == (before["modules"], before["mapped"])
    assert communicators_left() == left
    assert resident() - memory < 3 * MEGABYTE  # the allocators take memory by the megabyte


def test_many_points():
    """3,000 points or more on each rank cost their states and some arrays of the macro problem."""
    cells = (25, 20 * MPI.COMM_WORLD.size)
    rve = rve_of(homogeneous_cell(), {"matrix": J2})
    left, memory = measure()
    b = beam(rve, cells=cells, rtol=1e-8)
    b.reactions([0.001])
    n = b.hom.states.converged.size
    assert b.hom.comm.allreduce(n) == 3 * 2 * cells[0] * cells[1]
    assert b.hom.comm.allreduce(n) >= 3000 * MPI.COMM_WORLD.size
    per_point = (resident() - memory) / n
    print(f"{n} points, {per_point / 1024:.1f} kB each")
    assert per_point < b.hom.states.nbytes_per_point + 20 * 1024
    assert left - communicators_left() < 100
    b.problem.destroy()
