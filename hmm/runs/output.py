"""Results on disk: macro fields step by step, one RVE from inside, and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dolfinx import fem
from numpy.typing import NDArray

from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.worst_point import WorstPoint, point_fields
from hmm.foundation.errors import collectively
from hmm.foundation.files import require_writable
from hmm.foundation.locking import Lock, acquire
from hmm.foundation.vtx import VTXFile
from hmm.micro.local_fields import bp_path, cellwise, write_fields
from hmm.models.protocol import Observable


def write_rve(path: str | Path, hom: Homogenizer, where: WorstPoint) -> Path:
    """Write the fields inside one RVE as an ADIOS2 directory for ParaView (collective).

    Parameters
    ----------
    path
        The ``.bp`` directory.
    hom
        The homogenizer.
    where
        The point, from `worst_point`; the rank that works on it writes.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    InputError
        On all ranks, if the path cannot be written to.
    """
    path = bp_path(path)
    with collectively(hom.comm):
        if hom.ensemble.leader == where.rank:
            write_fields(path, point_fields(hom, where.point))
    return path


class Output:
    """Macro results of each accepted step, for ParaView: ``macro.bp`` in a directory (collective).

    Written are the macro field, and for each macro cell the average of every homogenized response and of every scalar
    internal variable's average over its phase of the RVEs, named such as ``p_matrix`` (NaN where no RVE has it); where
    RVEs vary the share of each kind, ``share_NAME``, and where they are turned the ``first_axis`` of the cell. Use it
    as a context manager.

    Parameters
    ----------
    directory
        Where to write; made if need be.
    hom
        The homogenizer.
    u
        The macro field, in a Lagrange space.

    Attributes
    ----------
    path
        What is written.
    cellwise
        The cell averages by name, on DG0 spaces, as they were last written.

    Raises
    ------
    InputError
        On all ranks, if the directory cannot be written to, another run or another `Output` that is not closed writes
        there, or `u` is not in a Lagrange space.

    Examples
    --------
    >>> with hmm.Output("results", hom, u) as output:  # doctest: +SKIP
    ...     for step in hmm.steps(problem, load, target, 10):
    ...         output.write(step.number)
    """

    def __init__(self, directory: str | Path, hom: Homogenizer, u: fem.Function) -> None:
        self.hom, self.u = hom, u
        self.path = Path(directory) / "macro.bp"
        self._lock: Lock | None = None
        with collectively(hom.comm):
            if hom.comm.rank == 0:
                require_writable(self.path.parent)
                self._lock = acquire(self.path.parent, "output directory")
        self._observables = [
            name
            for model in hom.models.values()
            if isinstance(model, Observable)
            for name, size in model.observables.items()
            if size == 1
        ]
        self.cellwise = {r.name: cellwise(hom.mesh, r.ufl_shape, r.name) for r in hom.responses}
        self.cellwise |= {name: cellwise(hom.mesh, (), name) for name in self._observables}
        for name, values in _microstructure(hom).items():
            self.cellwise[name] = cellwise(hom.mesh, values.shape[1:], name)
            self._set(name, values)
        self._writer = VTXFile(hom.comm, self.path, [u, *self.cellwise.values()])

    def write(self, time: float) -> None:
        """Add the present fields as a time step (collective).

        Raises
        ------
        InputError
            On all ranks, if there is no room for it; the steps before stay readable.
        """
        hom = self.hom
        for response in hom.responses:
            points = response.function_space.dofmap.list[hom.cells].ravel()
            size = response.function_space.dofmap.bs
            self._set(response.name, response.x.array.reshape(-1, size)[points])
        for name in self._observables:
            self._set(name, hom.observe(name))
        self._writer.write(time)

    def close(self) -> None:
        """Close the file (collective); what was written stays readable."""
        self._writer.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _set(self, name: str, values: NDArray[np.float64]) -> None:
        """Average values at the points, shape (n_points, k), over each owned cell."""
        means = self.hom.cell_average(values)
        self.cellwise[name].x.array[: means.size] = means.ravel()


def _microstructure(hom: Homogenizer) -> dict[str, NDArray[np.float64]]:
    """What varies over the macro mesh beside the state, at each point: shares of kinds of RVE, and where they point."""
    shares = hom.rows.shares(len(hom.models))
    found = {f"share_{name}": shares[:, k] for k, name in enumerate(hom.models)} if len(hom.models) > 1 else {}
    return found | ({"first_axis": hom.orientation.R[:, :, 0]} if hom.orientation is not None else {})
