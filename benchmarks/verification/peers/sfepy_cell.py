"""The stiffness by SfePy: its homogenization engine, as in its example linear_homogenization.py."""

import sys
import tempfile

import numpy as np
import sfepy.discrete.fem.periodic as periodic
import sfepy.homogenization.coefs_base as cb
from problem import Problem
from sfepy.base.base import Struct
from sfepy.base.conf import ProblemConf
from sfepy.discrete.fem import Mesh
from sfepy.discrete.fem.meshio import UserMeshIO
from sfepy.homogenization.homogen_app import HomogenizationApp
from sfepy.homogenization.utils import define_box_regions
from sfepy.mechanics.matcoefs import stiffness_from_youngpoisson

DESCRIPTIONS = {"triangle": "2_3", "tetrahedron": "3_4", "hexahedron": "3_8"}


def definition(problem: Problem) -> dict:
    """The problem as SfePy's declarative dictionary."""
    dim, axes = problem.dim, "xyz"[: problem.dim]
    lower = problem.points.min(axis=0)
    eps = 1e-6

    def mesh_hook(mesh, mode):
        if mode == "read":
            groups = [problem.tags.astype(np.int32)], [DESCRIPTIONS[problem.kind]]
            return Mesh.from_data("cell", problem.points, None, [problem.elements.astype(np.int32)], *groups)
        return None

    regions = {"Y": "all"} | {f"Y{tag:g}": f"cells of group {tag:g}" for tag in problem.moduli[:, 0]}
    regions |= define_box_regions(dim, tuple(lower), tuple(lower + problem.size), eps)
    D = {f"Y{tag:g}": stiffness_from_youngpoisson(dim, E, nu, plane="strain") for tag, E, nu in problem.moduli}
    sides = {"x": "match_y_line", "y": "match_x_line"}  # points of opposite lines have one coordinate in common
    sides = {axis: f"match_{axis}_plane" for axis in axes} if dim == 3 else sides
    pairs = {"x": ["Left", "Right"], "y": ["Near", "Far"] if dim == 3 else ["Bottom", "Top"], "z": ["Bottom", "Top"]}
    correctors = {
        "requires": ["pis"],
        "ebcs": ["fixed_u"],
        "epbcs": [f"periodic_{axis}" for axis in axes],
        "equations": {"balance": "dw_lin_elastic.i.Y(mat.D, v, u) = - dw_lin_elastic.i.Y(mat.D, v, Pi)"},
        "set_variables": [("Pi", "pis", "u")],
        "class": cb.CorrDimDim,
        "is_linear": True,
    }
    stiffness = {
        "requires": ["pis", "corrs"],
        "expression": "dw_lin_elastic.i.Y(mat.D, Pi1, Pi2)",
        "set_variables": [("Pi1", ("pis", "corrs"), "u"), ("Pi2", ("pis", "corrs"), "u")],
        "class": cb.CoefSymSym,
    }
    return {
        "filename_mesh": UserMeshIO(mesh_hook),
        "regions": regions,
        "materials": {"mat": ({"D": D},)},
        "fields": {"corrector": ("real", dim, "Y", 1)},
        "variables": {
            "u": ("unknown field", "corrector", 0),
            "v": ("test field", "corrector", "u"),
            "Pi": ("parameter field", "corrector", "u"),
            "Pi1": ("parameter field", "corrector", "(set-to-None)"),
            "Pi2": ("parameter field", "corrector", "(set-to-None)"),
        },
        "functions": {name: (getattr(periodic, name),) for name in sides.values()},
        "ebcs": {"fixed_u": ("Corners", {"u.all": 0.0})},
        "epbcs": {f"periodic_{axis}": (pairs[axis], {"u.all": "u.all"}, sides[axis]) for axis in axes},
        "integrals": {"i": 2},
        "coefs": {"D": stiffness, "filenames": {}},
        "requirements": {"pis": {"variables": ["u"], "class": cb.ShapeDimDim}, "corrs": correctors},
        "solvers": {
            "ls": ("ls.auto_direct", {"use_presolve": True}),
            "newton": ("nls.newton", {"i_max": 1, "eps_a": 1e-4}),
        },
        "options": {
            "coefs": "coefs",
            "requirements": "requirements",
            "ls": "ls",
            "volume": {"expression": "ev_volume.i.Y(u)"},
            "output_dir": tempfile.mkdtemp(),
            "multiprocessing": False,
        },
    }


def solve(problem: Problem) -> np.ndarray:
    """Voigt stiffness, linear elements, its default direct solver."""
    periodic.periodic_cache.clear()
    periodic.set_accuracy(1e-7)
    conf = ProblemConf.from_dict(definition(problem), sys.modules[__name__])
    app = HomogenizationApp(conf, Struct(output_filename_trunk=None, save_ebc=False, solve_not=False), "sfepy:")
    return app().D
