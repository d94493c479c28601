"""Every mistake is answered by one line that names the thing, its value and the remedy."""

import os
import subprocess
import sys

from mpi4py import MPI

import numpy as np
import pytest
from dolfinx.mesh import create_rectangle, meshtags

import hmm
from hmm.foundation.environment import check_stack
from hmm.foundation.errors import EnvironmentMismatch

ELASTIC = hmm.laws.Elastic(1.0, 0.3)


def square_mesh():
    return create_rectangle(MPI.COMM_SELF, [[0, 0], [1, 1]], [4, 4])


def one_phase(mesh, value=1):
    cells = np.arange(mesh.topology.index_map(2).size_local, dtype=np.int32)
    return meshtags(mesh, 2, cells, np.full(cells.size, value, dtype=np.int32))


def cell_of(mesh):
    return hmm.Cell.box(mesh, one_phase(mesh), {"matrix": 1})


@pytest.fixture(scope="module")
def cell():
    return cell_of(square_mesh())


def rve_of(cell, **kwargs):
    return hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), **kwargs)


def test_law_of_an_unknown_phase(cell):
    with pytest.raises(hmm.InputError, match=r"phase 'fiber'.*phases are \['matrix'\]"):
        rve_of(cell, law={"matrix": ELASTIC, "fiber": ELASTIC})


def test_phase_without_law(cell):
    with pytest.raises(hmm.InputError, match=r"phase 'matrix' has no law: add it"):
        rve_of(cell, law={})


def test_phase_without_cells():
    mesh = square_mesh()
    with pytest.raises(hmm.InputError, match=r"phase 'fibre' \(tag 7\) has no cells.*tags \[1\]"):
        hmm.Cell.box(mesh, one_phase(mesh), {"matrix": 1, "fibre": 7})


def test_cells_without_phase():
    mesh = square_mesh()
    with pytest.raises(hmm.InputError, match=r"tags \[3\] without a name.*\{'matrix': 1\}|phase 'matrix'"):
        hmm.Cell.box(mesh, one_phase(mesh, 3), {"matrix": 1})


def test_lattice_that_does_not_span_the_mesh():
    mesh = square_mesh()
    with pytest.raises(hmm.InputError, match=r"lattice vectors .* do not span the mesh"):
        hmm.Cell(mesh, one_phase(mesh), {"matrix": 1}, np.diag([1.0, 0.5]))


@pytest.mark.parametrize("poisson", [0.5, 0.7, -1.0, float("nan")])
def test_poisson_ratio(poisson):
    with pytest.raises(hmm.InputError, match=rf"poisson = {poisson} must be in \(-1, 0.5\)"):
        hmm.laws.Elastic(1.0, poisson)
    with pytest.raises(hmm.InputError, match=r"J2: poisson"):
        hmm.laws.J2(1.0, poisson, 1.0, 0.0)


@pytest.mark.parametrize("young", [0.0, -70e3, float("nan"), float("inf")])
def test_youngs_modulus(young):
    with pytest.raises(hmm.InputError, match=rf"young = {young} must be positive"):
        hmm.laws.Elastic(young, 0.3)


def test_plastic_parameters():
    with pytest.raises(hmm.InputError, match=r"J2: yield_stress = 0.0 must be positive"):
        hmm.laws.J2(1.0, 0.3, 0.0, 0.0)
    with pytest.raises(hmm.InputError, match=r"J2: hardening = -1.0 must be zero or more"):
        hmm.laws.J2(1.0, 0.3, 1.0, -1.0)


def test_faces_that_do_not_match():
    """A node of the face x = 1 is moved from y = 1/2 to 0.6: the largest gap is 0.1 of the cell."""
    mesh = square_mesh()
    x = mesh.geometry.x
    x[np.all(np.isclose(x[:, :2], [1.0, 0.5]), axis=1), 1] = 0.6
    with pytest.raises(hmm.InputError, match=r"faces x = 0 and x = 1 .*largest gap 0\.1 of the cell.*setPeriodic"):
        rve_of(cell_of(mesh), law={"matrix": ELASTIC})
    for constraint in ("dirichlet", "minimal"):  # the remedy the message names
        tangent = rve_of(cell_of(mesh), law={"matrix": ELASTIC}, constraint=constraint).solve(np.zeros(3)).tangent
        assert tangent[0, 0] == pytest.approx(1 * 0.7 / (1.3 * 0.4), rel=1e-10)  # E (1-nu) / ((1+nu) (1-2nu))


def test_unknown_constraint(cell):
    with pytest.raises(hmm.InputError, match=r"'periodc' is unknown: choose one of 'periodic', 'dirichlet', 'minimal'"):
        rve_of(cell, law={"matrix": ELASTIC}, constraint="periodc")


def test_exactly_one_of_law_and_energy(cell):
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)
    energy = E.local(w)[0, 0] ** 2 * cell.measure()
    for kwargs in ({}, {"law": {"matrix": ELASTIC}, "energy": energy}):
        with pytest.raises(hmm.InputError, match=r"either law=.* or energy="):
            hmm.RVE(cell, w, E, **kwargs)


@pytest.mark.parametrize("shape", [(2,), (3, 3), (4,), ()])
def test_macro_input_of_the_wrong_shape(cell, shape):
    rve = rve_of(cell, law={"matrix": ELASTIC})
    with pytest.raises(hmm.InputError) as caught:
        rve.solve(np.zeros(shape))
    assert f"strain has shape {shape}: give a tensor of shape (2, 2)" in str(caught.value)


def test_fluctuation_without_degree(cell):
    with pytest.raises(hmm.InputError, match=r"degree 0 .* at least 1"):
        hmm.fluctuation(cell, degree=0)


def test_errors_can_be_caught_as_what_they_are():
    assert issubclass(hmm.InputError, ValueError)
    assert issubclass(hmm.ConvergenceError, RuntimeError)
    assert issubclass(EnvironmentMismatch, ImportError)


@pytest.mark.parametrize("version", ["0.10.0.post5", "0.12.0", "1.11.0", "0.110.0"])
def test_dolfinx_of_another_version(version):
    with pytest.raises(EnvironmentMismatch, match=rf"hmm runs on DOLFINx 0\.11\.x and found {version}: install"):
        check_stack(version, np.float64)


def test_complex_petsc():
    with pytest.raises(EnvironmentMismatch, match=r"complex numbers.*real build"):
        check_stack("0.11.0", np.complex128)


def test_the_supported_stack_passes():
    check_stack("0.11.0.post1", np.float64)


WITHOUT_DOLFINX = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        hidden = name.split(".")[0] in ("dolfinx", "dolfinx_solver")
        return None if hidden else self.finder.find_spec(name, path, target)

sys.meta_path = [Without(f) for f in sys.meta_path]
import hmm
"""


def test_import_without_dolfinx():
    """The child is not one of our ranks, so it must not see the launcher's variables."""
    launcher = ("PMI", "PMIX", "OMPI", "MPI_", "HYDI", "HYDRA", "MPIR", "MPICH")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(launcher)}
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_DOLFINX],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: hmm needs DOLFINx 0.11 and found none: install it with pip")
    assert "conda install" in result.stderr
    assert result.stderr.count("\n") == 1, "one line, no traceback"


def bad_rve(cell, w=None, E=None, law=None):
    law = {"matrix": law or hmm.laws.Elastic(1.0, 0.3), "fibre": hmm.laws.Elastic(1.0, 0.3)}
    return hmm.RVE(cell, w or hmm.fluctuation(cell), E or hmm.macro_strain(cell), law=law)


def test_laws_and_fields_that_do_not_fit():
    cell = hmm.cells.fibre(0.3, mesh_size=0.25)
    with pytest.raises(hmm.InputError, match=r"the law of phase 'matrix' is 'steel': give one"):
        bad_rve(cell, law="steel")
    with pytest.raises(hmm.InputError, match=r"Elastic, answers strain, but the macro inputs are gradient"):
        bad_rve(cell, E=hmm.macro_gradient(cell))
    with pytest.raises(hmm.InputError, match=r"answers strain, but the macro inputs are deformation_gradient"):
        bad_rve(cell, E=hmm.macro_deformation_gradient(cell))
    with pytest.raises(hmm.InputError, match=r"needs a fluctuation of shape \(2,\), and w is a scalar"):
        bad_rve(cell, w=hmm.fluctuation(cell, shape=()))
