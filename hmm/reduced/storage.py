"""Reduced models in one HDF5 file, without pickled objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from hmm.foundation.errors import InputError
from hmm.foundation.files import check_plain_hdf5, regular_file, replacing
from hmm.foundation.hdf5 import require_h5py
from hmm.foundation.version import VERSION
from hmm.micro.rve import RVE
from hmm.reduced.paths import TrainingPath
from hmm.reduced.reduction import ReducedPhase, Reduction
from hmm.reduced.report import TrainingReport

FORMAT = "hmm reduced model 2"


def save_model(
    path: str | Path,
    rve: RVE,
    reduction: Reduction,
    report: TrainingReport,
    learnt: Sequence[Sequence[TrainingPath]] = (),
) -> Path:
    """Write a reduction and what it belongs to; whole or not at all. Not collective.

    `learnt` are the paths that a job added to those of the training, as many as each time.
    """
    path, h5py = Path(path), require_h5py()
    with replacing(path) as part, h5py.File(part, "w") as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        file.attrs["rve"] = json.dumps(dict(rve.fingerprint()))
        file.attrs["report"] = json.dumps(asdict(report))
        for name in ("modes", "stiffness", "constant", "lowest", "highest"):
            file[name] = getattr(reduction, name)
        file["volume"] = np.array([reduction.volume])
        for phase, p in reduction.phases.items():
            for f in fields(p):
                file[f"phases/{phase}/{f.name}"] = getattr(p, f.name)
        for time, paths in enumerate(learnt):
            for k, known in enumerate(paths):
                file[f"learnt/{time}/{k}/E"], file[f"learnt/{time}/{k}/dt"] = known.E, known.durations
    return path


def read_paths(path: str | Path) -> list[list[TrainingPath]]:
    """The paths that a job has added to those of the training of a model that `read_reduction` accepts."""
    with require_h5py().File(path, "r") as file:
        times = file.get("learnt", {})
        groups = [times[str(time)] for time in range(len(times))]
        return [[TrainingPath(g[str(k)]["E"][:], g[str(k)]["dt"][:]) for k in range(len(g))] for g in groups]


def read_reduction(path: str | Path, rve: RVE) -> tuple[Reduction, TrainingReport]:
    """The reduction in a file, if it is one of this RVE.

    Raises
    ------
    InputError
        If the file is damaged, of another version, or of another cell, law or constraint.
    """
    path = regular_file(path, "reduced model")
    check_plain_hdf5(path, "reduced model")
    try:
        with require_h5py().File(path, "r") as file:
            _check(path, file.attrs, rve)
            report = json.loads(file.attrs["report"])
            arrays = {name: file[name][:] for name in ("modes", "stiffness", "constant", "lowest", "highest")}
            phases = {
                phase: ReducedPhase(**{f.name: group[f.name][:] for f in fields(ReducedPhase)})
                for phase, group in file.get("phases", {}).items()
            }
            volume = float(file["volume"][0])
    except (KeyError, TypeError, ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the reduced model {path} is damaged ({error}): train it again") from None
    reduction = Reduction(phases=phases, volume=volume, **arrays)
    _check_shapes(path, reduction, rve)
    return reduction, TrainingReport.from_plain(report)


def _check(path: Path, attributes: Any, rve: RVE) -> None:
    if attributes.get("format") != FORMAT or attributes.get("version") != VERSION:
        found = f"{attributes.get('format')!r} of version {attributes.get('version')!r}"
        raise InputError(f"{path} is {found}, not {FORMAT!r} of version {VERSION!r}: train the model again")
    require_same_rve(f"{path} is a reduced model", json.loads(attributes["rve"]), rve, "train one for this RVE")


def require_same_rve(what: str, stored: Mapping[str, str], rve: RVE, remedy: str) -> None:
    """Raise `InputError` if the fingerprint of `what` in a file is not that of an RVE."""
    own = dict(rve.fingerprint())
    for part in dict.fromkeys([*own, *stored]):
        if stored.get(part) != own.get(part):
            raise InputError(
                f"{what} of another RVE: its {part} is {stored.get(part)}, and here it is {own.get(part)}; {remedy}"
            )


def _check_shapes(path: Path, r: Reduction, rve: RVE) -> None:
    m, N = rve.n_inputs, r.n_modes
    fits = r.modes.shape == (N, rve.n_unknowns) and r.stiffness.shape == (m + N, m + N) and r.constant.shape == (m + N,)
    fits = fits and r.lowest.shape == r.highest.shape == (m,)
    for p in r.phases.values():
        g = p.weights.size
        fits = fits and p.index.shape == (g,) and p.H.ndim == 3 and p.offset.shape == p.H.shape[:2] == (g, p.H.shape[1])
        fits = (
            fits
            and p.stiffness.shape == (p.H.shape[1], p.H.shape[1])
            and p.H.shape[2] == m + N
            and bool((p.weights > 0).all())
        )
    if not fits or not set(r.phases) <= set(rve.law):
        raise InputError(f"the arrays of the reduced model {path} do not fit each other: train it again")
