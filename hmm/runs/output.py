"""Results on disk: macro fields of each step, and the local fields of one RVE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from dolfinx import fem
from numpy.typing import NDArray

from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.worst_point import WorstPoint, point_fields
from hmm.foundation.errors import collectively
from hmm.foundation.files import require_writable
from hmm.foundation.locking import Lock, acquire
from hmm.foundation.options import choice, instance
from hmm.micro.local_fields import FORMATS, cellwise, write_fields
from hmm.models.protocol import Observable
from hmm.runs.recording import PathRecorder
from hmm.runs.series import Series, Splitting


def write_rve(path: str | Path, hom: Homogenizer, where: WorstPoint) -> Path:
    """Write the local fields of one RVE for ParaView (collective).

    Parameters
    ----------
    path
        A ``.vtu`` file, which also PyVista reads, or else an ADIOS2 directory ``.bp``.
    hom
        The homogenizer.
    where
        The point, from `worst_point`; the rank that evaluates it writes.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    InputError
        On all ranks, if the path cannot be written to.
    """
    written = None
    with collectively(hom.comm):
        if hom.ensemble.leader == where.rank:
            written = write_fields(path, point_fields(hom, where.point))
    return next(one for one in hom.comm.allgather(written) if one is not None)


class Output:
    """Macro results of each accepted step, for ParaView: ``macro.bp`` or ``macro.pvd`` in a directory (collective).

    The output contains the macro field and averages over each macro cell: of every homogenized response, and of every
    scalar internal variable averaged over its phase, such as ``p_matrix`` (NaN where no RVE has it). If RVE types vary,
    it contains the share of each, ``share_NAME``; if cells are rotated, their ``first_axis``. Use it as a context
    manager.

    A run that continues from a checkpoint goes on with the results of the steps before. With ``format="vtu"`` they are
    one series. An ADIOS2 directory cannot be opened again: the next one is ``macro_2.bp``, and so on. Any other run
    removes the macro results that it finds.

    Parameters
    ----------
    directory
        The directory for the results; created if necessary.
    hom
        The homogenizer.
    u
        The macro field, in Lagrange spaces, or several. Of a mixed field each part is written, named ``NAME_0``,
        ``NAME_1`` and so on; parts of a lower degree are interpolated, exactly, to the highest one.
    format
        ``"bp"``, an ADIOS2 directory; or ``"vtu"``, a file of VTK for each step in the folder ``macro`` and their index
        ``macro.pvd``, which all versions of ParaView and PyVista read.
    paths
        Whether to record the macroscopic inputs of all points, in ``paths`` in the directory, as training paths of a
        reduced model; `hmm.recorded_paths` reads them. A continued run goes on with them.

    Attributes
    ----------
    cellwise
        The cell averages written last, by name, on DG0 spaces.

    Raises
    ------
    InputError
        On all ranks, if the directory cannot be written to, another run or an open `Output` uses it, or `u` is not in a
        Lagrange space.

    Examples
    --------
    >>> with hmm.Output("results", hom, u) as output:  # doctest: +SKIP
    ...     for step in hmm.steps(problem, load, target, 10):
    ...         output.write(step.number)
    """

    def __init__(
        self,
        directory: str | Path,
        hom: Homogenizer,
        u: fem.Function | Sequence[fem.Function],
        *,
        paths: bool = False,
        format: str = "bp",
    ) -> None:
        instance("paths", paths, bool, "give True to record the paths of all points, or False")
        choice("format", format, FORMATS)
        directory = Path(directory)
        self.hom, self.u = hom, u
        self._fields = Splitting([u] if isinstance(u, fem.Function) else u)
        self._lock: Lock | None = None
        with collectively(hom.comm):
            if hom.comm.rank == 0:
                require_writable(directory)
                self._lock = acquire(directory, "output directory")
        self._recorder = PathRecorder(directory, hom) if paths else None
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
        self._series = Series(hom.comm, directory / "macro", format, [*self._fields.functions, *self.cellwise.values()])

    @property
    def path(self) -> Path:
        """The file or directory of the results."""
        return self._series.path

    def write(self, time: float) -> None:
        """Add the present fields as a time step (collective).

        Raises
        ------
        InputError
            On all ranks, if the disk is full; earlier steps remain readable.
        """
        hom = self.hom
        for response in hom.responses:
            points = response.function_space.dofmap.list[hom.cells].ravel()
            size = response.function_space.dofmap.bs
            self._set(response.name, response.x.array.reshape(-1, size)[points])
        for name in self._observables:
            self._set(name, hom.observe(name))
        self._fields.update()
        self._series.write(time, hom.continues)
        if self._recorder is not None:
            self._recorder.write(time)

    def close(self) -> None:
        """Close the file (collective); it remains readable."""
        self._series.close()
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
    """Shares of RVE types and first axes of cells at each point, if they vary."""
    shares = hom.rows.shares(len(hom.models))
    found = {f"share_{name}": shares[:, k] for k, name in enumerate(hom.models)} if len(hom.models) > 1 else {}
    return found | ({"first_axis": hom.orientation.R[:, :, 0]} if hom.orientation is not None else {})
