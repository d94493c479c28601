"""The stiffness by fedoo: its module homogen."""

import fedoo
import numpy as np
from fedoo.core.base import ProblemBase
from problem import Problem, main

ELEMENTS = {"triangle": "tri3", "tetrahedron": "tet4", "hexahedron": "hex8"}


def solve(problem: Problem) -> np.ndarray:
    """Voigt stiffness, linear elements, its default direct solver."""
    ProblemBase.get_all().clear()
    space = fedoo.ModelingSpace("3D" if problem.dim == 3 else "2Dplane")
    kind = ELEMENTS[problem.kind]
    mesh = fedoo.Mesh(problem.points.copy(), problem.elements.copy(), kind)
    names = [f"phase {tag:g}" for tag in problem.moduli[:, 0]]
    for name, tag in zip(names, problem.moduli[:, 0], strict=True):
        mesh.add_element_set(np.flatnonzero(problem.tags == tag), name)
    laws = [fedoo.constitutivelaw.ElasticIsotrop(E, nu) for _, E, nu in problem.moduli]
    law = fedoo.constitutivelaw.Heterogeneous(tuple(laws), tuple(names))
    assembly = fedoo.Assembly.create(fedoo.weakform.StressEquilibrium(law, space=space), mesh, kind)
    return np.asarray(fedoo.homogen.get_homogenized_stiffness(assembly))


if __name__ == "__main__":
    main(solve, f"fedoo {fedoo.__version__}")
