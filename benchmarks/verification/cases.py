"""What a case is, and the list of all cases."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import hmm


@dataclass(frozen=True)
class Row:
    """One number beside its reference.

    Attributes
    ----------
    quantity
        Name and unit.
    found, reference
        The two numbers.
    relation
        ``"="``; ``"<="`` or ``">="`` where the reference is a bound; ``"~"`` if the number is shown but not judged.
    scale
        The error is relative to this number, by default the reference.
    """

    quantity: str
    found: float
    reference: float
    relation: str = "="
    scale: float | None = None

    @property
    def error(self) -> float:
        """Relative error; of a bound only what exceeds it."""
        difference = (self.found - self.reference) / abs(self.reference if self.scale is None else self.scale)
        return {"<=": max(difference, 0.0), ">=": max(-difference, 0.0)}.get(self.relation, abs(difference))

    @property
    def judged(self) -> bool:
        """Whether the error has to be within the tolerance."""
        return self.relation != "~"


@dataclass(frozen=True)
class Answer:
    """The numbers of a case, and the mesh that they are from."""

    rows: list[Row]
    mesh: str

    @classmethod
    def of(cls, solved: hmm.EffectiveProperties | hmm.RVE, numbers: Mapping[str, tuple[float, float]]) -> Answer:
        """From (found, reference) by quantity."""
        rows = [Row(name, float(found), float(reference)) for name, (found, reference) in numbers.items()]
        return cls(rows, mesh_of(solved))


@dataclass(frozen=True)
class Case:
    """A case.

    Attributes
    ----------
    name
        Name on the command line.
    group
        Title of the group.
    what
        What is computed, in one line.
    source
        Where the reference is from.
    tolerance
        Largest relative error that passes.
    because
        Why the tolerance is not smaller.
    compute
        Returns the answer.
    quick
        Whether the tests run it.
    """

    name: str
    group: str
    what: str
    source: str
    tolerance: float
    because: str
    compute: Callable[[], Answer]
    quick: bool


GROUPS = ("Closed forms", "Periodic arrays", "Composites", "FE²")
"""Titles of the groups, in the order of the table."""

CASES: dict[str, Case] = {}
"""All cases by name."""

type Computed = Callable[[], Answer]


def ordered() -> list[Case]:
    """All cases in the order of the table."""
    return sorted(CASES.values(), key=lambda case: GROUPS.index(case.group))


def group(title: str) -> Callable[..., Callable[[Computed], Computed]]:
    """A decorator for the cases of a group; the docstring of the function says what is computed."""

    def case(*, source: str, tolerance: float, because: str, quick: bool = False) -> Callable[[Computed], Computed]:
        def add(compute: Computed) -> Computed:
            name = compute.__name__.replace("_", "-")
            what = " ".join((inspect.getdoc(compute) or "").split())
            CASES[name] = Case(name, title, what, source, tolerance, because, compute, quick)
            return compute

        return add

    return case


PLURALS = {
    "interval": "intervals",
    "triangle": "triangles",
    "quadrilateral": "quadrilaterals",
    "tetrahedron": "tetrahedra",
    "hexahedron": "hexahedra",
}


def mesh_of(solved: hmm.EffectiveProperties | hmm.RVE) -> str:
    """Elements and unknowns of a solved cell."""
    rve = solved if isinstance(solved, hmm.RVE) else solved.solved.rve
    return f"{elements_of(rve.cell.mesh)}, {rve.system.loaded.reduced.size_global:,} unknowns"


def elements_of(domain) -> str:
    """Elements of a mesh; curved ones are named."""
    number = domain.topology.index_map(domain.topology.dim).size_global
    curved = "curved " if domain.geometry.cmaps[0].degree > 1 else ""
    return f"{number:,} {curved}{PLURALS[domain.topology.cell_name()]}"
