"""Reference numbers, copied from the tables of reference values this project was given.

They were computed apart from this package, by the methods named beside each. The tables print eight digits, so a
comparison with a number that is exact by construction is good to 1e-7 at best.
"""

LAMINATE_LINEAR = {
    "C11": 149586.96,
    "C12": 59164.992,
    "C22": 237200.5,
    "C23": 72288.222,
    "C44": 82456.14,
    "C55": 39682.54,
}
"""Layer normal along axis 1; A: E=70e3, nu=0.33, fraction 0.6; B: E=400e3, nu=0.2; MPa, C44=C2323, C55=C1212.

Source: Backus (1962) / Postma (1955) closed form, table `laminate_linear`; exact.
"""

LAMINATE_J2_LEVELS = (0.001, 0.002, 0.004, 0.008, 0.012)
LAMINATE_J2 = {
    "e11": [
        (149.58696, 59.164992, 59.164992, 0.0, 0.0),
        (268.26209, 127.37624, 127.37624, 0.0, 0.0),
        (476.87139, 272.2097, 272.2097, 0.0, 0.0),
        (894.08999, 561.87661, 561.87661, 0.0, 0.0),
        (1311.3086, 851.54352, 851.54352, 0.0, 0.0),
    ],
    "e22": [
        (59.164992, 237.2005, 72.288222, 0.0, 0.0),
        (118.68538, 473.8593, 144.91014, 0.0, 0.0),
        (262.91053, 909.32564, 313.26497, 0.0, 0.0),
        (552.26116, 1780.2483, 649.45766, 0.0, 0.0),
        (841.88095, 2651.1701, 985.49368, 0.0, 0.0),
    ],
    "gamma12": [
        (0.0, 0.0, 0.0, 39.68254, 0.0),
        (0.0, 0.0, 0.0, 58.033667, 0.0),
        (0.0, 0.0, 0.0, 59.129437, 0.0),
        (0.0, 0.0, 0.0, 61.320978, 0.0),
        (0.0, 0.0, 0.0, 63.512518, 0.0),
    ],
    "gamma23": [
        (0.0, 0.0, 0.0, 0.0, 82.45614),
        (0.0, 0.0, 0.0, 0.0, 164.91228),
        (0.0, 0.0, 0.0, 0.0, 301.66438),
        (0.0, 0.0, 0.0, 0.0, 569.12104),
        (0.0, 0.0, 0.0, 0.0, 836.5777),
    ],
    "mixed": [
        (65.416388, 220.11821, -10.758981, 39.68254, 0.0),
        (129.79523, 419.42168, -0.095948502, 43.912102, 0.0),
        (258.4124, 816.19562, 23.145357, 45.657952, 0.0),
        (515.65495, 1610.5627, 68.803987, 47.969076, 0.0),
        (772.89876, 2405.012, 114.37964, 50.164127, 0.0),
    ],
}
"""Rows (s11, s22, s33, s12, s23) in MPa at the levels above; layer normal along axis 1, fractions 0.6/0.4.

A: J2, E=70e3, nu=0.33, sy=100, H=1000; B: elastic, E=400e3, nu=0.2. Macro strain = level * direction, where gamma12
means eps12 = level/2. 400 backward-Euler sub-steps per segment between levels.
Source: implicit laminate solver, table `laminate_j2`, case A_plastic_B_elastic; 1e-4, far better where radial.
"""

LAMINATE_NEOHOOKE = {
    "normal 1": {
        "normal": 0,
        "F": ((1.3, 0.4), (0.0, 0.9)),
        "P": ((1.0226685, 0.50977731), (0.33695707, 0.051888474)),
        "W": 0.26897785,
        "A_1111": 3.2644088,
        "A_1212": 2.390983,
        "A_1122": 2.0226934,
        "F_phase1": ((1.4411979, 0.4), (0.15094401, 0.9)),
    },
    "normal 2": {
        "normal": 1,
        "F": ((1.5, 0.0), (0.0, 1.0)),
        "P": ((4.2472975, 0.0), (0.0, 1.0042767)),
        "W": 1.1723852,
        "A_1111": 6.377381,
        "A_1212": 1.369863,
        "A_1122": 1.5642338,
        "F_phase1": ((1.5, 0.0), (0.0, 1.0644839)),
    },
}
"""Plane strain, W = mu/2 (F:F - 2 - 2 ln J) + lam/2 (ln J)^2; phase 1 mu=1, lam=2, fraction 0.7; phase 2 mu=10, lam=15.

Source: exact jump-condition solver, table `laminate_neohooke`; machine precision.
"""

ELASTIC_DISCS_SQUARE = {
    0: {"C1111": 0.59253576, "C1122": 0.17387541, "C1212": 0.12195506, "C1133": 0.22992335},
    0.1: {"C1111": 0.69819808, "C1122": 0.22484151, "C1212": 0.17893738, "C1133": 0.26912716},
    10: {"C1111": 2.0449446, "C1122": 0.75228758, "C1212": 0.55948371, "C1133": 0.73770521},
    100: {"C1111": 2.2397114, "C1122": 0.80755655, "C1212": 0.58809008, "C1133": 0.80018285},
}
ELASTIC_DISCS_SQUARE_RIGID = {"C1111": 2.2647063, "C1122": 0.81421539, "C1212": 0.59150802}
"""Plane strain, square array of discs, f=0.3, by Ef (0: void), and rigid ones; matrix E=1, nu=0.3; discs nu=0.2.

Source: Kolosov-Muskhelishvili Trefftz solver, table `elastic_discs_plane_strain`; seven digits.
"""

ELASTIC_SPHERES_SC = {
    0: {"C11": 1.0764448, "C12": 0.42938441, "C44": 0.31234968},
    10: {"C11": 1.577524, "C12": 0.64833072, "C44": 0.45110621},
}
"""Simple cubic array of spheres, f=0.1, by Ef (0: void); matrix E=1, nu=0.3; spheres nu=0.3.

Source: method of fundamental solutions, table `elastic_spheres_sc`; 1e-6 or better.
"""

CONDUCTIVITY_DISCS_SQUARE = {0: 0.53757998, 0.1: 0.60531368, 10: 1.652036, 100: 1.8359191}
"""k/k_matrix of a square array of discs, f=0.3, by contrast k_disc/k_matrix.

Source: Rayleigh multipoles (Perrins, McKenzie, McPhedran 1979), table `conductivity_cylinders`; eight digits.
"""

CONDUCTIVITY_SPHERES_SC = {0: 0.8571119, 10: 1.2433385}
"""k/k_matrix of a simple cubic array of spheres, f=0.1, by contrast.

Source: Rayleigh multipoles (McPhedran, McKenzie 1978), table `conductivity_spheres`; seven digits.
"""

J2_DISCS_SHEAR_S12 = (
    *(37.677262, 57.710038, 58.588411, 59.157169, 59.718517, 60.275213, 60.828528, 61.379387, 61.928151, 62.47506),
    *(63.020415, 63.564366, 64.107126, 64.648745, 65.189376, 65.729127, 66.268044, 66.806226, 67.343668, 67.880463),
)
"""s12 in MPa for E12 = 5e-4, 1e-3, ..., 1e-2, one backward-Euler step each; square array of discs, f=0.3, plane strain.

Matrix J2 E=70e3, nu=0.3, sy=100, H=1000; discs elastic E=400e3, nu=0.2.
Source: body-fitted Q2 elements (n=24), confirmed by FFT, table `j2_disc_composite`; 0.1 %.
"""

LAMINATE_THERMAL = {
    "beta1": 4.5465506,
    "beta2": 4.2400536,
    "alpha1": 2.3040909e-05,
    "alpha2": 9.2954545e-06,
    "k_normal": 61.22449,
    "k_parallel": 132.0,
}
"""Thermal stress in MPa/K, expansion in 1/K and conductivity of the laminate of `LAMINATE_LINEAR`.

A: alpha=23e-6, k=200; B: alpha=5e-6, k=30.

Source: closed form, table `laminate_linear`; exact.
"""

PERMEABILITY_CYLINDERS = {0.1: 0.040271145, 0.2: 0.01940732, 0.4: 0.0045893809}
"""Transverse permeability of a square array of cylinders by solid fraction, in squared distances of their centres.

Source: Trefftz solver, agrees with Sangani and Acrivos (1982); table `permeability_cylinders`; 1e-6.
"""

AXIAL_PERMEABILITY_CYLINDERS = {0.4: 0.099186799}
"""Permeability along the same cylinders by solid fraction, in squared radii; same source and table."""

PERMEABILITY_SPHERES_SC = {0.125: 0.039854154}
"""Permeability of a simple cubic array of spheres by solid fraction, in squared edges of the cube.

Source: method of fundamental solutions, agrees with Zick and Homsy (1982); table `permeability_spheres`; 1e-6.
"""

PERMEABILITY_SQUARE_DUCT = 0.035144254
"""Permeability per open area of a square duct of side 1; closed form, table `permeability_channels`."""

POROUS_CYLINDER = {1.1: 0.47622346, 1.5: 1.1074385}
"""P11 by stretch of an incompressible neo-Hookean hollow cylinder, porosity 0.2, mu=1, its outer surface stretched.

Source: closed form, table `porous_neohooke_cylinder`; exact.
"""
