"""Warnings of an RVE: laws whose axes are not aligned with the fibres, and locking elements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmm.foundation import tensors
from hmm.foundation.console import warn
from hmm.micro.definition import CellProblem
from hmm.micro.loaded_cell import LoadedCell

LOCKING = 0.49
"""Poisson's ratio above which displacements of degree 1 give a warning."""

MISALIGNED = 20.0
"""Angle in degrees between the axis of a law and the fibres of its phase above which a warning is given."""


def warn_of_axes(problem: CellProblem) -> None:
    """Warn of each transversely isotropic law whose axis is not aligned with the fibres of its phase."""
    for phase, fibres in problem.cell.fibres.items():
        law, orientation = problem.law.get(phase), np.asarray(fibres)
        follows = problem.cell.rotation is not None and getattr(law, "rotation", None) is problem.cell.rotation
        axis = getattr(law, "own_axis" if follows else "axis", None)
        if axis is None:
            continue
        if problem.cell.rotation is not None and not follows:
            warn(f"the axes of the law of phase {phase!r} do not follow its yarns: give the law cell.rotated(law)")
        angle = np.degrees(np.arccos(np.sqrt(np.clip(axis @ orientation @ axis, 0, 1))))
        if angle > MISALIGNED:
            off = f"lies {angle:.0f} degrees off its fibres{_run(orientation)}"
            warn(f"the axis {_shown(axis)} of the law of phase {phase!r} {off}")


def _run(orientation: NDArray[np.float64]) -> str:
    """The direction of the fibres and the remedy, for a warning."""
    values, vectors = np.linalg.eigh(orientation)
    if values[-1] > 1 - 1e-6:
        along = vectors[:, -1] * np.sign(vectors[np.argmax(np.abs(vectors[:, -1])), -1])
        return f", which run along {_shown(along)}: give the law axis={_shown(along)}, or rotate it with rotation="
    return " on average, which run in several directions: give each direction a phase, or the law a field rotation="


def _shown(vector: NDArray[np.float64]) -> list[float]:
    return [float(x) + 0.0 for x in np.round(vector, 3)]


class LockingWatch:
    """Warns, once, of displacements of degree 1 in a phase that is or becomes nearly incompressible.

    Triangles and tetrahedra of degree 1, and fully integrated quadrilaterals and hexahedra, have too few isochoric
    displacements, so that the cell is too stiff (Hughes, *The Finite Element Method* (2000), section 4.4). The measure
    is the average tangent of each phase: its bulk stiffness relative to its smallest shear stiffness.
    """

    def __init__(self, loaded: LoadedCell) -> None:
        problem = loaded.problem
        inputs = [e for e in problem.inputs if e.kind in ("strain", "deformation_gradient")]
        self.seen = 0
        self.loaded, self.input = loaded, inputs[0] if inputs else None
        cell = problem.cell
        alone = len(cell.phases) == 1 and sum(cell.volume_fractions.values()) > 1 - 1e-9  # there is no fluctuation
        self.active = False
        self._can_lock = (
            bool(problem.law) and not problem.micro and not alone and self.input is not None and self._degree() == 1
        )

    def begin(self) -> None:
        """Check the undeformed state of a complete cell (collective), and begin to watch its history."""
        self.active = self._can_lock
        self.look()

    def watch(self, history: NDArray[np.float64]) -> None:
        """Check a loaded point with these new internal variables, shape (n,).

        The check needs an assembly, so only the first hundred nonzero histories are checked, then the 128th, 256th and
        so on. Cells on several ranks are not watched, since this call is not collective.
        """
        if self.active and self.loaded.comm.size == 1 and np.any(history):
            self.seen += 1
            if self.seen <= 100 or self.seen & (self.seen - 1) == 0:
                self.look(plastic=True)

    def look(self, plastic: bool = False) -> None:
        """Check the undeformed cell, or the loaded `plastic` one, and warn (collective)."""
        if not self.active:
            return
        loaded, law = self.loaded, self.loaded.problem.law
        distinct = {id(law): phase for phase, law in law.items()}.values()  # one of several grains of one crystal
        phases = [phase for phase in distinct if not plastic or phase in loaded.forms.histories]
        if self.input.kind != "strain" and plastic:  # type: ignore[union-attr]  # its tangent has the stress in it
            return
        if not plastic:
            loaded.load_undeformed()
        tangents = loaded.phase_tangents(phases)
        ratios = {phase: self._poisson(tangent) for phase, tangent in tangents.items()}
        phase = max(ratios, key=lambda name: ratios[name], default=None)
        if phase is None or not ratios[phase] >= LOCKING - 1e-6:
            return
        self.active = False
        how = f"{'flows with' if plastic else 'has'} an effective Poisson's ratio of {ratios[phase]:.5g}"
        warn(
            f"phase {phase!r} {how}, and displacements of degree 1 lock: the cell is too stiff; use degree=2 "
            "(hmm.fluctuation(cell, degree=2)), or a displacement and a pressure (docs/theory.md, several fields)"
        )

    def _degree(self) -> int:
        """Polynomial degree of the displacement."""
        space = self.loaded.problem.w.function_space
        component = self.input.component  # type: ignore[union-attr]
        field = space if component is None else space.sub(component)
        return int(field.ufl_element().embedded_subdegree)

    def _poisson(self, tangent: NDArray[np.float64]) -> float:
        """Poisson's ratio of the isotropic material with the same resistance to pressure and to the easiest shear."""
        rows = self.loaded.problem.blocks[self.input.name]  # type: ignore[union-attr]
        if not np.isfinite(tangent).all():
            return float("nan")
        C = mandel_stiffness(self.input.packing, tangent[rows, rows])  # type: ignore[union-attr]
        return effective_poisson((C + C.T) / 2)


def mandel_stiffness(packing: tensors.Packing, tangent: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Mandel stiffness; for a deformation gradient, that of its symmetric part at F = I."""
    if packing.symmetric:
        return tangent
    mandel = tensors.packing_of({4: 3, 5: 4, 9: 6}[packing.size])
    strains = np.array([packing.to_vector(unit) for unit in mandel.to_tensor(np.eye(mandel.size))]).T
    return np.asarray(strains.T @ tangent @ strains)


def effective_poisson(stiffness: NDArray[np.float64]) -> float:
    """Poisson's ratio of a Mandel stiffness: that of its bulk modulus (Reuss) and its least shear modulus.

    Parameters
    ----------
    stiffness
        Symmetric, of the plane, shape (3, 3), or of space, shape (4, 4) or (6, 6).

    Returns
    -------
    float
        In [-1, 0.5]; NaN if there is none, as of a material that has lost its stability.
    """
    d = 2 if len(stiffness) == 3 else 3
    one = np.r_[np.ones(d), np.zeros(len(stiffness) - d)]
    compliance = one @ np.linalg.pinv(stiffness, rcond=1e-13, hermitian=True) @ one
    deviators = np.linalg.svd(one[None])[2][1:]
    G = np.linalg.eigvalsh(deviators @ stiffness @ deviators.T)[0] / 2
    if not compliance > 0 or not np.isfinite(G) or -1e-6 / compliance > G:
        return float("nan")
    ratio = max(G, 0.0) * compliance
    return float((1 - ratio) / 2 if d == 2 else (3 - 2 * ratio) / (2 * (3 + ratio)))
