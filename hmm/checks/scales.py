"""Separation of scales: the cell and the macro field or mesh; relaxation times and time steps."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc
from numpy.typing import NDArray

from hmm.fe2.homogenizer import Homogenizer
from hmm.foundation.errors import InputError
from hmm.foundation.forms import compile_expression, quadrature_space
from hmm.micro.mixed_control import MixedControl, rve_of
from hmm.micro.rve import RVE
from hmm.models.points import input_blocks, reference_of

LIMIT = 0.1
"""Ratio of the scales above which the checks warn."""


@dataclass(frozen=True)
class ScaleSeparation:
    """The lengths that first-order homogenization assumes to be well separated, all in the unit of the macro mesh.

    Attributes
    ----------
    cell_size
        Longest lattice vector of the unit cell.
    element_size
        Smallest diameter of a macro cell.
    gradient_length
        Smallest ``|E| / |grad E|`` of the points with a noticeable strain, infinite if the field is uniform.
    x
        Its position, shape (gdim,).
    """

    cell_size: float
    element_size: float
    gradient_length: float
    x: tuple[float, ...]

    @property
    def error(self) -> float:
        """Estimated relative error of the response, ``cell_size / gradient_length``: that of first-order theory."""
        return self.cell_size / self.gradient_length

    @property
    def cells_overlap(self) -> bool:
        """Whether the cell is larger than a macro element: RVEs of neighbouring points then cover the same material."""
        return self.cell_size > self.element_size

    def __str__(self) -> str:
        where = ", ".join(f"{c:.4g}" for c in self.x)
        overlap = "; it is larger than a macro element" if self.cells_overlap else ""
        return (
            f"the cell of size {self.cell_size:.3g} has a macro field that changes over a length of "
            f"{self.gradient_length:.3g} at ({where}): expect a relative error of the order {self.error:.2g}{overlap}"
        )


def scale_separation(
    hom: Homogenizer, cell_size: float | None = None, *, noticeable: float = 0.1, limit: float = LIMIT
) -> ScaleSeparation:
    """Compare the unit cell with the macro mesh and with the length over which the macro field changes (collective).

    First-order homogenization neglects the variation of ``E`` over a cell. The relative error is of the order
    ``eps / L``, with the size ``eps`` of the cell and ``L = |E| / |grad E|`` (Kouznetsova, Geers and Brekelmans, *Int.
    J. Numer. Methods Engrg.* 54 (2002) 1235; Geers, Kouznetsova and Brekelmans, *J. Comput. Appl. Math.* 234 (2010)
    2175). It is an order of magnitude: for cells with a centre of symmetry the error is smaller. A warning goes to the
    logger ``hmm`` on rank 0 if the ratio exceeds `limit`.

    Parameters
    ----------
    hom
        The homogenizer; its macro field is the one of the last solve.
    cell_size
        Size of the unit cell in the unit of the macro mesh; by default the longest lattice vector, which requires that
        both meshes have the same unit.
    noticeable
        Points with less than this fraction of the largest ``|E|`` are not considered, because ``|E| / |grad E|`` has no
        meaning where the strain is negligible.
    limit
        Ratio above which to warn.

    Notes
    -----
    The gradient is that of the L2 projection of ``E`` on continuous linear functions, since the gradient of a linear
    displacement is constant in each cell.

    Raises
    ------
    InputError
        If `cell_size` is not positive.
    """
    if cell_size is None:
        cells = [model.cell for model in hom.models.values() if isinstance(model, RVE | MixedControl)]
        if not cells:
            raise InputError("the micro models have no cells: give cell_size")
        cell_size = max(float(np.linalg.norm(cell.lattice, axis=1).max()) for cell in cells)
    if not 0 < cell_size < float("inf"):
        raise InputError(f"cell_size = {cell_size} must be positive and finite")
    E, gradient = _strain_and_gradient(hom)
    largest = hom.comm.allreduce(float(E.max(initial=0)), op=MPI.MAX)
    considered = noticeable * largest <= E
    with np.errstate(divide="ignore", invalid="ignore"):
        length = np.where(considered & (gradient > 1e-12 * largest / _extent(hom)), E / gradient, np.inf)
    best = int(np.argmin(length)) if length.size else -1
    mine = (float(length[best]), tuple(hom.coordinates()[best].tolist())) if length.size else (np.inf, ())
    shortest, x = min(hom.comm.allgather(mine))
    found = ScaleSeparation(cell_size, _element_size(hom), shortest, x)
    if found.error > limit and hom.comm.rank == 0:
        logging.getLogger("hmm").warning("scales are not well separated: %s", found)
    return found


def _strain_and_gradient(hom: Homogenizer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``|E|`` and ``|grad E|``, shapes (n_points,), of all macro inputs but their undeformed values.

    Several inputs are made comparable by the largest value that each has.
    """
    size, slope = np.zeros(hom.n_points), np.zeros(hom.n_points)
    values = hom.macro_inputs() - reference_of(hom.model.inputs)
    for columns in input_blocks(hom.model.inputs).split(values).values():
        norm = np.linalg.norm(columns, axis=1)
        unit = hom.comm.allreduce(float(norm.max(initial=0)), op=MPI.MAX) or 1.0
        size += (norm / unit) ** 2
        slope += (_gradient_norm(hom, columns) / unit) ** 2
    return np.sqrt(size), np.sqrt(slope)


def _gradient_norm(hom: Homogenizer, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Norm at the points of the gradient of the projection of values at the points, shape (n_points, m)."""
    m = values.shape[1]
    at_points = _at_points(hom, values)
    V = fem.functionspace(hom.mesh, ("Lagrange", 1, (m,)))
    u, v = ufl.TrialFunction(V), ufl.TestFunction(V)
    dx = ufl.Measure("dx", hom.mesh)
    problem = petsc.LinearProblem(
        ufl.inner(u, v) * dx,
        ufl.inner(at_points, v) * hom.dx,
        petsc_options_prefix="hmm_projection_",
        petsc_options={"ksp_type": "cg", "pc_type": "jacobi", "ksp_rtol": 1e-10},
    )
    smooth = problem.solve()
    slope = compile_expression(ufl.sqrt(ufl.inner(ufl.grad(smooth), ufl.grad(smooth))), hom.points)
    return slope.eval(hom.mesh, hom.cells).ravel()


def _at_points(hom: Homogenizer, values: NDArray[np.float64]) -> fem.Function:
    """A quadrature Function of values, shape (n_points, m)."""
    function = fem.Function(quadrature_space(hom.mesh, hom.degree, (values.shape[1],)))
    slots = function.function_space.dofmap.list[hom.cells].ravel()
    function.x.array.reshape(-1, values.shape[1])[slots] = values
    return function


def _extent(hom: Homogenizer) -> float:
    """Diagonal of the macro mesh's bounding box."""
    x = hom.mesh.geometry.x
    low, high = np.zeros(3), np.zeros(3)
    hom.comm.Allreduce(x.min(axis=0, initial=np.inf), low, op=MPI.MIN)
    hom.comm.Allreduce(x.max(axis=0, initial=-np.inf), high, op=MPI.MAX)
    return float(np.linalg.norm(high - low))


def _element_size(hom: Homogenizer) -> float:
    sizes = hom.mesh.h(hom.mesh.topology.dim, hom.cells)
    return float(hom.comm.allreduce(float(sizes.min(initial=np.inf)), op=MPI.MIN))


@dataclass(frozen=True)
class TimeScales:
    """Relaxation times of a cell's laws compared with the time step and the time of the macro process.

    Attributes
    ----------
    relaxation
        Relaxation times by phase, in the user's unit of time.
    dt
        Duration of a step.
    process
        Duration of the macro process, or None.
    remarks
        Problems and possible simplifications, one sentence each.
    """

    relaxation: dict[str, tuple[float, ...]]
    dt: float
    process: float | None
    remarks: tuple[str, ...]

    @property
    def error(self) -> float:
        """Estimated relative error of implicit Euler over a step, the largest ``dt / (2 tau)``."""
        return max((self.dt / (2 * tau) for times in self.relaxation.values() for tau in times), default=0.0)


def time_scales(
    problem: RVE | MixedControl, dt: float, process: float | None = None, *, limit: float = LIMIT
) -> TimeScales:
    """Compare the relaxation times of the laws with the time step and the duration of the macro process.

    The response at a point is a function of the history of ``E``, so rates enter only through the laws. A law with the
    relaxation time ``tau`` is resolved if ``dt`` is a small part of it: the error of implicit Euler over a step is
    ``dt / (2 tau)`` to leading order (Hairer, Norsett and Wanner, *Solving Ordinary Differential Equations I* (1993),
    II.7). For processes much shorter (longer) than ``tau``, use the unrelaxed (relaxed) law. Each remark is also a
    warning in the logger ``hmm`` on rank 0 of the cell.

    Parameters
    ----------
    problem
        The cell problem. Its laws may have ``relaxation_times``, a tuple.
    dt
        Duration of a step.
    process
        Duration of the macro process, such as the loading time or the period.
    limit
        Ratio of times below which a time is small.

    Raises
    ------
    InputError
        If a time is not positive.
    """
    for name, value in (("dt", dt), ("process", process)):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{name} = {value} must be positive and finite")
    times = {phase: tuple(getattr(law, "relaxation_times", ())) for phase, law in rve_of(problem).law.items()}
    remarks = [
        remark
        for phase, of_phase in times.items()
        for tau in of_phase
        for remark in _remarks(phase, tau, dt, process, limit)
    ]
    if problem.cell.comm.rank == 0:
        for remark in remarks:
            logging.getLogger("hmm").warning("%s", remark)
    return TimeScales(times, dt, process, tuple(remarks))


def _remarks(phase: str, tau: float, dt: float, process: float | None, limit: float) -> list[str]:
    """The remarks on one relaxation time."""
    if process is not None and tau < limit * process and dt > limit * tau:
        return [
            f"phase {phase!r} relaxes in {tau:.3g}, a small part of the process of {process:.3g}: take the relaxed law"
        ]
    if process is not None and limit * tau > process:
        return [
            f"phase {phase!r} relaxes in {tau:.3g}, long after the process of {process:.3g}: take the unrelaxed law"
        ]
    if dt > limit * tau:
        return [
            f"phase {phase!r} relaxes in {tau:.3g}, and the step is {dt:.3g}: expect a relative error of the order "
            f"{dt / (2 * tau):.2g}; take shorter steps"
        ]
    return []
