"""Programs that only start experiments: by their name, or by their name and a subcommand."""

from collections.abc import Sequence
from typing import Final

from tallystick.shell.steps import Found, basename, experiment, utility
from tallystick.shell.wordlist import word_set

ALWAYS: Final = word_set(
    "autotrain bigcode-eval bsub clearml-task composer condor_submit condor_submit_dag darknet "
    "deepspeed evalplus.codegen evalplus.evaluate fairseq-generate fairseq-hydra-train "
    "fairseq-train fairseq-validate helm-run horovodrun lighteval lightgbm llama-bench "
    "llama-perplexity lm-eval lm_eval lm_eval_harness luigi mlx_lm.evaluate mlx_lm.fuse "
    "mlx_lm.lora mteb nequip-train nnUNet_train nnUNetv2_predict nnUNetv2_train ns-eval ns-train "
    "oaieval oarsub onmt_train onmt_translate opencompass openfold_train papermill ploomber-engine "
    "qsub rl_zoo3 runipy sb3_train sbatch spark-submit swebench t2t-trainer torchrun treon trtexec "
    "vw xgboost xtuner-train"
)
"""Whatever their options are."""
SUBCOMMANDS: Final = {
    "accelerate": ("launch", "test"),
    "ray": ("job submit", "submit"),
    "sky": ("launch", "exec", "jobs launch", "spot launch", "bench launch"),
    "modal": ("run", "deploy"),
    "wandb": ("agent", "sweep", "launch", "launch-sweep"),
    "dvc": ("repro", "exp run", "experiments run", "queue start"),
    "nextflow": ("run",),
    "mlflow": ("run", "experiments run"),
    "guild": ("run",),
    "vllm": ("bench",),
    "sglang": ("bench",),
    "llamafactory-cli": ("train", "eval"),
    "axolotl": ("train", "evaluate", "lm-eval"),
    "tune": ("run",),
    "torchx": ("run",),
    "ludwig": ("train", "experiment", "evaluate", "hyperopt", "predict"),
    "rasa": ("train", "test"),
    "spacy": ("train", "pretrain", "evaluate", "benchmark"),
    "allennlp": ("train", "evaluate", "find-lr"),
    "yolo": ("train", "val", "benchmark", "tune", "predict", "detect", "segment", "classify",
             "pose"),
    "kedro": ("run",),
    "zenml": ("pipeline run",),
    "nnictl": ("create", "resume"),
    "polyaxon": ("run",),
    "det": ("experiment create", "e create", "cmd run"),
    "runai": ("submit", "submit-job", "submit-dist", "training submit"),
    "argo": ("submit",),
    "pyflyte": ("run",),
    "flytectl": ("create execution",),
    "metaflow": ("run",),
    "trl": ("sft", "dpo", "grpo", "kto", "ppo", "reward", "rloo"),
    "oumi": ("train", "evaluate", "launch", "tune", "infer", "judge"),
    "litgpt": ("finetune", "finetune_full", "finetune_lora", "pretrain", "evaluate"),
    "lightning": ("run", "fit", "train"),
    "inspect": ("eval", "eval-set", "eval-retry"),
    "promptfoo": ("eval",),
    "gcloud": ("ai custom-jobs create", "ai hp-tuning-jobs create",
               "ai-platform jobs submit training"),
    "aws": ("sagemaker create-training-job", "sagemaker create-hyper-parameter-tuning-job",
            "batch submit-job"),
    "az": ("ml job create",),
    "swift": ("sft", "pt", "rlhf", "eval"),
    "ms-swift": ("sft", "pt", "rlhf", "eval"),
    "xtuner": ("train", "test"),
    "mim": ("train", "test", "gridsearch"),
    "optuna": ("optimize", "study optimize"),
    "fabric": ("run",),
    "jupyter": ("execute", "run"),
    "flwr": ("run",),
    "colossalai": ("run",),
    "unsloth": ("train",),
    "clearml-agent": ("execute",),
    "dstack": ("run", "apply"),
    "evalscope": ("eval", "perf"),
    "perf": ("bench",),
    "cargo": ("bench", "criterion"),
    "asv": ("run", "continuous", "bench"),
    "prefect": ("deployment run",),
    "kfp": ("run create", "run submit"),
    "mlx_lm": ("lora", "evaluate"),
    "paddle": ("train",),
}  # fmt: skip
"""With the first words that are no options."""
_HELP: Final = frozenset({"--help", "-h", "--version", "-V", "--usage"})
_DRY: Final = {
    "snakemake": word_set(
    "-n --dry-run --dryrun --lint --dag --rulegraph --filegraph -l --list --list-rules "
    "--list-target-rules --summary -S --unlock --detailed-summary -D --cleanup-metadata --report "
    "-np --delete-all-output"
),
    "sbatch": frozenset({"--test-only"}),
    "nextflow": frozenset({"-preview", "-stub-run", "-stub"}),
    "dvc": frozenset({"--dry", "--dry-run"}),
    "papermill": frozenset({"--help-notebook", "--prepare-only"}),
    "qsub": frozenset({"-verify"}),
    "cargo": frozenset({"--no-run", "--list"}),
    "torchx": frozenset({"--dryrun"}),
    "lm_eval": frozenset({"list", "--tasks=list", "ls"}),
    "lm-eval": frozenset({"list", "--tasks=list", "ls"}),
    "luigi": frozenset({"--deps"}),
    "guild": frozenset({"--test-sourcecode", "--print-cmd"}),
    "sky": frozenset({"--dryrun"}),
}  # fmt: skip


def launched(words: Sequence[str]) -> Found | None:
    """What a launcher does; None for other programs."""
    name = basename(words[0])
    rest = words[1:]
    if not _is_launcher(name, rest):
        return None
    written = " ".join((name, *_subcommand(name, rest).split())) if name not in ALWAYS else name
    if any(word in _HELP for word in rest[:3]) or _DRY.get(name, frozenset()) & set(rest):
        return utility(f"{written} only answers a question here")
    if name == "jupyter":
        return experiment("notebook", f"{written} executes a notebook")
    if name in {"papermill", "runipy", "treon", "ploomber-engine"}:
        return experiment("notebook", f"{name} executes a notebook")
    return experiment("launcher", f"{written} starts an experiment")


def _is_launcher(name: str, rest: Sequence[str]) -> bool:
    """Whether the program, with its first words, starts experiments."""
    if name == "snakemake":
        return True
    if name in {"jupyter", "jupyter-nbconvert"}:
        converts = name == "jupyter-nbconvert" or "nbconvert" in rest[:1]
        if converts:
            return any(word.startswith("--execute") for word in rest)
    return name in ALWAYS or bool(_subcommand(name, rest))


def _subcommand(name: str, rest: Sequence[str]) -> str:
    """The subcommand that starts an experiment; empty for none."""
    options = SUBCOMMANDS.get(name, ())
    plain = [word for word in rest if not word.startswith("-")]
    started = " ".join(plain[:3])
    for option in options:
        if started == option or started.startswith(f"{option} "):
            return option
    return ""
