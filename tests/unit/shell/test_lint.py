"""Rules R101 to R105 of lint: what each says, and where it keeps quiet (P5.2)."""

from collections.abc import Mapping
from typing import Any

import pytest

from tallystick.shell.lint import LintFinding, lint
from tallystick.shell.verdicts import Around

WORK = "/home/ada/project"

PLAIN = "import json\nprint(json.dumps({'accuracy': 0.9}))\n"
TRAINS = "import torch\nloss = model(x)\nloss.backward()\n"
TAKES_SEED = f'{TRAINS}parser.add_argument("--seed", type=int)\n'
SEED_BY_DEFAULT = f'{TRAINS}parser.add_argument("--seed", type=int, default=42)\n'
FIXES_SEED = f"import torch\ntorch.manual_seed(0)\n{TRAINS}"
TAKES_OUTPUT = 'import json\nparser.add_argument("--output-dir", default="runs")\n'
WRITES = 'import torch\ntorch.save(model.state_dict(), "model.pt")\n'


def around(**files: str) -> Around:
    """Files below the working directory; `__` in a name stands for the dot."""
    known = {f"{WORK}/{name.replace('__', '.')}": text.encode() for name, text in files.items()}
    return Around(cwd=WORK, read=known.get)


def codes(
    command: str,
    *,
    params: Mapping[str, Any] | None = None,
    files: Around | None = None,
    many: bool = False,
) -> list[str]:
    found = lint(command, workdir=WORK, params=params or {}, around=files, many=many)
    return [each.code for each in found]


def only(command: str, code: str, **more: Any) -> LintFinding:
    (found,) = [each for each in lint(command, workdir=WORK, **more) if each.code == code]
    return found


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --lr 0.1",
        "python3 -u src/train_mlp.py --epochs 3 --lr 1e-3",
        "torchrun --standalone --nproc_per_node=2 train.py --lr 0.1",
        "accelerate launch train.py --lr 0.1",
        "python -m project.train --lr 0.1",
        "cd src && uv run python train.py",
        "PYTHONHASHSEED=0 python train.py",
        "python train.py --data seeds/wheat.csv",
        "env OMP_NUM_THREADS=4 python train.py",
    ],
)
def test_a_training_without_a_seed_is_said(command: str) -> None:
    assert "R101" in codes(command)


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --seed 3",
        "python train.py --random-state=1",
        "python train.py trainer.seed=1 trainer.lr=0.1",
        "python train.py --seed $SEED",
        "python train.py --lr {lr} --seed {seed}",
        "SEED=3 python train.py",
        "export SEED=3; python train.py",
        "python train.py --config configs/base.yaml",
        "python train.py --help",
        "python evaluate.py --checkpoint model.pt",
        "python download_data.py",
        "python main.py",
        "./tool --fast",
        "echo train.py",
        "true",
    ],
)
def test_a_seed_is_not_missed_where_it_is_said_or_may_stand(command: str) -> None:
    assert "R101" not in codes(command)


@pytest.mark.parametrize(
    ("text", "is_said"),
    [
        (PLAIN, False),
        (TRAINS, True),
        (TAKES_SEED, True),
        (SEED_BY_DEFAULT, False),
        (FIXES_SEED, False),
        ("SEED = 7\n" + TRAINS, False),
        ("from sklearn.model_selection import train_test_split\ntrain_test_split(x)\n", True),
        ("import numpy as np\nrng = np.random.default_rng(3)\n", False),
        ("@dataclass\nclass Config:\n    seed: int = 0\n" + TRAINS, False),
        ("@dataclass\nclass Config:\n    seed: int | None\n" + TRAINS, True),
    ],
)
def test_a_script_that_can_be_read_decides_whether_a_seed_is_missed(
    text: str, *, is_said: bool
) -> None:
    assert ("R101" in codes("python main.py", files=around(main__py=text))) is is_said


def test_the_option_that_takes_the_seed_is_named() -> None:
    files = around(train__py=f'{TRAINS}parser.add_argument("--rng-seed", type=int)\n')
    found = only("python train.py", "R101", around=files)
    assert "train.py takes --rng-seed" in found.detail
    assert found.hint.startswith("add --rng-seed 0")


def test_a_file_of_settings_is_looked_into_for_the_seed() -> None:
    command = "python train.py --config base.yaml"
    without = around(train__py=TRAINS, base__yaml="lr: 0.1\n")
    assert "R101" in codes(command, files=without)
    assert codes(command, files=around(train__py=TRAINS, base__yaml="seed: 1\n")) == []


def test_a_parameter_or_a_variable_of_the_run_counts_as_a_seed() -> None:
    assert codes("python train.py", params={"seed": 1}) == []
    assert codes("python train.py", params={"lr": 1}) == ["R101"]
    files = around(train__py=TRAINS)._replace(variables={"SEED": "1"})
    assert codes("python train.py", files=files) == []


def test_a_script_that_is_not_there_is_said() -> None:
    files = around(train__py=FIXES_SEED)
    found = only("python src/train.py", "R102", around=files)
    assert f"{WORK}/src/train.py" in found.detail
    assert found.span == (7, 19)
    assert codes("bash run.sh", files=files) == ["R102"]
    assert codes("torchrun --standalone other.py --seed 1", files=files) == ["R102"]


@pytest.mark.parametrize(
    "command",
    [
        "python train.py",
        "python ./train.py",
        "cd sub && python here.py",
        "cd $DIR && python anywhere.py",
        "python {model}.py --seed 0",
        "cat > new.py <<'EOF'\nprint(1)\nEOF\npython new.py",
        "cp train.py copy.py && python copy.py",
        "python -m anything",
        "python -c 'print(1)'",
        "ssh host python remote.py",
    ],
)
def test_a_script_that_is_there_or_may_be_is_not_missed(command: str) -> None:
    files = Around(
        cwd=WORK,
        read={f"{WORK}/train.py": b"", f"{WORK}/sub/here.py": b""}.get,
    )
    assert "R102" not in codes(command, files=files)


def test_without_a_way_to_read_nothing_is_said_about_files() -> None:
    assert codes("python nowhere.py") == []


@pytest.mark.parametrize(
    "command",
    [
        "python /tmp/train.py --seed 1",
        "bash /dev/shm/run.sh",
        "python /opt/code/other/train.py --seed 1",
        "python $SCRIPT --seed 1",
        'python "$(ls *.py | head -1)" --seed 1',
    ],
)
def test_a_script_that_is_not_fixed_or_lies_elsewhere_is_said(command: str) -> None:
    assert "R103" in codes(command)


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --seed 1",
        f"python {WORK}/src/train.py --seed 1",
        "python ../shared/train.py --seed 1",
        "python /home/ada/venv/lib/python3.12/site-packages/torch/run.py --seed 1",
        "SCRIPT=train.py; python $SCRIPT --seed 1",
        "python $PWD/train.py --seed 1",
        "/usr/bin/python3 train.py --seed 1",
        "python train.py --seed 1 --data /data/imagenet",
        "for s in a.py b.py; do python $s --seed 1; done",
    ],
)
def test_a_script_of_the_project_is_not(command: str) -> None:
    assert "R103" not in codes(command)


def test_the_repository_around_the_directory_counts_as_the_project() -> None:
    command = "python /srv/code/tools/train.py --seed 1"
    files = Around(read={"/srv/code/.git/HEAD": b"", "/srv/code/tools/train.py": b""}.get)
    inside = lint(command, workdir="/srv/code/experiments/deep", around=files)
    assert inside == ()
    outside = lint(command, workdir="/home/ada/project", around=files)
    assert [each.code for each in outside] == ["R103"]


def test_a_run_in_a_temporary_directory_may_have_its_script_there() -> None:
    assert lint("python /tmp/trial/train.py --seed 1", workdir="/tmp/trial") == ()


@pytest.mark.parametrize(
    ("text", "command", "is_said"),
    [
        (TAKES_OUTPUT, "python main.py", True),
        (TAKES_OUTPUT, "python main.py --output-dir runs/1", False),
        (TAKES_OUTPUT, "python main.py --output_dir=runs/1", False),
        ('parser.add_argument("--out-dir", type=Path, help="results")\n', "python main.py", False),
        ('parser.add_argument("--out", default=Path("a"), help="b")\n', "python main.py", True),
        (WRITES, "python main.py", True),
        (WRITES, "python main.py --out runs/1", False),
        ('torch.save(m, f"{args.out}/model.pt")\n', "python main.py", False),
        ('torch.save(m, args.out + "/model.pt")\n', "python main.py", False),
        ('torch.save(m, "/data/model.pt")\n', "python main.py", False),
        ('d = os.environ["TALLY_RUN_DIR"]\nopen("x.txt", "w")\n', "python main.py", False),
        ('open("metrics.json", "w").write("{}")\n', "python main.py", True),
        ('open("metrics.json").read()\n', "python main.py", False),
        (PLAIN, "python main.py", False),
    ],
)
def test_output_without_a_place_of_its_own_is_said(
    text: str, command: str, *, is_said: bool
) -> None:
    assert ("R104" in codes(command, files=around(main__py=text))) is is_said


def test_a_parameter_can_say_where_output_goes() -> None:
    files = around(main__py=TAKES_OUTPUT)
    assert codes("python main.py", files=files, params={"output_dir": "runs/1"}) == []


@pytest.mark.parametrize(
    ("command", "params"),
    [
        ("python main.py --lr {lr} --output-dir out", {}),
        ("python main.py --lr {lr} --out=results/all", {"lr": 0.1}),
        ("python main.py --lr 0.1 --output-dir outputs", {"lr": 0.1}),
        ("python main.py lr={lr} hydra.run.dir=runs/all", {}),
    ],
)
def test_a_place_that_several_runs_would_share_is_said(
    command: str, params: Mapping[str, Any]
) -> None:
    assert codes(command, params=params) == ["R105"]


@pytest.mark.parametrize(
    ("command", "params"),
    [
        ("python main.py --lr {lr} --output-dir out/{lr}", {}),
        ("python main.py --lr 0.1 --output-dir out/lr-0.1", {"lr": 0.1}),
        ("python main.py --lr 0.1 --output-dir runs/night-3", {"lr": 0.1}),
        ("python main.py --lr {lr} --output-dir runs/$TALLY_RUN_ID", {}),
        ("python main.py --output-dir out", {}),
        ("python main.py --lr {lr} --out -", {}),
    ],
)
def test_a_place_of_its_own_is_not(command: str, params: Mapping[str, Any]) -> None:
    assert codes(command, params=params) == []


def test_flags_that_a_sweep_adds_make_a_constant_place_shared() -> None:
    command = "python main.py --output-dir runs/night-3"
    assert codes(command, params={"lr": 0.1}, many=True) == ["R105"]
    assert codes(command, params={"lr": 0.1}) == []
