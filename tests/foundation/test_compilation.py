"""Compilation: once for all ranks, also on a cold cache and after a run that was killed while it compiled."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from mpi4py import MPI

import pytest
import ufl
from dolfinx import fem, jit, mesh

import hmm
from hmm.foundation import forms, turns

SERIAL = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts its own ranks, or changes the cache")
PROGRAM = Path(__file__).parents[1] / "support" / ("cold_cache_program.py")


@SERIAL
def test_cold_cache(tmp_path):
    """Two ranks that start together on an empty cache compile each form once: what they compiled is what is there."""
    launcher = ("PMI", "PMIX", "OMPI", "MPI_", "HYDI", "HYDRA", "MPIR", "MPICH")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(launcher)}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(hmm.__file__).parents[1]), str(PROGRAM.parents[1])])
    environment["XDG_CACHE_HOME"] = str(tmp_path)
    mpirun = [str(Path(sys.executable).with_name("mpirun")), "-n", "2"]
    subprocess.run([*mpirun, sys.executable, str(PROGRAM), str(tmp_path)], env=environment, check=True, timeout=300)
    compiled = Counter(name for rank in (0, 1) for name in (tmp_path / f"rank{rank}").read_text().split())
    there = len(list((tmp_path / "fenics").glob("libffcx_*.c.cached")))
    assert there >= 8
    assert compiled.total() == len(compiled) == there


@pytest.fixture
def form(tmp_path, monkeypatch):
    """A form, and an empty cache in `tmp_path`."""
    monkeypatch.setitem(jit.DOLFINX_DEFAULT_JIT_OPTIONS, "cache_dir", (tmp_path, "where the cache is"))
    monkeypatch.setattr(forms, "PATIENCE", 1)
    domain = mesh.create_unit_square(MPI.COMM_SELF, 1, 1)
    return fem.Constant(domain, 3.0) * ufl.dx(domain)


def kill_while_compiling(form: ufl.Form, folder: Path) -> Path:
    """Leave what a compilation leaves that was killed: a source file and nothing else."""
    forms.compile_form(form)
    (source,) = folder.glob("*.c")
    for file in folder.iterdir():
        file.unlink()
    source.touch()
    return source


def set_age(source: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(source, (then, then))


@SERIAL
def test_killed_long_ago(tmp_path, form):
    """The file is set aside, and the form compiled."""
    source = kill_while_compiling(form, tmp_path)
    set_age(source, forms.ABANDONED_AFTER + 10)
    before = len(forms.compilations())
    assert fem.assemble_scalar(forms.compile_form(form)) == pytest.approx(3.0)
    assert len(forms.compilations()) == before + 1
    assert source.with_suffix(".c.failed").exists()
    assert not source.with_suffix(".c.abandoned").exists()


@SERIAL
def test_killed_just_now(tmp_path, form, monkeypatch, caplog):
    """One cannot know that nobody compiles: a warning names the file, and an error after a long wait."""
    source = kill_while_compiling(form, tmp_path)
    monkeypatch.setattr(forms, "ABANDONED_AFTER", 2)
    set_age(source, -1000)
    with pytest.raises(hmm.errors.EnvironmentMismatch, match=f"{source.name}.*remove"):
        forms.compile_form(form)
    assert sum(str(source) in record.getMessage() for record in caplog.records) == 1


@SERIAL
def test_one_process_clears(tmp_path, form):
    """While another process holds the claim, the file is left alone."""
    source = kill_while_compiling(form, tmp_path)
    set_age(source, forms.ABANDONED_AFTER + 10)
    claim = source.with_suffix(".c.abandoned")
    claim.touch()
    assert not forms._clear_abandoned(source)
    assert source.exists() and claim.exists()


@SERIAL
def test_killed_by_whoever(tmp_path, form, monkeypatch):
    """Who dies in the compiler leaves a lock that is free, and a source file that the next process sets aside."""
    program = tmp_path / "program.py"
    program.write_text(
        "import hmm, ufl\nfrom mpi4py import MPI\nfrom dolfinx import fem, mesh\n"
        "domain = mesh.create_unit_square(MPI.COMM_SELF, 1, 1)\n"
        "hmm.foundation.forms.compile_form(fem.Constant(domain, 3.0) * ufl.dx(domain))\n"
    )
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\nkill -9 $PPID\n")
    compiler.chmod(0o755)
    paths = os.pathsep.join([str(Path(hmm.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "CC": str(compiler), "PYTHONPATH": paths}
    dead = subprocess.run([sys.executable, str(program)], env=environment, check=False, timeout=60)
    assert dead.returncode == -signal.SIGKILL
    cache = tmp_path / "fenics"
    (source,) = cache.glob("*.c")
    assert not source.with_suffix(".c.cached").exists()
    monkeypatch.setitem(jit.DOLFINX_DEFAULT_JIT_OPTIONS, "cache_dir", (cache, "where the cache is"))
    monkeypatch.setattr(forms, "PATIENCE", 60)
    began = time.monotonic()
    assert fem.assemble_scalar(forms.compile_form(form)) == pytest.approx(3.0)
    assert time.monotonic() - began < 30.0
    assert source.with_suffix(".c.failed").exists() and source.with_suffix(".c.cached").exists()
    (lock,) = cache.glob("hmm_*.lock")
    assert lock.read_bytes() == turns.DONE


@SERIAL
def test_one_at_a_time(tmp_path):
    """An error in order leaves nothing to clear up; what is done is not waited for."""
    with turns.turn(tmp_path, "a") as abandoned:
        assert not abandoned
        assert turns._locked(tmp_path / "b") is not None
        other = os.open(tmp_path / "hmm_a.lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
    with turns.turn(tmp_path, "a") as abandoned, turns.turn(tmp_path, "a"):
        assert not abandoned
    with pytest.raises(ZeroDivisionError), turns.turn(tmp_path, "c"):
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), turns.turn(tmp_path, "c") as abandoned:
        assert not abandoned
        raise KeyboardInterrupt
    with turns.turn(tmp_path, "c") as abandoned:
        assert abandoned
