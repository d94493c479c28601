"""Reports: what they contain, that they need nothing else, and that they can be written again."""

import base64
import json
import re
import struct
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh

import hmm
from hmm import cli, jobs
from hmm.effective.law_words import law_in_words
from hmm.effective.mesh_error import coarse_cell
from hmm.foundation.errors import InputError
from hmm.laws import Anisotropic, Elastic
from hmm.pages import Document, Facts, Section, Tabular, Words, html_of, markdown_of
from hmm.reports.run_record import RunRecord

COMM = MPI.COMM_WORLD
LAWS = {"matrix": Elastic(3.0, 0.35), "fibre": Elastic(70.0, 0.2)}
JOB = """
units = {stress = "GPa"}
[cell]
generator = "fibre"
volume_fraction = 0.3
mesh_size = 0.3
[phases.matrix]
young = 3.0
poisson = 0.35
[phases.fibre]
young = 70.0
poisson = 0.2
"""


class Checked(HTMLParser):
    """Checks that tags are closed in order and collects addresses and texts."""

    EMPTY = ("meta", "img", "br", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("reports") if COMM.rank == 0 else None
    return COMM.bcast(made)


def page_of(path):
    return Checked(path.read_text())


# -- pages -----------------------------------------------------------------------------------------------------------


def test_a_page_escapes_what_it_shows():
    rows = [("<b>", "a | b & <script>alert(1)</script>")]
    document = Document(
        "<i>", ["x < y"], [Section("T & S", [Facts(rows), Tabular(("", "n"), rows), Words("say `E1`")])]
    )
    page = html_of(document)
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<code>E1</code>" in page
    assert "x < y" in Checked(page).text
    assert "a \\| b" in markdown_of(document)


def test_sections_that_vary_are_not_in_markdown():
    document = Document("T", [], [Section("Times", [Words("1 s")], varies=True), Section("Numbers", [Words("2")])])
    assert "Times" not in markdown_of(document) and "## Numbers" in markdown_of(document)
    assert "Times" in html_of(document)


# -- effective properties ----------------------------------------------------------------------------------------------


def test_a_job_writes_a_report_that_stands_alone(folder):
    if COMM.rank == 0:
        (folder / "job.toml").write_text(JOB)
    jobs.run_job(jobs.read_job(folder / "job.toml", COMM), folder / "out", COMM)
    page = page_of(folder / "out" / "report.html")
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in page.addresses)
    assert all(
        base64.b64decode(a.partition(",")[2]).startswith(b"\x89PNG") for a in page.addresses if not a.startswith("#")
    )
    for said in (
        *("in GPa", "plane strain", "1 / S11", "generator fibre", "hmm homogenize job.toml", "numerical error"),
        *(
            "[cell] void",
            "mesh_error",
            "true",
            "UTC",
            "DOLFINx",
            "Elastic(young=70, poisson=0.2)",
            "volume_fraction = 0.3",
        ),
    ):
        assert said in page.text, said


def test_results_of_an_earlier_job_are_removed_and_nothing_else(folder):
    if COMM.rank == 0:
        (folder / "job.toml").write_text(JOB + '[output]\nfields = ["11"]\nformat = "vtu"\n')
        (folder / "next.toml").write_text(JOB + "[output]\nplot = false\n")
    jobs.run_job(jobs.read_job(folder / "job.toml", COMM), folder / "out", COMM)
    if COMM.rank == 0:
        assert {"fields_11.vtu", "fields_11.png", "cell.png"} <= {path.name for path in (folder / "out").iterdir()}
        for name in ("fields_notes.txt", "mine.png"):
            (folder / "out" / name).write_text("mine")
    jobs.run_job(jobs.read_job(folder / "next.toml", COMM), folder / "out", COMM)
    if COMM.rank == 0:
        left = {path.name for path in (folder / "out").iterdir()}
        own = {"report.html", "report.md", "report.json", "properties.json"}
        assert left == own | {"fields_notes.txt", "mine.png"}


def test_a_job_says_what_it_does_before_its_table(folder, capsys):
    if COMM.rank == 0:
        (folder / "job.toml").write_text(JOB + "[output]\nreport = false\n")
    jobs.run_job(jobs.read_job(folder / "job.toml", COMM), folder / "out", COMM)
    said = capsys.readouterr().out.splitlines()
    if COMM.rank == 0:
        assert said[0] == "job.toml: the cell, generator fibre, volume_fraction = 0.3, mesh_size = 0.3"
        assert said[1].startswith("solving 3 load cases: ") and said[1].endswith(" unknowns")
        assert said[2] == "estimating the numerical error with one degree more"
        table = next(k for k, line in enumerate(said) if line.startswith("Effective stiffness"))
        assert 2 < table <= 4
    hmm.homogenize(hmm.cells.fibre(0.3, mesh_size=0.3), LAWS)
    assert "solving" not in capsys.readouterr().out  # only a job tells


def test_the_command_writes_a_report_again(folder, capsys):
    if COMM.rank == 0:
        hmm.homogenize(hmm.cells.fibre(0.3, mesh_size=0.3), LAWS).report(folder / "own")
        (folder / "own" / "report.html").unlink()
    COMM.Barrier()
    cli.main(["report", str(folder / "own"), "--json"])
    if COMM.rank == 0:
        assert json.loads(capsys.readouterr().out) == {"report": str(folder / "own" / "report.html")}
        assert "Effective stiffness" in page_of(folder / "own" / "report.html").text


def test_a_report_is_written_again_from_its_directory(folder):
    if COMM.size > 1:
        pytest.skip("on one rank")
    found = hmm.homogenize(hmm.cells.fibre(0.3, mesh_size=0.3), LAWS, units={"stress": "GPa"}, mesh_error=True)
    assert hmm.report(found, folder / "own") == folder / "own" / "report.html"
    first = (folder / "own" / "report.md").read_text()
    (folder / "own" / "report.html").unlink()
    (folder / "own" / "report.md").unlink()
    assert hmm.report(folder / "own" / "properties.json") == folder / "own" / "report.html"
    second = (folder / "own" / "report.md").read_text()
    for words in ("Elastic(young=70, poisson=0.2)", "in GPa", "up to"):
        assert words in first and words in second


def test_a_solid_cell_can_be_turned(folder):
    """The scene holds the surfaces of the phases: the inclusion whole, the matrix without the nearest octant."""
    cell = hmm.cells.sphere(0.2, mesh_size=0.3)
    scene = hmm.plotting.cell_scene(cell)
    if COMM.rank:
        return
    bodies = {body.name: body for body in scene.bodies}
    assert set(bodies) == set(cell.phases) and scene.size == pytest.approx(1.0)
    points = {name: body.points[body.triangles.astype(int)] for name, body in bodies.items()}
    assert (points["matrix"].mean(axis=1) < 0.02).any(axis=1).all()  # no triangle inside the octant
    assert (points["inclusion"] > 0.05).all(axis=2).any()  # but some of the inclusion
    data = bodies["inclusion"].data
    whole = struct.unpack(f"<{len(bodies['inclusion'].points) * 3}H", base64.b64decode(data["points"]))
    assert np.allclose(np.array(whole) / 32767.5 - 1, bodies["inclusion"].points.ravel(), atol=1e-4)


def test_the_error_of_the_mesh_is_stated_and_holds():
    """The exact constants lie within the stated errors of a coarse mesh; a fine mesh stands for the exact one."""
    coarse = hmm.homogenize(hmm.cells.fibre(0.3, mesh_size=0.2, order=2), LAWS, degree=1, mesh_error=True)
    fine = hmm.homogenize(hmm.cells.fibre(0.3, mesh_size=0.2, order=2), LAWS, degree=4)
    true = np.linalg.norm(coarse.tensor - fine.tensor) / np.linalg.norm(fine.tensor)
    assert true < coarse.mesh_error.size < 3 * true
    for name, (given, _) in coarse.constant_errors.items():
        if name[0] in "EG":
            assert 0 < coarse.constants[name] - fine.constants[name] < given
    again = hmm.EffectiveProperties.from_json(coarse.to_json())
    assert np.array_equal(again.mesh_error.tensor, coarse.mesh_error.tensor)
    assert again.mesh_error.words == coarse.mesh_error.words
    assert coarse.mesh_error.words in str(coarse)


def test_the_error_of_many_voxels_is_that_of_larger_ones(monkeypatch, folder):
    """A disc: the change on voxels of twice the size is near the error against a mesh of the disc; no sign is said."""
    monkeypatch.setattr(sys.modules[hmm.homogenize.__module__], "ESTIMATE_LIMIT", {2: 100, 3: 100})
    x, y = np.indices((24, 24)) + 0.5
    disc = hmm.images.image_cell(((x - 12) ** 2 + (y - 12) ** 2 < 7.2**2).astype(int), {"matrix": 0, "fibre": 1})
    found = hmm.homogenize(disc, LAWS, mesh_error=True)
    true = hmm.homogenize(hmm.cells.fibre(radius=0.3, mesh_size=0.08, order=2), LAWS, degree=3).tensor
    error = np.linalg.norm(found.tensor - true) / np.linalg.norm(true)
    assert error < found.mesh_error.size < 5 * error
    assert "voxels of twice the size" in found.how["mesh error"] and not found.mesh_error.signed
    again = hmm.EffectiveProperties.from_json(found.to_json())
    assert not again.mesh_error.signed and "±" in str(again)
    if COMM.size == 1:
        assert "its sign is not known" in page_of(found.report(folder / "voxels")).text
    field = fem.Function(fem.functionspace(disc.mesh, ("DG", 0, (3, 3))))  # axes on the mesh of the cell
    field.x.array[:] = np.tile(np.eye(3).ravel(), len(field.x.array) // 9)
    crystal = replace(Anisotropic.cubic(5.0, 2.0, 1.0), rotation=field)
    without = hmm.homogenize(disc, {**LAWS, "matrix": crystal}, mesh_error=True)
    assert without.mesh_error is None and "is not estimated" in without.how["mesh error"]
    odd = hmm.images.image_cell(np.pad(np.ones((3, 3), int), 3), {"matrix": 0, "fibre": 1})
    assert coarse_cell(odd) is None and coarse_cell(disc).phases == disc.phases
    assert coarse_cell(disc).volume_fractions["fibre"] == pytest.approx(disc.volume_fractions["fibre"], abs=0.05)


def test_carbon_is_shown_by_its_constants():
    along = {3: "axes (0, 0, 1)", 1: ""}
    for axis, words in along.items():
        law = Anisotropic.transversely_isotropic(230.0, 15.0, 0.2, 0.3, 24.0, axis=axis)
        said = law_in_words(law)
        assert said.startswith("Anisotropic(transversely isotropic: E1=230, E2=15, nu12=0.2, nu23=0.3, G12=24")
        assert words in said and len(said) < 160
    assert law_in_words(Anisotropic.cubic(168.4, 121.4, 75.4)).startswith("Anisotropic(cubic: E1=")
    wood = law_in_words(Anisotropic.orthotropic((10.0, 1.0, 2.0), (0.3, 0.2, 0.4), (0.5, 0.6, 0.7)))
    assert "G23=" in wood and "nu23=" in wood


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({"stres": "GPa"}, "did you mean 'stress'"),
        ({"stress": ""}, "give its name"),
        ({"stress": "a\nb"}, "give its name"),
    ],
)
def test_units_that_are_none_are_refused(units, words):
    with pytest.raises(InputError, match=words):
        hmm.homogenize(hmm.cells.fibre(0.3, mesh_size=0.4), LAWS, units=units)


# -- FE2 -------------------------------------------------------------------------------------------------------------


def bar_problem():
    """A square of two triangles of plastic laminate, pulled."""
    cell = hmm.cells.laminate({"a": 0.5, "b": 0.5}, mesh_size=0.5, comm=MPI.COMM_SELF)
    law = {"a": hmm.laws.J2(70.0, 0.3, yield_stress=0.1, hardening=1.0), "b": Elastic(70.0, 0.3)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law)
    domain = mesh.create_unit_square(COMM, 2, 1)
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)))
    load = fem.Constant(domain, 0.0)
    left = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0.0))
    right = fem.locate_dofs_geometrical((V.sub(0), V.sub(0).collapse()[0]), lambda x: np.isclose(x[0], 1.0))[0]
    end = fem.dirichletbc(load, right, V.sub(0))
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    return hmm.MacroProblem(F, u, hom, bcs=[fem.dirichletbc(np.zeros(2), left, V), end]), load, end


def test_a_run_is_reported(folder):
    problem, load, end = bar_problem()
    log = hmm.RunLog(folder, problem, "Bar", ("stretch in mm", "force in N"), script=__file__)
    for step in hmm.steps(problem, load, 0.01, 2):
        log.add(step, step.load, problem.reaction(end), bar=0.01)
    force = problem.reaction(end)
    page = page_of(log.finish(problem.hom.point_average("a", "p"), "p", label="plastic strain", n_worst=2))
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in page.addresses)
    assert sum(address.startswith("data:") for address in page.addresses) == 5  # curve, residuals, body, two RVEs
    for said in (
        "Worst RVEs",
        "J2(young=70",
        f"{force:.5g} ± 0.01",
        "stretch in mm",
        "def bar_problem",
        "UTC",
        "DOLFINx",
    ):
        assert said in page.text, said
    record = RunRecord.read(folder)
    assert [step.number for step in record.steps] == [1, 2] and record.steps[1].y == pytest.approx(force)
    worst = record.worst
    assert worst[0].value >= worst[1].value and worst[0].x != worst[1].x


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["/x/hmm/__main__.py", "run", "my beam.toml"], "hmm run 'my beam.toml'"),
        (["/usr/bin/hmm", "run", "b.toml"], "hmm run b.toml"),
        (["demos/beam.py", "--quick"], "python beam.py --quick"),
    ],
)
def test_a_report_says_how_to_repeat_the_run(argv, command, folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    problem, load, _ = bar_problem()
    log = hmm.RunLog(folder, problem, "Bar", ("x", "y"), script=__file__)
    log.add(next(iter(hmm.steps(problem, load, 0.001, 1))), 0.0, 0.0)
    ranks = f"mpirun -n {COMM.size} " if COMM.size > 1 else ""
    if COMM.rank == 0:
        assert RunRecord.read(folder).repeat == ranks + command
        page = page_of(hmm.report(folder))
        assert ranks + command in page.text and ("#the-job" in page.addresses) == (command.startswith("hmm run"))


def test_a_continued_run_keeps_the_steps_before(folder):
    problem, load, _ = bar_problem()
    first = hmm.RunLog(folder, problem, "Bar", ("x", "y"))
    steps = list(hmm.steps(problem, load, 0.001, 3))
    for step in steps:
        first.add(step, step.load, step.number)
    again = hmm.RunLog(folder, problem, "Bar", ("x", "y"))  # killed after step 1: it goes on with step 2
    again.add(replace(steps[1]), 0.5, -2.0)
    assert [(s.number, s.y) for s in RunRecord.read(folder).steps] == [(1, 1.0), (2, -2.0)]
    new = hmm.RunLog(folder, problem, "Bar", ("x", "y"))
    new.add(steps[0], 0.5, 7.0)
    assert [(s.number, s.y) for s in RunRecord.read(folder).steps] == [(1, 7.0)]
    if COMM.rank == 0:  # of a run that never finished
        assert "FE2 run" in page_of(hmm.report(folder)).text


def test_bad_input_of_a_log_is_said_on_all_ranks(folder):
    problem, load, _ = bar_problem()
    with pytest.raises(InputError, match="axes = 'x' are not the two labels"):
        hmm.RunLog(folder, problem, "Bar", "x")
    with pytest.raises(InputError, match="there is no script"):
        hmm.RunLog(folder, problem, "Bar", ("x", "y"), script=folder / "none.py")
    log = hmm.RunLog(folder, problem, "Bar", ("x", "y"))
    step = next(iter(hmm.steps(problem, load, 0.001, 1)))
    with pytest.raises(InputError, match="y = nan of the macro curve is not one finite number"):
        log.add(step, 0.0, float("nan"))
    with pytest.raises(InputError, match=r"give what hmm\.steps yields"):
        log.add(1, 0.0, 0.0)
    with pytest.raises(InputError, match="give one number for each"):
        log.finish(np.zeros(10**4), "p")
    with pytest.raises(InputError, match="no scalar field 'q'"):
        log.finish(problem.hom.point_average("a", "p"), "q")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"steps": [{"number": 1}], "worst": []}'])
def test_a_damaged_record_is_refused(text, tmp_path):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="is no record of a run"):
        hmm.report(tmp_path)


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has neither properties\.json nor run\.json"):
        hmm.report(tmp_path)
    with pytest.raises(InputError, match="float is no result"):
        hmm.report(1.0)
    found = hmm.homogenize(hmm.cells.laminate({"a": 0.5, "b": 0.5}, mesh_size=0.5), {"*": Elastic(1.0, 0.3)})
    with pytest.raises(InputError, match="needs a directory"):
        hmm.report(found)
    found.to_json(tmp_path / "properties.json")
    (tmp_path / "report.json").write_text(json.dumps({"notes": []}))
    with pytest.raises(InputError, match=r"report\.json is damaged"):
        hmm.report(tmp_path)
    with pytest.raises(InputError, match="stands beside its pictures"):
        hmm.report(tmp_path, tmp_path / "other")


def test_pages_have_no_address_of_the_network():
    templates = resources.files("hmm.pages").joinpath("templates")
    for template in templates.iterdir():
        assert not re.search(r"https?://", template.read_text()), template.name
