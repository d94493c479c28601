"""From a cell to other codes: material cards, and user materials (UMAT) for Abaqus made of a table and a reduced cell.

A laminate of aluminium and silicon carbide gives cards with stiffness, expansion and conductivity; a table over its
volume fraction, and a hyper-reduced cell of plastic aluminium with fibres, become one C source each. The demo compiles
them and drives them strain by strain, as Abaqus would. They must answer what the models in Python answer; the table
must agree with the closed form of a laminate, and the cycle of the plastic cell must dissipate energy.
"""

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

from mpi4py import MPI

import numpy as np

import hmm
from hmm import reduced

ALUMINIUM, CARBIDE = (70e3, 0.33), (400e3, 0.2)  # MPa


class Umat:
    """A compiled UMAT at one material point."""

    def __init__(self, source: Path, ntens: int, props: tuple[float, ...] = ()) -> None:
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise hmm.InputError("there is no C compiler: install one, or name it in the variable CC")
        library, text = source.with_suffix(".so").resolve(), source.read_text()
        subprocess.run([*compiler.split(), "-O2", "-shared", "-fPIC", source, "-o", library, "-lm"], check=True)
        self.call = ctypes.CDLL(str(library)).umat_
        nstatv = int(text.split("NSTATV ")[1].split(";")[0])  # the head of the source says it
        arguments = re.findall(r"(double|char|int) \*(\w+)", text[text.index("void umat_(") :].split(")")[0])
        n = max(nstatv, ntens**2, len(props), 9)  # enough for each of them
        self.values = {name: np.zeros(n, np.int32 if kind == "int" else np.float64) for kind, name in arguments}
        self.values["props"][: len(props)] = props
        for name, value in (("ntens", ntens), ("nstatv", nstatv), ("nprops", len(props)), ("pnewdt", 1.0)):
            self.values[name][0] = value

    def __call__(self, strain: np.ndarray) -> np.ndarray:
        """The stress at the end of an increment to a total strain, in Voigt's notation with engineering shears."""
        v, n = self.values, int(self.values["ntens"][0])
        v["dstran"][:n] = strain - v["stran"][:n]
        self.call(*(ctypes.c_void_p(value.ctypes.data) for value in v.values()))
        assert v["pnewdt"][0] == 1.0, "the UMAT has no answer"
        v["stran"] += v["dstran"]
        return v["stress"][:n].copy()


def laminate(fraction: float) -> hmm.Cell:
    return hmm.cells.laminate({"aluminium": 1 - fraction, "carbide": fraction}, dim=3, mesh_size=0.5)


def write_cards(folder: Path) -> list[Path]:
    """Stiffness, expansion and conductivity for Abaqus or CalculiX, Ansys, and as a table with units."""
    laws = {"aluminium": hmm.laws.ThermoElastic(*ALUMINIUM, 23e-6, 200.0, 2.4)}
    laws["carbide"] = hmm.laws.ThermoElastic(*CARBIDE, 5e-6, 120.0, 2.2)
    found = hmm.homogenize(laminate(0.4), laws, physics="thermoelasticity")
    units = {"stiffness": "MPa", "expansion": "1/K", "conductivity": "W/(m K)"}
    formats = {"abaqus": "inp", "ansys": "mac", "csv": "csv"}
    return [found.export(folder / f"laminate.{end}", format=name, units=units) for name, end in formats.items()]


def table_of_fractions(comm: MPI.Comm) -> hmm.TableModel:
    """The stiffness of the laminate over the volume fraction of carbide."""
    laws = {"aluminium": hmm.laws.Elastic(*ALUMINIUM), "carbide": hmm.laws.Elastic(*CARBIDE)}

    def rve(fraction):
        cell = laminate(fraction)
        return hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=laws)

    return hmm.tabulate(rve, {"fraction": (0.1, 0.7)}, tolerance=1e-3, comm=comm)


def stiffness_across(fraction: float) -> float:
    """C1111 of the laminate: the layers in series, their strain along the layers prevented."""
    modulus = [E * (1 - nu) / ((1 + nu) * (1 - 2 * nu)) for E, nu in (ALUMINIUM, CARBIDE)]
    return 1 / ((1 - fraction) / modulus[0] + fraction / modulus[1])


def plastic_cell(mesh_size: float, comm: MPI.Comm) -> reduced.ReducedModel:
    """A reduced cell with fibres in plastic aluminium, in plane strain with the stress along the fibres."""
    cell = hmm.cells.fibre(0.3, mesh_size=mesh_size)
    law = {"matrix": hmm.laws.J2(*ALUMINIUM, 100.0, 1000.0), "fibre": hmm.laws.Elastic(*CARBIDE)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 2), hmm.macro_strain(cell, out_of_plane=True), law=law)
    paths = reduced.cyclic(rve.inputs, [0.01, 0.01, 1e-8, 0.01], 6, 12, seed=1)
    return reduced.train(rve, paths, modes=12, points=40, comm=comm)


def cycle(model: reduced.ReducedModel, umat: Umat) -> tuple[np.ndarray, np.ndarray]:
    """Shear strain and stress of a cycle in the UMAT; they must be those of the model, and dissipate energy."""
    factors = np.concatenate([np.linspace(0, 1, 9)[1:], np.linspace(1, -1, 17)[1:], np.linspace(-1, 1, 17)[1:]])
    state, gamma, tau = None, [0.0], [0.0]
    for strain in factors[:, None] * np.array([1e-3, -1e-3, 0.0, 0.008]):
        stress = umat(strain)
        answer = model.solve({"11": strain[0], "22": strain[1], "12": strain[3] / 2}, state)
        state, gamma, tau = answer.state, [*gamma, strain[3]], [*tau, stress[3]]
        assert np.allclose(stress, answer.vector / [1, 1, 1, np.sqrt(2)], atol=1e-6 * np.abs(answer.vector).max())
    assert np.trapezoid(tau[8:], gamma[8:]) > 0, "a plastic cycle dissipates energy"
    return np.array(gamma), np.array(tau)


def main(argv: list[str] | None = None) -> None:
    about = "Material cards and user materials for other codes."
    options, comm = hmm.console.demo_options(argv, about, "exports", "a coarse cell"), MPI.COMM_WORLD
    table, cell, folder = table_of_fractions(comm), plastic_cell(0.3 if options.quick else 0.1, comm), options.output
    gamma = tau = np.zeros(0)
    with hmm.errors.collectively(comm):
        if comm.rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            written = [*write_cards(folder), hmm.write_umat(folder / "laminate.c", table)]
            across = Umat(written[-1], 6, props=(0.33,))(np.array([1e-3, 0, 0, 0, 0, 0]))[0] / 1e-3
            assert abs(across / stiffness_across(0.33) - 1) < 2e-3, "the table must agree with the closed form"
            written.append(hmm.write_umat(folder / "plastic.c", cell))
            gamma, tau = cycle(cell, Umat(written[-1], 4))
            print(f"MPa: C1111 at 33 % carbide {across:.5g}, largest shear stress in the cycle {np.abs(tau).max():.4g}")
            print("Written:", *written, sep="\n  ")
    if not options.no_plots:
        hmm.plotting.plot_curve(folder / "cycle.png", comm, gamma, tau, "shear strain", "shear stress in MPa")


if __name__ == "__main__":
    hmm.errors.run(main)
