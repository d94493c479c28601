"""Points that failed, on disk: what it takes to solve one of them again (see `hmm.replay`)."""

from __future__ import annotations

import json
import pickle
import platform
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
from hmm.micro.algorithms import step_start
from hmm.models.failures import MicroFailure
from hmm.models.points import Points

FORMAT = 2


@dataclass(frozen=True)
class Dump:
    """A dump as it was read: what a point started from, and what of its RVE can be written down.

    Attributes
    ----------
    path
        The file.
    failure
        The point, and why it failed.
    arrays
        The mesh of the cell and its tags; the committed state (``z``, ``E``, ``history``) and the first ``guess``.
    settings
        Options of the RVE and versions, by name.
    law
        Shape (n,), bytes: the pickled laws and PETSc options, empty if they could not be pickled.
    """

    path: Path
    failure: MicroFailure
    arrays: Mapping[str, NDArray[Any]]
    settings: Mapping[str, Any]
    law: NDArray[np.uint8]


def write_dump(directory: Path, rve: Any, control: str, points: Points, p: int, failure: MicroFailure) -> Path:
    """Write the failed point of this rank to a new file in a directory; not collective.

    Parameters
    ----------
    directory
        Made if need be.
    rve
        The RVE.
    control
        What is given and what is free, if it is controlled.
    points
        Its points, not yet reverted.
    p
        The one that failed.
    failure
        Where, and why.

    Returns
    -------
    pathlib.Path
        The file, ``rve-0001.npz`` or the next free number.
    """
    E = np.array(failure.E)
    start = step_start(points, p)
    arrays: dict[str, Any] = {"z": start.z, "E": start.E, "history": start.history, **_cell_arrays(rve.cell)}
    arrays["guess"] = points.trial.variables["z"][p] + (E - points.trial.E[p]) @ points.guides["sensitivity"][p]
    settings = {**_settings(rve, control), "scale": start.scale, "failure": asdict(failure)}
    arrays |= {"settings": np.array(json.dumps(settings)), "law": _pickled_law(rve)}
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
        If the file is not a dump of this version.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        settings = json.loads(str(arrays.pop("settings")))
        law = arrays.pop("law")
    except (OSError, ValueError, KeyError, AttributeError, EOFError) as error:
        raise InputError(f"{path} cannot be read as a dump of a failed RVE ({type(error).__name__}: {error})") from None
    if settings.get("format") != FORMAT:
        raise InputError(f"{path} has dump format {settings.get('format')}, and this hmm reads {FORMAT}")
    failure = settings.pop("failure")
    place = {key: tuple(failure[key]) for key in ("x", "E")}
    return Dump(path, MicroFailure(**{**failure, **place}), arrays, settings, law)


def _settings(rve: Any, control: str) -> dict[str, Any]:
    """What of an RVE is text and numbers."""
    element, mesh = rve.w.function_space.ufl_element(), rve.cell.mesh
    family = getattr(element, "family_name", type(element).__name__)
    law_missing = "" if rve.law else "it was made from energy=, and UFL cannot be written down"
    law_missing = law_missing or _special(rve)
    law_missing = f"it was driven by an hmm.MixedControl, {control}" if control else law_missing
    return {
        "format": FORMAT,
        "cell_type": to_string(mesh.topology.cell_type),
        "geometry_degree": mesh.geometry.cmaps[0].degree,
        "dim": rve.cell.dim,
        "phases": dict(rve.cell.phases),
        "w": {"family": family, "degree": element.embedded_superdegree, "shape": rve.w.ufl_shape},
        "inputs": [e.name for e in rve.inputs],
        "law_missing": law_missing or _unpicklable(rve),
        "constraint": rve.constraint,
        "solver": rve.solver_choice,
        "quadrature_degree": rve.quadrature_degree,
        "newton_options": asdict(rve.newton_options),
        "time_step": rve.time_step,
        "versions": {
            "Python": platform.python_version(),
            "hmm": metadata.version("fenicsx-hmm"),
            "DOLFINx": dolfinx.__version__,
            "NumPy": np.__version__,
        },
    }


def _special(rve: Any) -> str:
    """What of the fields of an RVE is given by functions and dofs, which are not written down; or nothing."""
    parts = {
        "several fields": rve.is_mixed,
        "micro fields": bool(rve.micro),
        "held dofs": bool(rve.held.size),
        "an out-of-plane component": any(e.packing.shape[:1] > (rve.cell.dim,) for e in rve.inputs),
    }
    named = ", ".join(name for name, present in parts.items() if present)
    return f"it has {named}" if named else ""


def _pickled_law(rve: Any) -> NDArray[np.uint8]:
    if not rve.law or _unpicklable(rve):
        return np.zeros(0, np.uint8)
    return np.frombuffer(pickle.dumps((rve.law, rve.petsc_options)), np.uint8)


def _unpicklable(rve: Any) -> str:
    """Why the laws cannot be written down, or nothing."""
    try:
        pickle.dumps((rve.law, rve.petsc_options))
    except Exception as error:
        return f"its laws cannot be pickled: {error}"
    return ""


def _cell_arrays(cell: Cell) -> dict[str, NDArray[Any]]:
    """A cell on one rank, numbered as it is."""
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
