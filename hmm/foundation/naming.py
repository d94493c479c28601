"""Synonyms of names, and suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from hmm.foundation.errors import InputError

SYNONYMS = {
    "flow": ("permeability", "darcy", "stokes", "fluid", "seepage", "hydraulics", "viscous flow"),
    "conduction": (
        "conductivity",
        "heat",
        "thermal",
        "thermal conductivity",
        "heat conduction",
        "fourier",
        "diffusion",
    ),
    "elasticity": ("stiffness", "elastic", "mechanics", "mechanical", "solid", "small strain", "hyperelasticity"),
    "thermoelasticity": ("expansion", "thermal expansion", "thermomechanics", "thermal stress", "cte"),
    "periodic": ("pbc", "pbcs"),
    "dirichlet": ("kubc", "linear displacement", "linear displacements", "affine", "uniform strain"),
    "minimal": ("subc", "sbc", "uniform traction", "traction", "neumann", "weak", "uniform stress"),
    "direct": ("lu", "mumps", "cholesky", "ldlt", "superlu"),
    "iterative": ("cg", "multigrid", "gamg", "amg", "krylov", "fft"),
    "voxels": ("voxel", "pixels", "grid", "hexahedra", "quads"),
    "smooth": ("triangles", "conforming", "smoothed"),
    "young": ("e", "young modulus", "youngs modulus", "modulus"),
    "poisson": ("nu", "poisson ratio", "poissons ratio"),
    "viscosity": ("mu", "eta", "dynamic viscosity"),
    "conductivity": ("k", "lambda", "kappa", "thermal conductivity"),
    "Elastic": ("hooke", "linear", "linear elastic", "isotropic", "linearelastic"),
    "J2": ("plastic", "plasticity", "von mises", "mises", "elastoplastic"),
    "Stokes": ("newtonian", "fluid", "newtonian fluid"),
    "volume_fraction": ("vf", "fraction", "fibre fraction", "phi", "porosity"),
    "mesh_size": ("h", "element size", "lc", "resolution"),
    "fibre": ("fiber", "cylinder", "inclusion 2d"),
    "sphere": ("particle", "ball"),
}
"""Synonyms of names of physics, constraints, solvers, laws and parameters, in lower case."""


def nearest(name: str, choices: Collection[str]) -> str:
    """A suggestion for messages: a synonym, or a similar spelling; empty if there is none."""
    meant = _synonym(name, choices)
    if meant is None:
        found = get_close_matches(name.lower(), [choice.lower() for choice in choices], 1, 0.5)
        meant = next((c for c in choices if found and c.lower() == found[0]), None)
    return "" if meant is None else f" (did you mean {meant!r}?)"


def require_known(what: str, name: object, choices: Collection[str]) -> None:
    """Raise an `InputError` with the choices and a suggestion unless `name` is one of them."""
    if not isinstance(name, str) or name not in choices:
        listed = ", ".join(map(repr, choices))
        raise InputError(f"{what} = {name!r} is unknown{nearest(str(name), choices)}: choose one of {listed}")


def _synonym(name: str, choices: Collection[str]) -> str | None:
    """The choice of which `name` is a synonym; ``_`` and ``-`` count as spaces, and apostrophes as nothing."""
    word = " ".join(name.lower().replace("_", " ").replace("-", " ").replace("'", "").split())
    return next((c for c in choices if word in SYNONYMS.get(c, ())), None)
