"""What the name of a program, script or target says about it, and its options.

Names are taken apart at everything that is no letter, and where a capital follows a small letter:
`run_trainTask.sh` is run, train, task.
"""

import re
from collections.abc import Sequence
from typing import Final

from tallystick.shell.steps import basename, is_known

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_STRONG: Final = re.compile(
    r"(?:re|pre|co|self)?train(?:er|ing|ed|s)?|fine?tun(?:e|er|ing|ed)|pretrain\w*|eval(?:s|uate|"
    r"uation|uator|uating)?|bench(?:es|mark|marks|marking)?|sweeps?|experiments?|exps?|ablat\w*|"
    r"hpo|hyperopt|hyperparam\w*|gridsearch|tun(?:e|ing|er)|sft|dpo|grpo|ppo|rlhf|distill?\w*"
)
_RUNS: Final = re.compile(r"runs?|launch\w*|grids?|jobs?|infer\w*|predict\w*|simulat\w*|repro\w*|"
                          r"reproduce|submit|experiment\w*|seeds?|trials?|lora|fit")  # fmt: skip
_VERBS: Final = frozenset(
    {"train", "fit", "finetune", "fine-tune", "pretrain", "evaluate", "benchmark", "train-test"}
)
_OPTION: Final = re.compile(
    r"--?(?:num[-_]?)?(?:train[-_]?)?(?:max[-_]?)?(?:n[-_]?)?epochs?|--lr|--learning[-_]rate|"
    r"--(?:per[-_]device[-_])?(?:train[-_]|eval[-_]|global[-_]|micro[-_])?(?:mini[-_]?)?"
    r"batch[-_]?size|--(?:max|train|num|warmup|total)[-_]?(?:train[-_])?(?:steps|iters|timesteps)|"
    r"--weight[-_]decay|--optimi[sz]er|--dropout|--nproc[-_]per[-_]node|--grad(?:ient)?[-_]\w+|"
    r"--(?:n|num)[-_]trials|--num[-_]train[-_]epochs|--lora[-_]\w+|--fp16|--bf16|"
    r"--base[-_]model|--model[-_]name[-_]or[-_]path|--benchmark[-_]?\w*"
)
_SETTING: Final = re.compile(
    r"\+*[\w./@-]*\b(?:lr|learning_rate|epochs?|max_epochs|batch_size|optimi[sz]er|weight_decay|"
    r"seed|n_steps|max_steps)=.*"
)


def parts(name: str) -> list[str]:
    """The words in a name, in small letters."""
    return [word.lower() for word in _WORD.findall(name)]


def speaks_of_training(name: str) -> bool:
    """Whether a name speaks of training, evaluation, benchmarks or sweeps."""
    return any(_STRONG.fullmatch(part) for part in parts(name))


def speaks_of_runs(name: str) -> bool:
    """Likewise, or of running, launching, grids, jobs: for scripts and targets, which exist to do
    what their name says.
    """
    found = parts(name)
    return any(_STRONG.fullmatch(part) or _RUNS.fullmatch(part) for part in found)


def verb_of_training(words: Sequence[str]) -> str | None:
    """The subcommand among the first words that trains: `catboost fit`, `detector train`."""
    plain = [word for word in words if not word.startswith("-")]
    return next((word for word in plain[:3] if word in _VERBS), None)


def option_of_training(words: Sequence[str]) -> str | None:
    """The first option that only training or evaluation has."""
    for word in words:
        option = word.partition("=")[0]
        if is_known(option) and (_OPTION.fullmatch(option) or _SETTING.fullmatch(word)):
            return option
    return None


def stem(path: str) -> str:
    """The name of a file without directories and ending."""
    return basename(path).rsplit(".", 1)[0]
