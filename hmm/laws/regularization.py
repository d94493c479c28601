"""Viscous regularization: what a law would do at once happens with delay."""

from __future__ import annotations

import ufl

from hmm.laws.base import Local, Parameter


def delayed(target: ufl.core.expr.Expr, at: Local, name: str, viscosity: Parameter) -> ufl.core.expr.Expr:
    """An internal variable that follows its rate-independent value with delay, ``viscosity dx/dt = target - x``.

    By backward Euler ``x = (viscosity x_old + dt target) / (viscosity + dt)``. A law that softens becomes well-posed
    by it (Needleman, *Comput. Methods Appl. Mech. Engrg.* 67 (1988) 69; Duvaut and Lions, *Les inequations en mecanique
    et en physique*, 1972): when the step is short, its stiffness tends to that of no evolution at all. When the
    loading is slow, x is the target.

    Parameters
    ----------
    target
        The value without regularization, a UFL tensor of any shape.
    at
        What the law is given.
    name
        The internal variable that keeps x, zero in the virgin state; only read if there is a viscosity.
    viscosity
        In the user's unit of time. The number zero stands for no regularization: the answer is the target.
    """
    if not is_delayed(viscosity):
        return target
    return (viscosity * at.old[name] + at.dt * target) / (viscosity + at.dt)


def is_delayed(viscosity: Parameter) -> bool:
    """Whether there is a delay: a positive number, or a Constant, which may become one."""
    return isinstance(viscosity, ufl.core.expr.Expr) or viscosity > 0
