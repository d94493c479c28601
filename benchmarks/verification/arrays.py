"""Periodic arrays of cylinders and spheres, against series and other solvers that converge exponentially."""

from __future__ import annotations

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from math import pi, sqrt

import numpy as np
from support import references
from support.cells_and_rves import follow, strain_rve

from hmm.laws import J2, Elastic

from .cases import Answer, group
from .series import conductivity_of_cylinders

case = group("Periodic arrays")

CURVED = "discretization error of curved quadratic elements"
SPACE = "discretization error of curved quadratic tetrahedra; of fourth order in their size"
RAYLEIGH = "Rayleigh's multipoles, computed here: Perrins, McKenzie and McPhedran (1979)"


def radius(fraction: float, array: str) -> float:
    """Radius of cylinders of a fraction; their distance is 1."""
    return sqrt(fraction * {"square": 1.0, "hexagonal": sqrt(3) / 2}[array] / pi)


def conducting(array: str, fraction: float, contrasts: tuple[float, ...], mesh_size: float) -> Answer:
    """k11 of an array for several contrasts; 0 stands for holes."""
    numbers = {}
    for k in contrasts:
        cell = hmm.cells.fibre(fraction, array=array, mesh_size=mesh_size, order=2, void=not k)
        laws = {"matrix": 1.0, **({"fibre": k} if k else {})}
        found = hmm.homogenize(cell, laws, physics="conduction", degree=2)
        exact = conductivity_of_cylinders(array, [radius(fraction, array)], [k])
        numbers[f"k11, contrast {k:g}"] = (found.tensor[0, 0], exact)
    return Answer.of(found, numbers)


@case(source=RAYLEIGH, tolerance=1e-5, because=CURVED, quick=True)
def square_array_conducts() -> Answer:
    """Conductivity of a square array of cylinders, fraction 0.3, from holes to contrast 100."""
    return conducting("square", 0.3, (0, 0.1, 10, 100), 0.05)


@case(source=RAYLEIGH, tolerance=1e-5, because=CURVED)
def hexagonal_array_conducts() -> Answer:
    """Conductivity of a hexagonal array of cylinders, fraction 0.6, from holes to contrast 100."""
    return conducting("hexagonal", 0.6, (0, 0.1, 10, 100), 0.04)


@case(source=RAYLEIGH, tolerance=2e-4, because="narrow gaps of 0.023 between cylinders of contrast 100")
def dense_square_array_conducts() -> Answer:
    """Conductivity of a square array of cylinders that almost touch, fraction 0.75."""
    return conducting("square", 0.75, (100,), 0.03)


@case(
    source="Rayleigh's multipoles of coated cylinders, computed here: Nicorovici, McPhedran and Milton (1993)",
    tolerance=1e-5,
    because=CURVED,
    quick=True,
)
def coated_array_conducts() -> Answer:
    """Conductivity of a square array of cylinders with a poorly conducting coat."""
    cell = hmm.cells.fibre(radius=0.3, interface=0.05, mesh_size=0.05, order=2)
    laws = {"matrix": 1.0, "interface": 0.05, "fibre": 20.0}
    found = hmm.homogenize(cell, laws, physics="conduction", degree=2)
    return Answer.of(found, {"k11": (found.tensor[0, 0], conductivity_of_cylinders("square", [0.3, 0.35], [20, 0.05]))})


@case(
    source="multipoles of spheres: McPhedran and McKenzie (1978); table `conductivity_spheres` of tests/support",
    tolerance=5e-5,
    because="cubic elements on curved tetrahedra of degree 2",
)
def cubic_array_conducts() -> Answer:
    """Conductivity of a simple cubic array of spheres, fraction 0.1, holes and contrast 10."""
    numbers = {}
    for k, exact in references.CONDUCTIVITY_SPHERES_SC.items():
        cell = hmm.cells.sphere(0.1, mesh_size=0.1, order=2, void=not k)
        laws = {"matrix": 1.0, **({"inclusion": k} if k else {})}
        found = hmm.homogenize(cell, laws, physics="conduction", degree=3)
        numbers[f"k11, contrast {k:g}"] = (found.tensor[0, 0], exact)
    return Answer.of(found, numbers)


@case(
    source="Kolosov-Muskhelishvili Trefftz solver; table `elastic_discs_plane_strain` of tests/support",
    tolerance=1e-4,
    because=CURVED,
    quick=True,
)
def square_array_in_plane_strain() -> Answer:
    """Stiffness of a square array of fibres in plane strain, fraction 0.3, contrast 10, with C1133."""
    cell = hmm.cells.fibre(0.3, mesh_size=0.05, order=2)
    found = hmm.homogenize(
        cell, {"matrix": Elastic(1.0, 0.3), "fibre": Elastic(10.0, 0.2)}, degree=2, out_of_plane=True
    )
    return Answer.of(found, in_plane(found, references.ELASTIC_DISCS_SQUARE[10]))


def in_plane(found: hmm.EffectiveProperties, exact: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Components of a plane stiffness with the component 33 beside their references."""
    places = {"C1111": (0, 0), "C1122": (0, 1), "C1133": (0, 2), "C1212": (3, 3)}
    return {name: (found.voigt[place], exact[name]) for name, place in places.items() if name in exact}


@case(
    source="Kolosov-Muskhelishvili Trefftz solver; table `elastic_discs_plane_strain` of tests/support",
    tolerance=2e-4,
    because=CURVED,
)
def holes_and_stiff_fibres() -> Answer:
    """Stiffness of a square array of holes, and of fibres of contrast 100, in plane strain, fraction 0.3."""
    numbers = {}
    for E in (0, 100):
        cell = hmm.cells.fibre(0.3, mesh_size=0.04, order=2, void=not E)
        laws = {"matrix": Elastic(1.0, 0.3), **({"fibre": Elastic(float(E), 0.2)} if E else {})}
        found = hmm.homogenize(cell, laws, degree=2, out_of_plane=True)
        rows = in_plane(found, references.ELASTIC_DISCS_SQUARE[E])
        numbers |= {f"{name}, Ef = {E}": row for name, row in rows.items()}
    return Answer.of(found, numbers)


@case(
    source="method of fundamental solutions; table `elastic_spheres_sc` of tests/support",
    tolerance=1e-3,
    because=SPACE,
)
def cubic_array_of_spheres() -> Answer:
    """Stiffness of a simple cubic array of spheres, fraction 0.1, contrast 10."""
    cell = hmm.cells.sphere(0.1, mesh_size=0.08, order=2)
    found = hmm.homogenize(cell, {"matrix": Elastic(1.0, 0.3), "inclusion": Elastic(10.0, 0.3)}, degree=2)
    C, exact = found.voigt, references.ELASTIC_SPHERES_SC[10]
    return Answer.of(
        found, {"C11": (C[0, 0], exact["C11"]), "C12": (C[0, 1], exact["C12"]), "C44": (C[3, 3], exact["C44"])}
    )


@case(
    source="method of fundamental solutions; table `elastic_spheres_sc` of tests/support",
    tolerance=1e-3,
    because=SPACE,
)
def cubic_array_of_pores() -> Answer:
    """Stiffness of a simple cubic array of pores, fraction 0.1."""
    found = hmm.homogenize(
        hmm.cells.sphere(0.1, mesh_size=0.08, order=2, void=True), {"matrix": Elastic(1.0, 0.3)}, degree=2
    )
    C, exact = found.voigt, references.ELASTIC_SPHERES_SC[0]
    return Answer.of(
        found, {"C11": (C[0, 0], exact["C11"]), "C12": (C[0, 1], exact["C12"]), "C44": (C[3, 3], exact["C44"])}
    )


@case(
    source="Trefftz solver, which gives Sangani and Acrivos (1982), table 1; `permeability_cylinders` of tests/support",
    tolerance=5e-4,
    because="quadratic velocities on curved elements; 6e-5 with edges of 0.03",
)
def flow_across_cylinders() -> Answer:
    """Drag F/(mu U) of a square array of cylinders, fractions 0.1, 0.2 and 0.4: the permeability is 1/F."""
    numbers = {}
    for fraction, k in references.PERMEABILITY_CYLINDERS.items():
        cell = hmm.cells.fibre(fraction, mesh_size=0.05, void=True, order=2, match_fraction=False)
        found = hmm.homogenize(cell, {"matrix": 1.0}, physics="flow")
        numbers[f"F/(mu U), fraction {fraction:g}"] = (1 / found.tensor[0, 0], 1 / k)
    return Answer.of(found, numbers)


@case(
    source="Trefftz solver, confirmed by finite elements; table `permeability_cylinders` of tests/support",
    tolerance=5e-4,
    because="quadratic velocities on curved elements",
)
def flow_along_cylinders() -> Answer:
    """Permeability along a square array of cylinders, fraction 0.4, in squared radii."""
    fluid = hmm.cells.fibre(0.4, mesh_size=0.08, void=True, order=2, match_fraction=False)
    found = hmm.homogenize(hmm.cells.extrude(fluid, 0.1), {"matrix": 1.0}, physics="flow")
    a = radius(0.4, "square")
    return Answer.of(found, {"k / a^2": (found.tensor[2, 2] / a**2, references.AXIAL_PERMEABILITY_CYLINDERS[0.4])})


@case(
    source="method of fundamental solutions, as Zick and Homsy (1982); table `permeability_spheres` of tests/support",
    tolerance=1e-2,
    because="coarse tetrahedra, 0.6 % with edges of 0.1; 2.2 % with edges of 0.15",
)
def flow_around_spheres() -> Answer:
    """Drag F/(6 pi mu a U) of a simple cubic array of spheres, fraction 0.125."""
    cell = hmm.cells.sphere(0.125, mesh_size=0.1, void=True, order=2, match_fraction=False)
    found = hmm.homogenize(cell, {"matrix": 1.0}, physics="flow")
    a = (3 * 0.125 / (4 * pi)) ** (1 / 3)
    k = references.PERMEABILITY_SPHERES_SC[0.125]
    return Answer.of(found, {"K": (1 / (6 * pi * a * np.trace(found.tensor) / 3), 1 / (6 * pi * a * k))})


@case(
    source="body-fitted biquadratic elements, confirmed by FFT; table `j2_disc_composite` of tests/support",
    tolerance=2e-3,
    because="the reference is good to 1e-3; the matrix flows in narrow bands",
)
def plastic_array_in_shear() -> Answer:
    """Shear stress of a square array of elastic fibres in a J2 matrix, 20 steps of E12 = 5e-4."""
    cell = hmm.cells.fibre(0.3, mesh_size=0.05, order=2)
    laws = {"matrix": J2(70e3, 0.3, yield_stress=100.0, hardening=1000.0), "fibre": Elastic(400e3, 0.2)}
    rve = strain_rve(cell, laws, degree=2)
    path = [np.array([[0.0, E], [E, 0.0]]) for E in 5e-4 * np.arange(1, 21)]
    stresses = [response.stress[0, 1] for response in follow(rve, path)]
    steps = (1, 2, 5, 10, 20)
    return Answer.of(
        rve, {f"s12, step {n} (MPa)": (stresses[n - 1], references.J2_DISCS_SHEAR_S12[n - 1]) for n in steps}
    )
