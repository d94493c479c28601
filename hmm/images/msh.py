"""The mesh of a Gmsh ``.msh`` file, read section by section, because Gmsh could run such a file as a program."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError

TYPES = {
    1: ("line", 2),
    2: ("triangle", 3),
    3: ("quad", 4),
    4: ("tetra", 4),
    5: ("hexahedron", 8),
    6: ("wedge", 6),
    7: ("pyramid", 5),
    8: ("line3", 3),
    9: ("triangle6", 6),
    10: ("quad9", 9),
    11: ("tetra10", 10),
    12: ("hexahedron27", 27),
    13: ("wedge18", 18),
    14: ("pyramid14", 14),
    15: ("vertex", 1),
    16: ("quad8", 8),
    17: ("hexahedron20", 20),
    18: ("wedge15", 15),
    19: ("pyramid13", 13),
    21: ("triangle10", 10),
    26: ("line4", 4),
    29: ("tetra20", 20),
    36: ("quad16", 16),
    92: ("hexahedron64", 64),
}
"""Element types of Gmsh: their names in meshio, and their nodes."""

REMEDY = "save it again with Gmsh, as version 4.1"


@dataclass(frozen=True)
class Block:
    """Elements of one type: its name in meshio, and their nodes, shape (n, nodes of an element), counted from 0."""

    type: str
    data: NDArray[np.int64]


@dataclass
class MeshFile:
    """Content of a mesh file; the attributes are those of ``meshio.Mesh``.

    Attributes
    ----------
    points
        Shape (n, 3).
    cells
        Blocks of elements of one type.
    cell_sets
        For each set of elements, their positions in each block.
    cell_data
        For each name, values of the elements of each block.
    set_tags
        Numbers of sets, if the file has them.
    order
        Order of the nodes of an element: "vtk", as in meshio, or "gmsh".
    """

    points: NDArray[np.float64]
    cells: list[Block]
    cell_sets: dict[str, list[NDArray[np.int64]]] = field(default_factory=dict)
    cell_data: dict[str, list[NDArray[np.int64]]] = field(default_factory=dict)
    set_tags: dict[str, int] = field(default_factory=dict)
    order: str = "vtk"


@dataclass(frozen=True)
class _Elements:
    """Elements of one type in the same physical groups; nodes by their tags."""

    type: int
    nodes: NDArray[np.int64]
    groups: tuple[int, ...]


class _Numbers:
    """The numbers of a section, read one after another; text or binary."""

    def __init__(self, path: Path, name: str, content: bytes, order: str | None, size: int) -> None:
        self.path, self.name, self.position = path, name, 0
        self.types = None if order is None else {"i": f"{order}i4", "n": f"{order}u{size}", "d": f"{order}f8"}
        self.content = content
        if order is None:
            self.values = self._parsed(content)

    def _parsed(self, content: bytes) -> NDArray[np.float64]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy only warns of invalid numbers
            try:
                return np.fromstring(content, sep=" ")
            except (DeprecationWarning, ValueError):
                raise InputError(f"{self.path}: ${self.name} has a value that is not a number: {REMEDY}") from None

    def take(self, kind: str, count: int) -> NDArray[np.float64]:
        """The next `count` numbers: integers ("i"), sizes and tags ("n") or coordinates ("d")."""
        start = self.position
        if self.types is None:
            self.position += count
            found = self.values[start : self.position] if 0 <= count <= len(self.values) - start else None
        else:
            dtype = np.dtype(self.types[kind])
            self.position += count * dtype.itemsize
            fits = count >= 0 and self.position <= len(self.content)
            found = np.frombuffer(self.content, dtype, count, start).astype(float) if fits else None
        if found is None:
            raise InputError(f"{self.path}: ${self.name} ends before its {count} numbers: is the file complete?")
        return found

    def integers(self, kind: str, count: int) -> NDArray[np.int64]:
        """The next `count` numbers, which are integers."""
        return self.whole(self.take(kind, count))

    def whole(self, found: NDArray[np.float64]) -> NDArray[np.int64]:
        """The numbers as integers; raise an `InputError` if they are not integers."""
        if not (np.abs(found) < 2.0**53).all() or (found != np.floor(found)).any():
            raise InputError(f"{self.path}: ${self.name} has a number that is not an integer: {REMEDY}")
        return found.astype(np.int64)

    def end(self) -> None:
        """Raise an `InputError` if there are further numbers."""
        rest = self.values[self.position :].size if self.types is None else self.content[self.position :].strip()
        if rest:
            raise InputError(f"{self.path}: ${self.name} has more numbers than it says: {REMEDY}")

    def line(self) -> int:
        """The integer on the next line, which is text in a binary file of version 2 too."""
        if self.types is None:
            return int(self.integers("n", 1)[0])
        text, _, _ = self.content[self.position : self.position + 40].partition(b"\n")
        self.position += len(text) + 1
        if not text.strip().isdigit():
            raise InputError(f"{self.path}: ${self.name} does not begin with a count: {REMEDY}")
        return int(text)


def read_msh(path: Path) -> MeshFile:
    """The mesh and the physical groups of a Gmsh file of version 2 or 4.1, text or binary.

    Gmsh reads a file that does not begin with ``$MeshFormat`` as a script, which may run commands, and also runs an
    options file beside it. This reader does neither.

    Parameters
    ----------
    path
        A regular file.

    Raises
    ------
    InputError
        If it is not such a file, is damaged, or has an unknown element type or version.
    """
    data = path.read_bytes()
    if not data.startswith(b"$MeshFormat"):
        raise InputError(f"{path} does not begin with $MeshFormat: it is not a Gmsh mesh, {REMEDY}")
    sections = _sections(path, data)
    version, order, size = _format(path, sections["MeshFormat"])
    if "PartitionedEntities" in sections:
        raise InputError(f"{path} is partitioned: save it without partitions")
    if missing := [name for name in ("Nodes", "Elements") if name not in sections]:
        raise InputError(f"{path} has no section ${missing[0]}: {REMEDY}")
    numbers = {
        name: _Numbers(path, name, sections.get(name, b""), order, size) for name in ("Entities", "Nodes", "Elements")
    }
    if version.startswith("2"):
        tags, points = _nodes_2(numbers["Nodes"], binary=order is not None)
        found = _elements_2(numbers["Elements"], binary=order is not None)
    else:
        groups = _entities(numbers["Entities"]) if "Entities" in sections else {}
        tags, points = _nodes_4(numbers["Nodes"])
        found = _elements_4(numbers["Elements"], groups)
    for name in ("Entities", "Nodes", "Elements"):
        numbers[name].end()
    return _assembled(path, tags, points, found, _names(path, sections.get("PhysicalNames", b"")))


def _sections(path: Path, data: bytes) -> dict[str, bytes]:
    """The content of each section; a repeated section is an error."""
    found: dict[str, bytes] = {}
    position = 0
    while match := re.compile(rb"\s*\$(\w+)[ \t]*\r?\n").match(data, position):
        name = match[1].decode()
        end = data.find(b"$End" + match[1], match.end())
        if end < 0:
            raise InputError(f"{path}: ${name} is not closed by $End{name}: is the file complete?")
        if name in found and name in ("MeshFormat", "PhysicalNames", "Entities", "Nodes", "Elements"):
            raise InputError(f"{path} has two sections ${name}: {REMEDY}")
        found[name] = data[match.end() : end]
        position = end + len(b"$End") + len(name)
    if rest := data[position : position + 40].split():
        raise InputError(f"{path}: {rest[0][:20]!r} is not a section of a mesh file: {REMEDY}")
    return found


def _format(path: Path, content: bytes) -> tuple[str, str | None, int]:
    """Version, byte order (None for text) and number of bytes of a size."""
    words, _, rest = content.partition(b"\n")
    match = re.fullmatch(rb"\s*([\d.]+)\s+([01])\s+([48])\s*", words)
    version = match[1].decode() if match else repr(words[:40])
    if match is None or version not in ("2", "2.0", "2.1", "2.2", "4.1"):
        raise InputError(f"{path} has the format {version}, and 2.2 and 4.1 are known: {REMEDY}")
    if match[2] == b"0":
        return version, None, int(match[3])
    order = {b"\x01\0\0\0": "<", b"\0\0\0\x01": ">"}.get(rest[:4])
    if order is None:
        raise InputError(f"{path} does not state its byte order: {REMEDY}")
    return version, order, int(match[3])


def _names(path: Path, content: bytes) -> dict[tuple[int, int], str]:
    """Names of physical groups by dimension and tag."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: $PhysicalNames is not in UTF-8: rename the physical groups") from None
    rows = re.findall(r'^\s*([0-3])\s+(-?\d{1,9})\s+"(.*)"\s*$', text, re.MULTILINE)
    return {(int(dim), int(tag)): name for dim, tag, name in rows}


def _entities(numbers: _Numbers) -> dict[tuple[int, int], tuple[int, ...]]:
    """Physical groups of each entity, by dimension and tag."""
    groups = {}
    for dim, count in enumerate(numbers.integers("n", 4).tolist()):
        for _ in range(count):
            tag = int(numbers.integers("i", 1)[0])
            numbers.take("d", 6 if dim else 3)  # the bounding box
            physical = numbers.integers("i", int(numbers.integers("n", 1)[0]))
            groups[dim, tag] = tuple(np.abs(physical).tolist())  # negative for the other orientation
            if dim:
                numbers.take("i", int(numbers.integers("n", 1)[0]))  # the bounding entities
    return groups


def _nodes_4(numbers: _Numbers) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    tags, points = [np.zeros(0, dtype=np.int64)], [np.zeros((0, 3))]
    for _ in range(int(numbers.integers("n", 4)[0])):
        dim, _, parametric = numbers.integers("i", 3).tolist()
        count = int(numbers.integers("n", 1)[0])
        width = 3 + (dim if parametric else 0)
        tags.append(numbers.integers("n", count))
        points.append(numbers.take("d", count * width).reshape(count, width)[:, :3])
    return np.concatenate(tags), np.concatenate(points)


def _elements_4(numbers: _Numbers, groups: dict[tuple[int, int], tuple[int, ...]]) -> list[_Elements]:
    found = []
    for _ in range(int(numbers.integers("n", 4)[0])):
        dim, tag, kind = numbers.integers("i", 3).tolist()
        count, width = int(numbers.integers("n", 1)[0]), _width(numbers.path, kind)
        rows = numbers.integers("n", count * (1 + width)).reshape(count, 1 + width)
        found.append(_Elements(kind, rows[:, 1:], groups.get((dim, tag), ())))
    return found


def _nodes_2(numbers: _Numbers, binary: bool) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    count = numbers.line()
    if not binary:
        rows = numbers.take("d", 4 * count).reshape(count, 4)
        return numbers.whole(rows[:, 0]), rows[:, 1:]
    kind = np.dtype([("tag", numbers.types["i"]), ("x", numbers.types["d"], 3)])  # type: ignore[index]
    start = numbers.position
    numbers.position += count * kind.itemsize
    if numbers.position > len(numbers.content):
        raise InputError(f"{numbers.path}: $Nodes ends before its {count} nodes: is the file complete?")
    found = np.frombuffer(numbers.content, kind, count, start)
    return found["tag"].astype(np.int64), found["x"].astype(float)


def _elements_2(numbers: _Numbers, binary: bool) -> list[_Elements]:
    """Elements of version 2, in which each element has its physical group."""
    rows: dict[tuple[int, int], list[NDArray[np.int64]]] = {}
    left = numbers.line()
    while left > 0:
        if binary:
            kind, count, n_tags = numbers.integers("i", 3).tolist()
            width = 1 + max(n_tags, 0) + _width(numbers.path, kind)
            block = numbers.integers("i", count * width).reshape(count, width)[:, 1:]
        else:
            _, kind, n_tags = numbers.integers("i", 3).tolist()
            block = numbers.integers("i", max(n_tags, 0) + _width(numbers.path, kind))[None]
        if n_tags < 0 or not len(block):
            raise InputError(f"{numbers.path}: $Elements has elements with {n_tags} tags: {REMEDY}")
        left -= len(block)
        group = np.abs(block[:, 0]) if n_tags > 0 else np.zeros(len(block), dtype=np.int64)
        for tag in np.unique(group).tolist():
            rows.setdefault((kind, tag), []).append(block[group == tag][:, n_tags:])
    return [_Elements(kind, np.concatenate(r), (tag,) if tag else ()) for (kind, tag), r in rows.items()]


def _width(path: Path, kind: int) -> int:
    if kind not in TYPES:
        raise InputError(f"{path} has elements of Gmsh's type {kind}, which is not known: mesh with order 1 to 3")
    return TYPES[kind][1]


def _assembled(
    path: Path,
    tags: NDArray[np.int64],
    points: NDArray[np.float64],
    found: list[_Elements],
    names: dict[tuple[int, int], str],
) -> MeshFile:
    """Nodes by position instead of tags, and the physical groups as sets."""
    order = np.argsort(tags, kind="stable")
    ordered = tags[order]
    if (ordered[1:] == ordered[:-1]).any() or not len(tags):
        raise InputError(f"{path}: $Nodes has no node, or two of the same tag: {REMEDY}")
    blocks = []
    for part in found:
        at = np.minimum(np.searchsorted(ordered, part.nodes), len(ordered) - 1)
        if (missing := part.nodes[ordered[at] != part.nodes]).size:
            raise InputError(f"{path}: an element has the node {missing[0]}, which $Nodes does not have: {REMEDY}")
        blocks.append(Block(TYPES[part.type][0], order[at]))
    mesh = MeshFile(points, blocks, order="gmsh")
    if all(len(p.groups) < 2 for p in found):  # else an element has no number
        mesh.cell_data["gmsh:physical"] = [np.full(len(p.nodes), (*p.groups, 0)[0], dtype=np.int64) for p in found]
    _add_groups(mesh, found, names)
    return mesh


def _add_groups(mesh: MeshFile, found: list[_Elements], names: dict[tuple[int, int], str]) -> None:
    """Named physical groups as sets; of groups of one name, those of the highest dimension."""
    for (dim, tag), name in sorted(names.items()):
        inside = [tag in p.groups and dimension(TYPES[p.type][0]) == dim for p in found]
        if any(inside):
            mesh.set_tags[name] = tag
            mesh.cell_sets[name] = [np.arange(len(p.nodes) if yes else 0) for p, yes in zip(found, inside, strict=True)]


def dimension(name: str) -> int:
    """The dimension of an element type of meshio."""
    return 0 if name == "vertex" else 1 if name.startswith("line") else 2 if name.startswith(("tri", "quad")) else 3
