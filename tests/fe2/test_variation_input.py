"""Wrong variations over the macro mesh are refused, on all ranks."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from scipy.spatial.transform import Rotation
from support.macro_tools import (
    beam,
    beam_mesh,
    halves,
    homogeneous_cell,
    neo_hooke_rve,
    rve_of,
)

import hmm
from hmm.fe2 import orientation, variation
from hmm.fe2.quadrature_points import MacroPoints

COMM = MPI.COMM_WORLD
SOFT = hmm.laws.Elastic(70e3, 0.3)

pytestmark = pytest.mark.mpi


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_wrong_regions_are_refused_on_all_ranks():
    domain, rve = beam_mesh(), rve_of(homogeneous_cell(), {"matrix": SOFT})
    with pytest.raises(hmm.InputError, match="macro cells have the tag 2, which has no RVE"):
        beam(variation.regions({1: rve}, halves(domain)), domain=domain)
    with pytest.raises(hmm.InputError, match="no macro cell has the tag 5"):
        beam(variation.regions({1: rve, 2: rve, 5: rve}, halves(domain)), domain=domain)
    with pytest.raises(hmm.InputError, match="the tags are of another mesh"):
        beam(variation.regions({1: rve, 2: rve}, halves(beam_mesh((8, 2)))), domain=domain)
    some = mesh.meshtags(domain, 2, np.zeros(0, np.int32), np.zeros(0, np.int32))
    with pytest.raises(hmm.InputError, match=r"macro cells have no tag"):
        beam(variation.regions({1: rve}, some), domain=domain)


def test_wrong_grades_are_refused_on_all_ranks():
    rve = rve_of(homogeneous_cell(), {"matrix": SOFT})
    with pytest.raises(hmm.InputError, match="1 values of the parameter: give a dictionary of two or more"):
        variation.graded({0.1: rve}, 0.1)
    with pytest.raises(hmm.InputError, match=r"the parameter is .* outside the values 0.1, 0.3 that have an RVE"):
        beam(variation.graded({0.1: rve, 0.3: rve}, lambda x: 0.1 * x[0]))
    with pytest.raises(
        hmm.InputError, match=r"returned an array of shape \(2, .*one value for each along the last axis"
    ):
        beam(variation.graded({0.1: rve, 0.3: rve}, lambda x: np.zeros((2, x.shape[1] + 1))))
    with pytest.raises(hmm.InputError, match="is not a finite number at"):
        beam(variation.graded({0.1: rve, 0.3: rve}, lambda x: np.nan * x[0]))
    with pytest.raises(hmm.InputError, match="is UFL on another mesh"):
        other = fem.Function(fem.functionspace(beam_mesh(), ("DG", 0)))
        beam(variation.graded({0.1: rve, 0.3: rve}, other))


def bad_on_the_last_rank(domain, value, shape=()):
    """A Function of DG0 that has a bad value in one cell of the last rank only."""
    field = fem.Function(fem.functionspace(domain, ("DG", 0, shape) if shape else ("DG", 0)))
    field.x.array[:] = 0.2
    if COMM.rank == COMM.size - 1:
        field.x.array[: max(1, int(np.prod(shape)))] = value
    return field


def test_what_one_rank_finds_wrong_all_ranks_are_told():
    """Fields as Functions: nothing collective may be asked for in an error of one rank."""
    domain, rve = beam_mesh(), rve_of(homogeneous_cell(), {"matrix": SOFT})
    kinds = {0.1: rve, 0.3: rve}
    with pytest.raises(hmm.InputError, match="orientation is not a finite number at"):
        beam(rve, domain=domain, orientation=bad_on_the_last_rank(domain, np.nan))
    with pytest.raises(hmm.InputError, match="the direction is zero at"):
        beam(rve, domain=domain, orientation=bad_on_the_last_rank(domain, 0.0, (2,)))
    with pytest.raises(hmm.InputError, match=r"the parameter is 7 at \("):
        beam(variation.graded(kinds, bad_on_the_last_rank(domain, 7.0)), domain=domain)

    def shares(points):
        return np.full((points.n, 2), 0.7 if COMM.rank == COMM.size - 1 else 0.5)

    with pytest.raises(hmm.InputError, match=r"the shares \[0.7, 0.7\] at \("):
        beam(variation.Variation({"a": rve, "b": rve}, shares), domain=domain)


def test_ranks_without_macro_cells():
    """One quadrilateral: all ranks but one have no point."""
    domain = mesh.create_unit_square(COMM, 1, 1, mesh.CellType.quadrilateral)
    rve = rve_of(homogeneous_cell(), {"matrix": SOFT})
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (2,))))
    for rotated in (0.1, [1.0, 0.5], lambda x: x[:2] + 1):
        plan = variation.graded({0.0: rve, 2.0: rve}, lambda x: x[0])
        hom = hmm.Homogenizer(plan, ufl.sym(ufl.grad(u)), orientation=rotated)
        assert hom.evaluate()
        assert COMM.allreduce(hom.n_points) == 4


def test_wrong_chances_and_shares_are_refused():
    rve = rve_of(homogeneous_cell(), {"matrix": SOFT})
    with pytest.raises(hmm.InputError, match=r"probabilities \[0.5, 0.6\]: give one for each of 2 RVEs"):
        variation.scattered([rve, rve], probabilities=[0.5, 0.6])
    with pytest.raises(hmm.InputError, match="per = 'region' must be 'point' or 'cell'"):
        variation.scattered([rve, rve], per="region")
    with pytest.raises(hmm.InputError, match="there are no RVEs"):
        variation.scattered([])
    with pytest.raises(hmm.InputError, match=r"Cell is not a micro model, for 'b': give an hmm.RVE"):
        variation.scattered({"a": rve, "b": rve.cell})
    with pytest.raises(hmm.InputError, match=r"is not a micro model: give an hmm.RVE"):
        beam(variation.everywhere({1: rve}))
    with pytest.raises(hmm.InputError, match="is not a value of the parameter"):
        variation.graded({"lo": rve, "hi": rve}, 0.1)
    with pytest.raises(hmm.InputError, match="seed = None must be an integer"):
        variation.scattered([rve], seed=None)
    with pytest.raises(hmm.InputError, match="'skin' is not a tag of macro cells"):
        variation.regions({"skin": rve}, None)
    with pytest.raises(hmm.InputError, match="NoneType is not a MeshTags"):
        variation.regions({1: rve}, None)
    with pytest.raises(hmm.InputError, match="is not a function: give one of the macro points"):
        variation.Variation({"a": rve}, np.ones((1, 1)))
    own = variation.Variation({"a": rve, "b": rve}, lambda points: np.full((points.n, 2), 0.4))
    with pytest.raises(hmm.InputError, match=r"shares \[0.4, 0.4\] at .* must be non-negative and add up to 1"):
        beam(own)


def test_kinds_must_be_driven_alike():
    small, large = (
        rve_of(homogeneous_cell(), {"matrix": SOFT}),
        neo_hooke_rve(homogeneous_cell(), {"matrix": (1.0, 1.0)}),
    )
    with pytest.raises(hmm.InputError, match=r"'1' has the macro inputs strain of shape \(2, 2\), and RVE '2' deform"):
        variation.regions({1: small, 2: large}, halves(beam_mesh()))


def test_too_many_rves_are_refused_before_mpi_aborts():
    cell, taken = homogeneous_cell(), []
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)
    try:
        for _ in range(2048):  # as many as MPICH has; other libraries have more
            taken.append(MPI.COMM_SELF.Dup())
    except MPI.Exception:
        pass
    try:
        if len(taken) < 2048:
            with pytest.raises(hmm.HMMError, match="no MPI communicators left for another RVE"):
                hmm.RVE(cell, w, E, law={"matrix": SOFT})
    finally:
        for comm in taken:
            comm.Free()
    hmm.RVE(cell, w, E, law={"matrix": SOFT})


def test_wrong_orientations_are_refused_on_all_ranks():
    rve = rve_of(homogeneous_cell(), {"matrix": SOFT})
    with pytest.raises(hmm.InputError, match="the direction is zero at"):
        beam(rve, orientation=lambda x: 0 * x[:2])
    with pytest.raises(hmm.InputError, match=r"orientation returned an array of shape \(3, 3, .*one value for each"):
        beam(rve, orientation=lambda x: Rotation.identity(x.shape[1] + 1))
    with pytest.raises(hmm.InputError, match="is not a rotation matrix"):
        beam(rve, orientation=[[1.0, 0.0], [0.0, -1.0]])
    with pytest.raises(
        hmm.InputError, match=r"orientation has values of shape \(3,\): give one of \(\), \(2,\), \(2, 2\)"
    ):
        beam(rve, orientation=[1.0, 0.0, 0.0])
    with pytest.raises(hmm.InputError, match="orientation = 'up' is not a field"):
        beam(rve, orientation="up")
    cell = homogeneous_cell()
    control = hmm.MixedControl(rve_of(cell, {"matrix": SOFT}), {"22": 0.0}, fixed=["12"])
    with pytest.raises(hmm.InputError, match="control single components only where cells are not rotated"):
        orientation.Orientation(MacroPoints(beam_mesh(), 1), 0.3, control.inputs)
