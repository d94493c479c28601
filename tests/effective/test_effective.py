"""Effective properties against closed forms, multipole solutions and what symmetry demands."""

import json
import pickle
import sys

from mpi4py import MPI

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from support import closed_forms, references
from support.cells_and_rves import relative_error

import hmm
from hmm.effective import Limits
from hmm.effective.constants import in_axes
from hmm.laws import J2, Elastic, GeneralizedMaxwell, MooneyRivlin, NeoHooke, Stokes, ThermoElastic

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD

SOFT, STIFF = Elastic(1.0, 0.3), Elastic(10.0, 0.2)
LAYERS = {"A": (70e3, 0.33, 23e-6, 200.0, 2.4), "B": (400e3, 0.2, 5e-6, 30.0, 3.1)}
"""Young, Poisson, expansion, conductivity, heat capacity of the table `laminate_linear`."""


@pytest.fixture
def folder(tmp_path):
    return COMM.bcast(tmp_path)


def layers(dim=2):
    return hmm.cells.laminate({"A": 0.6, "B": 0.4}, dim=dim, mesh_size=0.5)


def elastic_layers(dim=2, **options):
    return hmm.homogenize(layers(dim), {name: Elastic(*m[:2]) for name, m in LAYERS.items()}, **options)


@pytest.fixture(scope="module")
def square():
    """The array of discs of the tables, contrast 10."""
    cell = hmm.cells.fibre(0.3, mesh_size=0.1, order=2)
    return hmm.homogenize(cell, {"matrix": SOFT, "fibre": STIFF}, degree=2, out_of_plane=True)


# -- closed forms and tables ---------------------------------------------------------------------------------------


def test_laminate_constants_and_json():
    cell = hmm.cells.laminate({"a": 0.4, "b": 0.6}, mesh_size=0.25)
    materials = {"a": (1.0, 0.3), "b": (10.0, 0.2)}
    found = hmm.homogenize(cell, {n: Elastic(*m) for n, m in materials.items()})
    exact = closed_forms.mandel(closed_forms.plane_strain(closed_forms.backus([0.4, 0.6], list(materials.values()))))
    assert np.allclose(found.tensor, exact, rtol=1e-9, atol=1e-9)
    S = np.linalg.inv(exact)
    assert np.isclose(found.constants["E1"], 1 / S[0, 0])
    assert np.isclose(found.constants["nu12"], -S[0, 1] / S[0, 0])
    assert np.isclose(found.constants["G12"], exact[2, 2] / 2)
    assert np.allclose(json.loads(found.to_json())["tensor"], found.tensor)


def test_laminate_in_space_is_transversely_isotropic_about_its_normal():
    found = elastic_layers(dim=3)
    C = references.LAMINATE_LINEAR
    assert found.voigt[0, 0] == pytest.approx(C["C11"], rel=1e-7)
    assert found.voigt[5, 5] == pytest.approx(C["C44"], rel=1e-7)  # 23
    assert found.symmetry.name == "transversely isotropic"
    assert found.symmetry.distance < 1e-12
    assert found.symmetry.axes[2] == pytest.approx([1, 0, 0])
    assert found.principal_constants["E3"] == pytest.approx(found.constants["E1"])
    assert found.limits.report and found.limits.report.applied == ("Voigt", "Reuss")
    assert found.zener is None


def test_laminate_conducts():
    cell = hmm.cells.laminate({"a": 0.4, "b": 0.6}, mesh_size=0.25)
    found = hmm.homogenize(cell, {"a": 1.0, "b": 5 * np.eye(2)}, physics="conduction")
    assert np.allclose(found.tensor, np.diag([1 / (0.4 + 0.6 / 5), 3.4]))
    assert found.symmetry.name == "orthotropic"
    assert found.constants == pytest.approx({"k11": 1 / 0.52, "k12": 0.0, "k22": 3.4}, abs=1e-9)
    assert found.extremes.highest == pytest.approx(3.4) and found.extremes.highest_along == pytest.approx([0, 1])
    assert found.limits.report.applied == ("Voigt", "Reuss")


@pytest.mark.parametrize("out_of_plane", [False, True])
def test_laminate_expands(out_of_plane):
    """Table `laminate_linear`; alpha1 and alpha2 are those of the body in space, which only E33 lets find."""
    law = {name: ThermoElastic(*m, reference_temperature=300.0) for name, m in LAYERS.items()}
    found = hmm.homogenize(layers(), law, physics="thermoelasticity", out_of_plane=out_of_plane)
    exact = references.LAMINATE_THERMAL
    assert found.tensor[0, 0] == pytest.approx(references.LAMINATE_LINEAR["C11"], rel=1e-7)
    assert found.thermal_stress[:2] == pytest.approx([exact["beta1"], exact["beta2"]], rel=1e-7)
    assert np.diag(found.conductivity) == pytest.approx([exact["k_normal"], exact["k_parallel"]], rel=1e-7)
    if out_of_plane:
        assert found.thermal_expansion[:3] == pytest.approx([2.3040909e-05, 9.2954545e-06, 9.2954545e-06], rel=1e-7)
    stress = found.fields("temperature").cellwise["stress"].x.array.reshape(-1, 3, 3)  # the same in layers, along 1
    assert stress[:, 0, 0] == pytest.approx(-exact["beta1"], rel=1e-6)
    again = hmm.EffectiveProperties.from_json(found.to_json())
    assert again.thermal_expansion == pytest.approx(found.thermal_expansion, rel=1e-12)
    assert again.heat_capacity == found.heat_capacity


def test_array_of_discs(square):
    """Trefftz solution; E33 gives C1133 as well. The mesh is not symmetric, and the result is square to its error."""
    exact = references.ELASTIC_DISCS_SQUARE[10]
    C = square.voigt
    assert C[0, 0] == pytest.approx(exact["C1111"], rel=3e-3)
    assert C[0, 1] == pytest.approx(exact["C1122"], rel=3e-3)
    assert C[0, 2] == pytest.approx(exact["C1133"], rel=3e-3)
    assert C[3, 3] == pytest.approx(exact["C1212"], rel=3e-3)
    assert square.symmetry.name == "square"
    assert square.symmetry.distance < 1e-5
    assert square.zener == pytest.approx(2 * exact["C1212"] / (exact["C1111"] - exact["C1122"]), rel=5e-3)
    assert square.limits.report and "Hashin-Shtrikman bulk" in square.limits.report.applied
    assert {"E3", "nu31", "nu12"} <= set(square.constants)


def test_discs_conduct():
    found = hmm.homogenize(
        hmm.cells.fibre(0.3, mesh_size=0.1, order=2), {"matrix": 1.0, "fibre": 10.0}, physics="conduction", degree=2
    )
    assert found.constants["k11"] == pytest.approx(references.CONDUCTIVITY_DISCS_SQUARE[10], rel=2e-4)
    assert found.symmetry.name == "isotropic"
    assert "Hashin-Shtrikman conductivity" in found.limits.report.applied and found.limits.report


def test_hexagonal_array_is_isotropic_in_its_plane_and_transversely_isotropic_in_space():
    plane = hmm.cells.fibre(0.4, array="hexagonal", mesh_size=0.08)
    laws = {"matrix": SOFT, "fibre": STIFF}
    found = hmm.homogenize(plane, laws)
    assert found.symmetry.name == "isotropic"
    assert found.symmetry.distance < 1e-3
    found = hmm.homogenize(hmm.cells.extrude(plane, 0.2), laws)
    assert found.symmetry.name == "transversely isotropic"
    assert found.symmetry.distance < 1e-3
    assert found.symmetry.axes[2] == pytest.approx([0, 0, 1])


def test_array_of_spheres_is_cubic():
    """Method of fundamental solutions; its stiffness is 0.8 % from isotropic, and that is what the mesh must tell."""
    found = hmm.homogenize(
        hmm.cells.sphere(0.1, mesh_size=0.25, order=2), {"matrix": SOFT, "inclusion": Elastic(10.0, 0.3)}, degree=2
    )
    exact = references.ELASTIC_SPHERES_SC[10]
    assert (found.voigt[0, 0], found.voigt[0, 1], found.voigt[3, 3]) == pytest.approx(tuple(exact.values()), rel=1e-2)
    symmetry = found.symmetry_within(2e-3)
    assert symmetry.name == "cubic"
    assert symmetry.axes == pytest.approx(np.eye(3))
    assert symmetry.distances["isotropic"] > 2 * symmetry.distance
    assert found.symmetry.name == "isotropic"  # at the default tolerance


def test_permeability_of_cylinders():
    fluid = hmm.cells.fibre(0.4, mesh_size=0.08, void=True)
    found = hmm.homogenize(fluid, {"matrix": Stokes(3.0)}, physics="flow")
    assert found.quantity == "permeability" and found.limits is None
    assert found.constants["k11"] == pytest.approx(references.PERMEABILITY_CYLINDERS[0.4], rel=3e-2)
    assert found.symmetry.name == "isotropic"
    with pytest.raises(hmm.InputError, match="a permeability is that of one fluid"):
        hmm.homogenize(layers(), {"A": 1.0, "B": 2.0}, physics="flow")


# -- laws ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out_of_plane", [False, True])
def test_rubber_is_elastic_where_it_is_not_deformed(out_of_plane):
    """NeoHooke's linearization at F = I is Elastic; a law without `elastic` (Mooney-Rivlin) is bounded as well."""
    small = elastic_layers(out_of_plane=out_of_plane)
    rubber = {name: NeoHooke(*m[:2]) for name, m in LAYERS.items()}
    found = hmm.homogenize(layers(), rubber, out_of_plane=out_of_plane)
    assert found.tensor == pytest.approx(small.tensor, rel=1e-10, abs=1e-6)
    assert found.fields("12").displacement.x.array == pytest.approx(small.fields("12").displacement.x.array, abs=1e-7)
    a, b = found.fields("12").cellwise["von_mises"], small.fields("12").cellwise["von_mises"]
    assert a.x.array == pytest.approx(b.x.array, rel=1e-5)
    both = {"A": MooneyRivlin(0.3, 0.2, bulk_modulus=20.0), "B": NeoHooke(10.0, 0.3)}
    assert hmm.homogenize(layers(), both).limits.report


def test_plastic_laws_are_asked_before_they_yield():
    laws = {"A": J2(70e3, 0.33, 1e-3), "B": Elastic(400e3, 0.2)}
    found = hmm.homogenize(layers(), laws)
    assert found.tensor == pytest.approx(elastic_layers().tensor, rel=1e-10)
    bulk, same = (f.limits.hashin_shtrikman["bulk modulus"] for f in (found, elastic_layers()))
    assert (bulk.lower, bulk.upper) == pytest.approx((same.lower, same.upper))


def test_viscoelastic_stiffness_depends_on_the_duration():
    """One Maxwell element of G1 = 3, tau = 1: over dt its stress is 2 G1 (1 - exp(-dt)) / dt times the strain."""
    laws = dict.fromkeys("AB", GeneralizedMaxwell(1.0, 0.25, ((3.0, 1.0),)))
    found = hmm.homogenize(layers(), laws, dt=2.0)
    assert found.constants["G12"] == pytest.approx(0.4 + 3 * (1 - np.exp(-2.0)) / 2)
    with pytest.raises(hmm.InputError, match="no duration"):
        hmm.homogenize(layers(), laws)


@pytest.mark.parametrize(
    ("laws", "options", "message"),
    [
        ({"A": 1.0, "B": 1.0}, {"physics": "magic"}, "physics = 'magic' is unknown: choose one of 'elasticity'"),
        ({"A": 1.0}, {"physics": "conduction"}, "phases are"),
        ({"A": -1.0, "B": 1.0}, {"physics": "conduction"}, "conductivity -1.0 of phase 'A'"),
        ({"A": SOFT, "B": NeoHooke(1.0, 0.3)}, {}, "elasticity needs laws that all answer strain"),
        ({"A": 3.0, "B": SOFT}, {}, "'A' nothing, 'B' strain"),
        ({"A": SOFT, "B": SOFT}, {"physics": "thermoelasticity"}, "needs hmm.laws.ThermoElastic"),
        (
            {name: ThermoElastic(1.0, 0.3, 0.0, 1.0, reference_temperature=T) for name, T in (("A", 300), ("B", 400))},
            {"physics": "thermoelasticity"},
            "reference temperatures",
        ),
        ({"A": 1.0, "B": 1.0}, {"physics": "flow", "degree": 1}, "degree = 1 of the velocity"),
        ({"A": 1.0, "B": 1.0}, {"physics": "flow"}, "the fluid fills the cell"),
        (
            {"A": SOFT, "B": SOFT},
            {"dregee": 2},
            r"unknown option 'dregee' \(did you mean 'degree'\?\): the options are",
        ),
        ({"A": SOFT, "B": SOFT}, {"fixed_dofs": ()}, "unknown option 'fixed_dofs'"),
    ],
)
def test_bad_input(laws, options, message):
    with pytest.raises(hmm.InputError, match=message):
        hmm.homogenize(layers(), laws, **options)


def test_an_array_is_no_cell():
    with pytest.raises(hmm.InputError, match=r"ndarray is not a cell: .* hmm.images.image_cell"):
        hmm.homogenize(np.zeros((4, 4), dtype=int), {"A": SOFT})


@pytest.mark.parametrize("directions", [[0.0, 0.0], [1.0, 0.0, 0.0, 0.0], 1.0, "x", [[1.0, 0.0], [0.0, 0.0]]])
def test_bad_directions(square, directions):
    with pytest.raises(hmm.InputError, match=r"directions .* are not nonzero vectors of 2 components"):
        square.along(directions)


def test_extremes_are_never_exceeded(square):
    """Also where the tensor is off its class, and a simple direction is taken."""
    noise = np.random.default_rng(1).normal(size=(6, 6))
    C = np.diag([3.0, 3, 3, 2, 2, 2]) + np.pad(np.ones((3, 3)), (0, 3)) + 2e-3 * (noise + noise.T)
    for found in (hmm.EffectiveProperties("elasticity", C, {"A": 1.0}, "periodic"), square):
        angles = np.random.default_rng(0).normal(size=(2000, found.dim))
        values = found.along([*np.eye(found.dim), *angles])
        assert found.extremes.lowest <= values.min() and values.max() <= found.extremes.highest
        assert found.along(found.extremes.highest_along) == pytest.approx(found.extremes.highest, rel=1e-2)
        assert found.along(3 * angles) == pytest.approx(found.along(angles))
    assert "symmetry in the plane" in str(square)


# -- images --------------------------------------------------------------------------------------------------------


def blobs(n=24, dim=2, width=1.5):
    field = gaussian_filter(np.random.default_rng(3).normal(size=(n,) * dim), width, mode="wrap")
    return (field > np.quantile(field, 0.6)).astype(int)


def of_image(labels, degree=1, **laws):
    cell = hmm.cells.voxels(labels, {"matrix": 0, "grain": 1})
    return hmm.homogenize(cell, {"matrix": SOFT, "grain": STIFF} | laws, degree=degree, solver="direct")


def test_a_periodic_translation_of_an_image_changes_nothing():
    labels = blobs()
    assert relative_error(of_image(np.roll(labels, (5, -7), (0, 1))).tensor, of_image(labels).tensor) < 1e-11


def test_turning_an_image_turns_the_tensor():
    """By 90 degrees from axis 0 to axis 1: the new axes 1, 2 are the old 2, -1."""
    labels = blobs()
    C, rotated = of_image(labels), of_image(np.rot90(labels))
    assert relative_error(rotated.tensor, in_axes(C.tensor, [[0.0, -1.0], [1.0, 0.0]])) < 1e-11
    assert C.constants["E1"] == pytest.approx(rotated.constants["E2"])
    assert relative_error(C.in_axes([[0.0, -1.0], [1.0, 0.0]]).tensor, rotated.tensor) < 1e-11
    assert rotated.extremes.highest == pytest.approx(C.extremes.highest)


def test_a_random_composite_is_within_hashin_shtrikman():
    """The isotropic part of its stiffness, contrast 10 in space."""
    found = of_image(blobs(12, dim=3, width=0.8))
    bulk, shear, anisotropy = hmm.bounds.moduli_of(found.tensor)
    assert anisotropy < 0.1
    assert found.limits.hashin_shtrikman["bulk modulus"].contains(bulk)
    assert found.limits.hashin_shtrikman["shear modulus"].contains(shear)
    assert found.limits.report


def test_voxels_converge_to_the_conforming_mesh(square):
    """The error of a staircase is of first order in its steps, here with the fraction that the pixels have."""
    errors = []
    for n in (16, 64):
        x = (np.arange(n) + 0.5) / n - 0.5
        labels = (np.add.outer(x**2, x**2) < 0.3 / np.pi).astype(int)
        found = of_image(labels)
        assert found.symmetry.name == "square" and found.symmetry.distance < 1e-10  # to solver accuracy
        conforming = square.tensor[np.ix_([0, 1, 3], [0, 1, 3])]
        errors.append(relative_error(found.tensor, conforming))
    assert errors[1] < 0.35 * errors[0]
    assert errors[1] < 1e-2


# -- what can be made of them --------------------------------------------------------------------------------------


@pytest.mark.parametrize("constraint", ["periodic", "dirichlet", "minimal"])
def test_mean_fields_are_columns_of_the_stiffness(constraint):
    """Voxels are equal, so that the mean stress is the mean of the cell averages."""
    cell = hmm.cells.voxels(blobs(8), {"matrix": 0, "grain": 1})
    found = hmm.homogenize(cell, {"matrix": SOFT, "grain": STIFF}, constraint)
    for component, column in (("11", found.voigt[:, 0]), ("12", 2 * found.voigt[:, 2])):
        stress = found.fields(component).cellwise["stress"].x.array.reshape(-1, 3, 3).mean(axis=0)
        assert [stress[0, 0], stress[1, 1], stress[0, 1]] == pytest.approx(column, rel=1e-9, abs=1e-9)
    with pytest.raises(hmm.InputError, match="'44' is not a macro component"):
        found.fields("44")
    assert "Hashin" not in "".join(found.limits.report.applied) or constraint == "periodic"


def test_fields_of_conduction_and_a_file(folder):
    found = hmm.homogenize(layers(), {"A": 1.0, "B": 5.0}, physics="conduction")
    fields = found.fields("1")
    x = fields.displacement.function_space.tabulate_dof_coordinates()[:, 0]
    inside = x < 0.6  # the gradient in A: k_eff / 1
    line = found.tensor[0, 0] * x[inside]
    values = fields.displacement.x.array[inside]
    assert values - values.min() == pytest.approx(line - line.min(), abs=1e-9)
    assert hmm.write_fields(folder / f"fields_{COMM.rank}", fields).is_dir()


def test_json_round_trip(square, folder):
    path = folder / f"{COMM.rank}.json"
    text = square.to_json(path)
    for again in (hmm.EffectiveProperties.from_json(path), hmm.EffectiveProperties.from_json(text)):
        assert np.array_equal(again.tensor, square.tensor)
        assert again.to_json() == text
        assert str(again) == str(square)
    data = json.loads(text)
    assert data["symmetry"]["name"] == "square" and data["limits"]["violations"] == []
    with pytest.raises(hmm.InputError, match="have no cell"):
        again.fields("11")
    for wrong in ("{}", "{", folder / "nowhere.json"):
        with pytest.raises(hmm.InputError, match="contains no effective properties"):
            hmm.EffectiveProperties.from_json(wrong)


def test_pickles_without_the_cell(square):
    again = pickle.loads(pickle.dumps(square))
    assert again.solved is None and square.solved is not None
    assert again.symmetry.name == "square"
    assert np.array_equal(again.tensor, square.tensor)


def test_tables(square):
    text = str(square)
    assert "generalised plane strain" in text
    assert "symmetry axes" in text and "Zener ratio" in text and "respected" in text
    html = square._repr_html_()
    assert html.startswith("<pre") and "Zener ratio" in html


def test_pictures_and_report(square, folder):
    own = folder / str(COMM.rank)
    assert square.report(own) == own / "report.html"
    written = {path.name for path in own.iterdir()}
    assert written == {"report.html", "report.md", "report.json", "properties.json", "cell.png", "directions.png"}
    text = (own / "report.md").read_text()
    assert "| symmetry in the plane | square" in text and "![The cell](cell.png)" in text
    assert ("| mesh quality | radius ratio 0." in text) == (square.comm.size == 1)
    assert "| unknowns |" in text and "Elastic(young=10, poisson=0.2)" in text
    voxels = of_image(blobs(12))
    voxels.report(own / "voxels", plots=False)
    assert {path.name for path in (own / "voxels").iterdir()} == {
        *("report.html", "report.md", "report.json"),
        "properties.json",
    }
    assert "| phase | fraction | pieces" in (own / "voxels" / "report.md").read_text()
    assert elastic_layers(3).plot(own / "space.png").stat().st_size > 10_000


def test_a_violated_bound_is_said():
    found = elastic_layers()
    phases = found.solved.rve.phase_tangents()
    limits = Limits.of(2 * found.limits.voigt, found.fractions, phases, "stiffness", True)
    assert not limits.report and "above Voigt" in limits.report.violations[0]
    assert np.einsum("i,ijk->jk", [0.6, 0.4], list(phases.values())) == pytest.approx(found.limits.voigt)


def test_bounds_of_anisotropic_phases():
    """A laminate of laminae: Voigt and Reuss from each phase's own conductivity, no Hashin-Shtrikman."""
    found = hmm.homogenize(layers(), {"A": np.diag([1.0, 3.0]), "B": np.diag([5.0, 2.0])}, physics="conduction")
    assert found.limits.report and found.limits.hashin_shtrikman == {}
    assert found.limits.voigt == pytest.approx(np.diag([2.6, 2.6]))
    assert found.tensor == pytest.approx(np.diag([1 / (0.6 + 0.4 / 5), 2.6]))


def test_a_cell_without_stiffness_is_shown():
    """A wall with void on both sides bears nothing across."""
    labels = np.zeros((6, 6), dtype=int)
    labels[2:4] = 1
    cell = hmm.images.image_cell(labels, {"void": 0, "wall": 1}, void="void")
    found = hmm.homogenize(cell, {"wall": SOFT})
    assert np.isnan(found.constants["E1"])
    assert json.loads(found.to_json())["constants"]["E1"] is None
    assert "nan" in str(found)
    with pytest.raises(hmm.InputError, match="no value in some direction"):
        found.plot("nowhere.png")


@pytest.mark.parametrize("dim", [2, 3])
def test_anisotropy_vanishes_only_for_isotropic_stiffness(dim):
    C = hmm.bounds.isotropic_stiffness(3.0, 1.0, dim)
    assert abs(hmm.EffectiveProperties("elasticity", C, {}, "periodic").anisotropy) < 1e-12
    C[-1, -1] *= 2
    assert hmm.EffectiveProperties("elasticity", C, {}, "periodic").anisotropy > 0.1


def test_one_rank_and_several_agree():
    """The same array on all ranks together and on each alone."""
    laws = {"matrix": SOFT, "fibre": STIFF}
    alone = hmm.homogenize(hmm.cells.fibre(0.3, mesh_size=0.2), laws)
    together = hmm.homogenize(hmm.cells.fibre(0.3, mesh_size=0.2, comm=COMM), laws)
    assert relative_error(together.tensor, alone.tensor) < 1e-10
    assert together.limits.voigt == pytest.approx(alone.limits.voigt, rel=1e-12)
    field = together.fields("11").cellwise["stress"]
    assert np.isfinite(field.x.array).all()
    together.solved.rve.destroy()


# -- verdicts on bounds and the error of the mesh --------------------------------------------------------------------


@pytest.mark.parametrize(("degree", "excess"), [(1, 0.03), (2, 2e-4)])
def test_a_bound_exceeded_by_the_error_of_the_mesh_is_respected(degree, excess):
    """Dilute pores are as close to the bound as 2e-5: the mesh is too stiff by more, and with degree 3 it is inside."""
    cell, law = hmm.cells.fibre(0.1, mesh_size=0.06, order=2, void=True), {"matrix": hmm.laws.Elastic(3.0, 0.35)}
    found = hmm.homogenize(cell, law, degree=degree)
    upper = found.limits.hashin_shtrikman["bulk modulus"].upper
    assert found.means["bulk modulus"] > upper + excess
    assert found.limits.report and len(found.limits.report.allowed) == 1
    assert "bulk modulus" in found.limits.report.allowed[0]
    assert f"by a solution of degree {degree + 1} on the same mesh" in found.limits.remark
    again = hmm.EffectiveProperties.from_json(found.to_json())
    assert again.limits.report == found.limits.report and again.limits.remark == found.limits.remark
    assert np.array_equal(again.limits.error, found.limits.error)
    exact = hmm.homogenize(cell, law, degree=3).means["bulk modulus"]
    assert found.means["bulk modulus"] - exact < hmm.bounds.moduli_of(found.limits.error)[0]
    assert exact < upper


def test_no_error_is_estimated_where_all_bounds_are_respected():
    found = hmm.homogenize(hmm.cells.fibre(0.3, mesh_size=0.3), {"matrix": SOFT, "fibre": STIFF})
    assert found.limits.report and found.limits.error is None and found.limits.remark == ""


def test_an_error_that_is_too_costly_to_estimate_is_said(monkeypatch):
    monkeypatch.setattr(sys.modules[hmm.homogenize.__module__], "ESTIMATE_LIMIT", {2: 100, 3: 100})
    cell = hmm.cells.fibre(0.1, mesh_size=0.1, void=True)
    found = hmm.homogenize(cell, {"matrix": hmm.laws.Elastic(3.0, 0.35)})
    assert not found.limits.report
    assert "the discretization error is not estimated: one degree more has about" in found.limits.remark


def test_a_violation_beyond_the_error_of_the_mesh_is_one():
    found = hmm.homogenize(hmm.cells.fibre(0.1, mesh_size=0.06, void=True), {"matrix": hmm.laws.Elastic(3.0, 0.35)})
    phases = {"matrix": found.limits.voigt / found.fractions["matrix"]}
    wrong = Limits.of(1.05 * found.tensor, found.fractions, phases, "stiffness", True, lambda: (found.limits.error, ""))
    assert found.limits.report and not wrong.report
    assert all("Hashin-Shtrikman" in said for said in wrong.report.violations)


def test_a_solution_that_is_far_off_is_not_excused():
    """Degree 1 locks where the phase is nearly incompressible: that is said, not allowed for."""
    labels = np.pad(np.ones((2, 2), dtype=int), 3)
    cell = hmm.images.image_cell(labels, {"matrix": 0, "pore": 1}, void="pore")
    found = hmm.homogenize(cell, {"matrix": hmm.laws.Elastic(3.0, 0.4999)})
    assert not found.limits.report and found.limits.error is None
    assert "take a finer mesh or degree" in found.limits.remark
