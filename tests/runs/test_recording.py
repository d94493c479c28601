"""Recorded macro paths: by any number of ranks, after a restart, with steps of unequal duration, for reduced models."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support import macro_tools
from support.cells_and_rves import relative_error

import hmm
from hmm import reduced

COMM = MPI.COMM_WORLD


@pytest.fixture
def folder(tmp_path):
    """One directory for all ranks."""
    return COMM.bcast(tmp_path)


def tension(model, comm=COMM):
    """A bar of 2 x 1 cells that is clamped on the left and pulled at the right."""
    domain = mesh.create_rectangle(comm, [[0.0, 0.0], [2.0, 1.0]], [2, 2])
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v = fem.Function(V, name="u"), ufl.TestFunction(V)
    hom = hmm.Homogenizer(model(domain) if callable(model) else model, ufl.sym(ufl.grad(u)), degree=1)
    left = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0))
    right = fem.locate_dofs_geometrical((V.sub(1), V.sub(1).collapse()[0]), lambda x: np.isclose(x[0], 2))[0]
    load = fem.Constant(domain, 0.0)
    bcs = [fem.dirichletbc(np.zeros(2), left, V), fem.dirichletbc(load, right, V.sub(1))]
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    return hmm.MacroProblem(F, u, hom, bcs=bcs, petsc_options_prefix="recorded_"), load, bcs[1]


def halves(domain):
    """Tags of the cells to the left and to the right of x = 1."""
    index_map = domain.topology.index_map(2)
    cells = np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
    x = mesh.compute_midpoints(domain, 2, cells)[:, 0]
    return mesh.meshtags(domain, 2, cells, np.where(x < 1, 1, 2).astype(np.int32))


def run(folder, model, stages, comm=COMM, paths=True, **options):
    """Reactions of the bar."""
    problem, load, bc = tension(model, comm)
    found = []
    with hmm.Output(folder, problem.hom, problem.u, paths=paths) as output:
        time = 0.0
        for end, n in stages:
            for step in hmm.steps(problem, load, end, n, **options):
                output.write(time + step.number)
                found.append(problem.reaction(bc))
            time += n
    return np.array(found), problem.hom


def composite():
    return macro_tools.composite()


@pytest.mark.mpi
def test_recorded_paths_are_those_of_one_rank(folder):
    """In the order of the macro cells, whatever the ranks."""
    run(folder / "all", composite(), [(0.02, 2), (0.01, 1)])
    if COMM.rank == 0:
        _, alone = run(folder / "one", composite(), [(0.02, 2), (0.01, 1)], comm=MPI.COMM_SELF)
        paths, own = hmm.recorded_paths(folder / "all"), hmm.recorded_paths(folder / "one")
        assert len(paths) == alone.n_points == len(own)
        for a, b in zip(paths, own, strict=True):
            assert a.E.shape == (3, 3)
            assert pytest.approx(b.E, abs=1e-9) == a.E
        last = np.stack([path.E[-1] for path in own])
        assert np.array_equal(last[alone.keys], alone.states.committed.E)
    COMM.barrier()


@pytest.mark.mpi
def test_a_continued_run_goes_on(folder):
    """Steps after the checkpoint are recorded once; a new run in the same folder starts over."""
    pytest.importorskip("h5py")
    stages = [(0.02, 4)]
    run(folder / "whole", composite(), stages)
    problem, load, _ = tension(composite())
    with hmm.Output(folder / "parts", problem.hom, problem.u, paths=True) as output:
        for step in hmm.steps(problem, load, 0.02, 4, checkpoint=folder / "run.h5", every=2):
            output.write(step.number)
            if step.number == 3:
                break  # the checkpoint is of step 2
    run(folder / "parts", composite(), stages, checkpoint=folder / "run.h5")
    COMM.barrier()
    whole, parts = hmm.recorded_paths(folder / "whole"), hmm.recorded_paths(folder / "parts")
    for a, b in zip(whole, parts, strict=True):
        assert pytest.approx(b.E, abs=1e-9) == a.E
    COMM.barrier()
    run(folder / "parts", composite(), [(0.01, 1)])
    COMM.barrier()
    assert hmm.recorded_paths(folder / "parts")[0].E.shape == (1, 3)


@pytest.mark.mpi
def test_steps_of_unequal_duration(folder):
    problem, load, _ = tension(composite())
    times = [0.0, 0.5, 2.0, 2.25]
    with hmm.Output(folder, problem.hom, problem.u, paths=True) as output:
        ramp = hmm.schedule({load: hmm.table([0.0, 3.0], [0.0, 0.01])})
        for step in hmm.steps(problem, ramp, times):
            output.write(step.time)
    COMM.barrier()
    paths = hmm.recorded_paths(folder)
    assert paths[0].durations == pytest.approx(np.diff(times))
    (chosen,) = reduced.select_paths(paths, 1)
    assert chosen.durations == pytest.approx(np.diff(times))


@pytest.mark.mpi
def test_each_model_has_its_own(folder):
    law = {"matrix": macro_tools.STIFF}
    models = {tag: macro_tools.rve_of(macro_tools.homogeneous_cell(), law) for tag in (1, 2)}
    run(folder, lambda domain: hmm.variation.regions(models, halves(domain)), [(0.01, 1)])
    COMM.barrier()
    with pytest.raises(hmm.InputError, match=r"are of several models, 1, 2: give model="):
        hmm.recorded_paths(folder)
    assert len(hmm.recorded_paths(folder, "1")) == len(hmm.recorded_paths(folder, "2")) == 4
    with pytest.raises(hmm.InputError, match="model 'c' is unknown: choose one of '1', '2'"):
        hmm.recorded_paths(folder, "c")


@pytest.mark.mpi
def test_reduced_model_of_a_few_step_run(folder):
    """The recipe of docs/reduced.md: a run with few steps, its paths, a model of them, the job with more steps."""
    stages = [(0.04, 3), (0.03, 1)]
    run(folder, composite(), [(0.045, 2), (0.03, 1)])
    COMM.barrier()
    rve = composite()
    paths = [path.refined(4) for path in hmm.recorded_paths(folder)]
    model = reduced.train(rve, paths, blind=paths[:1], modes=12, comm=COMM)
    full, _ = run(folder / "full", composite(), stages, paths=False)
    found, _ = run(folder / "reduced", model, stages, paths=False)
    assert relative_error(found, full) < 0.005
    assert COMM.allreduce(model.n_outside) == 0


@pytest.mark.skipif(COMM.size > 1, reason="files of one rank")
def test_bad_files(tmp_path):
    with pytest.raises(hmm.InputError, match=r"no recorded paths in .*: write them with hmm\.Output\(\.\.\., paths=T"):
        hmm.recorded_paths(tmp_path)
    with pytest.raises(hmm.InputError, match="paths = 'all' is not a bool: give True to record"):
        run(tmp_path, composite(), [(0.01, 2)], paths="all")
    run(tmp_path, composite(), [(0.01, 2)])
    first, _ = sorted((tmp_path / "paths").iterdir())
    data = first.read_bytes()
    first.write_bytes(data[:100])
    with pytest.raises(hmm.InputError, match=r"recorded step .*000001\.npz is damaged .*: remove its folder"):
        hmm.recorded_paths(tmp_path)
    np.savez(first, time=1.0, duration=0.0, models=[""], E0=np.zeros((2, 3)))
    with pytest.raises(hmm.InputError, match="are of several jobs"):
        hmm.recorded_paths(tmp_path)
    np.savez(first, time=1.0)
    with pytest.raises(hmm.InputError, match="something is missing"):
        hmm.recorded_paths(tmp_path)
