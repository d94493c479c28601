"""One run at a time: a file or a directory in use is refused by name, and free when its owner is gone."""

import hmm  # isort: skip

import os
import signal
import subprocess
import sys
from pathlib import Path

from mpi4py import MPI

import pytest
from support.macro_tools import beam, composite

from hmm.foundation import locking
from hmm.foundation.locking import acquire, holds, sole

COMM = MPI.COMM_WORLD
SERIAL = pytest.mark.skipif(COMM.size > 1, reason="one rank is enough")
OWNER = """
import sys, time
from pathlib import Path
from hmm.foundation import locking
from hmm.foundation.locking import acquire
lock = acquire(Path(sys.argv[1]), "file")
print("held", flush=True)
time.sleep(120)
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    return COMM.bcast(tmp_path)


def owner(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the path."""
    environment = {**os.environ, "PYTHONPATH": str(Path(hmm.__file__).parents[1])}
    command = [sys.executable, "-c", OWNER, str(path)]
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.mpi
def test_two_in_one_program(folder):
    """The second is refused on all ranks; the first goes on, and then it is free. Nothing is left behind."""
    path, first, second = folder / "run.h5", beam(composite()), beam(composite())
    going = hmm.steps(first.problem, first.load, -0.02, 2, checkpoint=path)
    next(going)
    with pytest.raises(hmm.InputError, match=r"the checkpoint file .*run.h5 is in use in this program already"):
        next(hmm.steps(second.problem, second.load, -0.02, 2, checkpoint=path))
    assert [step.number for step in going] == [2]
    assert list(hmm.steps(second.problem, second.load, -0.02, 2, checkpoint=path)) == []
    COMM.barrier()
    assert [p.name for p in folder.iterdir()] == ["run.h5"]


@pytest.mark.mpi
def test_two_outputs_in_a_directory(folder):
    body = beam(composite())
    with hmm.Output(folder / "results", body.hom, body.u) as output:
        with pytest.raises(hmm.InputError, match=r"the output directory .*results is in use"):
            hmm.Output(folder / "results", body.hom, body.u)
        output.write(0.0)
    hmm.Output(folder / "results", body.hom, body.u).close()
    COMM.barrier()
    assert [p.name for p in (folder / "results").iterdir()] == ["macro.bp"]


@SERIAL
def test_another_process_and_its_death(tmp_path):
    """Refused while it lives; what it leaves behind when it is killed does not matter."""
    body, path, link = beam(composite()), tmp_path / "run.h5", tmp_path / "link.h5"
    link.symlink_to(path)
    process = owner(path)
    try:
        for name in (path, link):
            with pytest.raises(
                hmm.InputError, match=rf"is in use by another run \(process {process.pid} on "
            ) as caught:
                hmm.checkpoint.save(name, body.problem)
            assert "\n" not in str(caught.value)
        assert not path.exists() and not holds(path)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert (tmp_path / "run.h5.lock").exists()
    hmm.checkpoint.save(link, body.problem)
    assert link.is_symlink() and path.is_file(), "a link stays one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.h5", "run.h5"]


@SERIAL
def test_directories_and_forks(tmp_path, monkeypatch):
    """A directory is held by a file in it; a fork that ends does not take the lock with it."""
    lock = acquire(tmp_path, "directory")
    assert (tmp_path / "hmm.lock").read_text().startswith(f"process {os.getpid()} on ")
    owner_of, left = locking.os.getpid, lock._end.peek()[2]
    monkeypatch.setattr(locking.os, "getpid", lambda: -1)  # what a fork of this process would find
    lock.release()
    monkeypatch.setattr(locking.os, "getpid", owner_of)
    assert (tmp_path / "hmm.lock").exists() and holds(tmp_path)
    locking._let_go(*left)
    assert list(tmp_path.iterdir()) == [] and not holds(tmp_path)
    forgotten = acquire(tmp_path, "directory")
    del forgotten
    assert not holds(tmp_path)


@SERIAL
def test_a_lock_that_cannot_be_made(tmp_path):
    os.mkfifo(tmp_path / "run.h5.lock")
    (tmp_path / "other.h5.lock").symlink_to(tmp_path / "victim")
    for name in ("run.h5", "other.h5", "nowhere/run.h5"):
        with (
            pytest.raises(hmm.InputError, match=r"cannot write .*\.h5.lock \(.*\): give another file"),
            sole(tmp_path / name, "file", MPI.COMM_SELF),
        ):
            raise AssertionError
    assert not (tmp_path / "victim").exists()
