"""The package h5py, and datasets of HDF5 files that may have been made by others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hmm.foundation.errors import EnvironmentMismatch, InputError


def require_h5py() -> Any:
    """The package h5py.

    Raises
    ------
    EnvironmentMismatch
        If it is not installed, or does not work in this process.
    """
    try:
        import h5py
    except ImportError as error:
        raise EnvironmentMismatch(
            f"checkpoints need h5py, which cannot be imported ({error}): install it with pip install h5py, or "
            "conda install -c conda-forge h5py"
        ) from None
    except ValueError:
        raise EnvironmentMismatch(
            "h5py does not work here, as dolfinx.fem.petsc was imported before hmm and found numba, which puts PETSc's "
            "HDF5 in the place of h5py's: import hmm first"
        ) from None
    return h5py


def own_dataset(path: Path, file: Any, name: str, like: NDArray[Any]) -> Any:
    """A dataset whose rows are of the shape and type of those of `like`, and in this file itself.

    HDF5 follows links to other files and reads data from any file that a dataset names, and a filter is code that it
    looks for; `hmm.runs.storage.write` makes none of these, so that whoever made the file with them had other things in
    mind.

    Parameters
    ----------
    path
        The file, for messages.
    file
        The open file.
    name
        Name of the dataset, with those of its groups.
    like
        An array with the dimensions, row shape and type that are expected.

    Raises
    ------
    InputError
        If it is something else, or stored elsewhere, filtered or not stored at all.
    """
    h5py, group = require_h5py(), file
    for part in name.split("/"):
        if not isinstance(group, h5py.Group) or not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise foreign(path, name)
        group = group[part]
    if not isinstance(group, h5py.Dataset) or group.is_virtual or group.external:
        raise foreign(path, name)
    plain = group.id.get_create_plist().get_nfilters() == 0
    if not plain or group.dtype != like.dtype or group.shape[1:] != like.shape[1:] or group.ndim != like.ndim:
        raise foreign(path, name)
    if group.id.get_storage_size() != group.nbytes:
        raise foreign(path, name)
    return group


def foreign(path: Path, name: str) -> InputError:
    """What to say of a file in which something is not as `hmm.runs.storage.write` writes it."""
    return InputError(
        f"{path}: its {name!r} is not what hmm writes there, data of the right shape in the file itself: take a copy "
        "of it, or remove it to start over"
    )
