"""From signs in Python text to a verdict."""

import re
from typing import Final

from tallystick.shell.names import speaks_of_training
from tallystick.shell.python_code import Signs
from tallystick.shell.python_signs import BACKENDS, BY_HAND, ESTIMATORS, TRACKING
from tallystick.shell.steps import Found, experiment, shown, unknown, utility

_BY_EYE: Final = re.compile(
    r"\.backward\(|\.fit\(|\bTrainer\(|optimi[sz]er\.step\(|GradientTape|\.train\(\w|"
    r"cross_val_score|GridSearchCV"
)
_SUSPECT: Final = re.compile(
    r"torch|tensorflow|keras|\bjax\b|sklearn|transformers|lightning|xgboost|lightgbm|subprocess|"
    r"os\.system|\btrain|epoch|\bbench|\beval|^\s*[!%]",
    re.MULTILINE,
)


def weigh(found: Signs | None, text: str, *, name: str, reason: str) -> Found | None:
    """The verdict that the signs of a text allow; None when it has no sign of an experiment.

    `name` is what to call it; a file's name counts as a weak sign, even of a file that does nothing
    yet: it may be written between the judgement and the start.
    """
    if found is None:
        return _by_eye(text, name, reason)
    said = _certain(found, name, reason) or _doubtful(found, name, reason) if found.runs else None
    return said or _named(found, name, reason)


def _by_eye(text: str, name: str, reason: str) -> Found | None:
    """A text that is no Python of this age: words decide."""
    match = _BY_EYE.search(text)
    if match is not None:
        return experiment(reason, f"runs {name}, where {match[0]}…) stands")
    if reason == "python_script" or _SUSPECT.search(text):
        return unknown(reason, f"runs {name}, which is not to be read as Python")
    return None


def _certain(found: Signs, name: str, reason: str) -> Found | None:
    """Signs that leave no doubt."""
    learning = _listed(found.learning)
    imports = f", which imports {learning} and" if found.learning else ", which"
    if found.acts:
        return experiment(reason, f"runs {name}{imports} calls {found.acts[0]}")
    if found.fits and (found.learning or found.settings & BY_HAND):
        return experiment(reason, f"runs {name}{imports} calls {found.fits[0]}")
    if found.descends:
        return experiment(reason, f"runs {name}, which steps down a gradient: {found.descends}")
    if found.loops and found.settings & BY_HAND:
        used = min(found.settings & BY_HAND)
        return experiment(reason, f"runs {name}{imports} loops over epochs with a {used}")
    if found.learning and len(found.evaluates) >= 2:
        calls = " and ".join(found.evaluates[:2])
        return experiment(reason, f"runs {name}{imports} evaluates: {calls}")
    if len(found.options) >= 2:
        return experiment(reason, f"runs {name}, which takes {' and '.join(found.options[:2])}")
    if tracked := sorted(found.settings & TRACKING):
        return experiment(reason, f"runs {name}, which calls {tracked[0]}()")
    return None


def _doubtful(found: Signs, name: str, reason: str) -> Found | None:
    """Signs that may mean something else."""
    learning = _listed(found.learning)
    if found.fits and any(fit.split(".")[-2].lower() in ESTIMATORS for fit in found.fits):
        return unknown(reason, f"runs {name}, which calls {found.fits[0]}")
    if found.learning and found.evaluates:
        return unknown(reason, f"runs {name}, which imports {learning}: {found.evaluates[0]}")
    if found.learning and found.counts and found.reports and not found.draws:
        return unknown(reason, f"runs {name}, which imports {learning} and prints how well it does")
    if found.asks:
        return unknown(reason, f"runs {name}, which calls {found.asks} in a loop")
    if found.options:
        return unknown(reason, f"runs {name}, which takes {found.options[0]}")
    if found.loops and not found.draws:
        return unknown(reason, f"runs {name}, which loops over epochs, episodes or trials")
    if found.times and set(found.learning) & BACKENDS:
        return unknown(reason, f"runs {name}, which measures the time of {learning}")
    return None


def _named(found: Signs, name: str, reason: str) -> Found | None:
    """The name of a file that draws nothing."""
    if reason != "inline_code" and speaks_of_training(name.rsplit("/", 1)[-1]) and not found.draws:
        return unknown(reason, f"runs {name}, whose name speaks of an experiment")
    return None


def harmless(name: str) -> Found:
    """For a script that was read and has no sign."""
    return utility(f"{shown(name)} was read: it neither trains nor evaluates")


def _listed(names: tuple[str, ...]) -> str:
    """At most two names."""
    return " and ".join(names[:2])
