"""`hmm run`: each formulation against closed forms and against its own program in Python; loads, models, restart."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
from support.run_jobs import BOX, HEAT, JOBS, POISSON, PULL, RECTANGLE, ROLLERS, YOUNG, elastic, job

import hmm
from hmm import cli, jobs

COMM = MPI.COMM_WORLD
DEMO = Path(__file__).parents[2] / "demos" / "jobs" / "beam.toml"

pytestmark = pytest.mark.mpi


@pytest.fixture
def folder(tmp_path):
    return COMM.bcast(tmp_path)


def write(folder, text, name="job.toml"):
    if COMM.rank == 0:
        (folder / name).write_text(text)
    COMM.Barrier()
    return folder / name


def ran(folder, text, **options):
    """The curve of a job, by column."""
    found = jobs.run_fe2(jobs.read_run(write(folder, text), COMM), folder / "out", COMM, **options)
    return dict(zip(found.columns, np.array(found.rows).T, strict=True))


def curve(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", JOBS)
def test_a_formulation_agrees_with_its_closed_form(name, folder):
    text, expected = JOBS[name]
    found = ran(folder, text)
    assert found["time"] == pytest.approx([0.5, 1.0])
    for column, value in expected.items():
        assert found[column][-1] == pytest.approx(value, rel=1e-7), column


def test_a_body_at_one_temperature_has_no_flux_and_converges(folder):
    text = JOBS["thermo-mechanics"][0].replace("temperature = 300\n", 'temperature = "300 + 50 * t"\n')
    found = ran(folder, text)
    exact = -YOUNG * 1e-4 * 50 / (1 - 2 * POISSON)
    assert found["reaction of right ux"][-1] == pytest.approx(exact, rel=1e-9)
    assert abs(found["reaction of right temperature"][-1]) < 1e-9


def test_finite_strain_is_that_of_the_cell(folder):
    found = ran(folder, JOBS["finite strain"][0])
    cell = hmm.cells.fibre(0.3, mesh_size=0.5)
    law = hmm.laws.NeoHooke.from_moduli(shear=1.0, bulk=10.0)
    rve = hmm.RVE(
        cell, hmm.fluctuation(cell), hmm.macro_deformation_gradient(cell), law=dict.fromkeys(cell.phases, law)
    )
    stress = rve.solve([[1.4, 0.0], [0.0, 1.0]]).stress
    assert found["reaction of right ux"][-1] == pytest.approx(stress[0, 0], rel=1e-8)
    assert found["reaction of top uy"][-1] == pytest.approx(2.0 * stress[1, 1], rel=1e-8)


@pytest.mark.parametrize("name", JOBS)
def test_the_printed_program_computes_the_same(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    text = JOBS[name][0]
    expected = ran(folder, text)
    program = jobs.python_of(jobs.read_run(folder / "job.toml", COMM))
    exec(compile(program, "job.py", "exec"), {"__name__": "__main__"})
    rows = curve(folder / "results" / "job_python" / "curve.csv")
    for column, values in expected.items():
        scale = np.abs(values).max()
        assert [float(row[column]) for row in rows] == pytest.approx(values, abs=1e-9 * max(scale, 1e-3)), column


LOADS = {
    "traction": ('group = "right"\ntraction = ["3 * t", 0]', {"left ux": -3.0, "bottom uy": 0.0}),
    "pressure": ('group = "top"\npressure = {times = [0, 1], values = [0, 2]}', {"left ux": 0.0, "bottom uy": 4.0}),
    "body_force": ('body_force = [0, "-5 * t"]', {"left ux": 0.0, "bottom uy": 10.0}),
}


@pytest.mark.parametrize("name", LOADS)
def test_loads_and_reactions_are_in_balance(name, folder):
    text, expected = LOADS[name]
    found = ran(folder, job("plane strain", RECTANGLE, elastic(), ROLLERS + f"[[load]]\n{text}\n"))
    for condition, value in expected.items():
        assert found[f"reaction of {condition}"][-1] == pytest.approx(value, abs=1e-6)


def test_heat_flux_and_source_are_in_balance(folder):
    cold = '[[support]]\ngroup = "left"\ntemperature = 0\n'
    loads = '[[load]]\ngroup = "right"\nflux = 3\n[[load]]\nsource = "t"\n'
    found = ran(folder, job("heat", RECTANGLE, HEAT, cold + loads))
    assert found["reaction of left temperature"] == pytest.approx([-4.0, -5.0])


def test_what_two_groups_have_in_common(folder):
    pinned = '[[support]]\ngroup = "left"\nux = 0\n[[support]]\ngroup = "left & bottom"\nuy = 0\n'
    pull = '[[support]]\ngroup = "right"\nux = "0.02 * t"\n'
    found = ran(folder, job("plane strain", RECTANGLE, elastic(), pinned + pull))
    assert found["reaction of right ux"][-1] == pytest.approx(YOUNG / (1 - 0.25**2) * 0.01)
    assert found["reaction of left & bottom uy"][-1] == pytest.approx(0.0, abs=1e-8)


def test_a_cell_with_another_constraint(folder):
    """Homogeneous cells have the same answer under all."""
    material = elastic().replace("[material.cell]", '[material]\nconstraint = "minimal"\n[material.cell]')
    found = ran(folder, job("plane strain", RECTANGLE, material, PULL))
    assert found["reaction of right ux"][-1] == pytest.approx(YOUNG / (1 - 0.25**2) * 0.01)


MODELS = {
    "adaptive": 'model = "adaptive"\n[adaptive]\ntolerance = 1e-3\n',
    "reduced": 'model = "reduced"\n[reduced]\nsize = 0.01\npaths = 2\nsteps = 4\n',
}


@pytest.mark.parametrize("name", MODELS)
def test_models(name, folder):
    """Elastic answers are exact in both."""
    found = ran(folder, job("plane stress", RECTANGLE, elastic(), PULL, MODELS[name]))
    assert found["reaction of right ux"][-1] == pytest.approx(YOUNG * 0.01, rel=1e-6)


# -- mesh files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_halves(folder):
    """A rectangle [0, 2] x [0, 1] with groups left, right, bottom, soft and stiff, and the point pin."""
    if COMM.rank == 0:
        import gmsh

        gmsh.initialize(interruptible=False)
        gmsh.option.setNumber("General.Terminal", 0)
        occ, model = gmsh.model.occ, gmsh.model
        occ.fragment([(2, occ.addRectangle(0, 0, 0, 1, 1))], [(2, occ.addRectangle(1, 0, 0, 1, 1))])
        occ.synchronize()
        near = {e[1]: occ.getCenterOfMass(*e) for e in model.getEntities(1)}
        for name, axis, at in (("left", 0, 0.0), ("right", 0, 2.0), ("bottom", 1, 0.0)):
            model.addPhysicalGroup(1, [t for t, x in near.items() if abs(x[axis] - at) < 1e-9], name=name)
        for name, x in (("soft", 0.5), ("stiff", 1.5)):
            parts = [t for _, t in model.getEntities(2) if abs(occ.getCenterOfMass(2, t)[0] - x) < 1e-9]
            model.addPhysicalGroup(2, parts, name=name)
        points = [t for _, t in model.getEntities(0) if np.allclose(model.getValue(0, t, []), 0.0)]
        model.addPhysicalGroup(0, points, name="pin")
        gmsh.option.setNumber("Mesh.MeshSizeMin", 0.5)
        model.mesh.generate(2)
        gmsh.write(str(folder / "halves.msh"))
        gmsh.finalize()
    COMM.Barrier()
    return folder / "halves.msh"


FILE = '[mesh]\nfile = "halves.msh"\n'
PINNED = PULL.replace("bottom", "pin")


def test_materials_by_group(folder, two_halves):
    """Two bars in series, in plane stress: the compliances add up."""
    stiff = elastic("materials.stiff").replace("1000.0", "3000.0").replace("0.25", "0.0")
    soft = elastic("materials.soft").replace("0.25", "0.0")
    found = ran(folder, job("plane stress", FILE, soft + stiff, PINNED))
    assert found["reaction of right ux"][-1] == pytest.approx(0.02 / (1 / 1000 + 1 / 3000))


def test_a_load_on_a_group_of_cells(folder, two_halves):
    loads = '[[load]]\ngroup = "stiff"\nbody_force = [0, -1]\n'
    found = ran(folder, job("plane stress", FILE, elastic(), ROLLERS + loads))
    assert found["reaction of bottom uy"][-1] == pytest.approx(1.0)


# -- results, restart ------------------------------------------------------------------------------------------------


def test_the_beam_is_that_of_the_demo(folder):
    """The job of demos/jobs, on the coarse meshes of demo_fe2_beam.py --quick, whose reactions are those of a
    converged run."""
    text = DEMO.read_text()
    for key, value in (("elements", "[4, 2]"), ("mesh_size", "0.12"), ("steps", "3")):
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    found = ran(folder, text)
    sys.path.insert(0, str(DEMO.parents[1]))
    try:
        import demo_fe2_beam as demo
    finally:
        sys.path.pop(0)
    size = demo.SIZES["quick"]
    beam = demo.Beam(demo.composite(size.mesh_size), size.elements, COMM)
    reactions = [
        beam.problem.reaction(beam.end) for _ in hmm.steps(beam.problem, beam.deflection, demo.DEFLECTION, size.steps)
    ]
    assert found["reaction of right uy"] == pytest.approx(reactions, rel=1e-8)
    assert COMM.rank or (folder / "out" / "summary.json").exists()


def test_a_run_that_stops_is_continued(folder, monkeypatch):
    """The first step is written, then the run is interrupted; the same call makes the rest."""
    text = job("plane strain", RECTANGLE, elastic(), PULL)
    whole = ran(folder, text)
    real = jobs.fe2.running._row

    def stopping(made, step):
        if step.number == 2:
            raise KeyboardInterrupt
        return real(made, step)

    read = jobs.read_run(folder / "job.toml", COMM)
    monkeypatch.setattr(jobs.fe2.running, "_row", stopping)
    with pytest.raises(KeyboardInterrupt):
        jobs.run_fe2(read, folder / "again", COMM)
    monkeypatch.setattr(jobs.fe2.running, "_row", real)
    found = jobs.run_fe2(read, folder / "again", COMM)
    assert np.array(found.rows)[:, 0].tolist() == [1, 2]
    assert np.array(found.rows)[:, -1] == pytest.approx(whole["reaction of right ux"])


def test_results_are_not_overwritten_unasked(folder):
    text = job("plane strain", RECTANGLE, elastic(), PULL)
    first = ran(folder, text)
    with pytest.raises(hmm.InputError, match=r"out holds the results of a run: add --overwrite .* or give another"):
        ran(folder, text)
    again = ran(folder, text, overwrite=True)
    assert again["reaction of right ux"] == pytest.approx(first["reaction of right ux"])


def test_a_run_of_another_job_is_not_overwritten_unasked(folder):
    text = job("plane strain", RECTANGLE, elastic(), PULL)
    ran(folder, text)
    if COMM.rank == 0:
        (folder / "out" / "summary.json").unlink()
    COMM.Barrier()
    with pytest.raises(hmm.InputError, match=r"out holds a run of another job: add --overwrite"):
        ran(folder, text + "# another\n")


def test_the_command(folder, capsys):
    path = write(folder, job("plane strain", RECTANGLE, elastic(), PULL))
    cli.main(["run", str(path), "--output", str(folder / "out"), "--json"])
    printed = capsys.readouterr().out
    assert COMM.rank or '"steps": 2' in printed
    cli.main(["run", str(path), "--show-python"])
    assert ("hmm.MacroProblem(" in capsys.readouterr().out) == (COMM.rank == 0)


# -- bad input -------------------------------------------------------------------------------------------------------

GOOD = job("plane strain", RECTANGLE, elastic(), PULL + '[[load]]\ngroup = "top"\npressure = "t"\n')

WRONG = [
    ('"plane strain"', '"plain strain"', r"formulation = 'plain strain' is unknown \(did you mean 'plane strain'\?\)"),
    ("rectangle", "rectangel", r"\[mesh\] has an unknown key 'rectangel' \(did you mean 'rectangle'\?\)"),
    ("[2, 1]", '["2", 1]', r"\[mesh\]: elements = \['2', 1\] is not understood: give a"),
    ("elements = [2, 1]", "", r"\[mesh\]: it lacks 'elements'"),
    (
        "elements = [2, 1]",
        "elements = [2, 1]\ndegree = 9",
        r"degree = 9 is out of range: give 1 to 4",
    ),
    ("elements = [2, 1]", 'elements = [2, 1]\nelement = "hexahedron"', r"does not fit a rectangle: choose one of"),
    ("rectangle = [2.0, 1.0]", "rectangle = [2.0, 1.0]\nbox = [1, 1, 1]", r"it has rectangle and box: give one"),
    ('formulation = "plane strain"', "", r"job.toml lacks 'formulation': add formulation = \.\.\. \(one of"),
    ("[mesh]\nrectangle = [2.0, 1.0]\nelements = [2, 1]\n", "", r"job.toml lacks 'mesh': add a table \[mesh\]"),
    ('"plane strain"', '"3D"', r"formulation = '3D' is not for a 2D mesh"),
    (
        '"plane strain"',
        '"finite strain"',
        r"laws answer strain, and formulation = .finite strain. needs laws of",
    ),
    ('"0.02 * t"', '"0.02 * s"', r"ux = '0.02 \* s': 's' in it is unknown"),
    ('"0.02 * t"', "\"open('x')\"", r"'open' in it is unknown"),
    ('"0.02 * t"', '"().__class__"', r"is not arithmetic"),
    ('"0.02 * t"', '"log(-t)"', r"has no value at t = 0.5|has no value at t = 0"),
    ('"0.02 * t"', "true", r"\[support\] number 3: ux = true"),
    ('group = "right"\nux', 'group = "right"\nuxx', r"has an unknown key 'uxx' \(did you mean 'ux'\?\)"),
    ('group = "right"\nux', 'group = "right"\ntemperature', r"\[support\] number 3 has temperature, which formulation"),
    ('group = "right"', 'group = "rigth"', r"no group 'rigth' \(did you mean 'right'\?\): the groups are left"),
    ('group = "right"', 'group = "right & left"', r"'right & left' is empty"),
    ('group = "right"', 'group = "left"', r"ux of 'left' is prescribed twice"),
    ('group = "top"\n', "", r"\[load\] number 1: a pressure acts on a boundary: add group"),
    ('group = "top"', 'group = "topp"', r"\[load\] number 1: the mesh has no group 'topp' \(did you mean 'top'\?\)"),
    ("pressure", "flux", r"flux acts on a temperature, which formulation"),
    ('pressure = "t"', 'pressure = "t"\nflux = 1', r"it has pressure and flux: give one"),
    ('pressure = "t"', 'traction = ["t"]', r"traction has 1 entries: give 2"),
    ("young", "yuong", r"yuong"),
    ('generator = "fibre"', 'generator = "fiber"', r"\[material.cell\].*generator = 'fiber' is unknown \(did you mean"),
    ('"*"', "matrx", r"\[material\]: \[phases.matrx\] is not a phase of the cell \(did you mean 'matrix'\?\)"),
    ("[material.", "[matter.", r"unknown key 'matter' \(did you mean 'mater"),
    ("steps = 2", 'steps = "2"', r"\[time\]: steps = '2' is not understood"),
    ("steps = 2", "steps = 2\ntimes = [0, 1]", r"\[time\]: it has times, and end or steps"),
    ('format = "none"', 'format = "vtk"', r"\[output\]: format = 'vtk' is unknown \(did you mean 'vtu'\?\)"),
    ("[time]", "[adaptive]\ntolerance = 1\n[time]", r"it has \[adaptive\], and model = 'full'"),
    (
        'phases."*"]\nyoung',
        'phases."*"]\nlaw = "Elastc"\nyoung',
        r"'Elastc' is unknown \(did you mean 'Elastic'",
    ),
    (
        "[material.cell]",
        '[material]\nconstraint = "dirichlet"\nsolver = "drect"\n[material.cell]',
        r"solver = 'drect' is unk",
    ),
    ("[[support]]", "[[suport]]", r"unknown key 'suport' \(did you mean 'support'\?\)"),
]


@pytest.mark.parametrize(("old", "new", "words"), WRONG, ids=[f"{k}" for k in range(len(WRONG))])
def test_bad_input_is_one_line(old, new, words, folder):
    assert old in GOOD
    with pytest.raises(hmm.InputError, match=words) as error:
        ran(folder, GOOD.replace(old, new))
    assert "\n" not in str(error.value)


def test_a_group_that_the_mesh_file_lacks(folder, two_halves):
    with pytest.raises(hmm.InputError, match=r"number 2: the mesh has no group 'top': the groups are pin, left"):
        ran(folder, job("plane stress", FILE, elastic(), PINNED.replace("pin", "top")))


def test_cells_without_a_material(folder, two_halves):
    with pytest.raises(hmm.InputError, match=r"cells are in none of the groups soft"):
        ran(folder, job("plane stress", FILE, elastic("materials.soft"), PINNED))


def test_a_mesh_file_that_is_not_there(folder):
    with pytest.raises(hmm.InputError, match=r"\[mesh\]: file = 'halves.msh': there is no mesh file"):
        ran(folder, job("plane stress", FILE, elastic(), PINNED))


@pytest.mark.skipif(COMM.size > 1, reason="starts processes of its own")
def test_an_interrupt_leaves_a_state_to_continue_from(folder):
    """Ctrl-C in a process of its own: exit code 130 and one line; the same command then ends well."""
    text = job("plane strain", RECTANGLE, elastic(), PULL).replace("steps = 2", "steps = 400")
    path = write(folder, text)
    command = [sys.executable, "-m", "hmm", "run", str(path), "--output", str(folder / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    latest = time.monotonic() + 100
    while not (folder / "out" / "checkpoint.h5").exists() and time.monotonic() < latest:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    assert "run the same command again to continue" in out
    done = int(re.search(r"(\d+) of 400 steps", out)[1])
    assert 1 <= done < 400
    found = jobs.run_fe2(jobs.read_run(path), folder / "out")
    assert [int(row[0]) for row in found.rows] == list(range(1, 401))


def test_3d_needs_a_cell_in_space(folder):
    with pytest.raises(hmm.InputError, match=r"macro"):
        ran(folder, job("3D", BOX, elastic(), PULL))


OWN = """
import hmm


class Soft(hmm.laws.Memoryless):
    fields = ("strain",)

    def __init__(self, modulus: float):
        self.modulus = modulus

    def response(self, at):
        return self.modulus * at.strain
"""


def test_a_law_of_the_users_own(folder, monkeypatch):
    """Hooke's law without contraction across; the program that is printed imports it."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    write(folder, OWN, "softlaws.py")
    material = elastic().replace("young = 1000.0\npoisson = 0.25", 'law = "softlaws.Soft"\nmodulus = 500.0')
    path = write(folder, job("plane strain", RECTANGLE, material, PULL))
    with pytest.raises(hmm.InputError, match="is code of your own"):
        jobs.read_run(path, COMM)
    read = jobs.read_run(path, COMM, trust_laws=True)
    found = jobs.run_fe2(read, folder / "out", COMM)
    assert found.rows[-1][-1] == pytest.approx(500.0 * 0.01)
    exec(compile(jobs.python_of(read), "job.py", "exec"), {"__name__": "__main__"})
    assert float(curve(folder / "results" / "job_python" / "curve.csv")[-1]["reaction of right ux"]) == pytest.approx(5)
