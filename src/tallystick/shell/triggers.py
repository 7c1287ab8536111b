"""Whether a command line is worth a look at all, before anything is parsed or imported.

`could_matter` is False only for a text that `classify.judge` calls a utility by its built-in rules
and without knowing a variable of the environment. It errs on the other side. It looks at the words
where a command may begin: a word with quotes, a slash, an expansion or a dot in it could be
anything; a plain one is looked up. What else runs a command has such a word itself. The tables of
`wrappers.py`, `launchers.py`, `programs.py` and `targets.py` are repeated here in one string, so
that nothing of them is imported; a test keeps them equal.
"""

import re


def _word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


_BEGINS = re.compile(
    r"(?:^|[\n;|(){}!`]|(?<![<>])&(?!>))"
    r"[ \t\r]*(?:(?:if|then|elif|else|do|while|until)[ \t\r]+)*"
    r"(?:([0-9]*[<>])|([^ \t\r\n;&|()<>`{}!]+)(?:(?=[ \t]+([a-z][a-z-]*)(?:[\s;&|)]|$)))?)"
)
"""A redirection, or a word and the plain word behind it."""
_OPEN = frozenset("'\"\\$/=.~*?[+@,%:^#")
"""A word with one of these may be another than it seems."""
_OPENED = re.compile(r"\$[({]|`")
"""Expansions that the text itself may fill."""
_STEMS = re.compile(
    r"py|train|tun|eval|bench|sweep|exp|ablat|hpo|hyper|grid|sft|dpo|ppo|grpo|rlhf|distil"
)
_SETTINGS = re.compile(
    r"epoch|-lr|learning|batch|steps|iters|decay|optimi|dropout|nproc|-grad|trials|-lora|p16|f16|"
    r"base.model|model.name|benchmark|(?:lr|seed)=",
    re.IGNORECASE,
)
_VERBS = re.compile(r"\b(?:train|fit|fine-?tune|pretrain|evaluate|benchmark)\b")
_BEHIND = re.compile(r"[\s/](?:py|[bi]?python|ptpython|graalpy)[^\s/]*\s+(?:-|\S+\.(?:py|ipynb)\b)")
"""An interpreter and what it runs, somewhere behind another program."""
_NAMED_LIKE_STEMS = frozenset(["export", "expand", "expr", "history", "copy"])
_QUOTING = {ord(letter): None for letter in "'\"\\"}
_WORDS = _word_set(
    "IPython R Rscript ant aprun ash at austin autossh autotrain awk aws-vault bash batch bsub "
    "builtin bun bunx busybox byobu cProfile caffeinate cgexec chronic chroot chrt clearml-task "
    "clush command composer compute-sanitizer condor_submit condor_submit_dag coproc coverage "
    "cpulimit crontab cuda-memcheck daemonize darknet dash dbus-run-session debugpy deepspeed deno "
    "doas doit dotenv dotenvx dtach dumb-init duty earthly elixir entr env envdir exec expect fab "
    "fairseq-generate fairseq-validate fd fdfind fil-profile filprofiler firejail fish flock for "
    "gawk gdb gfind gmake go-task gosu groovy gtime gtimeout heaptrack helm-run horovodrun hunter "
    "hyperfine ibrun inv invoke ionice ipdb java jsrun julia just kernprof ksh lake lighteval "
    "lightgbm line_profiler littler llama-bench llama-perplexity lm-eval lm_eval lm_eval_harness "
    "ltrace lua luajit luigi mage make mask matlab memory_profiler memray mingw32-make mksh moon "
    "mosh mpiexec mpirun mteb ncu nequip-train nice nix-shell nnUNetv2_predict nocache node nodejs "
    "nohup nose2 nosetests nox npx ns-train numactl nvprof nx oaieval oarsub octave octave-cli "
    "onmt_translate opencompass openfold_train orterun osascript papermill parallel pdb pdm pdsh "
    "perl php ploomber-engine pnpx poe prlimit profile proxychains proxychains4 prun ptw pudb qsub "
    "r rake rbash redo remake retry rl_zoo3 rlwrap ruby runhaskell runipy runpy runuser salloc sas "
    "sbatch scala scalene scons screen script select sem setarch setpriv setsid sh snakemake snoop "
    "source spark-submit srun ssh ssh-agent sshpass stata stdbuf strace su sudo swift "
    "systemd-inhibit systemd-run task taskset tclsh th time timeout tini torchrun torsocks tox "
    "trace trace-cmd trap treon trtexec ts ts-node tsp tsx turbo tusk unbuffer unshare uvx "
    "valgrind vglrun viztracer vw watch watchexec watchmedo with-contenv wolframscript xargs "
    "xgboost xvfb-run zellij zsh"
)
_WITH = {
    "accelerate": "launch test", "allennlp": "train evaluate find-lr",
    "apptainer": "exec run shell",
    "argo": "submit", "asdf": "exec", "asv": "run continuous bench", "aws": "sagemaker batch",
    "axolotl": "train evaluate lm-eval", "az": "ml", "bazel": "run", "buck2": "run",
    "bundle": "exec", "cabal": "run", "cargo": "run r bench criterion", "clearml-agent": "execute",
    "colossalai": "run", "conda": "run", "det": "experiment e cmd", "direnv": "exec",
    "docker": "run exec create container compose up start", "docker-compose": "run exec up start",
    "doppler": "run", "dotnet": "run", "dstack": "run apply", "dvc": "repro exp experiments queue",
    "enroot": "start", "fabric": "run", "flux": "submit run alloc batch mini", "mprof": "run",
    "evalscope": "eval perf", "find": "", "flwr": "run", "flytectl": "create",
    "gcloud": "ai ai-platform compute", "git": "bisect submodule rebase", "go": "run test",
    "gradle": "", "guild": "run", "hatch": "run", "infisical": "run",
    "inspect": "eval eval-set eval-retry", "jupyter": "nbconvert execute run",
    "jupyter-nbconvert": "", "kedro": "run", "kfp": "run", "kubectl": "exec run debug apply create "
    "replace", "k": "exec run apply create replace", "lightning": "run fit train", "litgpt": "",
    "llamafactory-cli": "train eval", "ludwig": "", "lxc": "exec", "mamba": "run",
    "metaflow": "run", "micromamba": "run", "mim": "train test gridsearch", "mise": "exec x",
    "mix": "run", "mlflow": "run experiments",
    "ms-swift": "sft pt rlhf eval", "mlx_lm": "lora evaluate", "modal": "run deploy",
    "mvn": "", "nerdctl": "run exec", "nextflow": "run", "nimble": "run", "nix": "develop shell",
    "nnictl": "create resume", "npm": "exec run run-script rum test t start stop restart tst",
    "nsys": "profile launch start", "oc": "exec run rsh apply create replace", "op": "run",
    "optuna": "study optimize", "oumi": "", "paddle": "train", "perf": "stat record trace bench",
    "pipenv": "run", "pipx": "run", "pixi": "run", "pnpm": "", "podman": "run exec create up start",
    "pm2": "start", "pueue": "add", "vagrant": "ssh",
    "podman-compose": "run exec up start", "poetry": "run", "polyaxon": "run",
    "prefect": "deployment",
    "promptfoo": "eval", "pyenv": "exec", "pyflyte": "run", "rasa": "train test",
    "ray": "job submit exec", "rtx": "exec", "runai": "submit submit-job "
    "submit-dist training", "rye": "run", "sbt": "run", "sglang": "bench",
    "singularity": "exec run "
    "shell", "sky": "launch exec jobs spot bench", "spacy": "train pretrain evaluate benchmark",
    "stack": "run exec", "tmux": "new new-session neww new-window splitw split-window respawn-pane "
    "respawnp run-shell run popup display-popup respawn-window if-shell if send-keys send",
    "torchx": "run", "trl": "", "unsloth": "train", "uv": "run tool x", "vllm": "bench",
    "wandb": "agent sweep launch launch-sweep", "xtuner": "train test", "yarn": "", "yolo": "",
    "zenml": "pipeline", "zig": "run build", "awk": "",
}  # fmt: skip
"""Programs that matter with these first words only; without a list, with any."""
_INNER = {
    "find": ("-exec", "-ok"),
    "awk": ("system", "popen", "exec", "spawn", "qx", "run"),
}


def could_matter(command: str) -> bool:
    """Whether a judgement of this text could be other than utility; quick, and never raises."""
    plain = command
    if "'" in command or '"' in command or "\\" in command:
        plain = command.replace("\\\n", "").translate(_QUOTING)
    if _SETTINGS.search(plain) or _VERBS.search(plain) or _BEHIND.search(plain):
        return True
    return any(
        match[1] or _matters(match[2], match[3], plain, command)
        for match in _BEGINS.finditer(command)
    )


def _matters(word: str, follows: str | None, plain: str, command: str) -> bool:
    """Whether a command that begins with a word may do anything of interest."""
    if word in _WORDS or not _OPEN.isdisjoint(word):
        return not _is_bracket(word)
    if word in _INNER:
        return any(each in plain for each in _INNER[word]) or _OPENED.search(command) is not None
    if word in _WITH:
        firsts = _WITH[word].split()
        return not (follows and firsts) or follows in firsts
    return _STEMS.search(word.lower()) is not None and word not in _NAMED_LIKE_STEMS


def _is_bracket(word: str) -> bool:
    """Whether a word is `[` or `[[`, the only programs with such a name."""
    return word in {"[", "[["}
