"""Results are tables of HTML in a notebook, with the numbers that they have."""

from mpi4py import MPI

import numpy as np
import pytest

import hmm
from hmm.foundation.html import html_matrix, html_table

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="a notebook is one process")


@pytest.fixture(scope="module")
def rve():
    cell = hmm.cells.laminate({"soft": 0.75, "stiff": 0.25}, mesh_size=0.5)
    law = {"soft": hmm.laws.Elastic(1.0, 0.25), "stiff": hmm.laws.Elastic(10.0, 0.25)}
    return hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=law)


def numbers(html):
    """The numbers in the cells of the tables."""
    import re

    return [float(text) for text in re.findall(r"<td[^>]*>([-+.\de]+)</td>", html)]


def test_response(rve):
    answer = rve.solve(np.diag([1e-3, 0.0]))
    expected = [*answer.stress.ravel(), *answer.tangent.ravel()]
    assert np.allclose(numbers(answer._repr_html_()), expected, rtol=1e-4, atol=1e-9)
    assert len(numbers(rve.solve(np.diag([1e-3, 0.0]), tangent=False)._repr_html_())) == 4


def test_uniaxial(rve):
    test = hmm.uniaxial(rve, "11", [1e-3, 2e-3])
    assert np.allclose(numbers(test._repr_html_())[:2], [1e-3, test.stress[0]], rtol=1e-4)


def test_cell(rve):
    html = rve.cell._repr_html_()
    assert "Cell in 2D" in html
    assert ">75.00%<" in html


def test_bounds(rve):
    A = rve.solve(np.zeros((2, 2))).tangent
    law = {name: hmm.laws.Elastic(E, 0.25) for name, E in (("soft", 1.0), ("stiff", 10.0))}
    good = hmm.checks.respects_bounds(A, rve.cell.volume_fractions, law)
    bad = hmm.checks.respects_bounds(2 * A, rve.cell.volume_fractions, law)
    assert "Bounds respected" in good._repr_html_()
    assert "Bounds violated" in bad._repr_html_()
    assert hmm.checks.bounds.Interval(1.0, 2.0)._repr_html_().count("<td") == 2


def test_study():
    def piece(size, seed):
        labels = np.random.default_rng(seed).integers(0, 2, (int(size), int(size)))
        labels.flat[:2] = 0, 1
        return labels

    study = hmm.study.representative_size(
        piece, {"a": 1.0, "b": 3.0}, sizes=(2, 3), realisations=2, property="conductivity", comm=MPI.COMM_SELF
    )
    html = study._repr_html_()
    assert html.count("<tr>") == 1 + 3 * 2
    assert study.verdict().split(";")[0] in html


def test_names_are_escaped_and_rounding_errors_are_zero():
    assert "&lt;b&gt;" in html_table("<b>", ["a"], [["x"]])
    assert numbers(html_matrix("", np.array([1.0, 1e-17]))) == [1.0, 0.0]
