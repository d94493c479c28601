"""The plotting packages, imported when a picture is requested."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from hmm.foundation.errors import EnvironmentMismatch


def check_available() -> None:
    """Raise `EnvironmentMismatch` unless PyVista and Matplotlib are installed; they are not imported."""
    for name in ("pyvista", "matplotlib"):
        if importlib.util.find_spec(name) is None:
            raise missing_package(name, "it is not installed")


def require_package(name: str) -> ModuleType:
    """Import a package of the extra ``plot``, or say how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise missing_package(name, str(error)) from None


def missing_package(name: str, why: str, extra: str = "plot") -> EnvironmentMismatch:
    """The error that names the missing package, the reason, and the command to install its extra."""
    return EnvironmentMismatch(f"pictures need {name}, but {why}: pip install 'fenicsx-hmm[{extra}]'")
