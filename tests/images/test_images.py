"""Images as cells: what readers find, how labels are prepared, voids, and the stiffness that comes out."""

import os
from itertools import pairwise
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from support import closed_forms
from support.cells_and_rves import CONSTRAINTS, relative_error, strain_rve
from support.references import PERMEABILITY_SQUARE_DUCT

import hmm
from hmm import images

COMM = MPI.COMM_WORLD
LABELS = np.arange(4 * 3 * 5).reshape(4, 3, 5) % 7 % 3
LAWS = {"matrix": hmm.laws.Elastic(1.0, 0.3), "stiff": hmm.laws.Elastic(10.0, 0.2)}
NAMES = {"matrix": 0, "stiff": 1}
DATA = Path(os.environ.get("HMM_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture
def folder(tmp_path):
    """One directory for all ranks."""
    return COMM.bcast(tmp_path)


def blobs(shape, width=3.0, fraction=0.4, seed=1):
    """A periodic two-phase image."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), width, mode="wrap")
    return (field > np.quantile(field, 1 - fraction)).astype(np.uint8)


def disc(n, radius=0.3):
    centre = (np.indices((n, n)) + 0.5) / n - 0.5
    return ((centre**2).sum(axis=0) < radius**2).astype(int)


def stiffness(cell, constraint="periodic", laws=LAWS, **options):
    used = {phase: laws[phase] for phase in cell.phases}
    return strain_rve(cell, used, constraint, **options).solve(np.zeros((cell.dim, cell.dim))).tangent


# -- readers ---------------------------------------------------------------------------------------------------------


def write_npz(path, labels):
    np.savez(path, other=labels * 0, labels=labels)


def write_hdf5(path, labels, order=None):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        data = file.create_dataset("grain/ms", data=labels if order is None else labels.T)
        if order is not None:
            data.attrs["permute_order"] = order


def write_vti(path, labels, where="cell_data"):
    pv = pytest.importorskip("pyvista")
    grid = pv.ImageData(dimensions=np.array(labels.shape) + (where == "cell_data"), spacing=(1.0, 2.0, 0.5))
    getattr(grid, where)["labels"] = labels.ravel(order="F")
    grid.save(path)


def write_tif(path, labels):
    pytest.importorskip("tifffile").imwrite(path, labels.T.astype(np.uint8), photometric="minisblack")


WRITERS = {
    "npy": ("a.npy", lambda path, a: np.save(path, a), None),
    "npz": ("a.npz", write_npz, "labels"),
    "FANS, x y z": ("a.h5", write_hdf5, "/grain/ms"),
    "FANS, z y x": ("a.h5", lambda path, a: write_hdf5(path, a, "zyx"), None),
    "vti cells": ("a.vti", write_vti, None),
    "vti points": ("a.vti", lambda path, a: write_vti(path, a, "point_data"), "labels"),
    "tif stack": ("a.tif", write_tif, None),
}


@pytest.mark.parametrize("name", WRITERS)
def test_readers_put_axis_i_along_coordinate_i(tmp_path, name):
    file, write, dataset = WRITERS[name]
    write(tmp_path / file, LABELS)
    image = images.read_image(tmp_path / file, dataset)
    assert np.array_equal(image.values, LABELS)
    assert image.spacing == ((1.0, 2.0, 0.5) if file.endswith("vti") else None)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_a_picture_is_seen_upright(tmp_path, suffix):
    picture = np.array([[10, 20, 30], [40, 50, 60]], dtype=np.uint8)  # 60 is at the lower right: x large, y small
    image_module = pytest.importorskip("PIL.Image")
    image_module.fromarray(picture).save(tmp_path / f"a.{suffix}")
    values = images.read_image(tmp_path / f"a.{suffix}").values
    assert values.shape == (3, 2)
    assert (values[2, 0], values[0, 1]) == (60, 10)


def test_spacing_of_a_file_is_that_of_the_cell_and_downsampling_scales_it(tmp_path):
    write_vti(tmp_path / "a.vti", np.ones((4, 2, 6), dtype=int))
    cell = hmm.images.image_cell(tmp_path / "a.vti", {"one": 1}, downsample=2)
    assert cell.lattice == pytest.approx(np.diag([4.0, 4.0, 3.0]))
    assert cell.grid == (2, 1, 3)


@pytest.mark.parametrize(
    "file, content, dataset, message",
    [
        ("a.npy", None, None, "there is no image file"),
        ("a.xyz", b"", None, "has an unknown suffix"),
        ("a.npy", b"not an array", None, "cannot be read as .npy"),
        ("a.png", b"not a picture", None, "cannot be read as .png"),
        ("a.h5", b"not a file", "ms", "cannot be read as .h5"),
        ("a.npz", "npz", None, "holds several arrays: give dataset= as one of"),
        ("a.npz", "npz", "ms", "holds no array 'ms': give dataset= as one of ['other', 'labels']"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, file, content, dataset, message):
    path = tmp_path / file
    if content == "npz":
        write_npz(path, LABELS)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(hmm.InputError) as caught:
        images.read_image(path, dataset)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named_with_its_remedy(tmp_path, monkeypatch):
    (tmp_path / "a.tif").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(hmm.HMMError, match=r"needs tifffile.*pip install 'fenicsx-hmm\[images\]'"):
        images.read_image(tmp_path / "a.tif")


# -- labels ----------------------------------------------------------------------------------------------------------


def test_phases_claim_labels_lists_and_ranges():
    values = np.array([[0.0, 99.5, 100.0], [3.0, 255.0, 7.0]])
    labels = images.segment(values, {"dark": (-1, 3), "two": [3, 7], "grey": (50, 100), "light": (100, np.inf)})
    assert labels.tolist() == [[0, 2, 3], [1, 3, 1]]


def test_downsampling_is_by_majority():
    labels = np.array([[0, 1, 2, 2], [1, 1, 2, 0], [0, 0, 1, 1], [0, 0, 0, 0]])
    assert images.downsample(labels, 2).tolist() == [[1, 2], [0, 0]]
    assert images.downsample(labels, (1, 4)).tolist() == [[2], [1], [0], [0]]


def test_small_pieces_go_to_the_phase_around_them():
    labels = np.zeros((12, 12), dtype=int)
    labels[3:9, 3:9] = 1
    clean = labels.copy()
    labels[5, 5] = 0  # a hole
    labels[0, 0] = labels[11, 0] = 1  # an island of two pixels across the face
    assert np.array_equal(images.fill(labels, 3), clean)
    kept = images.fill(labels, 2)
    assert (kept[0, 0], kept[11, 0], kept[5, 5]) == (1, 1, 1)
    assert images.fill(labels, 2, periodic=False)[0, 0] == 0


def test_a_mirrored_image_is_periodic():
    labels = blobs((6, 5))
    mirrored = images.mirror(labels)
    assert mirrored.shape == (12, 10)
    assert np.array_equal(mirrored[0], mirrored[-1])
    assert np.array_equal(mirrored[:, 0], mirrored[:, -1])
    assert images.mirror(labels, [1]).shape == (6, 10)


def test_pieces_go_on_across_faces():
    mask = np.zeros((6, 6), dtype=bool)
    mask[0, 2] = mask[5, 2] = True  # one piece around the face
    mask[:, 4] = True  # a fibre along x
    numbers, pieces = images.pieces_of_mask(mask)
    assert [(p.size, p.axes, p.rank) for p in pieces] == [(6, (0,), 1), (2, (), 0)]
    assert numbers[0, 2] == numbers[5, 2] == 2
    assert [p.size for p in images.pieces_of_mask(mask, periodic=False)[1]] == [6, 1, 1]
    diagonal = np.eye(5, dtype=bool) | np.roll(np.eye(5, dtype=bool), 1, axis=1)
    (stairs,) = images.pieces_of_mask(diagonal)[1]
    assert (stairs.axes, stairs.rank) == ((0, 1), 1)  # it closes on itself only after both periods


# -- mistakes --------------------------------------------------------------------------------------------------------

SMALL = np.kron(np.array([[0, 1], [1, 0]]), np.ones((4, 4), dtype=int))
ISLAND = np.pad(np.pad(np.ones((3, 3), dtype=int), 2) + 0, 2, constant_values=1)
MISTAKES = {
    "unknown label": (SMALL + 2 * (SMALL == 1), NAMES, {}, "phase 'stiff' claims 1, which the image does not have"),
    "unclaimed": (np.where(SMALL, 1, 0) + 5 * np.eye(8, dtype=int), NAMES, {}, "that belong to no phase: phases ="),
    "claimed twice": (SMALL, {"a": [0, 1], "b": 1}, {}, "phases 'a' and 'b' both claim the values [1]"),
    "NaN": (np.where(SMALL == 1, np.nan, 0.0), {"a": 0}, {}, "32 voxels are NaN or infinite, the first at (0, 4)"),
    "1D": (SMALL[0], NAMES, {}, "the image has shape (8,): give an array of two or three dimensions"),
    "text": (SMALL.astype(str), NAMES, {}, "values of type <U21"),
    "no phases": (SMALL, {}, {}, "names no phase"),
    "empty range": (SMALL, {"a": (1, 0)}, {}, "a tuple is a range of grey values"),
    "crop": (SMALL, NAMES, {"crop": [(0, 9), (0, 8)]}, "crop = [(0, 9), (0, 8)] does not fit an image of shape (8, 8)"),
    "downsample": (SMALL, NAMES, {"downsample": 3}, "does not divide the shape (8, 8): add crop=[(0, 6), (0, 6)]"),
    "fill": (SMALL, NAMES, {"fill": 99}, "fill = 99 is more voxels than any piece"),
    "mirror": (SMALL, NAMES, {"mirror": [2]}, "mirror = [2] names no axis"),
    "spacing": (SMALL, NAMES, {"spacing": (1.0, -1.0)}, "spacing = -1 is outside"),
    "void": (SMALL, NAMES, {"void": "pore"}, "void = ['pore'] names no phase"),
    "all void": (SMALL, NAMES, {"void": ["matrix", "stiff"]}, "leaves no solid"),
    "mesh": (SMALL, NAMES, {"mesh": "tetrahedra"}, "choose 'voxels' or 'smooth'"),
    "smooth solid": (np.stack([SMALL] * 4), NAMES, {"mesh": "smooth"}, "is for plane images"),
    "mesh size": (SMALL, NAMES, {"mesh": "smooth", "mesh_size": 9}, "mesh_size = 9 voxels is outside [0.5, 2]"),
    "loose pieces": (
        ISLAND,
        NAMES,
        {"void": "matrix"},
        "1 piece of the solid floats, with no face in common with the largest one: 9 voxels at (4, 4). Use",
    ),
    "a loose cell": (
        1 - np.pad(np.zeros((4, 4), dtype=int), 2, constant_values=1),
        NAMES,
        {"void": "matrix"},
        "floats",
    ),
}


@pytest.mark.parametrize("image, phases, options, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes(image, phases, options, message):
    with pytest.raises(hmm.InputError) as caught:
        hmm.images.image_cell(image, phases, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_phase_of_few_voxels_is_warned_of(caplog):
    labels = np.zeros((6, 6), dtype=int)
    labels[2, 2:5] = 1
    hmm.images.image_cell(labels, NAMES)
    assert "phase 'stiff' has only 3 of 36 voxels" in caplog.text


def test_a_mesh_too_large_for_the_memory_is_not_begun(monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 1000)
    with pytest.raises(
        hmm.InputError, match=r"a mesh of 4,096 elements needs about 0.0041 GB, and 0.001 GB .* are free"
    ):
        hmm.images.image_cell(blobs((64, 64)), NAMES)
    with pytest.raises(hmm.InputError, match=r"a mesh of 3,200 elements needs about 0.00332 GB"):  # 400 voids
        hmm.images.image_cell(np.pad(np.ones((20, 20)), 20), NAMES, void="stiff")


# -- stiffness -------------------------------------------------------------------------------------------------------


def test_translation_leaves_the_stiffness_and_rotation_turns_it():
    labels = blobs((24, 24))
    C = stiffness(hmm.images.image_cell(labels, NAMES))
    moved = stiffness(hmm.images.image_cell(np.roll(labels, (7, -5), axis=(0, 1)), NAMES))
    turned = stiffness(hmm.images.image_cell(np.rot90(labels), NAMES))
    assert relative_error(moved, C) < 1e-11
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1.0]])  # 11 <-> 22, 12 changes its sign
    assert relative_error(turned, swap @ C @ swap) < 1e-11
    assert np.abs(C[0, 0] - C[1, 1]) > 1e-3 * C[0, 0]


def test_a_periodic_porous_image_may_be_cut_anywhere():
    """Pores across the faces: points whose image is void stay free, so that a translation changes nothing."""
    labels = blobs((24, 24), fraction=0.3)
    found = []
    for shift in ((0, 0), (7, -5), (12, 3)):
        moved = np.roll(labels, shift, axis=(0, 1))
        cell = hmm.images.image_cell(moved, NAMES, void="stiff", remove_floating=True)
        assert cell.grid == (24, 24)
        assert "stiff" not in cell.phases
        found.append(stiffness(cell))
    assert relative_error(found[1], found[0]) < 1e-10
    assert relative_error(found[2], found[0]) < 1e-10


def test_a_pore_is_the_limit_of_a_soft_phase():
    labels = disc(16)
    pore = stiffness(hmm.images.image_cell(labels, NAMES, void="stiff"))
    soft = stiffness(hmm.images.image_cell(labels, NAMES), laws=LAWS | {"stiff": hmm.laws.Elastic(1e-9, 0.0)})
    assert relative_error(pore, soft) < 1e-7


def test_a_porous_solid_in_3d():
    labels = np.zeros((6, 6, 6), dtype=int)
    labels[1:4, 1:4, :3] = 1  # a pore through one face only
    whole = hmm.images.image_cell(labels, NAMES, void="stiff")
    moved = hmm.images.image_cell(np.roll(labels, (3, 3, 2), (0, 1, 2)), NAMES, void="stiff")
    assert whole.volume_fractions["matrix"] == pytest.approx(1 - 27 / 216, rel=1e-12)
    assert relative_error(stiffness(moved), stiffness(whole)) < 1e-10


@pytest.mark.mpi
@pytest.mark.parametrize("mesh", ["voxels", "smooth"])
def test_porous_cells_spread_over_ranks(mesh):
    labels = blobs((16, 16), fraction=0.25, seed=3)
    options = {"void": "stiff", "remove_floating": True, "mesh": mesh}
    alone = hmm.images.image_cell(labels, NAMES, **options)
    spread = hmm.images.image_cell(labels, NAMES, comm=COMM, **options)
    assert spread.volume_fractions == pytest.approx(alone.volume_fractions, rel=1e-12)
    assert relative_error(stiffness(spread), stiffness(alone)) < 1e-9


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("periodic", [True, False])
def test_smoothing_keeps_the_area_of_each_phase(seed, periodic):
    labels = images.fill(blobs((32, 40), 2.0, 0.5, seed) + blobs((32, 40), 3.0, 0.3, seed + 9), 4)
    phases = {f"phase {k}": int(k) for k in np.unique(labels)}
    cell = hmm.images.image_cell(labels, phases, mesh="smooth", periodic=periodic)
    wanted = {name: np.mean(labels == label) for name, label in phases.items()}
    assert cell.volume_fractions == pytest.approx(wanted, abs=1e-6)
    assert cell.volume == pytest.approx(32 * 40 / 40**2)


def test_voxels_and_smooth_meshes_converge_to_the_same_stiffness():
    """A disc: the smoothed mesh is much nearer to the curved mesh of the true disc than the voxels it is made of."""
    true = hmm.cells.fibre(radius=0.3, mesh_size=0.04, order=2, phases=("matrix", "stiff"))
    C = stiffness(true, degree=2)
    voxel, smooth = [], []
    for n in (16, 32, 64):
        voxel.append(relative_error(stiffness(hmm.images.image_cell(disc(n), NAMES)), C))
        smooth.append(relative_error(stiffness(hmm.images.image_cell(disc(n), NAMES, mesh="smooth"), degree=2), C))
    assert voxel[2] < 0.5 * voxel[0]
    assert smooth[2] < 0.004
    assert smooth[2] < 0.5 * voxel[2]


@pytest.mark.parametrize("contrast, n", [(10.0, 32), (100.0, 64)])
def test_smooth_meshes_are_accurate_to_two_percent_by_default(contrast, n):
    """Blobs: the stated error is below 2 % and larger than the true one, against a much finer mesh."""
    laws = {"matrix": hmm.laws.Elastic(3.0, 0.35), "stiff": hmm.laws.Elastic(3.0 * contrast, 0.2)}
    labels = blobs((n, n), 3.0, 0.4, 3)

    def found(mesh_size=2.0, **options):
        cell = hmm.images.image_cell(labels, NAMES, mesh="smooth", mesh_size=mesh_size)
        return hmm.homogenize(cell, laws, **options)

    default, fine = found(mesh_error=True), found(0.5)
    assert default.how["degree"] == 2
    assert relative_error(default.tensor, fine.tensor) < default.mesh_error.size < 0.02
    assert relative_error(found(degree=1).tensor, fine.tensor) > 0.02


@pytest.mark.parametrize("name, labels", [("composite", (0, 1, 2)), ("ceramics", (0, 1))])
def test_real_micrographs_between_their_bounds(name, labels):
    """A part of each, made coarser: Reuss <= minimal <= periodic <= dirichlet <= Voigt, and Hashin-Shtrikman."""
    if not (DATA / f"{name}.npy").is_file():
        pytest.skip(f"no {name}.npy in {DATA}: set HMM_DATA")
    names = [f"phase {k}" for k in labels]
    moduli = dict(zip(names, [(1.0, 0.3), (4.0, 0.25), (12.0, 0.2)], strict=False))
    cell = hmm.images.image_cell(
        DATA / f"{name}.npy", dict(zip(names, labels, strict=True)), crop=[(0, 128), (0, 128)], downsample=2, fill=3
    )
    laws = {phase: hmm.laws.Elastic(*m) for phase, m in moduli.items()}
    computed = [stiffness(cell, constraint, laws) for constraint in CONSTRAINTS]
    local = [closed_forms.mandel(closed_forms.isotropic(*moduli[p])[:2, :2, :2, :2]) for p in names]
    voigt, reuss = closed_forms.voigt_reuss([cell.volume_fractions[p] for p in names], local)
    for lower, upper in pairwise([reuss, *computed, voigt]):
        assert np.linalg.eigvalsh(upper - lower)[0] > -1e-9 * voigt.max()
    for k, (low, high) in enumerate(hashin_shtrikman(cell.volume_fractions, moduli)):
        C = computed[1]
        isotropic = (
            0.5 * (C[0, 0] + C[0, 1] + C[1, 0] + C[1, 1]) / 2,
            (C[0, 0] + C[1, 1] - 2 * C[0, 1]) / 8 + C[2, 2] / 4,
        )
        assert low < isotropic[k] < high


def hashin_shtrikman(fractions, moduli):
    """Bounds of the plane-strain bulk modulus and shear modulus, Hashin (1965), of transversely isotropic mixtures."""
    mu = {p: E / (2 * (1 + nu)) for p, (E, nu) in moduli.items() if p in fractions}
    k = {p: E / (2 * (1 + nu) * (1 - 2 * nu)) for p, (E, nu) in moduli.items() if p in fractions}
    f = fractions

    def bound(values, added):
        return 1 / sum(f[p] / (values[p] + added) for p in f) - added

    bulk = [bound(k, m) for m in (min(mu.values()), max(mu.values()))]
    extreme = [(min(k.values()), min(mu.values())), (max(k.values()), max(mu.values()))]
    shear = [bound(mu, kk * m / (kk + 2 * m)) for kk, m in extreme]
    return [tuple(bulk), tuple(shear)]


# -- percolation for the physics asked -------------------------------------------------------------------------------

PORES_OF = {"fluid": 1, "solid": 0}


def channel(n, width, length=4):
    """A straight channel along x in the middle of a cell."""
    labels = np.zeros((length, n), dtype=int)
    labels[:, (n - width) // 2 : (n + width) // 2] = 1
    return labels


def flow_through(labels, **options):
    cell = hmm.images.image_cell(labels, PORES_OF, void="solid", physics="flow", **options)
    return hmm.homogenize(cell, {"fluid": 1.0}, physics="flow").tensor


@pytest.mark.parametrize("mesh", ["voxels", "smooth"])
def test_permeability_of_a_channel_image(mesh):
    """``k = h^3 / 12`` per unit height of the cell; fluid that leads nowhere carries no flow."""
    labels = channel(16, 8, length=8)
    labels[2:4, 14:16] = 1
    K = flow_through(labels, spacing=1 / 16, mesh=mesh, mesh_size=1.0)
    assert pytest.approx(np.diag([0.5**3 / 12, 0.0]), abs=1e-12) == K


def test_permeability_of_a_duct_that_touches_two_faces_only():
    labels = np.stack([np.pad(np.ones((4, 4), dtype=int), 2)] * 2, axis=2)
    K = flow_through(labels, spacing=1 / 8)
    assert K[2, 2] / 0.5**4 == pytest.approx(PERMEABILITY_SQUARE_DUCT, rel=1e-3)


def test_parallel_channels_of_an_image_both_carry_flow():
    K = flow_through(np.concatenate([channel(8, 4), channel(8, 4)], axis=1), spacing=1 / 16)
    assert pytest.approx(2 * 0.25**3 / 12, rel=1e-10) == K[0, 0]


def test_what_is_left_out_is_said(caplog):
    labels = channel(16, 8)
    labels[1, 0] = 1
    cell = hmm.images.image_cell(labels, PORES_OF, void="solid", physics="flow")
    said = "removed fluid that does not percolate: 1 voxel in 1 piece, 3.03 % of it and 1.56 % of the image"
    assert caplog.messages.count(said) == 1
    assert cell.volume_fractions == pytest.approx({"fluid": 0.5})
    caplog.clear()
    hmm.images.image_cell(labels, PORES_OF, void="solid", remove_floating=True)
    assert "removed floating solid: 1 voxel in 1 piece, 3.03 % of it and 1.56 % of the image" in caplog.messages
    assert "the solid percolates along x only" in caplog.text


@pytest.mark.parametrize(
    ("labels", "physics", "message"),
    [
        (
            np.pad(np.ones((4, 4), dtype=int), 2),
            "flow",
            "the fluid does not percolate: no piece .* 16 voxels at",
        ),
        (np.pad(np.ones((4, 4), dtype=int), 2), "conduction", "nothing conducts through the cell"),
        (np.stack([channel(8, 4)] * 2), "elasticity", None),
        (np.concatenate([channel(8, 4), channel(8, 4)], axis=1), "conduction", "2 pieces conduct .* side by side"),
        (channel(8, 4), "permeability", r"physics = 'permeability' is unknown \(did you mean 'flow'\?\)"),
    ],
)
def test_percolation_is_judged_for_the_physics(labels, physics, message):
    if message is None:
        assert hmm.images.image_cell(labels, PORES_OF, void="solid", physics=physics).dim == 3
        return
    with pytest.raises(hmm.InputError, match=message):
        hmm.images.image_cell(labels, PORES_OF, void="solid", physics=physics)


def test_a_rod_in_space_conducts():
    labels = np.stack([np.pad(np.ones((4, 4), dtype=int), 2)] * 2, axis=2)
    cell = hmm.images.image_cell(labels, PORES_OF, void="solid", physics="conduction")
    K = hmm.homogenize(cell, {"fluid": 3.0}, physics="conduction").tensor
    assert pytest.approx(np.diag([0, 0, 0.75]), abs=1e-12) == K
