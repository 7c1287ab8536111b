"""What the targets of build files run, by reading their text: make, just, task, npm and their kin.

`make -n` would execute parts of the file, so nothing is asked of the tools themselves. A target
whose file cannot be read is judged by its name.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tallystick.shell import tasks
from tallystick.shell.makefiles import Makefile
from tallystick.shell.names import speaks_of_runs
from tallystick.shell.steps import (
    Code,
    Script,
    Step,
    Text,
    basename,
    is_known,
    shown,
    unknown,
    utility,
)
from tallystick.shell.wordlist import word_set

Read = Callable[[str], str | None]
"""From a path, relative to where the command runs, to a text."""

_ASKS: Final = word_set(
    "-n --dry-run --just-print --recon -q --question -p --print-data-base -h --help -v --version "
    "--list -l --summary --show -s --choose --evaluate --dump --fmt --list-all --completion"
)
_MAKE_VALUES: Final = word_set(
    "-C --directory -f --file --makefile -I --include-dir -o --old-file -W --what-if -E --eval"
)
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)[:?]?=(.*)", re.ASCII | re.DOTALL)
_JUST_VALUES: Final = word_set(
    "-f --justfile -d --working-directory --shell --set --dotenv-path --color --shell-arg"
)  # fmt: skip
_TASK_VALUES: Final = word_set("-t --taskfile -d --dir -o --output -C --concurrency")
_NODE_OWN: Final = word_set(
    "add audit bin cache ci config create dedupe dlx doctor exec explain fund help i info init "
    "install link list login logout ls outdated pack pm prefix prune publish remove rm root "
    "search set-script uninstall up update upgrade version view whoami why x"
)
_MAKE_QUIET: Final = word_set(
    "-n --dry-run --just-print --recon -q --question -p -h --help -v --version --print-data-base"
)  # fmt: skip


def target_steps(words: Sequence[str], read: Read) -> list[Step] | None:
    """What a build tool runs; None when the program is none."""
    reader = _TOOLS.get(basename(words[0]))
    return reader(words, read) if reader is not None else None


def by_name(tool: str, targets: Sequence[str]) -> list[Step]:
    """The judgement of targets that cannot be read."""
    for target in targets:
        if speaks_of_runs(target) or not is_known(target):
            return [unknown("build_target", f"runs {tool} {shown(target)}, which cannot be read")]
    return [utility()]


def _make(words: Sequence[str], read: Read) -> list[Step]:
    """`make -C dir target VARIABLE=value`."""
    if _MAKE_QUIET & set(words[1:]):
        return [utility("make only says what it would do")]
    plain, values = _plain(words, _MAKE_VALUES)
    given = [match for word in plain if (match := _ASSIGNMENT.fullmatch(word)) is not None]
    targets = [word for word in plain if not _ASSIGNMENT.fullmatch(word) and not word.isdigit()]
    directory = values.get("-C") or values.get("--directory")
    file = values.get("-f") or values.get("--file") or values.get("--makefile")
    for name in [file] if file else ["GNUmakefile", "makefile", "Makefile"]:
        text = read(f"{directory}/{name}" if directory else name)
        if text is not None:
            makefile = Makefile(text, {match[1]: match[2] for match in given})
            return _recipes(makefile, targets, directory)
    return by_name("make", targets)


def _recipes(makefile: Makefile, targets: list[str], directory: str | None) -> list[Step]:
    """The recipes of targets and of all that they need."""
    steps: list[Step] = []
    for target in targets or makefile.first():
        recipe = makefile.recipe(target)
        if recipe is None:
            steps += by_name("make", [target])
        elif recipe:
            steps.append(Text(recipe, f"make {shown(target)}", directory=directory))
    return steps or [utility()]


def _plain(words: Sequence[str], valued: frozenset[str]) -> tuple[list[str], dict[str, str]]:
    """The words that are no options, and the values of those options that take one."""
    plain: list[str] = []
    values: dict[str, str] = {}
    at = 1
    while at < len(words):
        word = words[at]
        option, has_value, value = word.partition("=")
        if word in valued and at + 1 < len(words):
            values[word] = words[at + 1]
            at += 1
        elif has_value and option in valued:
            values[option] = value
        elif word[:2] in valued and not word.startswith("--"):
            values[word[:2]] = word[2:]
        elif not word.startswith("-"):
            plain.append(word)
        at += 1
    return plain, values


def _just(words: Sequence[str], read: Read) -> list[Step]:
    """`just recipe argument …`: all words are looked up, arguments are no recipes."""
    if _ASKS & set(words[1:]):
        return [utility("just only answers a question")]
    plain, values = _plain(words, _JUST_VALUES)
    names = [word for word in plain if not _ASSIGNMENT.fullmatch(word)]
    file = values.get("-f") or values.get("--justfile")
    directory = values.get("-d") or values.get("--working-directory")
    found = [file] if file else ["justfile", "Justfile", ".justfile", "JUSTFILE"]
    prefix = f"{directory}/" if directory else ""
    for name in found:
        text = read(name if file else prefix + name)
        if text is not None:
            return list(_just_recipes(tasks.Justfile(text), names, directory)) or [utility()]
    return by_name("just", names[:1])


def _just_recipes(
    justfile: tasks.Justfile, names: list[str], directory: str | None
) -> Iterator[Step]:
    """The recipes among the words."""
    known = [name for name in names if justfile.has(name)] or ([] if names else justfile.first())
    if names and not known:
        yield from by_name("just", names[:1])
    for name in known:
        for recipe in justfile.recipes(name, names):
            if recipe.is_python:
                yield Code(recipe.text, f"just {name}")
            else:
                yield Text(recipe.text, f"just {name}", directory=directory)


def _task(words: Sequence[str], read: Read) -> list[Step]:
    """go-task's Taskfile."""
    if _ASKS & set(words[1:]) or {"-a", "--list-all", "--dry"} & set(words[1:]):
        return [utility("task only answers a question")]
    plain, values = _plain(words, _TASK_VALUES)
    names = [word for word in plain if not _ASSIGNMENT.fullmatch(word)] or ["default"]
    prefix = values.get("-d") or values.get("--dir")
    for name in ("Taskfile.yml", "Taskfile.yaml", "taskfile.yml", "Taskfile.dist.yml"):
        text = read(f"{prefix}/{name}" if prefix else name)
        if text is not None:
            found = [tasks.taskfile_commands(text, each) for each in names]
            return _texts("task", names, found)
    return by_name("task", names)


def _texts(tool: str, names: Sequence[str], found: Sequence[str | None]) -> list[Step]:
    """Texts of targets; by name where there is none."""
    steps: list[Step] = []
    for name, text in zip(names, found, strict=True):
        if text is None:
            steps += by_name(tool, [name])
        else:
            steps.append(Text(text, f"{tool} {name}"))
    return steps or [utility()]


def _node(words: Sequence[str], read: Read) -> list[Step]:
    """npm, yarn, pnpm and bun: the scripts of package.json."""
    tool = basename(words[0])
    plain, values = _plain(words, frozenset({"--prefix", "-w", "--workspace", "-C", "--dir",
                                             "--cwd", "--filter"}))  # fmt: skip
    if not plain:
        return [utility()]
    runs = plain[0] in {"run", "run-script", "rum"}
    if not runs and (plain[0] in _NODE_OWN or (tool == "npm" and plain[0] not in _NODE_SHORT)):
        return [utility(f"{tool} {plain[0]} is no experiment")]
    names = plain[1:2] if runs else plain[:1]
    if not names:
        return [utility()]
    if tool == "bun" and not runs and "." in names[0]:
        return [Script(names[0], "text", tuple(plain[1:]))]
    at = values.get("--prefix") or values.get("-C") or values.get("--dir") or values.get("--cwd")
    text = read(f"{at}/package.json" if at else "package.json")
    if text is None:
        return by_name(tool, names)
    scripts = tasks.package_scripts(text)
    found = [scripts.get(name) for name in (f"pre{names[0]}", names[0], f"post{names[0]}")]
    if found[1] is None:
        return by_name(tool, names)
    body = "\n".join(each for each in found if each)
    return [Text(body, f"{tool} {names[0]}", directory=at)]


_NODE_SHORT: Final = frozenset({"test", "t", "start", "stop", "restart", "tst"})


def _invoke(words: Sequence[str], read: Read) -> list[Step]:
    """Invoke and fabric: what the functions of tasks.py give to `run`."""
    if _ASKS & set(words[1:]):
        return [utility("only lists tasks")]
    plain = _plain(words, frozenset({"-c", "--collection", "-r", "--search-root", "-H"}))[0]
    text = read("tasks.py" if basename(words[0]) != "fab" else "fabfile.py")
    if text is None:
        return by_name(basename(words[0]), plain)
    found = [tasks.invoke_commands(text, name) for name in plain]
    return _texts(basename(words[0]), plain, found)


def _doit(words: Sequence[str], _: Read) -> list[Step]:
    """doit: judged by the names of its tasks."""
    plain = _plain(words, frozenset({"-f", "-d", "-n"}))[0]
    if plain[:1] and plain[0] in {"list", "info", "clean", "forget", "help", "dumpdb", "ignore"}:
        return [utility("doit only answers a question")]
    return by_name("doit", [word for word in plain if word != "run"])


def _named(words: Sequence[str], _: Read) -> list[Step]:
    """Tools whose files are not read."""
    plain = _plain(words, frozenset[str]())[0]
    return by_name(basename(words[0]), plain)


def project_task(tool: str, name: str, read: Read) -> list[Step] | None:
    """A task or script of pyproject.toml or pixi.toml, as `uv run NAME` and its kin know it."""
    for file in ("pixi.toml", "pyproject.toml"):
        text = read(file)
        found = tasks.toml_task(text, name) if text is not None else None
        if found is None:
            continue
        if tasks.ENTRY_POINT.fullmatch(found):
            return [Script(found.partition(":")[0], "module")]
        return [Text(found, f"{tool} {name}")]
    return None


_TOOLS: Final[dict[str, Callable[[Sequence[str], Read], list[Step]]]] = {
    "make": _make, "gmake": _make, "remake": _make, "mingw32-make": _make, "just": _just,
    "task": _task, "go-task": _task, "npm": _node, "yarn": _node, "pnpm": _node, "bun": _node,
    "invoke": _invoke, "inv": _invoke, "fab": _invoke, "doit": _doit, "rake": _named,
    "mage": _named, "ant": _named, "poe": _named, "pypyr": _named, "nx": _named, "turbo": _named,
    "scons": _named, "redo": _named, "tusk": _named, "mask": _named, "earthly": _named,
    "gradle": _named, "mvn": _named, "lake": _named, "moon": _named, "duty": _named,
}  # fmt: skip
NAMES: Final = frozenset(_TOOLS)
"""The build tools."""
