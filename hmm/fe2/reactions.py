"""Reaction forces of a macro problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mpi4py import MPI

import basix.ufl
import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import MeshTags, exterior_facet_indices
from numpy.typing import NDArray

from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.macro_forms import check_condition
from hmm.foundation.errors import InputError
from hmm.foundation.forms import compile_form, highest_degree
from hmm.foundation.options import instance, integer
from hmm.micro.fluctuation import fields_of, is_mixed


@dataclass(frozen=True, eq=False)
class Supported:
    """The last solution of a macro field: nodal forces, boundary conditions and Homogenizer."""

    u: fem.Function
    forces: fem.Function
    hom: Homogenizer
    bcs: Sequence[fem.DirichletBC]

    def prescribed(self) -> NDArray[np.int32]:
        """Degrees of freedom of this rank that the conditions prescribe."""
        owned = [dofs[:n] for dofs, n in (bc.dof_indices() for bc in self.bcs)]
        return np.unique(np.concatenate(owned)) if owned else np.zeros(0, dtype=np.int32)


def over_condition(solved: Supported, bc: fem.DirichletBC, component: NDArray[np.int64]) -> NDArray[np.float64]:
    """Force on the degrees of freedom of a condition, by component of `u`; see `hmm.MacroProblem.reaction`.

    Parameters
    ----------
    solved
        The macro field.
    bc
        The condition.
    component
        Shape (n_dofs,); component of each local degree of freedom, counted over all fields.
    """
    check_condition(solved.u, bc)
    dofs, n_owned = bc.dof_indices()
    dofs, comm = dofs[:n_owned], solved.hom.comm
    total = np.zeros(comm.allreduce(int(component.max(initial=0)) + 1, op=MPI.MAX))
    np.add.at(total, component[dofs], solved.forces.x.array[dofs])
    total = comm.allreduce(total)
    touched = touched_components(solved, bc, component)
    fields = len(fields_of(solved.u.function_space))
    return total if len(touched) != 1 and fields == 1 else total[touched]


def touched_components(solved: Supported, bc: fem.DirichletBC, component: NDArray[np.int64]) -> list[int]:
    """The components that a condition prescribes anywhere (collective)."""
    dofs, n_owned = bc.dof_indices()
    everyones = solved.hom.comm.allgather(np.unique(component[dofs[:n_owned]]).tolist())
    return sorted(set().union(*everyones))


def over_facets(solved: Supported, tags: MeshTags, tag: int) -> NDArray[np.float64]:
    """Force on the facets of a tag, by component of `u`; see `hmm.MacroProblem.reaction_over` (collective)."""
    facets = _facets(solved, tags, tag)
    V = solved.u.function_space
    blocks = fem.locate_dofs_topological(V, V.mesh.topology.dim - 1, facets)
    size = V.dofmap.index_map_bs
    own = blocks[blocks < V.dofmap.index_map.size_local]
    forces = solved.forces.x.array.reshape(-1, size)[own].sum(axis=0)
    return np.asarray(solved.hom.comm.allreduce(forces - _of_others(solved, facets, blocks)))


def _facets(solved: Supported, tags: MeshTags, tag: int) -> NDArray[np.int32]:
    """The facets of a tag on this rank."""
    instance("tags", tags, MeshTags, "tag the facets with dolfinx.mesh.meshtags")
    integer("tag", tag, -(2**31), 2**31 - 1)
    mesh, hom = solved.hom.mesh, solved.hom
    if tags.dim != mesh.topology.dim - 1 or tags.topology is not mesh.topology._cpp_object:
        raise InputError(
            f"tags are of entities of dimension {tags.dim}, or of another mesh: tag the facets of the macro mesh"
        )
    if is_mixed(solved.u.function_space) or len(hom.responses) > 1:
        raise InputError("u has several fields, or the RVE several responses: use reaction(condition)")
    facets = np.asarray(tags.find(tag), dtype=np.int32)
    if not hom.comm.allreduce(facets.size):
        raise InputError(f"no facet has the tag {tag}: the tags are {_known(solved, tags)}")
    return facets


def _known(solved: Supported, tags: MeshTags) -> str:
    everyones = solved.hom.comm.allgather(np.unique(tags.values).tolist())
    return ", ".join(str(value) for value in sorted(set().union(*everyones))) or "none at all"


def _of_others(solved: Supported, facets: NDArray[np.int32], blocks: NDArray[np.int32]) -> NDArray[np.float64]:
    """This rank's part of the contribution of other supported facets to the nodal forces of `blocks`, by component."""
    V = solved.u.function_space
    mesh, size = V.mesh, V.dofmap.index_map_bs
    others, are_fixed = _supported_facets(solved, facets, blocks)
    one, result = fem.Function(V), np.zeros(size)
    traction = _traction(solved.hom, size)
    for i in range(size):
        one.x.array[:] = 0.0
        one.x.array[blocks * size + i] = 1.0
        entities = fem.compute_integration_domains(
            fem.IntegralType.exterior_facet, mesh.topology, others[are_fixed[:, i]]
        )
        ds = ufl.Measure("ds", mesh, subdomain_data=[(1, entities.ravel())])
        result[i] = fem.assemble_scalar(compile_form(ufl.inner(traction, one) * ds(1)))
    return result


def _supported_facets(
    solved: Supported, facets: NDArray[np.int32], blocks: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Other exterior facets with degrees of freedom in `blocks`, and their prescribed components."""
    V, topology = solved.u.function_space, solved.hom.mesh.topology
    dim, size = topology.dim, V.dofmap.index_map_bs
    topology.create_connectivity(dim - 1, dim)
    topology.create_connectivity(dim, dim - 1)
    to_cells, to_facets = topology.connectivity(dim - 1, dim), topology.connectivity(dim, dim - 1)
    fixed = np.zeros((solved.u.x.array.size // size, size), dtype=bool)
    for bc in solved.bcs:
        fixed.ravel()[bc.dof_indices()[0]] = True
    shared = np.isin(np.arange(len(fixed)), blocks)
    others, are_fixed = [], []
    for facet in np.setdiff1d(exterior_facet_indices(topology), facets):
        cell = to_cells.links(facet)[0]
        place = int(np.flatnonzero(to_facets.links(cell) == facet)[0])
        dofs = V.dofmap.cell_dofs(cell)[V.dofmap.dof_layout.entity_closure_dofs(dim - 1, place)]
        if shared[dofs].any():
            others.append(facet)
            are_fixed.append(fixed[dofs].all(axis=0))
    return np.array(others, dtype=np.int32), np.array(are_fixed, dtype=bool).reshape(-1, size)


def _traction(hom: Homogenizer, size: int) -> ufl.core.expr.Expr:
    """The response times the normal, with the shape of `u`."""
    n, dim = ufl.FacetNormal(hom.mesh), hom.mesh.geometry.dim
    S = _extended(hom)
    if len(S.ufl_shape) == 1:
        return ufl.dot(S, n)
    return ufl.as_vector([sum(S[i, j] * n[j] for j in range(dim)) for i in range(size)])


def _extended(hom: Homogenizer) -> fem.Function:
    """Least-squares polynomial of the first response in each cell."""
    response, kind = hom.stress, hom.mesh.basix_cell()
    values = response.x.array.reshape(-1, response.function_space.dofmap.bs)
    highest = max(highest_degree(f.function_space) for s in hom.strains for f in ufl.algorithms.extract_coefficients(s))
    for degree in range(max(highest - 1, 0), -1, -1):
        element = basix.ufl.element("DG", kind, degree, shape=response.ufl_shape)
        basis = np.asarray(basix.ufl.element("DG", kind, degree).tabulate(0, hom.points))[0]
        if np.linalg.matrix_rank(basis) == basis.shape[1]:
            break
    S = fem.Function(fem.functionspace(hom.mesh, element))
    at_points = values[response.function_space.dofmap.list[hom.cells]]
    fitted = np.einsum("dp,cpk->cdk", np.linalg.pinv(basis), at_points)
    S.x.array.reshape(-1, values.shape[1])[S.function_space.dofmap.list[hom.cells]] = fitted
    S.x.scatter_forward()
    return S
