"""Mixed control of cells: some components of the input follow from prescribed responses, such as stresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError
from hmm.foundation.options import dictionary, instance
from hmm.micro.bordered_system import BorderedSystem
from hmm.micro.cell_model import CellModel
from hmm.micro.dump import write_dump
from hmm.micro.response import ControlledResponse, PointState, Response
from hmm.micro.rve import RVE
from hmm.micro.solve_point import solve_point
from hmm.models.components import find_components, pack_inputs, split_vector
from hmm.models.controlled import Components, ControlledModel
from hmm.models.failures import MicroFailure
from hmm.models.points import Input, Points
from hmm.models.protocol import MicroModel


class MixedControl(CellModel[BorderedSystem]):
    """An RVE driven by any mixture of macroscopic inputs (strains) and responses (stresses).

    A component whose response is prescribed is free: it is an additional unknown of the point, and its equation is that
    the response has the prescribed value. To a homogenizer this is a cell problem with fewer inputs. For example, a 3D
    cell with zero out-of-plane stresses takes the (2, 2) strain of a plane-stress macro problem.

    Parameters
    ----------
    rve
        The RVE with all components; several controls may share it. For another micro model the result is an
        `hmm.models.ControlledModel`.
    response
        Prescribed responses by component, such as ``{"22": 0.0, "33": 0.0}``, in the unit of stress (or of a flux).
        These are entries of the tensor, not of the Mandel vector. With several macroscopic inputs, labels begin with
        the name of the input: ``"strain 33"``.
    fixed
        Components that keep their undeformed value, such as F31 and F32, so that they are not inputs either.

    Notes
    -----
    Let ``c`` denote the given and ``f`` the free components. Newton's method solves the bordered system ``R_w = 0``,
    ``Sigma_f = prescribed``. With the condensed tangent ``A`` of the cell, the tangent of the controlled problem is the
    Schur complement ``A_cc - A_cf A_ff^-1 A_fc``. Stress residuals are multiplied by ``|Y|^((d-1)/d)``, so that they
    have the unit and the magnitude of nodal forces. Source: van Dijk, *Int. J. Numer. Methods Engrg.* 107 (2016) 1009,
    where all components are unknowns.

    Each Newton correction also solves for the columns of the tangent.

    Raises
    ------
    InputError
        If a component is unknown (the message lists the known ones) or prescribed twice.
    """

    def __new__(cls, rve: RVE | MicroModel, response: Mapping[str, float], fixed: Iterable[str] = ()) -> Any:
        """An RVE under mixed control; for another model, an `hmm.models.ControlledModel`."""
        if isinstance(rve, RVE):
            return super().__new__(cls)
        instance("rve", rve, MicroModel, "make it with hmm.RVE, or another micro model")
        return ControlledModel(rve, dictionary("response", response, "values by component"), fixed)

    def __init__(self, rve: RVE | MicroModel, response: Mapping[str, float], fixed: Iterable[str] = ()) -> None:
        assert isinstance(rve, RVE)
        self.rve = rve
        response = dictionary("response", response, "values by component")
        self.components = Components.of(rve.inputs, response, fixed)
        self.inputs: tuple[Input, ...] = self.components.inputs
        self.system = BorderedSystem(rve.system, self.components)
        self.prescribe(response)

    @property
    def cell(self) -> Cell:
        """The unit cell."""
        return self.rve.cell

    @property
    def control(self) -> str:
        """Which components are free and which fixed."""
        return str(self.components)

    @property
    def n_free(self) -> int:
        """Number of free components."""
        return self.system.n_free

    @property
    def time_step(self) -> float:
        """Duration of the step (see `hmm.RVE.time_step`)."""
        return self.rve.time_step

    @time_step.setter
    def time_step(self, dt: float) -> None:
        self.rve.time_step = dt

    def prescribe(self, response: Mapping[str, float]) -> None:
        """Change prescribed responses; components that are not named keep theirs.

        Raises
        ------
        InputError
            If the response of a component is not prescribed, or a value is not finite.
        """
        self.system.prescribed = self.components.values(self.rve.inputs, response, self.system.prescribed)

    # -- one point -------------------------------------------------------------------------------------------------

    def initial_state(self) -> PointState:
        """The undeformed state; the free components have their undeformed values."""
        return self._extended(self.rve.initial_state())

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
            label, such as ``{"11": 1e-3}``; components that are not named keep their undeformed values.
        state
            State at the start of the step, from an earlier `solve` or from the RVE; by default the undeformed state.
            Not modified.
        tangent
            Whether to compute the consistent tangent; otherwise it is filled with NaN.
        dt
            Duration of the step, for rate-dependent laws.
        response
            New values of prescribed responses, as in `prescribe`.

        Raises
        ------
        InputError
            If a component is prescribed twice, or the cell has no stiffness against a free component.
        ConvergenceError
            If Newton's method does not converge.
        """
        if dt is not None:
            self.time_step = dt
        if response is not None:
            self.prescribe(response)
        self.rve.check_ready()
        start = self._extended(self.initial_state() if state is None else state)
        answer = solve_point(self.system, self.inputs, self.pack(E), start, tangent)
        rve, system = self.rve, self.system
        A = system.tangent.copy() if tangent else np.full_like(system.tangent, np.nan)
        state_of_cell = PointState(answer.state.z[: rve.n_unknowns], answer.state.history)
        responses = system.responses.copy()
        cell = Response(responses, A, state_of_cell, answer.iterations, rve.split(responses))
        return ControlledResponse(**vars(answer), cell=cell, inputs=split_vector(rve.inputs, system.E.copy()))

    def load(self, state: PointState, E: ArrayLike | Mapping[str, float]) -> None:
        """Load the state and the given components of the macroscopic input of a point."""
        self.system.load_history(state.history)
        self.system.load(self._extended(state).z, self.pack(E))

    def pack(self, E: ArrayLike | Mapping[str, float]) -> NDArray[np.float64]:
        """Packed given components, shape (m,), of their tensor, a packed vector or values by label."""
        if not isinstance(E, Mapping):
            return pack_inputs(self.inputs, E)
        for k in find_components(self.rve.inputs, E):
            if k not in self.components.given:
                how = "its response is prescribed" if k in self.components.free else "it is fixed"
                raise InputError(f"component {self.components.names[k]} is prescribed twice: {how} already")
        return pack_inputs(self.rve.inputs, E)[self.components.given]

    def split(self, vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Packed responses of the given components, shape (..., m), as one tensor per macro input."""
        return split_vector(self.inputs, vector)

    # -- capabilities of a micro model (see also `CellModel`) ------------------------------------------------------

    def check_usable(self) -> None:
        """Raise `InputError` if the RVE was destroyed."""
        self.rve.check_usable()

    @property
    def has_rates(self) -> bool:
        """Whether the laws depend on the duration of the step."""
        return self.rve.has_rates

    @property
    def parameters(self) -> Any:
        """The parameters of the RVE."""
        return self.rve.parameters

    @property
    def comm(self) -> MPI.Comm:
        """Communicator of the cell."""
        return self.rve.comm

    def positions(self) -> Mapping[str, NDArray[np.int64]]:
        """Positions of this rank's share of the unknowns and internal variables (see `hmm.micro.ordering`)."""
        return self.rve.positions_of(self.n_unknowns)

    @property
    def observables(self) -> Mapping[str, int]:
        """Those of the RVE."""
        return self.rve.observables

    def observe(self, points: Points, name: str) -> NDArray[np.float64]:
        """A quantity at the committed state of all rows, shape (n, size)."""
        return self.rve.observe(points, name)

    def fingerprint(self) -> Mapping[str, str]:
        """Everything that the answers depend on."""
        return {**self.rve.fingerprint(), "control of the unit cell": self.control}

    def dump(self, directory: Path, points: Points, row: int, failure: MicroFailure) -> Path:
        """Write what `hmm.replay` needs of a failed row to a new file in a directory."""
        made = (self.rve.problem, self.rve.solver_choice, self.rve.system.newton_options)
        return write_dump(directory, *made, self.control, points, row, failure)

    def _extended(self, state: PointState) -> PointState:
        """Convert a state of the RVE or of this control to one of this control; of the same kind on all ranks."""
        instance("state", state, PointState, "give initial_state(), or the state of a response")
        n, own = self.rve.n_unknowns, self.n_unknowns
        if state.z.size == own and not (own > n and state.z.size == n):
            return state
        if state.z.size != n:
            raise InputError(
                f"the state has {state.z.size} unknowns, but this MixedControl has {own} and its RVE {n}: pass a state "
                "of one of the two"
            )
        free = self.rve.reference[self.components.free]
        return replace(state, z=self.system.joined(state.z, free))


def rve_of(problem: RVE | MixedControl) -> RVE:
    """The RVE with all components, under mixed control or not."""
    return problem.rve if isinstance(problem, MixedControl) else problem
