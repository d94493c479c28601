"""FE2 problems that others have published or solved."""

from __future__ import annotations

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from support.macro_tools import homogeneous_cell, neo_hooke_rve, value_at
from support.public_fe2 import Cook, benchmark_beam, disc_rve, oofem_beam, pressurised_tube
from support.references_fe2 import BENCHMARK_D, COOK_ELASTIC, COOK_NEO_HOOKE, OOFEM, THICK_CYLINDER

from .cases import Answer, Row, elements_of, group, mesh_of

case = group("FE²")


def answer(problem: hmm.MacroProblem, numbers: dict[str, tuple[float, float]]) -> Answer:
    """(found, reference) by quantity, with the macro mesh and the cell."""
    rows = [Row(name, float(found), float(reference)) for name, (found, reference) in numbers.items()]
    macro = elements_of(problem.u.function_space.mesh)
    return Answer(rows, f"macro: {macro}; cell: {mesh_of(problem.hom.model)}")


@case(
    source="OOFEM, its test fe2structuralmaterial1.in (commit 61698792e534), check block",
    tolerance=5e-8,
    because="the same bilinear elements; eight digits are published",
    quick=True,
)
def oofem_plane_strain() -> Answer:
    """Tip displacement of a beam of five quadrilaterals, a homogeneous cell at each point."""
    u, problem, _ = oofem_beam()
    problem.solve()
    found, exact = value_at(u, (1.0, 0.0)), OOFEM["plane_strain"]
    return answer(problem, {"ux (m)": (found[0], exact[0]), "uy (m)": (found[1], exact[1])})


@case(
    source="biquadratic 64 x 64 elements with the exact stiffness of the cell; `fe2_cook_elastic` of tests/support",
    tolerance=5e-4,
    because="8 x 8 macro elements; the reference is good to 1e-4",
)
def cook_membrane() -> Answer:
    """Mid-point displacement of Cook's membrane, a fibre cell at each point."""
    cook = Cook(disc_rve(), 8)
    cook.load.value = 0.05
    cook.problem.solve()
    found, exact = value_at(cook.u, (48.0, 52.0)), COOK_ELASTIC[64]["mid"]
    return answer(cook.problem, {"ux": (found[0], exact[0]), "uy": (found[1], exact[1])})


@case(
    source="biquadratic elements without a cell, extrapolated; table `cook_membrane` of tests/support",
    tolerance=1e-3,
    because="8 x 8 macro elements",
)
def cook_membrane_at_finite_strain() -> Answer:
    """Mid-point displacement of Cook's membrane with a neo-Hookean cell, 20 % of its length, in four steps."""
    cook = Cook(neo_hooke_rve(homogeneous_cell(), {"matrix": (80.194, 120.29)}), 8)
    for _ in hmm.steps(cook.problem, cook.load, 100.0, 4):
        pass
    return answer(cook.problem, {"uy": (value_at(cook.u, (48.0, 52.0))[1], COOK_NEO_HOOKE["extrapolated"]["mid_uy"])})


@case(
    source="Hill's closed form for an incompressible tube; table `thick_cylinder` of tests/support",
    tolerance=2e-3,
    because="Poisson's ratio 0.4999 instead of 1/2, and 16 elements along the radius that are stiff there",
)
def plastic_tube() -> Answer:
    """Displacements of a tube under inner pressure, plastic up to half of its wall, a J2 cell at each point."""
    exact = THICK_CYLINDER["c=1.5"]
    u, problem, pressure = pressurised_tube(16, hmm.laws.J2(200e3, 0.4999, 240.0, 2000.0))
    for _ in hmm.steps(problem, pressure, exact["p"], 4):
        pass
    inner, outer = (value_at(u, (r, 0.0))[0] for r in (1.0, 2.0))
    return answer(problem, {"u inside (mm)": (inner, exact["ua"]), "u outside (mm)": (outer, exact["ub"])})


@case(
    source="the same problem written by hand in DOLFINx, on the same meshes",
    tolerance=5e-7,
    because="the same discretization; tolerances of Newton's method, and seven digits are printed",
)
def plastic_cantilever() -> Answer:
    """Reaction of a cantilever of 192 elastic-plastic fibre cells in two steps of its tip."""
    problem, tip, drive = benchmark_beam()
    found = [problem.reaction(drive) for _ in hmm.steps(problem, tip, -0.06, 2)]
    numbers = {f"reaction, step {i + 1} (N/mm)": (found[i], BENCHMARK_D[i]) for i in range(2)}
    return answer(problem, numbers)
