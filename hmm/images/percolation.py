"""Connectivity of the meshed part of an image, as required by the physics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hmm.cells.pieces import Piece, pieces_of_mask
from hmm.foundation.errors import InputError

Mask = NDArray[np.bool_]

PHYSICS = ("elasticity", "thermoelasticity", "conduction", "flow")
"""Physics for which the requirements on an image are known."""


def supported(mask: Mask, physics: str, remove: bool, periodic: bool) -> tuple[Mask, list[str]]:
    """The mask without the pieces that are not admissible for the physics, and remarks for the user.

    Parameters
    ----------
    mask
        The part to be meshed: the solid or the fluid.
    physics
        See `hmm.images.image_cell`.
    remove
        Whether floating pieces are removed; else they are an error. Fluid that does not percolate is always removed.
    periodic
        Whether the image is periodic.

    Raises
    ------
    InputError
        If there are floating pieces, or the remaining part does not percolate as required.
    """
    numbers, pieces = pieces_of_mask(mask, periodic)
    if physics == "flow":
        kept, remarks = _fluid(pieces)
    elif physics == "conduction":
        kept, remarks = _conductor(pieces, remove, mask.ndim)
    else:
        kept, remarks = _solid(pieces, remove, mask.ndim, periodic)
    left = np.isin(numbers, [k for k, piece in enumerate(pieces, start=1) if piece in kept])
    if len(kept) < len(pieces):
        remarks = [_how_much(mask, left, len(pieces) - len(kept), physics), *remarks]
    return np.asarray(left, dtype=bool), remarks


def _solid(pieces: Sequence[Piece], remove: bool, dim: int, periodic: bool) -> tuple[list[Piece], list[str]]:
    """The largest piece, unless it can rotate; a remark if it has no stiffness in some directions."""
    main = _only(pieces, remove, "solid")
    if periodic and main.rank < dim - 1:
        raise InputError(
            f"the solid floats: its largest piece, {main}, percolates along {_axes(main)} and can rotate freely; "
            'give an image in which it is connected across the cell, or use physics="flow" if it is a fluid'
        )
    said = f"the solid percolates along {_axes(main)} only: the cell has no stiffness in other directions"
    return [main], [said] * (len(main.axes) < dim)


def _conductor(pieces: Sequence[Piece], remove: bool, dim: int) -> tuple[list[Piece], list[str]]:
    """The only piece that percolates; a remark if it does so in some directions only."""
    through = [piece for piece in pieces if piece.rank > 0]
    if not through:
        raise InputError(
            f"nothing conducts through the cell: the largest piece that conducts, {pieces[0]}, percolates along no "
            "axis; give an image in which it is connected across the cell"
        )
    if len(through) > 1:
        raise InputError(
            f"{len(through)} pieces conduct through the cell side by side: {_shown(through)}. Their potentials are not "
            "related: mesh the void too, as a phase of small conductivity"
        )
    main = _only([through[0], *(piece for piece in pieces if piece.rank == 0)], remove, "conducting phases")
    said = f"the conductor percolates along {_axes(main)} only: the conductivity is zero in other directions"
    return [main], [said] * (len(main.axes) < dim)


def _fluid(pieces: Sequence[Piece]) -> tuple[list[Piece], list[str]]:
    """All pieces that percolate in some direction."""
    through = [piece for piece in pieces if piece.rank > 0]
    if not through:
        raise InputError(
            f"the fluid does not percolate: no piece of it crosses the cell (the largest has {pieces[0]}), and "
            "the permeability is zero; give the solid as void=, or use an image with connected pores"
        )
    return through, []


def _only(pieces: Sequence[Piece], remove: bool, what: str) -> Piece:
    """The largest piece; others are an error unless they are to be removed."""
    loose = pieces[1:]
    if loose and not remove:
        floats = "1 piece of the {} floats" if len(loose) == 1 else f"{len(loose)} pieces of the {{}} float"
        raise InputError(
            f"{floats.format(what)}, with no face in common with the largest one: {_shown(loose)}. "
            "Use remove_floating=True, or fill= to assign small pieces to the void around them"
        )
    return pieces[0]


def _how_much(mask: Mask, left: Mask, n: int, physics: str) -> str:
    """A message on the amount of material that was removed."""
    before, gone = int(mask.sum()), int(mask.sum() - left.sum())
    what = {"flow": "fluid that does not percolate", "conduction": "floating conductor"}.get(physics, "floating solid")
    pieces, voxels = f"{n} piece{'s' * (n > 1)}", f"{gone} voxel{'s' * (gone > 1)}"
    return (
        f"removed {what}: {voxels} in {pieces}, {100 * gone / before:.3g} % of it and "
        f"{100 * gone / mask.size:.3g} % of the image"
    )


def _shown(pieces: Sequence[Piece]) -> str:
    """A short list of several pieces."""
    return "; ".join(str(piece) for piece in pieces[:5]) + ("; ..." if len(pieces) > 5 else "")


def _axes(piece: Piece) -> str:
    return " and ".join("xyz"[axis] for axis in piece.axes) or "no axis"
