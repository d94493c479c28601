"""How large is representative: statistics against closed forms, resuming, ranks, and a small real case."""

import json
import os

from mpi4py import MPI

import numpy as np
import pytest

import hmm
from hmm.foundation.locking import sole
from hmm.study import RepresentativeSize, Sample, representative_size

CONDUCTIVITIES = np.array([1.0, 3.0])


def layers(size, seed):
    """A random laminate: independent layers of thickness 1, half of them of each phase."""
    return np.random.default_rng(seed).integers(0, 2, int(size))


def pixels(size, seed):
    """A random checkerboard of independent pixels."""
    return np.random.default_rng(seed).integers(0, 2, (int(size), int(size)))


def along(labels, constraint):
    """Conductivity along layers: their arithmetic mean. Also the additive property of any picture."""
    return CONDUCTIVITIES[labels].mean()


def across(labels, constraint):
    """Conductivity across layers: their harmonic mean."""
    return 1 / (1 / CONDUCTIVITIES[labels]).mean()


def both(labels, constraint):
    return across(labels, constraint) if constraint == "minimal" else along(labels, constraint)


def study(make_cell=layers, property=along, **options):
    options = {"sizes": (8, 16, 32, 64), "realisations": 400, "constraints": ("periodic",), "seed": 1} | options
    return representative_size(make_cell, property=property, **options)


def scratch(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") if MPI.COMM_WORLD.rank == 0 else None
    return MPI.COMM_WORLD.bcast(path)


@pytest.mark.parametrize(("make_cell", "dim"), [(layers, 1), (pixels, 2)])
def test_variance_of_independent_pieces_falls_like_one_over_volume(make_cell, dim):
    """The mean of V independent pieces: Var = Var_point / V, so that alpha = 1 and A is the volume of a piece."""
    sizes = (8, 16, 32, 64) if dim == 1 else (4, 8, 16)
    result = study(make_cell, sizes=sizes, point_variance=1.0)  # values 1 and 3: variance 1
    law = result.fits["periodic"]
    assert result.dim == dim
    assert abs(law.alpha - 1) < 1.5 * law.alpha_error < 0.15
    assert law.integral_range == pytest.approx(1.0, rel=0.25)
    for d in sizes:
        assert result.sample(d).variance == pytest.approx(1 / d**dim, rel=0.3)
        assert result.error(d) == pytest.approx(1.96 / d ** (dim / 2) / 2, rel=0.1)  # mean conductivity 2


def test_harmonic_mean_of_layers_has_the_scatter_of_the_delta_method_and_a_bias():
    """1/Z has mean 2/3 and variance (1/3)^2 / V, so Var(Z) = (9/4)^2 / 9 / V; E(Z) = 3/2 (1 + 1/4/V) to first order."""
    result = study(property=across, sizes=(32, 64, 128), realisations=400)
    assert result.sample(128).mean == pytest.approx(1.5 * (1 + 0.25 / 128), rel=0.005)
    assert result.sample(64).variance == pytest.approx(81 / 16 / 9 / 64, rel=0.25)


def test_errors_fall_like_the_root_of_realisations_and_answers_agree():
    result = study()
    assert result.error(16, 100) == pytest.approx(result.error(16) / 10)
    n = result.realisations_needed(16, 0.01)
    assert result.error(16, n) <= 0.01 < result.error(16, n - 1)
    assert result.error(result.size_needed(0.01, 3), 3) == pytest.approx(0.01)
    means = [Sample(8.0, part).mean for part in result.sample(8).values.reshape(20, 20)]
    assert np.var(means, ddof=1) == pytest.approx(result.sample(8).variance / 20, rel=0.6)


def test_confidence_intervals_cover_the_truth_as_often_as_they_say():
    """600 intervals of 5 normal values: 95 % of them hold the mean, give or take 3 sqrt(0.95 * 0.05 / 600)."""
    rng = np.random.default_rng(3)
    samples = [Sample(1.0, rng.normal(7.0, 2.0, 5)) for _ in range(600)]
    covered = np.mean([s.interval[0] <= 7.0 <= s.interval[1] for s in samples])
    assert abs(covered - 0.95) < 0.027


def test_gap_between_constraints_is_that_of_the_same_cells():
    result = study(property=both, constraints=("minimal", "periodic"), sizes=(16, 64))
    gap, width = result.gap(64)
    assert gap == pytest.approx(0.25, abs=0.01)  # 2 and 1.5, relative to 2
    assert 0 < width < 0.01
    text = result.verdict(16)
    assert "with 95 % confidence" in text
    assert "apart" in text


def test_no_scatter_is_no_error():
    result = study(make_cell=lambda size, seed: np.arange(int(size)) % 2, realisations=3)
    assert result.fits["periodic"] is None
    assert result.error(8) == 0
    assert result.realisations_needed(8, 0.01) == 1


@pytest.mark.mpi
def test_result_is_the_same_on_any_number_of_ranks():
    alone, together = (study(realisations=5, comm=comm) for comm in (MPI.COMM_SELF, MPI.COMM_WORLD))
    for a, b in zip(alone.samples["periodic"], together.samples["periodic"], strict=True):
        assert (a.values == b.values).all()


def test_more_realisations_and_sizes_add_to_what_there_is():
    few, more = study(realisations=4), study(realisations=6, sizes=(8, 16, 20, 32, 64))
    for d in few.sizes:
        assert (few.sample(d).values == more.sample(d).values[:4]).all()


@pytest.mark.mpi
def test_a_killed_study_goes_on_where_it_was(tmp_path_factory):
    comm, path = MPI.COMM_WORLD, scratch(tmp_path_factory) / "study.json"
    made = []

    def counted(size, seed):
        if len(made) == 3:
            raise RuntimeError("killed")
        made.append(seed)
        return layers(size, seed)

    options = {"sizes": (8, 16), "realisations": 5, "comm": comm, "resume": path}
    with pytest.raises((RuntimeError, hmm.HMMError)):
        study(counted, **options)
    if comm.rank == 0:
        with next(path.parent.glob("study.json.rank*")).open("a") as file:
            file.write('{"size": 8.0, "real')  # what a kill in the middle of a line leaves
    comm.barrier()
    before = comm.allreduce(len(made))
    assert before == 3 * comm.size
    again = []
    result = study(lambda size, seed: (again.append(seed), layers(size, seed))[1], **options)
    assert comm.allreduce(len(again)) == 10 - before
    assert len(path.read_text().splitlines()) == 11
    assert not list(path.parent.glob("study.json.*"))
    reference = study(sizes=(8, 16), realisations=5, comm=comm)
    assert (result.sample(16).values == reference.sample(16).values).all()
    study(lambda *_: pytest.fail("everything is there"), **options)


@pytest.mark.mpi
def test_a_file_of_another_study_is_refused(tmp_path_factory):
    comm, path = MPI.COMM_WORLD, scratch(tmp_path_factory) / "study.json"
    study(realisations=2, comm=comm, resume=path)
    with pytest.raises(hmm.InputError, match="property = 'along'"):
        study(property=across, realisations=2, comm=comm, resume=path)
    with pytest.raises(hmm.InputError, match="seed = 1"):
        study(realisations=2, comm=comm, resume=path, seed=2)
    comm.barrier()
    if comm.rank == 0:
        path.write_text("hello\n")
    comm.barrier()
    with pytest.raises(hmm.InputError, match="is not a study file"):
        study(realisations=2, comm=comm, resume=path)
    with sole(path, "study file", comm), pytest.raises(hmm.InputError, match=r"the study file .* is in use"):
        study(realisations=2, comm=comm, resume=path)
    if comm.rank == 0:
        path.unlink()
        os.mkfifo(path)
    comm.barrier()
    with pytest.raises(hmm.InputError, match=r"study.json is a named pipe"):
        study(realisations=2, comm=comm, resume=path)


@pytest.mark.mpi
def test_table_picture_and_json(tmp_path_factory, capsys):
    comm, path = MPI.COMM_WORLD, scratch(tmp_path_factory)
    result = study(property=both, constraints=("minimal", "periodic"), realisations=6, comm=comm)
    result.print()
    assert result.plot(path / "a.png").exists()
    written = json.loads(result.to_json(path / "a.json").read_text())
    assert written["samples"]["minimal"][0]["values"] == result.sample(8, "minimal").values.tolist()
    assert written["fits"]["periodic"]["alpha"] == result.fits["periodic"].alpha
    if comm.rank == 0:
        assert "alpha" in capsys.readouterr().out


PHASES = {
    "matrix": hmm.laws.J2(young=1.0, poisson=0.3, yield_stress=1e-3, hardening=0.01),
    "grain": hmm.laws.Elastic(young=10.0, poisson=0.3),
}


def test_conductivity_of_random_cells_lies_between_the_constraints_and_the_bounds():
    numbers = {"matrix": 1.0, "grain": 10.0}
    result = representative_size(pixels, numbers, sizes=(4, 8), realisations=4, property="conductivity")
    assert isinstance(result, RepresentativeSize)
    for d in (4, 8):
        minimal, periodic, dirichlet = (result.sample(d, c).values for c in ("minimal", "periodic", "dirichlet"))
        assert (minimal < periodic).all()
        assert (periodic < dirichlet).all()
    assert result.gap(8)[0] < result.gap(4)[0]
    assert result.point_variance == pytest.approx(81 / 4, rel=0.1)
    assert result.fits["periodic"].integral_range > 0


def test_homogeneous_cells_have_the_property_of_their_phase():
    """Bulk modulus of plane strain K + G/3; in uniaxial stress with zero transverse stress in the plane q is known."""
    options = {"sizes": (2,), "realisations": 2, "constraints": ("periodic",)}
    law = PHASES["matrix"]
    uniform = {"make_cell": lambda size, seed: np.zeros((2, 2), dtype=int), "laws": {"matrix": law}}
    found = representative_size(**uniform, **options).effective
    assert found == pytest.approx(law.elastic.bulk_modulus + law.elastic.shear_modulus / 3, rel=1e-10)
    onset = representative_size(**uniform, **options, property="yield_onset").effective
    nu = law.poisson  # sigma = Sigma diag(1, 0, nu), so that q = Sigma sqrt(1 - nu + nu^2)
    assert onset == pytest.approx(law.yield_stress / np.sqrt(1 - nu + nu**2), rel=1e-9)


def test_yield_onset_of_a_checkerboard_scatters_more_than_its_stiffness():
    options = {"sizes": (6,), "realisations": 6, "constraints": ("periodic",)}
    errors = [representative_size(pixels, PHASES, property=p, **options).error(6) for p in ("stiffness", "yield_onset")]
    assert errors[1] > 1.2 * errors[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": ()}, "sizes"),
        ({"sizes": (4, -1)}, "sizes"),
        ({"realisations": 1}, "realisations"),
        ({"realisations": (3, 3)}, "realisations"),
        ({"constraints": "periodic"}, "constraints"),
        ({"constraints": ("neumann",)}, "constraints"),
        ({"property": "colour"}, "'colour' is unknown"),
        ({"property": "stiffness"}, "needs laws"),
        ({"property": 3}, "neither a name"),
        ({"property": "yield_onset", "laws": {"matrix": PHASES["grain"]}}, "yield stress"),
        ({"property": "conductivity", "laws": {"matrix": -1.0}}, "conductivity"),
        ({"property": lambda labels, constraint: np.nan}, "size 64 .* finite"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(hmm.InputError, match=message):
        study(**options)


def test_bad_questions():
    result = study(realisations=2)
    for ask in (
        lambda: result.error(0),
        lambda: result.error(8, 0),
        lambda: result.realisations_needed(8, -1),
        lambda: result.sample(9),
        lambda: result.sample(8, "minimal"),
    ):
        with pytest.raises(hmm.InputError):
            ask()
