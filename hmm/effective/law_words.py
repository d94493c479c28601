"""Laws in words, for reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass

import numpy as np
import ufl

from hmm.effective import constants
from hmm.effective.symmetry import symmetry_of_stiffness
from hmm.effective.table import independent, number, vector
from hmm.laws import Anisotropic


def law_in_words(law: object) -> str:
    """A law as text: elastic constants rather than a matrix, numbers with six digits, fields by their names."""
    if isinstance(law, Anisotropic):
        return _anisotropic(law)
    if isinstance(law, ufl.core.expr.Expr):
        return getattr(law, "name", "UFL")
    if is_dataclass(law):
        given = [(f.name, getattr(law, f.name)) for f in fields(law)]
        return f"{type(law).__name__}({', '.join(f'{name}={law_in_words(v)}' for name, v in given if v is not None)})"
    if isinstance(law, Sequence) and not isinstance(law, str):
        return f"({', '.join(map(law_in_words, law))})"
    return f"{law:.6g}" if isinstance(law, float) else str(law)


def _anisotropic(law: Anisotropic) -> str:
    """The symmetry of the material, its constants in its own axes, and where the axes lie."""
    C = np.array(law.stiffness)
    found = symmetry_of_stiffness(C)
    axes, names = found.axes, independent(found.name)
    if found.name == "transversely isotropic":
        axes, names = (
            np.roll(axes, 1, axis=0),
            ("E1", "E2", "nu12", "nu23", "G12"),
        )  # data sheets: 1 is the fibre's axis
    own = constants.of_stiffness(constants.in_axes(C, axes))
    said = [f"{name}={number(own[name])}" for name in names]
    if np.abs(axes - np.eye(3)).max() > 1e-8:
        said.append(f"axes {'; '.join(vector(axis) for axis in axes)}")
    if law.rotation is not None:
        said.append(f"rotation={_rotation(law.rotation)}")
    return f"Anisotropic({found.name}: {', '.join(said)})"


def _rotation(rotation: object) -> str:
    return (
        law_in_words(rotation)
        if isinstance(rotation, ufl.core.expr.Expr)
        else str(np.round(np.array(rotation), 6).tolist())
    )
