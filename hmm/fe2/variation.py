"""Variation of the RVE type over a macro mesh.

Pass a `Variation`, made by `regions`, `graded` or `scattered`, to `hmm.Homogenizer` in place of an RVE. Each RVE type
exists once per rank; a point has one row for each of its types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from dolfinx.mesh import MeshTags
from numpy.typing import NDArray

from hmm.fe2.quadrature_points import MacroField, MacroPoints
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.hashing import uniform
from hmm.models.protocol import MicroModel, group_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Variation:
    """Several RVE types, and the share of each at the points of a macro mesh.

    The RVEs of a point all receive its macroscopic input; its response is the mean of theirs, weighted by the shares. A
    point has a single RVE if one share is 1 and the others are 0.

    Attributes
    ----------
    models
        The RVE types by name; all have the same macroscopic inputs.
    shares
        A function from the macro points to the shares, shape (n_points, n_kinds): not negative, with the sum 1 in each
        row, and independent of the number of ranks.
    """

    models: Mapping[str, MicroModel]
    shares: Callable[[MacroPoints], Floats]

    def __post_init__(self) -> None:
        if not isinstance(self.models, Mapping) or not self.models:
            raise InputError(f"models = {self.models!r} of a variation: give a dictionary of RVEs by name")
        if not callable(self.shares):
            raise InputError(f"shares = {self.shares!r} is not a function: give one of the macro points")
        for name, rve in self.models.items():
            if not isinstance(rve, MicroModel):
                several = "; several models go through hmm.variation" if isinstance(rve, Mapping | Sequence) else ""
                kind = f", for {name!r}" if name else ""
                raise InputError(
                    f"an object of type {type(rve).__name__} is not a micro model{kind}: give an hmm.RVE or another "
                    f"hmm.models.MicroModel{several}"
                )
        object.__setattr__(self, "models", {str(name): rve for name, rve in self.models.items()})
        (first, rve), *others = self.models.items()
        for name, other in others:
            _check_alike(first, rve, name, other)


def everywhere(rve: MicroModel) -> Variation:
    """The same RVE at all points; it has no name."""
    return Variation({"": rve}, lambda points: np.ones((points.n, 1)))


def regions(models: Mapping[int, MicroModel], tags: MeshTags) -> Variation:
    """One RVE type for each region of the macro mesh.

    Parameters
    ----------
    models
        An RVE for each tag.
    tags
        Tags of the cells of the macro mesh.

    Raises
    ------
    InputError
        On all ranks, when the `hmm.Homogenizer` is created: if a macro cell has no tag or a tag without an RVE, or if
        no macro cell has the tag of an RVE.
    """
    for tag in models:
        if not isinstance(tag, int | np.integer):
            raise InputError(f"regions: {tag!r} is not a tag of macro cells: give an RVE for each integer tag")
    if not isinstance(tags, MeshTags):
        raise InputError(
            f"regions: {type(tags).__name__} is not a MeshTags: tag the macro cells with dolfinx.mesh.meshtags"
        )
    known = np.array(list(models), dtype=np.int64)

    def shares(points: MacroPoints) -> Floats:
        dim = points.mesh.topology.dim
        if tags.dim != dim:
            raise InputError(f"regions: the tags are of entities of dimension {tags.dim}: give tags of the macro cells")
        if tags.topology is not points.mesh.topology._cpp_object:
            raise InputError("regions: the tags are of another mesh: tag the cells of the macro mesh")
        of_cell = np.full(points.cells.size, np.iinfo(np.int64).min)
        own = tags.indices < points.cells.size
        of_cell[tags.indices[own]] = tags.values[own]
        with collectively(points.comm):
            _check_tags(of_cell, known)
        missing = set(known.tolist()).difference(*points.comm.allgather(set(np.unique(of_cell).tolist())))
        if missing:
            raise InputError(f"regions: no macro cell has the tag {sorted(missing)[0]}: omit its RVE or tag cells")
        return np.repeat(of_cell[:, None] == known, len(points.rule), axis=0).astype(float)

    return Variation({str(tag): rve for tag, rve in models.items()}, shares)


def graded(models: Mapping[float, MicroModel], parameter: MacroField, *, interpolate: bool = True) -> Variation:
    """RVEs for several values of a parameter that varies over the macro mesh, such as a volume fraction.

    Parameters
    ----------
    models
        An RVE for each of at least two values of the parameter.
    parameter
        The parameter on the macro mesh: a function of x (shape (3, n), result (n,)), or UFL such as a Function.
    interpolate
        If True, a point between two values has both RVEs, with weights linear in the parameter. If False, it has the
        RVE of the nearest value (the lower one if halfway), which costs half as much.

    Notes
    -----
    For a given strain history, the response is a function of the parameter. The error of interpolation is of second
    order in the distance between the values, that of the nearest RVE of first order.

    Raises
    ------
    InputError
        On all ranks, when the `hmm.Homogenizer` is created: if the parameter is outside the range of the values.
    """
    if not isinstance(models, Mapping) or len(models) < 2:
        n = len(models) if isinstance(models, Mapping) else type(models).__name__
        raise InputError(f"graded: RVEs for {n} values of the parameter: give a dictionary of two or more, by value")
    for value in models:
        if not isinstance(value, int | float | np.integer | np.floating) or not np.isfinite(value):
            raise InputError(f"graded: {value!r} is not a value of the parameter: give RVEs by finite numbers")
    order = sorted(models)
    nodes = np.array(order, dtype=float)

    def shares(points: MacroPoints) -> Floats:
        value = points.values(parameter, "the parameter of graded", ())
        slack = 1e-9 * np.abs(nodes).max()
        out = np.flatnonzero((value < nodes[0] - slack) | (value > nodes[-1] + slack))
        if out.size:
            raise InputError(
                f"graded: the parameter is {value[out[0]]:g} at {points.describe(out[0])}, outside the values "
                f"{', '.join(f'{v:g}' for v in nodes)} that have an RVE: add an RVE there"
            )
        value = np.clip(value, nodes[0], nodes[-1])
        left = np.clip(np.searchsorted(nodes, value, side="right") - 1, 0, nodes.size - 2)
        t = (value - nodes[left]) / (nodes[left + 1] - nodes[left])
        t = np.where(np.abs(t - np.rint(t)) < 1e-9, np.rint(t), t) if interpolate else (t > 0.5).astype(float)
        weights = np.zeros((points.n, nodes.size))
        rows = np.arange(points.n)
        weights[rows, left], weights[rows, left + 1] = 1 - t, t
        return weights

    names = [f"{v:g}" for v in order]
    names = names if len(set(names)) == len(order) else [repr(float(v)) for v in order]
    return Variation({name: models[v] for name, v in zip(names, order, strict=True)}, shares)


def scattered(
    models: Sequence[MicroModel] | Mapping[str, MicroModel],
    seed: int = 0,
    *,
    probabilities: Sequence[float] | None = None,
    per: str = "point",
) -> Variation:
    """One of several RVEs, such as random realisations of a cell, drawn at random for each point.

    Parameters
    ----------
    models
        The RVEs.
    seed
        Seed; the choice depends on it only, not on the number of ranks.
    probabilities
        Shape (n,); probability of each RVE. By default all are equal.
    per
        ``"point"``: points are independent. ``"cell"``: the points of a macro cell have the same RVE.

    Raises
    ------
    InputError
        If there are no RVEs, `probabilities` are not one for each with the sum 1, or `per` is unknown.
    """
    if not isinstance(models, Mapping | Sequence):
        raise InputError(f"scattered: {type(models).__name__} is not a list of RVEs: give two or more")
    if not isinstance(seed, int | np.integer):
        raise InputError(f"scattered: seed = {seed!r} must be an integer")
    named = models if isinstance(models, Mapping) else {str(k): rve for k, rve in enumerate(models)}
    if not named:
        raise InputError("scattered: there are no RVEs: give one or more")
    p = np.asarray([1 / len(named)] * len(named) if probabilities is None else probabilities, dtype=float)
    if p.shape != (len(named),) or not (p >= 0).all() or abs(p.sum() - 1) > 1e-9:
        raise InputError(
            f"scattered: probabilities {p.tolist()}: give one for each of {len(named)} RVEs, with the sum 1"
        )
    if per not in ("point", "cell"):
        raise InputError(f"scattered: per = {per!r} must be 'point' or 'cell'")
    steps = np.cumsum(p)[:-1]

    def shares(points: MacroPoints) -> Floats:
        keys = points.keys if per == "point" else np.repeat(points.original_cells, len(points.rule))
        return np.eye(len(named))[np.searchsorted(steps, uniform(keys, seed), side="right")]

    return Variation(named, shares)


@dataclass(frozen=True, eq=False)
class Rows:
    """The RVEs of this rank's points, one row each, sorted by point and RVE type.

    Attributes
    ----------
    point, kind, share
        Shape (n_rows,); the point, the number of the RVE type, and the weight of its response.
    first
        Shape (n_points,); the first row of each point.
    """

    point: NDArray[np.int64]
    kind: NDArray[np.int32]
    share: Floats
    first: NDArray[np.int64]

    @classmethod
    def of(cls, variation: Variation, points: MacroPoints) -> Rows:
        """The rows of a variation (collective).

        Raises
        ------
        InputError
            On all ranks, if the shares of a point are invalid.
        """
        with collectively(points.comm):
            shares = np.asarray(variation.shares(points), dtype=float)
            _check_shares(shares, len(variation.models), points)
        point, kind = np.nonzero(shares)
        first = np.searchsorted(point, np.arange(points.n))
        return cls(point, kind.astype(np.int32), shares[point, kind], first)

    @property
    def is_plain(self) -> bool:
        """Whether each point has one RVE."""
        return self.first.size == self.point.size

    def main(self, point: int | np.integer) -> int:
        """The row of a point with the largest share."""
        rows = np.flatnonzero(self.point == point)
        return int(rows[np.argmax(self.share[rows])])

    def shares(self, n_kinds: int) -> Floats:
        """Share of each RVE type at each point, shape (n_points, n_kinds)."""
        shares = np.zeros((self.first.size, n_kinds))
        shares[self.point, self.kind] = self.share
        return shares

    def mean(self, values: Floats) -> Floats:
        """Means over the RVEs of each point, shape (n_points, ...), of values of the rows."""
        if self.is_plain:
            return values
        weighted = self.share.reshape(-1, *[1] * (values.ndim - 1)) * values
        return np.add.reduceat(weighted, self.first) if self.first.size else weighted


def _check_alike(first: str, rve: MicroModel, name: str, other: MicroModel) -> None:
    """Raise `InputError` unless two RVE types have the same inputs and numbers of ranks."""
    mine, its = ([(e.name, e.packing) for e in r.inputs] for r in (rve, other))
    if mine != its:
        listed = [", ".join(f"{n} of shape {p.shape}" for n, p in inputs) for inputs in (mine, its)]
        raise InputError(
            f"RVE {first!r} has the macro inputs {listed[0]}, and RVE {name!r} {listed[1]}: all need the same"
        )
    if not all(np.allclose(a.reference, b.reference) for a, b in zip(rve.inputs, other.inputs, strict=True)):
        raise InputError(f"RVEs {first!r} and {name!r} have different undeformed states: give both the same reference")
    sizes = [group_of(r).size for r in (rve, other)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"the cell of RVE {first!r} is on {sizes[0]} ranks, that of RVE {name!r} on {sizes[1]}: make all on the "
            "same communicator"
        )


def _check_tags(of_cell: NDArray[np.int64], known: NDArray[np.int64]) -> None:
    untagged = int((of_cell == np.iinfo(np.int64).min).sum())
    if untagged:
        raise InputError(f"regions: {untagged} macro cells have no tag: tag each cell")
    unknown = sorted(set(of_cell.tolist()) - set(known.tolist()))
    if unknown:
        raise InputError(f"regions: macro cells have the tag {unknown[0]}, which has no RVE: give one, as for {known}")


def _check_shares(shares: Floats, n_kinds: int, points: MacroPoints) -> None:
    if shares.shape != (points.n, n_kinds):
        raise InputError(
            f"shares have shape {shares.shape}: give one row for each of {points.n} points, {n_kinds} long"
        )
    bad = np.flatnonzero(~((shares >= 0).all(axis=1) & (np.abs(shares.sum(axis=1) - 1) < 1e-9)))
    if bad.size:
        raise InputError(
            f"the shares {shares[bad[0]].tolist()} at {points.describe(bad[0])} must be non-negative and add up to 1"
        )
