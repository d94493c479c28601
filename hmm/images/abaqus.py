"""The mesh and the element sets of an Abaqus input file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError
from hmm.images.msh import Block, MeshFile

PLANE = {3: "triangle", 4: "quad", 6: "triangle6", 8: "quad8"}
SOLID = {4: "tetra", 5: "pyramid", 6: "wedge", 8: "hexahedron", 10: "tetra10", 15: "wedge15", 20: "hexahedron20"}
LINE = {2: "line", 3: "line3"}
FAMILIES = (
    (r"(?:CPE|CPS|CPEG|CAX|CGAX|DC2D|DCAX|AC2D|ACAX|WARP2D|M3D|SFM3D|R3D|S|DS|STRI)([3468])[A-Z]*5?", PLANE),
    (r"(?:C3D|DC3D|AC3D|Q3D)(4|5|6|8|10|15|20)[A-Z]*", SOLID),
    (r"(?:T2D|T3D|SAX|RAX|R2D)([23])[A-Z]*", LINE),
    (r"B[23]([12])[A-Z]*", {1: "line", 2: "line3"}),
)
"""Element names of Abaqus without the suffix after the number of nodes (R, H, I, M, T, ...), and their meshio types."""

NODES = {kind: n for table in (PLANE, SOLID, LINE) for n, kind in table.items()}
"""Nodes of each type."""

UNREAD = ("INCLUDE", "NGEN", "NFILL", "NCOPY", "NMAP", "ELGEN", "ELCOPY", "SYSTEM", "IMPORT", "PARAMETER")
"""Keywords that generate nodes and elements, or read other files."""

Row = tuple[str, dict[str, str], list[str]]


def read_abaqus(path: Path) -> MeshFile:
    """Nodes, elements and element sets of an Abaqus input file of one part.

    Parameters
    ----------
    path
        A regular file.

    Raises
    ------
    InputError
        If a keyword generates nodes and elements or reads another file, a number is invalid, an element type is
        unknown, a node or element is repeated, or there are several instances.
    """
    reader = _Reader(path)
    for keyword, parameters, lines in _rows(path):
        reader.read(keyword, parameters, lines)
    return reader.result()


def _rows(path: Path) -> Iterator[Row]:
    """Keyword, parameters and data lines of each keyword line."""
    current: Row | None = None
    head = ""
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            line = text.strip()
            if not line or line.startswith("**"):
                continue
            if head or line.startswith("*"):
                head += line
                if head.endswith(","):
                    continue  # the keyword line continues
                if current:
                    yield current
                current, head = _keyword(head), ""
            elif current:
                current[2].append(line)
    if current:
        yield current


def _keyword(line: str) -> Row:
    name, *words = (word.strip() for word in line[1:].split(","))
    pairs = (word.partition("=") for word in words)
    parameters = {key.strip().upper(): value.strip().strip('"') for key, _, value in pairs}
    return re.sub(r"\s+", " ", name.upper()), parameters, []


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.numbers: list[NDArray[np.int64]] = []
        self.points: list[NDArray[np.float64]] = []
        self.blocks: list[tuple[str, NDArray[np.int64], NDArray[np.int64]]] = []
        self.sets: dict[str, tuple[str, list[NDArray[np.int64]]]] = {}
        self.instances = 0
        self.of_assembly = False

    def read(self, keyword: str, parameters: dict[str, str], lines: list[str]) -> None:
        if keyword in UNREAD:
            raise InputError(f"{self.path} has *{keyword}, which is not read: write all nodes and elements in one file")
        if keyword == "INSTANCE":
            self.instances += 1
            if self.instances > 1:
                raise InputError(f"{self.path} has several instances: merge them into one part")
        self.of_assembly = keyword in ("ASSEMBLY", "END INSTANCE") or (self.of_assembly and keyword != "INSTANCE")
        if self.of_assembly and keyword == "ELEMENT":
            raise InputError(f"{self.path} has elements of the assembly: put them into the part")
        if keyword == "NODE" and not self.of_assembly:  # else a reference point
            self._nodes(parameters, lines)
        elif keyword == "ELEMENT":
            self._elements(parameters, lines)
        elif keyword == "ELSET":
            self._set(parameters, lines)

    def _nodes(self, parameters: dict[str, str], lines: list[str]) -> None:
        if parameters.get("SYSTEM", "R").upper() != "R":
            raise InputError(f"{self.path} has nodes in another system of coordinates: write them as x, y, z")
        rows = [[self._real(word) for word in line.rstrip(",").split(",")[:4]] for line in lines]
        if any(not 3 <= len(row) <= 4 for row in rows):
            raise InputError(f"{self.path}: *NODE has a line that is not a number and 2 or 3 coordinates: complete it")
        table = np.array([row + [0.0] * (4 - len(row)) for row in rows]).reshape(-1, 4)
        self.numbers.append(self._whole(table[:, 0]))
        self.points.append(table[:, 1:])

    def _elements(self, parameters: dict[str, str], lines: list[str]) -> None:
        kind = self._kind(parameters.get("TYPE", "").upper())
        words = [word for line in lines for word in line.split(",") if word.strip()]
        values = self._whole(np.array([self._real(word) for word in words]))
        width = 1 + NODES[kind]
        if len(values) % width:
            raise InputError(
                f"{self.path}: elements of type {parameters['TYPE']} have {width - 1} nodes, and *ELEMENT has "
                f"{len(values)} numbers: complete it"
            )
        rows = values.reshape(-1, width)
        self.blocks.append((kind, rows[:, 0], rows[:, 1:]))
        if "ELSET" in parameters:
            self._add(parameters["ELSET"], rows[:, 0])

    def _kind(self, name: str) -> str:
        for pattern, kinds in FAMILIES:
            match = re.fullmatch(pattern, name)
            if name == "STRI65":
                return "triangle6"
            if match and int(match[1]) in kinds:
                return kinds[int(match[1])]
        raise InputError(
            f"{self.path} has elements of type {name or 'unknown'}, which are not read: give plane ones (CPE3, CPS4, "
            "CAX6, ...) or solid ones (C3D4, C3D8, C3D10, ...)"
        )

    def _set(self, parameters: dict[str, str], lines: list[str]) -> None:
        name = parameters.get("ELSET", "")
        if "GENERATE" in parameters:
            for line in lines:
                bounds = self._whole(np.array([self._real(w) for w in line.rstrip(",").split(",")])).tolist()
                if (
                    len(bounds) not in (2, 3)
                    or (len(bounds) == 3 and bounds[2] < 1)
                    or bounds[1] - bounds[0] > 5 * 10**7
                ):
                    raise InputError(f"{self.path}: the set {name!r} has the range {line!r}: give first, last, step")
                self._add(name, np.arange(bounds[0], bounds[1] + 1, *bounds[2:]))
            return
        words = [word.strip() for line in lines for word in line.split(",") if word.strip()]
        numbers = [word for word in words if re.fullmatch(r"\d+", word)]
        self._add(name, self._whole(np.array([self._real(w) for w in numbers])))
        for other in words:
            if other not in numbers:
                key = other.strip('"').upper()
                if key not in self.sets:
                    raise InputError(
                        f"{self.path}: the set {name!r} has the set {other!r}, which is not defined before"
                    )
                self.sets[name.upper()][1].extend(self.sets[key][1])

    def _add(self, name: str, elements: NDArray[np.int64]) -> None:
        if not name:
            raise InputError(f"{self.path} has *ELSET without a name: give ELSET=")
        self.sets.setdefault(name.upper(), (name, []))[1].append(elements)

    def _real(self, word: str) -> float:
        try:
            return float(word)
        except ValueError:
            raise InputError(f"{self.path}: {word.strip()[:40]!r} is not a number: correct it") from None

    def _whole(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        if (bad := values[~(np.abs(values) < 2.0**53) | (values != np.floor(values))]).size:
            raise InputError(f"{self.path}: {bad[0]:g} is not the number of a node or element: give an integer")
        return values.astype(np.int64)

    def result(self) -> MeshFile:
        """The mesh, nodes and elements by position."""
        if not self.blocks or not self.numbers:
            raise InputError(f"{self.path} has no *NODE or no *ELEMENT: is it the input file of a mesh?")
        of_node = _Positions(self.path, "node", np.concatenate(self.numbers))
        of_element = _Positions(self.path, "element", np.concatenate([ids for _, ids, _ in self.blocks]))
        cells = [Block(kind, of_node.find(nodes)) for kind, _, nodes in self.blocks]
        ends = np.cumsum([len(ids) for _, ids, _ in self.blocks])
        sets = {}
        for name, parts in self.sets.values():
            members = np.unique(of_element.find(np.concatenate(parts)))
            split = np.split(members, np.searchsorted(members, ends[:-1]))
            sets[name] = [part - start for part, start in zip(split, (0, *ends[:-1]), strict=True)]
        return MeshFile(np.concatenate(self.points), cells, sets)


class _Positions:
    """Position of the node or element with a given number in the file."""

    def __init__(self, path: Path, what: str, numbers: NDArray[np.int64]) -> None:
        self.path, self.what = path, what
        self.order = np.argsort(numbers, kind="stable")
        self.numbers = numbers[self.order]
        if (twice := self.numbers[1:][self.numbers[1:] == self.numbers[:-1]]).size:
            raise InputError(f"{path} has the {what} {twice[0]} twice: give each {what} a different number")

    def find(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        at = np.minimum(np.searchsorted(self.numbers, wanted), len(self.numbers) - 1)
        if (missing := wanted[self.numbers[at] != wanted]).size:
            raise InputError(f"{self.path} names the {self.what} {missing[0]}, which it does not have: add it")
        return self.order[at]
