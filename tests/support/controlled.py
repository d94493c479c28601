"""What tests of reduced models that watch their error share."""

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh

import hmm
from hmm import reduced
from hmm.models.asking import answer, points_of

SIZE = 0.012
MIDDLE = 1.0
"""A tolerance that some points of the beam exceed."""

STEPS = ((-0.06, 4), (-0.045, 2))


def training_walks(rve):
    """What a crude model is trained on."""
    return reduced.random_walks(rve.inputs, SIZE, 6, 12, seed=3)


def crude(rve):
    """A model with few modes: its error is some per cent."""
    return reduced.train(rve, training_walks(rve), modes=3, points=60)


def blind_paths(rve, n=3):
    """Paths that it was not trained on, shape (n_steps, n, m)."""
    return np.stack([path.E for path in reduced.random_walks(rve.inputs, SIZE, n, 12, seed=77)], axis=1)


def follow(model, paths, dt=0.0):
    """Points along paths, shape (n_steps, n_points, m); the points after each step."""
    points = points_of(model, paths.shape[1])
    for E in paths:
        points.ask(E, dt, "nested")
        answer(model, points)
        assert not points.failures
        model.commit(points)
        points.accept()
        yield points


def full_responses(rve, paths, dt=0.0):
    """Responses of the RVE along the same paths."""
    found = np.zeros_like(paths)
    for p in range(paths.shape[1]):
        state = None
        for step, E in enumerate(paths[:, p]):
            solved = rve.solve(E, state, dt=dt)
            found[step, p], state = solved.vector, solved.state
    return found


def effectivities(rve, model, paths, dt=0.0):
    """Sizes of the estimated errors over those of the true ones, where these matter."""
    watched, truth = reduced.Controlled(model, rve, 1e9), full_responses(rve, paths, dt)
    pairs = zip(follow(watched, paths, dt), truth, strict=True)
    errors = [(watched.errors(p), t - p.committed.response) for p, t in pairs]
    sizes = np.array([[np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)] for a, b in errors])
    large = sizes[:, 1] > 0.05 * sizes[:, 1].max()
    return (sizes[:, 0] / sizes[:, 1])[large]


def beam(model, comm=MPI.COMM_WORLD, cells=(3, 1), **options):
    """A cantilever that is bent into plasticity and unloaded; `options` go to the homogenizer."""
    domain = mesh.create_rectangle(comm, [[0.0, 0.0], [6.0, 2.0]], cells)
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    hom = hmm.Homogenizer(model, ufl.sym(ufl.grad(u)), degree=2, **options)
    left = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0))
    right = fem.locate_dofs_geometrical((V.sub(1), V.sub(1).collapse()[0]), lambda x: np.isclose(x[0], 6))[0]
    g = fem.Constant(domain, 0.0)
    bcs = [fem.dirichletbc(np.zeros(2), left, V), fem.dirichletbc(g, right, V.sub(1))]
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    return hmm.MacroProblem(F, u, hom, bcs=bcs, petsc_options_prefix="controlled_"), g


def run(model, stages=STEPS, comm=MPI.COMM_WORLD, **options):
    """Reactions of the beam, and the errors."""
    problem, g = beam(model, comm, **options)
    rows = []
    for end, n in stages:
        for _ in hmm.steps(problem, g, end, n):
            error = problem.stats[-1].error
            bar = error.reactions[1] if error else hmm.fe2.step_stats.ErrorBar(0.0, 0.0)
            rows.append([problem.reaction(problem.bcs[1]), bar.value, bar.bar, error.point if error else 0.0])
    return np.array(rows), problem
