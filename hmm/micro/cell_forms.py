"""The forms of a cell problem: residual, response and their derivatives, derived by UFL and compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray

from hmm.foundation import tensors
from hmm.foundation.blocks import Blocks
from hmm.foundation.forms import PackedForm, depends_on
from hmm.laws.base import Law, Local, State, responses
from hmm.micro.definition import CellProblem
from hmm.micro.history import History
from hmm.micro.local_unknowns import LocalProblem, local_problem


class CellForms:
    """The forms of a cell problem.

    With ``R(w, E; v, vE)`` the residual, these are ``R_w`` and ``R_E`` and their derivatives ``K = dR_w/dw``,
    ``L = dR_w/dE``, ``M = dR_E/dw`` and ``D = dR_E/dE``. A form is compiled when it is first used.

    Parameters
    ----------
    problem
        The cell problem.

    Attributes
    ----------
    histories, local_problems
        Internal variables, and equations for local unknowns, of each phase that has any.
    history_blocks
        The ranges of the internal variables of each phase in those of this rank.
    ufl_forms
        ``R_w`` and, for each macroscopic input, ``R_E``, as UFL.
    R_w, R_E, K, L, M, D
        The forms: one `R_w` and `K`, one of the others per macroscopic input, and one `D` per pair of inputs.
    variables
        Functions in the forms for the state and the macroscopic input of a point.
    parameters
        Constants and Functions in the forms that may be changed between two solves.
    is_linear
        Whether the derivatives depend on none of the variables.
    has_potential
        Whether the residual is the derivative of an energy.
    has_rates
        Whether the forms contain the duration of the step.
    """

    def __init__(self, problem: CellProblem) -> None:
        self.problem = problem
        self.histories: dict[str, History] = {}
        self.local_problems: dict[str, LocalProblem] = {}
        self.has_potential = problem.energy is not None
        R_w, R_E = self._of_laws() if problem.energy is None else self._of_energy(problem.energy)
        dw = ufl.TrialFunction(problem.w.function_space)
        dE = [ufl.TrialFunction(e.function.function_space) for e in problem.inputs]
        pairs = list(zip(problem.inputs, dE, strict=True))
        K = ufl.derivative(R_w, problem.w, dw)
        D = [[ufl.derivative(R, e.function, d) for e, d in pairs] for R in R_E]
        self.history_blocks = Blocks({phase: history.size for phase, history in self.histories.items()})
        self.ufl_forms = (R_w, *R_E)
        self.variables = self._variables()
        self.is_linear = not any(depends_on(f, list(self.variables)) for f in [K, *(f for row in D for f in row)])
        self.parameters = _parameters(self.ufl_forms, self.variables)
        self.has_rates = problem.dt in self.parameters
        v, tests = self._tests()
        self.R_w, self.K = PackedForm(R_w), PackedForm(K)
        self.R_E = [PackedForm(R, test) for R, test in zip(R_E, tests, strict=True)]
        self.L = [PackedForm(ufl.derivative(R_w, e.function, d), v, d) for e, d in pairs]
        self.M = [PackedForm(ufl.adjoint(ufl.derivative(R, problem.w, dw)), v, d) for R, d in zip(R_E, dE, strict=True)]
        self.D = [
            [PackedForm(f, test, d) for f, d in zip(row, dE, strict=True)] for row, test in zip(D, tests, strict=True)
        ]

    def at(self, phase: str) -> Local:
        """The arguments of the law of a phase: local fields, old internal variables, time step, local unknowns."""
        if phase in self.local_problems:
            return self.local_problems[phase].at
        problem, history = self.problem, self.histories.get(phase)
        return Local(problem.local_fields(), history.old if history else {}, problem.dt)

    def answers(self, phase: str) -> State:
        """The responses of a phase at the loaded state, by field, as UFL."""
        return responses(self.problem.law[phase], self.at(phase))

    def parameter_values(self) -> list[bytes]:
        """The present values of the parameters."""
        return [np.asarray(p.value if isinstance(p, fem.Constant) else p.x.array).tobytes() for p in self.parameters]

    def D_over(self, cells: Mapping[int, NDArray[np.int32]]) -> list[list[PackedForm]]:
        """`D` over some `cells` of each phase tag only."""
        return [[form.restricted(cells) for form in row] for row in self.D]

    def _variables(self) -> tuple[fem.Function, ...]:
        found = [self.problem.w, *(e.function for e in self.problem.inputs)]
        found += [history.function for history in self.histories.values()]
        return (*found, *(f for local in self.local_problems.values() for f in local.functions))

    def _tests(self) -> tuple[ufl.Argument, list[ufl.Argument]]:
        v = ufl.TestFunction(self.problem.w.function_space)
        return v, [ufl.TestFunction(e.function.function_space) for e in self.problem.inputs]

    def _of_energy(self, energy: ufl.Form) -> tuple[ufl.Form, list[ufl.Form]]:
        v, tests = self._tests()
        pairs = zip(self.problem.inputs, tests, strict=True)
        return ufl.derivative(energy, self.problem.w, v), [ufl.derivative(energy, e.function, t) for e, t in pairs]

    def _of_laws(self) -> tuple[ufl.Form, list[ufl.Form]]:
        problem, (v, tests) = self.problem, self._tests()
        for phase, law in problem.law.items():
            self._add_internal(phase, law)
        moved = [(e.field, e.variation(v)) for e in problem.inputs if e.operator is not None]
        moved += [(name, tensors.embed(operator(v))) for name, operator in problem.micro.items()]
        answers = {phase: self.answers(phase) for phase in problem.law}
        pairs = zip(problem.inputs, tests, strict=True)
        return self._work(answers, moved), [self._work(answers, [(e.field, e.macro_variation(t))]) for e, t in pairs]

    def _add_internal(self, phase: str, law: Law) -> None:
        """Internal variables and local unknowns of a phase."""
        cell, degree = self.problem.cell, self.problem.quadrature_degree
        if law.internal(cell.dim):
            self.histories[phase] = History(cell, cell.phases[phase], law, degree)
        if local := local_problem(cell, cell.phases[phase], law, degree, self.at(phase)):
            self.local_problems[phase] = local
        if phase in self.histories:
            self.histories[phase].compile_update(self.at(phase))

    def _work(self, answers: Mapping[str, State], variations: list[tuple[str, ufl.core.expr.Expr]]) -> ufl.Form:
        """Virtual work of the responses of the phases on variations of the local fields, given by name."""
        problem = self.problem
        return sum(
            ufl.inner(answers[phase][name], variation) * problem.measure(problem.cell.phases[phase])
            for phase, law in problem.law.items()
            for name, variation in variations
            if name in law.fields
        )


def dense(forms: Sequence[Sequence[PackedForm]]) -> NDArray[np.float64]:
    """This rank's share of a matrix of blocks between real spaces."""
    return np.block([[form.dense() for form in row] for row in forms])


def _parameters(forms: Sequence[ufl.Form], variables: Sequence[fem.Function]) -> list[fem.Constant | fem.Function]:
    """Constants and coefficients of `forms` other than the `variables` of the problem."""
    constants = dict.fromkeys(c for form in forms for c in form.constants())
    coefficients = dict.fromkeys(f for form in forms for f in form.coefficients() if f not in variables)
    return [*constants, *coefficients]
