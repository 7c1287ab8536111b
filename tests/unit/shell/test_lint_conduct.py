"""Rules R106 to R117 of lint, and what is true of all of them (P5.2)."""

import time

import pytest

from tallystick.shell.lint import LONGEST, NAMES, LintFinding, lint
from tallystick.shell.verdicts import Around

WORK = "/home/ada/project"
SECRET = "sk-" + "a1B2" * 10

SAID = {
    "R106": (
        "python - --seed 1",
        "read -r LR; python train.py --lr $LR --seed 1",
        "cat | python train.py --seed 1",
        "xargs -n1 python eval.py",
        "bash -s",
    ),
    "R107": (
        "python train.py --seed $RANDOM",
        "python train.py --seed 1 --out runs/$(date +%s)",
        "python train.py --seed 1 --name run-`date +%F`",
        "torchrun --master_port $((10000 + RANDOM % 1000)) train.py --seed 1",
        "OUT=runs/$(date +%H%M) && python train.py --seed 1 --out $OUT",
        "NAME=$(uuidgen) python train.py --seed 1",
        "python train.py --seed 1 --tmp $(mktemp -d)",
        "python train.py --seed 1 --order $(shuf -i 0-9 -n 3 | tr '\\n' ,)",
    ),
    "R108": (
        "for lr in 0.1 0.01; do python train.py --lr $lr --seed 1; done",
        "for s in $(seq 5); do python train.py --seed $s; done",
        "for a in {1..3}; do for b in x y; do python main.py $a $b; done; done",
        "parallel python train.py --seed {} ::: 1 2 3",
        "seq 3 | xargs -I{} python train.py --seed {}",
        "python train.py --seed 1 && python train.py --seed 2",
        "bash -c 'for s in 1 2; do python train.py --seed $s; done'",
    ),
    "R109": (
        "python train.py --seed 1 &",
        "nohup python train.py --seed 1",
        "nohup python train.py --seed 1 > log.txt 2>&1 &",
        "tmux new-session -d -s a 'python train.py --seed 1'",
        "screen -dmS a python train.py --seed 1",
        "setsid python train.py --seed 1",
    ),
    "R110": (
        "python train.py --seed 1 > /dev/null",
        "python train.py --seed 1 &> /dev/null",
        "python train.py --seed 1 2>&1 >/dev/null",
        "cd src && python train.py --seed 1 >/dev/null 2>&1",
    ),
    "R111": (
        "CUDA_VISIBLE_DEVICES=1 python train.py --seed 1",
        "export CUDA_VISIBLE_DEVICES=0,1; python train.py --seed 1",
        "python train.py --seed 1 --device cuda:1",
        "python train.py --seed 1 --device=cuda:3",
        "python train.py --seed 1 --gpu_ids=2,3",
    ),
    "R112": (
        "python -i train.py --seed 1",
        "python -m pdb train.py --seed 1",
        "jupyter lab --port 8888",
        "jupyter notebook",
        "vim config.yaml && python train.py --seed 1",
        "watch -n1 nvidia-smi",
        "python -c 'input(\"go?\")'",
    ),
    "R113": (
        "pip install -q torch && python train.py --seed 1",
        "python -m pip install -r requirements.txt; python train.py --seed 1",
        "uv pip install einops && python train.py --seed 1",
        "conda install -y numpy && python train.py --seed 1",
        "apt-get -y install ffmpeg; python train.py --seed 1",
        "uv sync && python train.py --seed 1",
    ),
    "R114": (
        "git pull && python train.py --seed 1",
        "git checkout main && python train.py --seed 1",
        "git -C .. switch main; python train.py --seed 1",
        "git stash; python train.py --seed 1",
        "sed -i 's/lr = .*/lr = 0.1/' config.py && python train.py --seed 1",
        "patch -p1 < fix.diff && python train.py --seed 1",
    ),
    "R115": (
        "python train.py --seed 1 | tee train.log",
        "python train.py --seed 1 2>&1 | tee -a log | grep loss",
        "python train.py --seed 1 | tail -5",
        "python train.py --seed 1 || true",
    ),
    "R116": (
        "WANDB_API_KEY=0123456789abcdef python train.py --seed 1",
        f"python train.py --seed 1 --key {SECRET}",
        "python train.py --seed 1 --api-key 0123456789abcdef",
        "python train.py --seed 1 --db-password=hunter2hunter2",
        "python train.py --seed 1 --data https://ada:hunter2@example.org/x",
        "curl -H 'Authorization: Bearer abcdef0123456789' https://example.org/x",
        "export HF_TOKEN=0123456789abcdef; python train.py --seed 1",
    ),
    "R117": (
        "torchrun --nproc_per_node=2 train.py --seed 1",
        "python -m torch.distributed.run --nproc-per-node 2 train.py --seed 1",
        "accelerate launch --num_processes 2 train.py --seed 1",
    ),
}

NOT_SAID = {
    "R106": (
        "python - <<'EOF'\nprint(1)\nEOF",
        "cat config.json | python eval.py -",
        "python eval.py < data.json",
        "while read -r line; do echo $line; done < list.txt",
        "ls data | while read -r f; do echo $f; done",
        "find . -name '*.py' | xargs wc -l",
        "cat results.csv",
        "bash run.sh",
        "echo x | tee log",
    ),
    "R107": (
        "echo start $(date); python train.py --seed 1; date",
        "python train.py --seed $SEED --out runs/$TALLY_RUN_ID",
        "python train.py --seed 1 --commit $(git rev-parse HEAD)",
        "python train.py --seed 1 --workers $(nproc)",
        "python train.py --note 'cost $RANDOM amounts' --seed 1",
    ),
    "R108": (
        "for f in a.csv b.csv; do wc -l $f; done; python train.py --seed 1",
        "python prepare.py && python train.py --seed 1",
        "python evaluate.py --split dev && python evaluate.py --split test",
        "for lr in 0.1; do python train.py --lr $lr --seed 1; done",
        "find . -name '*.tmp' | xargs rm; python train.py --seed 1",
    ),
    "R109": (
        "python train.py --seed 1",
        "python server.py & python train.py --seed 1; kill %1; wait",
        "python train.py --note 'a & b' --seed 1",
        "python train.py --seed 1 > log 2>&1",
        "cd a && python train.py --seed 1",
    ),
    "R110": (
        "command -v nvidia-smi > /dev/null && python train.py --seed 1",
        "python train.py --seed 1 2> /dev/null",
        "python train.py --seed 1 > train.log",
        "python train.py --seed 1 --out /dev/null",
        "pushd src > /dev/null; python train.py --seed 1",
        "python train.py --seed 1 < /dev/null",
    ),
    "R111": (
        "python train.py --seed 1 --device cuda",
        "python train.py --seed 1 --device cuda:0",
        "CUDA_VISIBLE_DEVICES= python train.py --seed 1",
        "python train.py --seed 1 --gpus 2",
        "CUDA_LAUNCH_BLOCKING=1 python train.py --seed 1",
    ),
    "R112": (
        "jupyter nbconvert --execute --to notebook a.ipynb",
        "python -m json.tool a.json",
        "python train.py -i 3 --seed 1",
        "python -c 'model.input(3)'",
        "nvidia-smi",
    ),
    "R113": (
        "pip list && python train.py --seed 1",
        "python train.py --install-hooks --seed 1",
        "pip freeze > requirements.txt",
        "python train.py --optimizer add --seed 1",
        "echo 'pip install torch'",
    ),
    "R114": (
        "git rev-parse HEAD && python train.py --seed 1",
        "git status; git log -1; python train.py --seed 1",
        "sed -n 1,5p config.py; python train.py --seed 1",
        "echo git pull",
        "git diff > patch.diff; python train.py --seed 1",
    ),
    "R115": (
        "set -o pipefail; python train.py --seed 1 | tee log",
        "bash -o pipefail -c 'python train.py --seed 1 | tee log'",
        "cat list.txt | python train.py --seed 1",
        "ls | wc -l; python train.py --seed 1",
        "mkdir out || true; python train.py --seed 1",
        "python train.py --seed 1 || exit 3",
        'python train.py --seed 1 | tee log; exit "${PIPESTATUS[0]}"',
    ),
    "R116": (
        "WANDB_API_KEY=$WANDB_API_KEY python train.py --seed 1",
        "python train.py --seed 1 --max-tokens 512 --tokenizer bert-base-uncased",
        "python train.py --seed 1 --token /run/secrets/token",
        "python train.py --seed 1 --api-key {api_key}",
        "python train.py --seed 1 --key-dim 12345678",
        "python train.py --seed 1 --data https://example.org/a:b",
        "python train.py --seed 1 --api-key '[redacted api-key 0123456789ab]'",
    ),
    "R117": (
        "torchrun --standalone --nproc_per_node=2 train.py --seed 1",
        "torchrun --nproc_per_node=2 --master_port 29511 train.py --seed 1",
        "torchrun --nproc_per_node=2 --rdzv-endpoint=localhost:0 train.py --seed 1",
        "torchrun train.py --seed 1",
        "accelerate launch --num_processes 2 --main_process_port 0 train.py --seed 1",
        "python train.py --num_processes 2 --seed 1",
    ),
}

ORDINARY = (
    "python train.py --lr 0.1 --seed 1",
    "python -u train.py --lr 1e-3 --epochs 10 --seed 0 --output-dir runs/a",
    "cd experiments/mnist && python train.py --config base.yaml",
    "torchrun --standalone --nproc_per_node=4 train.py --seed 3",
    "uv run python -m project.train seed=3 lr=0.1",
    "accelerate launch --mixed_precision bf16 train.py --config c.yaml",
    "source .venv/bin/activate && python train.py --seed 1",
    "set -euo pipefail; python prep.py; python train.py --seed 1 2>&1 | tee log.txt",
    "python evaluate.py --checkpoint runs/a/model.pt",
    "OMP_NUM_THREADS=4 python bench.py --size 1000",
    "make experiment",
    "bash scripts/run.sh 3",
    "./build/solver --input mesh.vtk",
    "python train.py --lr {lr} --seed {seed} --output-dir runs/{lr}-{seed}",
    "sleep 30",
    "echo hello; exit 3",
    "python -c 'print(1)'",
    "conda run -n ml python train.py --seed 2",
    "srun -n 1 python train.py --seed 2",
    "timeout 3600 python train.py --seed 2",
    "julia fit.jl",
    "python - <<'EOF'\nprint(1)\nEOF",
)


@pytest.mark.parametrize(
    ("code", "command"), [(code, each) for code, all_of in SAID.items() for each in all_of]
)
def test_a_rule_speaks(code: str, command: str) -> None:
    assert code in [each.code for each in lint(command, workdir=WORK)]


@pytest.mark.parametrize(
    ("code", "command"), [(code, each) for code, all_of in NOT_SAID.items() for each in all_of]
)
def test_a_rule_keeps_quiet(code: str, command: str) -> None:
    assert code not in [each.code for each in lint(command, workdir=WORK)]


@pytest.mark.parametrize("command", ORDINARY)
def test_nothing_is_said_about_an_ordinary_command(command: str) -> None:
    assert lint(command, workdir=WORK) == ()


def test_every_rule_has_examples_of_both_kinds() -> None:
    own = {f"R{number}" for number in range(101, 106)}
    assert set(SAID) | own == set(NOT_SAID) | own == set(NAMES)


def every() -> list[tuple[str, LintFinding]]:
    commands = [each for all_of in SAID.values() for each in all_of]
    return [(command, found) for command in commands for found in lint(command, workdir=WORK)]


def test_a_finding_says_what_was_found_and_what_to_do() -> None:
    for command, found in every():
        assert found.name == NAMES[found.code]
        assert len(found.detail) > 20, found
        assert len(found.hint) > 10, found
        if found.span is not None:
            start, end = found.span
            assert 0 <= start < end <= len(command), (command, found)


def test_findings_stand_in_the_order_of_their_codes_and_each_code_once() -> None:
    command = "nohup python train.py > /dev/null & CUDA_VISIBLE_DEVICES=1 python train.py | tee a"
    codes = [each.code for each in lint(command, workdir=WORK)]
    assert codes == sorted(set(codes))
    assert {"R101", "R108", "R109", "R110", "R111", "R115"} <= set(codes)


def test_no_finding_repeats_a_secret() -> None:
    for command in SAID["R116"]:
        for found in lint(command, workdir=WORK):
            for secret in (SECRET, "0123456789abcdef", "hunter2", "abcdef0123456789"):
                assert secret not in found.detail + found.hint


def test_what_a_shell_script_does_is_said_with_its_name() -> None:
    script = b"#!/bin/bash\nfor s in 1 2 3; do\n  python train.py --seed $s | tee log\ndone\n"
    around = Around(cwd=WORK, read={f"{WORK}/run_grid.sh": script}.get)
    found = lint("bash run_grid.sh", workdir=WORK, around=around)
    assert [each.code for each in found] == ["R108", "R115"]
    assert all(each.detail.startswith("run_grid.sh: ") for each in found)
    assert all(each.span == (5, 16) for each in found)


def test_a_script_that_starts_itself_is_not_followed_for_ever() -> None:
    around = Around(cwd=WORK, read={f"{WORK}/a.sh": b"bash a.sh; python train.py &"}.get)
    assert [each.code for each in lint("bash a.sh", workdir=WORK, around=around)] == [
        "R101",
        "R109",
    ]


@pytest.mark.parametrize(
    "noise",
    [
        "",
        "\0",
        "'",
        "$(",
        "((((" * 5_000,
        "a=" * 20_000,
        "--config" * 8_000,
        "python " + "-" * 60_000,
        "sed " + "-i " * 20_000,
        "python train_" + "eval_" * 12_000 + ".py",
        "python train.py " + "| tee a " * 5_000,
        "python train.py > " * 3_000,
        "x://" * 15_000,
        "&" * 60_000,
        "\ud800 python train.py \U0001f600 | tee",
        "for " * 10_000,
        "python train.py --out=" + "a/" * 30_000,
    ],
)
def test_noise_is_answered_and_soon(noise: str) -> None:
    began = time.process_time()
    around = Around(cwd=WORK, read=lambda _: (noise * 2)[:200_000].encode("utf-8", "replace"))
    lint(noise, workdir=WORK, params={"a": 1}, around=around, many=True)
    lint(f"python train.py; bash a.sh {noise[:2000]}", workdir=WORK, around=around)
    assert time.process_time() - began < 5


def test_nothing_is_said_about_a_command_that_is_too_long_to_read() -> None:
    assert lint("python train.py " + "x " * LONGEST) == ()
