"""The macroscopic inputs of all points of a job, step by step, as training paths of reduced models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.fe2.homogenizer import Homogenizer
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import regular_file, replacing, require_writable, unpacked
from hmm.foundation.options import choice
from hmm.reduced.paths import TrainingPath

FOLDER = "paths"
"""Name of the folder in an output directory."""


class PathRecorder:
    """Writes the packed macroscopic inputs of all points, one file for each step, whole or not at all (collective).

    Points are in the order of the macro cells in the mesh input and then of the points of a cell, so that files do not
    depend on the number of ranks; inputs are in the axes of the cells. A step that is earlier than recorded ones
    replaces them: a run that is continued from a checkpoint goes on in the same folder, and a new run starts over.

    Parameters
    ----------
    directory
        The folder of the files is made in it.
    hom
        The homogenizer.

    Raises
    ------
    InputError
        On all ranks, if it cannot be written to.
    """

    _times: list[float] | None

    def __init__(self, directory: Path, hom: Homogenizer) -> None:
        self.folder, self.hom = directory / FOLDER, hom
        self._elapsed, self._times = hom.elapsed, None
        with collectively(hom.comm):
            if hom.comm.rank == 0:
                require_writable(self.folder)

    def write(self, time: float) -> None:
        """Record the accepted step that ends at `time` (collective).

        Raises
        ------
        InputError
            On all ranks, if it cannot be written; earlier steps remain.
        """
        E = self._inputs()
        duration, self._elapsed = self.hom.elapsed - self._elapsed, self.hom.elapsed
        with collectively(self.hom.comm):
            if self.hom.comm.rank == 0:
                self._put(float(time), duration, E)

    def _put(self, time: float, duration: float, E: Mapping[str, NDArray[np.float64]]) -> None:
        if self._times is None:
            self._times = [float(_step(file)["time"]) for file in step_files(self.folder)]
        earlier = [known for known in self._times if known < time]
        for file in step_files(self.folder)[len(earlier) :] if len(earlier) < len(self._times) else ():
            file.unlink()
        named = {f"E{k}": rows for k, rows in enumerate(E.values())}
        with replacing(self.folder / f"{len(earlier) + 1:06d}.npz") as part, part.open("wb") as opened:
            np.savez(opened, allow_pickle=False, time=time, duration=duration, models=np.array(list(E)), **named)
        self._times = [*earlier, time]

    def _inputs(self) -> dict[str, NDArray[np.float64]]:
        """For each model the committed inputs of its points on all ranks, in the order of their numbers; on rank 0."""
        hom, found = self.hom, {}
        leads = hom.comm.rank == hom.ensemble.leader
        for name, keys, points in zip(hom.models, hom.state_keys(), hom.batches.points, strict=True):
            parts = hom.comm.gather((keys, points.committed.E) if leads else None)
            own = [part for part in parts or [] if part is not None]
            if own:
                order = np.argsort(np.concatenate([keys for keys, _ in own]))
                found[name] = np.concatenate([E for _, E in own])[order]
        return found


def recorded_paths(directory: str | Path, model: str | None = None) -> list[TrainingPath]:
    """The paths of all points of a job that ``hmm.Output(..., paths=True)`` has recorded.

    Parameters
    ----------
    directory
        The directory of the `hmm.Output`.
    model
        With several RVE types, the name of one.

    Returns
    -------
    list of TrainingPath
        One for each point, in the order of the macro cells in the mesh input; for `hmm.reduced.select_paths` or
        `hmm.reduced.train`.

    Raises
    ------
    InputError
        If nothing was recorded, files are damaged or those of several jobs, or there are several RVE types.
    """
    folder = Path(directory) / FOLDER
    files = step_files(folder)
    if not files:
        raise InputError(f"there are no recorded paths in {directory}: write them with hmm.Output(..., paths=True)")
    steps = [_step(file) for file in files]
    names = [str(name) for name in steps[0]["models"]]
    if model is None and len(names) > 1:
        raise InputError(f"the paths in {directory} are of several models, {', '.join(names)}: give model=")
    key = f"E{0 if model is None else names.index(choice('model', model, names))}"
    shapes = {step[key].shape for step in steps if key in step}
    if len(shapes) != 1 or not all(key in step for step in steps):
        raise InputError(f"the steps in {folder} are of several jobs: remove it and run one again")
    E = np.stack([step[key] for step in steps], axis=1)
    dt = np.array([float(step["duration"]) for step in steps])
    return [TrainingPath(rows, dt) for rows in E]


def step_files(folder: Path) -> list[Path]:
    """The files of the recorded steps, in their order."""
    return sorted(folder.glob("[0-9]*.npz"))


def _step(file: Path) -> dict[str, Any]:
    regular_file(file, "recorded step")
    try:
        step = unpacked(file, "recorded step")
        if {"time", "duration", "models"} <= step.keys():
            return step
        why: object = "something is missing"
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise all kinds
        why = error
    raise InputError(f"the recorded step {file} is damaged ({why}): remove its folder and run the job again") from None
