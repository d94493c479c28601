"""`hmm homogenize`: job files of an image, a mesh and a generator, and everything that may be wrong in one."""

import json
import os
from dataclasses import replace
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
from support.job_files import FIBRE
from support.references import PERMEABILITY_CYLINDERS

import hmm
from hmm import cli, jobs
from hmm.foundation.files import write_atomically
from hmm.jobs.cells import CellSource, generators
from hmm.jobs.values import make_law

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD

CELL = 'generator = "fibre"\nvolume_fraction = 0.3\nmesh_size = 0.3'
IMAGE = FIBRE.replace(CELL, 'image = "image.npy"\nphases = {matrix = 0, fibre = 1}')

LAWS = {"matrix": hmm.laws.Elastic(3.0, 0.35), "fibre": hmm.laws.Elastic(70.0, 0.2)}
NUMBERS = "[output]\nreport = false\n"


@pytest.fixture
def folder(tmp_path):
    """A directory that all ranks share, with an image of a block in it."""
    path = COMM.bcast(tmp_path)
    if COMM.rank == 0:
        labels = np.zeros((12, 12), dtype=np.uint8)
        labels[3:8, 2:9] = 1
        np.save(path / "image.npy", labels)
    COMM.Barrier()
    return path


def job_of(folder, text, name="job"):
    path = folder / f"{name}.toml"
    if COMM.rank == 0:
        path.write_text(text)
    COMM.Barrier()
    return jobs.read_job(path, COMM)


def run(folder, text, name="job"):
    """What the job wrote, on all ranks."""
    job = job_of(folder, text, name)
    jobs.run_job(job, folder / name, COMM)
    return hmm.EffectiveProperties.from_json(folder / name / "properties.json")


# -- the three kinds of cells --------------------------------------------------------------------------------------


def test_a_generator_with_a_report(folder, capsys):
    found = run(folder, FIBRE + '[output]\nfields = ["11"]\n')
    expected = hmm.homogenize(hmm.cells.fibre(0.3, mesh_size=0.3), LAWS)
    assert found.tensor == pytest.approx(expected.tensor, rel=1e-12)
    written = {path.name for path in (folder / "job").iterdir()}
    reports = ("report.html", "report.md", "report.json")
    assert written == {*reports, "properties.json", "cell.png", "directions.png", "fields_11.bp", "fields_11.png"}
    report = (folder / "job" / "report.md").read_text()
    assert "generator fibre, volume_fraction = 0.3" in report and "fields_11.png" in report
    printed = capsys.readouterr().out
    assert printed.count("Effective stiffness") == (COMM.rank == 0)
    assert printed.count("properties.json") == (COMM.rank == 0)


@pytest.mark.parametrize("elements", ["voxels", "smooth"])
def test_an_image(folder, elements):
    text = IMAGE.replace("[phases.matrix]", f'elements = "{elements}"\nspacing = 0.5\n[phases.matrix]', 1)
    found = run(folder, text + NUMBERS)
    cell = hmm.images.image_cell(np.load(folder / "image.npy"), {"matrix": 0, "fibre": 1}, mesh=elements, spacing=0.5)
    assert found.tensor == pytest.approx(hmm.homogenize(cell, LAWS).tensor, rel=1e-12)
    assert {path.name for path in (folder / "job").iterdir()} == {"properties.json"}


def test_options_of_an_image(folder):
    options = "crop = [[0, 8], [0, 12]]\ndownsample = [2, 2]\nmirror = true\n[phases.matrix]"
    found = run(folder, IMAGE.replace("[phases.matrix]", options, 1) + NUMBERS)
    labels, phases = np.load(folder / "image.npy"), {"matrix": 0, "fibre": 1}
    cell = hmm.images.image_cell(labels, phases, crop=[(0, 8), (0, 12)], downsample=2, mirror=True)
    assert found.how["elements"] == 96
    assert found.tensor == pytest.approx(hmm.homogenize(cell, LAWS).tensor, rel=1e-12)


def test_grey_values_and_voids(folder):
    claims = "{matrix = {low = -0.5, high = 0.5}, fibre = [1]}"
    text = IMAGE.replace("{matrix = 0, fibre = 1}", claims + '\nvoid = "fibre"').split("[phases.fibre]")[0]
    found = run(folder, text + NUMBERS)
    assert found.fractions == pytest.approx({"matrix": 1 - 35 / 144})


def test_a_mesh_file(folder):
    import meshio

    if COMM.rank == 0:
        points = [[x, y] for y in range(5) for x in range(5)]
        cells = [[5 * j + i, 5 * j + i + 1, 5 * j + i + 6, 5 * j + i + 5] for j in range(4) for i in range(4)]
        tags = [[1 if k % 4 < 2 else 2 for k in range(16)]]
        meshio.write(
            folder / "cell.vtu", meshio.Mesh(np.array(points, float), [("quad", cells)], cell_data={"m": tags})
        )
    COMM.Barrier()
    text = FIBRE[FIBRE.index("[phases") :] + NUMBERS
    cell = '[cell]\nmesh = "cell.vtu"\nphases = {matrix = 1, fibre = 2}\ntags = "m"\n'
    found = run(folder, cell + text)
    layers = hmm.cells.laminate({"matrix": 0.5, "fibre": 0.5}, mesh_size=0.5)
    assert found.tensor == pytest.approx(hmm.homogenize(layers, LAWS).tensor, rel=1e-9)


def test_a_polycrystal_has_one_law_for_the_rest(folder):
    text = """
        physics = "conduction"
        cell = {generator = "voronoi", grains = 4, dim = 2, mesh_size = 0.3, seed = 3}
        phases = {"*" = {conductivity = 2.0}, grain_0 = {conductivity = [[4.0, 0.0], [0.0, 3.0]]}}
        output = {report = false}
    """
    found = run(folder, text)
    assert list(found.fractions) == [f"grain_{k}" for k in range(4)]
    assert 2.0 < found.constants["k22"] < found.constants["k11"] < 4.0


def test_options_reach_the_cell_and_the_solver(folder):
    top = 'physics = "elasticity"\nconstraint = "dirichlet"\ndegree = 2\nout_of_plane = true\nsolver = "direct"\n'
    found = run(folder, top + FIBRE + NUMBERS)
    expected = hmm.homogenize(
        hmm.cells.fibre(0.3, mesh_size=0.3), LAWS, "dirichlet", degree=2, out_of_plane=True, solver="direct"
    )
    assert found.tensor == pytest.approx(expected.tensor, rel=1e-12)
    assert found.how["options"] == {"solver": "direct"}


def test_extrusion_gives_a_stiffness_in_space(folder):
    found = run(folder, FIBRE.replace("mesh_size = 0.3", "mesh_size = 0.3\nextrude = 0.3") + NUMBERS)
    assert found.dim == 3
    assert found.constants["E3"] == pytest.approx(0.7 * 3 + 0.3 * 70, rel=5e-3)  # the rule of mixtures


def test_flow_around_fibres(folder):
    text = """
        physics = "flow"
        cell = {generator = "fibre", volume_fraction = 0.4, void = true, mesh_size = 0.15}
        phases = {matrix = {viscosity = 5.0}}
        output = {report = false}
    """
    found = run(folder, text)
    assert found.quantity == "permeability"
    assert found.constants["k11"] == pytest.approx(PERMEABILITY_CYLINDERS[0.4], rel=0.1)


def test_nested_laws(folder):
    law = """
        [phases.fibre]
        law = "J2"
        young = 70
        poisson = 0.2
        yield_stress = 1.0
        hardening = {law = "Voce", saturation = 1.0, rate = 3}
        kinematic = {modulus = 2.0}
        rate = {law = "Perzyna", overstress = 1.0}
    """
    job = job_of(folder, FIBRE[: FIBRE.index("[phases.fibre]")] + law)
    parts = hmm.laws.Voce(1.0, 3.0), hmm.laws.ArmstrongFrederick(2.0), hmm.laws.Perzyna(1.0)
    assert job.laws["fibre"] == hmm.laws.J2(70.0, 0.2, 1.0, *parts)


def test_the_cell_on_all_ranks(folder):
    """``spread = true`` gives the same numbers; without it one rank does it alone."""
    alone, together = run(folder, FIBRE + NUMBERS), run(folder, "spread = true\n" + FIBRE + NUMBERS, "spread")
    assert together.tensor == pytest.approx(alone.tensor, rel=1e-9, abs=1e-12)
    assert together.how["unknowns"] == alone.how["unknowns"]
    run(folder, "spread = true\n" + FIBRE, "drawn")
    assert {"cell.png", "report.md"} <= {path.name for path in (folder / "drawn").iterdir()}


def test_the_example_is_a_job_that_runs(folder):
    job = job_of(folder, jobs.example())
    job = replace(job, output=replace(job.output, report=False))
    jobs.run_job(job, folder / "example", COMM)
    assert json.loads((folder / "example" / "properties.json").read_text())["symmetry"]["name"] == "isotropic"


@pytest.mark.parametrize("name", ["composite", "copper", "expansion", "fibre"])
def test_the_jobs_of_the_demos_run(name, folder):
    path = Path(__file__).parents[2] / "demos" / "jobs" / f"{name}.toml"
    job = jobs.read_job(path, COMM)
    job = replace(job, output=replace(job.output, report=False))
    jobs.run_job(job, folder / "out", COMM)
    found = hmm.EffectiveProperties.from_json(folder / "out" / "properties.json")
    assert found.limits.report, found.limits.report.violations
    expected = {"fibre": "transversely isotropic", "composite": "rectangular", "expansion": "rectangular"}
    if path.stem in expected:
        assert found.symmetry.name == expected[path.stem]
    else:
        assert path.stem == "copper" and found.means["bulk modulus"] == pytest.approx((168.4 + 2 * 121.4) / 3)


def test_a_report_of_many_rotated_grains(folder):
    """The law stands once, its field by name; grains are counted."""
    text = """
[cell]
generator = "voronoi"
dim = 2
grains = 12
mesh_size = 0.25
extrude = 0.2
[phases."*"]
law = "Anisotropic.transversely_isotropic"
E1 = 230.0
E2 = 15.0
nu12 = 0.2
nu23 = 0.3
G12 = 24.0
[output]
plot = false
"""
    job = job_of(folder, text)
    jobs.run_job(job, folder / "out", COMM)
    report = (folder / "out" / "report.md").read_text()
    assert (
        "| 12 phases, grain_0 to grain_11 | 1 | `Anisotropic(transversely isotropic: E1=230, E2=15, nu12=0.2, "
        in report
    )
    assert "rotation=rotation)`" in report
    assert "12 phases of 0.0" in report


def test_thermoelastic_phases_with_axes():
    """A law within a law, or the way of the law itself; the axis where it is said to be."""
    carbon = {"E1": 230.0, "E2": 15.0, "nu12": 0.2, "nu23": 0.3, "G12": 24.0, "axis": 1}
    nested = {"elastic": {"law": "Anisotropic.transversely_isotropic", **carbon}, "expansion": [-0.7e-6, 10e-6]}
    flat = {"law": "ThermoElastic.transversely_isotropic", **carbon, "expansion": [-0.7e-6, 10e-6]}
    law = make_law({"law": "ThermoElastic", **nested}, "phase a")
    assert law == make_law(flat, "phase a")
    assert law.axis == pytest.approx([1, 0, 0])
    assert law.expansion[0] == pytest.approx((-0.7e-6, 0.0, 0.0))
    with pytest.raises(hmm.InputError, match=r"elastic: law = 'J2' is unknown: choose one of Anisotropic, Elastic"):
        make_law({"law": "ThermoElastic", "elastic": {"law": "J2"}}, "phase a")


def test_a_report_of_a_porous_image(folder):
    """Voxels with voids are no complete grid: the report has a picture of the cell instead of descriptors."""
    labels = np.ones((12, 12), dtype=np.uint8)
    labels[3:9, 3:9] = 0
    if COMM.rank == 0:
        np.save(folder / "pore.npy", labels)
    text = """
[cell]
image = "pore.npy"
phases = {pore = 0, solid = 1}
void = "pore"
[phases.solid]
young = 3.0
poisson = 0.3
"""
    jobs.run_job(job_of(folder, text), folder / "out", COMM)
    found = hmm.EffectiveProperties.from_json(folder / "out" / "properties.json")
    assert found.symmetry.name == "square" and found.fractions == {"solid": pytest.approx(0.75)}
    assert (folder / "out" / "cell.png").is_file()


def test_every_generator_is_known():
    known = generators()
    assert {"fibre", "sphere", "laminate", "random_fibres", "voronoi", "tpms", "voxels"} <= set(known)
    assert not {"extrude", "quality", "Polycrystal", "orientation_tensor"} & set(known)


def test_where_results_go(folder):
    assert str(job_of(folder, FIBRE, "mine").directory) == "results/mine"
    assert job_of(folder, FIBRE + '[output]\ndirectory = "there"\n').directory == folder / "there"


# -- what may be wrong ---------------------------------------------------------------------------------------------

TOP = FIBRE.lstrip()
ONLY_CELL = TOP[: TOP.index("[phases")]
ONLY_PHASES = TOP[TOP.index("[phases") :]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TOP.replace("mesh_size", "meshsize"), r"\[cell\] \(fibre\) .* 'meshsize' \(did you mean 'mesh_size'\?\)"),
        ("phisics = 'flow'\n" + TOP, r"unknown key 'phisics' \(did you mean 'physics'\?\): the keys are cell, phases"),
        ("physics = 'elastic'\n" + TOP, r"physics = 'elastic' is unknown \(did you mean 'elasticity'\?\)"),
        ("physics = ['elasticity']\n" + TOP, r"physics = \['elasticity'\] is unknown \(did you mean 'elasticity'\?\)"),
        (TOP.replace('"fibre"', '["fibre"]'), r"generator = \['fibre'\] is unknown"),
        (TOP.replace("young = 70.0", "law = ['J2']"), r"\[phases.fibre\]: law = \['J2'\] is unknown"),
        (
            TOP.replace("young = 70.0\npoisson = 0.2", "law = 'Anisotropic'\nstiffness = [[1, 2], [3]]"),
            r"stiffness = \[\[1, 2\], \[3\]\] is ragged: give lists of equal length",
        ),
        ("constraint = 'free'\n" + TOP, r"constraint = 'free' is unknown: choose one of periodic, dirichlet, minimal"),
        ("solver = 'dierct'\n" + TOP, r"solver = 'dierct' is unknown \(did you mean 'direct'\?\)"),
        ("degree = 1.5\n" + TOP, r"degree = 1.5 is not understood: give an integer"),
        ("degree = 200\n" + TOP, r"job.toml: degree = 200 is out of range: give 1 to 8"),
        ("quadrature_degree = -3\n" + TOP, r"quadrature_degree = -3 is out of range: give 1 to 30"),
        ("spread = 1\n" + TOP, r"spread = 1 is not understood: give true or false"),
        (TOP.replace("= 0.3\nmesh", "= '0.3'\nmesh"), r"volume_fraction = '0.3' is not understood: give a number"),
        (TOP.replace('"fibre"', '"fiber"'), r"generator = 'fiber' is unknown \(did you mean 'fibre'\?\)"),
        (TOP.replace('generator = "fibre"', ""), r"\[cell\] has none of image, mesh, generator"),
        (TOP.replace("[cell]", '[cell]\nmesh = "a.msh"'), r"\[cell\] has mesh and generator: give only one"),
        (ONLY_PHASES, r"\[cell\] is missing: give the source of the cell"),
        (ONLY_CELL, r"\[phases.NAME\] is missing: add one for each phase"),
        (ONLY_CELL.replace('"fibre"', '"laminate"').replace("volume_fraction = 0.3", "") + ONLY_PHASES, "'fractions'"),
        (IMAGE.replace("image.npy", "other.npy"), r"image = 'other.npy': there is no such file; paths are relative"),
        (IMAGE.replace("phases = {matrix = 0, fibre = 1}", ""), r"\[cell\] lacks 'phases': give each phase's label"),
        (IMAGE.replace("fibre = 1", "fibre = 'x'"), r"\[cell\]: phases: fibre = 'x' is not understood: give a label"),
        (IMAGE.replace("fibre = 1", "fibre = {low = 1}"), r"fibre = \{'low': 1\} is not understood: give a label"),
        (IMAGE.replace("phases = {", "mesh = 'smooth'\nphases = {"), r"for an image use elements = 'smooth'"),
        (IMAGE.replace("phases = {", "elements = 'smoth'\nphases = {"), r"elements = 'smoth' is unknown .*'smooth'"),
        (TOP.replace("young = 70.0", "law = 'Elastik'"), r"law = 'Elastik' is unknown \(did you mean 'Elastic'\?\)"),
        (TOP.replace("young = 70.0", ""), r"\[phases.fibre\] \(Elastic\) lacks 'young': add young = ... \(a number\)"),
        (TOP.replace("poisson = 0.35", "poisson = 0.6"), r"\[phases.matrix\]: Elastic: poisson = 0.6 must be in"),
        (TOP.replace("young = 70.0", "yuong = 70.0"), r"unknown key 'yuong' \(did you mean 'young'\?\)"),
        ("physics = 'conduction'\n" + TOP, r"\[phases.matrix\] \(Fourier\) has an unknown key 'young'"),
        ("phases = 'soft'\n" + ONLY_CELL, r"\[phases.NAME\] is missing"),
        (TOP + "[output]\nfield = ['11']\n", r"\[output\] has an unknown key 'field' \(did you mean 'fields'\?\)"),
        (TOP + "[output]\nfields = '11'\n", r"\[output\]: fields = '11' is not understood: give a list"),
        (TOP + "[[[", r"is not valid TOML: .* \(at line"),
        ("physics = 'permeability'\n" + TOP, r"physics = 'permeability' is unknown \(did you mean 'flow'\?\)"),
        ("physics = 'Thermal-Expansion'\n" + TOP, r"is unknown \(did you mean 'thermoelasticity'\?\)"),
        ("constraint = 'KUBC'\n" + TOP, r"constraint = 'KUBC' is unknown \(did you mean 'dirichlet'\?\)"),
        ("solver = 'mumps'\n" + TOP, r"solver = 'mumps' is unknown \(did you mean 'direct'\?\)"),
        (TOP.replace("poisson = 0.35", "nu = 0.35"), r"unknown key 'nu' \(did you mean 'poisson'\?\)"),
        (
            TOP.replace("young = 70.0", "young = 1e308"),
            r"\[phases.fibre\] \(Elastic\): young = 1e\+308 is out of range",
        ),
        (TOP.replace("young = 70.0", "young = 1e-320"), r"young = 1e-320 is out of range: give zero or a number from"),
        (TOP.replace("young = 70.0", "young = nan"), r"young = nan is out of range"),
        (
            TOP.replace("young = 70.0", "young = 1" + 400 * "0"),
            r"young = an integer of about 40\d digits is out of range",
        ),
        (TOP.replace("young = 70.0", "young = [1, inf]"), r"young = \[1, inf\] is not understood: give a number"),
        (
            "degree = 1" + 70 * "0" + "\n" + TOP,
            r"degree = an integer of about 7\d digits is out of range: give an integer up to 2147483647",
        ),
        (
            TOP.replace("young = 70.0", "young = [0x" + 9000 * "f" + "]"),
            r"young = \[an integer of about 108\d\d digits\] is",
        ),
        (IMAGE.replace("fibre = 1", "fibre = 9000000000000000000000"), r"fibre = 90+ is out of range"),
        (
            TOP.replace("young = 70.0\npoisson = 0.2", "law = 'Anisotropic'\nstiffness = [[1, 2], [2, -inf]]"),
            r"stiffness = -inf is out of range",
        ),
        (TOP + "[" + "a." * 5000 + "b]\n", r"is nested too deeply: no job has more than 20 levels"),
        ("young = " + "[" * 5000 + "]" * 5000 + "\n" + TOP, r"is nested too deeply"),
        (
            TOP.replace("[phases.fibre]", '[phases."a\\nb"]'),
            r"\[phases\]: 'a\\nb' is not a valid name of a phase: give 1 to 80",
        ),
        (IMAGE.replace("fibre = 1", "'' = 1"), r"phases: '' is not a valid name of a phase"),
        (TOP.replace("young = 70.0", "young = '" + 9999 * "x" + "'"), r"young = 'x+\.\.\.x+' is not understood"),
    ],
)
def test_a_wrong_job_is_refused_before_anything_is_done(folder, text, message):
    with pytest.raises(hmm.InputError, match=message) as found:
        job_of(folder, text)
    assert str(found.value).count("\n") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TOP[: TOP.index("[phases.fibre]")], r"phase 'fibre' of the cell has no law: add \[phases.fibre\], or"),
        (
            TOP + "[phases.fiber]\nyoung = 1\npoisson = 0\n",
            r"\[phases.fiber\] is not a phase .* \(did you mean 'fibre'\?\)",
        ),
        (TOP.replace("= 0.3\nmesh", "= 1.3\nmesh"), r"job.toml: \[cell\]: volume_fraction = 1.3 is outside"),
        ("degree = 0\n" + TOP, r"job.toml: .*degree 0"),
        ("dt = -1\n" + TOP, r"job.toml: time step -1.0 must be"),
        (
            IMAGE.replace("phases = {", "fill = -3\nphases = {"),
            r"job.toml: \[cell\]: fill = -3 is not a number of voxels",
        ),
        (TOP + "[output]\nfields = ['44']\n", r"job.toml: \[output\]: fields: '44' is not a macro component"),
        (IMAGE.replace("fibre = 1", "fibre = 5"), r"\[cell\]: phase 'fibre' claims 5, which the image does not have"),
    ],
)
def test_what_only_the_cell_knows_is_refused_on_all_ranks(folder, text, message):
    with pytest.raises(hmm.InputError, match=message):
        jobs.run_job(job_of(folder, text), folder / "out", COMM)


def test_a_broken_picture_is_refused_in_one_line(folder):
    pytest.importorskip("tifffile")
    if COMM.rank == 0:
        (folder / "broken.tif").write_bytes(b"II*\0\x08\0\0\0")
    COMM.Barrier()
    with pytest.raises(hmm.InputError, match=r"broken.tif cannot be read as .tif .*: is the file complete\?"):
        jobs.run_job(job_of(folder, IMAGE.replace("image.npy", "broken.tif")), folder / "out", COMM)


def test_numbers_are_on_disk_before_pictures_and_fields(folder, monkeypatch):
    """What took longest is not lost by what is drawn afterwards, and a half-written file is never seen."""

    def fail(*args, **kwargs):
        assert (folder / "out" / "properties.json").is_file()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hmm.effective.writing._draw", fail)
    with pytest.raises(hmm.HMMError, match=r"cannot write .*out \(No space left on device\): free disk space"):
        jobs.run_job(job_of(folder, FIBRE), folder / "out", COMM)
    hmm.EffectiveProperties.from_json(folder / "out" / "properties.json")
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["cell.png", "properties.json"]


@pytest.mark.parametrize("name", ["properties.json", "report.md"])
def test_a_directory_in_the_way_of_results_is_named_before_the_work(folder, name, monkeypatch):
    if COMM.rank == 0:
        (folder / "out" / name).mkdir(parents=True)
    COMM.Barrier()
    monkeypatch.setattr("hmm.jobs.running.homogenize", lambda *args, **kwargs: pytest.fail("the work has begun"))
    with pytest.raises(hmm.InputError, match=rf"cannot write .*{name}, which is a directory: remove it"):
        jobs.run_job(job_of(folder, FIBRE), folder / "out", COMM)


def test_a_file_is_written_atomically(tmp_path):
    target, link = tmp_path / "a.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    with pytest.raises(hmm.InputError, match=r"cannot write .*a.json"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        write_atomically(target, "newer")
    assert target.read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "link.json"]


def test_a_job_without_its_results_is_a_failure(folder, monkeypatch):
    monkeypatch.setattr("hmm.effective.data.write_atomically", lambda path, text: None)
    with pytest.raises(hmm.HMMError, match=r"properties.json was not written, or was removed: run the job again"):
        jobs.run_job(job_of(folder, FIBRE + NUMBERS), folder / "out", COMM)


def test_flow_through_an_image(folder):
    """A channel image, with a pore that leads nowhere: ``k = h^3 / 12``."""
    if COMM.rank == 0:
        labels = np.zeros((4, 16), dtype=np.uint8)
        labels[:, 4:12] = 1
        labels[1:3, 14:] = 1
        np.save(folder / "channel.npy", labels)
    COMM.Barrier()
    text = """
        physics = "flow"
        [cell]
        image = "channel.npy"
        phases = {solid = 0, fluid = 1}
        void = "solid"
        spacing = 0.0625
        [phases.fluid]
        viscosity = 2.0
    """
    found = run(folder, text + NUMBERS)
    assert found.tensor == pytest.approx(np.diag([0.5**3 / 12, 0.0]), abs=1e-12)


def test_names_are_no_markup_and_no_formulas(folder, capsys):
    """Neither on the terminal nor in pictures nor in the report."""
    text = IMAGE.replace("matrix = 0, fibre = 1", "'[/x]' = 0, '_$\\\\frac$|b' = 1")
    text = text[: text.index("[phases")] + '[phases."*"]\nyoung = 1.0\npoisson = 0.3\n'
    run(folder, text.replace("\\\\", "\\"))
    assert COMM.rank or "[/x] 0.7569" in capsys.readouterr().out
    assert r"_$\frac$\|b" in (folder / "job" / "report.md").read_text()


def test_errors_of_libraries_take_one_line_and_name_the_job(folder):
    def fail(*args, **kwargs):
        raise RuntimeError("Box seems to have zero width\nCheck dimensions")

    job = replace(job_of(folder, FIBRE), source=CellSource("a cell", fail))
    with pytest.raises(
        hmm.HMMError, match=r"job.toml: \[cell\]: RuntimeError \(Box .* width Check .*\): check"
    ) as found:
        jobs.run_job(job, folder / "out", COMM)
    assert str(found.value).count("\n") == 0


def test_a_directory_that_is_no_name(folder):
    with pytest.raises(hmm.InputError, match=r"cannot write to .*null byte"):
        jobs.run_job(job_of(folder, FIBRE + '[output]\ndirectory = "a\\u0000b"\n'), comm=COMM)


def test_files_that_never_end_are_refused_at_once(folder):
    if COMM.rank == 0:
        os.mkfifo(folder / "pipe.npy")
        os.mkfifo(folder / "pipe.toml")
    COMM.Barrier()
    with pytest.raises(hmm.InputError, match=r"job file .*pipe.toml is a named pipe"):
        jobs.read_job(folder / "pipe.toml", COMM)
    for name, kind in (("pipe.npy", "a named pipe"), ("/dev/zero", "a device"), ("..", "a directory")):
        with pytest.raises(hmm.InputError, match=rf"\[cell\]: image = .* is {kind}"):
            job_of(folder, IMAGE.replace("image.npy", name))


def test_a_job_file_that_is_not_there(folder):
    with pytest.raises(hmm.InputError, match=r"there is no job file .*nowhere.toml: .*--example"):
        jobs.read_job(folder / "nowhere.toml", COMM)


# -- the command ---------------------------------------------------------------------------------------------------


def test_the_command(folder, capsys):
    job_of(folder, FIBRE + NUMBERS)
    cli.main(["homogenize", str(folder / "job.toml"), "--output", str(folder / "out")])
    assert (folder / "out" / "properties.json").is_file()
    assert capsys.readouterr().out.count("Effective stiffness") == (COMM.rank == 0)
    cli.main(["homogenize", "--example"])
    assert (capsys.readouterr().out.strip() == jobs.example().strip()) == (COMM.rank == 0)


@pytest.mark.parametrize(("argv", "words"), [([], "needs a job file"), (["nowhere.toml"], "there is no job file")])
def test_the_command_complains_in_one_line(argv, words, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["homogenize", *argv])
    printed = capsys.readouterr()
    assert end.value.code == 1 and printed.out == ""
    if COMM.rank == 0:
        assert printed.err.startswith("error: ") and printed.err.count("\n") == 1 and words in printed.err


@pytest.mark.parametrize("name", ["properties.json", "report.md", "directions.png", "fields_11.bp"])
def test_something_in_the_way_of_a_result(folder, name, capsys):
    """One line on all ranks that names it, and exit code 1: a job without its results is not done."""
    wanted = "[output]\n" + ("" if name.endswith("png") else "plot = false\n") + 'fields = ["11"]\n'
    job = folder / "job.toml"
    if COMM.rank == 0:
        job.write_text(IMAGE + wanted)
        (folder / "results" / name / "data.0").mkdir(parents=True)
    COMM.Barrier()
    with pytest.raises(hmm.InputError, match=name):
        jobs.run_job(jobs.read_job(job, COMM), folder / "results")


def test_a_job_nested_too_deeply(folder):
    with pytest.raises(hmm.InputError, match=r"job\.toml is nested too deeply"):
        job_of(folder, "a = " + 20_000 * "[" + 20_000 * "]")


def test_an_exit_in_the_middle_of_a_job(folder, monkeypatch):
    """Whatever ends the program there with exit code 0, it is an error."""
    job = folder / "job.toml"
    if COMM.rank == 0:
        job.write_text(IMAGE)
    COMM.Barrier()
    monkeypatch.setattr(jobs, "run_job", lambda *_: raise_exit())
    with pytest.raises(SystemExit) as end:
        cli.main(["homogenize", str(job)])
    assert end.value.code == 1


def raise_exit():
    raise SystemExit(0)
