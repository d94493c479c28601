"""From the macro field to homogenized stress and tangent at every quadrature point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import Mesh
from numpy.typing import NDArray
from petsc4py import PETSc

from hmm.algorithms import ALGORITHMS, Counters
from hmm.errors import HMMError, InputError
from hmm.fields import MacroInput
from hmm.forms import compile_expression, owned_cells, quadrature_points, quadrature_space, quadrature_weights
from hmm.microproblem import Microproblem
from hmm.state import MicroState


@dataclass(frozen=True)
class MicroFailure:
    """A point whose RVE failed.

    Attributes
    ----------
    rank, point
        Where it is: the rank and its number there.
    x
        Macro coordinates.
    E
        Packed macroscopic input.
    reason
        What went wrong.
    """

    rank: int
    point: int
    x: tuple[float, ...]
    E: tuple[float, ...]
    reason: str

    def __str__(self) -> str:
        x = ", ".join(f"{c:.4g}" for c in self.x)
        E = ", ".join(f"{c:.4g}" for c in self.E)
        return f"RVE at ({x}) on rank {self.rank}, packed macro input [{E}]: {self.reason}"


class Homogenizer:
    """An RVE at every quadrature point of a macro mesh.

    Parameters
    ----------
    rve
        The microproblem, on ``MPI.COMM_SELF``; one object serves all points of the rank. An `hmm.MixedControl` of an
        RVE takes as input only the components that are given, such as the in-plane ones of a 3D cell.
    strain
        The macroscopic input as UFL of the macro field, such as ``sym(grad(u))``; a sequence if the RVE has several.
    degree
        Degree of the macro quadrature rule.
    algorithm
        ``"monolithic"`` (default) or ``"nested"``; see `hmm.algorithms`.

    Attributes
    ----------
    responses
        One quadrature Function per macro input, of the response's tensor shape; `stress` is the first.
    tangents
        ``tangents[i][j]``: quadrature Function of the packed tangent of response i by input j, shape (m_i, m_j).
    dx
        The macro volume measure with the points of the responses.
    count
        Micro operations of this rank so far.
    """

    def __init__(
        self,
        rve: Microproblem,
        strain: ufl.core.expr.Expr | Sequence[ufl.core.expr.Expr],
        degree: int = 2,
        algorithm: str = "monolithic",
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise InputError(f"algorithm {algorithm!r} is unknown: choose one of {', '.join(map(repr, ALGORITHMS))}")
        if rve.cell.comm.size > 1:
            raise InputError(
                f"the RVE's cell lives on {rve.cell.comm.size} ranks: make it on MPI.COMM_SELF, one RVE object a rank"
            )
        self.rve, self.algorithm, self.degree = rve, algorithm, degree
        strains = (strain,) if isinstance(strain, ufl.core.expr.Expr) else tuple(strain)
        _check_shapes(rve.inputs, strains)
        self.strains = tuple(ufl.sym(s) if e.packing.symmetric else s for e, s in zip(rve.inputs, strains, strict=True))
        self.mesh = _mesh_of(self.strains)
        self.comm: MPI.Comm = self.mesh.comm
        self.cells = owned_cells(self.mesh)
        self.points = quadrature_points(self.mesh, degree)
        self.dx = ufl.Measure("dx", self.mesh, metadata={"quadrature_degree": degree, "quadrature_scheme": "default"})
        packed = [e.packing.pack(s) for e, s in zip(rve.inputs, self.strains, strict=True)]
        vector = ufl.as_vector([p[k] for p in packed for k in range(p.ufl_shape[0])])
        self._strain = compile_expression(vector, self.points)
        self.responses = tuple(self._function(e.packing.shape, e.response) for e in rve.inputs)
        self.tangents = tuple(
            tuple(self._function((a.size, b.size), "tangent") for b in rve.inputs) for a in rve.inputs
        )
        self._slots = self.responses[0].function_space.dofmap.list[self.cells].ravel()
        self.states = MicroState(rve, self.n_points)
        self.count = Counters()
        self.failures: list[MicroFailure] = []
        self._publish()

    @property
    def stress(self) -> fem.Function:
        """The homogenized response to the first macro input, a quadrature Function of tensor shape."""
        return self.responses[0]

    @property
    def n_points(self) -> int:
        """Quadrature points of this rank's own cells."""
        return self.cells.size * self.points.shape[0]

    def coordinates(self) -> NDArray[np.float64]:
        """Macro coordinates of this rank's points, shape (n_points, gdim)."""
        x = compile_expression(ufl.SpatialCoordinate(self.mesh), self.points)
        return x.eval(self.mesh, self.cells).reshape(self.n_points, self.mesh.geometry.dim)

    def macro_inputs(self) -> NDArray[np.float64]:
        """Packed macroscopic inputs of the present macro field, shape (n_points, m)."""
        return self._strain.eval(self.mesh, self.cells).reshape(self.n_points, self.rve.n_inputs)

    def evaluate(self) -> bool:
        """Answer the present macro field at every point (collective).

        Returns
        -------
        bool
            Whether every point of every rank answered; if not, `failures` says where and why, on all ranks alike.
        """
        self.rve.check_time_step()
        failed: list[tuple[int, str]] = []
        for p, E in enumerate(self.macro_inputs()):
            if reason := self._answer(p, E):
                failed.append((p, reason))
                break
        self.failures = self._gather_failures(failed)
        if not self.failures:
            self._publish()
        return not self.failures

    def settled(self) -> bool:
        """Whether all micro residuals of all ranks are below their tolerance (collective)."""
        return bool(self.comm.allreduce(bool(self.states.settled.all()), op=MPI.LAND))

    def commit(self) -> None:
        """Accept the step at every point."""
        self.states.commit(self.rve)

    def revert(self) -> None:
        """Drop the step at every point."""
        self.states.revert()
        self._publish()

    def point_average(self, phase: str, variable: str) -> NDArray[np.float64]:
        """Average of an internal variable over a phase of each RVE, shape (n_points, packed size)."""
        if phase not in self.rve.histories:
            raise InputError(
                f"phase {phase!r} has no internal variables; the phases that have are {list(self.rve.histories)}"
            )
        start = 0
        for name, history in self.rve.histories.items():
            rows = self.states.history[:, start : start + history.size]
            if name == phase:
                return np.array([history.average(row, variable) for row in rows]).reshape(self.n_points, -1)
            start += history.size
        raise AssertionError

    def cell_average(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the points of each owned macro cell, shape (n_cells, k), of values of shape (n_points, k)."""
        weights = quadrature_weights(self.mesh, self.degree, self.cells)
        array = values.reshape(*weights.shape, -1)
        return (weights[..., None] * array).sum(axis=1) / weights.sum(axis=1)[:, None]

    def _answer(self, p: int, E: NDArray[np.float64]) -> str:
        """Let a point answer; why it failed, or nothing. Raises nothing: the other ranks would wait."""
        try:
            return ALGORITHMS[self.algorithm](self.rve, self.states, p, E, self.count)
        except (HMMError, PETSc.Error) as error:
            return str(error).splitlines()[-1]

    def _function(self, shape: tuple[int, ...], name: str) -> fem.Function:
        return fem.Function(quadrature_space(self.mesh, self.degree, shape), name=name.replace(" ", "_"))

    def _publish(self) -> None:
        """Copy the points' answers into the quadrature Functions."""
        start = 0
        for i, a in enumerate(self.rve.inputs):
            rows = slice(start, start + a.size)
            self._write(self.responses[i], a.packing.to_tensor(self.states.response[:, rows]))
            begin = 0
            for j, b in enumerate(self.rve.inputs):
                self._write(self.tangents[i][j], self.states.tangent[:, rows, begin : begin + b.size])
                begin += b.size
            start += a.size

    def _write(self, function: fem.Function, values: NDArray[np.float64]) -> None:
        size = function.function_space.dofmap.bs
        function.x.array.reshape(-1, size)[self._slots] = values.reshape(self.n_points, size)

    def _gather_failures(self, failed: list[tuple[int, str]]) -> list[MicroFailure]:
        everyone = self.comm.allgather(failed)
        if not any(everyone):
            return []
        x = self.coordinates()
        E = self.macro_inputs()
        mine = [MicroFailure(self.comm.rank, p, tuple(x[p]), tuple(E[p]), reason) for p, reason in failed]
        return [failure for part in self.comm.allgather(mine) for failure in part]


def _check_shapes(inputs: tuple[MacroInput, ...], strains: tuple[ufl.core.expr.Expr, ...]) -> None:
    if len(inputs) != len(strains):
        raise InputError(
            f"the RVE has {len(inputs)} macro inputs and got {len(strains)} expressions: give one for each"
        )
    for e, strain in zip(inputs, strains, strict=True):
        if strain.ufl_shape != e.packing.shape:
            raise InputError(
                f"the macro {e.name} has shape {strain.ufl_shape}, but the RVE's has {e.packing.shape}: "
                "macro and micro dimension must agree"
            )


def _mesh_of(strains: Sequence[ufl.core.expr.Expr]) -> Mesh:
    for strain in strains:
        for coefficient in ufl.algorithms.extract_coefficients(strain):
            return coefficient.function_space.mesh
    raise InputError("the macro strain contains no Function: write it in terms of the macro unknown, as sym(grad(u))")
