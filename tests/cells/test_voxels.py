"""Voxel cells against the arrays they are made of."""

from mpi4py import MPI

import numpy as np
import pytest
from dolfinx.mesh import CellType, compute_midpoints

from hmm import InputError, cells

ARRAYS = {
    "2D": (np.array([[4, 4, 9], [4, 9, 9]]), None),
    "2D, oblong voxels": (np.array([[4, 4, 9], [4, 9, 9]]), (0.5, 2.0)),
    "3D": (np.arange(2 * 3 * 5).reshape(2, 3, 5) % 3 // 2 * 5 + 4, None),
    "3D, oblong voxels": (np.arange(2 * 3 * 5).reshape(2, 3, 5) % 3 // 2 * 5 + 4, (0.1, 0.2, 0.3)),
    "one voxel thick": (np.array([[[4], [9], [9]]]), 0.25),
}
PHASES = {"matrix": 4, "fibre": 9}
COMMS = [
    pytest.param(MPI.COMM_SELF, id="one rank"),
    pytest.param(MPI.COMM_WORLD, id="spread", marks=pytest.mark.mpi),
]


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("comm", COMMS)
def test_each_voxel_has_the_tag_of_its_label(name, comm):
    labels, spacing = ARRAYS[name]
    cell = cells.voxels(labels, PHASES, spacing=spacing, comm=comm)
    edges = np.broadcast_to(1 / max(labels.shape) if spacing is None else spacing, labels.ndim)
    assert cell.grid == labels.shape
    assert cell.phases == PHASES
    assert cell.lattice == pytest.approx(np.diag(edges * labels.shape), rel=1e-14)
    assert cell.volume == pytest.approx(labels.size * edges.prod(), rel=1e-13)
    assert cell.mesh.topology.cell_type == (CellType.quadrilateral if labels.ndim == 2 else CellType.hexahedron)
    tags = cell.phase_tags
    centres = compute_midpoints(cell.mesh, labels.ndim, tags.indices)[:, : labels.ndim]
    index = np.rint(centres / edges - 0.5).astype(int)
    assert np.abs(centres - (index + 0.5) * edges).max(initial=0) < 1e-12
    assert np.array_equal(tags.values, labels[tuple(index.T)])
    owned = cell.mesh.topology.index_map(labels.ndim).size_local
    everywhere = [tuple(row) for rows in cell.comm.allgather(index[tags.indices < owned].tolist()) for row in rows]
    assert sorted(everywhere) == list(np.ndindex(*labels.shape))


@pytest.mark.parametrize("name", ARRAYS)
def test_fractions_are_counts(name):
    labels, spacing = ARRAYS[name]
    fractions = cells.voxels(labels, PHASES, spacing=spacing).volume_fractions
    assert fractions == pytest.approx({p: np.mean(labels == tag) for p, tag in PHASES.items()}, rel=0, abs=1e-13)


@pytest.mark.parametrize("convert", [np.uint8, np.int64, np.float64, lambda a: a.tolist(), np.asfortranarray])
def test_any_array_of_integers(convert):
    labels = ARRAYS["2D"][0]
    assert cells.voxels(convert(labels), PHASES).volume_fractions["matrix"] == pytest.approx(0.5, abs=1e-14)


def test_booleans_are_labels_0_and_1():
    cell = cells.voxels(np.array([[True, False], [False, False]]), {"matrix": 0, "fibre": 1})
    assert cell.volume_fractions == pytest.approx({"matrix": 0.75, "fibre": 0.25}, abs=1e-14)


TWO = np.array([[4, 9], [9, 4]])
MISTAKES = {
    "labels of no phase": (np.array([[4, 5], [9, -1]]), None, "labels [-1, 5] belong to no phase: the phases are {"),
    "fractions": (TWO + 0.5, None, "labels have type float64 or values that are not integers"),
    "not a number": (np.array([[4, np.nan]]), None, "labels have type float64 or values that are not integers"),
    "infinite": (np.array([[4, np.inf]]), None, "labels have type float64 or values that are not integers"),
    "names": (np.array([["4", "9"]]), None, "labels have type <U1"),
    "1D": (np.array([4, 9]), None, "labels have shape (2,): give an array of two or three dimensions"),
    "4D": (TWO[None, None], None, "labels have shape (1, 1, 2, 2): give"),
    "empty": (np.zeros((0, 3), dtype=int), None, "labels have shape (0, 3)"),
    "zero spacing": (TWO, 0.0, "spacing = 0 is outside (0, inf): give positive voxel edge lengths"),
    "negative spacing": (TWO, (0.1, -0.1), "spacing = -0.1 is outside (0, inf)"),
    "spacing not a number": (TWO, float("nan"), "spacing = nan is outside (0, inf)"),
    "infinite spacing": (TWO, float("inf"), "spacing = inf is outside (0, inf)"),
    "spacing of another dimension": (TWO, (0.1, 0.1, 0.1), "spacing = (0.1, 0.1, 0.1) does not fit labels of shape"),
}


@pytest.mark.parametrize("labels, spacing, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes(labels, spacing, message):
    with pytest.raises(InputError) as caught:
        cells.voxels(labels, PHASES, spacing=spacing)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_phase_without_voxels():
    with pytest.raises(InputError, match=r"phase 'void' \(tag 1\) has no cells"):
        cells.voxels(TWO, PHASES | {"void": 1})
