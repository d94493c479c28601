"""Image files as arrays whose axis i runs along coordinate i; the packages that read them are imported when needed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import EnvironmentMismatch, HMMError, InputError


@dataclass(frozen=True, eq=False)
class Image:
    """What a file holds.

    Attributes
    ----------
    values
        Shape (nx, ny) or (nx, ny, nz); labels or grey values, axis i along coordinate i.
    spacing
        Edge lengths of a voxel, shape (d,), if the file says them.
    """

    values: NDArray[Any]
    spacing: tuple[float, ...] | None = None


def read_image(path: str | Path, dataset: str | None = None) -> Image:
    """Read an image file, chosen by its suffix.

    ==================  ==========================================================================================
    ``.npy``            the array as it is: axis i along coordinate i
    ``.npz``            the array `dataset` of the archive
    ``.h5``, ``.hdf5``  `dataset`, in x, y, z order, or z, y, x if its attribute ``permute_order`` begins with z;
                        that is how FANS and MSUtils store microstructures
    ``.vti``            the cell or point array `dataset`, with its spacing
    ``.tif``, ``.tiff``  pages are z, columns x, rows y; a single page is turned as a picture is
    ``.png``, ``.bmp``  a picture, seen with x to the right and y upwards: the last row of pixels is y = 0
    ==================  ==========================================================================================

    Parameters
    ----------
    path
        The file.
    dataset
        Name of the array in a file that can hold several; may be left out if there is only one.

    Raises
    ------
    InputError
        If there is no such file or array, the format is unknown, or the file cannot be read.
    EnvironmentMismatch
        If the package that reads the format is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no image file {path}: give the path of one of {', '.join(READERS)}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} has a suffix no reader knows: give one of {', '.join(READERS)}, or a NumPy array")
    try:
        return reader(path, dataset)
    except HMMError:
        raise
    except Exception as error:  # readers raise all kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read as {path.suffix} ({reason}): is the file complete?") from error


def require(package: str, what: str) -> Any:
    """Import a package of the extra ``images``, or say how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.split(".")[0]
        raise EnvironmentMismatch(f"{what} needs {name}, but {error}: pip install 'fenicsx-hmm[images]'") from None


def _npy(path: Path, dataset: str | None) -> Image:
    return Image(np.load(path, allow_pickle=False))


def _npz(path: Path, dataset: str | None) -> Image:
    with np.load(path, allow_pickle=False) as archive:
        return Image(archive[_one_of(path, archive.files, dataset)])


def _hdf5(path: Path, dataset: str | None) -> Image:
    h5py = require("h5py", f"reading {path.name}")
    with h5py.File(path, "r") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        array = file[_one_of(path, names, dataset.strip("/") if dataset else None)]
        order = array.attrs.get("permute_order", "xyz")
        order = order.decode() if isinstance(order, bytes) else str(order)
        values = np.asarray(array[()])
    return Image(values.T if order[:1].lower() == "z" else values)


def _vti(path: Path, dataset: str | None) -> Image:
    pv = require("pyvista", f"reading {path.name}")
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


def _tif(path: Path, dataset: str | None) -> Image:
    tifffile = require("tifffile", f"reading {path.name}")
    with tifffile.TiffFile(path) as file:
        values = np.asarray(file.asarray())
        has_colours = file.pages[0].samplesperpixel >= 3
    if has_colours:
        values = _grey(path, values)
    return Image(_upright(values) if values.ndim == 2 else values.T)


def _picture(path: Path, dataset: str | None) -> Image:
    with require("PIL.Image", f"reading {path.name}").open(path) as picture:
        values = np.asarray(picture)
    return Image(_upright(values if values.ndim == 2 else _grey(path, values)))


def _grey(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    """The one channel of a colour picture that only has shades of grey."""
    if values.shape[-1] >= 3 and np.any(values[..., :3] != values[..., :1]):
        raise InputError(f"{path} has colours: save it with one label or grey value a pixel")
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
