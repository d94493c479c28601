"""A checkpoint goes on with the problem that wrote it, and with no other that looks like it."""

import hmm  # isort: skip

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from dolfinx.mesh import CellType
from support.macro_tools import STIFF, TIGHT, homogeneous_cell

from hmm.foundation.described import described
from hmm.runs.fingerprint import present_values, problem_fingerprint

COMM = MPI.COMM_WORLD
J2 = type(hmm.laws.J2(1.0, 0.3, 1.0))


def own_law(part: float):
    """J2 plasticity that keeps a part only of what its variables become; nothing of it is in the forms."""

    class Own(J2):
        def update(self, at):
            return {name: part * value for name, value in super().update(at).items()}

    return Own(young=70e3, poisson=0.3, yield_stress=100.0, hardening=700.0)


@dataclass
class Body:
    """A strip in tension, under a body force and a traction."""

    problem: hmm.MacroProblem
    load: fem.Constant
    force: fem.Function


def body(
    comm: MPI.Comm = COMM,
    factor: float = 1.0,
    clamped: float = 1.0,
    force: float = 1.0,
    pulled: float = 4.0,
    law: object = own_law(1.0),
    lift: float = 0.0,
    listed: bool = False,
) -> Body:
    """A problem with something in it that is not in the signature of the macro form."""
    cell = homogeneous_cell()
    rve = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law={"matrix": law}, newton_options=TIGHT)
    domain = mesh.create_rectangle(comm, [[0.0, 0.0], [4.0, 1.0]], [4, 2], CellType.triangle)
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u, v, load, f, g = fem.Function(V), ufl.TestFunction(V), fem.Constant(domain, 0.0), fem.Function(V), fem.Function(V)
    f.interpolate(lambda x: force * np.array([np.sin(x[1] * x[0]), x[0] / 3]))
    g.interpolate(lambda x: lift * np.array([np.zeros_like(x[0]), x[1] - 0.3]))
    hom = hmm.Homogenizer(rve, factor * ufl.sym(ufl.grad(u)), degree=2, dumps=None)
    facets = mesh.locate_entities_boundary(domain, 1, lambda x: np.isclose(x[0], pulled))
    tags = mesh.meshtags(domain, 1, np.sort(facets), np.full(facets.size, 7, dtype=np.int32))
    data = [(7, fem.compute_integration_domains(fem.IntegralType.exterior_facet, domain.topology, facets))]
    ds = ufl.Measure("ds", domain, subdomain_data=data if listed else tags)
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx - load * (ufl.inner(f, v) * ufl.dx + 9 * v[0] * ds(7))
    held = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0) & (x[1] <= clamped))
    return Body(hmm.MacroProblem(F, u, hom, bcs=[fem.dirichletbc(g, held)]), load, f)


def run(what: Body, path: Path, target: float = 1.0) -> int:
    return sum(1 for _ in hmm.steps(what.problem, what.load, target, 2, checkpoint=path))


OTHERS = {
    "macro input": {"factor": 1.1},
    "support of Dirichlet condition 1": {"clamped": 0.9},
    "Function 1 of the macro form": {"force": 1.001},
    "place of exterior facets of tag 7": {"pulled": 0.0},
    "law of 'matrix'": {"law": own_law(0.5)},
    "values of Dirichlet condition 1": {"lift": 1e-6},
}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    path = COMM.bcast(tmp_path_factory.mktemp("good")) / "run.h5"
    assert run(body(), path) == 2
    return path


@pytest.mark.mpi
@pytest.mark.parametrize("name", list(OTHERS))
def test_another_problem_is_refused(good, name):
    with pytest.raises(hmm.InputError, match=rf"the {name} (is|of) .* (here|call with)") as caught:
        run(body(**OTHERS[name]), good)
    assert "\n" not in str(caught.value)


@pytest.mark.mpi
def test_the_same_problem_is_not(good):
    assert run(body(), good) == 0


@pytest.mark.mpi
@pytest.mark.parametrize("listed", [False, True])
def test_one_rank_and_several_say_the_same(listed):
    """All of it, also where boundaries run through the places that are described."""
    spread, alone = body(listed=listed).problem, body(MPI.COMM_SELF, listed=listed).problem
    assert problem_fingerprint(spread) == problem_fingerprint(alone)
    assert present_values(spread) == present_values(alone)


@pytest.mark.mpi
def test_an_update_is_told_apart_by_what_it_computes():
    """The signature of its UFL, whatever the code is called."""
    one, other = problem_fingerprint(body().problem), problem_fingerprint(body(law=own_law(0.5)).problem)
    assert {k for k in one if one[k] != other[k]} == {"law of 'matrix'", "update of 'matrix'"}


@pytest.mark.mpi
def test_a_loop_may_change_functions(tmp_path):
    """What the loop did to a Function in a part that is done is no reason to refuse the next part."""
    path = COMM.bcast(tmp_path) / "run.h5"

    def both(what: Body, second: float = 2.0) -> list[int]:
        done = [0, 0]
        for part, target in enumerate((1.0, second)):
            for _ in hmm.steps(what.problem, what.load, target, 2, checkpoint=path):
                what.force.x.array[:] *= 1.1
                done[part] += 1
        return done

    assert both(body()) == [2, 2]
    assert both(body()) == [0, 0]
    with pytest.raises(hmm.InputError, match=r"part 1 of the run in .* the Function 1 of the macro form of checksum"):
        both(body(force=1.2))


@pytest.mark.mpi
def test_what_a_loop_changed_is_said(tmp_path, caplog):
    """A Function that the loop changes is not in the file: warned of, unless it is put back before the call."""
    path = COMM.bcast(tmp_path) / "run.h5"

    def part(what: Body, last: int) -> None:
        for step in hmm.steps(what.problem, what.load, 1.0, 3, checkpoint=path):
            if step.number > last:
                return
            what.force.x.array[:] *= 1.1

    part(body(), 1)
    warned = [r.getMessage() for r in caplog.records]
    assert not warned
    part(body(force=1.1), 1)
    assert not caplog.records
    part(body(), 1)
    warned = [r.getMessage() for r in caplog.records]
    assert len(warned) == (COMM.rank == 0)
    assert all("the loop had changed the Function 1 of the macro form, which a checkpoint" in text for text in warned)


class Thing:
    """An object of a user's with parts in no order."""

    def __init__(self, k: float) -> None:
        self.names, self.table = {"b", "a", "c", "d"}, {"z": k, "y": np.arange(3) * k}

    def at(self, x: float) -> float:
        return FACTOR * x if x in {"spring", "summer", "autumn"} else self.table["z"]


FACTOR = 2.0


def closure(k: float):
    return lambda x: k * x


def sayings() -> list[str]:
    return [
        described(x) for x in (Thing(2.0), closure(2.0), Thing(1.0).at, hmm.laws.Fourier(closure(3.0)), {"k": STIFF})
    ]


def test_words_for_what_a_user_writes():
    """What is the same is said in the same words, what differs in others."""
    assert described(closure(2.0)) == described(closure(2.0)) != described(closure(2.5))
    assert described(Thing(2.0)) == described(Thing(2.0)) != described(Thing(2.5))
    assert described(own_law(0.5)) == described(own_law(0.5)) != described(own_law(1.0))
    assert described(lambda x: x + 1) != described(lambda x: x + 2)
    large = np.linspace(0, 1, 5000)
    assert described(large) != described(np.where(large == large[2500], 9, large)), "no ellipsis"
    assert described(0.1) == described(np.float64(0.1)) == "0.1"
    me = Thing(1.0)
    me.table["me"] = me
    assert described(me) == described(me), "and it ends"
    assert not any("0x" in text for text in sayings())
    assert described(STIFF) == "Elastic(young=400000.0, poisson=0.2)"


def test_functions_that_name_one_another():
    """Thirty functions of which each calls all later ones: a million ways between them, and still quick."""
    code = "\n".join(
        f"def f{k}(x):\n    return {' + '.join([f'f{j}(x)' for j in range(k + 1, 30)] or ['x'])}" for k in range(30)
    )
    first, second = {}, {}
    exec(code, first)
    exec(code.replace("return x", "return 2 * x"), second)
    assert described(first["f22"]) != described(second["f22"]), "seven levels down there is another one"
    assert described(first["f0"]) == described(first["f0"])


@pytest.mark.skipif(COMM.size > 1, reason="starts processes of its own")
def test_words_do_not_depend_on_the_process():
    """Two processes that hash strings differently say what this one says."""
    folders = [str(Path(hmm.__file__).parents[1]), *map(str, Path(__file__).parents[:2])]
    said = "[t.sayings(), t.problem_fingerprint(t.body().problem)]"
    code = f"import hmm, json, test_same_problem as t; print(json.dumps({said}))"
    here = json.loads(json.dumps([sayings(), problem_fingerprint(body().problem)]))
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        environment["PYTHONPATH"] = os.pathsep.join(folders)
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
        )
        assert json.loads(done.stdout.splitlines()[-1]) == here, done.stderr
