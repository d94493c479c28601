"""The registry of laws, with the name, the parameters with their units, and the physics of each law.

Job files, dumps, the tables of docs/laws.md and tests use it; there is no other list of the laws. The decorator
`declare` registers a law at its definition, and `declare_part` a part of a law. The one-line description is the first
line of the docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PHYSICS = {
    "small strain": ("strain", "Cauchy stress"),
    "finite strain": ("deformation gradient", "first Piola-Kirchhoff stress"),
    "small or finite strain": ("strain or deformation gradient", "stress"),
    "conduction": ("gradient; temperature too if a parameter is a function of it", "flux against the gradient"),
    "thermoelasticity": ("strain, temperature and, with a conductivity, gradient", "Cauchy stress, entropy, flux"),
    "flow": ("pressure gradient", "minus the mean velocity"),
    "of its parts": ("those of its parts", "those of its parts"),
}
"""The physics of a law, with the macroscopic inputs and the responses in words."""

MODULI = {"shear": "stress", "bulk": "stress"}
"""Parameters of the constructors `from_moduli`, and their units."""


@dataclass(frozen=True)
class Entry:
    """The declaration of a law, of a further constructor, or of a part of a law.

    Attributes
    ----------
    name
        Its name in `hmm.laws` and in job files, such as ``"Anisotropic.cubic"`` for a further constructor.
    make
        The class, or the class method.
    kind
        The class of the result.
    parameters
        Unit of each parameter by name, in words; empty if it has no unit.
    physics
        One of `PHYSICS`, or for a part of a law the parameter for which it is given.
    tests
        Test files, beneath ``tests``, in which it is verified.
    """

    name: str
    make: Callable[..., Any]
    kind: type
    parameters: Mapping[str, str]
    physics: str
    tests: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The description, in one line."""
        return (self.make.__doc__ or "").strip().splitlines()[0].rstrip(".")

    @property
    def is_way(self) -> bool:
        """Whether it is a further constructor and not the class."""
        return self.make is not self.kind


LAWS: dict[str, Entry] = {}
"""All laws and further constructors, by name; complete once `hmm.laws` is imported."""

PARTS: dict[str, Entry] = {}
"""Parts of laws, such as hardening, by name."""


def declare[T](
    physics: str,
    parameters: Mapping[str, str],
    ways: Mapping[str, Mapping[str, str]] | None = None,
    *,
    tests: Sequence[str],
) -> Callable[[type[T]], type[T]]:
    """Declare the decorated class as a law.

    Parameters
    ----------
    physics
        One of `PHYSICS`.
    parameters
        Unit of each parameter of the class, in words.
    ways
        The same for class methods that create the law from other parameters, by their names.
    tests
        See `Entry`.
    """

    def register(kind: type[T]) -> type[T]:
        LAWS[kind.__name__] = Entry(kind.__name__, kind, kind, parameters, physics, tuple(tests))
        for way, units in (ways or {}).items():
            name = f"{kind.__name__}.{way}"
            LAWS[name] = Entry(name, getattr(kind, way), kind, units, physics, tuple(tests))
        return kind

    return register


def declare_part[T](role: str, parameters: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """Declare the decorated class as a part of laws, for their parameter `role`."""

    def register(kind: type[T]) -> type[T]:
        PARTS[kind.__name__] = Entry(kind.__name__, kind, kind, parameters, role)
        return kind

    return register


def choices(of: Mapping[str, Entry], kind: type = object) -> dict[str, Entry]:
    """Entries that create objects of a kind, by name: classes first, then further constructors."""
    found = sorted(of.values(), key=lambda entry: (entry.is_way, entry.name))
    return {entry.name: entry for entry in found if issubclass(entry.kind, kind)}


def classes() -> dict[str, type]:
    """The classes of all laws and parts of laws, by name."""
    return {name: entry.kind for name, entry in {**LAWS, **PARTS}.items() if not entry.is_way}
