"""Loading of a cell: uniaxial tension, plane stress, and any path of macroscopic inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import InputError
from hmm.foundation.html import html_table
from hmm.foundation.options import instance, numbers
from hmm.micro.mixed_control import MixedControl
from hmm.micro.response import ControlledResponse, PointState
from hmm.micro.rve import RVE
from hmm.models.components import find_components
from hmm.models.protocol import MicroModel


def plane_stress(rve: RVE | MicroModel) -> MixedControl:
    """An RVE whose mean out-of-plane stresses are zero; its input is the (2, 2) strain or deformation gradient.

    For another micro model the result is an `hmm.models.ControlledModel`.

    The cell is 3D, or 2D with ``out_of_plane=True`` (see `hmm.macro_strain`). The stresses are zero on average only, as
    in a plate with many cells through its thickness. (In a thin sheet they are zero at each point: this needs a
    plane-stress law.)

    Raises
    ------
    InputError
        If the first macro input has no component 33.
    """
    instance("rve", rve, MicroModel, "make it with hmm.RVE, or another micro model")
    (packing, several) = rve.inputs[0].packing, len(rve.inputs) > 1
    prefix = f"{rve.inputs[0].name} " if several else ""
    out = [i for i in packing.indices if 2 in i]
    if (2, 2) not in out:
        raise InputError(
            f"the macroscopic {rve.inputs[0].name} has no component 33: make it with out_of_plane=True, "
            "or use a 3D cell"
        )
    turns = [] if packing.symmetric else [i for i in out if i[0] > i[1]]
    response = {prefix + _label(i): 0.0 for i in out if i not in turns}
    return MixedControl(rve, response, fixed=[prefix + _label(i) for i in turns])


@dataclass(frozen=True)
class TensionTest:
    """The result of `uniaxial`: one component is given, all other responses are zero.

    Attributes
    ----------
    strain, stress
        Shape (n,); the given component (a stretch for a deformation gradient) and its response.
    responses
        The full response at each level; an `hmm.models.ControlledAnswer` if the model is not an RVE.
    """

    strain: NDArray[np.float64]
    stress: NDArray[np.float64]
    responses: tuple[ControlledResponse, ...]

    @property
    def moduli(self) -> NDArray[np.float64]:
        """Consistent tangent moduli, shape (n,): Young's modulus while elastic."""
        return np.array([r.tangent[0, 0] for r in self.responses])

    def _repr_html_(self) -> str:
        """The test as a table, for a notebook."""
        rows = np.column_stack([self.strain, self.stress, self.moduli]).tolist()
        return html_table("Uniaxial test", ["given component", "response", "tangent modulus"], rows)


def uniaxial(
    rve: RVE | MicroModel,
    component: str,
    levels: ArrayLike,
    state: PointState | Mapping[str, Any] | None = None,
    dt: float | None = None,
) -> TensionTest:
    """Load a cell in one component with all other responses zero; each level starts from the previous state.

    Parameters
    ----------
    rve
        The RVE, or another micro model. A 2D cell without a component 33 is loaded in plane strain.
    component
        The given component, such as ``"11"``, or ``"1"`` of a gradient.
    levels
        Shape (n,); its values.
    state
        State at the start; by default the undeformed state.
    dt
        Duration of each step, for rate-dependent laws.

    Raises
    ------
    InputError
        If there is no such component, or if there are several macroscopic inputs.
    ConvergenceError
        If a level does not converge.

    Notes
    -----
    For a deformation gradient, the components below the diagonal are fixed at zero, which excludes rotations.
    """
    instance("rve", rve, MicroModel, "make it with hmm.RVE, or another micro model")
    if len(rve.inputs) > 1:
        raise InputError("a uniaxial test has one macro input: use hmm.MixedControl for several")
    (driven,) = find_components(rve.inputs, [component])
    packing = rve.inputs[0].packing
    is_turn = [not packing.symmetric and len(i) == 2 and i[0] > i[1] for i in packing.indices]
    others = [k for k in range(packing.size) if k != driven]
    response = {packing.labels[k]: 0.0 for k in others if not is_turn[k]}
    test = MixedControl(rve, response, fixed=[packing.labels[k] for k in others if is_turn[k]])
    values = np.atleast_1d(numbers("levels", levels))
    answers = tuple(follow(test, [{component: float(v)} for v in values], state, dt))
    stress = np.array([a.vector[0] / packing.factors[driven] for a in answers])
    return TensionTest(values, stress, answers)


class Answer(Protocol):
    """An answer as `follow` needs it."""

    @property
    def state(self) -> Any:
        """The state at the end of the step."""
        ...


class Solvable[R: Answer](Protocol):
    """A model with `solve`: `hmm.RVE`, `hmm.MixedControl`, `hmm.FunctionModel` and the other models."""

    def solve(self, E: Any, state: Any = None, *, dt: float | None = None) -> R:
        """Answer a macroscopic input."""
        ...


def follow[R: Answer](
    problem: Solvable[R],
    path: Iterable[ArrayLike | Mapping[str, float]],
    state: PointState | Mapping[str, Any] | None = None,
    dt: float | None = None,
) -> Iterator[R]:
    """Responses along a path; each step starts from the previous state.

    Parameters
    ----------
    problem
        An `hmm.RVE`, an `hmm.MixedControl`, an `hmm.FunctionModel` or another model with `solve`.
    path
        Macroscopic inputs, in any form that `solve` accepts.
    state
        State at the start; by default the undeformed state.
    dt
        Duration of each step, for rate-dependent laws.

    Yields
    ------
    Response or PointAnswer
        The answer at each input.
    """
    for E in path:
        answer = problem.solve(E, state, dt=dt)
        state = answer.state
        yield answer


def _label(index: tuple[int, ...]) -> str:
    return "".join(str(i + 1) for i in index)
