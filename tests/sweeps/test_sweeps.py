"""`hmm sweep`: variants as processes, failures, continuation, Slurm, and everything that may be wrong."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mpi4py import MPI

import pytest
from support.job_files import FIBRE

import hmm
from hmm import cli
from hmm.sweeps import Sweep, SweepAxis, run_sweep, write_slurm_script
from hmm.sweeps.running import launcher, words

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="a sweep starts its own processes")

LAMINATE = """
[plies.ud]
E1 = 140.0
E2 = 10.0
nu12 = 0.3
G12 = 5.0

[laminate]
stacking = [0, 90]
thickness = 0.125
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("job.toml").write_text(FIBRE)
    Path("laminate.toml").write_text(LAMINATE)
    return "job.toml"


def swept(job, *texts, **options):
    return Sweep.of(job, [SweepAxis.parsed(text) for text in texts], **options)


# -- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=100:400:7", (100, 150, 200, 250, 300, 350, 400)),
        ("a.b=0.1:0.5:5", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("a.b=1:1000:4:log", (1, 10, 100, 1000)),
        ("a.b=2,0.5,1e3", (2, 0.5, 1000.0)),
        ("a.b=square, hexagonal", ("square", "hexagonal")),
        ("a.b=true,false", (True, False)),
        ("a.b=[1, 0],[0, 1]", ([1, 0], [0, 1])),
        ('a."*".b="x,y",3', ("x,y", 3)),
    ],
)
def test_values(text, values):
    assert SweepAxis.parsed(text).values == values


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], "nothing varies"),
        (["phases.fibre.young"], "write KEY=VALUE,VALUE"),
        (["phases.fibre.young="], "write KEY=VALUE,VALUE"),
        (["phases.fibre.young=1:2"], "give a number"),
        (["phases.fibre.young=1:2:x"], "write FIRST:LAST:NUMBER"),
        (["phases.fibre.young=1:2:1"], "give 2 to"),
        (["phases.fibre.young=0:2:5:log"], "ends of the same sign"),
        (["phases.fibre.young=1,,2"], "is empty"),
        (["phases.fibre.young=1,1"], "has a value twice"),
        (["phases..young=1,2"], "is not a key of a job"),
        (["phases.fiber.young=1,2"], "[phases] has no section 'fiber' (did you mean 'fibre'?)"),
        (["phase.fibre.young=1,2"], "there is no section 'phase' (did you mean 'phases'?)"),
        (["phases.fibre.youngs=1,2"], "unknown key 'youngs' (did you mean 'young'?)"),
        (["cell.volume_fracton=0.1,0.2"], "unknown key 'volume_fracton' (did you mean 'volume_fraction'?)"),
        (["phases.fibre.young=1,hard"], "young = 'hard' is not understood: give a number (varied: "),
        (["phases.fibre.young=1,2"] * 2, "varies twice"),
        ([f"phases.{p}.{q}=1:2:99" for p in ("fibre", "matrix") for q in ("young", "poisson")], "are the limit"),
    ],
)
def test_wrong_values_are_one_line(job, texts, words):
    with pytest.raises(hmm.InputError) as error:
        swept(job, *texts)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_values_that_vary_together(job):
    found = swept(job, "phases.fibre.young=1,2", "cell.volume_fraction=0.2,0.3", together=True)
    assert [list(v.changes.values()) for v in found.variants] == [[1, 0.2], [2, 0.3]]
    with pytest.raises(hmm.InputError, match=r"have \[2, 3\] values"):
        swept(job, "phases.fibre.young=1,2", "cell.volume_fraction=0.2,0.3,0.4", together=True)


def test_directories_are_named_after_what_varies(job):
    found = swept(job, "phases.fibre.young=1,2", "phases.matrix.young=0.5,3")
    assert found.variants[0].directory.as_posix() == "results/job-sweep/fibre.young=1,matrix.young=0.5"
    odd = swept(job, 'cell.array="square","hexagonal"')
    assert len({variant.directory for variant in odd.variants}) == 2


# -- runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_values_are_those_of_single_jobs(job, capsys):
    """One of two variants fails; it is named, the other one is there, and only the failed one is tried again."""
    argv = ["sweep", job, "--vary", "cell.volume_fraction=0.2,2", "--workers", "2"]
    with pytest.raises(SystemExit) as end:
        cli.main(argv)
    assert end.value.code == 1
    printed = capsys.readouterr()
    assert "1 of 2 variants failed: cell.volume_fraction = 2: job.toml: [cell]: volume_fraction = 2" in printed.err
    assert printed.err.count("\n") == 1 and "failed" in printed.out
    Path("single.toml").write_text(FIBRE.replace("0.3\nmesh", "0.2\nmesh"))
    expected = hmm.jobs.running.homogenized(hmm.jobs.read_job("single.toml")).constants
    with open("results/job-sweep/sweep.csv") as file:
        rows = list(csv.DictReader(file))
    assert {name: float(rows[0][name]) for name in expected} == pytest.approx(expected, rel=1e-9)
    assert rows[1]["E1"] == "" and "0.785398" in rows[1]["error"]
    assert Path("results/job-sweep/sweep.png").stat().st_size > 5000
    page = Path("results/job-sweep/report.html").read_text()
    assert "Failed variants" in page and "data:image/png" in page and "mesh_size = 0.3" in page
    done = Path("results/job-sweep/volume_fraction=0.2/properties.json").stat().st_mtime_ns
    with pytest.raises(SystemExit):
        cli.main([*argv, "--quiet"])
    assert Path("results/job-sweep/volume_fraction=0.2/properties.json").stat().st_mtime_ns == done


def test_more_values_continue_and_another_job_is_refused(job):
    first = run_sweep(swept("laminate.toml", "plies.ud.E1=140,150", directory="out"), workers=2)
    more = run_sweep(swept("laminate.toml", "plies.ud.E1=140,150,160", directory="out"), collect=True)
    assert more.values[:2] == first.values and list(more.errors) == [2]
    E, E2, nu12 = 150.0, 10.0, 0.3
    Q = E / (1 - nu12**2 * E2 / E), E2 / (1 - nu12**2 * E2 / E)
    assert first.values[1]["nuxy"] > 0 and first.values[1]["Ex"] < (Q[0] + Q[1]) / 2
    Path("laminate.toml").write_text(LAMINATE.replace("0.125", "0.25"))
    with pytest.raises(hmm.InputError, match=r"has results of another job, or laminate\.toml was edited since"):
        run_sweep(swept("laminate.toml", "plies.ud.E1=140,150", directory="out"))


def test_json_and_outputs(job, capsys):
    cli.main(["sweep", "laminate.toml", "--vary", "plies.ud.E1=140,150", "--json", "--output", "out"])
    found = json.loads(capsys.readouterr().out)
    assert [v["changes"] for v in found["variants"]] == [{"plies.ud.E1": 140}, {"plies.ud.E1": 150}]
    cli.main(["sweep", "laminate.toml", "--vary", "plies.ud.E1=140,150", "--output", "out", "--outputs", "Ex,Gxy"])
    assert Path("out/sweep.csv").read_text().splitlines()[0] == "plies.ud.E1,Ex,Gxy,error"
    with pytest.raises(SystemExit):
        cli.main(["sweep", "laminate.toml", "--vary", "plies.ud.E1=140,150", "--output", "out", "--outputs", "Exx"])
    assert "the jobs give no 'Exx' (did you mean 'Ex'?)" in capsys.readouterr().err


@pytest.mark.slow
def test_ranks_of_mpi(job):
    sweep = swept(job, "phases.fibre.young=70,80", ranks=2)
    assert "spread=true" in words(sweep, sweep.variants[0])
    found = run_sweep(sweep, only=1)
    assert found.values[0] is None and not found.errors
    one = hmm.jobs.running.homogenized(hmm.jobs.read_job(job, changes={"phases.fibre.young": 80})).constants
    assert found.values[1] == pytest.approx(one, rel=1e-6)


@pytest.mark.slow
def test_an_interrupted_sweep_ends_its_processes_and_continues(job):
    command = [sys.executable, "-m", "hmm", "sweep", job, "--vary", "phases.fibre.young=10,20", "--output", "out"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    end = time.monotonic() + 60
    while not Path("out/young=10/output.txt").exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped by SIGINT" in errors
    mine = [p for p in Path("/proc").glob("[0-9]*/cwd") if _cwd(p) == os.getcwd() and int(p.parts[2]) != os.getpid()]
    assert not mine
    assert not run_sweep(swept(job, "phases.fibre.young=10,20", directory="out"), workers=2).errors


def _cwd(link):
    try:
        return os.readlink(link)
    except OSError:
        return ""


# -- Slurm ----------------------------------------------------------------------------------------------------------


def test_the_script_for_slurm(job, capsys):
    argv = ["sweep", "laminate.toml", "--vary", "plies.ud.E1=140,150", "--output", "out"]
    cli.main([*argv, "--slurm", "--workers", "4"])
    script = Path("out/sweep.sbatch").read_text()
    assert "#SBATCH --array=0-1%4" in script and "sbatch out/sweep.sbatch" in capsys.readouterr().out
    line = script.splitlines()[-1]
    environment = os.environ | {
        "SLURM_ARRAY_TASK_ID": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    found = run_sweep(swept("laminate.toml", "plies.ud.E1=140,150", directory="out"), collect=True)
    assert found.values[0] is None and found.values[1]["Ex"] > 0 and found.errors == {0: "no results"}


@pytest.mark.parametrize(
    ("name", "key", "command"),
    [
        ("fibre", "phases.fibre.young=100,200", "homogenize"),
        ("cycles", "test.to=0.001,0.002", "test"),
        ("laminate", "load.temperature=0,-10", "laminate"),
        ("beam", "material.phases.fibre.young=1e5,2e5", "run"),
    ],
)
def test_each_kind_of_job(name, key, command):
    found = swept(Path(__file__).parents[2] / "demos" / "jobs" / f"{name}.toml", key, directory="out")
    line = words(found, found.variants[1])
    assert (found.kind.command, line[0]) == (command, command)
    path, _, values = key.partition("=")
    assert f"{path}={float(values.partition(',')[2]):g}" in [word.replace("200000.0", "200000") for word in line]


def test_a_load_test_is_swept(job):
    Path("test.toml").write_text(FIBRE + "[test]\nto = 0.01\nsteps = 1\n")
    found = run_sweep(swept("test.toml", "phases.matrix.young=3,6", "phases.fibre.young=70,140", together=True))
    soft, stiff = (values["last stress"] for values in found.values)
    assert stiff == pytest.approx(2 * soft, rel=1e-9)
    assert {path.name for path in found.sweep.variants[0].directory.iterdir()} == {
        *("curve.csv", "test.json", "variant.json", "output.txt")
    }


def test_the_launcher(monkeypatch):
    assert launcher(1) == []
    assert launcher(3)[-2:] == ["-n", "3"] and "mpirun" in launcher(3)[0]
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert launcher(2) == ["srun", "--mpi=pmi2", "-n", "2"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers = 0: give a whole number of at least 1"),
        ({"only": 2}, "only = 2: give a whole number of at least 0 and at most 1"),
    ],
)
def test_wrong_options_are_one_line(job, options, words):
    with pytest.raises(hmm.InputError, match=words):
        run_sweep(swept("laminate.toml", "plies.ud.E1=1,2"), **options)


def test_wrong_options_of_scripts_are_one_line(job):
    with pytest.raises(hmm.InputError, match="ranks = 0: give a whole number"):
        swept("laminate.toml", "plies.ud.E1=1,2", ranks=0)
    with pytest.raises(hmm.InputError, match="workers = 0: give a whole number"):
        write_slurm_script(swept("laminate.toml", "plies.ud.E1=1,2"), [], workers=0)


# -- changes of single jobs -----------------------------------------------------------------------------------------


def test_a_job_with_changes(job, capsys):
    argv = ["homogenize", job, "--set", "phases.fibre.young=80", "--set", "output.report=false", "--output", "out"]
    cli.main([*argv, "--json"])
    found = json.loads(capsys.readouterr().out)
    Path("other.toml").write_text(FIBRE.replace("70.0", "80.0"))
    expected = hmm.jobs.running.homogenized(hmm.jobs.read_job("other.toml"))
    assert found["constants"] == pytest.approx(expected.constants, rel=1e-12)
    assert {path.name for path in Path("out").iterdir()} == {"properties.json"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["phases.fibre.young"], "--set 'phases.fibre.young': write KEY=VALUE"),
        (["degree=1", "degree=2"], "--set degree is given twice"),
        (["degre=1"], "unknown key 'degre' (did you mean 'degree'?)"),
        (["a b=1"], "'a b' is not a key of a job"),
        (["cell.x.y=1"], "[cell] has no section 'x'"),
    ],
)
def test_wrong_changes_are_one_line(job, settings, words, capsys):
    with pytest.raises(SystemExit):
        cli.main(["homogenize", job, *(word for s in settings for word in ("--set", s))])
    errors = capsys.readouterr().err
    assert words in errors and errors.count("\n") == 1
