"""Numerical test whether the tangent of a cell is symmetric."""

from __future__ import annotations

from itertools import cycle

import numpy as np
from dolfinx import fem

from hmm.foundation.forms import PackedForm, tagged_cells
from hmm.micro.cell_forms import dense
from hmm.micro.columns import assembled_columns
from hmm.micro.loaded_cell import LoadedCell


def is_symmetric(loaded: LoadedCell) -> bool:
    """Whether ``K``, ``D`` are symmetric and ``M = L`` (collective); a test point stays loaded."""
    return loaded.forms.has_potential or (_moduli_are_symmetric(loaded) and _stiffness_is_symmetric(loaded))


def _moduli_are_symmetric(loaded: LoadedCell) -> bool:
    """Test ``D``, the mean moduli, at deformations of many magnitudes, to cover each branch of a law.

    Without fluctuation all elements of a phase have the same strain, so one of each phase is sufficient.
    """
    forms, problem = loaded.forms, loaded.problem
    rng, dt = np.random.default_rng(0), float(problem.dt.value)
    answers, few = [], _D_of_few_elements(loaded)
    scales = np.logspace(-6, 0, 1 if forms.is_linear else 28)
    durations = cycle(10.0 ** np.arange(-6, 7, 3) if forms.has_rates else [dt])
    z, history = np.zeros(loaded.n_unknowns), np.zeros(loaded.n_history)
    loaded.load_history(history)
    for scale, duration in zip(scales, durations, strict=False):
        problem.dt.value[...] = duration
        loaded.load(z, problem.reference + scale * rng.normal(size=problem.n_inputs))
        D = loaded.reduced.sum(dense(few))
        if np.isfinite(D).all():  # skip an inverted cell
            answers.append(bool(np.linalg.norm(D - D.T) <= 1e-10 * np.linalg.norm(D)))
            if few is forms.D:
                loaded.load_history(loaded.updated_history())
            else:
                for of_phase in forms.histories.values():
                    of_phase.advance_first()
    problem.dt.value[...] = dt
    loaded.load_history(history)
    return bool(answers) and all(answers)


def _D_of_few_elements(loaded: LoadedCell) -> list[list[PackedForm]]:
    """`D` over this rank's first element of each phase; over all if parameters vary in space."""
    forms, cell = loaded.forms, loaded.problem.cell
    if any(isinstance(parameter, fem.Function) for parameter in forms.parameters):
        return forms.D
    first = {tag: tagged_cells(cell.phase_tags, tag)[:1] for tag in cell.phases.values()}
    return forms.D_over(first)


def _stiffness_is_symmetric(loaded: LoadedCell) -> bool:
    """Test ``K``, ``L`` and ``M`` near the undeformed state, since `D` lacks fields without macroscopic input."""
    problem, reduced = loaded.problem, loaded.reduced
    if not problem.micro:
        return True
    rng = np.random.default_rng(0)
    E = problem.reference + 1e-3 * rng.normal(size=problem.n_inputs)
    size = problem.cell.volume ** (1 / problem.cell.dim)
    loaded.load(1e-3 * size * rng.normal(size=loaded.n_unknowns), E)
    matrix = reduced.create_matrix()
    reduced.assemble(matrix, *loaded.forms.K.packed())
    symmetric = bool(matrix.isSymmetric(1e-9 * matrix.norm()))
    matrix.destroy()
    columns = [reduced.create_dense(e.size) for e in problem.inputs]
    L, M = (assembled_columns(reduced, columns, forms) for forms in (loaded.forms.L, loaded.forms.M))
    for column in columns:
        column.destroy()
    miss, norm = reduced.sum(np.array([np.sum((L - M) ** 2), np.sum(L**2)]))
    return symmetric and bool(miss <= 1e-18 * norm)
