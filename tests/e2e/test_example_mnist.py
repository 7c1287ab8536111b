"""The example trains, is the same for the same flags, and measures what it says it measures."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "mnist_mlp" / "train_mnist_mlp.py"
MNIST = ROOT.parent / "shared" / "data" / "mnist"


def train(out: Path, *flags: str, metrics: Path | None = None) -> str:
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    if metrics is not None:
        environment["TALLY_METRICS"] = str(metrics)
    command = [sys.executable, str(SCRIPT), *flags, "--device", "cpu"]
    command += ["--log-dir", str(out / "logs"), "--out-dir", str(out / "outputs")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def result(out: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((out / "outputs" / "result.json").read_text())
    return found


def test_digits_are_learned_and_every_epoch_is_measured(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    told = train(tmp_path, "--lr", "0.1", "--seed", "3", "--epochs", "6", metrics=metrics)
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(set(row) == {"step", "epoch", "loss", "val_loss", "val_accuracy"} for row in rows)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["val_accuracy"] > 0.9
    assert result(tmp_path)["val_accuracy"] == rows[-1]["val_accuracy"]
    assert told == (tmp_path / "logs" / "train.log").read_text()


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    flags = ["--lr", "0.1", "--epochs", "2"]
    first, second, other = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    train(first, *flags, "--seed", "1")
    train(second, *flags, "--seed", "1")
    train(other, *flags, "--seed", "2")
    assert result(first) == result(second)
    assert result(first)["train_loss"] != result(other)["train_loss"]


def test_real_mnist_is_read_gzipped_and_plain(tmp_path: Path) -> None:
    if not MNIST.is_dir():
        message = f"NOT TESTED on real MNIST: {MNIST} is missing"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    plain = tmp_path / "plain"
    plain.mkdir()
    for packed in MNIST.glob("*.gz"):
        (plain / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    flags = ["--lr", "0.05", "--epochs", "1", "--hidden", "16"]
    told = train(tmp_path / "a", *flags, "--data-dir", str(MNIST))
    train(tmp_path / "b", *flags, "--data-dir", str(plain))
    assert told.startswith("mnist-t10k: 8000 images to train on, 2000 to validate on")
    assert result(tmp_path / "a") == result(tmp_path / "b")
    assert result(tmp_path / "a")["val_accuracy"] > 0.8


def test_a_directory_without_images_is_said_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}: expected a file t10k-images*, found none\n"
