"""Whether what is meshed of an image hangs together, as the physics asked for needs it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hmm.cells.pieces import Piece, pieces_of_mask
from hmm.foundation.errors import InputError

Mask = NDArray[np.bool_]

PHYSICS = ("elasticity", "thermoelasticity", "conduction", "flow")
"""For which it is known what an image needs."""


def supported(mask: Mask, physics: str, remove: bool, periodic: bool) -> tuple[Mask, list[str]]:
    """What is left of a mask once the pieces that the physics cannot use are gone, and what to warn of.

    Parameters
    ----------
    mask
        What is to be meshed: the solid, or the fluid.
    physics
        See `hmm.images.image_cell`.
    remove
        Whether loose pieces are left out; else they are an error. Fluid that leads nowhere is left out in any case.
    periodic
        Whether the image repeats.

    Raises
    ------
    InputError
        If there are loose pieces, or what is left does not hold or lead through the cell.
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
    """The largest piece, unless it can turn; a remark if it has no stiffness in some directions."""
    main = _only(pieces, remove, "solid")
    if periodic and main.rank < dim - 1:
        raise InputError(
            f"the solid floats: its largest piece, {main}, percolates along {_axes(main)} and can turn freely; "
            'give an image in which it is connected across the cell, or say physics="flow" if it is a fluid'
        )
    said = f"the solid percolates along {_axes(main)} only: the cell has no stiffness in other directions"
    return [main], [said] * (len(main.axes) < dim)


def _conductor(pieces: Sequence[Piece], remove: bool, dim: int) -> tuple[list[Piece], list[str]]:
    """The only piece that leads through the cell; a remark if it does in some directions only."""
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
    said = f"what conducts percolates along {_axes(main)} only: the conductivity is zero in other directions"
    return [main], [said] * (len(main.axes) < dim)


def _fluid(pieces: Sequence[Piece]) -> tuple[list[Piece], list[str]]:
    """All pieces that lead through the cell; in which directions is for the macroscopic pressure gradient to say."""
    through = [piece for piece in pieces if piece.rank > 0]
    if not through:
        raise InputError(
            f"the fluid does not percolate: no piece of it leads through the cell (the largest has {pieces[0]}), and "
            "the permeability is zero; name the solid by void=, or take an image with connected pores"
        )
    return through, []


def _only(pieces: Sequence[Piece], remove: bool, what: str) -> Piece:
    """The largest piece; others are an error unless they are to be removed."""
    loose = pieces[1:]
    if loose and not remove:
        raise InputError(
            f"{len(loose)} pieces of the {what} float, with no face in common with the largest one: {_shown(loose)}. "
            "Take remove_floating=True, or fill= to give small pieces to the void around them"
        )
    return pieces[0]


def _how_much(mask: Mask, left: Mask, n: int, physics: str) -> str:
    """How much of what was to be meshed is left out."""
    before, gone = int(mask.sum()), int(mask.sum() - left.sum())
    what = {"flow": "fluid that leads nowhere", "conduction": "what conducts but floats"}.get(physics, "floating solid")
    pieces, voxels = f"{n} piece{'s' * (n > 1)}", f"{gone} voxel{'s' * (gone > 1)}"
    return (
        f"left out {what}: {voxels} in {pieces}, {100 * gone / before:.3g} % of it and "
        f"{100 * gone / mask.size:.3g} % of the image"
    )


def _shown(pieces: Sequence[Piece]) -> str:
    """The first of several pieces."""
    return "; ".join(str(piece) for piece in pieces[:5]) + ("; ..." if len(pieces) > 5 else "")


def _axes(piece: Piece) -> str:
    return " and ".join("xyz"[axis] for axis in piece.axes) or "no axis"
