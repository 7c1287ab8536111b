"""What repeated trials say: mean, spread, and the interval of the mean; pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

CONFIDENCE: Final = 0.95
_SMALLEST_STEP: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of the mean of some finite numbers."""

    n: int
    mean: float
    sd: float | None
    """Sample standard deviation; None for one number."""
    interval: tuple[float, float] | None
    """By Student's t at `CONFIDENCE`; None for one number."""


def estimate(values: Sequence[float]) -> Estimate | None:
    """The estimate from `values`, of which those that are not finite are left out; None for none.

    None, too, where the numbers are too large for their sums.
    """
    finite = [float(value) for value in values if math.isfinite(value)]
    if not finite:
        return None
    try:
        mean = statistics.fmean(finite)
        if len(finite) == 1:
            return Estimate(1, mean, None, None)
        sd = statistics.stdev(finite, mean)
    except OverflowError:
        return None
    half = quantile(len(finite) - 1) * sd / math.sqrt(len(finite))
    if not math.isfinite(mean + half) or not math.isfinite(mean - half):
        return None
    return Estimate(len(finite), mean, sd, (mean - half, mean + half))


@lru_cache(maxsize=256)
def quantile(freedom: int) -> float:
    """The two-sided `CONFIDENCE` quantile of Student's t with so many degrees of freedom."""
    low, high = 0.0, 16.0
    while high - low > _SMALLEST_STEP * high:
        middle = (low + high) / 2
        if within(middle, freedom) < CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def within(t: float, freedom: int) -> float:
    """The probability that Student's t lies between -t and t (Abramowitz and Stegun 26.7.3-4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, total = math.cos(angle), 0.0
    if freedom % 2:
        term = cosine
        for place in range(1, freedom - 1, 2):
            total += term
            term *= cosine * cosine * (place + 1) / (place + 2)
        return 2 / math.pi * (angle + math.sin(angle) * total)
    term = 1.0
    for place in range(0, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (place + 1) / (place + 2)
    return math.sin(angle) * total
