"""Files that would run something, read other files, fill the memory or crash: each is refused in one line."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest

import hmm
from hmm import images
from hmm.cells.elements import check_mesh

DATA = Path(__file__).parents[1] / "data" / "fibre_benchmark.msh"
SQUARE = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 0]]
FAN = [[1, 2, 5], [2, 3, 5], [3, 4, 5], [4, 1, 5]]


def msh(points=SQUARE, elements=FAN, groups=(1, 1, 2, 2), kind=2, head="$MeshFormat\n2.2 0 8\n$EndMeshFormat\n"):
    """A Gmsh file of version 2.2 with nodes and elements counted from 1."""
    lines = [head + '$PhysicalNames\n2\n2 1 "a"\n2 2 "b"\n$EndPhysicalNames\n$Nodes', str(len(points))]
    lines += [f"{k} {x} {y} {z}" for k, (x, y, z) in enumerate(points, start=1)]
    lines += ["$EndNodes\n$Elements", str(len(elements))]
    rows = enumerate(zip(elements, groups, strict=True), start=1)
    lines += [f"{k} {kind} 2 {group} 1 {' '.join(map(str, nodes))}" for k, (nodes, group) in rows]
    return "\n".join([*lines, "$EndElements", ""])


def refused(call, *words):
    with pytest.raises(hmm.HMMError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    "script", ['SystemCall "touch ran";', "Exit;", 'Merge "other.msh";', "$Comments\n$EndComments\n"]
)
def test_a_script_is_no_mesh(tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.msh"
    for text in (script + "\n" + msh(), msh() + script, msh(head="\n$MeshFormat\n2.2 0 8\n$EndMeshFormat\n" + script)):
        path.write_text(text)
        if text.endswith("$EndComments\n"):
            assert set(hmm.images.msh_cell(path).phases) == {"a", "b"}  # a comment at the end is only a comment
            continue
        refused(lambda: hmm.images.msh_cell(path), str(path))
        refused(lambda: hmm.images.mesh_cell(path, {"a": 1, "b": 2}), str(path))
    assert not (tmp_path / "ran").exists()


def test_options_beside_a_mesh_are_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.msh"
    path.write_text(msh())
    for name in ("a.msh.opt", ".gmshrc", ".gmsh-options"):
        (tmp_path / name).write_text('SystemCall "touch ran";\nExit;\n')
    assert hmm.images.msh_cell(path).volume_fractions == pytest.approx({"a": 0.5, "b": 0.5})
    assert not (tmp_path / "ran").exists()


BAD_MESHES = {
    "a node twice": (dict(elements=[[1, 2, 2], *FAN[1:]]), "element 0 has a node twice"),
    "no such node": (dict(elements=[[1, 2, 9], *FAN[1:]]), "has the node 9"),
    "node zero": (dict(elements=[[1, 2, 0], *FAN[1:]]), "has the node 0"),
    "a negative node": (dict(elements=[[1, 2, -5], *FAN[1:]]), "has the node -5"),
    "not a number": (dict(points=[*SQUARE[:4], ["nan", 0.5, 0]]), "node 4 is at [nan, 0.5]"),
    "infinite": (dict(points=[*SQUARE[:4], ["inf", 0.5, 0]]), "node 4 is at [inf, 0.5]"),
    "no volume": (dict(points=[*SQUARE[:4], [0.5, 0, 0]]), "element 0", "has no volume"),
    "folded": (dict(points=[*SQUARE[:4], [0.5, -0.5, 0]]), "on the same side of the face they share"),
    "given twice": (dict(elements=[*FAN, FAN[0]], groups=(1, 1, 2, 2, 1)), "on the same side of the face"),
    "in no group": (dict(groups=(1, 1, 2, 0)), "1 elements in none of the sets"),
    "of an unknown type": (dict(kind=999), "type 999"),
    "words": (dict(points=[*SQUARE[:4], ["a", 0.5, 0]]), "is not a number"),
    "a fraction of a node": (dict(elements=[[1, 2, 2.5], *FAN[1:]]), "that is not an integer"),
    "a bow tie": (
        dict(points=SQUARE[:4], elements=[[1, 2, 4, 3]], groups=(1,), kind=3),
        "element 0",
        "is inverted",
    ),
}


@pytest.mark.parametrize("name", BAD_MESHES)
def test_elements_that_are_none(tmp_path, name):
    options, *words = BAD_MESHES[name]
    path = tmp_path / "a.msh"
    path.write_text(msh(**options))
    refused(lambda: hmm.images.msh_cell(path), str(path), *words)


@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1e9, 1e200])
def test_elements_are_judged_alike_in_all_units(unit):
    points, elements = np.array(SQUARE)[:, :2] * unit, np.array(FAN) - 1
    check_mesh("a", points, elements, "triangle")
    points[4] = [0.5 * unit, 0.0]
    refused(lambda: check_mesh("a", points, elements, "triangle"), "element 0", "has no volume")
    points[4] = [0.5 * unit, -0.5 * unit]
    refused(lambda: check_mesh("a", points, elements, "triangle"), "on the same side")


@pytest.mark.parametrize("suffix", ["vtu", "inp", "xdmf"])
def test_elements_that_are_none_in_other_formats(tmp_path, suffix):
    meshio = pytest.importorskip("meshio")
    for k, (points, elements, word) in enumerate(
        [
            (SQUARE, [[0, 1, 1], [1, 2, 4], [2, 3, 4], [3, 0, 4]], "twice"),
            (
                SQUARE,
                [[0, 1, 17], [1, 2, 4], [2, 3, 4], [3, 0, 4]],
                "18" if suffix == "inp" else "17",
            ),  # Abaqus counts from 1
            (SQUARE, [[0, 1, -1], [1, 2, 4], [2, 3, 4], [3, 0, 4]], ""),
            ([*SQUARE[:4], [np.nan, 0.5, 0]], [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]], "node 4"),
        ]
    ):
        path = tmp_path / f"{k}.{suffix}"
        tags = {"tags": [np.array([1, 1, 2, 2])]}
        sets = {"a": [np.array([0, 1])], "b": [np.array([2, 3])]} if suffix == "inp" else {}
        mesh = meshio.Mesh(
            np.array(points, dtype=float),
            [("triangle", np.array(elements))],
            cell_data={} if sets else tags,
            cell_sets=sets,
        )
        mesh.write(path)
        refused(lambda p=path, s=sets: hmm.images.mesh_cell(p, {"a": "a", "b": "b"} if s else {"a": 1, "b": 2}), word)


def test_damaged_gmsh_files(tmp_path):
    path, good = tmp_path / "a.msh", DATA.read_bytes()
    rng = np.random.default_rng(1)
    cuts = [good[:n] for n in rng.integers(0, len(good) - 40, 20)]
    for damaged in cuts:
        path.write_bytes(damaged)
        refused(lambda: hmm.images.msh_cell(path), str(path))
    for count in ("999999999999", "-3", "1e300", "nan"):
        text = msh().replace("$Nodes\n5", f"$Nodes\n{count}")
        path.write_text(text)
        refused(lambda: hmm.images.msh_cell(path), str(path))
        path.write_text(msh().replace("$Elements\n4", f"$Elements\n{count}"))
        if count != "-3":
            refused(lambda: hmm.images.msh_cell(path), str(path))


@pytest.mark.parametrize("name", ["a.msh", "a.inp", "a.npy", "a.npz"])
def test_bytes_at_random_never_raise_anything_else(tmp_path, name):
    path = tmp_path / name
    if name == "a.msh":
        path.write_text(msh())
    elif name == "a.inp":
        path.write_text("*NODE\n1,0,0\n2,1,0\n3,0,1\n*ELEMENT,TYPE=CPE3,ELSET=a\n1,1,2,3\n*ELSET,ELSET=b\na\n")
    else:
        (np.save if name == "a.npy" else np.savez_compressed)(path, np.eye(4, dtype=np.uint8))
    good, rng = path.read_bytes(), np.random.default_rng(7)
    read = hmm.images.mesh_cell if name in ("a.msh", "a.inp") else images.read_image
    for _ in range(100):
        data = bytearray(good)
        at = int(rng.integers(len(data)))
        data[at : at + int(rng.integers(0, 9))] = rng.choice(
            [b"", b"-1", b"9" * 12, b"nan", b"\0", b"1e999", b"\xff" * 4]
        )
        path.write_bytes(data)
        try:
            read(path)
        except hmm.HMMError as error:
            assert "\n" not in str(error)


def test_gmsh_files_that_do_not_say_what_they_hold(tmp_path):
    path = tmp_path / "a.msh"
    for text, word in [
        (msh().replace("$Elements\n4", "$Elements\n3"), "more numbers than it says"),
        (msh().replace("1 2 2 1 1 1 2 5", "1 2 -2 1 1 1 2 5"), "elements with -2 tags"),
        (msh().replace("2.2 0 8", "2.2 1 8"), "byte order"),
        (msh().replace("\n5 0.5", "\nnan 0.5"), "that is not an integer"),
        (msh().replace("2.2 0 8", "4.0 0 8"), "format 4.0"),
        (msh().replace("$EndNodes", "$Endnodes"), "$Nodes is not closed"),
        (msh() + "$Nodes\n0\n$EndNodes\n", "two sections $Nodes"),
        (msh() + "$PartitionedEntities\n$EndPartitionedEntities\n", "is partitioned"),
        (msh(points=[*SQUARE[:4], SQUARE[0]]).replace("\n5 0 0 0", "\n1 0 0 0"), "two of the same tag"),
    ]:
        path.write_text(text)
        refused(lambda: hmm.images.msh_cell(path), str(path), word)
    with path.open("wb") as file:
        file.write(b"$MeshFormat\n")
        file.truncate(10**13)  # sparse
    refused(lambda: hmm.images.msh_cell(path), str(path), "GB to read")


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "folder"])
def test_pipes_and_devices_are_refused_at_once(tmp_path, name):
    for suffix in (".msh", ".inp", ".vtu", ".npy", ".npz", ".png", ".h5", ".vti", ".tif"):
        path = tmp_path / f"{name.strip('/').replace('/', '_')}{suffix}"
        if name == "pipe":
            os.mkfifo(path)
        elif name == "folder":
            path.mkdir()
        else:
            path.symlink_to(name)
        read = hmm.images.mesh_cell if suffix in (".msh", ".inp", ".vtu") else images.read_image
        refused(lambda r=read, p=path: r(p), "file", str(path), " is a ")


def test_hdf5_that_reads_other_files(tmp_path):
    h5py = pytest.importorskip("h5py")
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["a"] = np.arange(8).reshape(2, 4)
    path = tmp_path / "a.h5"

    def link(file):
        file["a"] = h5py.ExternalLink(str(secret), "/a")

    def inner(file):
        file["folder/x"] = h5py.ExternalLink(str(secret), "/")
        file["a"] = h5py.SoftLink("/folder/x/a")

    def storage(file):
        file.create_dataset("a", (2, 4), "u1", external=[("/etc/hostname", 0, 8)])

    def virtual(file):
        layout = h5py.VirtualLayout((2, 4), int)
        layout[:] = h5py.VirtualSource(str(secret), "a", (2, 4))
        file.create_virtual_dataset("a", layout)

    def words(file):
        file["a"] = ["matrix", "fibre"]

    for build, word in [
        (link, "'a' is an external link"),
        (inner, "'folder/x' is an external link"),
        (storage, "'a' has external storage"),
        (virtual, "'a' is virtual"),
        (words, "holds values of type object"),
    ]:
        with h5py.File(path, "w") as file:
            build(file)
        refused(lambda: images.read_image(path, "a"), str(path), word)
        if build is not words:
            mesh = path.rename(tmp_path / "a.med")
            refused(lambda m=mesh: hmm.images.mesh_cell(m, {"a": 1}), str(mesh), word)


def test_meshes_that_read_other_files(tmp_path):
    pytest.importorskip("meshio")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(96))
    (tmp_path / "here").mkdir()
    item = '<DataItem Dimensions="4 3" DataType="Float" Precision="8" Format="{}">{}</DataItem>'
    for kind, text, word in [
        ("Binary", str(secret), "binary files"),
        ("HDF", f"{secret}:/a", "outside its folder"),
        ("HDF", "../secret.bin:/a", "outside its folder"),
        ("HDF", "none.h5:/a", "there is no data file"),
    ]:
        path = tmp_path / "here" / "a.xdmf"
        inner = f'<Geometry GeometryType="XYZ">{item.format(kind, text)}</Geometry>'
        path.write_text(f'<Xdmf Version="3.0"><Domain><Grid>{inner}</Grid></Domain></Xdmf>')
        refused(lambda p=path: hmm.images.mesh_cell(p, {"a": 1}), word)
    path = tmp_path / "here" / "a.inp"
    path.write_text("*NODE\n1, 0, 0\n*INCLUDE, INPUT=/etc/hostname\n")
    refused(lambda: hmm.images.mesh_cell(path), "*INCLUDE")
    path = tmp_path / "a.xml"  # reads all *.xml of its name
    path.write_text("<dolfin/>")
    refused(lambda: hmm.images.mesh_cell(path, {"a": 1}), "as a mesh in one file")


def test_arrays_larger_than_they_are(tmp_path):
    """Sizes are checked before anything is read: no memory is touched."""
    path, bomb = tmp_path / "a.npy", tmp_path / "a.npz"
    for shape, word in [((10**6, 10**7), "GB"), ((3, 50), "has fewer"), ((10**30,), "")]:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
            file.write(bytes(100))
        refused(lambda: images.read_image(path), str(path), word)
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, "a.npy")
        refused(lambda: images.read_image(bomb), str(bomb), word)
    h5py = pytest.importorskip("h5py")
    large = tmp_path / "a.h5"
    with h5py.File(large, "w") as file:
        file.create_dataset("a", (10**6, 10**7), "u1", chunks=(1000, 1000), compression="gzip")
    assert large.stat().st_size < 10_000
    refused(lambda: images.read_image(large), str(large), "GB")
    picture = tmp_path / "a.vti"
    picture.write_text(
        '<VTKFile type="ImageData"><ImageData WholeExtent="0 99999 0 99999 0 99999"></ImageData></VTKFile>'
    )
    refused(lambda: images.read_image(picture), str(picture), "GB")


def test_a_picture_is_read_as_what_its_name_says(tmp_path):
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "a.png"
    image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(path, format="EPS")  # PostScript is a program
    refused(lambda: images.read_image(path), "cannot be read as .png")


def test_a_tiff_does_not_read_the_files_its_metadata_name(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    other, path = tmp_path / "other.tif", tmp_path / "a.tif"
    tifffile.imwrite(other, np.full((4, 6), 9, dtype=np.uint8))
    tiff = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" FirstT="0" FirstC="0"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(["a.tif", "other.tif"])
    )
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0"><Image ID="Image:0"><Pixels '
        'DimensionOrder="XYZCT" ID="Pixels:0" SizeX="6" SizeY="4" SizeZ="2" SizeC="1" SizeT="1" Type="uint8">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{tiff}</Pixels></Image></OME>'
    )
    tifffile.imwrite(path, np.full((4, 6), 5, dtype=np.uint8), description=text, metadata=None)
    assert tifffile.imread(path).shape == (2, 4, 6)  # the package itself follows them
    assert np.array_equal(images.read_image(path).values, np.full((6, 4), 5))


def test_a_tiff_without_its_pixels_is_not_black(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((4, 6), 5, dtype=np.uint8), compression="zlib")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["StripByteCounts"]
    data[tag.valueoffset : tag.valueoffset + tag.valuebytecount] = bytes(tag.valuebytecount)
    path.write_bytes(data)
    assert not tifffile.imread(path).any()
    refused(lambda: images.read_image(path), "lacks pixels on page 0")
    tifffile.imwrite(path, np.full((4, 6), 5, dtype=np.uint8), rowsperstrip=1)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["ImageLength"]
    data[tag.valueoffset : tag.valueoffset + tag.valuebytecount] = (60000).to_bytes(tag.valuebytecount, "little")
    path.write_bytes(data)
    refused(lambda: images.read_image(path), "lacks pixels on page 0")


def test_slices_written_apart_are_not_taken_for_the_first(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for k in range(3):
            file.write(np.full((4, 6), k, dtype=np.uint8), contiguous=False)
    refused(lambda: images.read_image(path), "3 images of one shape")


def test_a_tag_has_one_name_and_the_mesh_of_a_cell_is_one():
    square = hmm.cells.fibre(0.3, mesh_size=0.3)
    tags = dict(square.phases)
    refused(
        lambda: hmm.Cell(square.mesh, square.phase_tags, {**tags, "again": tags["fibre"]}, square.lattice),
        "'again'",
        f"same tag {tags['fibre']}",
    )
    refused(lambda: hmm.cells.voxels(np.zeros((2, 2), dtype=int), {"a": 0, "b": 0}), "same tag 0")
    refused(lambda: hmm.Cell(square.mesh, square.phase_tags, tags, np.diag([np.nan, 1.0])), "lattice")
    x = square.mesh.geometry.x
    kept = x.copy()
    x[3, 0] = np.nan
    refused(lambda: hmm.Cell(square.mesh, square.phase_tags, tags, square.lattice), "node 3", "nan")
    x[:] = kept
    a, b, c = square.mesh.geometry.dofmaps[0][5]
    x[a] = (x[b] + x[c]) / 2
    refused(lambda: hmm.Cell(square.mesh, square.phase_tags, tags, square.lattice), "element 5", "has no volume")
    x[a] = 2 * x[a] - kept[a]
    refused(lambda: hmm.Cell(square.mesh, square.phase_tags, tags, square.lattice), "on the same side of the face")


@pytest.mark.mpi
def test_a_bad_mesh_is_refused_on_all_ranks(tmp_path):
    comm = MPI.COMM_WORLD
    path = comm.bcast(tmp_path) / "a.msh"
    if comm.rank == 0:
        path.write_text(msh(elements=[[1, 2, 2], *FAN[1:]]))
    comm.barrier()
    refused(lambda: hmm.images.msh_cell(path, comm=comm), "element 0 has a node twice")
