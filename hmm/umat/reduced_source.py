"""A hyper-reduced cell as C source."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hmm.laws.kernel import LawKernel
from hmm.laws.kernel_source import CFunction, c_functions, loops_source
from hmm.reduced.model import ReducedModel
from hmm.reduced.phases import kernel_of
from hmm.reduced.reduction import Reduction
from hmm.umat import c_text
from hmm.umat.source import Source

Floats = NDArray[np.float64]

NONE = "{0, 0, 0, -1}"
"""No C function."""


def reduced_source(model: ReducedModel) -> Source:
    """A reduced model of one strain as C source.

    Raises
    ------
    InputError
        If a parameter of its laws has changed since it was made.
    """
    model.solve(model.rve.reference, dt=1.0)
    r, m = model.reduction, model.rve.n_inputs
    kernels = {name: kernel_of(model.rve.problem, name) for name in r.phases}
    functions = {name: c_functions(kernel, f"law{k}") for k, (name, kernel) in enumerate(kernels.items())}
    states = r.n_modes + sum(p.weights.size * kernels[name].n_variables for name, p in r.phases.items())
    code = [
        loops_source(),
        c_text.code("phase.h"),
        c_text.definitions(_sizes(r, kernels, functions)),
        *_cell(r, m),
        *_phases(r, kernels, functions),
        c_text.code("reduced.c"),
    ]
    error = "" if math.isnan(model.report.worst) else f"; error on blind paths at most {model.report.worst:.2g}"
    notes = (
        f"{r.n_modes} modes, {r.n_points} cubature points{error}.",
        f"Trained for packed strains (Mandel) from [{_row(r.lowest)}] to [{_row(r.highest)}].",
        *(["Its laws depend on DTIME."] if model.has_rates else []),
    )
    return Source("A hyper-reduced cell", notes, "\n".join(code), states=states)


def _sizes(
    r: Reduction, kernels: dict[str, LawKernel], functions: dict[str, tuple[CFunction, ...]]
) -> dict[str, int | str]:
    """Sizes of the cell and of the largest phase."""
    of = [(p.weights.size, k.n_fields, k.n_variables) for p, k in zip(r.phases.values(), kernels.values(), strict=True)]
    constants = [f.constants.size for parts in functions.values() for f in parts]
    return {
        "MODES": r.n_modes,
        "N_PHASES": len(r.phases),
        "VOLUME": repr(float(r.volume)),
        "ROWS": max((g * (f + v) for g, f, v in of), default=0),
        "ANSWERS": max((g * (f + f * f + v) for g, f, v in of), default=0),
        "MOST_INPUTS": max((f + v for _, f, v in of), default=0),
        "CONSTANTS": max(constants, default=0),
    }


def _cell(r: Reduction, m: int) -> list[str]:
    """Forces of the cell if it stays elastic, and how its modes follow the strain then."""
    sensitivity = -np.linalg.solve(r.stiffness[m:, m:], r.stiffness[m:, :m])
    arrays = {"constant": r.constant, "stiffness": r.stiffness, "sensitivity": sensitivity}
    return [c_text.array(name, values) for name, values in arrays.items()]


def _phases(r: Reduction, kernels: dict[str, LawKernel], functions: dict[str, tuple[CFunction, ...]]) -> list[str]:
    """The code and the numbers of the phases."""
    parts, rows = list[str](), list[str]()
    for k, (name, p) in enumerate(r.phases.items()):
        arrays = {"weights": p.weights, "offset": p.offset, "H": p.H, "C0": p.stiffness, "start": p.start}
        parts += [c_text.array(f"{what}{k}", values) for what, values in arrays.items()]
        calls = [NONE, NONE, NONE]
        for n, function in enumerate(functions[name]):
            parts += [function.code, c_text.array(f"{function.name}_constants", function.constants)]
            calls[n] = f"{{{function.name}, {function.name}_constants, {function.constants.size}, {function.dt_at}}}"
        kernel = kernels[name]
        sizes = f"{p.weights.size}, {kernel.n_fields}, {kernel.n_variables}, {kernel.at(0.0).n_unknowns}"
        named = ", ".join(f"{what}{k}" for what in arrays)
        rows.append(f"    {{{sizes}, {', '.join(calls)}, {named}, {r.strength(name)!r}}}")
    return [*parts, "static const phase phases[] = {\n" + (",\n".join(rows) or "    {0}") + "};\n"]


def _row(values: Floats) -> str:
    return ", ".join(f"{v:.3g}" for v in values)
