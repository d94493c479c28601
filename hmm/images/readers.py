"""Image files as arrays whose axis i runs along coordinate i; packages for reading are imported when needed."""

from __future__ import annotations

import importlib
import logging
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hmm.cells._checks import available_memory
from hmm.foundation.errors import EnvironmentMismatch, HMMError, InputError
from hmm.foundation.files import check_plain_hdf5, regular_file


@dataclass(frozen=True, eq=False)
class Image:
    """Content of an image file.

    Attributes
    ----------
    values
        Shape (nx, ny) or (nx, ny, nz); labels or grey values, axis i along coordinate i.
    spacing
        Edge lengths of a voxel, shape (d,), if the file has them.
    """

    values: NDArray[Any]
    spacing: tuple[float, ...] | None = None


def read_image(path: str | Path, dataset: str | None = None) -> Image:
    """Read an image file, chosen by its suffix.

    ===================  ==========================================================================================
    ``.npy``             the array as it is: axis i along coordinate i
    ``.npz``             the array `dataset` of the archive
    ``.h5``, ``.hdf5``   `dataset`, in x, y, z order, or z, y, x if its attribute ``permute_order`` begins with z;
                         that is how FANS and MSUtils store microstructures
    ``.vti``             the cell or point array `dataset`, with its spacing
    ``.tif``, ``.tiff``  pages are z, columns x, rows y; a single page is rotated like a picture
    ``.png``, ``.bmp``   a picture, seen with x to the right and y upwards: the last row of pixels is y = 0
    ===================  ==========================================================================================

    Parameters
    ----------
    path
        The file.
    dataset
        Name of the array in a file that can hold several; may be left out if there is only one.

    Raises
    ------
    InputError
        If there is no such file or array, the format is unknown, the file cannot be read, is larger than the memory, or
        would read other files.
    EnvironmentMismatch
        If the package that reads the format is not installed.
    """
    path = regular_file(path, "image file", f"give the path of one of {', '.join(READERS)}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} has an unknown suffix: give one of {', '.join(READERS)}, or a NumPy array")
    try:
        image = reader(path, dataset)
    except HMMError:
        raise
    except Exception as error:  # readers raise all kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read as {path.suffix} ({reason}): is the file complete?") from error
    _check_size(path, image.values.shape, image.values.dtype)
    return image


def _check_size(path: Path, shape: Sequence[int], dtype: Any) -> None:
    """Raise an `InputError` if an array has no numbers, or more than fit into the free memory."""
    if np.dtype(dtype).kind not in "biuf":
        raise InputError(f"{path} holds values of type {dtype}: give labels or grey values, integers or reals")
    size, free = math.prod(int(n) for n in shape) * np.dtype(dtype).itemsize, available_memory()
    if size > free:
        raise InputError(
            f"{path} holds {' x '.join(str(n) for n in shape)} values, {size / 1e9:.3g} GB, and {free / 1e9:.3g} GB of "
            "memory are free: crop it in another program"
        )


def require(package: str, what: str) -> Any:
    """Import a package of the extra ``images``; the error tells how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.split(".")[0]
        raise EnvironmentMismatch(f"{what} needs {name}, but {error}: pip install 'fenicsx-hmm[images]'") from None


def _npy(path: Path, dataset: str | None) -> Image:
    with path.open("rb") as file:
        _check_npy(path, file, path.stat().st_size)
    return Image(np.load(path, allow_pickle=False))


def _npz(path: Path, dataset: str | None) -> Image:
    with np.load(path, allow_pickle=False) as archive, zipfile.ZipFile(path) as members:
        name = _one_of(path, archive.files, dataset)
        member = name if name in members.namelist() else f"{name}.npy"
        with members.open(member) as file:
            _check_npy(path, file, members.getinfo(member).file_size)
        return Image(archive[name])


def _check_npy(path: Path, file: IO[bytes], size: int) -> None:
    """Raise an `InputError` unless the header of a NumPy array fits its data and the memory."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise InputError(f"{path} has an array of NumPy's format {version}: give labels or grey values")
    shape, _, dtype = read(file)
    _check_size(path, shape, dtype)
    if math.prod(shape) * dtype.itemsize > size - file.tell():
        raise InputError(
            f"{path} should have {' x '.join(map(str, shape))} values and has fewer: is the file complete?"
        )


def _hdf5(path: Path, dataset: str | None) -> Image:
    h5py = require("h5py", f"reading {path.name}")
    check_plain_hdf5(path, "image file")
    with h5py.File(path, "r") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        array = file[_one_of(path, names, dataset.strip("/") if dataset else None)]
        _check_size(path, array.shape or (), array.dtype)
        order = array.attrs.get("permute_order", "xyz")
        order = order.decode() if isinstance(order, bytes) else str(order)
        values = np.asarray(array[()])
    return Image(values.T if order[:1].lower() == "z" else values)


def _vti(path: Path, dataset: str | None) -> Image:
    pv = require("pyvista", f"reading {path.name}")
    _check_extent(path)
    grid = pv.read(path)
    points, cells = grid.point_data.keys(), grid.cell_data.keys()
    name = _one_of(path, [*cells, *points], dataset)
    shape = np.array(grid.dimensions) - (1 if name in cells else 0)
    values = np.asarray(grid.cell_data[name] if name in cells else grid.point_data[name])
    if name in cells and values.size != np.prod(shape):
        shape = np.maximum(shape, 1)  # a plane image: one layer of points
    flat = bool(shape[2] == 1)
    values = values.reshape(shape, order="F")
    return Image(values[..., 0] if flat else values, tuple(float(h) for h in grid.spacing[: 2 if flat else 3]))


def _check_extent(path: Path) -> None:
    """Raise an `InputError` if a VTK image has more points than fit into the memory."""
    with path.open("rb") as file:
        head = file.read(100_000).decode("utf-8", errors="replace")
    for extent in re.findall(r"Extent\s*=\s*[\"']([^\"']*)[\"']", head):
        try:
            bounds = [int(word) for word in extent.split()]
        except ValueError:
            bounds = []
        if len(bounds) != 6:
            raise InputError(f"{path} has the extent {extent[:80]!r}: give six integers")
        _check_size(path, [max(b - a + 1, 0) for a, b in zip(bounds[::2], bounds[1::2], strict=True)], np.int8)


def _tif(path: Path, dataset: str | None) -> Image:
    tifffile = require("tifffile", f"reading {path.name}")
    # These variants of the format spread an image over several files.
    with _silent("tifffile"), tifffile.TiffFile(path, is_ome=False, is_mmstack=False, is_ndtiff=False) as file:
        _check_size(path, file.series[0].shape, file.series[0].dtype)
        if same := sum(series.shape == file.series[0].shape for series in file.series[1:]):
            raise InputError(f"{path} holds {same + 1} images of one shape apart: save them as one stack")
        strips = math.prod(file.series[0].keyframe.chunked)
        for k, page in enumerate(file.series[0].pages):  # what is missing would be read as zeros
            if page is None or len(page.dataoffsets) < strips or 0 in page.databytecounts:
                raise InputError(f"{path} lacks pixels on page {k}: is the file complete?")
        values = np.asarray(file.asarray())
        has_colours = file.pages[0].samplesperpixel >= 3
    if has_colours:
        values = _grey(path, values)
    return Image(_upright(values) if values.ndim == 2 else values.T)


@contextmanager
def _silent(logger: str) -> Iterator[None]:
    """Suppress log messages of a package about errors that it raises."""
    log = logging.getLogger(logger)
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


def _picture(path: Path, dataset: str | None) -> Image:
    # Without `formats` any file would be opened as what it is, and PostScript by a program of its own.
    with require("PIL.Image", f"reading {path.name}").open(path, formats=("PNG", "BMP")) as picture:
        _check_size(path, (*picture.size, len(picture.getbands())), np.int32)
        values = np.asarray(picture)
    return Image(_upright(values if values.ndim == 2 else _grey(path, values)))


def _grey(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    """The single channel of a colour picture that has shades of grey only."""
    if values.shape[-1] >= 3 and np.any(values[..., :3] != values[..., :1]):
        raise InputError(f"{path} has colours: save it with one label or grey value per pixel")
    return values[..., 0]


def _upright(rows: NDArray[Any]) -> NDArray[Any]:
    """Pixels by row from the top as an array over x to the right and y upwards."""
    return rows[::-1].T


def _one_of(path: Path, names: Iterable[str], wanted: str | None) -> str:
    names = list(names)
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted not in names:
        asked = "several arrays" if wanted is None else f"no array {wanted!r}"
        raise InputError(f"{path} holds {asked}: give dataset= as one of {names}")
    return wanted


READERS: dict[str, Callable[[Path, str | None], Image]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".vti": _vti,
    ".tif": _tif,
    ".tiff": _tif,
    ".png": _picture,
    ".bmp": _picture,
}
