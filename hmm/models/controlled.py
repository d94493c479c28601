"""Mixed control of any micro model: some macroscopic components follow from prescribed responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import InputError
from hmm.models.asking import answer
from hmm.models.components import component_names, factors, find_components, split_vector
from hmm.models.points import Floats, InitialPoint, Input, Points, Variable, input_blocks, reference_of
from hmm.models.protocol import MicroModel, Observable
from hmm.models.single import PointAnswer, solve_one
from hmm.models.wrapper import Wrapper

MAX_ITERATIONS = 30
FREE, RESPONSE, TANGENT = OWN = ("free", "controlled response", "controlled tangent")
"""Variables of a point beside those of the model: free components, and response and tangent with all components."""

SINGULAR = 1e-11
"""A stiffness below this fraction of the largest one counts as zero."""


@dataclass(frozen=True, eq=False)
class Components:
    """Which components of the macroscopic inputs are given, free or fixed.

    Attributes
    ----------
    given
        Components whose input is given.
    free
        Components whose response is prescribed; their input is unknown.
    fixed
        Labels of components that keep their undeformed value.
    inputs
        The inputs, with the given components only; inputs without any are omitted.
    names
        Label of each component of the full inputs.
    """

    given: NDArray[np.int_]
    free: NDArray[np.int_]
    fixed: tuple[str, ...]
    inputs: tuple[Input, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, inputs: Sequence[Input], free: Iterable[str], fixed: Iterable[str]) -> Components:
        """The components of some inputs, by label; raises `InputError` for one that is unknown or named twice."""
        labels, fixed = list(free), tuple(fixed)
        taken = find_components(inputs, [*labels, *fixed])
        given = np.setdiff1d(np.arange(input_blocks(inputs).size), taken)
        return cls(
            given,
            np.array(taken[: len(labels)], dtype=int),
            fixed,
            restricted(inputs, given),
            tuple(component_names(inputs)),
        )

    def values(self, inputs: Sequence[Input], response: Mapping[str, float], before: Floats) -> Floats:
        """Packed prescribed responses, shape (n_free,): the values `before`, with some changed by label."""
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
        return f"free {', '.join(self.names[k] for k in self.free)}; fixed {', '.join(self.fixed) or 'none'}"


def restricted(inputs: Sequence[Input], given: NDArray[np.int_]) -> tuple[Input, ...]:
    """The inputs, with the `given` components only; inputs without any are omitted."""
    found = []
    for e, block in zip(inputs, input_blocks(inputs).values(), strict=True):
        own = [int(k) - block.start for k in given if block.start <= k < block.stop]
        if own:
            packing = e.packing if len(own) == e.size else e.packing.restrict(own)
            found.append(replace(e, packing=packing, reference=e.reference[own]))
    return tuple(found)


@dataclass(frozen=True)
class ControlledAnswer(PointAnswer):
    """The answer of a `ControlledModel` at one point: `vector`, `tangent` and `parts` of the given components.

    Attributes
    ----------
    full
        The answer with all components and the model's own tangent.
    inputs
        The macroscopic inputs as tensors, including the free components.
    """

    full: PointAnswer
    inputs: tuple[Floats, ...]

    @property
    def input(self) -> Floats:
        """The first macroscopic input as a tensor, such as the strain with its free components."""
        return self.inputs[0]


class ControlledModel(Wrapper):
    """A micro model under mixed control: some macroscopic components follow from prescribed responses.

    The free components are a variable of the point. Newton's method with the tangent of the model finds them for all
    points at once. To a homogenizer this is a model with fewer inputs and with the tangent
    ``A_cc - A_cf A_ff^-1 A_fc`` (c given, f free).

    Parameters
    ----------
    model
        Any micro model.
    response
        Prescribed responses by component, such as ``{"33": 0.0}``; entries of the tensor.
    fixed
        Components that keep their undeformed value.
    rtol
        Tolerance of the prescribed responses, relative to the largest response of the point.

    Notes
    -----
    For an `hmm.RVE`, use `hmm.MixedControl`, which solves for the free components and the fluctuation together.
    """

    def __init__(
        self, model: MicroModel, response: Mapping[str, float], fixed: Iterable[str] = (), *, rtol: float = 1e-9
    ) -> None:
        super().__init__(model)
        self.rtol = rtol
        self.components = Components.of(model.inputs, response, fixed)
        self.inputs = self.components.inputs
        self.prescribed = np.zeros(self.components.free.size)
        self.prescribe(response)
        self._reference = reference_of(model.inputs)

    @property
    def variables(self) -> Mapping[str, Variable]:
        """Variables of a point: those of the model, the free components, and the last response and tangent."""
        own, m = self.model.variables, self._reference.size
        if clash := [name for name in OWN if name in own]:
            raise InputError(f"a ControlledModel has its own variable {clash[0]!r}: rename that of the model")
        free, response = Variable((self.components.free.size,)), Variable((m,))
        return {**own, FREE: free, RESPONSE: response, TANGENT: Variable((m, m), "guide")}

    def fingerprint(self) -> dict[str, str]:
        """That of the model, and the free components; prescribed values may change during a run."""
        free = ", ".join(self.components.names[k] for k in self.components.free)
        return {**self._model_fingerprint(), "controlled model": type(self.model).__name__, "free components": free}

    def prescribe(self, response: Mapping[str, float]) -> None:
        """Change prescribed responses; components that are not named keep theirs."""
        self.prescribed = self.components.values(self.model.inputs, response, self.prescribed)

    def initial(self) -> InitialPoint:
        """A point before the first step; raises `InputError` if a free component has no stiffness."""
        self._start = None  # parameters of the model may have changed
        start = self._undeformed()
        assert start.response is not None and start.tangent is not None
        f = self.components.free
        if _is_singular(start.tangent[None][:, f][:, :, f]).any():
            raise InputError(f"{self._no_stiffness()}: prescribe the input instead")
        own = {FREE: self._reference[f], RESPONSE: start.response, TANGENT: start.tangent}
        return InitialPoint({**start.values, **own})

    def answer(self, points: Points) -> None:
        """Find the free components of the requested rows, and answer (see `hmm.models.MicroModel`)."""
        rows, f = points.asked, self.components.free
        inner = self._complete(points, rows)
        free = points.trial.variables[FREE][rows].copy()
        failures: dict[int, str] = {}
        for _ in range(MAX_ITERATIONS):
            inner.ask(self._full(points.E[rows], free), points.dt, "nested")
            answer(self.model, inner)
            A = inner.tangent[:, f][:, :, f]
            failures = inner.failures or dict.fromkeys(np.flatnonzero(_is_singular(A)).tolist(), self._no_stiffness())
            lacking = inner.trial.response[:, f] - self.prescribed
            missed = np.flatnonzero(~self._is_met(lacking, inner.trial.response))
            if failures or not missed.size:
                break
            free[missed] -= np.linalg.solve(A[missed], lacking[missed, :, None])[..., 0]
        else:
            failures = dict.fromkeys(missed.tolist(), "the prescribed responses were not reached")
        points.count.add(replace(inner.count, solves=0, skipped=0))
        if failures:
            points.failures |= {int(rows[p]): why for p, why in failures.items()}
        else:
            self._take(points, rows, inner, free)

    def commit(self, points: Points) -> None:
        """Let the model prepare the end of the step."""
        inner = self._complete(points, np.arange(points.n))
        inner.dt = points.dt
        inner.trial.E[:] = self._full(points.trial.E, points.trial.variables[FREE])
        inner.trial.response[:] = points.trial.variables[RESPONSE]
        for name, values in inner.trial.variables.items():
            values[:] = points.trial.variables[name]
        self.model.commit(inner)
        points.deferred |= inner.deferred

    @property
    def observables(self) -> Mapping[str, int]:
        """The observables of the model, and the free components."""
        return self._model_observables() | dict.fromkeys(self._free_names(), 1)

    def observe(self, points: Points, name: str) -> Floats:
        """A quantity at the committed state of all rows, shape (n, size)."""
        if name in (labels := self._free_names()):
            k = labels.index(name)
            tensor = points.committed.variables[FREE][:, k : k + 1]
            return tensor / factors(self.model.inputs)[self.components.free[k]]
        assert isinstance(self.model, Observable)
        return self.model.observe(self._complete(points, np.arange(points.n)), name)

    def solve(
        self,
        E: ArrayLike | Mapping[str, float] = (),
        state: Mapping[str, Floats] | None = None,
        dt: float | None = None,
        *,
        response: Mapping[str, float] | None = None,
    ) -> ControlledAnswer:
        """Answer one point (see `hmm.models.solve_one`); `response` changes prescribed values, as in `prescribe`."""
        if response is not None:
            self.prescribe(response)
        given = solve_one(self, E, state, dt)
        row = {name: values[None] for name, values in given.state.items()}
        found = self._full(row["E"], row[FREE])[0]
        vector, inputs = row[RESPONSE][0], self.model.inputs
        full = PointAnswer(vector, row[TANGENT][0], given.state, split_vector(inputs, vector))
        return ControlledAnswer(**vars(given), full=full, inputs=split_vector(inputs, found))

    def _free_names(self) -> list[str]:
        return [f"free_{self.components.names[k].replace(' ', '_')}" for k in self.components.free]

    def _full(self, given: Floats, free: Floats) -> Floats:
        """Macroscopic inputs with all components, shape (n, m)."""
        E = np.tile(self._reference, (len(given), 1))
        E[:, self.components.given], E[:, self.components.free] = given, free
        return E

    def _complete(self, points: Points, rows: NDArray[np.intp]) -> Points:
        """Points of the model itself, with all components, in the committed state of some rows."""
        if self._start is None:
            self.initial()
        committed = points.committed.variables
        return self._inner(
            points,
            rows,
            E=self._full(points.committed.E[rows], committed[FREE][rows]),
            response=committed[RESPONSE][rows],
            tangent=points.guides[TANGENT][rows],
        )

    def _is_met(self, lacking: Floats, response: Floats) -> NDArray[np.bool_]:
        """The rows at which the prescribed responses are reached."""
        size = np.abs(response).max(axis=1, initial=np.abs(self.prescribed).max(initial=0.0))
        return np.abs(lacking).max(axis=1, initial=0.0) <= self.rtol * size

    def _take(self, points: Points, rows: NDArray[np.intp], inner: Points, free: Floats) -> None:
        """Write the answer into its rows; the remaining defect of the prescribed responses is condensed."""
        c, f = self.components.given, self.components.free
        A, trial = inner.tangent, points.trial
        lacking = inner.trial.response[:, f] - self.prescribed
        follow = np.linalg.solve(A[:, f][:, :, f], np.concatenate([A[:, f][:, :, c], lacking[:, :, None]], axis=2))
        drop = A[:, c][:, :, f] @ follow
        points.tangent[rows] = A[:, c][:, :, c] - drop[:, :, :-1]
        trial.response[rows] = inner.trial.response[:, c] - drop[:, :, -1]
        self._keep(points, rows, inner)
        trial.variables[FREE][rows], trial.variables[RESPONSE][rows] = free, inner.trial.response
        points.guides[TANGENT][rows] = A
        points.converged[rows] = True

    def _no_stiffness(self) -> str:
        free = ", ".join(self.components.names[k] for k in self.components.free)
        return f"the model has no stiffness against a free component ({free})"


def _is_singular(A: Floats) -> NDArray[np.bool_]:
    """Which stiffnesses, shape (n, k, k), are singular."""
    if not A.size:
        return np.zeros(len(A), dtype=bool)
    sizes = np.linalg.svd(np.where(np.isfinite(A), A, 0.0), compute_uv=False)
    return sizes[:, -1] <= SINGULAR * np.maximum(sizes[:, 0], 1e-300)
