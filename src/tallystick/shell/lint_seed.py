"""Whether a command says which random numbers are drawn: rule R101 of lint."""

import re
from collections.abc import Iterator
from posixpath import basename
from typing import Final

from tallystick.shell.lint_seen import Launch, LintFinding, Seen

_SEED_WORD: Final = re.compile(r"seed|random[-_]?state", re.IGNORECASE)
_CONFIG_OPTION: Final = re.compile(
    r"--?[\w-]*(?:config|cfg|conf|yaml|recipe|params?[-_]file)[\w-]*(?:=.*)?", re.DOTALL
)
_CONFIG_FILE: Final = re.compile(r".*\.(?:ya?ml|json|toml|gin|ini|cfg)", re.DOTALL)
NO_TRAINING: Final = re.compile(
    r"(?:^|[_\W])(?:eval\w*|test\w*|infer\w*|predict\w*|plot\w*|prepare\w*|preprocess\w*|process\w*"
    r"|download\w*|convert\w*|export\w*|token\w*|score\w*|scoring|report\w*|visuali\w*|analy\w*"
    r"|collect\w*|merge\w*|check\w*|count\w*|summar\w*|bench\w*|build\w*|setup|serve\w*|server"
    r"|help|version|stats?|show\w*|list\w*|print\w*|extract\w*|parse\w*)(?:[_\W]|$)",
    re.IGNORECASE,
)
"""Names of scripts and modules from which no random numbers are expected."""


def no_seed(seen: Seen) -> Iterator[LintFinding]:
    """R101: nothing in the command says which random numbers are drawn."""
    if _names_seed(seen):
        return
    for launch in seen.launches:
        script = launch.says
        if launch.kind != "python" or not _could_be_random(seen, launch):
            continue
        option = script.seed_option if script is not None else None
        says = f"{launch.name} takes {option}, and the command does not set it" if option else (
            f"nothing says which random numbers {launch.name} draws"
        )  # fmt: skip
        mend = f"add {option} 0" if option and option.startswith("-") else (
            "give the script a --seed option, or fix the seed in it"
        )  # fmt: skip
        yield LintFinding(
            "R101", "no-seed", says,
            f"{mend}; for several seeds declare a sweep with seeds (tally sweep create --seeds 3)",
            launch.command.span,
        )  # fmt: skip
        return


def _names_seed(seen: Seen) -> bool:
    """Whether a parameter, an option, or a variable has to do with a seed."""
    if any(_SEED_WORD.search(name) for name in seen.params):
        return True
    if _SEED_WORD.search(seen.text) is None:
        return seen.around is not None and any("SEED" in name for name in seen.around.variables)
    for command in seen.parsed.commands:
        if any(_is_seed_name(each.name) for each in command.assigned):
            return True
        for word in command.words[1:]:
            marked = word.raw.startswith("-") or "=" in word.raw or word.text is None
            if (marked or "{" in word.raw) and _SEED_WORD.search(word.raw.partition("=")[0]):
                return True
    return False


def _is_seed_name(name: str) -> bool:
    return _SEED_WORD.search(name) is not None and name != "PYTHONHASHSEED"


def _could_be_random(seen: Seen, launch: Launch) -> bool:
    """Whether a seed is missed: by its text where it can be read, else by its name."""
    script = launch.says
    if any(
        word.raw in {"--help", "-h", "--version", "-V"}
        for word in (*launch.arguments, *launch.options)
    ):
        return False
    if _configured(seen, launch):
        return False
    if script is not None:
        return not script.is_seeded and (script.is_random or script.seed_option is not None)
    if launch.script is None and launch.module is None:
        return False
    name = launch.module or launch.script.text if launch.script is not None else launch.module
    return name is not None and "train" in name and NO_TRAINING.search(basename(name)[:200]) is None


def _configured(seen: Seen, launch: Launch) -> bool:
    """Whether a file of settings may hold the seed: when it can be read, whether it does."""
    named = [
        word for word in launch.arguments
        if _CONFIG_OPTION.fullmatch(word.raw[:200]) or _CONFIG_FILE.fullmatch(word.raw)
    ]  # fmt: skip
    if not named:
        return False
    texts = [
        seen.content(launch, word.text.rpartition("=")[2])
        for word in named
        if word.text is not None and _CONFIG_FILE.fullmatch(word.text)
    ]
    known = [text for text in texts if text is not None]
    return not known or any(_SEED_WORD.search(text) for text in known)
