"""Micro models that interpolate tabulated answers of other micro models."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import NdBSpline, make_interp_spline

from hmm.foundation.errors import InputError
from hmm.foundation.files import regular_file, replacing, unpacked
from hmm.foundation.hashing import digest
from hmm.foundation.tensors import Packing, general
from hmm.models.points import Floats, InitialPoint, Input, Points, input_blocks, reference_of

VERSION = 1
OUTSIDE = ("error", "clamp", "extrapolate")


@dataclass(frozen=True, eq=False)
class Grid:
    """Values on a tensor-product grid, and the spline through them.

    Attributes
    ----------
    axes
        For each axis, by name, its increasing nodes.
    values
        Shape (n_1, ..., n_k, size).
    degree
        Degree of the splines; an axis with fewer nodes has a smaller one.
    """

    axes: Mapping[str, Floats]
    values: Floats
    degree: int = 3

    def spline(self) -> NdBSpline:
        """The spline that interpolates the values, one axis after the other (de Boor 1978, ch. 17)."""
        coefficients, knots, degrees = self.values, [], []
        for axis, nodes in enumerate(self.axes.values()):
            k = _odd(min(self.degree, nodes.size - 1))
            fitted = make_interp_spline(nodes, coefficients, k=k, axis=axis)
            coefficients = np.moveaxis(fitted.c, 0, axis) if fitted.c.shape != coefficients.shape else fitted.c
            knots.append(fitted.t)
            degrees.append(k)
        return NdBSpline(tuple(knots), coefficients, tuple(degrees))


class TableModel:
    """A micro model that interpolates a table by tensor-product splines, with their exact derivatives.

    Made by `hmm.tabulate` or `TableModel.load`. Each parameter is a further scalar input of the model. Its response is
    zero, and the tangent contains the derivatives of the other responses by it: a parameter may be a field over the
    macro mesh or an unknown of the macro problem, such as a temperature.

    Parameters
    ----------
    inputs
        Inputs of the tabulated model.
    grid
        The table. If `linear`, of the response in the undeformed state followed by the tangent, row by row, over the
        parameters; else of the response, over the parameters and then all components of the inputs.
    linear
        Whether the response is linear in the inputs.
    error
        The estimated relative error.
    outside
        What happens outside the table: ``"error"`` (the point has no answer), ``"clamp"`` (the value at its edge,
        with a zero derivative across) or ``"extrapolate"``.

    Notes
    -----
    Of a nonlinear model the response is interpolated, not the energy: its tangent is exact for the interpolated
    response, and symmetric only within the error of the table.
    """

    variables: Mapping[str, Any] = {}

    def __init__(
        self, inputs: Sequence[Input], grid: Grid, *, linear: bool, error: float, outside: str = "error"
    ) -> None:
        if outside not in OUTSIDE:
            raise InputError(f"TableModel: outside = {outside!r} must be one of {', '.join(OUTSIDE)}")
        self.tabulated, self.grid, self.linear = tuple(inputs), grid, bool(linear)
        self.error, self.outside = float(error), outside
        self._m, self._reference = input_blocks(self.tabulated).size, reference_of(self.tabulated)
        self.parameters_of_table = tuple(grid.axes)[: len(grid.axes) - (0 if linear else self._m)]
        self.inputs = (*self.tabulated, *(_parameter(name, grid.axes[name]) for name in self.parameters_of_table))
        input_blocks(self.inputs)
        self._spline = grid.spline()
        self._low, self._high = (np.array([nodes[end] for nodes in grid.axes.values()]) for end in (0, -1))

    def initial(self) -> InitialPoint:
        """The undeformed state, at the middle of the range of each parameter."""
        return InitialPoint()

    def answer(self, points: Points) -> None:
        """Interpolate at the rows asked (see `hmm.models.MicroModel`)."""
        rows = points.asked
        E = points.E[rows]
        inside = np.ones(len(E), dtype=bool)
        if self.outside == "error":
            x = self._coordinates(E)
            out = self._out(x)
            inside = ~out.any(axis=1)
            for row, value, bad in zip(rows[~inside], x[~inside], out[~inside], strict=True):
                points.failures[int(row)] = self._why(value, int(np.flatnonzero(bad)[0]))
        good = rows[inside]
        points.trial.response[good], points.tangent[good] = self.evaluate(E[inside])
        points.converged[good] = True
        points.count.evaluations += len(good)

    def commit(self, points: Points) -> None:
        """Nothing: a table remembers nothing."""

    def fingerprint(self) -> Mapping[str, str]:
        """Digest of the table."""
        return {"table": digest(*self.grid.axes.values(), self.grid.values), "outside": self.outside}

    def at(self, **parameters: ArrayLike) -> tuple[Floats, Floats]:
        """Response in the undeformed state and tangent for the tabulated inputs, at values of the parameters.

        Parameters
        ----------
        **parameters
            For each parameter a number or an array; their shapes are broadcast.

        Returns
        -------
        tuple
            Shapes (..., m) and (..., m, m).

        Raises
        ------
        InputError
            If a parameter is missing or unknown, or, with ``outside="error"``, out of range.
        """
        if set(parameters) != set(self.parameters_of_table):
            raise InputError(
                f"the table has the parameters {', '.join(self.parameters_of_table)}: give a value of each"
            )
        values = np.broadcast_arrays(*(np.asarray(parameters[n], dtype=float) for n in self.parameters_of_table))
        shape = values[0].shape if values else ()
        given = np.stack([v.ravel() for v in values], axis=1) if values else np.zeros((1, 0))
        E = np.hstack([np.tile(self._reference, (len(given), 1)), given])
        x = self._coordinates(E)
        if self.outside == "error" and (out := self._out(x)).any():
            row, axis = np.argwhere(out)[0]
            raise InputError(self._why(x[row], int(axis)))
        response, tangent = self.evaluate(E)
        m = self._m
        return response[:, :m].reshape(*shape, m), tangent[:, :m, :m].reshape(*shape, m, m)

    def evaluate(self, E: Floats) -> tuple[Floats, Floats]:
        """Responses and exact tangents at inputs of shape (n, m + number of parameters), beyond the range as chosen."""
        m, n = self._m, len(E)
        x = self._coordinates(E)
        frozen = self._out(x) if self.outside == "clamp" else np.zeros(x.shape, dtype=bool)
        x = np.where(frozen, np.clip(x, self._low, self._high), x)
        values = self._spline(x) if n else np.zeros((0, self.grid.values.shape[-1]))
        slopes = [np.where(frozen[:, [k]], 0.0, self._slope(x, k)) for k in range(x.shape[1])]
        response, tangent = np.zeros(E.shape), np.zeros((n, E.shape[1], E.shape[1]))
        if not self.linear:
            response[:, :m] = values
            order = [*range(m, E.shape[1]), *range(m)]
            for column, slope in zip(order, slopes, strict=True):
                tangent[:, :m, column] = slope
            return response, tangent
        response[:, :m], tangent[:, :m, :m] = self._linear(values, E)
        for k, slope in enumerate(slopes):
            tangent[:, :m, m + k] = self._linear(slope, E)[0]
        return response, tangent

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the table to a .npz file, whole or not at all; not collective."""
        path = Path(path)
        header: dict[str, Any] = {
            "version": VERSION,
            "linear": self.linear,
            "error": self.error,
            "degree": self.grid.degree,
        }
        header |= {"axes": list(self.grid.axes), "inputs": [_described(e) for e in self.tabulated]}
        text = json.dumps(header)
        arrays: dict[str, Any] = {f"axis{k}": nodes for k, nodes in enumerate(self.grid.axes.values())} | {
            "values": self.grid.values
        }
        with replacing(path) as part, part.open("wb") as file:
            np.savez_compressed(file, header=np.array(text), digest=np.array(_seal(text, arrays)), **arrays)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, outside: str = "error") -> TableModel:
        """Read a table that `save` wrote.

        Raises
        ------
        InputError
            If the file is damaged, is no table, or has another version.
        """
        path = regular_file(path, "table", "give a file that TableModel.save wrote")
        try:
            arrays = unpacked(path, "table")
            text, seal = str(arrays.pop("header")), str(arrays.pop("digest"))
            header = json.loads(text)
            version, sealed = header["version"], _seal(text, arrays)
        except InputError:
            raise
        except Exception as error:  # zipfile, zlib, NumPy and json raise different errors for damaged data
            raise InputError(f"the table {path} is damaged or no table ({error}): tabulate again") from None
        if version != VERSION:
            raise InputError(f"the table {path} has version {version}, not {VERSION}: tabulate again")
        if sealed != seal:
            raise InputError(f"the table {path} is damaged (its digest does not fit): tabulate again")
        axes = {name: arrays[f"axis{k}"] for k, name in enumerate(header["axes"])}
        grid = Grid(axes, arrays["values"], header["degree"])
        inputs = [_read_input(e) for e in header["inputs"]]
        return cls(inputs, grid, linear=header["linear"], error=header["error"], outside=outside)

    def _coordinates(self, E: Floats) -> Floats:
        """Where inputs lie on the axes of the table."""
        parameters = E[:, self._m :]
        return parameters if self.linear else np.hstack([parameters, E[:, : self._m]])

    def _linear(self, values: Floats, E: Floats) -> tuple[Floats, Floats]:
        start, A = values[:, : self._m], values[:, self._m :].reshape(-1, self._m, self._m)
        return start + np.einsum("nij,nj->ni", A, E[:, : self._m] - self._reference), A

    def _slope(self, x: Floats, axis: int) -> Floats:
        nu = tuple(int(k == axis) for k in range(x.shape[1]))
        return self._spline(x, nu=nu) if len(x) else np.zeros((0, self.grid.values.shape[-1]))

    def _out(self, x: Floats) -> NDArray[np.bool_]:
        slack = 1e-12 * (self._high - self._low)
        return (x < self._low - slack) | (x > self._high + slack)

    def _why(self, x: Floats, axis: int) -> str:
        name = list(self.grid.axes)[axis]
        return (
            f"{name} = {x[axis]:g} is outside the table, {self._low[axis]:g} to {self._high[axis]:g}: "
            "tabulate a larger range, or choose outside='clamp' or 'extrapolate'"
        )


def _odd(k: int) -> int:
    return 3 if k >= 3 else 1


def _parameter(name: str, nodes: Floats) -> Input:
    return Input(name, f"response to {name}", general(), np.array([0.5 * (nodes[0] + nodes[-1])]))


def _described(e: Input) -> dict[str, Any]:
    return {"name": e.name, "response": e.response, "packing": asdict(e.packing), "reference": e.reference.tolist()}


def _read_input(d: dict[str, Any]) -> Input:
    p = d["packing"]
    indices = tuple(tuple(i) for i in p["indices"])
    packing = Packing(tuple(p["shape"]), indices, tuple(p["factors"]), tuple(p["symmetric"]))
    return Input(d["name"], d["response"], packing, np.array(d["reference"], dtype=float))


def _seal(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    return digest(np.frombuffer(text.encode(), dtype=np.uint8), *(arrays[name] for name in sorted(arrays)))
