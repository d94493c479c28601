"""The computation: realisations of all sizes under all constraints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.cells import Polycrystal, voxels
from hmm.cells.cell import Cell
from hmm.foundation.described import described
from hmm.foundation.errors import InputError, collectively
from hmm.study import properties
from hmm.study.properties import Property
from hmm.study.result import RepresentativeSize
from hmm.study.statistics import Sample
from hmm.study.tasks import Journal, Record, run_tasks

CONSTRAINTS = ("minimal", "periodic", "dirichlet")

Values = dict[tuple[str, float], list[float]]


def representative_size(
    make_cell: Callable[[Any, int], Cell | Polycrystal | NDArray[Any]],
    laws: Mapping[str, Any] | None = None,
    *,
    sizes: Sequence[float],
    realisations: int | Sequence[int] = 10,
    constraints: Sequence[str] = CONSTRAINTS,
    property: str | Property = "stiffness",
    phases: Mapping[str, int] | None = None,
    point_variance: float | None = None,
    seed: int = 0,
    comm: MPI.Comm = MPI.COMM_WORLD,
    resume: str | Path | None = None,
) -> RepresentativeSize:
    """Apparent properties of many random cells, and the size and number of cells that represent the material.

    The realisation k of size d is the cell ``make_cell(d, s)`` with a seed s that depends only on `seed`, d and k. The
    result is therefore the same on any number of ranks, and further sizes or realisations add to the existing ones.
    Each cell is solved under all constraints. Source: Kanit, Forest, Galliet, Mounoury, Jeulin, *Int. J. Solids
    Struct.* 40 (2003) 3647.

    Parameters
    ----------
    make_cell
        Returns the cell for a size and a seed: an `hmm.Cell` (or polycrystal) on ``MPI.COMM_SELF``, or an array of
        labels, whose voxels become elements. All cells should be independent pieces of one statistically homogeneous
        material.
    laws
        The data of each phase for `property`: laws, or numbers for ``"conductivity"``. Not used by your own property.
    sizes
        Edge lengths of the cells, in any unit: the volume V is the size to the power of the dimension.
    realisations
        Number of cells, at least two: one number, or one for each size (fewer for large sizes).
    constraints
        Of ``"minimal"``, ``"periodic"`` and ``"dirichlet"``.
    property
        ``"stiffness"`` (the bulk modulus), ``"conductivity"`` or ``"yield_onset"``; a property from
        `hmm.study.stiffness` and similar functions with other options; or your own function of the cell and the
        constraint's name, which gets arrays as they are.
    phases
        Label of each phase in arrays; by default 0, 1, ... in the order of `laws`.
    point_variance
        Variance of the property at a point, in its unit squared; a fit needs it to find the integral range. For
        stiffness and conductivity it follows from the fractions and properties of the phases.
    seed
        Another seed gives independent cells.
    comm
        The ranks that share the work; each cell is solved on one rank.
    resume
        A file of JSON lines. Cells in this file are not solved again; a run that is killed loses only the current
        cells.

    Returns
    -------
    RepresentativeSize
        On all ranks. Collective.

    Raises
    ------
    InputError
        For invalid sizes, realisations, constraints or properties, values that are not finite, or a file of another
        study.
    """
    counts = _checked(sizes, realisations, constraints, seed)
    ask = _property(property, laws)
    heading = _heading(ask, property, phases, seed)
    tasks = _tasks(counts, constraints, seed)
    journal = Journal(Path(resume), heading, comm) if resume is not None else None
    names = phases or ({name: k for k, name in enumerate(laws)} if laws else None)

    def work(task: Record) -> Record:
        return _solve(task, make_cell(task["size"], task["seed"]), ask, names)

    with journal.alone() if journal else nullcontext():
        done = _merged(journal.read() if journal else [])
        todo = _missing(tasks, done)
        found = run_tasks(comm, todo, work, journal, "cells", len(tasks) - len(todo))
        done = _merged([*done.values(), *found])
        if journal:
            journal.close(list(done.values()))
    records = [done[_key(task)] for task in tasks]
    return _result(records, counts, constraints, ask, point_variance, comm)


def _checked(
    sizes: Sequence[float], realisations: int | Sequence[int], constraints: Sequence[str], seed: int
) -> dict[float, int]:
    """Number of realisations of each size, in the order of increasing size."""
    if not len(sizes) or not all(0 < d < float("inf") for d in sizes) or len(set(sizes)) < len(sizes):
        raise InputError(f"sizes = {list(sizes)}: give different positive numbers")
    counts = [realisations] * len(sizes) if isinstance(realisations, int) else list(realisations)
    if len(counts) != len(sizes) or not all(isinstance(n, int) and n >= 2 for n in counts):
        raise InputError(
            f"realisations = {realisations} for {len(sizes)} sizes: give 2 or more, one number or one for each size"
        )
    unknown = [name for name in constraints if name not in CONSTRAINTS]
    if isinstance(constraints, str) or unknown or not constraints or len(set(constraints)) < len(constraints):
        raise InputError(f"constraints = {constraints!r}: give some of {', '.join(CONSTRAINTS)}, each once")
    if not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed = {seed!r} must be an integer, zero or more")
    return dict(sorted(zip(sizes, counts, strict=True)))


def _property(property: str | Property, laws: Mapping[str, Any] | None) -> Property:
    if not isinstance(property, str):
        if not callable(property):
            raise InputError(f"property = {property!r} is neither a name nor a function of cell and constraint")
        return property
    makers = {name: getattr(properties, name) for name in ("stiffness", "conductivity", "yield_onset")}
    if property not in makers:
        raise InputError(f"property {property!r} is unknown: choose one of {', '.join(makers)}, or give a function")
    if not laws:
        raise InputError(f"property {property!r} needs laws={{phase name: law}}")
    made: Property = makers[property](laws)
    return made


def _heading(ask: Property, property: object, phases: Mapping[str, int] | None, seed: int) -> Record:
    """The data that all records depend on, as text."""
    what = described(ask) if hasattr(ask, "name") else getattr(ask, "__qualname__", type(ask).__name__)
    return {"property": what, "phases": dict(phases) if phases else None, "seed": seed}


def _tasks(counts: Mapping[float, int], constraints: Sequence[str], seed: int) -> list[Record]:
    """All cells, the largest first, for the balance of the ranks."""
    return [
        {"size": size, "realisation": k, "seed": _seed(seed, size, k), "constraints": list(constraints)}
        for size, n in sorted(counts.items(), reverse=True)
        for k in range(n)
    ]


def _seed(seed: int, size: float, k: int) -> int:
    bits = int(np.float64(size).view(np.uint64))
    return int(np.random.SeedSequence([seed, bits, k]).generate_state(1)[0])


def _key(record: Record) -> tuple[float, int]:
    return float(record["size"]), int(record["realisation"])


def _merged(records: Sequence[Record]) -> dict[tuple[float, int], Record]:
    """Records by size and realisation, with the constraints of each merged."""
    merged: dict[tuple[float, int], Record] = {}
    for record in records:
        old = merged.get(_key(record), record)
        merged[_key(record)] = record | {"values": old["values"] | record["values"]}
    return dict(sorted(merged.items()))


def _missing(tasks: Sequence[Record], done: Mapping[tuple[float, int], Record]) -> list[Record]:
    """The tasks that are not done, each with the constraints it lacks."""
    left = []
    for task in tasks:
        have = done.get(_key(task), {"values": {}})["values"]
        lacks = [name for name in task["constraints"] if name not in have]
        if lacks:
            left.append(task | {"constraints": lacks})
    return left


def _solve(
    task: Record, made: Cell | Polycrystal | NDArray[Any], ask: Property, phases: Mapping[str, int] | None
) -> Record:
    cell: Any = made
    if not isinstance(made, Cell | Polycrystal) and hasattr(ask, "name"):
        labels = np.asarray(made)
        present = set(np.unique(labels).tolist())
        known = {name: label for name, label in (phases or {}).items() if label in present}
        cell = voxels(labels, known)
    values = {name: float(ask(cell, name)) for name in task["constraints"]}
    for name, value in values.items():
        if not np.isfinite(value):
            raise InputError(f"the property is {value} under the constraint {name!r}: it must be finite")
    cell = cell.cell if isinstance(cell, Polycrystal) else cell
    dim = cell.dim if isinstance(cell, Cell) else np.asarray(made).ndim
    fractions = dict(cell.volume_fractions) if isinstance(cell, Cell) else {}
    record = {name: task[name] for name in ("size", "realisation", "seed")}
    return record | {"dim": int(dim), "fractions": fractions, "values": values}


def _result(
    records: Sequence[Record],
    counts: Mapping[float, int],
    constraints: Sequence[str],
    ask: Property,
    point_variance: float | None,
    comm: MPI.Comm,
) -> RepresentativeSize:
    dims = {record["dim"] for record in records}
    with collectively(comm):
        if len(dims) > 1 or min(dims) < 1:
            raise InputError(f"make_cell returned cells of dimensions {sorted(dims)}: all must have the same, 1 to 3")
    dim = int(dims.pop())
    samples = {
        name: tuple(
            Sample(size, np.array([r["values"][name] for r in records if r["size"] == size])[: counts[size]])
            for size in counts
        )
        for name in constraints
    }
    # in the order of realisations, so that differences between constraints are those of the same cells
    if point_variance is None and (values := ask.of_phases(dim) if hasattr(ask, "of_phases") else None):
        point_variance = _point_variance(records, values)
    name = str(getattr(ask, "name", getattr(ask, "__name__", "property")))
    return RepresentativeSize(name, dim, samples, point_variance, comm)


def _point_variance(records: Sequence[Record], values: Mapping[str, float]) -> float:
    """``<Z^2> - <Z>^2`` of the phases' own values Z, with their mean fractions over all cells."""
    volumes = np.array([r["size"] ** r["dim"] for r in records])
    f = {p: float(np.average([r["fractions"].get(p, 0.0) for r in records], weights=volumes)) for p in values}
    mean = sum(f[p] * z for p, z in values.items())
    return sum(f[p] * z**2 for p, z in values.items()) - mean**2
