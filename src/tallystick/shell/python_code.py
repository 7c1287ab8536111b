"""What Python text does, by its syntax tree: whether it trains, evaluates, sweeps or measures.

Read, never run. Signs are names that libraries and people use for it; a strong one (a backward
pass, a call of `fit` or `Trainer`) decides, weak ones (a loop over epochs, options for a learning
rate) must meet (`python_weight.py`). The names themselves stand in `python_signs.py`.
"""

import ast
import re
import warnings
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from tallystick.shell.names import option_of_training
from tallystick.shell.python_signs import (
    ACTS,
    ASKING,
    DRAWING,
    EVALUATES,
    HARMLESS,
    LEARNING,
    LOOPED,
    SETTINGS,
    STARTERS,
    STARTING_MODULES,
    TRACKING,
    TRAINERS,
    WHOLE,
)
from tallystick.shell.steps import hole

MOST_CHARACTERS: Final = 262_144
"""Longer text is no program that people write."""
MOST_NODES: Final = 60_000
"""Of a syntax tree; a longer one is looked at so far."""


_TIMERS: Final = frozenset(
    {"perf_counter", "timeit", "Timer", "repeat", "do_bench", "perf_counter_ns"}
)
_GRADIENT: Final = re.compile(r"\w*grad\w*|d[wWbB][0-9]?|d_[wb][0-9]?")
_FIGURE: Final = re.compile(
    r"\b(?:accuracy|acc|f1|loss|auc|bleu|rouge|perplexity|ppl|mae|mse|rmse|reward)\b", re.IGNORECASE
)
_HANDING: Final = frozenset(
    {"map", "imap", "imap_unordered", "starmap", "submit", "run", "Process", "Thread", "Fire",
     "apply", "apply_async", "map_async", "spawn", "partial", "delayed"}
)  # fmt: skip
"""Calls that call a function that they are handed."""


class Local(NamedTuple):
    """A module that is imported, and what is taken from it; it may be one of the project."""

    module: str
    names: tuple[str, ...]
    level: int = 0


class Signs(NamedTuple):
    """What was seen in a text."""

    learning: tuple[str, ...] = ()
    """The packages for learning machines that it imports."""
    draws: bool = False
    """Whether it imports a package that draws."""
    acts: tuple[str, ...] = ()
    """What trains for certain, as it is called: `loss.backward()`, `Trainer()`."""
    fits: tuple[str, ...] = ()
    """What trains if its receiver learns: `model.fit()`."""
    evaluates: tuple[str, ...] = ()
    loops: bool = False
    """Whether it loops over epochs, episodes or trials."""
    settings: frozenset[str] = frozenset()
    """The names of settings of training that it uses."""
    options: tuple[str, ...] = ()
    """The options of training that it takes on its command line."""
    imports: tuple[Local, ...] = ()
    """What else it imports."""
    called: frozenset[str] = frozenset()
    """The names of all that it calls, or hands to what will call it."""
    commands: tuple[tuple[str, ...] | str, ...] = ()
    """What it starts: a shell text, or words."""
    runs: bool = False
    """Whether it does more than define: something happens on its outermost level."""
    times: bool = False
    """Whether it measures time."""
    descends: str = ""
    """A step down a gradient that is taken in a loop: `w -= 0.1 * grad`."""
    asks: str = ""
    """A call of a language model that stands in a loop over something."""
    counts: bool = False
    """Whether it adds up in a loop what it compared or called."""
    reports: bool = False
    """Whether it prints a figure of merit by its name."""


def signs(text: str) -> Signs | None:
    """What is to be seen in a Python text; None when it is not Python."""
    tree = parse(text)
    return None if tree is None else signs_in(tree)


def signs_on_import(tree: ast.Module) -> Signs | None:
    """What is to be seen in that part of a module that runs when it is imported."""
    return signs_in(_run_on_import(tree))


def parse(text: str) -> ast.Module | None:
    """The syntax tree of a text; None when it is not Python."""
    if len(text) > MOST_CHARACTERS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def signs_in(tree: ast.Module) -> Signs | None:
    """What is to be seen in a tree; None for one too deep to follow."""
    try:
        return _Looker().look(tree)
    except (ValueError, RecursionError, MemoryError):
        return None


def _run_on_import(tree: ast.Module) -> ast.Module:
    """The outermost statements, but for definitions and what a `__name__` guards, and the functions
    of the module that these call.
    """
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    body = [each for each in tree.body if not isinstance(each, _DEFINITIONS) and not _guards(each)]
    at = 0
    while at < len(body):
        for each in islice(ast.walk(body[at]), MOST_NODES):
            if isinstance(each, ast.Call) and isinstance(each.func, ast.Name):
                called = functions.pop(each.func.id, None)
                body += called.body if called is not None else []
        at += 1
    return ast.Module(body=body, type_ignores=[])


_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _guards(node: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__":`."""
    if not isinstance(node, ast.If) or not isinstance(node.test, ast.Compare):
        return False
    return any(isinstance(each, ast.Name) and each.id == "__name__" for each in ast.walk(node.test))


class _Looker:
    """One look at a tree."""

    def __init__(self) -> None:
        self._learning: dict[str, None] = {}
        self._draws = False
        self._acts: dict[str, None] = {}
        self._fits: dict[str, None] = {}
        self._evaluates: dict[str, None] = {}
        self._settings: set[str] = set()
        self._options: dict[str, None] = {}
        self._imports: list[Local] = []
        self._renamed: dict[str, str] = {}
        self._called: set[str] = set()
        self._commands: list[tuple[str, ...] | str] = []
        self._loops = False
        self._times = False
        self._descends = ""
        self._asks = ""
        self._counts = False
        self._reports = False
        self._within = MOST_NODES
        """So many nodes within loops are looked at once more."""

    def look(self, tree: ast.Module) -> Signs:
        """Every node, up to `MOST_NODES`."""
        for node in islice(ast.walk(tree), MOST_NODES):
            self._see(node)
        return Signs(
            learning=tuple(self._learning),
            draws=self._draws,
            acts=tuple(self._acts),
            fits=tuple(self._fits),
            evaluates=tuple(self._evaluates),
            loops=self._loops,
            settings=frozenset(self._settings),
            options=tuple(self._options),
            imports=tuple(self._imports),
            called=frozenset(self._called),
            commands=tuple(self._commands),
            runs=any(_happens(each) for each in tree.body),
            times=self._times,
            descends=self._descends,
            asks=self._asks,
            counts=self._counts,
            reports=self._reports,
        )

    def _see(self, node: ast.AST) -> None:
        """One node."""
        match node:
            case ast.Import(names=names):
                for alias in names:
                    self._import(alias.name, (), 0)
                self._rename(names)
            case ast.ImportFrom(module=module, names=names, level=level):
                self._import(module or "", tuple(alias.name for alias in names), level)
                self._rename(names)
            case ast.Call():
                self._call(node)
            case ast.For(target=target, iter=over, body=body):
                self._loop(target, over)
                self._repeated(body, over_items=True)
            case ast.While(body=body):
                self._repeated(body, over_items=False)
            case ast.ListComp(elt=inner) | ast.GeneratorExp(elt=inner):
                self._repeated([inner], over_items=True)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                if name in SETTINGS:
                    self._settings.add(name)
            case _:
                pass

    def _import(self, module: str, names: tuple[str, ...], level: int) -> None:
        """A package for learning machines, or perhaps a module of the project."""
        top = module.partition(".")[0]
        if top in LEARNING and not level:
            self._learning[top] = None
        elif top in DRAWING:
            self._draws = True
        else:
            self._imports.append(Local(module, names, level))

    def _rename(self, names: Sequence[ast.alias]) -> None:
        """`import subprocess as s`, `from m import cross_val_score as c`."""
        self._renamed |= {each.asname: each.name for each in names if each.asname}

    def _loop(self, target: ast.expr, over: ast.expr) -> None:
        """A loop over epochs, by the name of its variable or of what it counts to."""
        targets = {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}
        counted = {each.id for each in ast.walk(over) if isinstance(each, ast.Name)}
        counted |= {each.attr for each in ast.walk(over) if isinstance(each, ast.Attribute)}
        if targets & LOOPED or any(name.endswith("epochs") for name in counted):
            self._loops = True

    def _repeated(self, body: Sequence[ast.AST], *, over_items: bool) -> None:
        """What is done again and again: steps down a gradient, questions to a model, counting."""
        for each in (node for part in body for node in ast.walk(part)):
            self._within -= 1
            if self._within < 0:
                return
            match each:
                case ast.AugAssign(op=ast.Sub(), value=value) if _is_step(value):
                    self._descends = self._descends or ast.unparse(each)[:60]
                case ast.Assign(value=ast.BinOp(op=ast.Sub(), right=value)) if _is_step(value):
                    self._descends = self._descends or ast.unparse(each)[:60]
                case ast.AugAssign(op=ast.Add(), value=value) if over_items:
                    self._counts = self._counts or any(
                        isinstance(part, ast.Call | ast.Compare) for part in ast.walk(value)
                    )
                case ast.Call(func=func) if over_items and _dotted(func).endswith(ASKING):
                    self._asks = self._asks or f"{_dotted(func)}()"
                case _:
                    pass

    def _call(self, node: ast.Call) -> None:
        """A call, by its name and its receiver."""
        first, dot, rest = _dotted(node.func).partition(".")
        dotted = self._renamed.get(first, first) + dot + rest
        name = dotted.rpartition(".")[2]
        receiver = dotted[: -len(name) - 1].rpartition(".")[2].lower()
        self._called.add(name)
        if name in TRAINERS or dotted in WHOLE or (name == "step" and "opt" in receiver):
            self._acts[f"{dotted}()"] = None
        elif "." in dotted:
            self._method(node, dotted, name, receiver)
        elif name in EVALUATES and name not in {"eval", "score"}:
            self._evaluates[f"{name}()"] = None
        if name in {"add_argument", "option", "Option", "DEFINE_float", "DEFINE_integer"}:
            self._take_options(node)
        elif name in {"run_path", "run_module", "import_module", "__import__", "exec"}:
            self._other_code(node, name)
        elif name in STARTERS and _starts(dotted):
            self._start(node)
        elif name in _TIMERS or dotted == "time.time":
            self._times = True
        elif name == "print":
            self._reports = self._reports or _names_figure(node)
        if name in _HANDING:
            given = (*node.args, *(each.value for each in node.keywords))
            self._called |= {each.id for each in given if isinstance(each, ast.Name)}

    def _method(self, node: ast.Call, dotted: str, name: str, receiver: str) -> None:
        """A call on something."""
        if dotted in TRACKING:
            self._settings.add(dotted)
        if name == "backward":
            self._acts[f"{dotted}()"] = None
        elif (name == "train" and ("trainer" in receiver or node.args)) or (
            name in ACTS and receiver not in HARMLESS
        ):
            self._fits[f"{dotted}()"] = None
        elif name in EVALUATES:
            self._evaluates[f".{name}()"] = None

    def _take_options(self, node: ast.Call) -> None:
        """The options that a program declares."""
        for each in node.args:
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                word = each.value if each.value.startswith("-") else f"--{each.value}"
                if option_of_training([word]):
                    self._options[word] = None

    def _other_code(self, node: ast.Call, name: str) -> None:
        """A file or module that is run by its name."""
        for each in ast.walk(node):
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                if name in {"run_path", "exec"} and each.value.endswith(".py"):
                    self._commands.append(("python", each.value))
                elif name == "run_module":
                    self._commands.append(("python", "-m", each.value))
                elif name in {"import_module", "__import__"}:
                    self._imports.append(Local(each.value, (), 0))

    def _start(self, node: ast.Call) -> None:
        """A program that is started with words or a shell text."""
        if not node.args:
            return
        first = node.args[0]
        lists = [each for each in node.args if isinstance(each, ast.List | ast.Tuple)]
        if lists:
            self._commands.append(tuple(_written(each) for each in lists[0].elts))
        elif len(node.args) > 1 and all(_is_text(each) for each in node.args):
            self._commands.append(tuple(_written(each) for each in node.args))
        elif _is_text(first):
            self._commands.append(_written(first))


def _happens(node: ast.stmt) -> bool:
    """Whether an outermost statement does more than define, import or set."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Pass):
        return False
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return False
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return any(isinstance(each, ast.Call) for each in ast.walk(node))
    return True


def _is_step(value: ast.expr) -> bool:
    """Whether a value is something times a gradient, by its name."""
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Mult):
        return False
    names = (each.id if isinstance(each, ast.Name) else each.attr for each in ast.walk(value)
             if isinstance(each, ast.Name | ast.Attribute))  # fmt: skip
    return any(_GRADIENT.fullmatch(name) for name in names)


def _names_figure(node: ast.Call) -> bool:
    """Whether a text within a call names a figure of merit."""
    return any(
        isinstance(each, ast.Constant)
        and isinstance(each.value, str)
        and _FIGURE.search(each.value) is not None
        for each in ast.walk(node)
    )


def _dotted(node: ast.expr) -> str:
    """`a.b.c` of a call; a receiver without a name counts for nothing."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
        if isinstance(node, ast.Call):
            node = node.func
    names.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(names))


def _starts(dotted: str) -> bool:
    """Whether the receiver of `run`, `call` and so on is a module that starts programs."""
    parts = dotted.split(".")
    return len(parts) == 1 or bool(STARTING_MODULES & set(parts[:-1]))


def _is_text(node: ast.expr) -> bool:
    """Whether an expression is text, perhaps with holes."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, right=right):
            return _is_text(left) or _is_text(right)
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "join")):
            return _is_text(value)
        case ast.Attribute(attr="executable"):
            return True
        case _:
            return False


def _written(node: ast.expr) -> str:
    """The text of an expression, with holes for what only Python could tell."""
    match node:
        case ast.Constant(value=value):
            return str(value).replace("\0", "")
        case ast.JoinedStr(values=values):
            return "".join(_written(each) for each in values)
        case ast.BinOp(left=left, right=right):
            return _written(left) + _written(right)
        case ast.Attribute(attr="executable"):
            return "python"
        case ast.Call(func=ast.Name(id="str"), args=[inner]):
            return _written(inner)
        case ast.Call(func=ast.Attribute(value=value, attr="format")):
            return re.sub(r"\{\w*\}", hole("value"), _written(value))
        case ast.FormattedValue(value=ast.Attribute(attr="executable")):
            return "python"
        case _:
            return hole("value")
