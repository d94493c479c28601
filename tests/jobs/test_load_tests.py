"""`hmm test`: curves against closed forms and the Python functions, fields, and everything that may be wrong."""

import csv
import json
import signal
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
from support.job_files import FIBRE

import hmm
from hmm import cli, jobs
from hmm.foundation.signals import Interrupted

COMM = MPI.COMM_WORLD
E, NU, YIELD, HARDENING = 70e3, 0.3, 100.0, 700.0

METAL = f"""
out_of_plane = true

[cell]
generator = "laminate"
fractions = {{a = 0.5, b = 0.5}}
mesh_size = 1.0

[phases."*"]
law = "J2"
young = {E}
poisson = {NU}
yield_stress = {YIELD}
hardening = {HARDENING}

[output]
plot = false
report = false

[test]
fields = "none"
"""
"""A homogeneous metal with linear isotropic hardening."""

ELASTIC = METAL.replace('"J2"', '"Elastic"').replace(f"yield_stress = {YIELD}\nhardening = {HARDENING}\n", "")

serial = pytest.mark.skipif(COMM.size > 1, reason="one rank works")


def curve_of(tmp_path, text, changes=None):
    path = tmp_path / "job.toml"
    if COMM.rank == 0:
        path.write_text(text)
    COMM.Barrier()
    return jobs.run_load_test(jobs.read_load_test(path, COMM, changes=changes), tmp_path / "out", COMM)


def in_one_dimension(levels):
    """Stress of linear isotropic hardening on a path of uniaxial strain, by return mapping."""
    stress, plastic, p = [], 0.0, 0.0
    for e in levels:
        trial = E * (e - plastic)
        step = max(0.0, (abs(trial) - YIELD - HARDENING * p) / (E + HARDENING))
        plastic, p = plastic + step * np.sign(trial), p + step
        stress.append(E * (e - plastic))
    return np.array(stress)


# -- closed forms ---------------------------------------------------------------------------------------------------


@serial
@pytest.mark.parametrize(
    "path", ["to = 0.01", "to = 0.005\ncycles = 2", "through = [0.004, -0.002, 0.01, 0.0]", "to = -0.01\nrate = 2.0"]
)
def test_uniaxial_tension_of_a_metal(tmp_path, path):
    """Exact at each step: linear hardening is radial under uniaxial stress."""
    found = curve_of(tmp_path, f"{METAL}\nsteps = 5\n{path}\n")
    levels = np.array(found.column("strain 11"))
    assert found.column("stress 11") == pytest.approx(in_one_dimension(levels), rel=1e-8, abs=1e-6)
    assert np.abs([found.column(f"stress {c}") for c in ("22", "33", "12")]).max() < 1e-6
    assert found.slope == pytest.approx(E, rel=1e-10)
    stress = np.array(found.column("stress 11"))
    work = np.r_[0.0, np.cumsum(np.diff(levels) * (stress[1:] + stress[:-1]) / 2)]
    assert found.column("work") == pytest.approx(work, rel=1e-6)
    if "rate" in path:
        assert found.column("time")[-1] == pytest.approx(0.01 / 2)


@serial
@pytest.mark.parametrize(
    ("section", "column", "expected"),
    [
        ('load = "shear"', "stress 12", E / (1 + NU)),
        ('load = "biaxial"', "stress 11", E / (1 - NU)),
        ('load = "biaxial"\nratio = -0.5', "stress 22", E / (1 - NU**2) * (NU - 0.5)),
        ('load = "biaxial"\ncomponents = ["22", "33"]', "stress 33", E / (1 - NU)),
        ('components = ["22"]', "stress 22", E),
        ('others = "fixed"', "stress 11", E * (1 - NU) / (1 + NU) / (1 - 2 * NU)),
        ('others = "fixed"', "stress 33", E * NU / (1 + NU) / (1 - 2 * NU)),
    ],
)
def test_elastic_loads(tmp_path, section, column, expected):
    found = curve_of(tmp_path, f"{ELASTIC}{section}\nto = 0.01\nsteps = 2\n")
    assert found.column(column)[1:] == pytest.approx([0.005 * expected, 0.01 * expected], rel=1e-9)
    if column == found.driven[1]:
        assert found.slope == pytest.approx(expected, rel=1e-9)


@serial
def test_finite_strain_is_that_of_the_function(tmp_path):
    text = ELASTIC.replace("out_of_plane = true", "").replace('"Elastic"', '"NeoHooke"')
    found = curve_of(tmp_path, f"{text}to = 0.5\nsteps = 4\n")
    cell = hmm.cells.laminate({"a": 0.5, "b": 0.5}, mesh_size=1.0)
    F = hmm.macro_deformation_gradient(cell)
    rve = hmm.RVE(cell, hmm.fluctuation(cell), F, dict.fromkeys(("a", "b"), hmm.laws.NeoHooke(E, NU)))
    expected = hmm.uniaxial(rve, "11", [1.0, 1.125, 1.25, 1.375, 1.5])
    assert found.driven == ("F 11", "P 11")
    assert found.column("F 11") == pytest.approx(expected.strain)
    assert found.column("P 11") == pytest.approx(expected.stress, rel=1e-8, abs=1e-6)


# -- a cell of two phases -------------------------------------------------------------------------------------------

CELL = FIBRE.replace("[phases.matrix]", '[phases.matrix]\nlaw = "J2"\nyield_stress = 0.02\nhardening = 0.1')
TEST = "\n[test]\nto = 0.02\nsteps = 4\n"


@serial
def test_a_cell_with_fields_and_pictures(tmp_path):
    import pyvista

    found = curve_of(tmp_path, f'units = {{stress = "GPa"}}\n{CELL}{TEST}fields = [2, 4]\n')
    cell = hmm.cells.fibre(0.3, mesh_size=0.3)
    laws = {"matrix": hmm.laws.J2(3.0, 0.35, 0.02, 0.1), "fibre": hmm.laws.Elastic(70.0, 0.2)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), laws)
    expected = hmm.uniaxial(rve, "11", [0.0, 0.005, 0.01, 0.015, 0.02])
    assert found.column("stress 11") == pytest.approx(expected.stress, rel=1e-7, abs=1e-12)
    strains = [answer.input[1, 1] for answer in expected.responses]
    assert found.column("strain 22") == pytest.approx(strains, rel=1e-7, abs=1e-12)
    names = {f"fields_{k:04d}{suffix}" for k in (2, 4) for suffix in (".vtu", ".png")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *names,
        *("curve.csv", "curve.png", "test.json", "report.html", "report.md"),
    }
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png") == 3 and "Stresses are in GPa." in page
    grid = pyvista.read(tmp_path / "out" / "fields_0004.vtu")
    areas = grid.compute_cell_sizes()["Area"]
    mean = (grid["stress"][:, 0] * areas).sum() / areas.sum()
    assert mean == pytest.approx(found.column("stress 11")[-1], rel=1e-6)
    with open(tmp_path / "out" / "curve.csv") as file:
        assert [float(row["stress 11"]) for row in csv.DictReader(file)] == found.column("stress 11")


@pytest.mark.mpi
def test_a_cell_on_all_ranks(tmp_path):
    tmp_path = COMM.bcast(tmp_path)
    found = curve_of(tmp_path, f"spread = true\n{CELL}{TEST}fields = [4]\n[output]\nplot = false\n")
    one = jobs.run_load_test(
        jobs.read_load_test(tmp_path / "job.toml", COMM, changes={"spread": False}), tmp_path / "1"
    )
    reference = COMM.bcast(one and one.column("stress 11"))
    assert found.column("stress 11") == pytest.approx(reference, rel=1e-7, abs=1e-10)
    assert (tmp_path / "out" / ("fields_0004.pvtu" if COMM.size > 1 else "fields_0004.vtu")).exists()


# -- the command ----------------------------------------------------------------------------------------------------


@serial
def test_the_command(tmp_path, capsys):
    (tmp_path / "job.toml").write_text(f"{METAL}to = 0.01\nsteps = 3\n")
    argv = ["test", str(tmp_path / "job.toml"), "--output", str(tmp_path / "out")]
    cli.main([*argv, "--set", "test.to=0.02", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["curve"]["strain 11"][-1] == 0.02
    assert found["summary"]["last stress"] == pytest.approx(in_one_dimension([0.02])[0], rel=1e-8)
    assert json.loads((tmp_path / "out" / "test.json").read_text()) == found


@serial
def test_the_example(tmp_path, capsys):
    cli.main(["test", "--example"])
    (tmp_path / "job.toml").write_text(capsys.readouterr().out)
    coarse = {"cell.mesh_size": 0.3, "degree": 1, "test.steps": 2, "output.plot": False}
    found = jobs.run_load_test(jobs.read_load_test(tmp_path / "job.toml", changes=coarse), tmp_path / "out")
    assert 100 < found.summary["last stress"] < 400


@serial
def test_a_step_that_fails_leaves_the_curve_before_it(tmp_path):
    text = ELASTIC.replace("out_of_plane = true", "").replace('"Elastic"', '"NeoHooke"')
    with pytest.raises(hmm.ConvergenceError, match=r"step 4 of 4: .*; the curve up to step 3 is written"):
        curve_of(tmp_path, f"{text}through = [-1.0]\nsteps = 4\n")
    assert len((tmp_path / "out" / "curve.csv").read_text().splitlines()) == 5


@serial
def test_an_interrupted_test_continues(tmp_path, monkeypatch):
    text = f"{METAL}to = 0.005\nsteps = 5\ncycles = 1\n"
    expected = curve_of(tmp_path, text)
    solve, asked = hmm.MixedControl.solve, []

    def interrupted(self, E, *args, **options):
        asked.append(E)
        if len(asked) == 8:
            raise Interrupted(signal.SIGTERM)
        return solve(self, E, *args, **options)

    monkeypatch.setattr(hmm.MixedControl, "solve", interrupted)
    with pytest.raises(Interrupted):
        curve_of(tmp_path, text)
    assert len((tmp_path / "out" / "curve.csv").read_text().splitlines()) == 8
    found = curve_of(tmp_path, text)
    assert len(asked) == 8 + 9  # steps 7 to 15, after the initial one and six others
    assert np.array(found.rows) == pytest.approx(np.array(expected.rows), rel=1e-12, abs=1e-12)
    assert found.slope == expected.slope
    assert not (tmp_path / "out" / "state.npz").exists()


@serial
def test_the_state_of_another_test_is_not_used(tmp_path, monkeypatch):
    solve = hmm.MixedControl.solve

    def interrupted(self, E, state=None, *args, **options):
        if state is not None:
            raise Interrupted(signal.SIGINT)
        return solve(self, E, state, *args, **options)

    monkeypatch.setattr(hmm.MixedControl, "solve", interrupted)
    with pytest.raises(Interrupted):
        curve_of(tmp_path, f"{METAL}to = 0.005\nsteps = 5\n")
    assert (tmp_path / "out" / "state.npz").exists()
    monkeypatch.undo()
    found = curve_of(tmp_path, f"{METAL}to = 0.004\nsteps = 4\n")
    assert found.column("strain 11") == pytest.approx([0, 0.001, 0.002, 0.003, 0.004])
    (tmp_path / "out" / "state.npz").write_bytes(b"PK damaged")
    assert curve_of(tmp_path, f"{METAL}to = 0.004\nsteps = 4\n").rows == found.rows


# -- bad input ------------------------------------------------------------------------------------------------------


@serial
@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("", "[test]: it needs one of to and through"),
        ("to = 0.1\nthrough = [0.1]", "it needs one of to and through"),
        ("to = 0", "it applies no strain"),
        ("to = 0.1\nload = 'tension'", "load = 'tension' is unknown"),
        ("to = 0.1\ncylces = 3", "unknown key 'cylces' (did you mean 'cycles'?)"),
        ("to = '0.1'", "to = '0.1' is not understood: give a number"),
        ("to = 0.1\nsteps = 0", "steps = 0"),
        ("to = 0.1\nsteps = 100000\ncycles = 3", "700000 steps: give 1 to"),
        ("through = [0.1]\ncycles = 2", "through and cycles"),
        ("to = 0.1\nratio = 2", "write load = 'biaxial'"),
        ("to = 0.1\ncomponents = ['11', '22']", "it has 2 components: a uniaxial load drives 1"),
        ("to = 0.1\nload = 'biaxial'\ncomponents = ['11', '11']", "drives 11 twice"),
        ("to = 0.1\nrate = 0", "rate = 0: give a positive one"),
        ("to = 0.1\nfields = [21]", "fields has step 21: the steps are 1 to 20"),
        ("to = 0.1\nfields = 'all'", "fields = 'all'"),
        ("to = 0.1\nothers = 'zero'", "others = 'zero' is unknown"),
        ("to = 0.1\ncomponents = ['44']", "44"),
    ],
)
def test_bad_input_is_one_line(tmp_path, section, words):
    text = METAL.replace('fields = "none"\n', "" if "fields" in section else 'fields = "none"\n')
    with pytest.raises(hmm.InputError) as error:
        curve_of(tmp_path, f"{text}{section}\n")
    assert words in str(error.value) and "job.toml: [test]" in str(error.value)
    assert "\n" not in str(error.value)


CONDUCTION = f"""
physics = "conduction"
{METAL.partition("[phases")[0].replace("out_of_plane = true", "")}
[phases."*"]
conductivity = 1.0
{TEST}"""


@serial
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (METAL.partition("[test]")[0], "[test] is missing"),
        (CONDUCTION, "a load test is for 'elasticity'"),
        (METAL.replace("[test]", "[tests]"), "unknown key 'tests' (did you mean 'test'?)"),
    ],
)
def test_jobs_without_a_test(tmp_path, text, words):
    with pytest.raises(hmm.InputError) as error:
        curve_of(tmp_path, text)
    assert words in str(error.value) and "\n" not in str(error.value)


@serial
def test_without_a_job(capsys):
    with pytest.raises(SystemExit):
        cli.main(["test"])
    assert "hmm test needs a job file" in capsys.readouterr().err


@serial
def test_the_job_of_the_demos_is_right():
    read = jobs.read_load_test(Path(__file__).parents[2] / "demos" / "jobs" / "cycles.toml")
    assert len(read.asked.levels) > 20
