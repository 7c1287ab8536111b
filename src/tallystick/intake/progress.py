"""Progress bars in what a command prints: tqdm (Lightning's and Hugging Face's too), rich, Keras.

Only the last bar of a piece of output counts: how far it is, and how long it says that it takes.
A bar that knows no total says nothing.
"""

import re
from dataclasses import dataclass
from typing import Final

_ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_END: Final = re.compile(r"[\r\n]+")
_LONGEST: Final = 1_000  # characters of a line that shows a bar
_LONGEST_LABEL: Final = 80

_TQDM: Final = re.compile(
    r"(?P<label>[^|]{0,200}?):?\s*(?P<percent>\d{1,3})%\|[^|]*\|\s*"
    r"(?P<done>[\d.]+)(?P<unit>[kMGTP]?)i?B?/(?P<total>[\d.]+)(?P<units>[kMGTP]?)i?B?\s*"
    r"\[[\d:]+<(?P<left>[\d:?]+)"
)
_RICH: Final = re.compile(
    r"(?P<label>[^━╸╺]{0,200}?)\s*[━╸╺][━╸╺ ]*\s+(?P<percent>\d{1,3})%\s+(?P<left>[\d:-]+)"
)
_RICH_COUNT: Final = re.compile(
    r"(?P<label>[^━╸╺]{0,200}?)\s*[━╸╺][━╸╺ ]*\s+(?P<done>\d+)/(?P<total>\d+)\s+[\d:]+\s+•\s+"
    r"(?P<left>[\d:-]+)"
)
_KERAS: Final = re.compile(
    r"(?P<label>)\s*(?P<done>\d+)/(?P<total>\d+)\s+(?:━+|\[[=>.]+\])\s+(?:- ETA: )?"
    r"(?P<left>\d+)(?P<scale>s|m|h)\b"
)
_FACTORS: Final = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_SCALES: Final = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Bar:
    """What a progress bar says."""

    fraction: float
    """From 0 to 1."""
    left_seconds: float | None
    """How long it will take by its own estimate; None while it has none."""
    label: str
    """What stands before it."""


def last_bar(text: str) -> Bar | None:
    """The last bar in the end of some output; None when there is none."""
    for line in reversed(_END.split(_ESCAPE.sub("", text))):
        if len(line) <= _LONGEST and (found := _bar(line)) is not None:
            return found
    return None


def _bar(line: str) -> Bar | None:
    if "%" not in line and "/" not in line:
        return None
    for pattern in (_TQDM, _RICH, _RICH_COUNT, _KERAS):
        match = pattern.match(line)
        if match is not None:
            groups = match.groupdict()
            fraction = _fraction(groups)
            label = groups["label"].strip().rstrip(":")[:_LONGEST_LABEL]
            left = _seconds(groups["left"], groups.get("scale"))
            return None if fraction is None else Bar(fraction, left, label)
    return None


def _fraction(groups: dict[str, str]) -> float | None:
    """The exact one where a bar counts, else by its percentage."""
    if groups.get("total"):
        try:
            total = float(groups["total"]) * _FACTORS[groups.get("units") or ""]
            done = float(groups["done"]) * _FACTORS[groups.get("unit") or ""]
        except ValueError:
            return None
        return min(1.0, done / total) if total > 0 else None
    return min(1.0, int(groups["percent"]) / 100)


def _seconds(text: str, scale: str | None) -> float | None:
    """`1:02:03`, `02:03` or a number with a unit; None for `?` and `-:--:--`."""
    parts = text.split(":")
    if not all(part.isdigit() for part in parts) or len(parts) > 3:
        return None
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return float(seconds * _SCALES.get(scale or "s", 1))
