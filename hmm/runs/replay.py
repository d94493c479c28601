"""Replay of a failed point."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi4py import MPI

import basix.ufl
import numpy as np
import ufl
from dolfinx import cpp  # type: ignore[attr-defined]
from dolfinx.common import IndexMap
from dolfinx.fem import coordinate_element
from dolfinx.graph import adjacencylist
from dolfinx.mesh import CellType, Mesh, create_geometry, meshtags, to_string, to_type
from numpy.typing import NDArray

from hmm.cells.cell import Cell
from hmm.foundation.errors import HMMError, InputError
from hmm.laws import written
from hmm.micro import inputs
from hmm.micro.dump import Dump, is_harmless, not_a_dump, read_dump
from hmm.micro.fluctuation import fluctuation
from hmm.micro.local_fields import LocalFields
from hmm.micro.mixed_control import MixedControl, rve_of
from hmm.micro.protocols import NewtonOptions
from hmm.micro.recovery import Attempt, StepStart, solve_step
from hmm.micro.response import PointState
from hmm.micro.rve import RVE
from hmm.micro.views import local_fields
from hmm.pictures import plot_attempts, plot_rve

MACRO_INPUTS = {
    "strain": inputs.macro_strain,
    "deformation_gradient": inputs.macro_deformation_gradient,
    "gradient": inputs.macro_gradient,
}


@dataclass(frozen=True)
class Replay:
    """The result of `replay`.

    Attributes
    ----------
    dump
        The dump.
    rve
        The cell problem.
    converged
        Whether the point has a solution.
    attempts
        Each Newton solve: its part of the step, residual norms and failure (see `hmm.micro.recovery.Attempt`).
    """

    dump: Dump
    rve: RVE | MixedControl
    converged: bool
    attempts: tuple[Attempt, ...]

    @property
    def norms(self) -> tuple[tuple[float, ...], ...]:
        """Residual norm at each iterate, for each attempt."""
        return tuple(a.norms for a in self.attempts)

    def local_fields(self) -> LocalFields:
        """The local fields at the last iterate of the last attempt."""
        last = self.attempts[-1]
        return local_fields(self.rve, PointState(np.nan_to_num(last.z), last.history), last.E)

    def plot(self, path: str | Path) -> Path:
        """Draw the residual histories beside the deformed cell at the last iterate; not collective.

        Parameters
        ----------
        path
            The ``.png`` file.
        """
        variable = "von_mises" if rve_of(self.rve).law else "phase"
        with tempfile.TemporaryDirectory() as directory:
            picture = None
            if rve_of(self.rve).w.ufl_shape == (self.rve.cell.dim,):
                picture = Path(directory) / "cell.png"
                plot_rve(picture, self.rve.cell, self.local_fields(), variable, label=variable.replace("_", " "))
            return plot_attempts(path, self.attempts, picture)

    def __str__(self) -> str:
        rows = [str(self.dump.failure)]
        for a in self.attempts:
            steps = f"{len(a.norms) - 1} iterations to {a.norms[-1]:.3g}" if a.norms else "no iteration"
            rows.append(f"  {a.strategy:<13} {a.start:8.6f} to {a.end:8.6f}: {steps}, {a.failure or 'converged'}")
        return "\n".join([*rows, "converged" if self.converged else "no solution"])


def replay(path: str | Path, rve: RVE | MixedControl | None = None, *, trust: bool = False) -> Replay:
    """Solve a failed point again, with the same recovery strategies.

    Parameters
    ----------
    path
        The dump that the error message names.
    rve
        The RVE; required if it was created from ``energy=`` (UFL cannot be stored) or from laws that cannot be
        pickled. By default it is created from the dump.
    trust
        Whether code in the dump may be run. This is necessary for your own laws, which are pickled; those of `hmm.laws`
        are stored as text. Use it only for dumps that you created yourself.

    Returns
    -------
    Replay
        The result; print it, or see `Replay.plot`.

    Raises
    ------
    InputError
        If the file is not a dump or is damaged, if `rve` or `trust` is required, or if `rve` is another one.
    """
    dump = read_dump(path)
    rve = rve or _rebuilt(dump, trust)
    start, E, guess = dump.arrays, np.array(dump.failure.E), dump.arrays["guess"]
    expected = (start["z"].size, start["history"].size, E.size)
    if expected != (rve.n_unknowns, rve.n_history, rve.n_inputs):
        raise InputError(
            f"{path} has {expected[0]} unknowns, {expected[1]} internal variables and {expected[2]} macro components, "
            f"rve has {rve.n_unknowns}, {rve.n_history} and {rve.n_inputs}: give the RVE of the run that failed"
        )
    if (start["E"].size, guess.size) != (rve.n_inputs, rve.n_unknowns):
        raise not_a_dump(dump.path, ValueError(f"E and guess have {start['E'].size} and {guess.size} numbers"))
    try:
        rve.time_step, scale = float(dump.settings["time_step"]), float(dump.settings["scale"])
    except (KeyError, TypeError, ValueError) as error:
        raise not_a_dump(dump.path, error) from None
    elastic = rve.initial().values["sensitivity"]
    origin = StepStart(start["z"], start["E"], start["history"], scale, elastic)
    answer = solve_step(rve.system, origin, E, guess)
    return Replay(dump, rve, answer.solved is not None, answer.attempts)


def _rebuilt(dump: Dump, trust: bool) -> RVE:
    """The RVE of a dump, created by `_made`."""
    try:
        return _made(dump, trust)
    except HMMError:
        raise
    except Exception as error:  # inconsistent settings, whatever error the constructors raise
        raise not_a_dump(dump.path, error) from None


def _made(dump: Dump, trust: bool) -> RVE:
    """The RVE of a dump, through the public constructors."""
    s = dump.settings
    why = s["law_missing"]
    if not why and any(kind not in MACRO_INPUTS for kind in s["inputs"]):
        why = f"the macro inputs are {s['inputs']}"
    if not why and s["w"]["family"] != "P":
        why = f"the fluctuation is in {s['w']['family']}"
    if why:
        raise InputError(f"the RVE of {dump.path} cannot be recreated ({why}): give it, hmm.replay(path, rve=rve)")
    law, petsc_options = _laws(dump, trust)
    cell = _cell(dump)
    return RVE(
        cell,
        fluctuation(cell, s["w"]["degree"], tuple(s["w"]["shape"])),
        [MACRO_INPUTS[kind](cell, name=name) for kind, name in zip(s["inputs"], s["names"], strict=True)],
        law,
        constraint=s["constraint"],
        quadrature_degree=s["quadrature_degree"],
        newton_options=NewtonOptions(**s["newton_options"]),
        solver=s["solver"],
        petsc_options=petsc_options,
    )


def _laws(dump: Dump, trust: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Laws by phase and PETSc options, from text or, if allowed, unpickled."""
    if text := dump.settings["laws"]:
        options = dict(text["petsc_options"])
        if bad := [f"{k} {v}" for k, v in options.items() if not is_harmless(k, v)]:
            raise InputError(
                f"{dump.path} has the PETSc option {bad[0][:80]!r}, which hmm never writes to a dump: give rve"
            )
        return {phase: written.from_text(law) for phase, law in text["law"].items()}, options
    if not trust:
        raise InputError(
            f"{dump.path} holds the pickled laws or options of {', '.join(dump.settings['own'])[:200]}, and reading a "
            "pickle runs code: if you created this file yourself, allow it (hmm replay --trust, or trust=True); or "
            "give the RVE, hmm.replay(path, rve=rve)"
        )
    try:
        law, options = pickle.loads(dump.law.tobytes())
    except (AttributeError, ImportError) as error:
        raise InputError(
            f"the laws of {dump.path} need code that is not found here ({error}): put it where Python finds it, or "
            "give the RVE, hmm.replay(path, rve=rve)"
        ) from None
    return law, options


def _cell(dump: Dump) -> Cell:
    """The cell of a dump with its original numbering, which the state depends on."""
    a, s = dump.arrays, dump.settings
    mesh = _mesh(a, to_type(s["cell_type"]), s["geometry_degree"], s["dim"])
    tags = meshtags(mesh, mesh.topology.dim, a["tagged"], a["tags"])
    grid = tuple(int(n) for n in a["grid"]) or None
    return Cell(mesh, tags, s["phases"], a["lattice"], a["origin"], grid, bool(a["open_faces"]))


def _mesh(arrays: Mapping[str, NDArray[Any]], cell_type: CellType, degree: int, dim: int) -> Mesh:
    """A mesh on one rank with the given numbering, which `dolfinx.mesh.create_mesh` would change."""
    comm, nodes = MPI.COMM_SELF, arrays["nodes"]
    vertices = adjacencylist(arrays["connectivity"].reshape(len(nodes), -1))
    n_vertices = int(arrays["connectivity"].max()) + 1
    topology = cpp.mesh.Topology(
        cell_type, IndexMap(comm, n_vertices), IndexMap(comm, len(nodes)), vertices._cpp_object, np.arange(len(nodes))
    )
    element = basix.ufl.element("Lagrange", to_string(cell_type), degree, shape=(dim,))
    cmap = coordinate_element(cell_type, degree, element.lagrange_variant)
    x = np.ascontiguousarray(arrays["x"][:, :dim])
    geometry = create_geometry(IndexMap(comm, len(x)), nodes, cmap, x, np.arange(len(x)))
    mesh = cpp.mesh.Mesh_float64(comm, topology, geometry._cpp_object)
    return Mesh(mesh, ufl.Mesh(element))
