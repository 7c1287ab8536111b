"""The GPUs of this host: which there are, which may be handed out, and who else holds them.

The driver is asked in a thread of its own and its answer is kept for two seconds, so nobody waits
for a driver that hangs. A card that does not answer any more stays in sight with the reason as its
holder: runs that need it wait and say why. A process that belongs to no attempt of ours is a
stranger, and so is one of ours on a card that its attempt has not leased.
"""

import json
import logging
import pwd
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tallystick.domain.capacity import Device
from tallystick.errors import InvalidError
from tallystick.execution import processes
from tallystick.execution.nvml import Card, Nvml, Use
from tallystick.wire.bundle import BUNDLE_FILE
from tallystick.wire.journal import read_bytes

_log = logging.getLogger(__name__)

VARIABLE: Final = "CUDA_VISIBLE_DEVICES"
FRESH_SECONDS: Final = 2.0
"""How long an answer of the driver is good for."""
PATIENCE_SECONDS: Final = 0.2
"""How long anybody waits for it; an answer that comes later is taken at the next look."""
SILENT_SECONDS: Final = 10.0
"""A driver that has said nothing for so long is believed to say nothing any more."""
FIRST_PATIENCE_SECONDS: Final = 10.0
"""Cards that sleep take seconds to wake, one after the other."""
ANEW_SECONDS: Final = 30.0
"""While a card is missing: NVML sees a change of cards only when it is opened anew."""
_NAMED_HOLDERS: Final = 2
_UUID: Final = re.compile(r"GPU-[0-9A-Fa-f][0-9A-Fa-f-]{3,}")
_MIB: Final = 1024**2
_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Owner:
    """The attempt of ours that a process belongs to."""

    attempt: str
    leased: frozenset[str] | None
    """Ids of its devices; None when it was started without any say about devices."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look, ready to be handed on."""

    devices: tuple[Device, ...] = ()
    failed: dict[int, str] = field(default_factory=dict)
    trouble: str | None = None


class Devices:
    """The GPUs that may be handed out; safe to call from any thread."""

    def __init__(
        self,
        choice: str | None = None,
        *,
        whose: Callable[[int], Owner | None],
        nvml: Nvml | None = None,
        tell: Callable[[str], None] = _log.warning,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """`choice` is the setting `execution.gpus`; `whose` tells to whom a pid belongs; `tell` is
        told once of what is wrong, and when it is over.

        Nothing is asked before `look`. Raises `InvalidError` for a choice that says nothing.
        """
        self._chosen = parse_choice(choice)
        self._whose = whose
        self._nvml = nvml or Nvml()
        self._report = tell
        self._seconds = seconds
        self._guard = threading.Lock()
        self._known: tuple[Device, ...] = ()
        self._answering = self._most = 0
        self._looked_at: float | None = None
        self._opened_at = self._answered_at = seconds()
        self._asking: threading.Thread | None = None
        self._answers: queue.SimpleQueue[_Seen] = queue.SimpleQueue()
        self._said: tuple[str, ...] = ()

    def look(self) -> tuple[Device, ...]:
        """Every device that may be handed out, by index; at most two seconds old."""
        with self._guard:
            if self._looked_at is None or self._seconds() - self._looked_at >= FRESH_SECONDS:
                self._take(self._ask(patience=self._patience()))
                self._looked_at = self._seconds()
            return self._known

    @property
    def trouble(self) -> tuple[str, ...]:
        """What was wrong at the last look, in words; empty when all was well."""
        return self._said

    def close(self) -> None:
        """Let the driver go, unless it hangs. May be repeated."""
        with self._guard:
            if self._asking is None or not self._asking.is_alive():
                self._nvml.close()

    def _patience(self) -> float:
        """How long to wait for an answer."""
        return FIRST_PATIENCE_SECONDS if self._looked_at is None else PATIENCE_SECONDS

    def _ask(self, *, patience: float) -> _Seen | None:
        """What the driver says; None when it says nothing new in time."""
        with suppress(queue.Empty):
            return self._answers.get_nowait()  # one that came late is better than none
        if self._asking is not None and self._asking.is_alive():
            return None  # it had its time: nobody waits for it any more
        self._asking = threading.Thread(
            target=self._see, args=(self._is_time_to_reopen(),), name="nvml", daemon=True
        )
        self._asking.start()
        with suppress(queue.Empty):
            return self._answers.get(timeout=patience)
        return None

    def _is_time_to_reopen(self) -> bool:
        """Whether cards are missing, and for long enough."""
        if self._answering >= self._most or self._seconds() - self._opened_at < ANEW_SECONDS:
            return False
        self._opened_at = self._seconds()
        self._most = 0  # what is not there then either is not waited for
        return True

    def _see(self, anew: bool) -> None:  # noqa: FBT001 - the argument of a thread
        """Runs in the thread that may hang."""
        if anew:
            self._nvml.close()
        answer = self._nvml.read()
        devices = tuple(self._device(card) for card in answer.cards)
        self._answers.put(_Seen(devices, answer.failed, answer.trouble))

    def _take(self, seen: _Seen | None) -> None:
        """Keep what was seen; of what did not answer, what was known before."""
        now = self._seconds()
        if seen is not None:
            self._answered_at = now
        elif now - self._answered_at < SILENT_SECONDS:
            return
        else:
            seen = _Seen(trouble=f"no answer for {SILENT_SECONDS:g} s")
        if seen.trouble is None:
            self._answering = len(seen.devices)
            self._most = max(self._most, len(seen.devices) + len(seen.failed))
        ids = {device.id for device in seen.devices}
        silent = [
            replace(device, held_by=f"its driver, which does not answer: {reason}")
            for device in self._known
            if device.id not in ids
            and (reason := seen.trouble or seen.failed.get(device.index)) is not None
        ]
        found = (*(device for device in seen.devices if self._may(device)), *silent)
        self._tell(seen)
        self._known = tuple(sorted(found, key=lambda device: device.index))

    def _may(self, device: Device) -> bool:
        """Whether it may be handed out at all."""
        return self._chosen is None or any(is_named(device, word) for word in self._chosen)

    def _tell(self, seen: _Seen) -> None:
        """Say what is wrong, once, and that it is over."""
        said = [f"GPU {index}: {reason}" for index, reason in sorted(seen.failed.items())]
        if seen.trouble is not None:
            said = [seen.trouble]
        elif seen.devices:
            said += [
                f"no GPU of this host is {word}, which execution.gpus names"
                for word in self._chosen or ()
                if not any(is_named(device, word) for device in seen.devices)
            ]
        if tuple(said) != self._said:
            self._said = tuple(said)
            for line in said or ["all is well again"]:
                self._report(f"NVIDIA driver: {line}")

    def _device(self, card: Card) -> Device:
        """A card with its strangers in words."""
        return Device(
            id=card.id,
            index=card.index,
            name=card.name,
            memory_mb=card.memory_mb,
            held_by=in_words(self._strangers(card)),
        )

    def _strangers(self, card: Card) -> list[str]:
        """Who computes on it without a lease of ours, the largest first."""
        found = []
        for use in sorted(card.uses, key=lambda use: -(use.memory_bytes or 0)):
            owner = self._whose(use.pid)
            if owner is None:
                found.append(name_of(use))
            elif owner.leased is not None and card.id not in owner.leased:
                found.append(f"{name_of(use)} for {owner.attempt}, without a lease")
        return found


def parse_choice(choice: str | None) -> tuple[str, ...] | None:
    """The words of the setting `execution.gpus`; None for all of them.

    Raises `InvalidError` for a word that is neither an index nor a UUID.
    """
    if choice is None or choice.strip() == "all":
        return None
    if choice.strip() == "none":
        return ()
    words = tuple(word.strip() for word in choice.split(","))
    for word in words:
        if not (word.isascii() and word.isdigit()) and not _UUID.fullmatch(word):
            raise InvalidError(
                f"execution.gpus: expected all, none, or indexes and UUIDs with commas between "
                f"them; found {word[:80]!r}",
                code="setting_invalid",
                hint="nvidia-smi -L lists them; TALLY_EXECUTION_GPUS=0,1 names the first two",
            )
    return words


def is_named(device: Device, word: str) -> bool:
    """Whether a word means this device: its index, its UUID or the beginning of that."""
    if word.isdigit():
        return int(word) == device.index
    return device.id.lower().startswith(word.lower())


def leased_to(directory: Path) -> frozenset[str] | None:
    """The devices that the bundle in a run directory names; None when it names none or is spent."""
    try:
        value = json.loads(read_bytes(directory / BUNDLE_FILE))["environment"][VARIABLE]
        return frozenset(value.split(",")) - {""}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def name_of(use: Use) -> str:
    """A process on a card, for people: `pid 4211 (python, alice), which holds 31 GiB`."""
    found = processes.describe(use.pid)
    who = "not visible from here" if found is None else f"{found.name}, {_user(found.uid)}"
    return f"pid {use.pid} ({who}), which holds {_size(use.memory_bytes)}"


def in_words(holders: Sequence[str]) -> str | None:
    """All holders of a card in one line; None when there are none."""
    if not holders:
        return None
    more = len(holders) - _NAMED_HOLDERS
    words = "; ".join(holders[:_NAMED_HOLDERS])
    return f"{words}; and {more} more" if more > 0 else words


def _user(uid: int) -> str:
    """The name of a user, where the host knows one."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _size(memory_bytes: int | None) -> str:
    """Memory for people."""
    if memory_bytes is None:
        return "memory of it"
    if memory_bytes < _GIB:
        return f"{memory_bytes // _MIB} MiB"
    return f"{memory_bytes / _GIB:.0f} GiB"
