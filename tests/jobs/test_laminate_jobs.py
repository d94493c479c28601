"""`hmm laminate`: plies from constants, files and jobs, and everything that may be wrong in a job."""

import json
from pathlib import Path

from mpi4py import MPI

import pytest
from support.job_files import FIBRE

import hmm
from hmm import cli, jobs

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="laminates are computed by one rank")

JOB = """
[plies.ud]
E1 = 140.0
E2 = 10.0
nu12 = 0.3
G12 = 5.0
alpha2 = 3e-5
strength = {Xt = 2.0, Xc = 1.2, Yt = 0.05, Yc = 0.2, S12 = 0.08}

[laminate]
stacking = "[0/±45/90]s"
thickness = 0.125

[load]
N = [0.1, 0, 0]
temperature = -20
"""


def written(tmp_path, text, name="job.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_the_command(tmp_path, capsys):
    cli.main(["laminate", str(written(tmp_path, JOB)), "--output", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "First-ply failure" in printed and "stresses.png" in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("laminate.json", "plies.csv", "stresses.png", "report.html", "report.md")
    }
    page = (tmp_path / "out" / "report.html").read_text()
    assert "First-ply failure" in page and "data:image/png" in page and "nu12 = 0.3" in page
    data = json.loads((tmp_path / "out" / "laminate.json").read_text())
    ply = hmm.laminates.Ply.of_constants(140.0, 10.0, 0.3, 5.0, alpha2=3e-5)
    laminate = hmm.laminates.Laminate.of("[0/±45/90]s", ply, 0.125)
    assert data["laminate"]["A"] == laminate.A.tolist()
    assert data["load"]["strain"] == laminate.under(N=(0.1, 0, 0), temperature=-20).deformation[:3].tolist()
    assert len((tmp_path / "out" / "plies.csv").read_text().splitlines()) == 17


def test_the_job_of_the_demos(tmp_path):
    """Quasi-isotropic in the plane, of plies of a homogenized cell; the fibres carry most of the load."""
    path = Path(__file__).parents[2] / "demos" / "jobs" / "laminate.toml"
    job = jobs.read_laminate_job(path)
    found = job.laminate.constants
    assert found["Ex"] == pytest.approx(found["Ey"]) and found["Ex"] > 50
    assert all(failure.load_factor > 1 for failure in job.result.failures())


def test_json(tmp_path, capsys):
    cli.main(["laminate", str(written(tmp_path, JOB)), "--output", str(tmp_path / "out"), "--json"])
    data = json.loads(capsys.readouterr().out)
    assert data["laminate"]["symmetric"] and data["load"]["first_failure"][0]["load_factor"] > 0


def test_a_ply_from_a_job_and_from_its_properties(tmp_path):
    """Both ways give the same laminate; the fibres of an extruded cell are along 3."""
    text = FIBRE.replace("mesh_size = 0.3", "mesh_size = 0.3\nextrude = 0.3")
    found = jobs.run_job(jobs.read_job(written(tmp_path, text, "cell.toml")), tmp_path)
    rest = JOB[JOB.index("strength") : JOB.index("temperature")]
    ways = [
        jobs.read_laminate_job(written(tmp_path, f"[plies.ud]\nfibres = 3\n{source}\n{rest}"))
        for source in ('job = "cell.toml"', 'properties = "properties.json"')
    ]
    assert pytest.approx(ways[1].laminate.ABD, rel=1e-9, abs=1e-9) == ways[0].laminate.ABD
    assert ways[0].laminate.layers[0].ply.constants["E1"] == pytest.approx(found.constants["E3"])


def test_layers_of_two_materials(tmp_path):
    layers = """[laminate]
    layers = [{ply = "ud", angle = 0, thickness = 0.2}, {ply = "core", angle = 0, thickness = 5}]
    """
    core = "[plies.core]\nE1 = 0.1\nE2 = 0.1\nnu12 = 0.3\nG12 = 0.04\n"
    found = jobs.read_laminate_job(written(tmp_path, JOB[: JOB.index("[laminate]")] + core + layers))
    assert found.laminate.thickness == pytest.approx(5.2) and not found.laminate.is_symmetric
    assert found.directory.as_posix() == "results/job"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("E2 = 10.0", "E_2 = 10.0", "unknown key 'E_2' (did you mean 'E2'?)"),
        ("E2 = 10.0", "", "lacks 'E2'"),
        ("E2 = 10.0", "E2 = -10.0", "[plies.ud]: E2 = -10.0: give a positive"),
        ("E2 = 10.0", "E2 = '10'", "E2 = '10' is not understood: give a number"),
        ("E1 = 140.0", "E1 = 140.0\njob = 'cell.toml'", "has E1 and job: give only one"),
        ("nu12 = 0.3", "nu12 = 7.0", "nu12^2 < E1/E2"),
        ("Yc = 0.2", "Yc = 0.0", "strength Yc = 0.0: give a positive"),
        (", S12 = 0.08", "", "[plies.ud.strength] lacks 'S12'"),
        ("stacking", "staking", "unknown key 'staking' (did you mean 'stacking'?)"),
        ('stacking = "[0/±45/90]s"', "", "give either stacking"),
        ("thickness = 0.125", "", "lacks 'thickness'"),
        ("thickness = 0.125", "thickness = 0", "[laminate]: thickness = 0.0: give a positive"),
        ("[0/±45/90]s", "[0/±45/90", "']' is missing"),
        ("thickness", "ply = 'du'\nthickness", "ply = 'du' is unknown (did you mean 'ud'?)"),
        ("N = [0.1, 0, 0]", "N = [0.1, 0]", "[load]: N = [0.1, 0]: it is not understood: give a list of 3"),
        ("[load]", "[loads]", "unknown key 'loads' (did you mean 'load'?)"),
        ("alpha2 = 3e-5\n", "", "temperature = -20, but no ply expands"),
        ("temperature", "temprature", "(did you mean 'temperature'?)"),
        (JOB[: JOB.index("[laminate]")], "", "[plies.NAME] is missing"),
        (JOB[JOB.index("E1") : JOB.index("strength")], "properties = 'none.json'\n", "there is no such file"),
        ("[plies.ud]", "[plies]\nud = 3\n[plies.other]", "[plies.ud] = 3 is not a table"),
    ],
)
def test_bad_input_is_one_line(tmp_path, old, new, words):
    assert old in JOB
    with pytest.raises(hmm.InputError) as error:
        jobs.read_laminate_job(written(tmp_path, JOB.replace(old, new, 1)))
    assert words in str(error.value) and "job.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_plane_cell_is_no_ply(tmp_path):
    written(tmp_path, FIBRE, "cell.toml")
    text = "[plies.ud]\njob = 'cell.toml'\n" + JOB[JOB.index("[laminate]") :]
    with pytest.raises(hmm.InputError, match="a ply needs a stiffness in 3D"):
        jobs.read_laminate_job(written(tmp_path, text))
