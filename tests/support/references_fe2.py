"""Reference numbers of the FE2 tests, copied from the tables of reference values this project was given."""

OOFEM = {"plane_strain": (-0.00020634921, -0.0014238095)}
"""Displacement (m) of node (1, 0) of a beam of five bilinear quadrilaterals, E = 210e9, nu = 0.3.

Source: OOFEM commit 61698792e534, tests/sm/fe2structuralmaterial1.in (check block), table `fe2_plumbing_oofem`.
"""

COOK_ELASTIC = {
    8: {"mid": (-0.31723163, 0.72947253), "tip": (-0.55382479, 0.75482535), "work": 0.036500234},
    64: {"mid": (-0.31702467, 0.72967614), "tip": (-0.56434156, 0.76395439), "work": 0.036588542},
}
"""Cook's membrane, F = 0.05, plane strain; cell: disc of fraction 0.3, E = 10, nu = 0.2, in E = 1, nu = 0.3.

Biquadratic n x n elements; mid = (48, 52), tip = (48, 60), work = f u. Source: table `fe2_cook_elastic`, own Q2 code
with the exact stiffness of the cell; mid good to 1e-4, tip to 2e-3 at n = 32.
"""

COOK_NEO_HOOKE = {
    8: {"mid": (-4.9496377, 8.8932511), "tip": (-7.843465, 8.6560505), "work": 885.92258},
    "extrapolated": {"mid_uy": 8.897, "tip_uy": 8.699},
}
"""Cook's membrane of one neo-Hookean material, mu = 80.194, lambda = 120.29, F = 100.

Source: table `cook_membrane`, own Q2 code; mid good to 2e-4, tip to 1e-3.
"""

COOK_STIFFNESS = {"C1111": 2.0449446, "C1122": 0.75228758, "C1212": 0.55948371}
"""Plane-strain stiffness of the same cell. Source: table `elastic_discs_plane_strain`, square/f=0.3/Ef=10."""

BENCHMARK_D = (-6.560344, -11.468615, -13.232684, -14.037542, -14.616762)
"""Tip reaction (N/mm) of benchmark D at t = 0.2, ..., 1. Source: BENCH.md, hand-written FE2 in plain DOLFINx."""

THICK_CYLINDER = {
    "c=1.5": {"p": 173.58993, "ua": 0.0023382686, "ub": 0.0011691343},
}
"""Tube a = 1, b = 2 (mm), plane strain, E = 200e3, nu = 1/2, sigma_y = 240, H = 2000 (MPa); c = elastic-plastic radius.

Source: table `thick_cylinder`, exact closed form.
"""
