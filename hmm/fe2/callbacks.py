"""Methods that PETSc calls back."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any


def weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A bound method for PETSc to call: kept by PETSc itself it would keep the problem and all RVEs alive for ever."""
    reference = weakref.WeakMethod(method)

    def call(*args: object) -> object:
        bound = reference()
        assert bound is not None, "PETSc calls a problem that is gone"
        return bound(*args)

    return call
