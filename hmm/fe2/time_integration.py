"""Inertia in the macro form: Newmark's method and the generalized-alpha method."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import ufl
from dolfinx import fem

from hmm.foundation.errors import InputError
from hmm.foundation.options import instance, is_real

Expr = ufl.core.expr.Expr


class TimeIntegrator:
    """Velocity and acceleration of a macro unknown by Newmark's formulas, for the balance at a point of the step.

    For a step of duration ``dt`` with ``u_0, v_0, a_0`` at its start and the acceleration ``a`` at its end, ``u = u_0 +
    dt v_0 + dt^2 ((1/2 - beta) a_0 + beta a)`` and ``v = v_0 + dt ((1 - gamma) a_0 + gamma a)``. Use `Newmark` or
    `GeneralizedAlpha`, and call ``problem.remember(motion)``.

    Parameters
    ----------
    u
        The macro unknown.
    beta, gamma
        Newmark's parameters.
    alpha_m, alpha_f
        Weights of the old acceleration and of the old forces in the balance.

    Attributes
    ----------
    velocity, acceleration
        Functions with the values after the last accepted step; set initial values here.
    displacement
        The unknown after the last accepted step.
    dt
        Duration of the step, a Constant; set by the problem.
    a, v
        UFL expressions of acceleration and velocity in the balance, for the macro form.
    end_acceleration, end_velocity
        The same at the end of the step.
    """

    def __init__(self, u: fem.Function, beta: float, gamma: float, alpha_m: float, alpha_f: float) -> None:
        instance("u", u, fem.Function, "give the macro unknown")
        self.u, self.beta, self.gamma, self.alpha_m, self.alpha_f = u, beta, gamma, alpha_m, alpha_f
        space = u.function_space
        self.displacement = fem.Function(space, name="old_displacement")
        self.velocity, self.acceleration = (
            fem.Function(space, name="velocity"),
            fem.Function(space, name="acceleration"),
        )
        self.dt = fem.Constant(space.mesh, 1.0)
        self._kept: list[tuple[fem.Function | fem.Constant, fem.Function | fem.Constant]] = []
        self._begun = False
        u0, v0, a0, dt = self.displacement, self.velocity, self.acceleration, self.dt
        self.end_acceleration = (u - u0 - dt * v0) / (beta * dt**2) - (0.5 / beta - 1) * a0
        self.end_velocity = v0 + dt * ((1 - gamma) * a0 + gamma * self.end_acceleration)
        self.a = _mean(self.end_acceleration, a0, alpha_m)
        self.v = _mean(self.end_velocity, v0, alpha_f)

    def at_balance(self, quantity: fem.Function | fem.Constant) -> Expr:
        """A stress or a load in the balance: ``(1 - alpha_f)`` times its value plus ``alpha_f`` times the old value.

        Parameters
        ----------
        quantity
            ``hom.stress`` or another response, or a Function or Constant of a load. Its present value becomes the first
            old value.

        Returns
        -------
        ufl.core.expr.Expr
            The expression for the macro form; with Newmark's method the quantity itself.
        """
        instance("a quantity of the balance", quantity, (fem.Function, fem.Constant), "give hom.stress or a load")
        if not self.alpha_f:
            return quantity
        if isinstance(quantity, fem.Constant):
            old: fem.Function | fem.Constant = fem.Constant(self.u.function_space.mesh, np.array(quantity.value))
        else:
            old = fem.Function(quantity.function_space, name=f"old_{quantity.name}")
        self._kept.append((quantity, old))
        self._keep()
        return _mean(quantity, old, self.alpha_f)

    @property
    def functions(self) -> Mapping[str, fem.Function]:
        """The Functions that a checkpoint stores, by name."""
        own = (self.displacement, self.velocity, self.acceleration)
        return {f.name: f for f in (*own, *(old for _, old in self._kept if isinstance(old, fem.Function)))}

    def begin(self, dt: float) -> None:
        """Prepare a step.

        Raises
        ------
        InputError
            If it has no duration.
        """
        if not dt > 0:
            raise InputError("the problem has inertia, and the step has no duration: give times or duration=")
        self.dt.value = np.float64(dt)  # type: ignore[assignment]
        if not self._begun:
            self.displacement.x.array[:] = self.u.x.array
            self._begun = True

    def accept(self) -> None:
        """Make the end of the step the start of the next one."""
        u, u0, v0, a0 = (f.x.array for f in (self.u, self.displacement, self.velocity, self.acceleration))
        dt, beta, gamma = float(self.dt.value), self.beta, self.gamma
        a = (u - u0 - dt * v0) / (beta * dt**2) - (0.5 / beta - 1) * a0
        v0 += dt * ((1 - gamma) * a0 + gamma * a)
        a0[:], u0[:] = a, u
        self._keep()

    def _keep(self) -> None:
        for now, old in self._kept:
            if isinstance(now, fem.Function) and isinstance(old, fem.Function):
                old.x.array[:] = now.x.array
            elif isinstance(now, fem.Constant) and isinstance(old, fem.Constant):
                old.value = now.value


class Newmark(TimeIntegrator):
    """Newmark's method; by default the trapezoidal rule, which dissipates no energy (Newmark 1959).

    Parameters
    ----------
    u
        The macro unknown.
    beta, gamma
        Its parameters: ``gamma = 1/2`` gives second order, a larger value dissipates energy; ``2 beta >= gamma`` is
        unconditionally stable.

    Raises
    ------
    InputError
        If beta is not positive, or gamma is below 1/2, which is unstable.

    Examples
    --------
    >>> motion = hmm.Newmark(u)  # doctest: +SKIP
    >>> F = rho * ufl.inner(motion.a, v) * ufl.dx + ufl.inner(hom.stress, eps(v)) * hom.dx  # doctest: +SKIP
    >>> problem = hmm.MacroProblem(F, u, hom, bcs=bcs)  # doctest: +SKIP
    >>> problem.remember(motion)  # doctest: +SKIP
    """

    def __init__(self, u: fem.Function, beta: float = 0.25, gamma: float = 0.5) -> None:
        _within("beta", beta, 1e-3, 1.0)
        _within("gamma", gamma, 0.5, 1.0)
        super().__init__(u, float(beta), float(gamma), 0.0, 0.0)


class GeneralizedAlpha(TimeIntegrator):
    """The generalized-alpha method: second order, with dissipation of high frequencies only (Chung and Hulbert 1993).

    The balance holds at a point within the step, where forces are weighted means: write
    ``motion.at_balance(hom.stress)`` in place of ``hom.stress``, and likewise for loads.

    Parameters
    ----------
    u
        The macro unknown.
    rho_inf
        Spectral radius for infinite frequency: 1 for no dissipation, 0 for annihilation in one step.

    Raises
    ------
    InputError
        If rho_inf is not between 0 and 1.
    """

    def __init__(self, u: fem.Function, rho_inf: float = 0.8) -> None:
        _within("rho_inf", rho_inf, 0.0, 1.0)
        alpha_m, alpha_f = (2 * rho_inf - 1) / (rho_inf + 1), rho_inf / (rho_inf + 1)
        gamma = 0.5 - alpha_m + alpha_f
        super().__init__(u, (0.5 + gamma) ** 2 / 4, gamma, alpha_m, alpha_f)


def _mean(end: Expr, start: Expr, part: float) -> Expr:
    return (1 - part) * end + part * start if part else end


def _within(name: str, value: object, low: float, high: float) -> None:
    if not is_real(value) or not low <= value <= high:  # type: ignore[operator]
        raise InputError(f"{name} = {value!r}: give a number from {low:g} to {high:g}")
