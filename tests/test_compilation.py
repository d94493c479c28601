"""Compilation: once for all ranks, also on a cold cache and after a run that was killed while it compiled."""

import os
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
from hmm.foundation import forms

SERIAL = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts its own ranks, or changes the cache")
PROGRAM = Path(__file__).with_name("cold_cache_program.py")


@SERIAL
def test_cold_cache(tmp_path):
    """Two ranks that start together on an empty cache compile each form once: what they compiled is what is there."""
    launcher = ("PMI", "PMIX", "OMPI", "MPI_", "HYDI", "HYDRA", "MPIR", "MPICH")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(launcher)}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(hmm.__file__).parents[1]), str(PROGRAM.parent)])
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
    set_age(source, forms.STALE + 10)
    before = len(forms.compilations())
    assert fem.assemble_scalar(forms.compile_form(form)) == pytest.approx(3.0)
    assert len(forms.compilations()) == before + 1
    assert source.with_suffix(".c.failed").exists()
    assert not source.with_suffix(".c.stale").exists()


@SERIAL
def test_killed_just_now(tmp_path, form, monkeypatch, caplog):
    """One cannot know that nobody compiles: a warning names the file, and an error after a long wait."""
    source = kill_while_compiling(form, tmp_path)
    monkeypatch.setattr(forms, "STALE", 2)
    set_age(source, -1000)
    with pytest.raises(hmm.foundation.errors.EnvironmentMismatch, match=f"{source.name}.*remove"):
        forms.compile_form(form)
    assert sum(str(source) in record.getMessage() for record in caplog.records) == 1


@SERIAL
def test_one_process_clears(tmp_path, form):
    """While another process holds the claim, the file is left alone."""
    source = kill_while_compiling(form, tmp_path)
    set_age(source, forms.STALE + 10)
    claim = source.with_suffix(".c.stale")
    claim.touch()
    assert not forms._clear_stale(source)
    assert source.exists() and claim.exists()
