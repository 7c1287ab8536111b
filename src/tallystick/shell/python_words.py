"""What a Python command line runs: a file, a module, code, or nothing of interest."""

import re
from collections.abc import Sequence
from typing import Final

from tallystick.shell.names import speaks_of_training
from tallystick.shell.steps import (
    Code,
    Found,
    Input,
    Script,
    Step,
    Text,
    Words,
    basename,
    experiment,
    is_known,
    shown,
    unknown,
    utility,
)
from tallystick.shell.wordlist import word_set

_INTERPRETER: Final = re.compile(
    r"(?:python|pypy|pythonw|ipython|bpython|ptpython|graalpy)(?:[23](?:\.[0-9]+)?t?)?(?:-dbg)?|py"
)
_VARIABLE: Final = re.compile(
    r"\0\w*(?:py|python|PY|PYTHON)\w*\0|\0(?:which|command -v) python[0-9.]*\0"
)
_MAGIC: Final = re.compile(r"^[ \t]*(?:%?run[ \t]+(\S.*)|!(\S.*))$", re.MULTILINE)
_VALUED: Final = frozenset("WXQ")
_QUESTIONS: Final = frozenset({"-V", "-VV", "--version", "-h", "--help", "--help-all", "-?"})
_HELP: Final = frozenset({"--help", "-h", "--version", "-V"})

_TOOLS: Final = word_set(
    "PyInstaller alembic ast asyncio autopep8 awscli bandit base64 black build bumpversion "
    "calendar codespell commitizen compileall conda cookiecutter copier datasette dis django "
    "docformatter doctest easy_install ensurepip fairseq_cli.preprocess fastapi flake8 flask "
    "gpustat gradio grpc_tools.protoc gsutil gunicorn gzip hatch hatchling http.server httpie "
    "httpx huggingface_hub huggingface_hub.commands.huggingface_cli idlelib importlib.metadata "
    "inspect interrogate ipykernel ipykernel.kernelspec ipykernel_launcher isort json json.tool "
    "jupyter jupyter_client jupyter_core jupyterlab jupytext keyring locale mamba mimetypes "
    "mkdocs mypy nbformat nbstripout netron nltk.downloader notebook nox nvitop onnx.checker pdm "
    "pep517 pickle pickletools pip pip_audit pipdeptree piptools pipx pkg_resources platform "
    "poetry pre_commit pstats py_compile pyclean pycln pycodestyle pydoc pydocstyle pyflakes "
    "pygments pyinstaller pylint pyproject_hooks pyright pyupgrade quopri radon reuse rich "
    "rich.pretty ruff safety setuptools site spacy.cli.download sphinx sphinx.cmd.build sqlite3 "
    "sqlite_utils streamlit symtable sysconfig tallystick tarfile tensorboard tensorboard.main "
    "textual this tkinter tokenize torch.utils.collect_env towncrier tox tree_sitter twine "
    "unidic uuid uv uvicorn venv virtualenv visidata vulture webbrowser wheel xdoctest yapf "
    "zipapp zipfile"
)
"""Modules that are no experiments."""
_TESTS: Final = frozenset({"pytest", "unittest", "nose", "nose2", "xdist", "coverage"})
_LAUNCHERS: Final = word_set(
    "accelerate.commands.accelerate_cli accelerate.commands.launch allennlp asv axolotl.cli.train "
    "bigcode_eval colossalai.cli deepspeed deepspeed.launcher.runner evalplus.evaluate "
    "fairseq_cli.generate fairseq_cli.hydra_train fairseq_cli.train flair.trainers "
    "helm.benchmark.run horovod.runner.launch jax_benchmark llamafactory.cli lm_eval "
    "lm_eval.__main__ ludwig mim.train mlperf mlx_lm.evaluate mlx_lm.fuse mlx_lm.lora "
    "mmengine.train mteb nnunetv2 onmt.bin.train open_clip_train open_clip_train.main optuna.cli "
    "paddle.distributed.launch papermill rl_zoo3.enjoy rl_zoo3.train "
    "sglang.bench_offline_throughput sglang.bench_one_batch sglang.bench_serving snakemake "
    "stable_baselines3 swebench.harness.run_evaluation tensor2tensor.bin.t2t_trainer "
    "tensorflow.python.tools.benchmark torch.distributed.elastic torch.distributed.launch "
    "torch.distributed.run torch_xla.distributed.xla_dist torchbenchmark torchx.apps "
    "training.main trl vllm.benchmarks vllm.entrypoints.cli.benchmark wandb.agent"
)
"""Modules that only start experiments."""
_SERVERS: Final = frozenset(
    ["vllm.entrypoints.openai.api_server", "sglang.launch_server", "http.server"]
)
_RUNNERS: Final = {
    "cProfile": frozenset({"-o", "-s", "-m"}), "profile": frozenset({"-o", "-s"}),
    "pdb": frozenset({"-c"}), "trace": frozenset({"-f", "-C"}),
    "viztracer": frozenset({"-o", "--output_file"}), "scalene": frozenset({"--outfile"}),
    "kernprof": frozenset({"-o"}), "line_profiler": frozenset({"-o"}),
    "memory_profiler": frozenset({"-o"}), "memray": frozenset({"-o", "--output"}),
    "debugpy": frozenset({"--listen", "--connect", "--log-to"}),
    "runpy": frozenset[str](), "pyinstrument": frozenset({"-o", "--outfile", "-r", "--renderer"}),
    "torch.utils.bottleneck": frozenset[str](), "mpi4py": frozenset({"-rc"}),
    "ipdb": frozenset[str](), "torch.backends.xeon.run_cpu": frozenset[str](),
    "coverage": frozenset({"--rcfile", "--source", "-o"}),
    "IPython": frozenset[str](), "hunter": frozenset[str](), "austin": frozenset({"-o"}),
    "fil-profile": frozenset({"-o"}), "filprofiler": frozenset({"-o"}),
    "dotenv": frozenset({"-f"}), "pudb": frozenset[str](),
    "snoop": frozenset[str](),
}  # fmt: skip
"""Modules that run a script or module, with their options that take the next word."""
RUNNERS: Final = frozenset(_RUNNERS)
_SAFE_FILES: Final = frozenset(
    {"setup.py", "conftest.py", "noxfile.py", "get-pip.py", "versioneer.py"}
)


def is_python(word: str) -> bool:
    """Whether a program is a Python interpreter, be it in a variable that says so."""
    name = basename(word)
    return _INTERPRETER.fullmatch(name) is not None or _VARIABLE.fullmatch(word) is not None


def python_steps(words: Sequence[str], stdin: Input, *, tests_are_runs: bool) -> list[Step]:
    """What an interpreter is told to run."""
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        word = words[at]
        if word in _QUESTIONS:
            return [utility("the interpreter only answers a question")]
        if word == "--":
            at += 1
            break
        letter, rest = _option(word)
        if letter in {"c", "m"}:
            value = rest or (words[at + 1] if at + 1 < len(words) else "")
            behind = words[at + (1 if rest else 2) :]
            if letter == "c":
                return _inline(value, basename(shown(words[0])))
            return module_steps(value, behind, tests_are_runs=tests_are_runs)
        at += 2 if letter in _VALUED and not rest else 1
    if at >= len(words) or words[at] in {"-", "/dev/stdin"}:
        return _from_input(stdin)
    return file_steps(words[at], words[at + 1 :])


def _inline(code: str, name: str) -> list[Step]:
    """Code behind `-c`; IPython's has magics in it, which run scripts and shell commands."""
    if not name.startswith("ipython"):
        return [Code(code, f"{name} -c")]
    steps: list[Step] = []
    for match in _MAGIC.finditer(code):
        text = f"python {match[1]}" if match[1] else match[2]
        steps.append(Text(text, f"{name} -c"))
    return [Code(_MAGIC.sub("", code), f"{name} -c"), *steps]


def _timed(words: Sequence[str]) -> list[Step]:
    """`python -m timeit -s SETUP STATEMENT …`."""
    code: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        if word in {"-s", "--setup"} and at + 1 < len(words):
            code.append(words[at + 1])
        elif word.startswith("--setup="):
            code.append(word.partition("=")[2])
        elif not word.startswith("-"):
            code.append(word)
        at += 2 if word in {"-s", "--setup", "-n", "-r", "-u", "--number", "--repeat"} else 1
    return [Code("\n".join(code), "python -m timeit")]


def _option(word: str) -> tuple[str, str]:
    """The letter of an option that takes a value, with the value if it is written to it."""
    if word.startswith("--"):
        return "", ""
    for place, letter in enumerate(word[1:], start=1):
        if letter in "cm" or letter in _VALUED:
            return letter, word[place + 1 :]
    return "", ""


def _from_input(stdin: Input) -> list[Step]:
    """Code on standard input."""
    if stdin.text is not None:
        return [Code(stdin.text, "standard input")]
    if stdin.path is not None:
        return [Script(stdin.path, "python")]
    if stdin.source is not None:
        return [unknown("inline_code", f"Python is fed by {stdin.source}: the code is not here")]
    return [utility("an interactive interpreter")]


def file_steps(path: str, rest: Sequence[str]) -> list[Step]:
    """A Python file and its arguments."""
    name = basename(path)
    if name in _SAFE_FILES:
        return [utility(f"{name} is no experiment")]
    if name == "manage.py":
        task = next((word for word in rest if not word.startswith("-")), "")
        if speaks_of_training(task):
            return [unknown("python_script", f"runs manage.py {shown(task)}")]
        return [utility("manage.py is no experiment")]
    if any(word in _HELP for word in rest):
        return [utility(f"{shown(name)} only answers a question")]
    if name == "tasks.py" and "--list" in rest:
        return [utility("lists tasks")]
    if name.endswith(".ipynb"):
        return [experiment("notebook", f"executes the notebook {shown(name)}")]
    return [Script(path, "python", tuple(rest))]


def module_steps(module: str, rest: Sequence[str], *, tests_are_runs: bool) -> list[Step]:
    """`python -m MODULE` and its arguments."""
    top = module.partition(".")[0]
    if module in _TESTS and not (module == "coverage" and "run" in rest[:1]):
        return [test_found((module, *rest), tests_are_runs=tests_are_runs)]
    if module in _RUNNERS or module == "timeit":
        return _runner(module, rest)
    if module in _LAUNCHERS or top in _LAUNCHERS:
        if any(word in _HELP for word in rest[:2]):
            return [utility(f"{module} only answers a question")]
        return [experiment("launcher", f"python -m {module} starts an experiment")]
    if module == "spacy" and rest[:1] and rest[0] in {"train", "pretrain", "evaluate"}:
        return [experiment("launcher", f"python -m spacy {rest[0]} starts an experiment")]
    if module in {"jupyter", "nbconvert"}:
        return [Words(("jupyter", *(("nbconvert",) if module == "nbconvert" else ()), *rest))]
    if module in {"accelerate", "ray", "dvc", "wandb", "mlflow", "guild", "sky", "modal", "vllm"}:
        return [Words((module, *rest))]
    if module in _TOOLS or top in {"pip", "sphinx", "mypy", "coverage", "spacy", "nltk", "asyncio"}:
        return [utility(f"python -m {module} is a tool")]
    if module in _SERVERS or any(word in _HELP for word in rest):
        return [utility(f"python -m {module} serves or answers a question")]
    return [Script(module, "module", tuple(rest))]


def _runner(module: str, rest: Sequence[str]) -> list[Step]:
    """A profiler or debugger and the script behind its options; timeit has statements there."""
    if module == "timeit":
        return _timed(rest)
    valued = _RUNNERS[module]
    words = list(rest[1:] if rest[:1] and rest[0] in {"run", "record"} else rest)
    if module == "coverage" and tuple(rest[:1]) != ("run",):
        return [utility("reads coverage")]
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "-m":
            return [Words(("python", "-m", *words), module)]
        if word in {"-h", "--help", "--version"}:
            return [utility(f"{module} only answers a question")]
        if word == "--":
            break
        if word in valued and words:
            words.pop(0)
    if not words:
        return [utility(f"{module} runs nothing")]
    return [Words(("python", *words), module)]


def profiled(name: str, words: Sequence[str]) -> list[Step]:
    """A profiler as a program of its own: `scalene train.py`, `coverage run train.py`."""
    return _runner(name, words)


def test_found(words: Sequence[str], *, tests_are_runs: bool) -> Found:
    """A test suite: a utility, but for benchmarks and for projects that say otherwise."""
    name = words[0]
    for word in words[1:]:
        if not is_known(word):
            continue
        if word.startswith("--benchmark") and word not in {
            "--benchmark-skip",
            "--benchmark-disable",
        }:
            return experiment("tests", f"{name} {word} measures a benchmark")
        if word.startswith(("--nbmake", "--nbval")):
            return experiment("notebook", f"{name} {word} executes notebooks")
    if tests_are_runs and not {"--collect-only", "--co", "--version", "--help", "-h"} & set(words):
        return experiment("tests", f"{name} counts as an experiment in this project")
    return utility(f"{name} runs tests")
