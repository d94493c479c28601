"""Effective properties of a material: tensor, constants, symmetry, bounds and fields, also as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from mpi4py import MPI

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.checks import bounds
from hmm.effective import constants as engineering
from hmm.effective.constants import Extremes
from hmm.effective.fields import Solved
from hmm.effective.limits import Limits
from hmm.effective.mesh_error import MeshError
from hmm.effective.physics import physics_of
from hmm.effective.symmetry import TOLERANCE, Symmetry, symmetry_of_matrix, symmetry_of_stiffness
from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.foundation.files import write_atomically
from hmm.micro.local_fields import LocalFields

Floats = NDArray[np.float64]

STORED = ("physics", "tensor", "fractions", "constraint", "thermal_stress", "conductivity", "heat_capacity", "how")
ADDED = ("units",)
"""Stored too, but absent from files of earlier versions."""


@dataclass(frozen=True, eq=False)
class EffectiveData:
    """Effective properties of a cell and derived quantities, without tables and pictures.

    Attributes
    ----------
    physics
        ``"elasticity"``, ``"conduction"``, ``"thermoelasticity"`` or ``"flow"``.
    tensor
        Mandel stiffness: shape (3, 3) in 2D (plane strain), (4, 4) in 2D with the component 33, (6, 6) in 3D; or the
        conductivity or permeability, shape (d, d).
    fractions
        Volume fraction of each phase in |Y|.
    constraint
        Boundary condition of the cell.
    thermal_stress
        For thermo-elasticity: ``beta`` in ``sigma = C:eps - beta dT``, shape (m,), packed as the stiffness.
    conductivity
        For thermo-elasticity: the conductivity, shape (d, d).
    heat_capacity
        For thermo-elasticity: at constant strain, energy per volume and unit of temperature.
    limits
        Bounds from the phases' own tangents; None for flow.
    mesh_error
        Estimate of the error of `tensor` from the mesh; None if there is none.
    units
        Names of the units of the laws and of the cell, such as ``{"stress": "GPa", "length": "mm"}``, for reports.
    how
        Details of the solution: elements, unknowns, degree, solver.
    solved
        The solved cell, for `fields`; None after reading from a file or pickling.
    """

    physics: str
    tensor: Floats
    fractions: Mapping[str, float]
    constraint: str
    thermal_stress: Floats | None = None
    conductivity: Floats | None = None
    heat_capacity: float | None = None
    limits: Limits | None = None
    mesh_error: MeshError | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    how: Mapping[str, Any] = field(default_factory=dict)
    solved: Solved | None = field(default=None, repr=False)

    # -- the tensor ---------------------------------------------------------------------------------------------------

    @property
    def quantity(self) -> str:
        """``"stiffness"``, ``"conductivity"`` or ``"permeability"``."""
        return physics_of(self.physics).quantity

    @property
    def is_stiffness(self) -> bool:
        """Whether the tensor is a stiffness; otherwise it is of second order."""
        return self.quantity == "stiffness"

    @property
    def dim(self) -> int:
        """Dimension of the cell."""
        return {3: 2, 4: 2, 6: 3}[len(self.tensor)] if self.is_stiffness else len(self.tensor)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the rows of the tensor, such as ``("11", "22", "12")``."""
        size = len(self.tensor)
        return tensors.packing_of(size).labels if self.is_stiffness else tuple(str(i + 1) for i in range(size))

    @property
    def voigt(self) -> Floats:
        """Voigt stiffness with engineering shear strains, rows as in `labels`; or the tensor of second order."""
        return tensors.mandel_to_voigt(self.tensor) if self.is_stiffness else self.tensor

    @property
    def compliance(self) -> Floats:
        """Mandel compliance, or resistivity ``k^-1``; NaN if the tensor is singular."""
        return engineering.compliance(self.tensor)

    @property
    def thermal_expansion(self) -> Floats | None:
        """``alpha = C^-1 beta``, packed as the stiffness: free strain per unit of temperature."""
        return None if self.thermal_stress is None else self.compliance @ self.thermal_stress

    def in_axes(self, axes: ArrayLike) -> Self:
        """The properties relative to other axes, the rows of `axes`, shape (d, d); without bounds and fields."""
        A = np.asarray(axes, dtype=float)
        if A.shape != (self.dim, self.dim) or not np.allclose(A @ A.T, np.eye(self.dim), atol=1e-8):
            raise InputError(f"axes {A.tolist()} are not {self.dim} orthogonal unit vectors: give one in each row")

        def rotated(k: Floats) -> Floats:
            return A @ k @ A.T

        return replace(
            self,
            tensor=engineering.in_axes(self.tensor, A) if self.is_stiffness else rotated(self.tensor),
            thermal_stress=None if self.thermal_stress is None else engineering.in_axes(self.thermal_stress, A),
            conductivity=None if self.conductivity is None else rotated(self.conductivity),
            limits=None,
            mesh_error=None,
            solved=None,
        )

    # -- constants -----------------------------------------------------------------------------------------------------

    @property
    def constants(self) -> dict[str, float]:
        """``E1``, ``nu12`` (strain along 2 under stress along 1), ``G12`` and so on; or ``k11``, ``k12`` and so on.

        In 2D these are constants in plane strain, ``E1 = 1 / S_11`` of the (3, 3) compliance; for an isotropic
        material ``E / (1 - nu^2)`` and ``nu / (1 - nu)``. With the component 33 they are the 3D constants.
        """
        return engineering.of_stiffness(self.tensor) if self.is_stiffness else engineering.of_matrix(self.tensor)

    @property
    def principal_constants(self) -> dict[str, float]:
        """The constants in the axes of `symmetry`."""
        return self.in_axes(self.symmetry.axes).constants

    @cached_property
    def symmetry(self) -> Symmetry:
        """Symmetry class and axes, within the relative distance `hmm.effective.TOLERANCE`; of the plane in 2D."""
        return self.symmetry_within(TOLERANCE)

    def symmetry_within(self, tolerance: float) -> Symmetry:
        """The symmetry class and its axes, within a relative distance."""
        find = symmetry_of_stiffness if self.is_stiffness else symmetry_of_matrix
        return find(self.tensor, tolerance)

    @property
    def means(self) -> dict[str, float]:
        """``bulk modulus`` and ``shear modulus`` of the isotropic part, in 2D in plane strain; or the mean ``k_ii``."""
        if self.is_stiffness:
            bulk, shear, _ = bounds.moduli_of(_plane_strain(self.tensor))
            return {"bulk modulus": bulk, "shear modulus": shear}
        return {self.quantity: float(np.trace(self.tensor)) / self.dim}

    @property
    def anisotropy(self) -> float:
        """Universal index ``5 G_V/G_R + K_V/K_R - 6`` of a stiffness, zero if isotropic.

        In 2D it is ``2 G_V/G_R + K_V/K_R - 3``, of the stiffness in the plane.
        Source: Ranganathan and Ostoja-Starzewski, *Phys. Rev. Lett.* 101 (2008) 055504.
        """
        if not self.is_stiffness:
            raise InputError(f"the anisotropy index is defined for a stiffness, but physics = {self.physics!r}")
        return engineering.universal_anisotropy(_plane_strain(self.tensor))

    @property
    def zener(self) -> float | None:
        """Zener's ratio ``2 C44 / (C11 - C12)`` of a cubic or, in 2D, square stiffness; None for other classes."""
        if self.symmetry.name not in ("cubic", "square"):
            return None
        return engineering.zener_ratio(_plane_strain(engineering.in_axes(self.tensor, self.symmetry.axes)))

    @cached_property
    def extremes(self) -> Extremes:
        """The smallest and largest Young's modulus (conductivity, permeability) and their directions.

        The values are exact. The directions are symmetry axes, their diagonals or directions in their planes if the
        values there agree up to the distance of the tensor from its symmetry class. In 2D they lie in the plane.
        """
        find = engineering.extreme_young_moduli if self.is_stiffness else engineering.extremes_of_matrix
        return find(self.tensor, self.symmetry.axes, max(1e-6, self.symmetry.distance))

    def along(self, directions: ArrayLike) -> Floats:
        """Young's modulus, conductivity or permeability along directions of any nonzero length, shape (..., d).

        For a plane cell with the component 33 the directions may also have three components.
        """
        n = _numbers(directions)
        lengths = {self.dim, 3} if self.is_stiffness and len(self.tensor) == 4 else {self.dim}
        if n is None or n.ndim == 0 or n.shape[-1] not in lengths or not np.linalg.norm(n, axis=-1).all():
            raise InputError(
                f"directions {directions!r} are not nonzero vectors of {self.dim} components: give such vectors"
            )
        n = n / np.linalg.norm(n, axis=-1, keepdims=True)
        value = engineering.young_moduli if self.is_stiffness else engineering.matrix_along
        return value(self.tensor, n)

    @property
    def without_mesh_error(self) -> Self:
        """The properties with `mesh_error` taken off; themselves without an estimate."""
        return self if self.mesh_error is None else replace(self, tensor=self.tensor - self.mesh_error.tensor)

    @property
    def unit(self) -> str:
        """The unit of the tensor; empty if it is not known."""
        return {
            "stiffness": self.units.get("stress", ""),
            "conductivity": self.units.get("conductivity", ""),
            "permeability": f"{self.units['length']}²" if "length" in self.units else "",
        }[self.quantity]

    @cached_property
    def constant_errors(self) -> dict[str, tuple[float, float]] | None:
        """For each constant, in the given and the symmetry axes, how much it exceeds that without `mesh_error`.

        None without an estimate. A finite element cell is too stiff: most errors are positive.
        """
        if self.mesh_error is None:
            return None
        better = self.without_mesh_error
        pairs = [(self, better), (self.in_axes(self.symmetry.axes), better.in_axes(self.symmetry.axes))]
        given, own = ({name: v - b.constants[name] for name, v in a.constants.items()} for a, b in pairs)
        return {name: (given[name], own[name]) for name in given}

    # -- fields --------------------------------------------------------------------------------------------------------

    def fields(self, component: str) -> LocalFields:
        """Local fields per unit of one macroscopic component (collective on the cell's communicator).

        Parameters
        ----------
        component
            Label of the macroscopic input: ``"11"``, ``"12"`` (E12 = E21 = 1) of a strain, ``"1"`` of a gradient,
            ``"strain 11"`` or ``"temperature"`` for thermo-elasticity. The others are zero.

        Returns
        -------
        hmm.LocalFields
            For `hmm.write_fields` and `hmm.plotting.plot_rve`.

        Raises
        ------
        InputError
            If there is no such component, or the cell is not available because the properties were read or rotated.
        """
        if self.solved is None:
            raise InputError("properties that were read or rotated have no cell: homogenize it again for local fields")
        return self.solved.fields(component)

    @property
    def comm(self) -> MPI.Comm:
        """Communicator of the cell, whose rank 0 prints and writes; without the cell, of this rank alone."""
        return MPI.COMM_SELF if self.solved is None else self.solved.rve.cell.comm

    # -- reading and writing-------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The properties as numbers, strings, lists and dictionaries; numbers that are not finite become None."""
        data = {name: _plain(getattr(self, name)) for name in (*STORED, *ADDED)}
        data |= {"quantity": self.quantity, "labels": list(self.labels), "voigt": _plain(self.voigt)}
        data |= {"constants": _plain(self.constants), "means": self.means, "extremes": _plain(vars(self.extremes))}
        data |= {"symmetry": _plain(vars(self.symmetry)), "principal_constants": _plain(self.principal_constants)}
        if self.is_stiffness:
            data |= {"anisotropy": _plain(self.anisotropy), "zener": self.zener}
            data |= {"thermal_expansion": _plain(self.thermal_expansion)}
        data |= {"mesh_error": None if self.mesh_error is None else _plain(self.mesh_error.as_dict())}
        return data | {"limits": None if self.limits is None else _plain(self.limits.as_dict())}

    def to_json(self, path: str | Path | None = None) -> str:
        """The properties as JSON text, also written atomically to `path` if given; not collective."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
        if path is not None:
            write_atomically(Path(path), text + "\n")
        return text

    @classmethod
    def from_json(cls, source: str | Path) -> Self:
        """Properties from the text or file of `to_json`; quantities derived from the tensor are computed again.

        Parameters
        ----------
        source
            The path of a file, or the JSON text itself.

        Raises
        ------
        InputError
            If there is no such file or it contains something else.
        """
        is_text = isinstance(source, str) and source.lstrip().startswith("{")
        try:
            data = json.loads(str(source) if is_text else Path(source).read_text())
            given = {name: data[name] for name in STORED}
            given |= {name: data[name] for name in ADDED if name in data}
            limits = data["limits"] and Limits.from_dict(data["limits"])
            mesh_error = data.get("mesh_error") and MeshError.from_dict(data["mesh_error"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = "the text" if is_text else source
            raise InputError(f"{what} contains no effective properties ({error}): give the output of to_json") from None
        for name in ("tensor", "thermal_stress", "conductivity"):
            given[name] = None if given[name] is None else np.array(given[name], dtype=float)
        return cls(**given, limits=limits, mesh_error=mesh_error or None)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "solved": None}


def _plane_strain(C: Floats) -> Floats:
    return C[np.ix_([0, 1, 3], [0, 1, 3])] if len(C) == 4 else C


def _numbers(values: ArrayLike) -> Floats | None:
    """Finite numbers as an array, or None."""
    try:
        found = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found).all() else None


def _plain(value: Any) -> Any:
    """Arrays as lists, mappings as dictionaries, numbers that are not finite as None."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
