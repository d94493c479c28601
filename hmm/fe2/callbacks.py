"""Methods that PETSc calls back."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any


def weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A bound method as a PETSc callback with a weak reference, so that PETSc does not keep the problem alive."""
    reference = weakref.WeakMethod(method)

    def call(*args: object) -> object:
        bound = reference()
        assert bound is not None, "PETSc called a problem that was deleted"
        return bound(*args)

    return call
