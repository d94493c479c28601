"""Files with a checksum: the first bytes contain the type of the file, its length and the SHA-256 of the rest."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from io import BufferedIOBase
from pathlib import Path

from hmm.foundation.errors import InputError
from hmm.foundation.files import regular_file

FORMAT = 3

TITLE = b"hmm checkpoint"

SEAL = 512
"""Bytes of the text before the HDF5 data."""


def seal_file(part: Path) -> None:
    """Write length and checksum into the first bytes, and flush the file to disk."""
    with open(part, "r+b") as file:
        text = seal_text(file)
        file.seek(0)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def seal_text(file: BufferedIOBase) -> bytes:
    """The first bytes of a file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(SEAL)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    text = TITLE + f" (HDF5 after these {SEAL} bytes), format {FORMAT}\nbytes {size}\nsha256 {digest}\n".encode()
    return text.ljust(SEAL, b" ")


def synchronize_directory(directory: Path) -> None:
    """Flush a directory to disk after a file was renamed."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems do not do this for directories
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_whole(path: Path) -> None:
    """Raise `InputError` if the file is damaged or not a checkpoint."""
    regular_file(path, "checkpoint file", "give another file")
    try:
        with open(path, "rb") as file:
            head = file.read(SEAL)
            wanted = seal_text(file)
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): give another file") from None
    if not head.startswith(TITLE):
        raise InputError(f"{path} is not a checkpoint of hmm: give another file, or remove it to start over")
    if head == wanted:
        return
    if f"format {FORMAT}\n".encode() not in head:
        found = head[len(TITLE) :].split(b"\n")[0].decode(errors="replace").rsplit(" ", 1)[-1]
        raise InputError(
            f"{path} has the format {found[:9]!r} and this hmm reads format {FORMAT}: continue with the hmm that wrote "
            "it, or remove it to start over"
        )
    raise InputError(
        f"{path} is damaged: its length or checksum is wrong; use a copy of it, or remove it to start anew"
    )
