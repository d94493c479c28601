"""Solved paths in a folder, one file for each, so that a training that was killed goes on from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mpi4py import MPI

from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import check_plain_hdf5, regular_file, replacing, require_writable, write_atomically
from hmm.foundation.hashing import digest
from hmm.foundation.hdf5 import require_h5py
from hmm.foundation.version import VERSION
from hmm.micro.rve import RVE
from hmm.reduced.paths import TrainingPath
from hmm.reduced.storage import require_same_rve

FORMAT = "hmm training paths 2"


class KeptPaths:
    """A folder of solved paths of one RVE (collective).

    A file appears when its path is solved, whole or not at all; its name is a hash of the path. Each rank writes those
    that it solves.

    Parameters
    ----------
    folder
        The folder; made if necessary.
    rve
        The RVE.
    comm
        Ranks that use the folder.

    Raises
    ------
    InputError
        On all ranks, if the folder cannot be written or has paths of another RVE or version.
    """

    def __init__(self, folder: str | Path, rve: RVE, comm: MPI.Comm) -> None:
        self.folder = Path(folder)
        with collectively(comm):
            require_h5py()
            mine = {"format": FORMAT, "version": VERSION, "rve": dict(rve.fingerprint())}
            if comm.rank == 0:
                require_writable(self.folder)
                _open(self.folder / "rve.json", mine, rve)

    def find(self, kind: str, path: TrainingPath) -> dict[str, Any] | None:
        """What was kept of a path, by name: arrays, texts, numbers, and dictionaries of arrays; or None."""
        file = self._file(kind, path)
        return _read(file) if file.exists() else None

    def keep(self, kind: str, path: TrainingPath, values: Mapping[str, Any]) -> None:
        """Keep values of a path, for `find`."""
        h5py = require_h5py()
        with replacing(self._file(kind, path)) as part, h5py.File(part, "w") as file:
            for name, value in values.items():
                if isinstance(value, str | float):
                    file.attrs[name] = value
                elif isinstance(value, Mapping):
                    group = file.create_group(name)
                    for key, array in value.items():
                        group[key] = array
                else:
                    file[name] = value

    def _file(self, kind: str, path: TrainingPath) -> Path:
        return self.folder / f"{kind}-{digest(path.E, path.durations)}.h5"


def _open(file: Path, mine: Mapping[str, Any], rve: RVE) -> None:
    """Check that a folder is of this RVE, or make it so."""
    if not file.exists():
        write_atomically(file, json.dumps(mine, indent=1))
        return
    try:
        stored = json.loads(regular_file(file).read_text(encoding="utf-8"))
        known, version = stored["rve"], (stored["format"], stored["version"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file} is damaged: remove its folder, or give another one as checkpoint=") from None
    if version != (mine["format"], mine["version"]):
        raise InputError(
            f"{file.parent} has {version[0]!r} of version {version[1]!r}, not {mine['format']!r} of version "
            f"{mine['version']!r}: give another folder as checkpoint="
        )
    require_same_rve(f"{file.parent} has training paths", known, rve, "give another folder as checkpoint=")


def _read(file: Path) -> dict[str, Any]:
    regular_file(file, "solved path")
    check_plain_hdf5(file, "solved path")
    h5py = require_h5py()
    try:
        with h5py.File(file, "r") as opened:
            found: dict[str, Any] = {name: getattr(v, "item", lambda v=v: v)() for name, v in opened.attrs.items()}
            for name, item in opened.items():
                found[name] = {k: a[()] for k, a in item.items()} if isinstance(item, h5py.Group) else item[()]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise InputError(f"{file} is damaged ({error}): remove it, and the path is solved again") from None
    return found
