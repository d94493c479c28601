"""Start Slurm on this machine for a moment, and run the batch scripts of the documentation in it: ``make slurm-test``.

Needs the packages ``slurm-wlm`` and ``munge`` of Debian or Ubuntu, and the environment of ``make``; takes some minutes.
The daemons belong to this user, have a folder, ports and keys of their own, and end with this program. Each batch
script is taken from the page where it stands; only the size of the job is changed, on the command line of ``sbatch``.
"""

import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "scripts" / "slurm_program.py"
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo")
RANKS = min(2, os.cpu_count() or 1)
STEPS = 24
FRACTIONS = (0.2, 0.4, 0.6, 0.8)
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL"}

CONFIGURATION = """
ClusterName=hmm
FirstJobId={first}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
MpiDefault=none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
"""One node without accounting; requeued jobs wait 5 s instead of 2 minutes (``cred_expire``).

The first number of a job is not 1 each time, since MPICH names its shared memory after the job and the step: that of a
killed job remains in /dev/shm, and a later job of the same number would fail with it.
"""


LAMINATE = """
cell = {{generator = "laminate", fractions = {{a = {a}, b = {b}}}, mesh_size = 0.5}}
phases.a = {{law = "Elastic", young = 1.0, poisson = 0.0}}
phases.b = {{law = "Elastic", young = 10.0, poisson = 0.0}}
output.plot = false
"""


def say(text: str) -> None:
    """Print a line at once."""
    print(f"[slurm-test] {text}", flush=True)


def output(*command: str | Path) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} fails ({done.returncode}): {done.stderr.strip()}")
    return done.stdout


def until(condition: Callable[[], object], what: str, limit: float) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {limit:g} s")
        time.sleep(1.0)


def free_ports(number: int) -> list[int]:
    """Ports of this machine that no program uses."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def daemon(*command: str | Path) -> Iterator[None]:
    """A program in the foreground that runs as long as the body."""
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """A cluster of this machine alone; the commands of Slurm in this process and its children use it."""
    for name in ("spool", "state"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    host = socket.gethostname().split(".")[0]
    names = {"host": host, "user": getpass.getuser(), "folder": folder, "cores": os.cpu_count(), "ports": free_ports(2)}
    names["first"] = 1000 + int(time.time()) % 10_000_000
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    Path(os.environ["SLURM_CONF"]).write_text(CONFIGURATION.format(**names))
    files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    with ExitStack() as stack:
        stack.enter_context(daemon("munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files))
        until((folder / "munge.socket").exists, "munged", 20)
        stack.enter_context(daemon("slurmctld", "-D"))
        stack.enter_context(daemon("slurmd", "-D"))
        until(lambda: "idle" in _quiet("sinfo", "--noheader", "--format=%T"), "a node that is idle", 60)
        stack.callback(_cancel_all)  # jobs would outlive the daemons
        yield


def _cancel_all() -> None:
    _quiet("scancel", f"--user={getpass.getuser()}")
    until(lambda: not _quiet("squeue", "--noheader"), "the end of all jobs", 60)


def _quiet(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def batch_script(page: str, mark: str) -> str:
    """The batch script of a page that contains `mark`."""
    found = [text for text in re.findall(r"```sh\n(#!.*?)```", (ROOT / page).read_text(), re.DOTALL) if mark in text]
    if len(found) != 1:
        raise SystemExit(f"{page} has {len(found)} batch scripts with {mark!r}, not 1")
    return found[0]


def submit(folder: Path, script: str, *options: str) -> str:
    """Submit a batch script in a folder; returns the number of the job."""
    (folder / "job.sh").write_text(script)
    return output("sbatch", "--parsable", f"--chdir={folder}", *options, folder / "job.sh").strip()


def state(job: str) -> dict[str, str]:
    """What Slurm knows of a job; of an array the task that has not ended, if there is one."""
    lines = _quiet("scontrol", "show", "job", "-o", job).splitlines()
    tasks = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
    return next((task for task in tasks if task["JobState"] not in ENDED), tasks[0])


def finish(folder: Path, job: str, limit: float = 600.0) -> dict[str, str]:
    """Wait until a job of a folder and all tasks of its array ended; they must have succeeded."""
    until(lambda: state(job)["JobState"] in ENDED, f"job {job}", limit)
    if (ended := state(job))["JobState"] != "COMPLETED":
        written = "\n".join(path.read_text() for path in folder.glob("slurm-*.out"))
        raise SystemExit(f"job {job} ended as {ended['JobState']} ({ended['ExitCode']}):\n{written}")
    return ended


def new_folder(work: Path, name: str) -> Path:
    """A folder for a job, with the program of the documentation's scripts."""
    folder = work / name
    folder.mkdir()
    for script in ("my_script.py", "beam.py"):
        shutil.copy(PROGRAM, folder / script)
    return folder


def solved(folder: Path) -> list[int]:
    """The numbers of the steps in the order in which they were solved."""
    return [int(line.split()[0]) for line in (folder / "steps.txt").read_text().splitlines()]


def answer(folder: Path) -> tuple[int, float]:
    """The number of ranks and the last reaction."""
    ranks, reaction = (folder / "answer.txt").read_text().split()
    return int(ranks), float(reaction)


def ranks_belong_together() -> None:
    """srun's ranks are one MPI job, with the MPICH of the wheel."""
    printed = output("srun", "--mpi=pmi2", "-n", str(RANKS), sys.executable, ROOT / "scripts" / "smoke.py")
    assert f"on {RANKS} rank(s)" in printed, printed
    say(f"srun --mpi=pmi2: {printed.strip()}")


def readme_script(work: Path) -> tuple[int, float]:
    """The script of the README, on one node; returns the answer of the uninterrupted run."""
    folder = new_folder(work, "uninterrupted")
    start = time.monotonic()
    finish(folder, submit(folder, batch_script("README.md", "srun"), "--nodes=1", f"--ntasks-per-node={RANKS}"))
    assert solved(folder) == list(range(1, STEPS + 1))
    ranks, reaction = answer(folder)
    assert ranks == RANKS
    say(f"script of README.md on {ranks} ranks, in {time.monotonic() - start:.0f} s: reaction {reaction:.10g}")
    return ranks, reaction


def interrupted(work: Path, expected: tuple[int, float], page: str, sent: str) -> None:
    """A requeueing script with a limit of 2 minutes: stopped before it by a signal, requeued, continued.

    Slurm sends the signal 30 to 60 s before the limit, when the set-up has ended and before the steps can end.
    """
    folder = new_folder(work, Path(page).stem)
    os.environ["HMM_PAUSE"] = "3"
    start = time.monotonic()
    options = ("--time=2", f"--signal={sent}", "--nodes=1", f"--ntasks={RANKS}", f"--ntasks-per-node={RANKS}")
    ended = finish(folder, submit(folder, batch_script(page, "scontrol requeue"), *options), 1200)
    del os.environ["HMM_PAUSE"]
    restarts, steps = int(ended["Restarts"]), solved(folder)
    assert restarts > 0, "the run was not interrupted"
    assert steps == list(range(1, STEPS + 1)), steps
    ranks, reaction = answer(folder)
    difference = abs(reaction - expected[1]) / abs(expected[1])
    assert ranks == expected[0] and difference < 1e-9, (reaction, expected)
    say(
        f"script of {page}, requeued {restarts} time(s), in {time.monotonic() - start:.0f} s: "
        f"each step solved once, reaction {reaction:.10g}, relative difference {difference:.1e}"
    )


def array(work: Path) -> None:
    """The array of docs/running.md: laminates, whose stiffness across the layers is the harmonic mean."""
    folder = new_folder(work, "array")
    (folder / "study").mkdir()
    for number, fraction in enumerate(FRACTIONS):
        (folder / "study" / f"{number}.toml").write_text(LAMINATE.format(a=fraction, b=1.0 - fraction))
    finish(folder, submit(folder, batch_script("docs/running.md", "SLURM_ARRAY_TASK_ID")))
    for number, fraction in enumerate(FRACTIONS):
        found = json.loads((folder / "results" / str(number) / "properties.json").read_text())
        expected = 1.0 / (fraction / 1.0 + (1.0 - fraction) / 10.0)
        assert abs(found["tensor"][0][0] - expected) < 1e-9 * expected, (number, found["tensor"], expected)
    say(f"array of {len(FRACTIONS)} cells: each agrees with its closed form")


def sweep(work: Path) -> None:
    """The array that ``hmm sweep --slurm`` writes, each task on several ranks."""
    folder, moduli = new_folder(work, "sweep"), (10.0, 20.0)
    (folder / "job.toml").write_text("spread = true\n" + LAMINATE.format(a=0.5, b=0.5))
    command = [sys.executable, "-m", "hmm", "sweep", str(folder / "job.toml"), "--output", str(folder / "out")]
    command += ["--vary", f"phases.b.young={','.join(map(str, moduli))}", "--workers", "2"]
    output(*command, "--ranks", str(RANKS), "--slurm")
    finish(folder, output("sbatch", "--parsable", folder / "out" / "sweep.sbatch").strip())
    found = json.loads(output(*command, "--collect", "--json"))["variants"]
    for variant, young in zip(found, moduli, strict=True):
        expected = 2.0 / (1.0 / 1.0 + 1.0 / young)
        assert abs(variant["values"]["E1"] - expected) < 1e-6 * expected, (variant, expected)
    say(f"array of a sweep, {len(moduli)} variants on {RANKS} ranks each: each agrees with its closed form")


def main() -> None:
    """Run all checks."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}. Debian, Ubuntu: sudo apt install slurm-wlm munge")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["SLURM_MPI_TYPE"] = "pmi2"  # for scripts that leave this to the cluster
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the daemons are ended
    with tempfile.TemporaryDirectory(prefix="hmm-slurm-") as name:
        work = Path(name)
        with slurm(work):
            ranks_belong_together()
            expected = readme_script(work)
            interrupted(work, expected, "docs/running.md", "B:USR1@30")
            interrupted(work, expected, "docs/tutorials/cluster.md", "USR1@30")
            array(work)
            sweep(work)
    say("ok")


if __name__ == "__main__":
    main()
