"""The verification table: its quick cases pass, a failing case is told, and the stored page has all cases."""

import csv
import importlib
import sys
from dataclasses import replace
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
from support import references

import hmm

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

command = pytest.importorskip("verification.command")
from verification import cases, page, running, series  # noqa: E402
from verification.peers import cells as peer_cells  # noqa: E402
from verification.peers import comparing  # noqa: E402

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="the cases are run by one process")


@pytest.mark.parametrize("name", [case.name for case in cases.ordered() if case.quick])
def test_quick_case(name):
    result = running.run(cases.CASES[name])
    assert result.failure == ""
    assert {row.quantity: row.error for row in result.rows if not result.passes(row)} == {}


@pytest.mark.parametrize("contrast", references.CONDUCTIVITY_DISCS_SQUARE)
def test_multipoles_give_the_table(contrast):
    found = series.conductivity_of_cylinders("square", [np.sqrt(0.3 / np.pi)], [contrast])
    assert found == pytest.approx(references.CONDUCTIVITY_DISCS_SQUARE[contrast], rel=1e-7)


@pytest.mark.parametrize("array", ["square", "hexagonal"])
def test_multipoles_obey_keller_and_see_no_coat_of_matrix(array):
    found = [series.conductivity_of_cylinders(array, [0.4], [k]) for k in (7.0, 1 / 7)]
    assert np.prod(found) == pytest.approx(1.0, rel=1e-12)
    assert series.conductivity_of_cylinders(array, [0.4, 0.45], [7.0, 1.0]) == pytest.approx(found[0], rel=1e-12)


@pytest.fixture
def wrong(monkeypatch):
    """A case whose reference is 1 % off, and one that raises."""

    def raises():
        raise ValueError("no such cell\nat all")

    answer = cases.Answer([cases.Row("k", 1.01, 1.0), cases.Row("bound", 1.0, 2.0, "<=")], "1 interval")
    good = cases.CASES["flow-between-plates"]
    both = {
        "off": replace(good, name="off", tolerance=1e-3, compute=lambda: answer),
        "raises": replace(good, name="raises", compute=raises),
    }
    monkeypatch.setattr(cases, "CASES", both)
    monkeypatch.setattr(command, "CASES", both)


def test_a_failing_case_is_told_with_its_number(wrong, tmp_path, capsys):
    assert command.main(["--output", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "0 of 2 cases pass" in printed and "1.0e-02" in printed and "no such cell" in printed
    text = (tmp_path / "verification.md").read_text()
    assert "**0 of 2 cases pass**" in text and "FAIL" in text and "### off" in text
    rows = list(csv.DictReader((tmp_path / "verification.csv").open()))
    assert [(row["quantity"], row["verdict"]) for row in rows] == [("k", "FAIL"), ("bound", "pass")]


def test_a_case_that_passes_ends_with_0(capsys):
    assert command.main(["--only", "between-plates"]) == 0
    assert "1 of 1 cases pass" in capsys.readouterr().out


def test_an_unknown_case_is_told_in_one_line():
    with pytest.raises(SystemExit, match=r"case 'flow-betwen-plates' is unknown \(did you mean 'flow-between-plates'"):
        command.main(["--only", "flow-betwen-plates"])
    with pytest.raises(SystemExit, match="none of checkerboard-conducts is quick: leave out --quick"):
        command.main(["--only", "checker", "--quick"])


def test_the_stored_page_has_all_cases():
    text = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
    assert [name for name in cases.CASES if f"### {name}\n" not in text] == []
    assert "**" in page.filled(text, {"summary": "**"})


@pytest.mark.parametrize("cell", ["triangles", "voxels"])
def test_a_cell_for_other_codes_is_the_same_cell(cell, tmp_path):
    """Written, read and built again, it has the same stiffness: vertices, tags and moduli are in their places."""
    materials = {"matrix": (3.35, 0.35), "fibre": (80.0, 0.2)}
    labels = np.zeros((4, 3, 2), dtype=int)
    labels[1:3, 1, 0] = 1
    made = hmm.cells.fibre(0.3, mesh_size=0.2) if cell == "triangles" else None
    made = made or hmm.cells.voxels(labels, {"matrix": 0, "fibre": 1})
    peer_cells.problem_of(made, materials).write(tmp_path / "cell.npz")
    problem = peer_cells.Problem.read(tmp_path / "cell.npz")
    assert problem.grid.shape == (labels.shape if cell == "voxels" else (0,))
    sys.path.insert(0, str(ROOT / "benchmarks" / "verification" / "peers"))
    found = importlib.import_module("hmm_job").solve(replace(problem, grid=np.zeros(0)))
    exact = hmm.homogenize(made, {name: hmm.laws.Elastic(*m) for name, m in materials.items()}, solver="direct").voigt
    assert found == pytest.approx(exact, rel=1e-9, abs=1e-9)
    if problem.grid.size:
        assert np.array_equal(problem.grid, labels)


def test_without_other_codes_the_comparison_says_so(tmp_path):
    with pytest.raises(SystemExit, match=r"there is no interpreter .*: run 'make verify-peers'"):
        comparing.main(["--python", str(tmp_path / "python")])
    with pytest.raises(SystemExit, match="has none of sfepy, fedoo, muSpectre"):
        comparing.main(["--python", without_packages(tmp_path)])


def without_packages(folder):
    """An interpreter without site packages."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o755)
    return str(python)


def test_errors_of_bounds_and_of_zero():
    assert cases.Row("a", 1.1, 1.0, "<=").error == pytest.approx(0.1)
    assert cases.Row("a", 0.9, 1.0, "<=").error == 0 == cases.Row("a", 1.1, 1.0, ">=").error
    assert cases.Row("a", 0.1, 0.0, scale=10.0).error == pytest.approx(0.01)
