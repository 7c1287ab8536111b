"""What Python text takes from the project: a module there that trains counts when it is called, or
when it trains as soon as it is imported.
"""

import posixpath
import sys
from collections.abc import Iterator
from typing import Final

from tallystick.shell.names import parts, speaks_of_training, stem
from tallystick.shell.python_code import Local, Signs, signs, signs_on_import
from tallystick.shell.python_weight import weigh
from tallystick.shell.scene import Scene
from tallystick.shell.steps import Found, basename, experiment, unknown
from tallystick.shell.verdicts import Verdict

_STARTING: Final = frozenset({"main", "run", "fit", "cli", "launch", "app", "start", "work"})
_MOST_IMPORTS: Final = 24
_DEEPEST: Final = 2


def run_on_import(
    found: Signs, scene: Scene, *, name: str, reason: str, path: str | None
) -> Found | None:
    """The finding that the mere import of the project's own modules gives; None for none."""
    for each in found.imports[:_MOST_IMPORTS]:
        if not each.level and each.module.partition(".")[0] in sys.stdlib_module_names:
            continue
        for place in _places(each, scene, path):
            text = scene.read(place)
            seen = signs_on_import(text) if text is not None else None
            if text is None or seen is None:
                continue
            file = basename(place)
            weighed = weigh(seen, text, name=file, reason="inline_code")
            if weighed is None:
                continue
            said = f"runs {name}, which imports {weighed.detail.removeprefix('runs ')}"
            if weighed.verdict is Verdict.EXPERIMENT:
                return experiment(reason, said)
            if speaks_of_training(stem(file)):
                return unknown(reason, said)
    return None


def imported(
    found: Signs, scene: Scene, *, name: str, reason: str, path: str | None
) -> Found | None:
    """The finding that the project's own modules give; None for none."""
    for each in found.imports[:_MOST_IMPORTS]:
        called = _called(each, found)
        if not called:
            continue
        trains = _trains(each, scene, path, 0)
        if trains:
            said = f"runs {name}, which calls {called} of {each.module or '.'}, which {trains}"
            return experiment(reason, said)
        if trains is None and speaks_of_training(called) and speaks_of_training(each.module):
            return unknown(reason, f"runs {name}, which calls {called} of {each.module}")
    return None


def _called(each: Local, found: Signs) -> str:
    """What is called of a module that may start training: by its name; empty for nothing."""
    names = each.names or found.called
    for name in sorted(names):
        is_called = name in found.called or name == "*"
        tells = speaks_of_training(name) or bool(set(parts(name)) & _STARTING)
        if is_called and tells:
            return name
        if is_called and each.names and speaks_of_training(each.module):
            return name
    for name in each.names:
        if speaks_of_training(name) and found.called & _STARTING:
            return name
    return ""


def _trains(each: Local, scene: Scene, path: str | None, depth: int) -> str | None:
    """How a module trains; empty when it was read and does not; None when it is not here."""
    seen = None
    for place in _places(each, scene, path):
        text = scene.read(place)
        if text is None:
            continue
        found = signs(text)
        if found is None:
            continue
        if found.acts:
            return f"calls {found.acts[0]}"
        if found.fits and found.learning:
            return f"calls {found.fits[0]}"
        if found.loops and found.learning:
            return "loops over epochs"
        seen = ""
        if depth < _DEEPEST:
            for inner in found.imports[:_MOST_IMPORTS]:
                if speaks_of_training(inner.module) and (
                    deeper := _trains(inner, scene, scene.path(place), depth + 1)
                ):
                    return deeper
    return seen


def _places(each: Local, scene: Scene, path: str | None) -> Iterator[str]:
    """Where the file of a module may be."""
    base = each.module.replace(".", "/")
    directory = posixpath.dirname(path) if path else None
    if each.level:
        if directory is None:
            return
        for _ in range(each.level - 1):
            directory = posixpath.dirname(directory)
        roots = [directory]
    else:
        roots = [*([directory] if directory else []), scene.cwd or "/"]
        roots.append(posixpath.join(scene.cwd or "/", "src"))
    for root in dict.fromkeys(roots):
        start = posixpath.join(root, base) if base else root
        if base:
            yield f"{start}.py"
        yield f"{start}/__init__.py"
        for name in each.names[:4]:
            yield f"{start}/{name}.py"
