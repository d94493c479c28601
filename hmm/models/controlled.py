"""Any micro model driven by a mixture of macroscopic inputs and responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import InputError
from hmm.models.asking import answer, points_of
from hmm.models.components import component_names, factors, find_components
from hmm.models.points import Floats, InitialPoint, Input, Points, Variable
from hmm.models.protocol import MicroModel, Observable, Rated
from hmm.models.single import PointAnswer, solve_one

MAX_ITERATIONS = 30
SINGULAR = 1e-11
"""Stiffness of a free component, as a fraction of the model's largest, below which there is none."""


@dataclass(frozen=True, eq=False)
class Components:
    """Which components of the macroscopic inputs are given, free or held.

    Attributes
    ----------
    given
        Components whose input is given.
    free
        Components whose response is prescribed; their input is found.
    held
        Labels of components that keep their undeformed value.
    inputs
        The inputs with the given components only; inputs without any are left out.
    names
        Label of each component of the full inputs.
    """

    given: NDArray[np.int_]
    free: NDArray[np.int_]
    held: tuple[str, ...]
    inputs: tuple[Input, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, inputs: Sequence[Input], free: Iterable[str], held: Iterable[str]) -> Components:
        """The components of some inputs, by label; raises `InputError` for one that is unknown or named twice."""
        labels, held = list(free), tuple(held)
        taken = find_components(inputs, [*labels, *held])
        given = np.setdiff1d(np.arange(sum(e.size for e in inputs)), taken)
        return cls(
            given,
            np.array(taken[: len(labels)], dtype=int),
            held,
            restricted(inputs, given),
            tuple(component_names(inputs)),
        )

    def values(self, inputs: Sequence[Input], response: Mapping[str, float], before: Floats) -> Floats:
        """Prescribed responses, packed, shape (n_free,): those `before`, with some changed by label."""
        packed = before.copy()
        for k, value in zip(find_components(inputs, response), response.values(), strict=True):
            if k not in self.free:
                free = ", ".join(self.names[i] for i in self.free) or "none"
                raise InputError(
                    f"the response {self.names[k]} is not prescribed in this MixedControl, which has: {free}"
                )
            if not np.isfinite(value):
                raise InputError(f"the response {self.names[k]} = {value} must be a finite number")
            packed[self.free == k] = value * factors(inputs)[k]
        return packed

    def __str__(self) -> str:
        return f"free {', '.join(self.names[k] for k in self.free)}; held {', '.join(self.held) or 'none'}"


def restricted(inputs: Sequence[Input], given: NDArray[np.int_]) -> tuple[Input, ...]:
    """The inputs with the `given` components only; those without any are left out."""
    start, found = 0, []
    for e in inputs:
        own = [int(k) - start for k in given if start <= k < start + e.size]
        if own:
            packing = e.packing if len(own) == e.size else e.packing.restrict(own)
            found.append(replace(e, packing=packing, reference=e.reference[own]))
        start += e.size
    return tuple(found)


class ControlledModel:
    """A micro model some of whose macroscopic components follow from prescribed responses.

    The free components are a variable of the point, found by Newton's method with the model's own tangent, for all
    points at once. To a homogenizer this is a model with fewer inputs, with the tangent
    ``A_cc - A_cf A_ff^-1 A_fc`` (c given, f free).

    Parameters
    ----------
    model
        Any micro model.
    response
        Prescribed responses by component, such as ``{"33": 0.0}``: entries of the tensor.
    held
        Components that keep their undeformed value.
    rtol
        The prescribed responses are met to this fraction of the largest response of the point.

    Notes
    -----
    An `hmm.RVE` is controlled by `hmm.micro.mixed_control.BorderedControl`, which solves for the free components and
    the fluctuation together.
    """

    def __init__(
        self, model: MicroModel, response: Mapping[str, float], held: Iterable[str] = (), *, rtol: float = 1e-9
    ) -> None:
        self.model, self.rtol = model, rtol
        self.components = Components.of(model.inputs, response, held)
        self.inputs = self.components.inputs
        self.prescribed = np.zeros(self.components.free.size)
        self.prescribe(response)
        self._reference = np.concatenate([e.reference for e in model.inputs])

    @property
    def variables(self) -> Mapping[str, Variable]:
        """What a point remembers: the model's variables, and the free components."""
        return {**self.model.variables, "free": Variable((self.components.free.size,))}

    @property
    def has_rates(self) -> bool:
        """Whether the model's answers depend on the duration of the step."""
        return isinstance(self.model, Rated) and self.model.has_rates

    def prescribe(self, response: Mapping[str, float]) -> None:
        """Change prescribed responses; components not named keep theirs."""
        self.prescribed = self.components.values(self.model.inputs, response, self.prescribed)

    def initial(self) -> InitialPoint:
        """A point before the first step."""
        inner = points_of(self.model, 1).start
        return InitialPoint({**inner.values, "free": self._reference[self.components.free]})

    def answer(self, points: Points) -> None:
        """Find the free components of the rows asked, and answer (see `hmm.models.MicroModel`)."""
        rows, f = points.asked, self.components.free
        inner = self._inner(points, rows)
        free = points.trial.variables["free"][rows].copy()
        open_rows = np.arange(rows.size)
        for _ in range(MAX_ITERATIONS):
            self._ask(inner, points.E[rows], free, points)
            lacking = inner.trial.response[:, f] - self.prescribed
            size = np.abs(inner.trial.response).max(axis=1, initial=0.0)
            met = np.abs(lacking).max(axis=1, initial=0.0) <= self.rtol * np.maximum(
                size, np.abs(self.prescribed).max(initial=0.0)
            )
            failed = np.isin(np.arange(rows.size), list(inner.failures))
            open_rows = np.flatnonzero(~met & ~failed)
            if not open_rows.size:
                break
            A = inner.tangent[np.ix_(open_rows, f, f)]
            free[open_rows] -= np.linalg.solve(self._checked(A), lacking[open_rows, :, None])[..., 0]
        reasons = dict(inner.failures) | dict.fromkeys(open_rows.tolist(), "the prescribed responses were not met")
        points.failures |= {int(rows[p]): why for p, why in reasons.items()}
        self._take(points, rows, inner, free)

    def commit(self, points: Points) -> None:
        """Let the model prepare the end of the step."""
        rows = np.arange(points.n)
        inner = self._inner(points, rows)
        inner.trial.E[:] = self._full(points.trial.E, points.trial.variables["free"])
        for name, values in inner.trial.variables.items():
            values[:] = points.trial.variables[name]
        self.model.commit(inner)
        points.deferred |= inner.deferred

    @property
    def observables(self) -> Mapping[str, int]:
        """The model's, and the free components."""
        own = dict(self.model.observables) if isinstance(self.model, Observable) else {}
        return {**own, **{f"free_{self.components.names[k].replace(' ', '_')}": 1 for k in self.components.free}}

    def observe(self, points: Points, name: str) -> Floats:
        """A quantity at the committed state of all rows, shape (n, size)."""
        labels = [f"free_{self.components.names[k].replace(' ', '_')}" for k in self.components.free]
        if name in labels:
            k = labels.index(name)
            tensor = points.committed.variables["free"][:, k : k + 1]
            return tensor / factors(self.model.inputs)[self.components.free[k]]
        assert isinstance(self.model, Observable)
        return self.model.observe(self._inner(points, np.arange(points.n)), name)

    def solve(
        self, E: ArrayLike | Mapping[str, float] = (), state: Mapping[str, Floats] | None = None, dt: float = 0.0
    ) -> PointAnswer:
        """Answer one point (see `hmm.models.solve_one`)."""
        return solve_one(self, E, state, dt)

    def _full(self, given: Floats, free: Floats) -> Floats:
        """Macroscopic inputs with all components, shape (n, m)."""
        E = np.tile(self._reference, (len(given), 1))
        E[:, self.components.given], E[:, self.components.free] = given, free
        return E

    def _inner(self, points: Points, rows: NDArray[np.intp]) -> Points:
        """Points of the model itself, in the state of some rows."""
        inner = points_of(self.model, rows.size)
        values = {name: array for name, array in inner.persistent().items()}
        values |= {k: v[rows] for k, v in {**points.committed.variables, **points.guides}.items() if k in values}
        values["E"] = self._full(points.committed.E[rows], points.committed.variables["free"][rows])
        inner.restore(values)
        return inner

    def _ask(self, inner: Points, given: Floats, free: Floats, points: Points) -> None:
        inner.count = points.count
        inner.ask(self._full(given, free), points.dt, "nested")
        answer(self.model, inner)

    def _take(self, points: Points, rows: NDArray[np.intp], inner: Points, free: Floats) -> None:
        c, f = self.components.given, self.components.free
        A = inner.tangent
        follow = np.linalg.solve(self._checked(A[:, f][:, :, f]), A[:, f][:, :, c])
        points.tangent[rows] = A[:, c][:, :, c] - A[:, c][:, :, f] @ follow
        points.trial.response[rows] = inner.trial.response[:, c]
        for name, values in inner.trial.variables.items():
            points.trial.variables[name][rows] = values
        for name, values in inner.guides.items():
            points.guides[name][rows] = values
        points.trial.variables["free"][rows] = free
        points.converged[rows] = True
        points.converged[list(points.failures)] = False

    def _checked(self, A: Floats) -> Floats:
        """Stiffnesses against the free components; raises `InputError` if there is none."""
        weakest = np.linalg.svd(A, compute_uv=False)
        if A.size and (weakest[:, -1] <= SINGULAR * np.maximum(weakest[:, 0], 1e-300)).any():
            free = ", ".join(self.components.names[k] for k in self.components.free)
            raise InputError(
                f"the model has no stiffness against a free component ({free}): prescribe the input instead"
            )
        return A
