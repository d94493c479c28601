"""Load steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

from hmm.errors import ConvergenceError, InputError
from hmm.macro import MacroProblem, StepStats
from hmm.report import progress


@dataclass(frozen=True)
class Step:
    """A converged and committed load step.

    Attributes
    ----------
    number, total
        This step and how many there are; the first is 1.
    load
        The load at its end.
    stats
        What it took.
    """

    number: int
    total: int
    load: float | NDArray[np.float64]
    stats: StepStats


def steps(
    problem: MacroProblem, load: fem.Constant, target: ArrayLike, n: int, *, label: str = "load steps"
) -> Iterator[Step]:
    """Raise a load to its target in equal steps, solving and committing each.

    Parameters
    ----------
    problem
        The macro problem.
    load
        A Constant in its forms or boundary values; its present value is the start.
    target
        Its value after the last step; same shape.
    n
        Number of steps.
    label
        Text beside the progress bar (shown on rank 0, on a terminal).

    Yields
    ------
    Step
        After each accepted step.

    Raises
    ------
    ConvergenceError
        Names the step, the worst point and its macro input; the steps before are committed and `u` is theirs.
    """
    if n < 1:
        raise InputError(f"n = {n} load steps: give at least one")
    start, end = np.array(load.value, dtype=float), np.asarray(target, dtype=float)
    if start.shape != end.shape:
        raise InputError(f"the load has shape {start.shape} and its target {end.shape}: they must agree")
    if not np.isfinite(end).all():
        raise InputError(f"the target of the load is {end.tolist()}: give finite numbers")
    with progress(problem.hom.comm, label, n) as advance:
        for number in range(1, n + 1):
            accepted = np.array(load.value)
            load.value = start + (end - start) * number / n
            try:
                stats = problem.solve()
            except ConvergenceError as error:
                reached = load.value.tolist()
                load.value = accepted
                raise ConvergenceError(
                    f"load step {number} of {n} (load {reached}) did not converge: {error}; "
                    f"the {number - 1} steps before are kept: take more steps"
                ) from None
            advance()
            yield Step(number, n, load.value.item() if end.shape == () else load.value.copy(), stats)
