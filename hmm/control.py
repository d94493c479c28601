"""Cells driven by macroscopic stress: some components of the input are unknowns, since their responses are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.cell import Cell
from hmm.errors import ConvergenceError, InputError
from hmm.fields import MacroInput, component_names, factors, find_components, pack_inputs, split_vector
from hmm.history import History
from hmm.microproblem import solve_point
from hmm.newton import NewtonOptions
from hmm.options import dictionary, instance, is_real, numbers
from hmm.response import Condensed, ControlledResponse, PointState, Response
from hmm.rve import RVE

SINGULAR = 1e-11
"""Stiffness of a free component, as a fraction of the cell's largest, below which there is none."""


class MixedControl:
    """An RVE driven by any mixture of macroscopic inputs (strains) and responses (stresses).

    The input's components whose response is given are free: they are unknowns of the point beside the fluctuation, and
    the equation that belongs to each is that its response has the given value. To algorithms, states and homogenizers
    this is a microproblem with fewer inputs: a 3D cell with vanishing out-of-plane stresses takes the (2, 2) strain of
    a plane-stress macro problem.

    Parameters
    ----------
    rve
        The microproblem with all components. It may serve several controls, one after another.
    response
        Given responses by component, such as ``{"22": 0.0, "33": 0.0}``, in the unit of stress (or of a flux): entries
        of the tensor, not of the Mandel vector. With several macro inputs the labels have the input's name before them,
        ``"strain 33"``.
    held
        Components that keep their undeformed value and are no inputs either, such as the rotations F31 and F32.

    Notes
    -----
    With ``c`` for the given and ``f`` for the free components, Newton's method solves the bordered system of
    ``R_w = 0`` and ``Sigma_f = given``; with the condensed tangent ``A`` of the cell, the tangent of the controlled
    problem is the Schur complement ``A_cc - A_cf A_ff^-1 A_fc``. Residuals of stresses are multiplied by
    ``|Y|^((d-1)/d)``, so that they have the unit and the size of the nodal forces they are compared with.
    Source: van Dijk, *Int. J. Numer. Methods Engrg.* 107 (2016) 1009, where all components are unknowns.

    Each Newton correction solves for the columns of the tangent too.

    Raises
    ------
    InputError
        If a component is unknown (the message lists those there are) or prescribed twice.
    """

    cell: Cell  # these are the RVE's own: see __getattr__
    newton_options: NewtonOptions
    histories: dict[str, History]
    n_history: int
    n_factorizations: int

    def __init__(self, rve: RVE, response: Mapping[str, float], held: Iterable[str] = ()) -> None:
        _check_rve(rve)
        self.rve = rve
        response = dictionary("response", response, "values by component")
        labels, self.held = list(response), list(held)
        taken = find_components(rve.inputs, [*labels, *self.held])
        self._free = np.array(taken[: len(labels)], dtype=int)
        self._driven = np.setdiff1d(np.arange(rve.n_inputs), taken)
        self.given = np.zeros(len(labels))
        self.inputs = _restricted(rve.inputs, self._driven)
        self._is_last = rve.cell.comm.rank == rve.cell.comm.size - 1
        self._scale = rve.cell.volume ** (1 - 1 / rve.cell.dim)
        weights = np.concatenate([np.full(e.size, rve.residual_weight(e)) for e in rve.inputs])
        self._weights = weights[self._free]
        self._E = rve.reference.copy()
        self._responses = np.zeros(rve.n_inputs)
        self._tangent = np.zeros((rve.n_inputs, rve.n_inputs))
        self._residual = np.zeros(self.n_unknowns)
        self._is_checked = False
        self.prescribe(response)

    def __getattr__(self, name: str) -> Any:
        if name == "rve":
            raise AttributeError(name)
        return getattr(self.rve, name)

    @property
    def whole(self) -> RVE:
        """The RVE with all its components."""
        return self.rve

    @property
    def control(self) -> str:
        """Which components are free and which held."""
        names = component_names(self.rve.inputs)
        return f"free {', '.join(names[k] for k in self._free)}; held {', '.join(self.held) or 'none'}"

    @property
    def n_inputs(self) -> int:
        """Number m of components that are given."""
        return self._driven.size

    @property
    def n_free(self) -> int:
        """Number of components that are found."""
        return self._free.size

    @property
    def n_unknowns(self) -> int:
        """Unknowns of this rank: those of the RVE, and on the last rank the free components."""
        return self.rve.n_unknowns + (self.n_free if self._is_last else 0)

    @property
    def reference(self) -> NDArray[np.float64]:
        """Packed input of the undeformed state, shape (m,)."""
        return self.rve.reference[self._driven]

    @property
    def time_step(self) -> float:
        """Duration of the step (see `hmm.RVE.time_step`)."""
        return self.rve.time_step

    @time_step.setter
    def time_step(self, dt: float) -> None:
        self.rve.time_step = dt

    def initial_state(self) -> PointState:
        """The virgin state; the free components are those of the undeformed cell."""
        return self._extended(self.rve.initial_state())

    def prescribe(self, response: Mapping[str, float]) -> None:
        """Change given responses; components not named keep theirs.

        Raises
        ------
        InputError
            If a component is not one whose response is given, or a value is not a finite number.
        """
        names = component_names(self.rve.inputs)
        for k, value in zip(find_components(self.rve.inputs, response), response.values(), strict=True):
            if k not in self._free:
                free = ", ".join(names[i] for i in self._free) or "none"
                raise InputError(f"the response {names[k]} is not prescribed in this MixedControl, which has: {free}")
            if not (is_real(value) and np.isfinite(value)):
                raise InputError(f"the response {names[k]} = {value} must be a finite number")
            self.given[self._free == k] = value * factors(self.rve.inputs)[k]

    def solve(
        self,
        E: ArrayLike | Mapping[str, float] = (),
        state: PointState | None = None,
        tangent: bool = True,
        dt: float | None = None,
        *,
        response: Mapping[str, float] | None = None,
    ) -> ControlledResponse:
        """Solve the cell for the given components of input and response.

        Parameters
        ----------
        E
            The given components of the macroscopic input: their tensor, their packed vector, shape (m,), or values by
            label, such as ``{"11": 1e-3}``; components not named are those of the undeformed state.
        state
            State at the start of the step: of an earlier `solve`, or of the RVE; virgin by default. Not modified.
        tangent
            Whether to compute the consistent tangent; without it, the response's is filled with NaN.
        dt
            Duration of the step, for laws with rates.
        response
            New values of given responses, as by `prescribe`.

        Raises
        ------
        InputError
            If a component is prescribed twice, or the cell has no stiffness against a free one.
        ConvergenceError
            If Newton's method does not converge.
        """
        if dt is not None:
            self.time_step = dt
        if response is not None:
            self.prescribe(response)
        vector = self.pack(E)
        answer = solve_point(self, vector, self._extended(self.initial_state() if state is None else state), tangent)
        rve, whole = self.rve, self._responses.copy()
        A = self._tangent.copy() if tangent else np.full_like(self._tangent, np.nan)
        state_of_cell = PointState(answer.state.z[: rve.n_unknowns], answer.state.history)
        cell = Response(whole, A, state_of_cell, answer.iterations, rve.split(whole))
        return ControlledResponse(**vars(answer), cell=cell, inputs=split_vector(rve.inputs, self._E.copy()))

    def pack(self, E: ArrayLike | Mapping[str, float]) -> NDArray[np.float64]:
        """Packed given components, shape (m,), of their tensor, a packed vector or values by label."""
        if isinstance(E, Mapping):
            names = component_names(self.rve.inputs)
            wanted = find_components(self.rve.inputs, E)
            for k in wanted:
                if k not in self._driven:
                    how = "its response is given" if k in self._free else "it is held"
                    raise InputError(f"component {names[k]} is prescribed twice: {how} already")
            return pack_inputs(self.rve.inputs, E)[self._driven]
        return pack_inputs(self.inputs, E)

    def split(self, vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Packed responses of the given components, shape (..., m), as one tensor per macro input."""
        return split_vector(self.inputs, vector)

    # -- the loaded point ------------------------------------------------------------------------------------------

    def load(self, z: NDArray[np.float64], E: NDArray[np.float64]) -> None:
        """Make (z, E), shapes (n_unknowns,) and (m,), the point at which everything is evaluated."""
        n = self.rve.n_unknowns
        self._E[self._driven] = E
        self._E[self._free] = self.rve.reduced.sum(z[n:] if self._is_last else np.zeros(self.n_free))
        self.rve.load(z[:n], self._E)

    def residual(self) -> NDArray[np.float64]:
        """Residual, shape (n_unknowns,), at the loaded point: forces, then what the given responses lack.

        A view, overwritten by the next call.
        """
        forces = self.rve.residual()
        self._responses = self.rve.response()
        self._residual[:] = self._joined(forces, self._scale * (self._responses[self._free] - self.given))
        return self._residual

    def norm(self, residual: NDArray[np.float64]) -> float:
        """Euclidean norm of a residual over all ranks of the cell."""
        n, reduced = self.rve.n_unknowns, self.rve.reduced
        free = self._weights * residual[n:] if self._is_last else np.zeros(0)
        return float(np.hypot(self.rve.norm(residual[:n]), np.sqrt(reduced.sum(float(free @ free)))))

    def why_not_a_number(self) -> str:
        """Why the residual at the loaded point is not a number (see `hmm.RVE.why_not_a_number`)."""
        return self.rve.why_not_a_number()

    def force_scale(self) -> float:
        """Norm of the nodal forces and of the given stresses as forces, with which the last residual is compared."""
        return float(np.hypot(self.rve.force_scale(), np.linalg.norm(self._scale * self._weights * self.given)))

    def roundoff(self, E: NDArray[np.float64]) -> float:
        """Bound on what rounding leaves in a residual at the loaded point."""
        return self.rve.roundoff(self._E)

    def response(self) -> NDArray[np.float64]:
        """Responses, shape (m,), of the given components at the point of the last `residual`; a new array."""
        return self._responses[self._driven]

    def correction(self, residual: NDArray[np.float64], rtol: float) -> NDArray[np.float64]:
        """Newton correction of the bordered system, shape (n_unknowns,)."""
        correction = self.condense(residual).correction
        assert correction is not None
        return correction

    def condense(self, residual: NDArray[np.float64] | None = None) -> Condensed:
        """Condense the linearized cell and then its free components (see `hmm.RVE.condense`).

        Raises
        ------
        InputError
            If the virgin cell has no stiffness against a free component.
        ConvergenceError
            If the loaded one has none any more.
        """
        n, c, f = self.rve.n_unknowns, self._driven, self._free
        cell = self.rve.condense(None if residual is None else residual[:n])
        self._tangent = A = cell.tangent
        self._check_stiffness(A)
        inverse = np.linalg.inv(A[np.ix_(f, f)])
        follow = -inverse @ A[np.ix_(f, c)]  # dE_f / dE_c
        tangent = A[np.ix_(c, c)] + A[np.ix_(c, f)] @ follow
        rows = cell.sensitivity[c] + follow.T @ cell.sensitivity[f]
        sensitivity = np.hstack([rows, follow.T]) if self._is_last else rows
        if residual is None:
            return Condensed(tangent, sensitivity)
        assert cell.correction is not None and cell.drop is not None
        lacking = self.rve.reduced.sum(residual[n:] if self._is_last else np.zeros(f.size)) / self._scale
        back = inverse @ (lacking - cell.drop[f])
        correction = self._joined(cell.correction + back @ cell.sensitivity[f], back)
        return Condensed(tangent, sensitivity, correction, cell.drop[c] + A[np.ix_(c, f)] @ back)

    # ---------------------------------------------------------------------------------------------------------------

    def _joined(self, fluctuation: NDArray[np.float64], free: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([fluctuation, free]) if self._is_last else fluctuation.copy()

    def _extended(self, state: PointState) -> PointState:
        """A state of the RVE or of this problem as one of this problem; all ranks pass the same kind."""
        if state.z.size == self.n_unknowns and not (self._is_last and state.z.size == self.rve.n_unknowns):
            return state
        if state.z.size != self.rve.n_unknowns:
            raise InputError(
                f"the state has {state.z.size} unknowns, but this MixedControl has {self.n_unknowns} and its RVE "
                f"{self.rve.n_unknowns}: pass a state of one of them"
            )
        return replace(state, z=self._joined(state.z, self.rve.reference[self._free]))

    def _check_stiffness(self, A: NDArray[np.float64]) -> None:
        """Raise unless the free components can be found from their responses."""
        first, self._is_checked = not self._is_checked, True
        if not self.n_free:
            return
        scaled = (A / np.outer(self._unit(A), self._unit(A)))[np.ix_(self._free, self._free)]
        _, values, vectors = np.linalg.svd(scaled)
        if values[-1] > SINGULAR:
            return
        names = component_names(self.rve.inputs)
        weak = [names[k] for k, share in zip(self._free, np.abs(vectors[-1]), strict=True) if share > 0.3]
        message = (
            f"the cell has no stiffness against the component {' with '.join(weak)}, so that no response can be "
            "prescribed there: prescribe the strain instead"
        )
        raise InputError(message) if first else ConvergenceError(message)

    def _unit(self, A: NDArray[np.float64]) -> NDArray[np.float64]:
        """Root of the largest stiffness of the macro input to which each component belongs, shape (all components,)."""
        ends = np.cumsum([e.size for e in self.rve.inputs])
        blocks = [slice(end - e.size, end) for e, end in zip(self.rve.inputs, ends, strict=True)]
        sizes = [(b.stop - b.start, float(np.abs(A[b, b]).max()) or 1.0) for b in blocks]
        return np.concatenate([np.full(n, size**0.5) for n, size in sizes])


def _check_rve(rve: object) -> None:
    instance("rve", rve, RVE, "make it with hmm.RVE")


def plane_stress(rve: RVE) -> MixedControl:
    """An RVE whose mean out-of-plane stresses vanish; its input is the (2, 2) strain or deformation gradient.

    The cell is 3D, or 2D with ``out_of_plane=True`` (see `hmm.macro_strain`). The stresses vanish on average, as in a
    plate of many cells through its thickness; within the cell they do not. (A thin sheet without stress across at each
    point is another problem: its law must be one of plane stress.)

    Raises
    ------
    InputError
        If the first macro input has no component 33.
    """
    _check_rve(rve)
    (packing, several) = rve.inputs[0].packing, len(rve.inputs) > 1
    prefix = f"{rve.inputs[0].name} " if several else ""
    out = [i for i in packing.indices if 2 in i]
    if (2, 2) not in out:
        raise InputError(
            f"the macroscopic {rve.inputs[0].name} has no component 33: make it with out_of_plane=True, "
            "or take a 3D cell"
        )
    turns = [] if packing.symmetric else [i for i in out if i[0] > i[1]]
    response = {prefix + _label(i): 0.0 for i in out if i not in turns}
    return MixedControl(rve, response, held=[prefix + _label(i) for i in turns])


@dataclass(frozen=True)
class TensionTest:
    """A test along one component with all other responses zero.

    Attributes
    ----------
    strain, stress
        Shape (n,); the given component (a stretch for a deformation gradient) and its response.
    responses
        The whole answer at each level.
    """

    strain: NDArray[np.float64]
    stress: NDArray[np.float64]
    responses: tuple[ControlledResponse, ...]

    @property
    def moduli(self) -> NDArray[np.float64]:
        """Consistent tangent moduli, shape (n,): Young's modulus while elastic."""
        return np.array([r.tangent[0, 0] for r in self.responses])


def uniaxial(
    rve: RVE, component: str, levels: ArrayLike, state: PointState | None = None, dt: float | None = None
) -> TensionTest:
    """Pull a cell along one component, all other responses zero, each level from the state of the one before.

    Parameters
    ----------
    rve
        The microproblem. In a 2D cell without a component 33 this is tension in plane strain.
    component
        The component that is given, such as ``"11"``, or ``"1"`` of a gradient.
    levels
        Shape (n,); its values.
    state
        State at the start; virgin by default.
    dt
        Duration of each step, for laws with rates.

    Raises
    ------
    InputError
        If there is no such component, or several macro inputs.
    ConvergenceError
        If a level does not converge.

    Notes
    -----
    With a deformation gradient the components below the diagonal are held at zero, which fixes the rotation.
    """
    _check_rve(rve)
    if len(rve.inputs) > 1:
        raise InputError("a uniaxial test has one macro input: use hmm.MixedControl, and say what the others do")
    (driven,) = find_components(rve.inputs, [component])
    packing = rve.inputs[0].packing
    is_turn = [not packing.symmetric and len(i) == 2 and i[0] > i[1] for i in packing.indices]
    others = [k for k in range(packing.size) if k != driven]
    response = {packing.labels[k]: 0.0 for k in others if not is_turn[k]}
    test = MixedControl(rve, response, held=[packing.labels[k] for k in others if is_turn[k]])
    values = np.atleast_1d(numbers("levels", levels))
    answers = tuple(follow(test, [{component: float(v)} for v in values], state, dt))
    stress = np.array([a.vector[0] / packing.factors[driven] for a in answers])
    return TensionTest(values, stress, answers)


class Solvable[R: Response](Protocol):
    """What `follow` needs: `hmm.RVE` and `hmm.MixedControl` have it."""

    def solve(
        self,
        E: ArrayLike | Mapping[str, float],
        state: PointState | None = None,
        tangent: bool = True,
        dt: float | None = None,
    ) -> R:
        """Solve for a macroscopic input."""
        ...


def follow[R: Response](
    problem: Solvable[R],
    path: Iterable[ArrayLike | Mapping[str, float]],
    state: PointState | None = None,
    dt: float | None = None,
) -> Iterator[R]:
    """Answers along a path, each from the state of the one before.

    Parameters
    ----------
    problem
        An `hmm.RVE` or an `hmm.MixedControl`.
    path
        Macroscopic inputs, in any form that its `solve` takes.
    state
        State at the start; virgin by default.
    dt
        Duration of each step, for laws with rates.

    Yields
    ------
    Response
        The answer at each input.
    """
    for E in path:
        answer = problem.solve(E, state, dt=dt)
        state = answer.state
        yield answer


def _restricted(inputs: tuple[MacroInput, ...], driven: NDArray[np.int_]) -> tuple[MacroInput, ...]:
    """The inputs with the `driven` components only; those without any are left out."""
    start, found = 0, []
    for e in inputs:
        own = [int(k) - start for k in driven if start <= k < start + e.size]
        if own:
            packing = e.packing if len(own) == e.size else e.packing.restrict(own)
            found.append(replace(e, packing=packing, reference=e.reference[own]))
        start += e.size
    return tuple(found)


def _label(index: tuple[int, ...]) -> str:
    return "".join(str(i + 1) for i in index)
