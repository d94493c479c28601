"""Dumps of failed points, for `hmm.replay`."""

from __future__ import annotations

import json
import pickle
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

import dolfinx
import numpy as np
from dolfinx.mesh import to_string
from numpy.typing import NDArray

from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError
from hmm.foundation.files import regular_file, unpacked
from hmm.laws import written
from hmm.micro.algorithms import step_start
from hmm.micro.definition import CellProblem
from hmm.micro.protocols import NewtonOptions
from hmm.micro.solvers.choose import SolverChoice
from hmm.models.failures import MicroFailure
from hmm.models.points import Points

FORMAT = 4

ARRAYS = {
    "z": (1, "f"),
    "E": (1, "f"),
    "history": (1, "f"),
    "guess": (1, "f"),
    "connectivity": (1, "i"),
    "nodes": (2, "i"),
    "x": (2, "f"),
    "tagged": (1, "i"),
    "tags": (1, "i"),
    "lattice": (2, "f"),
    "origin": (1, "f"),
    "grid": (1, "i"),
    "open_faces": (0, "b"),
}
"""Dimension and kind of the arrays of a dump."""

OPTION = re.compile(r"(?!.*(python|view|monitor|file|dll))[a-z0-9_]+")
WORD = re.compile(r"[A-Za-z0-9_.+-]*")
"""PETSc options that can neither run code nor read or write files."""


@dataclass(frozen=True)
class Dump:
    """A dump: the start of the failed step, and the definition of the RVE as far as it can be stored.

    Attributes
    ----------
    path
        The file.
    failure
        The point and the reason.
    arrays
        The mesh of the cell and its tags; the committed state (``z``, ``E``, ``history``) and the first ``guess``.
    settings
        Options of the RVE, its laws as text if they are of `hmm.laws`, and versions, by name.
    law
        Shape (n,), bytes: the pickled laws and PETSc options if they cannot be stored as text; otherwise empty.
    """

    path: Path
    failure: MicroFailure
    arrays: Mapping[str, NDArray[Any]]
    settings: Mapping[str, Any]
    law: NDArray[np.uint8]


def write_dump(
    directory: Path,
    problem: CellProblem,
    solver: SolverChoice,
    newton_options: NewtonOptions,
    control: str,
    points: Points,
    p: int,
    failure: MicroFailure,
) -> Path:
    """Write the failed point of this rank to a new file in a directory; not collective.

    Parameters
    ----------
    directory
        Created if necessary.
    problem, solver, newton_options
        The arguments of the RVE.
    control
        The given and free components under mixed control.
    points
        Its points, not yet reverted.
    p
        The failed row.
    failure
        The failure.

    Returns
    -------
    pathlib.Path
        The file, ``rve-0001.npz`` or the next free number.
    """
    E = np.array(failure.E)
    start = step_start(points, p)
    arrays: dict[str, Any] = {"z": start.z, "E": start.E, "history": start.history, **_cell_arrays(problem.cell)}
    arrays["guess"] = points.trial.variables["z"][p] + (E - points.trial.E[p]) @ points.guides["sensitivity"][p]
    settings = {**_settings(problem, solver, newton_options, control), "scale": start.scale, "failure": asdict(failure)}
    arrays |= {"settings": np.array(json.dumps(settings)), "law": _pickled_law(problem, solver)}
    directory.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = directory / f"rve-{number:04d}.npz"
        try:
            with path.open("xb") as file:
                np.savez_compressed(file, **arrays)
        except FileExistsError:
            continue
        return path
    raise AssertionError


def read_dump(path: str | Path) -> Dump:
    """Read a dump; nothing in it is executed.

    Raises
    ------
    InputError
        If the file is not a dump of this version or is damaged.
    """
    path = regular_file(path, "dump", "give the .npz file that an error message named")
    try:
        arrays = unpacked(path, "dump")
        settings = json.loads(str(arrays.pop("settings")))
        if settings["format"] != FORMAT:
            raise InputError(f"{path} has dump format {settings['format']}, and this hmm reads {FORMAT}")
        law = arrays.pop("law")
        _check_arrays(arrays)
        failure = settings.pop("failure")
        place = {key: tuple(map(float, failure[key])) for key in ("x", "E")}
        return Dump(path, MicroFailure(**{**failure, **place}), arrays, settings, law)
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib, NumPy and json raise different errors for damaged data
        raise not_a_dump(path, error) from None


def not_a_dump(path: Path, error: Exception) -> InputError:
    """The error for a file that `write_dump` did not write."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return InputError(
        f"{path} cannot be read as a dump of a failed RVE ({reason}): it is damaged or not a dump; run again to "
        "create another"
    )


def _check_arrays(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise `ValueError` or `KeyError` unless the arrays are those of a dump with valid indices."""
    for name, (ndim, kind) in ARRAYS.items():
        array = arrays[name]
        if array.ndim != ndim or array.dtype.kind != kind:
            raise ValueError(f"{name} has the shape {array.shape} and the type {array.dtype}")
    n_cells = len(arrays["nodes"])
    bounds = {"nodes": len(arrays["x"]), "connectivity": len(arrays["x"]), "tagged": n_cells}
    for name, bound in bounds.items():
        if arrays[name].size and not 0 <= arrays[name].min() <= arrays[name].max() < bound:
            raise ValueError(f"{name} has numbers that are not in [0, {bound})")
    if not n_cells or arrays["connectivity"].size % n_cells or len(arrays["tags"]) != len(arrays["tagged"]):
        raise ValueError(f"connectivity and tags do not fit {n_cells} cells")
    if not all(np.isfinite(arrays[name]).all() for name in ("x", "lattice", "origin")):
        raise ValueError("coordinates are not finite")


def _settings(
    problem: CellProblem, solver: SolverChoice, newton_options: NewtonOptions, control: str
) -> dict[str, Any]:
    """The settings of an RVE, as text and numbers."""
    element, mesh = problem.w.function_space.ufl_element(), problem.cell.mesh
    family = getattr(element, "family_name", type(element).__name__)
    law_missing = "" if problem.law else "it was created from energy=, and UFL cannot be stored"
    law_missing = law_missing or _special(problem)
    law_missing = f"it was under hmm.MixedControl, {control}" if control else law_missing
    as_text = _laws_as_text(problem, solver)
    return {
        "format": FORMAT,
        "cell_type": to_string(mesh.topology.cell_type),
        "geometry_degree": mesh.geometry.cmaps[0].degree,
        "dim": problem.cell.dim,
        "phases": dict(problem.cell.phases),
        "w": {"family": family, "degree": element.embedded_superdegree, "shape": problem.w.ufl_shape},
        "inputs": [e.kind for e in problem.inputs],
        "names": [e.name for e in problem.inputs],
        "law_missing": law_missing or ("" if as_text else _unpicklable(problem, solver)),
        "laws": as_text,
        "own": sorted({f"{type(law).__module__}.{type(law).__qualname__}" for law in problem.law.values()}),
        "constraint": problem.constraint,
        "solver": solver.name,
        "quadrature_degree": problem.quadrature_degree,
        "newton_options": asdict(newton_options),
        "time_step": float(problem.dt.value),
        "versions": {
            "Python": platform.python_version(),
            "hmm": metadata.version("fenicsx-hmm"),
            "DOLFINx": dolfinx.__version__,
            "NumPy": np.__version__,
        },
    }


def _special(problem: CellProblem) -> str:
    """Features of an RVE that a dump cannot store, in words; or empty."""
    parts = {
        "several fields": problem.is_mixed,
        "micro fields": bool(problem.micro),
        "fixed degrees of freedom": bool(problem.fixed.size),
        "inputs of its own": any(not e.kind or e.contribution or e.target for e in problem.inputs),
        "an out-of-plane component": any(e.packing.shape[:1] > (problem.cell.dim,) for e in problem.inputs),
    }
    named = ", ".join(name for name, present in parts.items() if present)
    return f"it has {named}" if named else ""


def _laws_as_text(problem: CellProblem, solver: SolverChoice) -> dict[str, Any] | None:
    """Laws by phase, and PETSc options, as text that is safe to read; or None."""
    options = dict(solver.options)
    if not problem.law or not all(is_harmless(name, value) for name, value in options.items()):
        return None
    try:
        return {"law": {phase: written.as_text(law) for phase, law in problem.law.items()}, "petsc_options": options}
    except TypeError:
        return None


def is_harmless(name: object, value: object) -> bool:
    """Whether a PETSc option can neither run code (``pc_python_type``) nor write files (``ksp_view``)."""
    plain = value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and WORD.fullmatch(value))
    return isinstance(name, str) and bool(OPTION.fullmatch(name)) and bool(plain)


def _pickled_law(problem: CellProblem, solver: SolverChoice) -> NDArray[np.uint8]:
    if not problem.law or _laws_as_text(problem, solver) or _unpicklable(problem, solver):
        return np.zeros(0, np.uint8)
    return np.frombuffer(pickle.dumps((problem.law, dict(solver.options))), np.uint8)


def _unpicklable(problem: CellProblem, solver: SolverChoice) -> str:
    """The reason why the laws cannot be stored, or empty."""
    try:
        pickle.dumps((problem.law, dict(solver.options)))
    except Exception as error:
        return f"its laws cannot be pickled: {error}"
    return ""


def _cell_arrays(cell: Cell) -> dict[str, NDArray[Any]]:
    """A cell on one rank, with its numbering."""
    mesh = cell.mesh
    return {
        "connectivity": mesh.topology.connectivity(mesh.topology.dim, 0).array,
        "nodes": mesh.geometry.dofmaps[0],
        "x": mesh.geometry.x,
        "tagged": cell.phase_tags.indices,
        "tags": cell.phase_tags.values,
        "lattice": cell.lattice,
        "origin": np.asarray(cell.origin),
        "grid": np.array(cell.grid or (), dtype=np.int64),
        "open_faces": np.array(cell.open_faces),
    }
