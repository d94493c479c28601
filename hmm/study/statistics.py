"""Results of a study: means with confidence intervals, the fitted variance, and the required sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma, stdtrit

from hmm.foundation.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Sample:
    """The realisations of one size under one constraint.

    Attributes
    ----------
    size
        Edge length.
    values
        Shape (n,); the apparent property of each cell, in its unit.
    """

    size: float
    values: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Number of realisations."""
        return self.values.size

    @property
    def mean(self) -> float:
        """Mean over the realisations."""
        return float(self.values.mean())

    @property
    def variance(self) -> float:
        """Unbiased variance of one realisation; zero if the values differ by rounding errors only."""
        variance = float(self.values.var(ddof=1))
        return variance if variance > (1e-13 * abs(self.mean)) ** 2 else 0.0

    @property
    def half_width(self) -> float:
        """Half the 95 % confidence interval of the mean (Student t with n - 1 degrees of freedom)."""
        return quantile(self.n - 1) * float(np.sqrt(self.variance / self.n))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the mean."""
        return self.mean - self.half_width, self.mean + self.half_width


@dataclass(frozen=True)
class VariancePowerLaw:
    """``Var(Z) = Var_point (A / V)^alpha``, fitted to the variances of all sizes.

    Attributes
    ----------
    alpha
        The exponent: 1 if the integral range is finite; less for long-range order, more for hyperuniform media.
    alpha_error
        Half its 95 % confidence interval, from the scatter of the sample variances of normal values.
    scale
        ``Var_point A^alpha``: the variance at V = 1.
    integral_range
        A, in the unit of V; None if the variance at a point is not known.
    freedom
        Degrees of freedom of the pooled variance.
    """

    alpha: float
    alpha_error: float
    scale: float
    integral_range: float | None
    freedom: int

    def variance(self, volume: float) -> float:
        """Variance of one realisation of that volume."""
        return float(self.scale * volume**-self.alpha)


@dataclass(frozen=True, eq=False)
class SizeStatistics:
    """Apparent property against size and constraint: means, scatter and what they need to be exact.

    Attributes
    ----------
    name
        Name of the property.
    dim
        Dimension of the cells; the volume is ``size**dim``.
    samples
        For each constraint one `Sample` for each size, in the order of increasing size.
    point_variance
        Variance of the property at a point, or None.
    comm
        Its rank 0 prints and writes.
    """

    name: str
    dim: int
    samples: Mapping[str, tuple[Sample, ...]]
    point_variance: float | None = None
    comm: MPI.Comm = field(default_factory=lambda: MPI.COMM_SELF, repr=False)

    @property
    def sizes(self) -> tuple[float, ...]:
        """The sizes, growing."""
        return tuple(s.size for s in self.samples[self.constraint])

    @property
    def constraint(self) -> str:
        """The default constraint: ``"periodic"`` if it was studied, else the first."""
        return "periodic" if "periodic" in self.samples else next(iter(self.samples))

    @property
    def effective(self) -> float:
        """Best estimate of the effective property: the mean at the largest size (of the default constraint)."""
        return self.samples[self.constraint][-1].mean

    def sample(self, size: float, constraint: str | None = None) -> Sample:
        """The sample of a size that was studied."""
        for sample in self.samples[self._known(constraint)]:
            if np.isclose(sample.size, size, rtol=1e-12):
                return sample
        raise InputError(f"size {size:g} was not studied: the sizes are {', '.join(f'{d:g}' for d in self.sizes)}")

    @cached_property
    def fits(self) -> dict[str, VariancePowerLaw | None]:
        """The fitted variance for each constraint; None if fewer than two sizes have any variance."""
        return {name: fit(samples, self.dim, self.point_variance) for name, samples in self.samples.items()}

    def error(self, size: float, n: int = 1, constraint: str | None = None) -> float:
        """Relative error of the mean of `n` cells of a size, with 95 % confidence, without the bias.

        It follows from the fitted variance, also at sizes that were not studied; without a fit, from the sample of that
        size. ``t sqrt(Var(Z) / n) / |Z|`` (Kanit et al. 2003, eq. 26, with Student's t for the 2 there).
        """
        if n < 1 or not size > 0:
            raise InputError(f"size = {size}, n = {n}: give a positive size and one realisation at least")
        t, variance = self._scatter(size, self._known(constraint))
        return t * float(np.sqrt(variance / n)) / self._magnitude

    def realisations_needed(self, size: float, error: float, constraint: str | None = None) -> int:
        """Number of cells of a size whose mean has a given relative error with 95 % confidence (see `error`)."""
        self._check_error(error)
        one = self.error(size, 1, constraint)
        return max(1, int(np.ceil((one / error) ** 2 * (1 - 1e-12))))

    def size_needed(self, error: float, n: int = 1, constraint: str | None = None) -> float:
        """Size at which the mean of `n` cells has a given relative error with 95 % confidence (see `error`)."""
        self._check_error(error)
        law = self.fits[self._known(constraint)]
        if law is None or law.alpha <= 0:
            raise InputError("the variance does not decrease with the size, or was not fitted: study more sizes")
        target = n * (error * self._magnitude / quantile(law.freedom)) ** 2
        return float((law.scale / target) ** (1 / (law.alpha * self.dim)))

    def bias(self, size: float, constraint: str | None = None) -> float:
        """Relative deviation of the mean at a studied size from `effective`: more realisations do not reduce it."""
        return self.sample(size, constraint).mean / self.effective - 1

    def gap(self, size: float) -> tuple[float, float]:
        """Largest difference between two constraints at a studied size, relative to `effective`.

        Returns
        -------
        (float, float)
            The difference of the means, and half its 95 % confidence interval, from differences of the same cells.
        """
        samples = sorted((self.sample(size, name) for name in self.samples), key=lambda s: s.mean)
        paired = Sample(size, samples[-1].values - samples[0].values)
        return paired.mean / self._magnitude, paired.half_width / self._magnitude

    @property
    def _magnitude(self) -> float:
        if self.effective == 0:
            raise InputError(f"the mean {self.name} is zero, so there is no relative error: study another property")
        return abs(self.effective)

    def _known(self, constraint: str | None) -> str:
        name = constraint or self.constraint
        if name not in self.samples:
            raise InputError(f"constraint {name!r} was not studied: the constraints are {', '.join(self.samples)}")
        return name

    def _scatter(self, size: float, constraint: str) -> tuple[float, float]:
        """Student's t and the variance of one realisation."""
        law = self.fits[constraint]
        if law is not None:
            return quantile(law.freedom), law.variance(size**self.dim)
        sample = self.sample(size, constraint)
        return quantile(sample.n - 1), sample.variance

    @staticmethod
    def _check_error(error: float) -> None:
        if not 0 < error < float("inf"):
            raise InputError(f"error = {error} must be a positive number, such as 0.01")


def quantile(freedom: int) -> float:
    """Two-sided 95 % quantile of Student's t distribution."""
    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def fit(samples: Sequence[Sample], dim: int, point_variance: float | None) -> VariancePowerLaw | None:
    """Weighted least-squares fit of ``log Var`` as a function of ``log V``.

    For normal values, the logarithm of a sample variance with v degrees of freedom has the mean
    ``log Var + psi(v/2) - log(v/2)`` and the variance ``psi'(v/2)``, with the digamma function psi. The fit uses both.
    """
    used = [s for s in samples if s.variance > 0]
    if len(used) < 2:
        return None
    half = np.array([(s.n - 1) / 2 for s in used])
    y = np.log([s.variance for s in used]) - digamma(half) + np.log(half)
    x = dim * np.log([s.size for s in used])
    weights = 1 / polygamma(1, half)
    X = np.column_stack([np.ones_like(x), -x])
    covariance = np.linalg.inv(X.T @ (weights[:, None] * X))
    log_scale, alpha = covariance @ (X.T @ (weights * y))
    A = None
    if point_variance is not None and point_variance > 0 and alpha > 0:
        A = float(np.exp((log_scale - np.log(point_variance)) / alpha))
    freedom = max(1, sum(s.n - 1 for s in used) - 2)
    return VariancePowerLaw(float(alpha), 1.96 * float(np.sqrt(covariance[1, 1])), float(np.exp(log_scale)), A, freedom)
