"""Effective stiffness or conductivity of a cell, with its engineering constants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm import bounds, tensors
from hmm.cell import Cell
from hmm.errors import InputError
from hmm.fields import fluctuation, macro_gradient, macro_strain
from hmm.laws import Fourier, Law
from hmm.rve import RVE

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EffectiveProperties:
    """Effective properties of a cell.

    Attributes
    ----------
    physics
        ``"elasticity"`` or ``"conduction"``.
    tensor
        Mandel stiffness, shape (3, 3) in 2D (plane strain) or (6, 6) in 3D; or conductivity, shape (d, d).
    fractions
        Volume fraction of each phase in |Y|.
    constraint
        Boundary condition of the cell.
    """

    physics: str
    tensor: Floats
    fractions: Mapping[str, float]
    constraint: str

    @property
    def dim(self) -> int:
        """Dimension of the cell."""
        return len(self.tensor) if self.physics == "conduction" else {3: 2, 6: 3}[len(self.tensor)]

    @property
    def voigt(self) -> Floats:
        """Voigt stiffness with engineering shear strains; the tensor itself for conduction."""
        return self.tensor if self.physics == "conduction" else tensors.mandel_to_voigt(self.tensor)

    @property
    def constants(self) -> dict[str, float]:
        """``E1``, ``nu12`` (strain along 2 under stress along 1), ``G12`` and so on; or ``k11``, ``k12`` and so on.

        In 2D these are constants in plane strain, ``E1 = 1 / S_11`` of the (3, 3) compliance: of an isotropic material
        ``E / (1 - nu^2)`` and ``nu / (1 - nu)``.
        """
        d = self.dim
        pairs = [(i, j) for i in range(d) for j in range(d)]
        if self.physics == "conduction":
            return {f"k{i + 1}{j + 1}": float(self.tensor[i, j]) for i, j in pairs if i <= j}
        S = np.linalg.inv(self.voigt)
        shears = [(i, j) for i, j in pairs if i < j]
        return (
            {f"E{i + 1}": float(1 / S[i, i]) for i in range(d)}
            | {f"nu{i + 1}{j + 1}": float(-S[j, i] / S[i, i]) for i, j in pairs if i != j}
            | {f"G{i + 1}{j + 1}": float(1 / S[d + k, d + k]) for k, (i, j) in enumerate(shears)}
        )

    @property
    def anisotropy(self) -> float:
        """Universal index ``5 G_V/G_R + K_V/K_R - 6`` of a stiffness, zero if isotropic.

        In 2D it is ``2 G_V/G_R + K_V/K_R - 3``.
        Source: Ranganathan and Ostoja-Starzewski, *Phys. Rev. Lett.* 101 (2008) 055504.
        """
        if self.physics == "conduction":
            raise InputError("the anisotropy index is one of a stiffness, and physics = 'conduction'")
        K, G, _ = bounds.moduli_of(self.tensor)
        k, g, _ = bounds.moduli_of(np.linalg.inv(self.tensor))
        shears = len(self.tensor) - 1
        return float(shears * 4 * G * g + self.dim**2 * K * k - shears - 1)

    def to_json(self, path: str | Path | None = None) -> str:
        """All of it as JSON text, also written to `path` if given; not collective."""
        data: dict[str, Any] = asdict(self) | {"tensor": self.tensor.tolist(), "constants": self.constants}
        text = json.dumps(data, indent=2)
        if path is not None:
            Path(path).write_text(text + "\n")
        return text

    def __str__(self) -> str:
        rows = {**self.constants, **{f"fraction of {name}": f for name, f in self.fractions.items()}}
        head = f"{self.physics}, {self.dim}D{' (plane strain)' * (self.physics == 'elasticity' and self.dim == 2)}"
        return "\n".join([f"{head}, {self.constraint}", *(f"  {k:<24}{v:.6g}" for k, v in rows.items())])


def homogenize(
    cell: Cell,
    laws: Mapping[str, Any],
    constraint: str = "periodic",
    physics: str = "elasticity",
    *,
    degree: int = 1,
    **options: Any,
) -> EffectiveProperties:
    """Effective properties of a cell at its undeformed state (collective on the cell's communicator).

    Parameters
    ----------
    cell
        The unit cell.
    laws
        For each phase name a law of the strain; for conduction a number, a (d, d) matrix or a law of the gradient.
    constraint
        As for `hmm.RVE`.
    physics
        ``"elasticity"`` or ``"conduction"``.
    degree
        Degree of the fluctuation.
    options
        Passed on to `hmm.RVE`.

    Raises
    ------
    InputError
        If `physics` is unknown, or the phases are not those of the cell.
    """
    if physics not in ("elasticity", "conduction"):
        raise InputError(f"physics = {physics!r} is unknown: choose 'elasticity' or 'conduction'")
    if set(laws) != set(cell.phases):
        raise InputError(f"laws are given for {sorted(laws)}, but the phases are {sorted(cell.phases)}: name the same")
    if physics == "elasticity":
        w, E = fluctuation(cell, degree), macro_strain(cell)
    else:
        w, E = fluctuation(cell, degree, shape=()), macro_gradient(cell)
        laws = {phase: _conduction(phase, value, cell.dim) for phase, value in laws.items()}
    rve = RVE(cell, w, E, law=laws, constraint=constraint, **options)
    tangent = rve.solve(rve.reference).tangent
    return EffectiveProperties(physics, tangent, dict(cell.volume_fractions), constraint)


def _conduction(phase: str, value: ArrayLike | Law, dim: int) -> Law:
    """The law of a phase that is given as a law, a number or a matrix."""
    if isinstance(value, Law):
        return value
    k = np.asarray(value, dtype=float)
    k = k * np.eye(dim) if k.ndim == 0 else k
    if k.shape != (dim, dim) or not np.allclose(k, k.T) or not np.linalg.eigvalsh(k)[0] > 0:
        raise InputError(
            f"conductivity {np.asarray(value).tolist()} of phase {phase!r} must be a positive number or a symmetric "
            f"positive definite ({dim}, {dim}) matrix"
        )
    return Fourier(k.tolist())
