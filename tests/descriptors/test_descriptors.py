"""Descriptors against closed forms."""

import numpy as np
import pytest

import hmm
from hmm import descriptors

STRIPES = np.tile(np.repeat([0, 1], [6, 2])[:, None], (4, 8))  # layers across x: 6 of phase 0, 2 of phase 1


def test_fractions_and_cells_give_the_same_labels():
    labels = np.random.default_rng(0).integers(0, 3, (4, 5, 6))
    cell = hmm.images.image_cell(labels, {"a": 0, "b": 1, "c": 2}, spacing=(0.1, 0.2, 0.3))
    assert np.array_equal(descriptors.labels_of(cell), labels + 1)
    found = descriptors.volume_fractions(cell)
    assert found == pytest.approx({n: np.mean(labels == k) for k, n in enumerate("abc")})
    assert descriptors.volume_fractions(labels)["phase 2"] == found["c"]


@pytest.mark.parametrize("periodic", [True, False])
def test_correlation_is_the_count_of_pairs(periodic):
    labels = np.random.default_rng(0).integers(0, 2, (5, 4))
    S2 = descriptors.two_point_correlation(labels, 1, periodic)
    for i in range(-2, 3):
        for j in range(-1, 2):
            shifted = np.roll(labels, (-i, -j), (0, 1))
            inside = np.ones((5, 4), dtype=bool)
            if not periodic:
                x, y = np.indices((5, 4))
                inside = (x + i >= 0) & (x + i < 5) & (y + j >= 0) & (y + j < 4)
            assert S2[i, j] == pytest.approx((labels * shifted)[inside].mean(), abs=1e-12)


def test_correlation_of_layers():
    S2 = descriptors.two_point_correlation(STRIPES, 1)
    assert S2[:9, 0] == pytest.approx([0.25, 0.125, 0, 0, 0, 0, 0, 0.125, 0.25])
    assert S2[0] == pytest.approx(np.full(8, 0.25))


def test_correlation_of_noise_goes_to_the_square_of_the_fraction():
    labels = (np.random.default_rng(0).random((128, 128)) < 0.3).astype(int)
    r, S2 = descriptors.radial_average(descriptors.two_point_correlation(labels, 1))
    assert S2[0] == pytest.approx(labels.mean())
    assert S2[5:] == pytest.approx(np.full(len(r) - 5, labels.mean() ** 2), abs=2e-3)


def test_chords_of_layers():
    assert descriptors.chord_lengths(STRIPES, 1, 0).tolist() == [2] * 3 * 8  # the last layer is cut by the face
    assert descriptors.chord_lengths(STRIPES, 1, 0, periodic=True).tolist() == [2] * 4 * 8
    assert descriptors.chord_lengths(np.roll(STRIPES, 1, axis=0), 1, 0, periodic=True).tolist() == [2] * 4 * 8
    assert descriptors.chord_lengths(STRIPES, 1, 1, periodic=True).size == 0


def test_percolation():
    assert descriptors.percolation(STRIPES, 1) == (False, True)
    assert descriptors.percolation(STRIPES, 0, periodic=False) == (False, True)
    rod = np.zeros((4, 5, 6), dtype=int)
    rod[1:3, 2, :] = 1
    assert descriptors.percolation(rod, 1) == (False, False, True)
    assert descriptors.percolation(rod, 0) == (True, True, True)
    slanted = np.eye(6, dtype=int) | np.roll(np.eye(6, dtype=int), 1, axis=1)
    assert descriptors.percolation(slanted, 1) == (True, True)


def test_orientation_of_layers_and_fibres():
    assert descriptors.fabric_tensor(STRIPES, 1) == pytest.approx(np.diag([1.0, 0.0]), abs=1e-12)
    fibres = np.zeros((20, 12), dtype=int)
    fibres[2:18, 2:4] = fibres[3:17, 8] = 1
    assert descriptors.fabric_tensor(fibres, 1, "particles") == pytest.approx(np.diag([1.0, 0.0]), abs=1e-12)
    rotated = descriptors.fabric_tensor(fibres.T, 1)
    assert rotated == pytest.approx(descriptors.fabric_tensor(fibres, 1)[::-1, ::-1])
    assert rotated[0, 0] > 0.8
    dot = np.zeros((5, 5, 5), dtype=int)
    dot[2, 2, 2] = 1
    assert descriptors.fabric_tensor(dot, 1, "particles") == pytest.approx(np.eye(3) / 3)


def test_description_of_discs():
    """Perimeter per area of a disc of radius R in a cell of edge n: 2 pi R / n^2."""
    n, radius = 128, 40.0
    x, y = np.indices((n, n)) + 0.5 - n / 2
    labels = (x**2 + y**2 < radius**2).astype(int)
    found = descriptors.describe(labels, {"matrix": 0, "fibre": 1})
    fibre = found.phases["fibre"]
    assert fibre.specific_surface == pytest.approx(2 * np.pi * radius / n**2, rel=0.01)
    assert fibre.mean_chord == pytest.approx((np.pi * radius / 2,) * 2, rel=0.02)
    assert fibre.orientation == pytest.approx(np.eye(2) / 2, abs=1e-6)
    assert (fibre.n_pieces, fibre.percolates) == (1, (False, False))
    assert found.phases["matrix"].percolates == (True, True)
    assert [row for row in str(found).splitlines() if "fibre" in row and "0.30" in row]


@pytest.mark.parametrize("dim", [2, 3])
def test_picture(tmp_path, dim):
    matplotlib = pytest.importorskip("matplotlib.image")
    labels = np.random.default_rng(0).integers(0, 3, (12,) * dim)
    path = descriptors.describe(labels, periodic=False).plot(tmp_path / "new" / "a.png")
    pixels = (255 * matplotlib.imread(path)[..., :3]).astype(int)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_mistakes():
    with pytest.raises(hmm.InputError, match=r"phase 'b' \(label 7\) is not in the image: it has \[0, 1\]"):
        descriptors.describe(STRIPES, {"a": 0, "b": 7})
    with pytest.raises(hmm.InputError, match="values of type float64: give labels"):
        descriptors.volume_fractions(STRIPES + 0.5)
    with pytest.raises(hmm.InputError, match=r"shape \(4,\)"):
        descriptors.volume_fractions([0, 1, 1, 0])
    with pytest.raises(hmm.InputError, match="not a complete grid of voxels"):
        descriptors.describe(hmm.cells.fibre(0.3, mesh_size=0.3))
    with pytest.raises(hmm.InputError, match="axis = 2 is not an axis"):
        descriptors.chord_lengths(STRIPES, 1, 2)
    with pytest.raises(hmm.InputError, match="choose 'interface' or 'particles'"):
        descriptors.fabric_tensor(STRIPES, 1, "fibres")
