"""Cases with closed forms: laminates, channels, neutral inclusions, and relations that hold for any geometry."""

from __future__ import annotations

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

import numpy as np
from support import closed_forms, references
from support.cells_and_rves import follow, neo_hookean_rve, strain_rve

from hmm.foundation import tensors
from hmm.laws import J2, Elastic, ThermoElastic

from .cases import Answer, Row, group, mesh_of

case = group("Closed forms")

LINEAR = "linear elements contain the exact field; roundoff"
DIGITS = "linear elements contain the exact field; the reference has eight digits"
A, B = (70e3, 0.33), (400e3, 0.2)
"""Young's modulus (MPa) and Poisson's ratio of two layers of fractions 0.6 and 0.4, the normal along axis 1."""
FRACTIONS = {"A": 0.6, "B": 0.4}


@case(source="Backus (1962), closed form", tolerance=1e-9, because=LINEAR, quick=True)
def laminate_stiffness() -> Answer:
    """Stiffness of a laminate of two isotropic layers, contrast 6."""
    cell = hmm.cells.laminate(FRACTIONS, dim=3, mesh_size=0.5)
    found = hmm.homogenize(cell, {"A": Elastic(*A), "B": Elastic(*B)})
    C, exact = found.voigt, closed_forms.backus([0.6, 0.4], [A, B])
    return Answer.of(
        found,
        {
            "C1111 (MPa)": (C[0, 0], exact[0, 0, 0, 0]),
            "C1122 (MPa)": (C[0, 1], exact[0, 0, 1, 1]),
            "C2222 (MPa)": (C[1, 1], exact[1, 1, 1, 1]),
            "C2323 (MPa)": (C[5, 5], exact[1, 2, 1, 2]),
            "C1212 (MPa)": (C[3, 3], exact[0, 1, 0, 1]),
        },
    )


@case(source="closed form, table `laminate_linear` of tests/support", tolerance=1e-7, because=DIGITS, quick=True)
def laminate_expansion() -> Answer:
    """Thermal stress, expansion and conductivity of the same laminate."""
    laws = {
        "A": ThermoElastic(*A, 23e-6, 200.0, 2.4, reference_temperature=300.0),
        "B": ThermoElastic(*B, 5e-6, 30.0, 3.1, reference_temperature=300.0),
    }
    cell = hmm.cells.laminate(FRACTIONS, mesh_size=0.5)
    found = hmm.homogenize(cell, laws, physics="thermoelasticity", out_of_plane=True)
    exact, alpha, k = references.LAMINATE_THERMAL, found.thermal_expansion, found.conductivity
    return Answer.of(
        found,
        {
            "beta1 (MPa/K)": (found.thermal_stress[0], exact["beta1"]),
            "beta2 (MPa/K)": (found.thermal_stress[1], exact["beta2"]),
            "alpha1 (1/K)": (alpha[0], exact["alpha1"]),
            "alpha2 (1/K)": (alpha[1], exact["alpha2"]),
            "k11 (W/mK)": (k[0, 0], exact["k_normal"]),
            "k22 (W/mK)": (k[1, 1], exact["k_parallel"]),
        },
    )


@case(
    source="implicit laminate solver, confirmed by a rate form; table `laminate_j2` of tests/support",
    tolerance=1e-4,
    because="400 steps between the levels in the reference, 40 here",
)
def laminate_plasticity() -> Answer:
    """Stress of a laminate of a J2 and an elastic layer on a path of mixed strain, at the last level."""
    laws = {"A": J2(*A, yield_stress=100.0, hardening=1000.0), "B": Elastic(*B)}
    rve = strain_rve(hmm.cells.laminate(FRACTIONS, dim=3, mesh_size=1.0), laws)
    direction = np.array([[0.2, 0.5, 0], [0.5, 1.0, 0], [0, 0, -0.4]])
    levels = np.interp(np.linspace(0, 5, 201), range(6), (0.0, *references.LAMINATE_J2_LEVELS))[1:]
    s = follow(rve, [level * direction for level in levels])[-1].stress
    exact = references.LAMINATE_J2["mixed"][-1]
    found = (s[0, 0], s[1, 1], s[2, 2], s[0, 1])
    names = ("s11 (MPa)", "s22 (MPa)", "s33 (MPa)", "s12 (MPa)")
    return Answer.of(rve, dict(zip(names, zip(found, exact, strict=False), strict=True)))


@case(source="jump conditions, table `laminate_neohooke` of tests/support", tolerance=2e-7, because=DIGITS, quick=True)
def laminate_finite_strain() -> Answer:
    """First Piola-Kirchhoff stress, energy and tangent of a neo-Hookean laminate under a large stretch and shear."""
    exact = references.LAMINATE_NEOHOOKE["normal 1"]
    cell = hmm.cells.laminate({"one": 0.7, "two": 0.3}, normal=exact["normal"], mesh_size=0.5)
    rve, density = neo_hookean_rve(cell, {"one": (1.0, 2.0), "two": (10.0, 15.0)})
    response = rve.solve(exact["F"])
    P, A = response.stress, tensors.general(2, 2).to_fourth_order(response.tangent)
    return Answer.of(
        rve,
        {
            "P11": (P[0, 0], exact["P"][0][0]),
            "P12": (P[0, 1], exact["P"][0][1]),
            "W": (sum(rve.average(W, phase) for phase, W in density.items()), exact["W"]),
            "A1111": (A[0, 0, 0, 0], exact["A_1111"]),
            "A1212": (A[0, 1, 0, 1], exact["A_1212"]),
            "A1122": (A[0, 0, 1, 1], exact["A_1122"]),
        },
    )


# -- flow ----------------------------------------------------------------------------------------------------------


def channel(shape: tuple[int, ...], half: float) -> hmm.Cell:
    """The fluid of a channel along the last axis, 2 `half` wide in the others."""
    x = [np.abs((np.arange(n) + 0.5) / n - 0.5) < half for n in shape[:-1]]
    inside = np.ones(shape, dtype=int)
    for axis, mask in enumerate(x):
        inside &= mask.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    spacing = [1.0 / n for n in shape[:-1]] + [1.0 / shape[0]]
    return hmm.images.image_cell(inside, {"wall": 0, "fluid": 1}, void="wall", physics="flow", spacing=spacing)


@case(source="plane Poiseuille flow, h^3/12", tolerance=1e-9, because="quadratic velocities contain it", quick=True)
def flow_between_plates() -> Answer:
    """Permeability of a channel of height 1/2 in a cell of height 1."""
    found = hmm.homogenize(channel((4, 4), 0.25), {"fluid": 2.0}, physics="flow")
    along, across = found.tensor[1, 1], found.tensor[0, 0]
    rows = [Row("k along", along, 0.5**3 / 12), Row("k across", across, 0.0, scale=0.5**3 / 12)]
    return Answer(rows, mesh_of(found))


@case(
    source="Fourier series of the square duct, table `permeability_channels` of tests/support",
    tolerance=1e-3,
    because="8 x 8 elements across the duct; 3e-3 with 4 x 4",
)
def flow_in_a_square_duct() -> Answer:
    """Permeability of a duct of side 1/2, per open area and squared side."""
    found = hmm.homogenize(channel((16, 16, 2), 0.25), {"fluid": 2.0}, physics="flow")
    return Answer.of(found, {"k / side^2": (found.tensor[2, 2] / 0.5**4, references.PERMEABILITY_SQUARE_DUCT)})


# -- inclusions -----------------------------------------------------------------------------------------------------


def coated(fibre: float, coat: float, fraction: float, stiffness: float) -> float:
    """Modulus of a medium that a coated inclusion does not disturb: Hashin (1962).

    `stiffness` is that of the coat against the shape: its conductivity, its shear modulus, or 4/3 of that in space.
    """
    return coat + fraction / (1 / (fibre - coat) + (1 - fraction) / (coat + stiffness))


@case(
    source="neutral inclusion: Hashin (1962), Hashin and Shtrikman (1962)",
    tolerance=1e-5,
    because="discretization error of curved quadratic elements",
    quick=True,
)
def coated_fibres_conduct() -> Answer:
    """Coated fibres in a matrix that they do not disturb: the cell conducts as the matrix does."""
    k = coated(10.0, 0.5, (0.3 / 0.4) ** 2, 0.5)
    cell = hmm.cells.fibre(radius=0.3, interface=0.1, mesh_size=0.05, order=2)
    laws = {"matrix": k, "interface": 0.5, "fibre": 10.0}
    found = hmm.homogenize(cell, laws, physics="conduction", degree=2)
    return Answer.of(found, {"k11": (found.tensor[0, 0], k), "k22": (found.tensor[1, 1], k)})


def plane_moduli(young: float, poisson: float) -> tuple[float, float]:
    """Plane-strain bulk and shear modulus."""
    lame, mu = closed_forms.lame_constants(young, poisson)
    return lame + mu, mu


def isotropic(bulk: float, shear: float, dim: int) -> Elastic:
    """The law with a bulk modulus, in plane strain if `dim` is 2."""
    lame = bulk - 2 * shear / dim
    return Elastic(shear * (3 * lame + 2 * shear) / (lame + shear), lame / (2 * (lame + shear)))


@case(
    source="neutral inclusion: Hashin and Rosen (1964), composite cylinders",
    tolerance=1e-5,
    because="discretization error of curved quadratic elements",
    quick=True,
)
def coated_fibres() -> Answer:
    """Coated fibres that a matrix under plane hydrostatic strain does not notice."""
    fibre, coat = (10.0, 0.2), (0.5, 0.35)
    (k_f, _), (k_c, mu_c) = plane_moduli(*fibre), plane_moduli(*coat)
    k = coated(k_f, k_c, (0.3 / 0.4) ** 2, mu_c)
    cell = hmm.cells.fibre(radius=0.3, interface=0.1, mesh_size=0.05, order=2)
    laws = {"matrix": isotropic(k, 1.0, 2), "interface": Elastic(*coat), "fibre": Elastic(*fibre)}
    found = hmm.homogenize(cell, laws, degree=2)
    return Answer.of(found, {"plane bulk modulus": (np.array([1, 1, 0]) @ found.tensor @ [1, 1, 0] / 4, k)})


@case(
    source="neutral inclusion: Hashin (1962), composite spheres",
    tolerance=1e-3,
    because="discretization error: coarse tetrahedra, for a short time",
)
def coated_spheres() -> Answer:
    """Coated spheres that a matrix under hydrostatic strain does not notice."""
    sphere, coat = Elastic(10.0, 0.2), Elastic(0.5, 0.35)
    K_s, K_c, mu_c = 10.0 / (3 * 0.6), 0.5 / (3 * 0.3), 0.5 / 2.7
    K = coated(K_s, K_c, (0.3 / 0.4) ** 3, 4 / 3 * mu_c)
    cell = hmm.cells.sphere(radius=0.3, interface=0.1, mesh_size=0.2, order=2)
    laws = {"matrix": isotropic(K, 1.0, 3), "interface": coat, "inclusion": sphere}
    found = hmm.homogenize(cell, laws, degree=2)
    one = np.array([1, 1, 1, 0, 0, 0])
    return Answer.of(found, {"bulk modulus": (one @ found.tensor @ one / 9, K)})


@case(
    source="Obnosov (1999), sqrt((1 + 3k)/(3 + k))",
    tolerance=1e-3,
    because="the gradient is singular at the corners of the squares",
    quick=True,
)
def square_inclusions_conduct() -> Answer:
    """Square inclusions of fraction 1/4 on a mesh aligned with them, contrast 10 and 0.1."""
    labels = np.zeros((32, 32), dtype=int)
    labels[8:24, 8:24] = 1
    cell = hmm.cells.voxels(labels, {"matrix": 0, "inclusion": 1})
    numbers = {}
    for k in (10.0, 0.1):
        found = hmm.homogenize(cell, {"matrix": 1.0, "inclusion": k}, physics="conduction", degree=2, solver="direct")
        numbers[f"k11, contrast {k:g}"] = (found.tensor[0, 0], np.sqrt((1 + 3 * k) / (3 + k)))
    return Answer.of(found, numbers)


@case(
    source="Keller (1964), Dykhne (1970): sqrt(k1 k2)",
    tolerance=2e-2,
    because="strong singularity at the corners, where four squares meet: the slowest convergence of all cases",
)
def checkerboard_conducts() -> Answer:
    """A chequerboard of contrast 10."""
    cell = hmm.cells.checkerboard(mesh_size=1 / 64)
    found = hmm.homogenize(cell, {"white": 1.0, "black": 10.0}, physics="conduction", degree=2, solver="direct")
    return Answer.of(found, {"k11": (found.tensor[0, 0], np.sqrt(10.0))})


# -- any geometry -----------------------------------------------------------------------------------------------------


@case(
    source="Hill (1964): for equal shear moduli 1/C11 is the mean of 1/(lambda + 2 mu)",
    tolerance=1e-5,
    because="discretization error of curved quadratic elements",
    quick=True,
)
def equal_shear_moduli() -> Answer:
    """Fibres that differ from the matrix in their bulk modulus alone: exact for any arrangement."""
    cell = hmm.cells.fibre(0.4, array="hexagonal", mesh_size=0.05, order=2)
    found = hmm.homogenize(cell, {"matrix": isotropic(2.0, 1.0, 2), "fibre": isotropic(20.0, 1.0, 2)}, degree=2)
    C, C11 = found.voigt, 1 / (0.6 / 3 + 0.4 / 21)
    return Answer.of(found, {"C11": (C[0, 0], C11), "C12": (C[0, 1], C11 - 2), "C66": (C[2, 2], 1.0)})


@case(
    source="mean of the free strains (Vegard's rule), exact for equal stiffness",
    tolerance=1e-9,
    because="the meshed fraction is scaled to the requested one; roundoff",
    quick=True,
)
def equal_stiffness_expands() -> Answer:
    """Expansion of phases with the same stiffness and different free strain."""
    laws = {
        "matrix": ThermoElastic(1.0, 0.3, 20e-6, reference_temperature=300.0),
        "fibre": ThermoElastic(1.0, 0.3, 5e-6, reference_temperature=300.0),
    }
    cell = hmm.cells.fibre(0.4, mesh_size=0.2)
    found = hmm.homogenize(cell, laws, physics="thermoelasticity", out_of_plane=True)
    alpha, exact = found.thermal_expansion, 0.6 * 20e-6 + 0.4 * 5e-6
    return Answer.of(found, {f"alpha{i + 1}": (alpha[i], exact) for i in range(3)})


@case(
    source="Levin (1967), Rosen and Hashin (1970): expansion of two phases from their stiffness",
    tolerance=1e-7,
    because="finite elements satisfy the relation too, on any mesh; roundoff of two solutions",
    quick=True,
)
def expansion_from_stiffness() -> Answer:
    """Expansion of a fibre composite; the reference takes only the stiffness that was found."""
    materials = {"matrix": (*A, 23e-6), "fibre": (*B, 5e-6)}
    laws = {name: ThermoElastic(*m, reference_temperature=300.0) for name, m in materials.items()}
    cell = hmm.cells.fibre(0.3, mesh_size=0.1)
    found = hmm.homogenize(cell, laws, physics="thermoelasticity", out_of_plane=True)
    K = {name: young / (3 * (1 - 2 * nu)) for name, (young, nu, _) in materials.items()}
    phase, one = slice(0, 3), np.ones(3)
    slope = (5e-6 - 23e-6) / (1 / K["fibre"] - 1 / K["matrix"])
    exact = 23e-6 + slope * (3 * found.compliance[phase, phase] @ one - 1 / K["matrix"])
    return Answer.of(found, {f"alpha{i + 1} (1/K)": (found.thermal_expansion[i], exact[i]) for i in range(3)})
