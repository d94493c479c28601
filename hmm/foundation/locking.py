"""Lock files, so that one run at a time uses a file or directory; a lock ends with its process."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mpi4py import MPI

from hmm.foundation.errors import InputError, collectively

SUFFIX = ".lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""Errors of file systems without locks."""

_targets: set[Path] = set()


class Lock:
    """A lock until `release`, or until this object or the process ends; see `acquire`."""

    def __init__(self, target: Path, descriptor: int) -> None:
        _targets.add(target)
        self._end = weakref.finalize(self, _let_go, target, descriptor, os.getpid())

    def release(self) -> None:
        """Release the lock; further calls have no effect."""
        self._end()


def acquire(path: Path, what: str) -> Lock:
    """Lock a file or directory; not collective.

    The lock is on a neighbouring file ``NAME.lock``, which is removed at the end. A file left by a killed process has
    no effect, since the operating system releases its lock.

    Parameters
    ----------
    path
        The file or directory. It need not exist, but its parent directory must.
    what
        Its kind in messages, such as ``"checkpoint file"``.

    Raises
    ------
    InputError
        If another run has locked it, or the lock cannot be written.
    """
    target = Path(os.path.realpath(path))
    if holds(target):
        raise InputError(f"the {what} {path} is in use in this program already: close that first, or give another one")
    try:
        descriptor = _locked(_lock_of(target))
    except BlockingIOError as error:
        raise InputError(
            f"the {what} {path} is in use by another run ({error.filename or 'unknown'}): wait for its end, stop it, "
            "or give another one"
        ) from None
    except OSError as error:
        raise InputError(f"cannot write {_lock_of(target)} ({error.strerror}): give another {what}") from None
    return Lock(target, descriptor)


def holds(path: Path) -> bool:
    """Whether this process has locked a file or directory."""
    return Path(os.path.realpath(path)) in _targets


@contextmanager
def sole(path: Path, what: str, comm: MPI.Comm) -> Iterator[None]:
    """Lock a file or directory by rank 0 while the body runs (collective).

    Raises as `acquire` does, on all ranks. The lock is released when the body has ended on all ranks.
    """
    lock: Lock | None = None
    with collectively(comm):
        if comm.rank == 0:
            lock = acquire(path, what)
    try:
        yield
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    if lock is not None:
        lock.release()
    comm.barrier()


def _lock_of(target: Path) -> Path:
    return target / f"hmm{SUFFIX}" if target.is_dir() else target.with_name(target.name + SUFFIX)


def _locked(path: Path) -> int:
    """An open lock file that this process has locked; otherwise `BlockingIOError` names the owner."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EEXIST, "it is no regular file")
            _lock(descriptor, path)
            if _is(path, descriptor):
                _sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner has removed it in the meantime


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        raise BlockingIOError(error.errno, error.strerror, owner) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        logging.getLogger("hmm").warning(
            "the file system of %s has no locks (%s): make sure that no other run uses it", path, error.strerror
        )


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    """Write the owner of the lock, for messages of others; ignored on a full disk."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


def _let_go(target: Path, descriptor: int, owner: int) -> None:
    if os.getpid() != owner:  # a fork of it
        return
    _targets.discard(target)
    with suppress(OSError):
        if _is(_lock_of(target), descriptor):
            os.unlink(_lock_of(target))
    with suppress(OSError):
        os.close(descriptor)
