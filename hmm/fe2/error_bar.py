"""What the estimated errors of micro models do to the reactions of a macro problem.

Source: Becker and Rannacher, *Acta Numerica* 10 (2001) 1: the error of a quantity is that of the responses, weighted by
the solution of the adjoint problem.
"""

from __future__ import annotations

from collections.abc import Callable

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc
from numpy.typing import NDArray
from petsc4py import PETSc
from ufl.algorithms import expand_derivatives

from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.macro_forms import tangent_form
from hmm.fe2.memory import Memory
from hmm.fe2.point_errors import PointErrors
from hmm.fe2.reactions import Supported, over_condition, touched_components
from hmm.fe2.step_stats import ErrorBar, StepError
from hmm.foundation import tensors
from hmm.foundation.forms import compile_expression, compile_form, quadrature_space
from hmm.models.points import input_blocks
from hmm.models.protocol import Estimated

Floats = NDArray[np.float64]

SAFETY = 1.25
"""Factor of the bar: what the estimates of the micro models may miss of their errors."""

HISTORY_PART = 0.2
"""The part of what errors of earlier steps do at single points that the bar contains: nearly all of it cancels."""


class _Forms:
    """The forms of a linearized macro problem, with errors of its responses as loads.

    Attributes
    ----------
    du, adjoint
        Functions of the macro space: the error of the field, and the adjoint solution.
    sources
        For each response, the quadrature Function of its error.
    tangent
        ``K``.
    action, pull
        Vectors ``K du`` and ``K^T adjoint``.
    load
        The vector of nodal forces of the sources.
    weights
        For each response, the vector whose product with an error of it is the work of that error on the adjoint.
    strain
        Packed macroscopic inputs of `du`, at the points.
    """

    def __init__(self, F: ufl.Form, u: fem.Function, hom: Homogenizer) -> None:
        V, S = u.function_space, hom.responses
        self.du, self.adjoint = fem.Function(V), fem.Function(V)
        self.sources = [fem.Function(s.function_space) for s in S]
        J = tangent_form(F, u, hom)
        test, trial = J.arguments()
        weighted = ufl.replace(F, {F.arguments()[0]: self.adjoint})
        loads = [_derivative(F, s, d) for s, d in zip(S, self.sources, strict=True)]
        self.tangent, self.action = compile_form(J), compile_form(ufl.replace(J, {trial: self.du}))
        self.pull = compile_form(ufl.replace(J, {test: self.adjoint, trial: ufl.TestFunction(V)}))
        self.load = compile_form(sum(loads[1:], loads[0]))
        self.weights = [compile_form(_derivative(weighted, s, ufl.TestFunction(s.function_space))) for s in S]
        packings = {e.name: e.packing for e in hom.model.inputs}
        moves = dict(zip(packings, (_derivative(s, u, self.du) for s in hom.strains), strict=True))
        self.strain = compile_expression(tensors.pack_all(packings, moves), hom.points)


class ErrorBars:
    """Errors of the reactions that follow from estimated errors of the responses.

    With the errors ``dSigma`` of the responses at the strains that the points had, the tangent ``K`` and the
    consistent tangents ``A`` of the points, the error ``du`` of the macro field follows from

        K du = -r,    r = int B^T (dSigma - A dp),

    and that of the nodal forces is ``K du + r``. As the field was wrong in earlier steps too, the history is wrong even
    where the responses are not: ``dp`` is the error of the inelastic strain at the start of the step. At its end it is
    ``dE - A0^-1 A (dE - dp)`` with the initial tangent ``A0``: in an elastic step it stays, and where the tangent
    vanishes it becomes the error ``dE`` of the strain.

    The bar of a reaction is a sum over the points: of the size of the work of ``dSigma`` on the adjoint solution, and
    of that of ``A dp``, which is signed, beside a part `HISTORY_PART` of its size; times `SAFETY`.

    Parameters
    ----------
    F
        The residual form.
    solved
        The macro field.
    component
        Component of each local degree of freedom.
    memory
        The memory of the problem, which keeps ``dp`` in checkpoints.
    """

    def __init__(self, F: ufl.Form, solved: Supported, component: NDArray[np.int64], memory: Memory) -> None:
        self.hom = hom = solved.hom
        self.bcs, self._component, self._forms = list(solved.bcs), component, _Forms(F, solved.u, hom)
        V, m = solved.u.function_space, input_blocks(hom.model.inputs).size
        self._errors = Supported(solved.u, fem.Function(V), hom, self.bcs)
        self._dp = fem.Function(quadrature_space(hom.mesh, hom.degree, (m,)), name="error of the history")
        memory.add(self._dp)
        self._compliance = np.linalg.pinv(PointErrors.of(hom).elastic, rcond=1e-10)
        self._prescribed = solved.prescribed()

    def of_step(self, ksp: PETSc.KSP, K: PETSc.Mat) -> StepError:
        """The errors after an accepted step (collective).

        Parameters
        ----------
        ksp, K
            Linear solver and matrix of the macro problem; the matrix becomes the tangent of the present state.
        """
        K.zeroEntries()
        petsc.assemble_matrix(K, self._forms.tangent, bcs=self.bcs)
        K.assemble()
        ksp.setOperators(K)
        errors = PointErrors.of(self.hom)
        A, dp = self._tangents(), self._values(self._dp)
        history = -np.einsum("nij,nj->ni", A, dp)
        self._solve_primal(ksp, errors.signed + history)
        reactions = tuple(self._of_condition(ksp, bc, errors, history) for bc in self.bcs)
        dE = self._forms.strain.eval(self.hom.mesh, self.hom.cells).reshape(dp.shape)
        stress = np.einsum("nij,nj->ni", A, dE - dp)
        self.hom.write(self._dp, dE - np.einsum("nij,nj->ni", self._compliance, stress))
        return StepError(self.hom.comm.allreduce(errors.largest(self.hom), MPI.MAX), reactions)

    def _solve_primal(self, ksp: PETSc.KSP, errors: Floats) -> None:
        """Errors of the macro field and of the nodal forces, of errors of the packed responses, shape (n_points, m)."""
        forms = self._forms
        for function, values in zip(forms.sources, self._tensors(errors), strict=True):
            self.hom.write(function, values)
        load = _assembled(forms.load)
        self._solve(ksp.solve, load, forms.du)
        load.axpy(1.0, _assembled(forms.action))
        petsc.assign(load, self._errors.forces)

    def _of_condition(self, ksp: PETSc.KSP, bc: fem.DirichletBC, errors: PointErrors, history: Floats) -> ErrorBar:
        """Error of the reaction of a condition, and its bar; shaped as the reaction."""
        value = over_condition(self._errors, bc, self._component)
        dofs, bars = bc.dof_indices()[0], np.zeros(value.size)
        components = touched_components(self._errors, bc, self._component)
        for place, i in enumerate(components):
            self._solve_adjoint(ksp, dofs[self._component[dofs] == i])
            bars[place if value.size == len(components) else i] = self._width(errors, history)
        return ErrorBar(float(value[0]), float(bars[0])) if value.size == 1 else ErrorBar(value, bars)

    def _solve_adjoint(self, ksp: PETSc.KSP, dofs: NDArray[np.int32]) -> None:
        """The derivative of the sum of the forces on some degrees of freedom by nodal forces."""
        adjoint = self._forms.adjoint
        adjoint.x.array[:] = 0.0
        adjoint.x.array[dofs] = 1.0
        self._solve(ksp.solveTranspose, _assembled(self._forms.pull), adjoint)
        adjoint.x.array[dofs] = 1.0

    def _width(self, errors: PointErrors, history: Floats) -> float:
        """The bar of the reaction whose adjoint was solved for."""
        spaces = [s.function_space for s in self.hom.responses]
        weights = [self._split(_assembled(f).array_r, V) for f, V in zip(self._forms.weights, spaces, strict=True)]
        own = np.abs(self._work(weights, errors.signed)) + np.linalg.norm(np.hstack(weights), axis=1) * errors.sizes
        earlier = self._work(weights, history)
        sums = self.hom.comm.allreduce(np.array([own.sum(), earlier.sum(), np.abs(earlier).sum()]))
        return float(SAFETY * (sums[0] + abs(sums[1]) + HISTORY_PART * sums[2]))

    def _work(self, weights: list[Floats], packed: Floats) -> Floats:
        """What errors of the responses at each point do, shape (n_points,)."""
        return np.sum([(g * s).sum(axis=1) for g, s in zip(weights, self._tensors(packed), strict=True)], axis=0)

    def _solve(self, solve: Callable[[PETSc.Vec, PETSc.Vec], None], load: PETSc.Vec, function: fem.Function) -> None:
        """The free part of the solution for the load ``-load``."""
        b, x = load.copy(), load.duplicate()
        b.scale(-1.0)
        b.array_w[self._prescribed] = 0.0
        solve(b, x)
        x.ghostUpdate(addv=PETSc.InsertMode.INSERT, mode=PETSc.ScatterMode.FORWARD)
        petsc.assign(x, function)
        function.x.scatter_forward()

    # -- values at this rank's points ------------------------------------------------------------------------------

    def _tangents(self) -> Floats:
        """Consistent tangents, shape (n_points, m, m)."""
        rows = [[self._values(f).reshape(-1, *f.ufl_shape) for f in row] for row in self.hom.tangents]
        return np.concatenate([np.concatenate(row, axis=2) for row in rows], axis=1)

    def _tensors(self, packed: Floats) -> list[Floats]:
        """Tensors of each response, shape (n_points, size), of packed responses, shape (n_points, m)."""
        inputs = self.hom.model.inputs
        parts = zip(inputs, input_blocks(inputs).values(), strict=True)
        return [e.packing.to_tensor(packed[:, rows]).reshape(len(packed), -1) for e, rows in parts]

    def _values(self, function: fem.Function) -> Floats:
        return self._split(function.x.array, function.function_space)

    def _split(self, array: Floats, space: fem.FunctionSpace) -> Floats:
        """Values at the points, shape (n_points, size), of all those of a quadrature space, or of the owned ones."""
        return array.reshape(-1, space.dofmap.bs)[self.hom.slots]


def error_bars(F: ufl.Form, solved: Supported, component: NDArray[np.int64], memory: Memory) -> ErrorBars | None:
    """The error bars of a macro problem, or None if none of its micro models estimates errors."""
    estimated = any(isinstance(model, Estimated) for model in solved.hom.models.values())
    return ErrorBars(F, solved, component, memory) if estimated else None


def _derivative[T: (ufl.Form, ufl.core.expr.Expr)](F: T, of: fem.Function, direction: object) -> T:
    return expand_derivatives(ufl.derivative(F, of, direction))


def _assembled(form: fem.Form) -> PETSc.Vec:
    b = petsc.assemble_vector(form)
    b.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    return b
