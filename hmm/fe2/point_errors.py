"""Errors that micro models estimate, at the integration points of the macro problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.fe2.homogenizer import Homogenizer
from hmm.foundation.blocks import Blocks
from hmm.models.points import input_blocks
from hmm.models.protocol import Estimated

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PointErrors:
    """Estimated errors of the responses at this rank's own points.

    Attributes
    ----------
    signed
        Shape (n_points, m); what is to be added to the packed responses.
    sizes
        Shape (n_points,); sizes of errors of which no more is known.
    elastic
        Shape (n_points, m, m); initial tangents.
    """

    signed: Floats
    sizes: Floats
    elastic: Floats

    @classmethod
    def of(cls, hom: Homogenizer) -> PointErrors:
        """The errors of the committed responses, in the frame of the macro problem (collective)."""
        batches, m = hom.batches, input_blocks(hom.model.inputs).size
        parts = Blocks({"signed": m, "sizes": 1, "elastic": m * m})
        rows = np.zeros((batches.n_rows, parts.size))
        for k, (model, points) in enumerate(zip(batches.models, batches.points, strict=True)):
            own = batches.rows(k)
            assert points.start.tangent is not None
            rows[own, parts["elastic"]] = points.start.tangent.ravel()
            if isinstance(model, Estimated):
                found = model.errors(points)
                rows[own, parts["signed" if found.ndim == 2 else "sizes"]] = found.reshape(points.n, -1)
        values = parts.split(hom.ensemble.to_owners(rows))
        signed, elastic = values["signed"], values["elastic"].reshape(-1, m, m)
        if hom.orientation is not None:
            signed, elastic = hom.orientation.to_macro(signed, elastic, hom.rows.point)
        mean = hom.rows.mean
        return cls(mean(signed), mean(values["sizes"])[:, 0], mean(elastic))

    def largest(self, hom: Homogenizer) -> float:
        """The largest error of the first response at this rank's points, in the unit of the response."""
        first = next(iter(input_blocks(hom.model.inputs).values()))
        return float((np.linalg.norm(self.signed[:, first], axis=1) + self.sizes).max(initial=0.0))
