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
    """Velocity and acceleration of a macro unknown by Newmark's formulas, and where in the step forces balance.

    With ``a`` the acceleration at the end of a step of duration ``dt`` and ``u_0, v_0, a_0`` at its start, ``u = u_0 +
    dt v_0 + dt^2 ((1/2 - beta) a_0 + beta a)`` and ``v = v_0 + dt ((1 - gamma) a_0 + gamma a)``. Use `Newmark` or
    `GeneralizedAlpha`, and tell the problem: ``problem.remember(motion)``.

    Parameters
    ----------
    u
        The macro unknown.
    beta, gamma
        Newmark's parameters.
    alpha_m, alpha_f
        Parts of the old acceleration and of the old forces in the balance.

    Attributes
    ----------
    velocity, acceleration
        Functions: what they are after the last accepted step; set the initial values in them.
    displacement
        The unknown after the last accepted step.
    dt
        Duration of the step, a Constant; set by the problem.
    a, v
        UFL expressions of the acceleration and the velocity in the balance: write them in the macro form.
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
        """A stress or a load as it enters the balance: ``(1 - alpha_f)`` of it and ``alpha_f`` of its old value.

        Parameters
        ----------
        quantity
            ``hom.stress`` or another response, a load Function or a load Constant. Its present value is the first old
            one.

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
        """What a checkpoint must hold to go on, by name."""
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
        """Take the end of the step as the start of the next one."""
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
        Its parameters: ``gamma = 1/2`` is of second order, more dissipates; ``2 beta >= gamma`` is stable in steps of
        any size.

    Raises
    ------
    InputError
        If beta is not positive or gamma is below 1/2, where amplitudes grow in steps of any size.

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

    The balance holds between the ends of the step. What the forces are there is their mean: write
    ``motion.at_balance(hom.stress)`` in place of ``hom.stress``, and the same for loads.

    Parameters
    ----------
    u
        The macro unknown.
    rho_inf
        What is left after a step of a vibration that is fast against it: 1 for all, 0 for nothing.

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
