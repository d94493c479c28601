"""The Hill-Mandel condition of a solved cell."""

from __future__ import annotations

import ufl

from hmm.foundation import tensors
from hmm.micro.mixed_control import MixedControl, rve_of
from hmm.micro.response import Response
from hmm.micro.rve import RVE


def hill_mandel_defect(problem: RVE | MixedControl, response: Response) -> float:
    """Relative error of the Hill-Mandel condition, ``|<sigma : eps> - Sigma : E| / |Sigma : E|``.

    At equilibrium, the average of the local work equals the work of the averages for every admissible constraint. The
    defect therefore measures the micro residual: for a converged cell it is round-off times the condition number.
    Source: Hill, *J. Mech. Phys. Solids* 11 (1963) 357; averages are over |Y|, voids included.

    Parameters
    ----------
    problem
        The cell problem; its fields must still be those of `response`, as they are after `solve`.
    response
        Its last response.

    Returns
    -------
    float
        The relative defect, dimensionless; the absolute one, in the unit of the response, where ``Sigma : E`` is zero.
        With laws, ``<sigma : eps>`` is integrated phase by phase; with an energy it follows from the residual, as
        ``R_w[w] + R_E[E]`` over |Y|. Collective on the cell's communicator.
    """
    rve, response = rve_of(problem), response.full
    loaded = rve.system.loaded
    macro = float(rve.problem.blocks.join({e.name: e.function.x.array for e in rve.inputs}) @ response.vector)
    if rve.law:
        fields = rve.problem.further_fields() | {rve.inputs[0].field: rve.local()}
        work = {
            phase: sum(ufl.inner(rve.local_response(phase, f), tensors.embed(fields[f])) for f in law.fields)
            for phase, law in rve.law.items()
        }
        micro = sum(rve.average(value, phase) for phase, value in work.items())
    else:
        micro = macro + float(loaded.reduced.sum(loaded.residual() @ response.state.z)) / rve.cell.volume
    return abs(micro - macro) / (abs(macro) or 1.0)
