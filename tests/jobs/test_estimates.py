"""`hmm check`: numbers are those of the run, pictures are drawn, and errors are those of the run."""

import json

from mpi4py import MPI

import pytest
from support.job_files import FIBRE
from support.run_jobs import JOBS, PULL, RECTANGLE, elastic, job

import hmm
from hmm import cli, jobs

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="one rank checks")


def write(folder, text):
    path = folder / "job.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["plane stress", "axisymmetric", "thermo-mechanics"])
def test_the_numbers_are_those_of_the_run(name, tmp_path):
    read = jobs.read_run(write(tmp_path, JOBS[name][0]))
    found = jobs.estimate_run(read).rows
    made = jobs.fe2.building.assembly_of(read, MPI.COMM_SELF)
    space = made.u.function_space.dofmap
    assert found["integration points"] == made.problem.hom.n_points
    assert found["macro unknowns"] == space.index_map.size_global * space.index_map_bs
    assert found["cell: unknowns"] == made.rves[""].n_unknowns
    assert found["load steps"] == 2
    states = made.problem.hom.n_points * made.problem.hom.states.nbytes_per_point
    assert found["memory of all states, MB"] == pytest.approx(states / 1e6, abs=0.05)
    assert found["time on one core, s"] > 0


def test_the_command_draws_the_set_up(tmp_path, capsys, monkeypatch):
    pytest.importorskip("pyvista")
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, job("plane strain", RECTANGLE, elastic(), PULL))
    cli.main(["check", str(path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["macro elements"] == "4 triangles"
    assert [(tmp_path / picture).stat().st_size > 1000 for picture in found["pictures"]] == [True, True]


def test_a_job_for_homogenize(tmp_path, capsys):
    cli.main(["check", str(write(tmp_path, FIBRE)), "--no-draw", "--json"])
    found = json.loads(capsys.readouterr().out)
    cell = hmm.cells.fibre(0.3, mesh_size=0.3)
    assert found["elements"] == f"{cell.mesh.topology.index_map(2).size_local} triangles"
    assert found["load cases"] == 3


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('group = "right"', 'group = "rigth"', r"no group 'rigth' \(did you mean 'right'\?\)"),
        ("young", "yuong", "yuong"),
        ("rectangle", "rectangel", "did you mean 'rectangle'"),
    ],
)
def test_errors_are_one_line(old, new, words, tmp_path):
    text = job("plane strain", RECTANGLE, elastic(), PULL).replace(old, new)
    with pytest.raises(hmm.InputError, match=words) as error:
        jobs.estimate_run(jobs.read_run(write(tmp_path, text)))
    assert "\n" not in str(error.value)
