"""Viscous regularization: an internal variable follows its rate-independent value with a delay."""

from __future__ import annotations

import ufl

from hmm.laws.base import Local, Parameter


def delayed(target: ufl.core.expr.Expr, at: Local, name: str, viscosity: Parameter) -> ufl.core.expr.Expr:
    """An internal variable that follows its rate-independent value with a delay, ``viscosity dx/dt = target - x``.

    By backward Euler ``x = (viscosity x_old + dt target) / (viscosity + dt)``. It makes a law with softening well-posed
    (Needleman, *Comput. Methods Appl. Mech. Engrg.* 67 (1988) 69; Duvaut and Lions, *Les inequations en mecanique
    et en physique*, 1972): for short steps, the stiffness tends to that at constant x. For slow loading, x tends to
    the target.

    Parameters
    ----------
    target
        The value without regularization, a UFL tensor of any shape.
    at
        The input of the law.
    name
        The internal variable x, zero in the undeformed state; used only if there is a viscosity.
    viscosity
        In the user's unit of time. With the number zero there is no regularization, and the target is returned.
    """
    if not is_delayed(viscosity):
        return target
    return (viscosity * at.old[name] + at.dt * target) / (viscosity + at.dt)


def is_delayed(viscosity: Parameter) -> bool:
    """Whether there is a delay: a positive number, or a Constant, which may become one."""
    return isinstance(viscosity, ufl.core.expr.Expr) or viscosity > 0
