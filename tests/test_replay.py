"""A point that failed leaves a dump, and the dump repeats the failure alone."""

import re

from mpi4py import MPI

import numpy as np
import pytest
from macro_tools import STIFF, beam, composite, neo_hooke_rve, rve_of, square_cell

import hmm
from hmm import cli
from hmm.fe2 import homogenizer

COMM = MPI.COMM_WORLD
SOFT = hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=700.0)
NEO_HOOKE = {"matrix": (50.0, 75.0), "inclusion": (500.0, 750.0)}
alone = pytest.mark.skipif(COMM.size > 1, reason="one rank is enough: nothing here is collective")


@pytest.fixture
def directory(tmp_path):
    return COMM.bcast(tmp_path) / "failures"


def impatient():
    """A plastic cell that may take a single Newton iteration and no substeps: it fails where it yields."""
    rve = rve_of(square_cell(), {"matrix": SOFT, "inclusion": STIFF}, degree=2)
    rve.newton_options = hmm.NewtonOptions(rtol=1e-11, max_iterations=1, max_cuts=1)
    return rve


def fail(directory, rve=None):
    """A run whose second step fails; the body and the error message."""
    body = beam(rve or impatient(), "nested", dumps=directory)
    body.reactions([-1e-3])
    with pytest.raises(hmm.ConvergenceError) as caught:
        body.reactions([-0.05])
    COMM.barrier()
    return body, str(caught.value)


def dumped(message):
    return re.search(r"'hmm replay (\S+)' repeats it", message).group(1)


@pytest.mark.mpi
def test_the_message_names_a_dump_that_repeats_the_failure(directory):
    """Made again from the dump, the cell has the numbering, hence the residuals, of the one that failed."""
    body, message = fail(directory)
    assert len(set(COMM.allgather(message))) == 1
    path = dumped(message)
    again = hmm.replay(path)
    assert not again.converged and again.rve is not body.hom.rve
    assert again.norms == hmm.replay(path, rve=body.hom.rve).norms
    assert np.isfinite(again.norms[0]).all() and len(again.norms[0]) == 2
    assert f"{again.norms[0][-1]:.3g}" in message, "the residual of the message"
    assert again.dump.failure.reason in message and str(again.dump.failure) in message
    assert again.dump.settings["versions"]["hmm"] == hmm.__version__
    assert again.rve.newton_options == body.hom.rve.newton_options
    again.rve.newton_options = hmm.NewtonOptions()
    state = hmm.PointState(again.dump.arrays["z"], again.dump.arrays["history"])
    assert np.isfinite(again.rve.solve(np.array(again.dump.failure.E), state).tangent).all(), "with patience it works"


@pytest.mark.mpi
def test_a_porous_cell_comes_back_with_its_open_faces(directory):
    """A pore at one face only: without `Cell.open_faces`, periodicity would be refused."""
    labels = np.zeros((6, 6), dtype=int)
    labels[:2, 1:4] = 1
    cell = hmm.Cell.from_image(labels, {"matrix": 0, "pore": 1}, void="pore")
    rve = rve_of(cell, {"matrix": SOFT})
    rve.newton_options = hmm.NewtonOptions(rtol=1e-11, max_iterations=1, max_cuts=1)
    path = dumped(fail(directory, rve)[1])
    again = hmm.replay(path)
    assert (again.rve.cell.grid, again.rve.cell.open_faces) == ((6, 6), True)
    assert again.norms == hmm.replay(path, rve=rve).norms


@pytest.mark.mpi
def test_there_are_not_too_many(directory, monkeypatch):
    monkeypatch.setattr(homogenizer, "MOST_DUMPS", 2)
    body, _ = fail(directory)
    for _ in range(3):
        with pytest.raises(hmm.ConvergenceError):
            body.reactions([-0.05])
    COMM.barrier()
    assert sorted(p.name for p in directory.iterdir()) == ["rve-0001.npz", "rve-0002.npz"]


@pytest.mark.mpi
def test_a_dump_that_cannot_be_written_hides_nothing(directory):
    if COMM.rank == 0:
        directory.write_text("a file, not a directory")
    COMM.barrier()
    _, message = fail(directory)
    assert "micro residual" in message and f"could not be dumped to {directory} (FileExistsError" in message
    assert "dump" not in fail(None)[1], "switched off"


@alone
def test_an_energy_needs_its_rve(directory):
    rve = neo_hooke_rve(square_cell(), NEO_HOOKE)
    body = beam(rve, dumps=directory)
    with pytest.raises(hmm.ConvergenceError) as caught:
        for _ in hmm.steps(body.problem, body.load, -60.0, 1, max_cutbacks=0):
            pass
    path = dumped(str(caught.value))
    with pytest.raises(hmm.InputError, match=r"energy=.* give it, hmm.replay\(path, rve=rve\)"):
        hmm.replay(path)
    again = hmm.replay(path, rve=rve)
    assert not again.converged and again.rve is rve
    with pytest.raises(hmm.InputError, match="give the RVE of the run that failed"):
        hmm.replay(path, rve=composite())


class Local(type(SOFT)):
    """A law that pickle cannot find again."""

    __qualname__ = "nowhere.Local"


@alone
def test_a_law_that_cannot_be_pickled_needs_its_rve(directory):
    rve = impatient()
    rve.law["matrix"] = Local(70e3, 0.3, 100.0, 700.0)
    path = dumped(fail(directory, rve)[1])
    with pytest.raises(hmm.InputError, match=r"its laws cannot be pickled: .*give it"):
        hmm.replay(path)
    assert not hmm.replay(path, rve=rve).converged


@alone
@pytest.mark.parametrize("content", [b"", b"not a dump", "another archive"])
def test_what_is_no_dump(content, tmp_path):
    path = tmp_path / "some.npz"
    if isinstance(content, str):
        np.savez(path, something=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(hmm.InputError, match=r"some.npz cannot be read as a dump"):
        hmm.replay(path)
    with pytest.raises(hmm.InputError, match=r"missing.npz cannot be read"):
        hmm.replay(tmp_path / "missing.npz")


@alone
def test_the_command_and_its_picture(directory, tmp_path, capsys):
    path = dumped(fail(directory)[1])
    cli.main(["replay", path])
    printed = capsys.readouterr().out
    assert printed.startswith("RVE at (") and "line search" in printed and printed.rstrip().endswith("no solution")
    pytest.importorskip("pyvista")
    pytest.importorskip("matplotlib")
    cli.main(["replay", path, "--plot", str(tmp_path / "replay.png")])
    assert (tmp_path / "replay.png").stat().st_size > 10_000
