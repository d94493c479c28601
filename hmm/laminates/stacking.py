"""The stack of layers of a laminate, from lists or from codes such as ``"[0/±45/90]_2s"``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hmm.foundation.errors import InputError
from hmm.foundation.options import instance, is_real, positive
from hmm.laminates.plies import Ply

TOKEN = re.compile(
    r"\s*(?:(?P<sign>±|\+-|-\+|∓)?(?P<angle>[-+]?\d+(?:\.\d+)?)|(?P<bracket>[\[\](),/])|_(?P<times>\d+)|(?P<s>[sS]))"
)

MOST = 10_000
"""Largest number of layers."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of a laminate.

    Attributes
    ----------
    ply
        Its material.
    angle
        Degrees from the axis x of the laminate to the fibres, positive towards y.
    thickness
        Its thickness.
    """

    ply: Ply
    angle: float
    thickness: float

    def __post_init__(self) -> None:
        instance("ply", self.ply, Ply, "make it with hmm.laminates.Ply.of_constants or of_properties")
        if not is_real(self.angle) or not abs(self.angle) <= 360:
            raise InputError(f"angle = {self.angle!r}: give degrees from -360 to 360")
        positive("thickness", self.thickness)


def stacked(stacking: str | Sequence[float], ply: Ply, thickness: float) -> list[Layer]:
    """Equal plies at several angles, from the bottom to the top.

    Parameters
    ----------
    stacking
        Angles in degrees, or a code: ``"[0/±45/90]s"`` is symmetric, ``_2`` repeats a ply or a group, and ``±45`` is
        45 followed by -45.
    ply
        The material of all plies.
    thickness
        Thickness of a ply.

    Raises
    ------
    InputError
        If the code or an angle is not understood.
    """
    angles = angles_of(stacking) if isinstance(stacking, str) else list(stacking)
    if not 0 < len(angles) <= MOST:
        raise InputError(f"the laminate has {len(angles)} plies: give 1 to {MOST}")
    return [Layer(ply, angle, thickness) for angle in angles]


def angles_of(code: str) -> list[float]:
    """The angles of a code, from the first ply to the last.

    Raises
    ------
    InputError
        If it is not understood.
    """
    reader = _Reader(code)
    angles = reader.group() if reader.peek() == "[" else reader.plies()
    if reader.peek():
        raise reader.error(f"{reader.peek()!r} is left over")
    return angles


class _Reader:
    """Reads a code from left to right."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.tokens = list(self._split(code[:1000]))
        self.at = 0

    def _split(self, code: str) -> Iterator[re.Match[str]]:
        end = len(code.rstrip())
        at = 0
        while at < end:
            found = TOKEN.match(code, at)
            if found is None:
                raise self.error(f"{code[at:].strip()[:1]!r} is not understood")
            yield found
            at = found.end()

    def error(self, what: str) -> InputError:
        shown = self.code if len(self.code) <= 60 else f"{self.code[:60]}..."
        return InputError(f"stacking = {shown!r}: {what}: write angles as in '[0/±45/90]_2s' or [0, 45, -45, 90]")

    def peek(self) -> str:
        return self.tokens[self.at].group().strip() if self.at < len(self.tokens) else ""

    def take(self) -> re.Match[str]:
        self.at += 1
        return self.tokens[self.at - 1]

    def plies(self) -> list[float]:
        """Plies and groups with separators between them."""
        angles = self.ply()
        while self.peek() in ("/", ","):
            self.take()
            angles += self.ply()
        return angles

    def ply(self) -> list[float]:
        """One angle or one group, with its repetitions."""
        if self.peek() and self.peek() in "[(":
            return self.group()
        if not self.peek() or self.tokens[self.at]["angle"] is None:
            raise self.error(f"an angle is missing before {self.peek()!r}" if self.peek() else "an angle is missing")
        token = self.take()
        angle, sign = float(token["angle"]), token["sign"]
        if sign is None:
            return self.repeated([angle])
        return self.repeated([angle, -angle] if sign in ("±", "+-") else [-angle, angle])

    def group(self) -> list[float]:
        """Plies in brackets, with their repetitions and their mirror image."""
        closing = {"[": "]", "(": ")"}[self.take().group().strip()]
        angles = self.plies()
        if self.peek() != closing:
            raise self.error(f"{closing!r} is missing")
        self.take()
        angles = self.repeated(angles)
        if self.peek() in ("s", "S"):
            self.take()
            angles = self.checked([*angles, *reversed(angles)])
        return angles

    def repeated(self, angles: list[float]) -> list[float]:
        if self.at < len(self.tokens) and (times := self.tokens[self.at]["times"]) is not None:
            self.take()
            if not 1 <= len(times) <= 4:
                raise self.error(f"_{times[:8]} is too many")
            return self.checked(angles * int(times))
        return angles

    def checked(self, angles: list[float]) -> list[float]:
        if len(angles) > MOST:
            raise self.error(f"more than {MOST} plies")
        return angles
