"""Files of the user: checks of type, permission and size, and writing that is complete or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError, writing

KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe (FIFO)"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
"""Types of paths that are not regular files."""

LARGEST_TOML = 10_000_000
"""Maximum size of a TOML file in bytes."""

LARGEST_NPZ = 8 << 30
"""Maximum unpacked size of an .npz file in bytes."""


def regular_file(path: str | os.PathLike[str], what: str = "file", remedy: str = "give the path of a file") -> Path:
    """The path of a readable regular file, or of a symbolic link to one.

    Opening a FIFO or a device could block or never end. Not collective: call it on the rank that reads, within
    `hmm.foundation.errors.collectively`.

    Parameters
    ----------
    path
        The path the user gave.
    what
        Kind of the file in messages, such as ``"image file"``.
    remedy
        The remedy in messages.

    Raises
    ------
    InputError
        If the file does not exist, is a directory, a FIFO, a socket or a device, or cannot be read.
    """
    try:
        path = Path(path)
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"there is no {what} {path}: {remedy}") from None
    except OSError as error:
        raise InputError(f"the {what} {path} cannot be read ({error.strerror}): {remedy}") from None
    except (TypeError, ValueError) as error:  # no path at all, or a null byte in it
        raise InputError(f"the {what} {path!r} is not a path ({error}): {remedy}") from None
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in KINDS if test(mode)), "no regular file")
        raise InputError(f"the {what} {path} is {kind}: {remedy}")
    if not os.access(path, os.R_OK):
        raise InputError(f"the {what} {path} cannot be read (Permission denied): {remedy}")
    return path


def read_toml(
    path: str | os.PathLike[str], what: str = "TOML file", remedy: str = "give a TOML file"
) -> dict[str, Any]:
    """The table of a TOML file of limited size and depth.

    Parameters
    ----------
    path, what, remedy
        As for `regular_file`.

    Raises
    ------
    InputError
        If it is not a regular file, too large, nested too deeply, or not valid TOML.
    """
    path = regular_file(path, what, remedy)
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_TOML + 1)
        if len(text) > LARGEST_TOML:
            raise InputError(f"the {what} {path} has more than {LARGEST_TOML} bytes: {remedy}")
        return tomllib.loads(text.decode("utf-8-sig"))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"the {what} {path} cannot be read ({error.strerror}): {remedy}") from None
    except RecursionError:
        raise InputError(f"the {what} {path} is nested too deeply: {remedy}") from None
    except ValueError as error:  # of TOML or of the encoding
        raise InputError(f"{path} is not valid TOML: {error}") from None


def check_plain_hdf5(path: str | os.PathLike[str], what: str = "HDF5 file") -> int:
    """Reject an HDF5 file that refers to other files; return the unpacked size of its datasets in bytes.

    Parameters
    ----------
    path
        A regular file.
    what
        Kind of the file in messages.

    Raises
    ------
    InputError
        If there is an external link, a dataset with external storage or a virtual one.
    """
    import h5py

    sizes: list[int] = []

    def of_link(name: str, link: object) -> str | None:
        return None if isinstance(link, h5py.HardLink | h5py.SoftLink) else f"{name!r} is an external link"

    def of_object(name: str, item: object) -> str | None:
        if not isinstance(item, h5py.Dataset):
            return None
        sizes.append(int(item.nbytes))
        if item.external:
            return f"the dataset {name!r} has external storage"
        return f"the dataset {name!r} is virtual" if item.is_virtual else None

    try:
        with h5py.File(path, "r") as file:  # a visit ends with what its function returns
            finding = file.visititems_links(of_link) or file.visititems(of_object)
    except Exception as error:  # h5py raises all kinds for a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        suffix = Path(path).suffix or "HDF5"
        raise InputError(f"the {what} {path} cannot be read as {suffix} ({reason}): is the file complete?") from None
    if finding:
        raise InputError(f"in the {what} {path}, {finding}, which reads another file: copy the data into one file")
    return sum(sizes)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The temporary file to write in the body; it then takes the place of `path`. A symbolic link is kept.

    Not collective. If the body raises an error, the temporary file is removed and an existing file is unchanged.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(target.name + ".part")
    try:
        with writing(path):
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file atomically (see `replacing`)."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def unpacked(path: Path, what: str, largest: int = LARGEST_NPZ) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file; their size is known before they are read, and nothing in them is executed.

    Parameters
    ----------
    path
        The file, a regular one.
    what
        What it should be, in messages, such as ``"dump"``.
    largest
        Maximum size of the arrays in bytes.

    Raises
    ------
    InputError
        If the arrays are larger.
    Exception
        Of many types from zipfile, zlib and NumPy, if the file is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > largest:
        raise InputError(f"{path} unpacks to {size / 1e9:.3g} GB, and {what}s of up to {largest / 1e9:.3g} GB are read")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def require_writable(directory: Path) -> None:
    """Create the directory, and raise `InputError` if it is not writable."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except (OSError, ValueError) as error:  # the latter for a null byte
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write to {directory} ({why}): give a directory you may write to") from None
