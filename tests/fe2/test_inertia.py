"""Inertia in the macro form: amplitudes, periods and energies against closed forms, with plastic RVEs, and restarts."""

import os
import signal

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, la, mesh
from dolfinx.mesh import CellType
from support.function_models import j2_model
from support.macro_tools import composite, value_at

import hmm

COMM = MPI.COMM_WORLD


def unit_model() -> hmm.FunctionModel:
    """Stress equals strain."""
    return hmm.FunctionModel(lambda E, old, dt: (E, np.tile(np.eye(3), (len(E), 1, 1)), {}), hmm.models.strain(2))


class Bar:
    """A bar along x from 0 to 1, fixed at 0, that moves along x only; density and, by default, modulus are 1."""

    def __init__(self, model=None, n: int = 1, degree: int = 1, density: float = 1.0, method=hmm.Newmark, **options):
        domain = mesh.create_rectangle(COMM, [[0.0, 0.0], [1.0, 0.25]], [n, 1], CellType.quadrilateral)
        V = fem.functionspace(domain, ("Lagrange", degree, (2,)))
        self.u, v = fem.Function(V), ufl.TestFunction(V)
        self.motion = method(self.u, **options)
        self.pull = fem.Constant(domain, np.zeros(2))
        fixed = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0.0))
        Vy, _ = V.sub(1).collapse()
        flat = fem.locate_dofs_geometrical((V.sub(1), Vy), lambda x: np.full(x.shape[1], True))
        bcs = [fem.dirichletbc(np.zeros(2), fixed, V), fem.dirichletbc(fem.Function(Vy), flat, V.sub(1))]
        self.hom = hmm.Homogenizer(model or unit_model(), ufl.sym(ufl.grad(self.u)))
        along, balanced = ufl.sym(ufl.grad(v)), self.motion.at_balance
        F = density * ufl.inner(self.motion.a, v) * ufl.dx + ufl.inner(balanced(self.hom.stress), along) * self.hom.dx
        F -= ufl.inner(balanced(self.pull), v) * ufl.dx
        self.problem = hmm.MacroProblem(F, self.u, self.hom, bcs=bcs, petsc_options_prefix="bar_", rtol=1e-11)
        self.problem.remember(self.motion)
        self._kinetic = fem.form(density / 2 * ufl.inner(self.motion.velocity, self.motion.velocity) * ufl.dx)
        self._force = fem.form(ufl.inner(self.hom.stress, along) * self.hom.dx)

    def start(self, velocity, acceleration=lambda x: 0 * x[0]) -> None:
        """Initial velocity and acceleration along x."""
        for function, value in ((self.motion.velocity, velocity), (self.motion.acceleration, acceleration)):
            function.interpolate(lambda x, value=value: np.stack([value(x), 0 * x[0]]))

    def end(self) -> np.ndarray:
        """Displacement, velocity and acceleration of the free end."""
        fields = (self.u, self.motion.velocity, self.motion.acceleration)
        return np.array([value_at(f, (1.0, 0.0))[0] for f in fields])

    def run(self, times, loads=None, **options) -> np.ndarray:
        """What the free end does in each step, shape (n, 3)."""
        steps = hmm.steps(self.problem, hmm.schedule(loads), times, **options)
        return np.array([self.end() for _ in steps])

    def kinetic(self) -> float:
        return COMM.allreduce(fem.assemble_scalar(self._kinetic))

    def forces(self) -> np.ndarray:
        """Internal nodal forces, those of the whole on each rank's own dofs."""
        b = fem.assemble_vector(self._force)
        b.scatter_reverse(la.InsertMode.add)
        return b.array[: self.owned].copy()

    @property
    def owned(self) -> int:
        return self.u.function_space.dofmap.index_map.size_local * 2


def amplification(omega: float, dt: float, rho: float | None) -> np.ndarray:
    """From (u, v, a) of an oscillator at a step's start to its end (Chung and Hulbert 1993); None for trapezoidal."""
    am, af = (0.0, 0.0) if rho is None else ((2 * rho - 1) / (rho + 1), rho / (rho + 1))
    gamma = 0.5 - am + af
    beta = (1 - am + af) ** 2 / 4
    k = omega**2
    left = [[1, 0, -(dt**2) * beta], [0, 1, -dt * gamma], [k * (1 - af), 0, 1 - am]]
    right = [[1, dt, dt**2 * (0.5 - beta)], [0, 1, dt * (1 - gamma)], [-k * af, 0, -am]]
    return np.linalg.solve(np.array(left), np.array(right))


@pytest.mark.mpi
@pytest.mark.parametrize("rho", [None, 1.0, 0.5, 0.0])
@pytest.mark.parametrize("size", [0.1, 20.0])
def test_one_element_is_an_oscillator(rho, size):
    """One bilinear element with consistent mass has omega^2 = 3: each step is the closed-form amplification."""
    omega, options = np.sqrt(3.0), {} if rho is None else {"method": hmm.GeneralizedAlpha, "rho_inf": rho}
    bar, dt = Bar(**options), size / np.sqrt(3.0)
    bar.start(lambda x: x[0])
    found = bar.run(dt * np.arange(9))
    A = amplification(omega, dt, rho)
    expected = [np.linalg.matrix_power(A, n) @ [0.0, 1.0, 0.0] for n in range(1, 9)]
    scale = np.max(np.abs(expected), axis=0)
    assert np.allclose(found / scale, expected / scale, rtol=0, atol=1e-8)


@pytest.mark.parametrize("rho", [1.0, 0.5, 0.0])
def test_fast_vibrations_decay_by_rho_inf(rho):
    """The largest amplification of an infinitely fast oscillator; and one that is slow against the step keeps all."""
    dt = 1e4
    A = amplification(np.sqrt(3.0), dt, rho)
    assert np.max(np.abs(np.linalg.eigvals(A))) == pytest.approx(rho, abs=2e-3)
    bar = Bar(method=hmm.GeneralizedAlpha, rho_inf=rho)
    bar.start(lambda x: x[0])
    u = np.abs(bar.run(dt * np.arange(41))[:, 2])
    assert u[-1] / u[-11] == pytest.approx(rho**10 * (40 / 30 if rho else 0), rel=0.2, abs=1e-12)


@pytest.mark.mpi
@pytest.mark.parametrize(("method", "options"), [(hmm.Newmark, {}), (hmm.GeneralizedAlpha, {"rho_inf": 0.5})])
def test_the_period_of_a_bar(method, options):
    """Fixed and free: u = sin(pi x / 2) sin(omega t) / omega with omega = pi / 2; errors fall with dt^2."""
    omega, errors = np.pi / 2, []
    for n in (32, 64):
        bar = Bar(n=3, degree=3, method=method, **options)
        bar.start(lambda x: np.sin(omega * x[0]))
        times = np.linspace(0, 8.0, n + 1)  # two periods
        u = bar.run(times)[:, 0]
        errors.append(np.max(np.abs(u * omega - np.sin(omega * times[1:]))))
        if method is hmm.Newmark:
            theta = 2 * np.arctan(omega * 8.0 / n / 2)
            assert np.allclose(u * omega, np.sin(theta * np.arange(1, n + 1)), rtol=0, atol=3e-4)
    if method is hmm.Newmark:  # the relative error of the period is (omega dt)^2 / 12
        assert errors[1] == pytest.approx(4 * np.pi * (omega * 8.0 / 64) ** 2 / 12, rel=0.02)
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


@pytest.mark.mpi
def test_newmark_keeps_the_energy_and_alpha_loses_it():
    """All modes at once, from a jump of the velocity, over 40 steps of a twentieth of the slow period."""
    lost = {}
    for name, options in {"newmark": {}, "alpha": {"method": hmm.GeneralizedAlpha, "rho_inf": 0.3}}.items():
        bar = Bar(n=8, **options)
        bar.start(lambda x: (x[0] > 0.7) * 1.0)
        before = bar.kinetic()
        bar.run(0.2 * np.arange(41))
        stored = COMM.allreduce(bar.u.x.array[: bar.owned] @ bar.forces()) / 2
        lost[name] = 1 - (bar.kinetic() + stored) / before
    assert abs(lost["newmark"]) < 1e-9
    assert 0.05 < lost["alpha"] < 0.9


@pytest.mark.mpi
@pytest.mark.parametrize("model", [composite, j2_model])
def test_plastic_rves_balance_their_energy(model):
    """A blow into plasticity: the kinetic energy that is lost is the work of the internal forces, step by step.

    For the trapezoidal rule this is an identity: ``K_1 - K_0 + (u_1 - u_0) . (f_0 + f_1) / 2 = 0``.
    """
    bar = Bar(model(), n=4, density=1e-9)
    bar.start(lambda x: 4e4 * x[0])
    K, u, f, first = bar.kinetic(), np.zeros(bar.owned), np.zeros(bar.owned), bar.kinetic()
    for step in hmm.steps(bar.problem, hmm.schedule(), 2e-8 * np.arange(11)):
        work = COMM.allreduce((bar.u.x.array[: bar.owned] - u) @ (f + bar.forces()) / 2)
        assert bar.kinetic() - K + work == pytest.approx(0.0, abs=1e-8 * first)
        K, u, f = bar.kinetic(), bar.u.x.array[: bar.owned].copy(), bar.forces()
        assert step.stats.iterations <= 6
    assert hmm.worst_point(bar.hom, bar.hom.observe("p_matrix" if model is composite else "p")).value > 1e-3
    for stats in bar.problem.stats:  # quadratic: the next residual is the square of one below 5e-5, but for a factor
        r = np.array(stats.residuals)
        close = np.flatnonzero(r[:-1] < 5e-5)
        assert np.all(r[close + 1] < 20 * r[close] ** 2 + 1e-11), stats.residuals


TIMES = 2e-8 * np.array([0, 1, 2, 4, 5, 6])


@pytest.mark.mpi
@pytest.mark.parametrize("options", [{}, {"method": hmm.GeneralizedAlpha, "rho_inf": 0.5}])
def test_a_restart_carries_velocity_and_acceleration(tmp_path, options):
    """Stopped inside a step that is cut: the end is that of a run without a break, also the old stress and load."""
    path = COMM.bcast(tmp_path) / "run.h5"

    def run(stop_at: int = -1, **more: object) -> Bar:
        bar = Bar(j2_model(), n=4, density=1e-9, **options)
        bar.start(lambda x: 4e4 * x[0])
        solve = bar.problem.solve

        def limited():
            if bar.hom.time_step > 2.5e-8:
                raise hmm.ConvergenceError("too long")
            stats = solve()
            if len(bar.problem.stats) == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
            return stats

        bar.problem.solve = limited
        pull = hmm.table([0, 7e-8, 2e-7], [[0, 0], [50, 0], [0, 0]])
        bar.run(TIMES, {bar.pull: pull}, **more)
        return bar

    whole = run()
    with pytest.raises(SystemExit):
        run(3, checkpoint=path)
    again = run(checkpoint=path)
    assert len(again.problem.stats) == 3
    for name, f in whole.motion.functions.items():
        owned = f.function_space.dofmap.index_map.size_local * f.function_space.dofmap.bs
        one, other = f.x.array[:owned], again.motion.functions[name].x.array[:owned]
        size = COMM.allreduce(np.max(np.abs(one), initial=0.0), op=MPI.MAX)
        assert np.max(np.abs(other - one), initial=0.0) < 1e-8 * size, name


@pytest.mark.mpi
def test_another_initial_velocity_or_method_is_refused(tmp_path):
    path = COMM.bcast(tmp_path) / "run.h5"

    def run(speed: float, **options: object) -> int:
        bar = Bar(**options)
        bar.start(lambda x: speed * x[0])
        return len(bar.run([0.0, 0.1, 0.2], checkpoint=path))

    assert run(1.0) == 2
    assert run(1.0) == 0
    with pytest.raises(hmm.InputError, match=r"began with the Function \d of the macro form of checksum"):
        run(1.1)
    with pytest.raises(hmm.InputError, match="does not belong to this run"):
        run(1.0, method=hmm.GeneralizedAlpha)


def test_a_function_of_the_loop_is_remembered(tmp_path, caplog):
    """What the loop changes in a Function that is remembered comes back, without a warning."""
    path = COMM.bcast(tmp_path) / "run.h5"

    def run(last: int) -> list[float]:
        bar = Bar(j2_model())
        extra = fem.Function(bar.u.function_space, name="a / b")
        bar.problem.remember(extra)
        seen = []
        for step in hmm.steps(bar.problem, hmm.schedule(), [0, 1, 2, 3], checkpoint=path):
            if step.number > last:
                break
            extra.x.array[:] += 1.0
            seen.append(COMM.allreduce(extra.x.array.max(initial=0.0), MPI.MAX))
        return seen

    assert run(2) == [1.0, 2.0]
    assert run(3) == [3.0]
    assert not caplog.records


def test_bad_input():
    bar = Bar()
    u, motion = bar.u, bar.motion
    cell_function = fem.Function(fem.functionspace(mesh.create_unit_square(COMM, 1, 1), ("Lagrange", 1)), name="g")
    edges = fem.Function(fem.functionspace(bar.hom.mesh, ("N1curl", 1)), name="edges")
    for make, match in [
        (lambda: hmm.Newmark(1.0), "u = 1.0 is not a Function"),
        (lambda: hmm.Newmark(u, beta=0.0), "beta = 0.0: give a number from 0.001 to 1"),
        (lambda: hmm.Newmark(u, gamma=0.4), "gamma = 0.4: give a number from 0.5 to 1"),
        (lambda: hmm.GeneralizedAlpha(u, rho_inf=1.5), "rho_inf = 1.5: give a number from 0 to 1"),
        (lambda: hmm.GeneralizedAlpha(u, rho_inf="high"), "rho_inf = 'high'"),
        (lambda: motion.at_balance(3.0), "a quantity of the balance = 3.0 is not a Function or Constant"),
        (lambda: bar.problem.remember(3.0), "what to remember = 3.0 is not a Function or StepMemory"),
        (lambda: bar.problem.remember(cell_function), "the Function 'g' to remember is on another mesh"),
        (lambda: bar.problem.remember(edges), "the Function 'edges' to remember is of .*: use a Lagrange space"),
        (lambda: bar.problem.solve(), "the problem has inertia, and the step has no duration"),
        (lambda: list(hmm.steps(bar.problem, bar.pull, [1.0, 0.0], 2)), "the problem has inertia"),
    ]:
        with pytest.raises(hmm.InputError, match=match) as caught:
            make()
        assert "\n" not in str(caught.value)
    assert not bar.pull.value.any()
    list(hmm.steps(bar.problem, bar.pull, [1.0, 0.0], 2, duration=0.1))
    with pytest.raises(hmm.InputError, match="2 steps have been solved: call remember"):
        bar.problem.remember(motion)


def test_a_wave_enters_a_body_at_rest():
    """Far ahead of the wave strains are rounding, and vanish in some iterates: their cells converge as well."""
    bar = Bar(composite(), n=60, density=1e-9, method=hmm.GeneralizedAlpha, rho_inf=0.5)
    bar.start(lambda x: -4e4 * (x[0] > 1e-9))
    bar.run(1.2e-9 * np.arange(4))
    assert all(s.fallbacks == 0 and s.iterations < 8 for s in bar.problem.stats), bar.problem.stats
