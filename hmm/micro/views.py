"""Look into an RVE."""

from __future__ import annotations

from numpy.typing import ArrayLike

from hmm.micro.local_fields import LocalFields, loaded_fields
from hmm.micro.mixed_control import MixedControl
from hmm.micro.response import PointState
from hmm.micro.rve import RVE


def local_fields(rve: RVE | MixedControl, state: PointState, E: ArrayLike) -> LocalFields:
    """The local fields of one RVE at the end of a step.

    Parameters
    ----------
    rve
        The cell problem; this point stays loaded.
    state
        State at the end of the step, such as `hmm.Response.state`.
    E
        The macroscopic input: its tensor or the packed vector, shape (m,).

    Returns
    -------
    LocalFields
        New Functions.

    Notes
    -----
    The stress is evaluated with the internal variables of the end of the step, where the return
    mapping of a rate-independent law has no effect.
    """
    rve.load(state, E)
    return loaded_fields(rve.system.loaded, state.history)
