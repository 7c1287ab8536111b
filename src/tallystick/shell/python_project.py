"""What Python text takes from the project: a module there that trains counts when it is called, or
when it trains as soon as it is imported.
"""

import ast
import posixpath
import sys
from collections.abc import Iterator
from typing import Final

from tallystick.shell.names import parts, speaks_of_training, stem
from tallystick.shell.python_code import Local, Signs, parse, signs_in, signs_on_import
from tallystick.shell.python_weight import weigh
from tallystick.shell.scene import Scene
from tallystick.shell.steps import Found, basename, experiment, unknown
from tallystick.shell.verdicts import Verdict

_STARTING: Final = frozenset({"main", "run", "fit", "cli", "launch", "app", "start", "work"})
_MOST_IMPORTS: Final = 24
_DEEPEST: Final = 2


class Modules:
    """What a Python text imports from its project; each module is read and parsed once."""

    def __init__(
        self, found: Signs, scene: Scene, *, name: str, reason: str, path: str | None
    ) -> None:
        """`found` was seen in the text called `name`, which lies at `path` if it is a file."""
        self._found = found
        self._scene = scene
        self._name = name
        self._reason = reason
        self._path = path
        self._trees: dict[str, ast.Module | None] = {}

    def run_on_import(self) -> Found | None:
        """The finding that their mere import gives; None for none."""
        for each in self._found.imports[:_MOST_IMPORTS]:
            if not each.level and each.module.partition(".")[0] in sys.stdlib_module_names:
                continue
            for place in _places(each, self._scene, self._path):
                tree = self._tree(place)
                found = self._imported(basename(place), tree) if tree is not None else None
                if found is not None:
                    return found
        return None

    def _imported(self, file: str, tree: ast.Module) -> Found | None:
        """The finding that the import of one module gives."""
        weighed = weigh(signs_on_import(tree), "", name=file, reason="inline_code")
        if weighed is None:
            return None
        said = f"runs {self._name}, which imports {weighed.detail.removeprefix('runs ')}"
        if weighed.verdict is Verdict.EXPERIMENT:
            return experiment(self._reason, said)
        return unknown(self._reason, said) if speaks_of_training(stem(file)) else None

    def called(self) -> Found | None:
        """The finding that the calls of their functions give; None for none."""
        for each in self._found.imports[:_MOST_IMPORTS]:
            called = _called(each, self._found)
            if not called:
                continue
            trains = self._trains(each, self._path, 0)
            said = f"runs {self._name}, which calls {called} of {each.module or '.'}"
            if trains:
                return experiment(self._reason, f"{said}, which {trains}")
            if trains is None and speaks_of_training(called) and speaks_of_training(each.module):
                return unknown(self._reason, said)
        return None

    def _tree(self, place: str) -> ast.Module | None:
        """The syntax tree of a module; None when it is not here, or no Python."""
        if place not in self._trees:
            text = self._scene.read(place)
            self._trees[place] = None if text is None else parse(text)
        return self._trees[place]

    def _trains(self, each: Local, path: str | None, depth: int) -> str | None:
        """How a module trains; empty when it was read and does not; None when it is not here."""
        seen = None
        for place in _places(each, self._scene, path):
            tree = self._tree(place)
            found = None if tree is None else signs_in(tree)
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
                        deeper := self._trains(inner, self._scene.path(place), depth + 1)
                    ):
                        return deeper
        return seen


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
