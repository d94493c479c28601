"""Effective properties against closed forms."""

import json

import closed_forms
import numpy as np
import pytest

import hmm

pytestmark = pytest.mark.mpi


def test_laminate_constants_and_json():
    cell = hmm.cells.laminate({"a": 0.4, "b": 0.6}, mesh_size=0.25)
    materials = {"a": (1.0, 0.3), "b": (10.0, 0.2)}
    found = hmm.homogenize(cell, {n: hmm.laws.Elastic(*m) for n, m in materials.items()})
    exact = closed_forms.mandel(closed_forms.plane_strain(closed_forms.backus([0.4, 0.6], list(materials.values()))))
    assert np.allclose(found.tensor, exact, rtol=1e-9, atol=1e-9)
    S = np.linalg.inv(exact)
    assert np.isclose(found.constants["E1"], 1 / S[0, 0])
    assert np.isclose(found.constants["nu12"], -S[0, 1] / S[0, 0])
    assert np.isclose(found.constants["G12"], exact[2, 2] / 2)
    assert np.allclose(json.loads(found.to_json())["tensor"], found.tensor)


def test_laminate_conducts():
    cell = hmm.cells.laminate({"a": 0.4, "b": 0.6}, mesh_size=0.25)
    found = hmm.homogenize(cell, {"a": 1.0, "b": 5 * np.eye(2)}, physics="conduction")
    assert np.allclose(found.tensor, np.diag([1 / (0.4 + 0.6 / 5), 3.4]))


def test_bad_input():
    cell = hmm.cells.laminate({"a": 0.4, "b": 0.6}, mesh_size=0.25)
    with pytest.raises(hmm.InputError, match="physics"):
        hmm.homogenize(cell, {"a": 1.0, "b": 1.0}, physics="magic")
    with pytest.raises(hmm.InputError, match="phases are"):
        hmm.homogenize(cell, {"a": 1.0}, physics="conduction")


@pytest.mark.parametrize("dim", [2, 3])
def test_anisotropy_vanishes_only_for_isotropic_stiffness(dim):
    C = hmm.bounds.isotropic_stiffness(3.0, 1.0, dim)
    assert abs(hmm.EffectiveProperties("elasticity", C, {}, "periodic").anisotropy) < 1e-12
    C[-1, -1] *= 2
    assert hmm.EffectiveProperties("elasticity", C, {}, "periodic").anisotropy > 0.1
