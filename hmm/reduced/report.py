"""What a reduced model can do, as training measured it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingReport:
    """What training made and measured.

    Attributes
    ----------
    modes, points
        Modes of the fluctuation, and cubature points.
    unknowns, quadrature_points
        Those of the RVE.
    median, worst
        Error of the response on blind paths: of each path the largest deviation of a step, relative to the path's
        largest response; NaN without blind paths.
    speed_up
        Time of a step of the RVE over that of a step of the reduced model in a batch, on the blind paths.
    paths, failed
        Training paths that were used, and those of them that were not followed to their end.
    failures
        Number of each such path, and why.
    """

    modes: int
    points: int
    unknowns: int
    quadrature_points: int
    median: float
    worst: float
    speed_up: float
    paths: int
    failed: int
    failures: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.modes} modes of {self.unknowns} unknowns, {self.points} cubature points of "
            f"{self.quadrature_points}; blind error {self.median:.2%} median, {self.worst:.2%} worst; "
            f"{self.speed_up:.0f} times faster; {self.paths} training paths, {self.failed} of them not to their end"
        )
