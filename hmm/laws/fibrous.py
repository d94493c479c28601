"""Hyperelastic materials with fibres, such as soft tissue and reinforced rubber."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import ufl
from numpy.typing import NDArray

from hmm.foundation.errors import InputError
from hmm.laws.anisotropic import Axis, Rotation, rotation_of, unit_vector
from hmm.laws.base import Parameter, require_between, require_positive, value_of
from hmm.laws.elastic import Elastic
from hmm.laws.hyperelastic import Hyperelastic
from hmm.laws.registry import declare

LAW = "HolzapfelGasserOgden"


@declare(
    "finite strain",
    {
        **{"shear_modulus": "stress", "bulk_modulus": "stress", "k1": "stress", "k2": ""},
        **{"dispersion": "", "fibres": "axes: 1, 2, 3 or directions", "rotation": ""},
    },
    tests=["laws/test_fibrous.py"],
)
@dataclass(frozen=True)
class HolzapfelGasserOgden(Hyperelastic):
    """Fibres that stiffen exponentially in tension, in a compressible neo-Hookean matrix; one or more families.

    With ``I1 = tr C``, the squared stretch ``I4 = a . C a`` of a fibre along the unit vector a, and
    ``e = dispersion (I1 - 3) + (1 - 3 dispersion) (I4 - 1)``,

        W = mu/2 (J^(-2/3) I1 - 3) + kappa/2 (J - 1)^2 + sum over the families of k1 / (2 k2) (exp(k2 <e>^2) - 1),

    where ``<e>`` is e if it is positive, otherwise zero: fibres carry tension only. The stress is continuous there.
    Hence the tangent of the undeformed state is that of the matrix alone, with the moduli `shear_modulus` and
    `bulk_modulus`.

    The energy of the fibres depends on the full invariants, not on the isochoric ones. With isochoric invariants,
    fibres in a compressible body would not resist a change of volume, and a ball would stay a ball under pressure
    (Nolan, Gower, Destrade, Ogden and McGarry, *J. Mech. Behav. Biomed. Mater.* 39 (2014) 48). Both
    agree for isochoric deformations.
    Source: Holzapfel, Gasser and Ogden, *J. Elasticity* 61 (2000) 1; dispersion: Gasser, Ogden and Holzapfel, *J. R.
    Soc. Interface* 3 (2006) 15.

    Attributes
    ----------
    shear_modulus, bulk_modulus
        mu and kappa of the matrix at small strain, in the unit of stress; positive.
    k1
        Stiffness of the fibres, in the unit of stress; positive. At small tension along a family without dispersion
        they add ``4 k1`` to the modulus.
    k2
        Exponent of the stiffening, dimensionless; positive.
    dispersion
        In [0, 1/3]: 0 (default) for aligned fibres, 1/3 for uniformly distributed directions.
    fibres
        The direction of each family: 1, 2 or 3, or three numbers of any length. By default one family along 3, across
        the plane of a 2D cell.
    rotation
        Its columns are the axes of the material in the frame of the cell, as for `hmm.laws.Anisotropic`.
    """

    shear_modulus: Parameter
    bulk_modulus: Parameter
    k1: Parameter
    k2: Parameter
    dispersion: Parameter = 0.0
    fibres: Sequence[Axis] = (3,)
    rotation: Rotation = None

    def __post_init__(self) -> None:
        moduli = {"shear_modulus": self.shear_modulus, "bulk_modulus": self.bulk_modulus}
        require_positive(LAW, **moduli, k1=self.k1, k2=self.k2)
        require_between(LAW, 0.0, 1 / 3, dispersion=self.dispersion)
        if not isinstance(self.fibres, Sequence) or not self.fibres:
            raise InputError(f"{LAW}: fibres = {self.fibres!r} must be a list of directions, one for each family")
        object.__setattr__(self, "fibres", tuple(tuple(unit_vector(LAW, a).tolist()) for a in self.fibres))
        object.__setattr__(self, "rotation", rotation_of(LAW, self.rotation))

    @property
    def elastic(self) -> Elastic:
        """Its linearization at F = I, where no fibre is in tension, which is that of the matrix."""
        return Elastic.from_moduli(shear=self.shear_modulus, bulk=self.bulk_modulus)

    @property
    def initial_modulus(self) -> float:
        """A bound on the largest eigenvalue of the stiffness, with the fibres in tension, for `hmm.laws.Rigid`."""
        return self.elastic.initial_modulus + 4 * value_of(self.k1) * len(self.fibres)

    @property
    def axis(self) -> NDArray[np.float64] | None:
        """Direction of the fibres in the frame of the cell, shape (3,); None for several families or a field."""
        if len(self.fibres) > 1 or isinstance(self.rotation, ufl.core.expr.Expr):
            return None
        own = np.array(self.fibres[0])
        return own if self.rotation is None else np.array(self.rotation) @ own

    def density(self, F: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Energy density W."""
        C, J = F.T * F, ufl.det(F)
        matrix = self.shear_modulus / 2 * (J ** (-2 / 3) * ufl.tr(C) - 3) + self.bulk_modulus / 2 * (J - 1) ** 2
        return matrix + sum(self._family(C - ufl.Identity(3), a) for a in self.fibres)

    def _family(self, strain: ufl.core.expr.Expr, axis: Axis) -> ufl.core.expr.Expr:
        """Energy density of one family, from twice Green's strain, which is exactly zero without strain."""
        a = ufl.as_vector(axis)
        a = a if self.rotation is None else ufl.as_tensor(self.rotation) * a
        e = self.dispersion * ufl.tr(strain) + (1 - 3 * self.dispersion) * ufl.inner(a, strain * a)
        tension = ufl.conditional(ufl.gt(e, 0), e, 0.0)
        return self.k1 / (2 * self.k2) * (ufl.exp(self.k2 * tension**2) - 1)
