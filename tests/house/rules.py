"""The rules of the house that no linter knows, as functions from a module to what is wrong in it.

Each takes a `Module` and yields a `Finding` for every breach; exceptions are for the caller, who
lists them with a reason. test_rules.py feeds each rule a snippet that breaks it.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 70
MAX_POSITIONAL = 6
MAX_PUBLIC_METHODS = 20
MAX_SEAM_METHODS = 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach: the file below its root, the line, what is wrong."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class Module:
    """One parsed file; `path` is relative to the package, with forward slashes."""

    path: str
    source: str
    tree: ast.Module

    @classmethod
    def of(cls, path: str, source: str) -> "Module":
        """Parse `source`."""
        return cls(path, source, ast.parse(source))

    @classmethod
    def load(cls, file: Path, *, root: Path) -> "Module":
        """Read and parse one file below `root`."""
        return cls.of(file.relative_to(root).as_posix(), file.read_text())

    def found(self, node: ast.AST, what: str) -> Finding:
        """A breach at a node."""
        return Finding(self.path, getattr(node, "lineno", 1), what)


def globals_declared(module: Module) -> Iterator[Finding]:
    """`global` makes a module hold state."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            yield module.found(node, f"global {', '.join(node.names)}")


_CONTAINERS = {
    "list", "dict", "set", "deque", "defaultdict", "OrderedDict", "Counter",
    "WeakValueDictionary", "WeakKeyDictionary", "WeakSet", "local", "ContextVar",
}  # fmt: skip


def empty_containers(module: Module) -> Iterator[Finding]:
    """An empty container at module or class level is a registry that somebody fills later."""
    bodies = [module.tree.body]
    bodies += [node.body for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
    for statement in (statement for body in bodies for statement in body):
        if isinstance(statement, ast.Assign | ast.AnnAssign) and _is_empty(statement.value):
            yield module.found(statement, f"an empty container: {ast.unparse(statement)}")


def _is_empty(value: ast.expr | None) -> bool:
    match value:
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name in _CONTAINERS and not (value.args and name in {"list", "dict", "set"})
        case _:
            return False


def names_used(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Every dotted name that starts at an import, spelled in full: `time.time`, `os.environ`."""
    bound = _bound_names(module.tree)
    inner: set[int] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)
        if not isinstance(node, ast.Attribute | ast.Name) or id(node) in inner:
            continue
        parts: list[str] = []
        part: ast.expr = node
        while isinstance(part, ast.Attribute):
            parts.append(part.attr)
            part = part.value
            inner.add(id(part))
        if isinstance(part, ast.Name) and part.id in bound:
            yield node, ".".join([bound[part.id], *reversed(parts)])


def _bound_names(tree: ast.Module) -> dict[str, str]:
    """Local names of imports, with what they stand for."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                bound[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return bound


_ENVIRONMENT = re.compile(r"os\.(environb?|getenvb?|putenv|unsetenv)\b")
_WALL_CLOCK = re.compile(
    r"time\.(time|time_ns|localtime|gmtime|ctime|asctime)$"
    r"|datetime\.(datetime\.(now|utcnow|today)|date\.today)$"
    r"|uuid\.uuid[14]$|(random|secrets)\.\w+|os\.urandom$"
)
_MONOTONIC = re.compile(r"time\.(monotonic|perf_counter)(_ns)?$|time\.sleep$")
_SQLALCHEMY = re.compile(r"sqlalchemy\b")
_ASYNCIO = re.compile(r"asyncio\b")


def environment_reads(module: Module) -> Iterator[Finding]:
    """The environment is read where settings are loaded, and nowhere else."""
    return _uses(module, _ENVIRONMENT)


def clock_reads(module: Module) -> Iterator[Finding]:
    """Wall time and randomness come from a Clock, so that tests can hand in their own."""
    return _uses(module, _WALL_CLOCK)


def monotonic_reads(module: Module) -> Iterator[Finding]:
    """Deadlines: harmless to facts, but each place that waits by itself is listed."""
    return _uses(module, _MONOTONIC)


def queries(module: Module) -> Iterator[Finding]:
    """Tables and queries live where data is kept."""
    return _uses(module, _SQLALCHEMY)


def event_loops(module: Module) -> Iterator[Finding]:
    """No function exists in two colours: the event loop stays at the edge."""
    return _uses(module, _ASYNCIO)


def _uses(module: Module, pattern: re.Pattern[str]) -> Iterator[Finding]:
    for node, name in names_used(module):
        if pattern.match(name):
            yield module.found(node, name)


def lazy_imports(module: Module) -> Iterator[Finding]:
    """An import inside a function hides a dependency."""
    for function in ast.walk(module.tree):
        if not isinstance(function, Function):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield module.found(node, f"a lazy import in {function.name}: {ast.unparse(node)}")


_DRAWERS = {
    "util", "utils", "helper", "helpers", "common", "misc", "base", "core", "manager", "managers",
    "types", "stuff", "lib", "shared",
}  # fmt: skip
_PACKAGE_DRAWERS = _DRAWERS | {"services", "adapters", "model", "models"}


def drawer_names(module: Module) -> Iterator[Finding]:
    """A file or package has a noun of its own."""
    path = PurePosixPath(module.path)
    bad = [part for part in path.parent.parts if part in _PACKAGE_DRAWERS]
    bad += [path.stem] if path.stem in _DRAWERS else []
    for name in bad:
        yield Finding(module.path, 1, f"{name} is a drawer, not a noun")


def file_size(module: Module) -> Iterator[Finding]:
    """At most 600 lines."""
    lines = len(module.source.splitlines())
    if lines > MAX_FILE_LINES:
        yield Finding(module.path, lines, f"{lines} lines; at most {MAX_FILE_LINES}")


def function_size(module: Module) -> Iterator[Finding]:
    """At most 70 lines, the docstring not counted."""
    for node in ast.walk(module.tree):
        if not isinstance(node, Function):
            continue
        first = node.body[1:] if ast.get_docstring(node) is not None else node.body
        if first:
            lines = (node.end_lineno or 0) - first[0].lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield module.found(
                    node, f"{node.name}: {lines} lines; at most {MAX_FUNCTION_LINES}"
                )


def positional_parameters(module: Module) -> Iterator[Finding]:
    """At most six that may be given by position, `self` and `cls` not counted."""
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
            count = len(names) - (names[:1] in (["self"], ["cls"]))
            if count > MAX_POSITIONAL:
                yield module.found(
                    node, f"{node.name}: {count} positional parameters; at most {MAX_POSITIONAL}"
                )


def class_size(module: Module) -> Iterator[Finding]:
    """At most 20 public methods; a seam (a Protocol) has at most eight of any kind."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        methods = [item.name for item in node.body if isinstance(item, Function)]
        public = [name for name in methods if not name.startswith(("_", "test_"))]
        if len(public) > MAX_PUBLIC_METHODS:
            yield module.found(
                node, f"{node.name}: {len(public)} public methods; at most {MAX_PUBLIC_METHODS}"
            )
        if _is_protocol(node) and len(methods) > MAX_SEAM_METHODS:
            yield module.found(
                node, f"seam {node.name}: {len(methods)} methods; at most {MAX_SEAM_METHODS}"
            )


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).split("[")[0].endswith("Protocol") for base in node.bases)


def broad_excepts(module: Module) -> Iterator[Finding]:
    """`except Exception` hides bugs; one that ends in a bare `raise` only cleans up."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = "" if node.type is None else ast.unparse(node.type)
        broad = not caught or re.search(r"\b(Base)?Exception\b", caught)
        last = node.body[-1]
        cleans_up = isinstance(last, ast.Raise) and last.exc is None
        if broad and not cleans_up:
            yield module.found(node, f"except {caught or '(everything)'}")


def named_paths(text: str) -> list[str]:
    """Paths that stand in backticks in a document: with a slash, or with a known ending."""
    found = re.findall(r"`([A-Za-z0-9_.][A-Za-z0-9_.*/{},-]*)`", text)
    ending = re.compile(r"\.(py|md|toml|lock|yaml)$|^(Makefile|LICENSE)$|^\.ci/run$")
    return [path for path in found if ending.search(path) or path.endswith("/")]


PRIVATE = {
    "a path of one machine": re.compile(
        r"(?<![\w.])(/wor[k]/|/far[m]/|/tmp/(bash_job[s]|tall[y])|/opt/pyp[i]|/roo[t]/)"
    ),
    "the host of a package registry": re.compile(
        r"pypi\.or[g]|pythonhosted\.or[g]|registry\.npmj[s]|files\.pytho[n]"
    ),
    "an issue number": re.compile(
        r"(?i)(?<![\w&/\"'#-])#[0-9]{1,5}\b(?![-.\"';])|\b(issue|ticket|pull request)s? #?[0-9]+\b"
    ),
    "a word about who wrote it": re.compile(
        r"(?i)co-authored-b[y]|generated (with|by) (a|an) a[i]"
    ),
}
"""What no text of the project says, by what it is."""


def private_text(path: str, text: str) -> Iterator[Finding]:
    """Text that speaks of something other than the project."""
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in PRIVATE.items():
            if pattern.search(line):
                yield Finding(path, number, f"{what}: {line.strip()[:80]}")
