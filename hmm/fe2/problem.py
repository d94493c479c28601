"""The macro problem: a PETSc SNES solver with stress and tangent from micro models."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc
from dolfinx.mesh import MeshTags
from numpy.typing import ArrayLike, NDArray
from petsc4py import PETSc

from hmm.fe2.callbacks import weakly
from hmm.fe2.error_bar import error_bars
from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.macro_forms import check_arguments, tangent_form
from hmm.fe2.memory import Memory, StepMemory
from hmm.fe2.reactions import Supported, over_condition, over_facets
from hmm.fe2.step_stats import StepStats
from hmm.fe2.worst_point import largest_input
from hmm.foundation.blocks import Blocks
from hmm.foundation.errors import ConvergenceError, InputError
from hmm.foundation.forms import compile_form
from hmm.foundation.options import Destroyed, dictionary, instance, positive
from hmm.micro.fluctuation import fields_of
from hmm.micro.solvers.assembled import check_packages, options_in_force
from hmm.models.statistics import Counters

DEFAULT_OPTIONS = {
    "snes_linesearch_type": "basic",
    "snes_max_it": 25,
    "snes_stol": 0,
    "ksp_type": "preonly",
    "pc_type": "lu",
    "pc_factor_mat_solver_type": "mumps",
}


class MacroProblem:
    """Solve ``F(u, Sigma(u); v) = 0`` where ``Sigma`` is homogenized.

    Parameters
    ----------
    F
        The residual form; it contains ``hom.stress`` (and other responses), integrated with ``hom.dx``.
    u
        The macro unknown.
    hom
        The `Homogenizer` that provides the responses.
    bcs
        Dirichlet boundary conditions.
    petsc_options_prefix
        Options prefix of the SNES; options on the command line take precedence.
    petsc_options
        PETSc options of the SNES, without prefix. Not modified.
    rtol
        Relative tolerance of the residual on the free degrees of freedom. The reference is the largest norm of the
        reactions, and of the loads added in a step, so far. If `u` has several fields, each has its own reference.

    Attributes
    ----------
    stats
        One `StepStats` per accepted solve.
    form
        The residual form F.
    memory
        Further data that the steps update, see `remember`.
    accepted_scale
        Reference norm of the residual of each field, after the last accepted step.

    Notes
    -----
    ``J = dF/du + dF/dSigma [A : d strain]`` is the consistent tangent of the present responses. A solve has converged
    when the macro residual and every micro residual are below their tolerances.
    """

    def __init__(
        self,
        F: ufl.Form,
        u: fem.Function,
        hom: Homogenizer,
        *,
        bcs: Sequence[fem.DirichletBC] = (),
        petsc_options_prefix: str = "macro_",
        petsc_options: Mapping[str, object] | None = None,
        rtol: float = 1e-8,
    ) -> None:
        check_arguments(F, u, hom, bcs)
        petsc_options = dictionary("petsc_options", petsc_options, "PETSc options by name")
        instance("petsc_options_prefix", petsc_options_prefix, str, "give text, such as 'macro_'")
        positive("rtol", rtol, below=1.0)
        if not any(r in F.coefficients() for r in hom.responses):
            raise InputError("the macro form F does not contain hom.stress: without it no micro model is evaluated")
        self.form, self.u, self.hom, self.bcs, self.rtol = F, u, hom, list(bcs), rtol
        self.stats: list[StepStats] = []
        self.memory = Memory(hom.mesh)
        self._F = compile_form(F)
        self._J = compile_form(tangent_form(F, u, hom))
        self._A = petsc.create_matrix(self._J)
        self._b, self._x = petsc.create_vector(u.function_space), petsc.create_vector(u.function_space)
        self.forces = fem.Function(u.function_space, name="forces")
        self._block_size = u.function_space.dofmap.index_map_bs
        self._constrained = self._supported.prescribed()
        self._fields = self._owned_by_field()
        self._errors = error_bars(F, self._supported, self._component, self.memory)
        self._scale = self.accepted_scale = self._unbalance = np.zeros(len(self._fields))
        self._norms: list[float] = []
        self._joint = self._said_fallback = False
        self._algorithm = hom.algorithm
        self._accepted_u, self._accepted_forces = u.x.array.copy(), self.forces.x.array.copy()
        self.solver = PETSc.SNES().create(hom.comm)
        self.solver.setFunction(weakly(self._residual), self._b)
        self.solver.setJacobian(weakly(self._jacobian), self._A)
        self.solver.setConvergenceTest(weakly(self._converged))
        self.solver.setOptionsPrefix(petsc_options_prefix)
        self._options = DEFAULT_OPTIONS | petsc_options
        check_packages(petsc_options_prefix, self._options)
        with options_in_force(petsc_options_prefix, self._options):
            self.solver.setFromOptions()

    def solve(self) -> StepStats:
        """Solve for the present loads and boundary values, and accept the step (collective).

        Returns
        -------
        StepStats
            Statistics of the solve; also appended to `stats`.

        Raises
        ------
        ConvergenceError
            If it does not converge; `u` and all points then have their state before the call, on every rank.
        """
        if isinstance(self.solver, Destroyed):
            raise InputError("this macro problem was destroyed and cannot be solved any more: create a new one")
        self.hom.check_ready()
        self.memory.begin(self.hom.time_step)
        before = self.hom.count.copy()
        for failed, (algorithm, elastic) in enumerate(self.attempts()):
            if failed == 1:
                self._say_fallback()
            if failed:
                self._revert(elastic)
            converged = self._iterate(algorithm)
            if converged:
                break
        if not converged:
            message = self._explain()
            self._revert()
            raise ConvergenceError(message)
        try:
            self.hom.commit()
        except ConvergenceError:
            self._revert()
            raise
        self._accepted_u[:], self._accepted_forces[:] = self.u.x.array, self.forces.x.array
        self.accepted_scale = self._scale
        self.memory.accept()
        micro = self._sum(self.hom.count - before)
        iterations, error = self.solver.getIterationNumber(), None
        if self._errors is not None:
            with options_in_force(self.solver.getOptionsPrefix(), self._options):
                error = self._errors.of_step(self.solver.getKSP(), self._A)
        self.stats.append(StepStats(iterations, tuple(self._norms), micro, algorithm, failed, error))
        return self.stats[-1]

    def remember(self, *things: fem.Function | StepMemory) -> None:
        """Add data to checkpoints, beside `u` and the states of the points.

        Parameters
        ----------
        things
            Time integrators, which are also updated in each step; and Functions on Lagrange or quadrature spaces of the
            macro mesh that your loop changes.

        Raises
        ------
        InputError
            If a Function is on another mesh or in another kind of space, or if a step has already been solved.
        """
        if self.stats:
            raise InputError(f"{len(self.stats)} steps have been solved: call remember() before the first")
        for thing in things:
            self.memory.add(thing)

    def attempts(self) -> list[tuple[str, bool]]:
        """The attempts to solve a step: the algorithm, and whether to start from the initial tangent.

        After a load reversal the tangents of the last step are plastic. With little hardening, the first iterate is
        then far from the solution, whereas the initial tangent is nearly exact.
        """
        chosen = self.hom.algorithm
        elastic = [(chosen, True)] if self.hom.has_history else []
        return [(chosen, False), *elastic, *([("nested", False)] if chosen != "nested" else [])]

    def reaction(self, bc: fem.DirichletBC) -> float | NDArray[np.float64]:
        """Total force on the degrees of freedom of a Dirichlet condition at the last solution (collective).

        A degree of freedom of two conditions, at a corner where two supports meet, counts fully for both;
        `reaction_over` separates them.

        Returns
        -------
        float or ndarray
            A number for a condition on one component, shape (d,) for a vector field, in the unit of stress times
            length^(d-1). It is positive if the support pulls in the direction of the axis. For a temperature or another
            scalar of a mixed space, it is the supplied quantity.
        """
        total = over_condition(self._supported, bc, self._component)
        if total.size == 1:
            return float(total[0])
        return total

    def reaction_over(self, tags: MeshTags, tag: int) -> float | NDArray[np.float64]:
        """Total force on the facets of a tag at the last solution (collective).

        The sum of the nodal forces on the facets, without the contribution of other supported facets to shared nodes.
        On those facets, the traction is the response, extrapolated from the integration points by polynomials of degree
        k - 1, times the normal. If no supports meet, this is `reaction`. The residual must have the form
        ``inner(hom.stress, grad(v)) * hom.dx``.

        Parameters
        ----------
        tags
            Tags of facets of the macro mesh, all on its boundary.
        tag
            The tag.

        Returns
        -------
        float or ndarray
            Shape (d,) for a vector field, a number for a scalar one; unit and sign as those of `reaction`.

        Raises
        ------
        InputError
            If no facet has the tag, the tags are of another mesh or of cells, or `u` has several fields.
        """
        total = over_facets(self._supported, tags, tag)
        return total if total.size > 1 else float(total[0])

    def accepted_fields(self) -> dict[str, fem.Function]:
        """Copies of `u`, the nodal forces and the remembered Functions after the last accepted solve (collective)."""
        space = self.u.function_space
        fields = {"u": (space, self._accepted_u), "forces": (space, self._accepted_forces)}
        fields |= {name: (f.function_space, f.x.array) for name, f in self.memory.functions.items()}
        copies = {name: fem.Function(own, name=name) for name, (own, _) in fields.items()}
        for name, copy in copies.items():
            copy.x.array[:] = fields[name][1]
            copy.x.scatter_forward()
        return copies

    def restore(self, fields: Mapping[str, fem.Function], scale: ArrayLike) -> None:
        """Continue from `accepted_fields` and `accepted_scale`; the points are already restored (collective)."""
        for field in fields.values():
            field.x.scatter_forward()
        self._accepted_u[:], self._accepted_forces[:] = fields["u"].x.array, fields["forces"].x.array
        self.u.x.array[:], self.forces.x.array[:] = self._accepted_u, self._accepted_forces
        for name, function in self.memory.functions.items():
            function.x.array[:] = fields[name].x.array
        self._scale = self.accepted_scale = np.array(scale, dtype=float)
        self.hom.restored()

    @property
    def _supported(self) -> Supported:
        return Supported(self.u, self.forces, self.hom, self.bcs)

    def _iterate(self, algorithm: str) -> bool:
        """One SNES solve from the present `u`; return whether it converged."""
        self._norms, self._joint, self._algorithm = [], False, algorithm
        petsc.assign(self.u, self._x)
        with options_in_force(self.solver.getOptionsPrefix(), self._options):
            self.solver.solve(None, self._x)
        self._take(self._x)
        return self._joint

    def _say_fallback(self) -> None:
        """Warn, the first time only, that a step is repeated."""
        said, self._said_fallback = self._said_fallback, True
        if self.hom.comm.rank == 0 and not said:
            why = "the step is repeated from the initial tangent or with nested iterations; so will be later steps"
            what = f"the {self.hom.algorithm} iteration failed ({self._reason()})"
            logging.getLogger("hmm").warning("%s; %s that fail, as counted in problem.stats", what, why)

    def _residual(self, snes: PETSc.SNES, x: PETSc.Vec, b: PETSc.Vec) -> None:
        self._take(x)
        with b.localForm() as local:
            local.set(0.0)
        if not self.hom.evaluate(self._algorithm):
            b.set(np.nan)  # makes SNES stop, on every rank
            return
        petsc.assemble_vector(b, self._F)
        b.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        petsc.assign(b, self.forces)
        with b.localForm() as local:
            local.set(0.0)
        petsc.assemble_vector(b, self._F)
        petsc.apply_lifting(b, [self._J], bcs=[self.bcs], x0=[x], alpha=-1.0)
        b.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        petsc.set_bc(b, self.bcs, x0=x, alpha=-1.0)

    def _jacobian(self, snes: PETSc.SNES, x: PETSc.Vec, A: PETSc.Mat, P: PETSc.Mat) -> None:
        A.zeroEntries()
        petsc.assemble_matrix(A, self._J, bcs=self.bcs)
        A.assemble()

    def _converged(self, snes: PETSc.SNES, iteration: int, norms: tuple[float, float, float]) -> int:
        """Convergence test for the macro residual and all micro residuals."""
        reactions, free = self._force_norms()
        self._unbalance = self._unbalance if iteration else free
        self._scale = np.maximum(self.accepted_scale, np.maximum(reactions, self._unbalance))
        residual = free if len(self._fields) > 1 else np.array([norms[2]])
        relative = residual / np.where(self._scale > 0, self._scale, 1.0)
        self._norms.append(float(relative.max()))
        if not np.isfinite(norms[2]):
            return -4  # SNES_DIVERGED_FUNCTION_NANORINF, called DIVERGED_FNORM_NAN before PETSc 3.25
        allowed = self.rtol * self._scale + (self._roundoff(iteration) if len(self._fields) > 1 else 0.0)
        fits = bool(np.all(residual <= allowed)) and self._bcs_hold(norms[2], free)
        self._joint = fits and self.hom.converged()
        if self._joint:
            return PETSc.SNES.ConvergedReason.CONVERGED_FNORM_RELATIVE
        return PETSc.SNES.ConvergedReason.ITERATING

    def _bcs_hold(self, norm: float, free: NDArray[np.float64]) -> bool:
        """Whether boundary values are satisfied: their defect is part of `norm`, but not of the free forces."""
        return len(self._fields) == 1 or norm <= (1 + 1e-6) * float(np.linalg.norm(free)) + 1e-300

    def _force_norms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Norms by field of the reactions and of the free forces (in the first iteration, the new loads)."""
        forces = self.forces.x.array[: self.u.function_space.dofmap.index_map.size_local * self._block_size].copy()
        reactions = np.zeros_like(forces)
        reactions[self._constrained] = forces[self._constrained]
        forces[self._constrained] = 0.0
        return self._norms_by_field(reactions), self._norms_by_field(forces)

    def _roundoff(self, iteration: int) -> NDArray[np.float64]:
        """Norms by field of the round-off in the free forces: a field may have no load (Higham 2002, section 3.1)."""
        products = np.zeros(self._x.getLocalSize())
        if iteration:  # before, there may be no tangent
            products = np.abs(self._A.getDiagonal().array * self._x.array)
            products[self._constrained] = 0.0
        return 1e-15 * (self._norms_by_field(products) + self._scale.max())

    def _norms_by_field(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Norms of owned values in each field (collective)."""
        squares = np.array([values[dofs] @ values[dofs] for dofs in self._fields])
        return np.asarray(np.sqrt(self.hom.comm.allreduce(squares)))

    def _owned_by_field(self) -> list[NDArray[np.int32]]:
        """Owned degrees of freedom of each field of `u`; also sets the component of each, counted over all fields."""
        space = self.u.function_space
        n_owned = space.dofmap.index_map.size_local * self._block_size
        self._component = np.zeros(self.u.x.array.size, dtype=np.int64)
        fields, owned = fields_of(space), []
        blocks = Blocks({str(f.number): f.space.dofmap.bs for f in fields})
        for f, block in zip(fields, blocks.values(), strict=True):
            self._component[f.dofs] = block.start + np.arange(f.dofs.size) % f.space.dofmap.bs
            owned.append(f.dofs[f.dofs < n_owned])
        return owned

    def _take(self, x: PETSc.Vec) -> None:
        x.ghostUpdate(addv=PETSc.InsertMode.INSERT, mode=PETSc.ScatterMode.FORWARD)
        petsc.assign(x, self.u)
        self.u.x.scatter_forward()

    def _revert(self, elastic: bool = False) -> None:
        self.u.x.array[:], self.forces.x.array[:] = self._accepted_u, self._accepted_forces
        self.hom.revert(elastic)

    def _reason(self) -> str:
        """The reason why the last SNES solve failed, briefly."""
        if self.hom.failures:
            return str(self.hom.failures[0])
        reason = self.solver.getConvergedReason()
        names = vars(PETSc.SNES.ConvergedReason).items()
        return next((k for k, v in names if v == reason and k.startswith("DIVERGED")), str(reason))

    def _explain(self) -> str:
        """The reason why the last SNES solve failed, and the worst point (collective)."""
        if self.hom.failures:
            return self._reason() + self.hom.dump()
        history = ", ".join(f"{n:.2g}" for n in self._norms[-4:])
        stopped = f"the macro Newton method stopped with {self._reason()}, last relative residuals {history}"
        return f"{stopped}; {largest_input(self.hom)}"

    def _sum(self, count: Counters) -> Counters:
        return Counters(**{k: self.hom.comm.allreduce(v) for k, v in vars(count).items()})

    def destroy(self) -> None:
        """Free the PETSc objects (collective); the problem cannot be solved afterwards."""
        if isinstance(self.solver, Destroyed):
            return
        for thing in (self.solver, self._A, self._b, self._x):
            thing.destroy()
        gone: Any = Destroyed("this macro problem")
        self.solver = self._A = self._b = self._x = gone
