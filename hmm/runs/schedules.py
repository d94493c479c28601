"""Loads as functions of time: the values of Constants and Functions of a problem during a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, cast

import numpy as np
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

from hmm.fe2.problem import MacroProblem
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.options import dictionary, instance, numbers
from hmm.runs.fingerprint import checksum_of, constants_of, functions_of

Floats = NDArray[np.float64]

Load = fem.Constant | fem.Function

Value = Callable[..., ArrayLike] | ArrayLike

SAMPLES = 5
"""Instants at which the Functions of a schedule are evaluated to identify it in a restart."""


class Table:
    """A load as a piecewise linear function of time.

    Parameters
    ----------
    times
        Increasing times, shape (n,), with n of at least 2.
    values
        Values of the load at these times, shape (n,) or (n, *shape).

    Raises
    ------
    InputError
        If times do not increase, the numbers of times and values differ, or a number is not finite.
    """

    def __init__(self, times: ArrayLike, values: ArrayLike) -> None:
        self.times, self.values = increasing("the times of a table", times), numbers("the values of a table", values)
        if len(self.times) != (len(self.values) if self.values.ndim else 0):
            raise InputError(
                f"a table has {len(self.times)} times and values of shape {self.values.shape}: give one value for each"
            )
        if not np.isfinite(self.values).all():
            raise InputError(f"the values of a table are {self.values.tolist()}: give finite numbers")

    def __call__(self, time: float) -> Floats:
        """The load at a time within the table."""
        times, values = self.times, self.values
        if not times[0] <= time <= times[-1]:
            raise InputError(
                f"a load table is given from time {times[0]:g} to {times[-1]:g}, but is needed at {time:g}: extend it"
            )
        k = int(np.searchsorted(times, time))
        if times[k] == time:
            return np.array(values[k])
        start, end = values[k - 1], values[k]
        return np.asarray(start + (end - start) * (time - times[k - 1]) / (times[k] - times[k - 1]))


class Schedule:
    """Loads as functions of time; see `schedule`.

    Parameters
    ----------
    loads
        For each Constant or Function its value, as a function of time.
    """

    timed = True
    """Whether steps set ``problem.hom.time_step``, for rate-dependent laws and inertia."""

    def __init__(self, loads: Mapping[Load, Value] | None = None) -> None:
        self._loads: dict[Load, Value] = {}
        for load, value in dictionary("the loads of a schedule", loads, "functions of time by Constant").items():
            remedy = "use a dolfinx.fem.Constant or fem.Function of the forms or the boundary values"
            instance("a load of a schedule", load, (fem.Constant, fem.Function), remedy)
            self._loads[load] = _checked_value(load, value)

    @property
    def constants(self) -> list[fem.Constant]:
        """The Constants that it sets."""
        return [load for load in self._loads if isinstance(load, fem.Constant)]

    @property
    def functions(self) -> list[fem.Function]:
        """The Functions that it sets."""
        return [load for load in self._loads if isinstance(load, fem.Function)]

    def set(self, time: float, problem: MacroProblem) -> None:
        """Set all loads to their values at a time (collective).

        Raises
        ------
        InputError
            On all ranks, if one has the wrong shape or is not finite.
        """
        with collectively(problem.hom.comm):
            for constant in self.constants:
                constant.value = self._constant(constant, time)
            for function in self.functions:
                self._interpolate(function, time)

    def saved(self) -> list[Floats]:
        """Copies of the present loads."""
        return [np.array(_array(load)) for load in self._loads]

    def put_back(self, saved: list[Floats]) -> None:
        """Reset all loads to the values that `saved` returned."""
        for load, values in zip(self._loads, saved, strict=True):
            _array(load)[...] = values

    def check(self, problem: MacroProblem, times: list[float]) -> None:
        """Raise `InputError` on all ranks if a load does not occur in the problem or is invalid."""
        self.require_use(problem)
        comm, values = problem.hom.comm, np.zeros(0)
        with collectively(comm):
            if self.constants:
                values = np.concatenate([self._constant(c, time).ravel() for c in self.constants for time in times])
        first = comm.bcast(values)
        with collectively(comm):
            if np.abs(values - first).max(initial=0.0) > 1e-8 * np.abs(first).max(initial=0.0):
                raise InputError(f"the schedule gives different values on rank {comm.rank} and rank 0: give the same")
        before = self.saved()
        try:
            self.set(times[0], problem)
        finally:
            self.put_back(before)

    def require_use(self, problem: MacroProblem) -> None:
        """Raise `InputError` if a load does not occur in a problem."""
        if missing := self._unused(problem):
            raise InputError(f"{missing}: omit it, or use it there")

    def describe(self, problem: MacroProblem, times: list[float]) -> str:
        """A description of the loads with checksums of their values, the same in every process (collective)."""
        said = [f"{len(times) - 1} steps from time {times[0]:g} to {times[-1]:g}"]
        weights = np.cos(1.0 + np.arange(len(times)))
        said[0] += f" (checksum {weights @ np.array(times):.8g})"
        for number, constant in enumerate(self.constants, 1):
            values = np.array([self._constant(constant, time).ravel() for time in times])
            weighted = weights @ values @ np.sin(1.0 + np.arange(values.shape[1]))
            said.append(f"Constant {number} to {values[-1].tolist()} (checksum {weighted:.8g})")
        if self.functions:
            said += self._describe_functions(problem, times)
        return " with ".join([said[0], ", ".join(said[1:])] if said[1:] else said)

    def name(self, time: float) -> str:
        """Name of an instant in messages."""
        return f"time {time:g}"

    def value(self) -> Any:
        """The present value of the Constant, or a tuple of values if there are several."""
        values = [c.value.item() if c.value.shape == () else c.value.copy() for c in self.constants]
        return values[0] if len(values) == 1 else tuple(values)

    def _unused(self, problem: MacroProblem) -> str:
        """A message about the first load that does not occur in the problem; empty if there is none."""
        constants, functions = constants_of(problem), functions_of(problem)
        prescribed = [bc.g for bc in problem.bcs]
        for number, load in enumerate(self._loads, 1):
            known = load in (constants if isinstance(load, fem.Constant) else functions)
            if not known and not any(load._cpp_object is value for value in prescribed):
                return (
                    f"load {number} ({_title(load)}) is not in the macro form, the macro inputs, the Dirichlet "
                    "conditions or the models' parameters"
                )
        return ""

    def _constant(self, constant: fem.Constant, time: float) -> Floats:
        """The checked value of a Constant at a time."""
        value = self._loads[constant]
        found = numbers(f"{_title(constant)} at time {time:g}", value(time) if callable(value) else value)
        if found.shape != constant.value.shape:
            raise InputError(
                f"{_title(constant)} has shape {constant.value.shape} and its schedule gives shape {found.shape} at "
                f"time {time:g}: they must agree"
            )
        if not np.isfinite(found).all():
            raise InputError(f"the schedule of {_title(constant)} gives {found.tolist()} at time {time:g}: not finite")
        return found

    def _interpolate(self, function: fem.Function, time: float) -> None:
        """Set a Function to its values at a time, including ghosts."""
        value, size = cast(Callable[..., ArrayLike], self._loads[function]), int(np.prod(function.ufl_shape))

        def at(x: Floats) -> Floats:
            found = numbers(f"{_title(function)} at time {time:g}", value(x, time))
            if found.ndim != 0 and found.shape not in ((size, x.shape[1]), (x.shape[1],) if size == 1 else ()):
                raise InputError(
                    f"the schedule of {_title(function)} gives shape {found.shape} for {x.shape[1]} places at time "
                    f"{time:g}: give ({size}, n) for x of shape (3, n)"
                )
            if not np.isfinite(found).all():
                bad = ~np.isfinite(np.broadcast_to(found, (size, x.shape[1]))).all(axis=0)
                where = x[:, np.argmax(bad)].tolist()
                raise InputError(f"the schedule of {_title(function)} is not finite at time {time:g}, x = {where}")
            return np.broadcast_to(found, (size, x.shape[1]))

        function.interpolate(at)

    def _describe_functions(self, problem: MacroProblem, times: list[float]) -> list[str]:
        samples = sorted({times[k] for k in np.linspace(0, len(times) - 1, SAMPLES).astype(int)})
        before = self.saved()
        sums: list[list[str]] = []
        for time in samples:
            self.set(time, problem)
            sums.append([checksum_of(f) for f in self.functions])
        self.put_back(before)
        return [f"Function {k} (checksums {', '.join(s)})" for k, s in enumerate(zip(*sums, strict=True), 1)]


class Ramp(Schedule):
    """A schedule of one Constant, from its present value to a target.

    Parameters
    ----------
    load
        The Constant.
    target
        Its value at the end.
    end
        The time at the end; the start is zero.
    timed
        Whether `end` is a physical time, not a number of steps.
    """

    def __init__(self, load: fem.Constant, target: ArrayLike, end: float, timed: bool) -> None:
        start, goal = np.array(load.value, dtype=float), numbers("the target of the load", target)
        if start.shape != goal.shape:
            raise InputError(f"the load has shape {start.shape} and its target {goal.shape}: they must agree")
        if not np.isfinite(goal).all():
            raise InputError(f"the target of the load is {goal.tolist()}: give finite numbers")
        self.timed = timed
        self._table = Table([0.0, end], np.stack([start, goal]))
        super().__init__({load: self._table})

    def require_use(self, problem: MacroProblem) -> None:
        """Warn only, since the body of the loop may use the load."""
        missing = self._unused(problem)
        if missing and problem.hom.comm.rank == 0:
            logging.getLogger("hmm").warning("%s: the ramp has an effect only if your loop uses the load", missing)

    def describe(self, problem: MacroProblem, times: list[float]) -> str:
        """Number of steps, start, target, and the duration if it is timed."""
        start, target = self._table.values.tolist()
        time = f" in a time of {times[-1]:g}" if self.timed else ""
        return f"{len(times) - 1} steps from {start} to {target}{time}"

    def name(self, time: float) -> str:
        """Name of the load at a time in messages."""
        return f"load {self._table(time).tolist()}"


def schedule(loads: Mapping[Load, Value] | None = None) -> Schedule:
    """Loads as functions of time, for `hmm.steps`.

    Parameters
    ----------
    loads
        For each `dolfinx.fem.Constant`, a function of time, such as ``lambda t: np.sin(t)`` or `table`, or a constant
        number; for each `dolfinx.fem.Function`, a function ``(x, t)`` that returns values of shape (size, n) for ``x``
        of shape (3, n). The loads occur in the macro form, the macroscopic inputs, the values of Dirichlet conditions,
        or the parameters of the micro models. Give an empty dictionary for relaxation. The functions must not depend on
        anything else, since they are called repeatedly for the same time, and in a restart.

    Returns
    -------
    Schedule
        The schedule.

    Raises
    ------
    InputError
        If a key is not a Constant or Function, or a value is not a function.

    Examples
    --------
    >>> cycle = hmm.schedule({load: np.sin, pull: hmm.table([0, 1, 2], [0, 1, 0])})  # doctest: +SKIP
    >>> twist = hmm.schedule({g: lambda x, t: t * np.stack([-x[1], x[0]])})  # doctest: +SKIP
    """
    return Schedule(loads)


def table(times: ArrayLike, values: ArrayLike) -> Table:
    """A load that is piecewise linear in time (see `Table`)."""
    return Table(times, values)


def increasing(name: str, times: ArrayLike) -> Floats:
    """At least two increasing times.

    Raises
    ------
    InputError
        If there are fewer, or they do not increase.
    """
    found = numbers(name, times)
    if found.ndim != 1 or found.size < 2:
        raise InputError(f"{name} have shape {found.shape}: give a list of two or more, the start first")
    if not np.isfinite(found).all():
        raise InputError(f"{name} are {found.tolist()}: give finite numbers")
    for before, after in pairwise(found.tolist()):
        if after <= before:
            raise InputError(f"{name} go from {before:g} to {after:g}: each must be later than the previous one")
    return found


def _checked_value(load: Load, value: Value) -> Value:
    """The value of a load, checked for its type."""
    if isinstance(load, fem.Constant) or (callable(value) and not isinstance(value, Table)):
        return value
    raise InputError(f"the schedule of {_title(load)} is a {type(value).__name__}: give a function of x and t")


def _array(load: Load) -> Floats:
    """The numbers of a load, to be read or overwritten."""
    return cast(Floats, load.value if isinstance(load, fem.Constant) else load.x.array)


def _title(load: Load) -> str:
    if isinstance(load, fem.Constant):
        return f"a Constant, now {np.asarray(load.value).tolist()}"
    return f"the Function {load.name!r}"
