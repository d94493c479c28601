"""Cells of composites: published tutorials, the kinds of the Micromechanics Simulation Challenge, a lamina."""

from __future__ import annotations

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from itertools import pairwise
from math import pi, sqrt

import numpy as np
from support import closed_forms

from hmm.foundation import tensors
from hmm.laws import Anisotropic, Elastic

from .cases import Answer, Row, group, mesh_of
from .exact import coated, plane_moduli
from .series import conductivity_of_cylinders

case = group("Composites")

CURVED = "discretization error of curved quadratic elements"
GLASS, EPOXY = (80.0, 0.2), (3.35, 0.35)
"""E-glass (Gevetex) and LY556/HT907/DY063: Young's modulus (GPa) and Poisson's ratio."""

GLASS_EPOXY = {"matrix": Elastic(*EPOXY), "fibre": Elastic(*GLASS)}


def shear(young: float, poisson: float) -> float:
    """Shear modulus."""
    return young / (2 * (1 + poisson))


@case(
    source="COMET numerical tours (J. Bleyer), periodic homogenization of linear elastic materials",
    tolerance=1e-3,
    because="C11 and C22 of the reference, equal by symmetry, differ by 1.7e-4: the error of its mesh",
    quick=True,
)
def comet_hexagonal_cell() -> Answer:
    """Hexagonal array of fibres in plane strain, radius 0.2, E = 50e3 and 210e3, nu = 0.2 and 0.3."""
    cell = hmm.cells.fibre(radius=0.2, array="hexagonal", mesh_size=0.06, order=2)
    found = hmm.homogenize(cell, {"matrix": Elastic(50e3, 0.2), "fibre": Elastic(210e3, 0.3)}, degree=2)
    C = found.voigt
    numbers = {"C11": (C[0, 0], 65551), "C22": (C[1, 1], 65562), "C12": (C[0, 1], 17441), "C66": (C[2, 2], 24062)}
    return Answer.of(found, numbers)


@case(
    source="theory; the comparison of Ferrite.jl's tutorial on computational homogenization, its materials",
    tolerance=1e-10,
    because="the order holds for finite elements too; roundoff",
    quick=True,
)
def order_of_boundary_conditions() -> Answer:
    """Least eigenvalue of the stiffness of five fibres: Reuss, minimal, periodic, Dirichlet, Voigt."""
    lame, mu = 10.0, 7.0
    soft = Elastic(mu * (3 * lame + 2 * mu) / (lame + mu), lame / (2 * (lame + mu)))
    stiff = Elastic(10 * mu * (3 * lame + 2 * mu) / (lame + mu), lame / (2 * (lame + mu)))
    cell = hmm.cells.random_fibres(0.3, number=5, mesh_size=0.08, seed=1)
    found = {}
    for constraint in ("minimal", "periodic", "dirichlet"):
        solved = hmm.homogenize(cell, {"matrix": soft, "fibre": stiff}, constraint)
        found[constraint] = np.linalg.eigvalsh(solved.tensor)[0]
    C = np.diag([2 * mu] * 3) + lame * np.outer([1, 1, 0], [1, 1, 0])
    f = cell.volume_fractions["fibre"]
    reuss, voigt = (np.linalg.eigvalsh(M)[0] for M in (C / (1 - f + f / 10), C * (1 - f + 10 * f)))
    steps = [("Reuss", reuss), *found.items(), ("Voigt", voigt)]
    rows = [Row(f"{a} <= {b} (GPa)", float(low), float(high), "<=") for (a, low), (b, high) in pairwise(steps)]
    return Answer(rows, mesh_of(solved))


def hill(k: float, fraction: float, fibre: tuple[float, float], matrix: tuple[float, float]) -> tuple[float, float]:
    """E along the fibres and nu from the plane bulk modulus: Hill, J. Mech. Phys. Solids 12 (1964) 199."""
    (k_f, _), (k_m, _) = plane_moduli(*fibre), plane_moduli(*matrix)
    f = np.array([fraction, 1 - fraction])
    young, nu, bulk = f @ [fibre[0], matrix[0]], f @ [fibre[1], matrix[1]], f @ [1 / k_f, 1 / k_m] - 1 / k
    slope = (fibre[1] - matrix[1]) / (1 / k_f - 1 / k_m)
    return young + 4 * slope**2 * bulk, nu - slope * bulk


def lamina() -> hmm.EffectiveProperties:
    """E-glass fibres in epoxy, hexagonal array of fraction 0.62, fibres along axis 3."""
    plane = hmm.cells.fibre(0.62, array="hexagonal", mesh_size=0.08, order=2)
    return hmm.homogenize(hmm.cells.extrude(plane, 0.1), GLASS_EPOXY, degree=2)


@case(
    source="G12: Rayleigh's multipoles, computed here; E1 and nu12: Hill (1964), from the plane bulk modulus found; "
    "measured: Soden, Hinton and Kaddour (1998)",
    tolerance=2e-4,
    because="discretization error of curved quadratic tetrahedra; the measured values are shown, not judged: their E1 "
    "is above the rule of mixtures of their own constituents",
)
def eglass_ly556_lamina() -> Answer:
    """Lamina of E-glass and LY556 epoxy, fraction 0.62: axis 1 along the fibres."""
    found = lamina()
    c = found.constants
    k = found.voigt[:2, :2].sum() / 4
    young, nu = hill(k, 0.62, GLASS, EPOXY)
    G_f, G_m = shear(*GLASS), shear(*EPOXY)
    G = G_m * conductivity_of_cylinders("hexagonal", [sqrt(0.62 * sqrt(3) / 2 / pi)], [G_f / G_m])
    exact = {"E1 (GPa)": (c["E3"], young), "nu12": (c["nu31"], nu), "G12 (GPa)": (c["G13"], G)}
    measured = {"E1": (c["E3"], 53.48), "E2": (c["E1"], 17.7), "G12": (c["G13"], 5.83), "nu12": (c["nu31"], 0.278)}
    answer = Answer.of(found, exact)
    rows = [Row(f"{name}, measured", value, known, "~") for name, (value, known) in measured.items()]
    return Answer(answer.rows + rows, answer.mesh)


@case(
    source="G12: multipoles of coated cylinders, computed here; E1: above the rule of mixtures (Hill 1964), by little",
    tolerance=3e-4,
    because="discretization error of curved quadratic tetrahedra",
)
def fibres_with_interphase() -> Answer:
    """Square array of glass fibres with a soft interphase in epoxy: shear along the fibres, and Young's modulus."""
    radius, coat, soft = 0.4, 0.03, (1.0, 0.4)
    plane = hmm.cells.fibre(radius=radius, interface=coat, mesh_size=0.06, order=2)
    cell = hmm.cells.extrude(plane, 0.1)
    found = hmm.homogenize(cell, {**GLASS_EPOXY, "interface": Elastic(*soft)}, degree=2)
    G = shear(*EPOXY)
    shells = [shear(*GLASS) / G, shear(*soft) / G]
    exact = G * conductivity_of_cylinders("square", [radius, radius + coat], shells)
    young = {"matrix": EPOXY[0], "fibre": GLASS[0], "interface": soft[0]}
    mixture = sum(f * young[phase] for phase, f in cell.volume_fractions.items())
    rows = [Row("G12 (GPa)", found.constants["G13"], exact), Row("E1 (GPa)", found.constants["E3"], mixture, ">=")]
    return Answer(rows, mesh_of(found))


@case(
    source="continuous traction and displacement across the plies; closed form of tests/support",
    tolerance=1e-9,
    because="linear elements contain the exact field; roundoff",
    quick=True,
)
def cross_ply() -> Answer:
    """Cross-ply laminate of two transversely isotropic plies, 0 and 90 degrees, the normal along axis 3."""
    along = Anisotropic.transversely_isotropic(46.0, 13.0, 0.26, 0.42, 4.8, axis=(1.0, 0.0, 0.0))
    across = Anisotropic.transversely_isotropic(46.0, 13.0, 0.26, 0.42, 4.8, axis=(0.0, 1.0, 0.0))
    cell = hmm.cells.laminate({"0": 0.5, "90": 0.5}, normal=2, dim=3, mesh_size=0.5)
    found = hmm.homogenize(cell, {"0": along, "90": across})
    stiffness = [hmm.homogenize(cell, dict.fromkeys(("0", "90"), law)).tensor for law in (along, across)]
    exact = closed_forms.mandel(closed_forms.laminate([0.5, 0.5], [fourth_order(C) for C in stiffness], [0, 0, 1]))
    places = {"C11": (0, 0), "C12": (0, 1), "C13": (0, 2), "C33": (2, 2), "2 C1212": (3, 3), "2 C2323": (5, 5)}
    return Answer.of(found, {f"{name} (GPa)": (found.tensor[p], exact[p]) for name, p in places.items()})


def fourth_order(C: np.ndarray) -> np.ndarray:
    """``C_ijkl`` of a Mandel matrix, shape (6, 6)."""
    return tensors.symmetric(3).to_fourth_order(C)


@case(
    source="symmetry of the weave (C11 = C22), Voigt and Reuss",
    tolerance=1e-8,
    because="equal by symmetry on this grid; tolerance of the iterative solver",
)
def plain_weave() -> Answer:
    """Plain weave of glass-epoxy yarns in epoxy, half of the volume, on voxels."""
    cell = hmm.cells.plain_weave(0.5, mesh_size=1 / 24)
    yarn = (46.0, 13.0, 0.26, 0.42, 4.8)
    laws = {
        "matrix": Elastic(*EPOXY),
        "warp": Anisotropic.transversely_isotropic(*yarn, axis=(1.0, 0.0, 0.0)),
        "weft": Anisotropic.transversely_isotropic(*yarn, axis=(0.0, 1.0, 0.0)),
    }
    found = hmm.homogenize(cell, laws, newton_options=hmm.NewtonOptions(rtol=1e-10))
    C = found.voigt
    rows = [
        Row("C22 (GPa)", C[1, 1], C[0, 0]),
        Row("C23 (GPa)", C[1, 2], C[0, 2]),
        Row("C2323 (GPa)", C[5, 5], C[4, 4]),
    ]
    return Answer(rows + between(found, "C11 (GPa)", (0, 0)), mesh_of(found))


def between(found: hmm.EffectiveProperties, name: str, place: tuple[int, int]) -> list[Row]:
    """A diagonal component of the stiffness and the bounds of Reuss and Voigt."""
    value, low, high = (float(C[place]) for C in (found.tensor, found.limits.reuss, found.limits.voigt))
    return [Row(f"{name} and Reuss", value, low, ">="), Row(f"{name} and Voigt", value, high, "<=")]


@case(
    source="Hashin and Shtrikman (1963), lower bound of the bulk modulus, which holds for cubic materials; symmetry",
    tolerance=2e-4,
    because="the mesh is not symmetric; C11, C22 and C33 differ by its error",
)
def glass_spheres() -> Answer:
    """Body-centred cubic array of glass spheres in epoxy, fraction 0.3."""
    cell = hmm.cells.sphere(0.3, array="bcc", mesh_size=0.12, order=2)
    found = hmm.homogenize(cell, {"matrix": Elastic(*EPOXY), "inclusion": Elastic(*GLASS)}, degree=2)
    C, (K_s, K_m) = found.voigt, (young / (3 * (1 - 2 * nu)) for young, nu in (GLASS, EPOXY))
    lowest = coated(K_s, K_m, 0.3, 4 / 3 * shear(*EPOXY))
    K = found.tensor[:3, :3].sum() / 9
    rows = [Row("C22 (GPa)", C[1, 1], C[0, 0]), Row("C33 (GPa)", C[2, 2], C[0, 0])]
    return Answer([Row("K (GPa)", float(K), lowest, ">="), *rows], mesh_of(found))


@case(source="Voigt and Reuss", tolerance=1e-10, because="the bounds hold for finite elements too; roundoff")
def short_glass_fibres() -> Answer:
    """Ten short glass fibres of all directions in epoxy, fraction 0.05, aspect ratio 4."""
    cell = hmm.cells.short_fibres(0.05, aspect=4.0, number=10, mesh_size=0.12, seed=2)
    found = hmm.homogenize(cell, GLASS_EPOXY)
    places = {"C11 (GPa)": (0, 0), "C22 (GPa)": (1, 1), "C33 (GPa)": (2, 2), "2 C1212 (GPa)": (3, 3)}
    rows = [row for name, place in places.items() for row in between(found, name, place)]
    return Answer(rows, mesh_of(found))
