"""State and response of a cell, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.html import html_matrix, html_row


@dataclass(frozen=True)
class PointState:
    """State of one RVE at the end of a step: the fluctuation and the internal variables.

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
    """The response of a cell to a macroscopic input.

    Attributes
    ----------
    vector
        Shape (m,); packed macroscopic response ``Sigma`` (Mandel for stress).
    tangent
        Shape (m, m); packed consistent tangent ``A = d Sigma / d E``, or NaN if it was not requested.
    state
        The state at the end of the step; pass it to the next `RVE.solve`.
    iterations
        Number of Newton iterations.
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
        """The response with all components: this one (compare `hmm.ControlledResponse`)."""
        return self

    @property
    def stress(self) -> NDArray[np.float64]:
        """The response to the first macro input as a tensor, shape (d, d) for a stress."""
        return self.parts[0]

    def _repr_html_(self) -> str:
        """The response and its tangent as tables, for a notebook."""
        names = ["Response"] if len(self.parts) == 1 else [f"Response {k + 1}" for k in range(len(self.parts))]
        tables = [html_matrix(name, part) for name, part in zip(names, self.parts, strict=True)]
        if not np.isnan(self.tangent).any():
            tables.append(html_matrix("Tangent, packed", self.tangent))
        return html_row(*tables)


@dataclass(frozen=True)
class ControlledResponse(Response):
    """The response of a cell under mixed control (see `hmm.MixedControl`).

    `vector`, `tangent` and `parts` have the given components only; the tangent is that of the controlled problem.

    Attributes
    ----------
    cell
        The response with all components, and the tangent for all of them; NaN if it was not requested.
    inputs
        The macroscopic inputs of the cell as tensors, including the free components.
    """

    cell: Response
    inputs: tuple[NDArray[np.float64], ...]

    @property
    def full(self) -> Response:
        """The response with all components of the cell."""
        return self.cell

    @property
    def input(self) -> NDArray[np.float64]:
        """The first macroscopic input as a tensor, such as the strain with its free components."""
        return self.inputs[0]


@dataclass(frozen=True)
class Condensed:
    """A linearized cell after condensation of its unknowns.

    Attributes
    ----------
    tangent
        Shape (m, m); ``A``.
    sensitivity
        Shape (m, n_unknowns); ``X^T`` with ``X = -K^-1 L``, the derivative of the unknowns with respect to the input.
    correction
        Shape (n_unknowns,); ``d = K^-1 R_w``, or None.
    drop
        Shape (m,); ``M d / |Y|``: the decrease of the response if the unknowns change by ``-d``, or None.
    """

    tangent: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    correction: NDArray[np.float64] | None = None
    drop: NDArray[np.float64] | None = None
