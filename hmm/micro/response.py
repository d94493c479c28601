"""What goes into a cell and what comes out of it, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PointState:
    """State of one RVE: what a path-dependent cell must remember between steps.

    Attributes
    ----------
    z
        Shape (rve.n_unknowns,); this rank's share of the reduced fluctuation (and multipliers).
    history
        Shape (rve.n_history,); this rank's internal variables.
    """

    z: NDArray[np.float64]
    history: NDArray[np.float64]


@dataclass(frozen=True)
class Response:
    """What a cell answers to a macroscopic input.

    Attributes
    ----------
    vector
        Shape (m,); packed macroscopic response ``Sigma`` (Mandel for stress).
    tangent
        Shape (m, m); packed consistent tangent ``A = d Sigma / d E``, or NaN if it was not asked for.
    state
        The state at the end of the step; pass it to the next `RVE.solve`.
    iterations
        Newton iterations.
    parts
        The responses as tensors, one per macro input.
    """

    vector: NDArray[np.float64]
    tangent: NDArray[np.float64]
    state: PointState
    iterations: int
    parts: tuple[NDArray[np.float64], ...]

    @property
    def full(self) -> Response:
        """The response with all components of the cell: this one (compare `hmm.ControlledResponse`)."""
        return self

    @property
    def stress(self) -> NDArray[np.float64]:
        """The response to the first macro input as a tensor, shape (d, d) for a stress."""
        return self.parts[0]


@dataclass(frozen=True)
class ControlledResponse(Response):
    """What a cell answers whose macroscopic input is given in part only (see `hmm.MixedControl`).

    `vector`, `tangent` and `parts` are those of the given components; the tangent is the one of the controlled problem.

    Attributes
    ----------
    cell
        The response with all components and the tangent of the cell with all of them given; NaN if not asked for.
    inputs
        The macroscopic inputs of the cell as tensors, those that were found included.
    """

    cell: Response
    inputs: tuple[NDArray[np.float64], ...]

    @property
    def full(self) -> Response:
        """The response with all components of the cell."""
        return self.cell

    @property
    def input(self) -> NDArray[np.float64]:
        """The first macroscopic input as a tensor, such as the strain with the components that were found."""
        return self.inputs[0]


@dataclass(frozen=True)
class Condensed:
    """A linearized cell seen from outside.

    Attributes
    ----------
    tangent
        Shape (m, m); ``A``.
    sensitivity
        Shape (m, n_unknowns); ``X^T`` with ``X = -K^-1 L``, the move of the unknowns per unit of macroscopic input.
    correction
        Shape (n_unknowns,); ``d = K^-1 R_w``, or None.
    drop
        Shape (m,); ``M d / |Y|``: what the response loses when the unknowns move by ``-d``, or None.
    """

    tangent: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    correction: NDArray[np.float64] | None = None
    drop: NDArray[np.float64] | None = None
