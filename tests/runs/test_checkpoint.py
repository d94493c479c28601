"""A run that is killed, damaged, moved to other ranks or stopped goes on, or says why it cannot."""

import hmm  # isort: skip

import json
import os
import random
import resource
import signal
import subprocess
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.macro_tools import J2, Beam, beam, composite, held_square, homogeneous_cell, rve_of, square_cell

COMM = MPI.COMM_WORLD
SERIAL = pytest.mark.skipif(COMM.size > 1, reason="starts mpirun, which MPI forbids under mpirun")
SOFT = hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=600.0)


@pytest.fixture
def folder(tmp_path) -> Path:
    """The same folder on all ranks."""
    return COMM.bcast(tmp_path)


def run_to(body: Beam, path: Path, target: float = -0.06, n: int = 4, last: int | None = None) -> list[float]:
    """Reactions of the steps that are left; the loop is left in the body of the step after `last`."""
    reactions = []
    for step in hmm.steps(body.problem, body.load, target, n, checkpoint=path):
        if last is not None and step.number > last:
            break
        reactions.append(body.problem.reaction(body.drive))
    return reactions


@pytest.mark.mpi
def test_continuing_is_the_same_as_going_on(folder):
    """The steps after a restart are those of the uninterrupted run, to the last iteration."""
    whole = beam(composite())
    expected = run_to(whole, folder / "whole.h5")
    assert run_to(beam(composite()), folder / "run.h5", last=2) == pytest.approx(expected[:2], rel=1e-12)
    again = beam(composite())
    assert run_to(again, folder / "run.h5") == pytest.approx(expected[2:], rel=1e-10)
    assert [s.iterations for s in again.problem.stats] == [s.iterations for s in whole.problem.stats[2:]]
    assert again.hom.states.persistent().keys() == whole.hom.states.persistent().keys()
    for name, array in again.hom.states.persistent().items():
        assert np.allclose(array, whole.hom.states.persistent()[name], rtol=1e-9, atol=1e-12), name


@pytest.mark.mpi
def test_finished_parts_and_calls_that_differ(folder, capfd):
    """A finished part is not done again; another target, number of steps or start is refused."""
    path = folder / "run.h5"
    first = beam(composite())
    expected = run_to(first, path), run_to(first, path, target=-0.02, n=2)
    again = beam(composite())
    assert run_to(again, path) == []
    assert again.load.value == -0.06
    assert run_to(again, path, target=-0.02, n=2) == []
    assert again.problem.reaction(again.drive) == pytest.approx(expected[1][-1], rel=1e-12)
    assert run_to(again, path, target=-0.01, n=1) == pytest.approx(run_to(first, folder / "b.h5", -0.01, 1), rel=1e-10)
    if COMM.rank == 0:
        out = capfd.readouterr().out
        assert "the 4 steps from 0.0 to -0.06 are done, and more after them" in out
        assert "the 2 steps from -0.06 to -0.02 are done; remove the file to repeat them" in out
    other = beam(composite())
    with pytest.raises(hmm.InputError, match=r"is 4 steps from 0.0 to -0.06, and this call asks for 5 steps from"):
        run_to(other, path, n=5)
    other.load.value = 0.01
    with pytest.raises(hmm.InputError, match=r"this call asks for 4 steps from 0.01 to -0.06: repeat the call"):
        run_to(other, path)


@pytest.mark.mpi
def test_save_and_load(folder):
    """The low-level pair keeps a note, and what `reaction` and the quadrature Functions show."""
    path = folder / "state.h5"
    body = beam(composite())
    body.reactions([-0.04], n=3)
    hmm.checkpoint.save(path, body.problem, {"time": 0.1})
    other = beam(composite())
    assert hmm.checkpoint.load(path, other.problem) == {"time": 0.1}
    assert np.array_equal(other.u.x.array, body.u.x.array)
    assert other.problem.reaction(other.drive) == body.problem.reaction(body.drive)
    for a, b in zip(other.hom.responses, body.hom.responses, strict=True):
        assert np.array_equal(a.x.array, b.x.array)
    with pytest.raises(hmm.InputError, match=r"was not written by hmm.steps"):
        run_to(other, path)


@pytest.mark.mpi
def test_blocks_of_one_row(folder, monkeypatch):
    """Rows that go through rank 0 one at a time arrive where they belong."""
    body = beam(composite())
    body.reactions([-0.04], n=2)
    hmm.checkpoint.save(folder / "a.h5", body.problem)
    monkeypatch.setattr(hmm.runs.blocks, "BLOCK", 1)
    hmm.checkpoint.save(folder / "b.h5", body.problem)
    assert (folder / "a.h5").read_bytes()[512:] == (folder / "b.h5").read_bytes()[512:]
    other = beam(composite())
    hmm.checkpoint.load(folder / "b.h5", other.problem)
    assert np.array_equal(other.hom.states.trial.variables["z"], body.hom.states.trial.variables["z"])


OTHERS = {
    "macro mesh": lambda: beam(composite(), cells=(4, 2)),
    "law of 'matrix'": lambda: beam(composite(SOFT)),
    "constraint": lambda: beam(
        rve_of(square_cell(), {"matrix": J2, "inclusion": hmm.laws.Elastic(400e3, 0.2)}, constraint="dirichlet")
    ),
    "unit cell": lambda: beam(rve_of(homogeneous_cell(), {"matrix": J2})),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    path = COMM.bcast(tmp_path_factory.mktemp("good")) / "run.h5"
    run_to(beam(composite()), path, n=2)
    return path


@pytest.mark.mpi
@pytest.mark.parametrize("name", list(OTHERS))
def test_another_run_is_refused(good, name):
    with pytest.raises(hmm.InputError, match=rf"does not belong to this run: the {name} is .* here; continue with"):
        run_to(OTHERS[name](), good, n=2)


@pytest.mark.mpi
def test_damaged_files_are_refused(good, folder):
    """Any flipped bit, a file cut off, and files of other kinds."""
    path, content, body = folder / "bad.h5", good.read_bytes(), beam(composite())
    rng = random.Random(1)
    flips = [*range(0, 512, 37), *(rng.randrange(len(content)) for _ in range(60))]
    bad = [content[:i] + bytes([content[i] ^ (1 << rng.randrange(8))]) + content[i + 1 :] for i in flips]
    bad += [content[: len(content) // 2], content[:100], content + b"\0", b"", b"points, hash", b"\x89HDF\r\n\x1a\n"]
    for data in bad:
        if COMM.rank == 0:
            path.write_bytes(data)
        COMM.barrier()
        with pytest.raises(hmm.InputError, match=r"(is damaged|is not a checkpoint|has the format)") as caught:
            hmm.checkpoint.load(path, body.problem)
        assert "\n" not in str(caught.value)
        COMM.barrier()


def _external_link(h5py, file, path):
    secret = path.with_name("secret.h5")
    with h5py.File(secret, "w") as other:
        other["u"] = file["fields/u"][()]
    del file["fields/u"]
    file["fields/u"] = h5py.ExternalLink(str(secret), "u")


def _external_storage(h5py, file, path):
    secret, like = path.with_name("secret"), file["points/z"]
    secret.write_bytes(like[()].tobytes())
    shape, dtype = like.shape, like.dtype
    del file["points/z"]
    file.create_dataset("points/z", shape, dtype, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def _soft_link(h5py, file, path):
    del file["fields/u"]
    file["fields/u"] = h5py.SoftLink("/fields/forces")


def _virtual(h5py, file, path):
    layout = h5py.VirtualLayout(file["fields/u"].shape, "f8")
    layout[:] = h5py.VirtualSource(file["fields/forces"])
    del file["fields/u"]
    file.create_virtual_dataset("fields/u", layout)


def _filtered(h5py, file, path):
    values = file["fields/u"][()]
    del file["fields/u"]
    file.create_dataset("fields/u", data=values, compression="gzip")


def _too_few_rows(h5py, file, path):
    values = file["fields/u"][:1]
    del file["fields/u"]
    file["fields/u"] = values


def _never_stored(h5py, file, path):
    del file["note"]
    file.create_dataset("note", (1 << 50,), "u1")


def _other_note(h5py, file, path):
    del file["note"]
    file["note"] = np.frombuffer(b"[[[]]]", np.uint8)


@pytest.mark.mpi
@pytest.mark.parametrize(
    "forge",
    [_external_link, _external_storage, _soft_link, _virtual, _filtered, _too_few_rows, _never_stored, _other_note],
)
def test_forged_files_lead_nowhere(good, folder, forge):
    """With a checksum that is right: no other file is read, no filter is looked for, nothing is reserved."""
    h5py, path, body = pytest.importorskip("h5py"), folder / "forged.h5", beam(composite())
    if COMM.rank == 0:
        path.write_bytes(good.read_bytes())
        with h5py.File(path, "r+") as file:
            forge(h5py, file, path)
        hmm.runs.sealing.seal_file(path)
    COMM.barrier()
    with pytest.raises(hmm.InputError, match=r"forged.h5: its '.*' is not what hmm writes there") as caught:
        hmm.checkpoint.load(path, body.problem)
    assert "\n" not in str(caught.value)


@pytest.mark.mpi
def test_links_and_what_is_no_file(good, folder):
    """A symbolic link stays one, also if what it points to is not there yet; FIFOs and devices are refused at once."""
    body, link, store = beam(composite()), folder / "link.h5", folder / "store"
    if COMM.rank == 0:
        store.mkdir()
        link.symlink_to(store / "run.h5")
        os.mkfifo(folder / "pipe.h5")
    COMM.barrier()
    for _ in range(2):
        hmm.checkpoint.save(link, body.problem)
        COMM.barrier()
        assert link.is_symlink() and [p.name for p in store.iterdir()] == ["run.h5"]
        COMM.barrier()
    hmm.checkpoint.load(link, body.problem)
    for path, kind in ((folder / "pipe.h5", "a named pipe"), (Path("/dev/null"), "a device"), (store, "a directory")):
        for action in (hmm.checkpoint.save, hmm.checkpoint.load):
            with pytest.raises(hmm.InputError, match=rf"the checkpoint file .* is {kind}"):
                action(path, body.problem)
        with pytest.raises(hmm.InputError, match=rf"(the checkpoint file|cannot write) .* (is {kind}|lock)"):
            run_to(body, path)


@pytest.mark.mpi
def test_no_room_leaves_the_old_file(good, folder, monkeypatch):
    """The system refuses to let the file grow: one line on all ranks, no half file, and the old one is whole."""
    path, body = folder / "run.h5", beam(composite())
    if COMM.rank == 0:
        path.write_bytes(good.read_bytes())
    COMM.barrier()
    body.reactions([-0.04], n=2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(hmm.InputError, match=r"cannot write .*run.h5 \(File too large\): free disk space"):
            hmm.checkpoint.save(path, body.problem)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    COMM.barrier()
    assert path.read_bytes() == good.read_bytes()
    assert not path.with_name("run.h5.part").exists()
    with pytest.raises(hmm.InputError, match=r"cannot write"):
        hmm.checkpoint.save(folder / "nowhere" / "run.h5", body.problem)
    monkeypatch.setattr(hmm.runs.storage.shutil, "disk_usage", lambda _: _Free(1000))
    with pytest.raises(hmm.InputError, match=r"it needs \d.* MB and .* has 0.0 MB left"):
        hmm.checkpoint.save(path, body.problem)


class _Free:
    def __init__(self, free: int) -> None:
        self.free = free


@SERIAL
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_full_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a disk")
    try:
        body = beam(composite())
        run_to(body, disk / "run.h5", n=1)
        before = (disk / "run.h5").read_bytes()
        with pytest.raises(hmm.InputError, match=r"cannot write .*run.h5"):
            run_to(body, disk / "run.h5", target=-0.02, n=1)
        assert (disk / "run.h5").read_bytes() == before
        assert [p.name for p in disk.iterdir()] == ["run.h5"]
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.mpi
def test_constants_that_the_loop_changes(folder):
    """Sigma = k (E - theta I): theta grows after each step, and goes on growing from where it was."""

    def run(last: int) -> list[tuple[int, float]]:
        cell = homogeneous_cell()
        w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)
        k, theta = fem.Constant(cell.mesh, 3.0), fem.Constant(cell.mesh, 0.0)
        e = E.local(w) - theta * ufl.Identity(2)
        rve = hmm.RVE(cell, w, E, energy=k / 2 * ufl.inner(e, e) * cell.measure())
        problem, hom = held_square(rve, lambda x: 0.01 * x[:2], "monolithic")
        seen = []
        for step in hmm.steps(problem, fem.Constant(hom.mesh, 0.0), 1.0, 4, checkpoint=folder / "run.h5"):
            if step.number > last:
                break
            assert np.allclose(hom.stress.x.array[: 4 * hom.n_points : 4], 3.0 * (0.01 - theta.value), atol=1e-12)
            seen.append((step.number, theta.value.item()))
            theta.value += 0.5
        return seen

    assert run(last=2) == [(1, 0.0), (2, 0.5)]
    assert run(last=4) == [(3, 1.0), (4, 1.5)]


@pytest.mark.mpi
def test_handlers_are_put_back(folder):
    before = [signal.getsignal(s) for s in hmm.foundation.signals.SIGNALS]
    body = beam(composite())
    for _ in hmm.steps(body.problem, body.load, -0.01, 1, checkpoint=folder / "run.h5"):
        assert [signal.getsignal(s) for s in hmm.foundation.signals.SIGNALS] != before
    assert [signal.getsignal(s) for s in hmm.foundation.signals.SIGNALS] == before
    for options in ({"max_wall_time": 10.0}, {"every": 0}, {"max_cutbacks": -1}, {"duration": 0.0}):
        with pytest.raises(hmm.InputError, match=next(iter(options))):
            next(hmm.steps(body.problem, body.load, -0.02, 1, **options))


@pytest.mark.mpi
def test_what_is_in_the_file(good):
    """Plain HDF5: rows in the order of the macro cells of the input, whatever ranks there were."""
    h5py = pytest.importorskip("h5py")
    if COMM.rank == 0:
        with h5py.File(good) as file:
            assert file["points/history"].shape[0] == 8 * 3  # triangles times points
            assert file["fields/u"].shape == (8, 12)
            assert json.loads(bytes(file["note"][()]))["identity"]["constraint"] == "periodic"


@pytest.mark.mpi
def test_a_rank_without_macro_cells(folder):
    """A macro mesh of one cell: all but one rank have none, and no part in what is written but to wait for it."""
    domain = mesh.create_rectangle(COMM, [(0, 0), (1, 1)], (1, 1), mesh.CellType.quadrilateral)
    problem, hom = held_square(composite(), lambda x: 0.01 * x[:2], "monolithic", domain)
    assert sorted(COMM.allgather(hom.n_points))[:-1] == [0] * (COMM.size - 1)
    with hmm.Output(folder / "results", hom, problem.u) as output:
        for step in hmm.steps(problem, fem.Constant(domain, 0.0), 1.0, 2, checkpoint=folder / "run.h5"):
            output.write(step.number)
    assert step.number == 2
    again, _ = held_square(composite(), lambda x: 0.01 * x[:2], "monolithic", domain)
    assert not list(hmm.steps(again, fem.Constant(domain, 0.0), 1.0, 2, checkpoint=folder / "run.h5"))
    assert np.allclose(again.u.x.array, problem.u.x.array, rtol=0, atol=1e-15)
