"""How wrong the response of a reduced cell is: approximate Newton corrections of its fields at all quadrature points.

Sources: dual-weighted residuals: Becker and Rannacher, *Acta Numerica* 10 (2001) 1; conjugate gradients with one
factorization as preconditioner: Hestenes and Stiefel, *J. Res. Nat. Bur. Stand.* 49 (1952) 409.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from hmm.foundation.errors import InputError
from hmm.micro.rve import RVE
from hmm.reduced.phases import CellPoints, PhasePoints
from hmm.reduced.reduction import Reduction

Floats = NDArray[np.float64]

CORRECTIONS = 5
"""Most Newton corrections of the fields in a step; two are usual."""

TARGET = 0.05
"""Fields are corrected again whose residual is above this part of the first one."""

HALVINGS = 3
"""Most times that a correction is halved."""

ITERATIONS = 4
"""Most conjugate gradient iterations of a correction."""

RTOL = 0.1
"""A correction is good enough when what is left of the residual, in the norm of the preconditioner, is below this."""

CHUNK = 2**26
"""Bytes of one batch of points."""


@dataclass
class CorrectedFields:
    """Points as the estimate follows them.

    Attributes
    ----------
    z
        Shape (n, n_unknowns); corrected fluctuations.
    history
        For each phase with internal variables, shape (n, q, v); those at all quadrature points.
    response
        Shape (n, m); corrected responses.
    """

    z: Floats
    history: dict[str, Floats]
    response: Floats


@dataclass
class _Evaluated:
    """A cell at all its quadrature points.

    Attributes
    ----------
    forces
        Shape (n, m + n_unknowns); integrals of the responses, and the residual.
    tangents
        For each phase, shape (n, q, f, f); weighted tangents of the law.
    history
        For each phase with internal variables, shape (n, q, v); new ones.
    """

    forces: Floats
    tangents: dict[str, Floats]
    history: dict[str, Floats]

    def of(self, rows: NDArray[np.intp]) -> _Evaluated:
        """Some rows; copies."""
        parts = ({name: values[rows] for name, values in of.items()} for of in (self.tangents, self.history))
        return _Evaluated(self.forces[rows], *parts)

    def put(self, rows: NDArray[np.intp], other: _Evaluated) -> None:
        """Replace some rows."""
        self.forces[rows] = other.forces
        for own, new in ((self.tangents, other.tangents), (self.history, other.history)):
            for name, values in new.items():
                own[name][rows] = values


class ErrorEstimator:
    """Corrects the fields of a reduced cell at all quadrature points, for many points of the macro problem at once.

    The fluctuation of the reduced cell, with the correction of the last step, leaves a residual ``R`` in the cell; the
    laws are evaluated at all quadrature points, with internal variables that are carried along. A few conjugate
    gradient iterations with the factorization of the undeformed cell, which all points share, solve ``K d = R``; this
    is done until the residual is small. The corrected fields give the response and the next internal variables. What is
    left of the residual enters the response by the sensitivity of the reduced cell, as an approximate dual solution.

    Parameters
    ----------
    rve
        The RVE, made of laws, on one rank.
    reduction
        The reduced cell.

    Raises
    ------
    InputError
        If the stiffness of the undeformed cell is singular.
    """

    def __init__(self, rve: RVE, reduction: Reduction) -> None:
        cell = CellPoints(rve.system.loaded)
        self.m, self.n, self.volume = rve.n_inputs, rve.n_unknowns, rve.cell.volume
        self.modes = reduction.modes
        self.phases: dict[str, PhasePoints] = {}
        self._fields: dict[str, sparse.csr_array] = {}
        width = self.m + self.n
        linear, self._constant = sparse.csr_array((width, width)), np.zeros(width)
        elastic = linear
        for name, (p, G) in _fields(cell).items():
            stiffness = sparse.csr_array(G.T @ _blocks(p) @ G)
            elastic = elastic + stiffness
            if p.is_linear:
                linear = linear + stiffness
                self._constant += G.T @ (p.weights[:, None] * p.elastic(p.offset)).ravel()
            else:
                self.phases[name], self._fields[name] = p, G
        self._linear = sparse.csr_array(linear + _borders(rve, self.m))
        K = (elastic + _borders(rve, self.m))[self.m :, self.m :]
        try:
            self._factors = splu(sparse.csc_array(K))
        except RuntimeError:
            raise InputError("the undeformed cell has a singular stiffness: its errors cannot be estimated") from None

    @property
    def variables(self) -> dict[str, tuple[int, int]]:
        """For each phase with internal variables, the shape (q, v) of these."""
        return {name: (p.n, p.kernel.n_variables) for name, p in self.phases.items() if p.kernel.n_variables}

    @property
    def chunk(self) -> int:
        """Points that are worked on at a time."""
        numbers = sum(p.n * (4 * p.kernel.n_fields + 2 * p.kernel.n_fields**2) for p in self.phases.values())
        return max(CHUNK // (8 * (numbers + 6 * self.n)), 1)

    def follow(
        self, E: Floats, z: Floats, old: Mapping[str, Floats], sensitivity: Floats, dt: float
    ) -> CorrectedFields:
        """Correct points at the end of a step.

        Parameters
        ----------
        E, z
            Shapes (n, m) and (n, n_unknowns); packed inputs, and fluctuations to begin with.
        old
            For each phase with internal variables, shape (n, q, v); those at the start of the step.
        sensitivity
            Shape (n, N, m); ``dy / dE`` of the reduced cell.
        dt
            Duration of the step.
        """
        found, z, rows = self._evaluate(E, z, old, dt), z.copy(), np.arange(len(E))
        first = np.full(len(E), np.inf)
        for number in range(CORRECTIONS):
            part = found.of(rows)
            step, size = self._corrections(part.forces[:, self.m :], part.tangents)
            first[rows] = size if number == 0 else first[rows]
            large = size > TARGET * first[rows] if number else size > 0
            rows, step, part = rows[large], step[large], part.of(np.flatnonzero(large))
            if not rows.size:
                break
            given = {name: values[rows] for name, values in old.items()}
            z[rows], part = self._corrected(E[rows], z[rows], step, part, given, dt)
            found.put(rows, part)
        q, history = found.forces, found.history
        left = q[:, self.m :] @ self.modes.T
        response = (q[:, : self.m] + np.einsum("nij,ni->nj", sensitivity, left)) / self.volume
        return CorrectedFields(z, history, response)

    def _corrected(
        self, E: Floats, z: Floats, step: Floats, before: _Evaluated, old: Mapping[str, Floats], dt: float
    ) -> tuple[Floats, _Evaluated]:
        """Fluctuations after a correction, which is halved where the residual grows, and what they give."""
        size, step = np.linalg.norm(before.forces[:, self.m :], axis=1), step.copy()
        found = self._evaluate(E, z - step, old, dt)
        for _ in range(HALVINGS):
            grown = np.flatnonzero(~(np.linalg.norm(found.forces[:, self.m :], axis=1) <= size))
            if not grown.size:
                break
            step[grown] /= 2
            given = {name: values[grown] for name, values in old.items()}
            found.put(grown, self._evaluate(E[grown], z[grown] - step[grown], given, dt))
        return z - step, found

    def _evaluate(self, E: Floats, z: Floats, old: Mapping[str, Floats], dt: float) -> _Evaluated:
        x = np.concatenate([E, z], axis=1).T
        q = self._constant[:, None] + self._linear @ x
        tangents, history, n = {}, {}, x.shape[1]
        for name, p in self.phases.items():
            f, G = p.kernel.n_fields, self._fields[name]
            fields = p.offset + (G @ x).T.reshape(n, p.n, f)
            before = old[name].reshape(n * p.n, -1) if name in old else None
            stress, C, new = p.kernel(fields.reshape(n * p.n, f), before, dt)
            q += G.T @ (stress.reshape(n, p.n, f) * p.weights[:, None]).reshape(n, -1).T
            tangents[name] = C.reshape(n, p.n, f, f) * p.weights[:, None, None]
            if name in old:
                history[name] = new.reshape(n, p.n, -1)
        return _Evaluated(q.T, tangents, history)

    def _corrections(self, R: Floats, tangents: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        """Approximate solutions of ``K d = R`` by preconditioned conjugate gradients, and sizes of `R`.

        Shapes (n, n_unknowns) and (n,). The sizes are energy norms in the undeformed cell.
        """
        r, d = R.T.copy(), np.zeros(R.T.shape)
        s = self._factors.solve(r)
        p, rho = s.copy(), (r * s).sum(axis=0)
        first = np.abs(rho)
        active = first > 0
        for _ in range(ITERATIONS):
            Kp = self._times(p, tangents)
            curvature = (p * Kp).sum(axis=0)
            active &= (curvature > 0) & np.isfinite(curvature) & (np.abs(rho) > RTOL**2 * first)
            if not active.any():
                break
            alpha = np.where(active, rho / np.where(active, curvature, 1.0), 0.0)
            d += alpha * p
            r -= alpha * Kp
            s = self._factors.solve(r)
            new = (r * s).sum(axis=0)
            p = s + np.where(active, new / np.where(rho != 0, rho, 1.0), 0.0) * p
            rho = new
        return d.T, np.sqrt(first)

    def _times(self, d: Floats, tangents: Mapping[str, Floats]) -> Floats:
        """``K d`` of n points, shape (n_unknowns, n)."""
        m, n = self.m, d.shape[1]
        out = self._linear[m:, m:] @ d
        for name, C in tangents.items():
            G = self._fields[name][:, m:]
            fields = (G @ d).T.reshape(n, *C.shape[1:3])
            out += G.T @ np.matmul(C, fields[..., None]).reshape(n, -1).T
        return out


def _fields(cell: CellPoints) -> dict[str, tuple[PhasePoints, sparse.csr_array]]:
    """Each phase, and the matrix that maps inputs and fluctuation to its local fields, shape (q f, m + n)."""
    units = {name: sparse.csr_array(fields.reshape(-1, fields.shape[2])) for name, fields in cell.of_inputs().items()}
    parts = {name: [units[name], cell.per_unknown[name]] for name in cell.phases}
    return {name: (p, sparse.csr_array(sparse.hstack(parts[name]))) for name, p in cell.phases.items()}


def _blocks(p: PhasePoints) -> sparse.csr_array:
    """The weighted elastic stiffness of a phase at all quadrature points."""
    return sparse.csr_array(sparse.kron(sparse.diags_array(p.weights), p.stiffness))


def _borders(rve: RVE, m: int) -> sparse.csr_array:
    """What multipliers of the constraint add to the matrix, shape (m + n, m + n)."""
    reduced, n = rve.system.loaded.reduced, rve.n_unknowns
    extra = reduced.constraint.multipliers.size
    columns = np.zeros((n, extra))
    for k in range(extra):
        local, residual = (np.zeros(reduced.size_fluctuation + extra) for _ in range(2))
        reduced.spread(np.eye(1, n, n - extra + k)[0], local)
        reduced.add_multipliers(local, residual)
        reduced.gather(residual, columns[:, k])
    full = sparse.lil_array((m + n, m + n))
    full[m:, m + n - extra :] = columns
    return sparse.csr_array(full + full.T)
