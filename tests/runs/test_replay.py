"""A point that failed leaves a dump, and the dump repeats the failure alone."""

import json
import os
import pickle
import random
import re
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
from support.macro_tools import STIFF, beam, composite, neo_hooke_rve, rve_of, square_cell

import hmm
from hmm import cli
from hmm.fe2 import homogenizer
from hmm.foundation.described import described
from hmm.laws import written
from hmm.micro.dump import is_harmless, read_dump

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
    rve.system.newton_options = hmm.NewtonOptions(rtol=1e-11, max_iterations=1, max_cuts=1)
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
    assert not again.converged and again.rve is not body.hom.model
    assert again.norms == hmm.replay(path, rve=body.hom.model).norms
    assert np.isfinite(again.norms[0]).all() and len(again.norms[0]) == 2
    assert f"{again.norms[0][-1]:.3g}" in message, "the residual of the message"
    assert again.dump.failure.reason in message and str(again.dump.failure) in message
    assert again.dump.settings["versions"]["hmm"] == hmm.__version__
    assert again.rve.system.newton_options == body.hom.model.system.newton_options
    again.rve.system.newton_options = hmm.NewtonOptions()
    state = hmm.PointState(again.dump.arrays["z"], again.dump.arrays["history"])
    assert np.isfinite(again.rve.solve(np.array(again.dump.failure.E), state).tangent).all(), "with patience it works"


@pytest.mark.mpi
def test_a_porous_cell_comes_back_with_its_open_faces(directory):
    """A pore at one face only: without `Cell.open_faces`, periodicity would be refused."""
    labels = np.zeros((6, 6), dtype=int)
    labels[:2, 1:4] = 1
    cell = hmm.images.image_cell(labels, {"matrix": 0, "pore": 1}, void="pore")
    rve = rve_of(cell, {"matrix": SOFT})
    rve.system.newton_options = hmm.NewtonOptions(rtol=1e-11, max_iterations=1, max_cuts=1)
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


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A dump of laws of hmm.laws, and one of a law of one's own, made on one rank."""
    if COMM.size > 1:
        return None, None
    folder, own = tmp_path_factory.mktemp("good"), impatient()
    own.law["matrix"] = Mine(70e3, 0.3, 100.0, 700.0)
    return dumped(fail(folder / "hmm")[1]), dumped(fail(folder / "own", own)[1])


class Mine(type(SOFT)):
    """A law that is not of hmm.laws."""


def changed(path, new, **settings):
    """A dump with other settings and arrays, written to `new`; arrays are the settings that are of NumPy."""
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    arrays = {k: v for k, v in settings.items() if isinstance(v, np.ndarray)}
    text = json.loads(str(content["settings"])) | {k: v for k, v in settings.items() if k not in arrays}
    np.savez(new, **{**content, **arrays, "settings": np.array(json.dumps(text))})
    return new


class Bomb:
    """Runs when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@alone
def test_damage_is_said_in_one_line(good, tmp_path):
    """Bits that flip and files that are cut off, anywhere: NumPy, zipfile and zlib have a dozen errors for them."""
    content, rng, path = Path(good[0]).read_bytes(), random.Random(3), tmp_path / "bad.npz"
    assert len(content) > 3000
    refused = 0
    for number in range(160):
        data, i = bytearray(content), rng.randrange(len(content))
        if number % 4 == 0:
            data = data[:i]
        elif number % 4 == 1:
            data[i : i + 40] = rng.randbytes(40)
        else:
            data[i if number % 4 == 2 else -rng.randrange(1, 1200)] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            read_dump(path)
        except hmm.InputError as error:
            refused += 1
            assert "\n" not in str(error) and "bad.npz" in str(error)
    assert refused > 100


@alone
@pytest.mark.parametrize(
    "settings",
    [
        {"nodes": np.full((8, 3), 1 << 30)},
        {"x": np.full((30, 3), np.nan)},
        {"tags": np.zeros(2, dtype=np.int32)},
        {"E": np.zeros(2)},
        {"guess": np.zeros(2)},
        {"cell_type": "hypercube"},
        {"w": {"family": "P", "degree": "1; touch", "shape": [2]}},
        {"newton_options": {"patience": 1}},
        {"failure": {"rank": 0}},
        {"dim": 17},
        {"scale": "large"},
        {"inputs": 5},
        {"laws": {"law": {"matrix": {"law": "os", "with": {}}}, "petsc_options": {}}},
        {"laws": {"law": {"matrix": {"law": "Elastic", "with": {"mass": 1}}}, "petsc_options": {}}},
    ],
)
def test_what_does_not_fit_together_is_said_in_one_line(good, tmp_path, settings):
    with pytest.raises(hmm.InputError) as caught:
        hmm.replay(changed(good[0], tmp_path / "some.npz", **settings))
    assert "\n" not in str(caught.value)


@alone
def test_a_dump_runs_no_code(good, tmp_path):
    """Laws of hmm.laws are text; a pickle is opened only for who says so, whatever the text beside it is."""
    mark = tmp_path / "was here"
    law = np.frombuffer(pickle.dumps((Bomb(mark), {})), np.uint8)
    assert not hmm.replay(changed(good[0], tmp_path / "a.npz", law=law)).converged
    with pytest.raises(hmm.InputError, match=r"pickled laws or options of .*Elastic.*hmm replay --trust"):
        hmm.replay(changed(good[0], tmp_path / "b.npz", law=law, laws=None))
    for name in ("pc_python_type", "ksp_view"):
        options = {"law": read_dump(good[0]).settings["laws"]["law"], "petsc_options": {name: "bomb.Bomb"}}
        with pytest.raises(hmm.InputError, match=f"has the PETSc option '{name} bomb.Bomb'"):
            hmm.replay(changed(good[0], tmp_path / "c.npz", law=law, laws=options))
    assert not mark.exists()


@alone
def test_laws_of_ones_own_need_trust(good, capsys):
    assert read_dump(good[0]).law.size == 0, "nothing is pickled without need"
    with pytest.raises(hmm.InputError, match=r"Mine, and reading a pickle runs code"):
        hmm.replay(good[1])
    assert not hmm.replay(good[1], trust=True).converged
    with pytest.raises(SystemExit):
        cli.main(["replay", good[1]])
    assert "--trust" in capsys.readouterr().err
    cli.main(["replay", good[1], "--trust"])
    assert "no solution" in capsys.readouterr().out


LAWS = [
    SOFT,
    STIFF,
    hmm.laws.J2(70e3, 0.3, 100.0, hmm.laws.Voce(50.0, 0.1, 1 / 3), hmm.laws.ArmstrongFrederick(1e3, 3.0)),
    hmm.laws.Anisotropic.cubic(168e3, 121e3, 75e3, np.eye(3)),
    hmm.laws.GeneralizedMaxwell(1e3, 0.4, ((5e2, 0.1), (2e2, 10.0))),
    hmm.laws.Ogden(((1.2, 2.0), (-0.1, -2.0)), 50.0),
    hmm.laws.Fourier([[1.0, 0.0], [0.0, 2.0]]),
    hmm.laws.Fourier(np.diag([0.1, 0.2])),
    hmm.laws.Elastic(np.float64(1 / 3), 0.2),
]


@alone
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_laws_as_text_come_back(law):
    again = written.from_text(json.loads(json.dumps(written.as_text(law))))
    assert described(again) == described(law) and type(again) is type(law)


@alone
def test_what_is_no_text():
    for law in (Mine(70e3, 0.3, 100.0), hmm.laws.Fourier(lambda T: 1.0 + T), lambda T: T):
        with pytest.raises(TypeError, match=r"not of hmm.laws"):
            written.as_text(law)
    for text in ({"law": "Local", "with": {}}, {"law": "J2"}, {"tuple": 3}, [1, 2]):
        with pytest.raises(hmm.InputError, match=r"is not a law of hmm.laws"):
            written.from_text(text)
    assert is_harmless("ksp_type", "preonly") and is_harmless("ksp_rtol", 1e-8)
    for option in (("pc_python_type", "a.B"), ("ksp_view", "x"), ("ksp_monitor", None), ("mat_x", "ascii:/tmp/x")):
        assert not is_harmless(*option)


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
    with pytest.raises(hmm.InputError, match=r"there is no dump .*missing.npz: give the .npz file"):
        hmm.replay(tmp_path / "missing.npz")
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(hmm.InputError, match=r"pipe.npz is a named pipe"):
        hmm.replay(tmp_path / "pipe.npz")


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
