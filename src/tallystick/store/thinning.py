"""Which points of a long series are shown: its lowest, highest, ends, and what is not finite.

The lowest and highest of each stretch are found by a library; the series is never scaled, averaged
or interpolated, so every point that is shown is one that was logged.
"""

from typing import Final

import numpy as np
from tsdownsample import MinMaxDownsampler

from tallystick.store.columns import Array

MOST_POINTS: Final = 2_000
"""A series up to this long is given whole."""

BUCKETS: Final = 600
"""Stretches of a longer one, unless the caller says otherwise; each leaves three points at most:
lowest, highest, first that is not finite."""

MOST_BUCKETS: Final = 5_000


def chosen(values: Array, buckets: int = BUCKETS) -> Array:
    """Places of the points that stay of more than `MOST_POINTS`, in order."""
    numbers = values.astype(np.float64)
    finite = np.isfinite(numbers)
    places = np.flatnonzero(finite)
    kept = [np.array([0, len(numbers) - 1])]
    if len(places) > 2 * buckets:
        downsampler = MinMaxDownsampler()  # type: ignore[no-untyped-call]
        kept.append(places[downsampler.downsample(numbers[places], n_out=2 * buckets)])
    else:
        kept.append(places)
    if len(places) < len(numbers):
        odd = np.flatnonzero(~finite)
        _, first = np.unique(odd * buckets // len(numbers), return_index=True)
        kept.append(odd[first])
    return np.unique(np.concatenate(kept))
