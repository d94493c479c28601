"""Mutual exclusion of processes that compile the same code: a lock that ends with its owner."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BEGUN, DONE = b"begun", b"done "


@contextmanager
def turn(folder: Path, key: str) -> Iterator[bool]:
    """Wait until no other process is in this block with the same key, on any machine that shares the folder.

    Parameters
    ----------
    folder
        Folder of the lock file, which is named after the `key`. The file remains after the body has ended.
    key
        Identifies the result of the body.

    Yields
    ------
    bool
        Whether the last process was killed in the body, so that its result is incomplete. False if files cannot be
        locked.
    """
    path = folder / f"hmm_{key}.lock"
    if _state(path) == DONE:
        yield False
        return
    descriptor = _locked(path)
    if descriptor is None:
        yield False
        return
    try:
        before = os.pread(descriptor, len(BEGUN), 0)
        os.pwrite(descriptor, BEGUN, 0)
        try:
            yield before == BEGUN
        except Exception:  # in order; killed or interrupted, the mark stays
            os.ftruncate(descriptor, 0)
            raise
        os.pwrite(descriptor, DONE, 0)
    finally:
        os.close(descriptor)


def _state(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _locked(path: Path) -> int | None:
    """A descriptor of the file, locked by this process; None if this is not possible."""
    descriptor = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        if descriptor is not None:
            os.close(descriptor)
        return None
    except BaseException:  # a signal while it waited
        if descriptor is not None:
            os.close(descriptor)
        raise
    return descriptor
