"""Train a multilayer perceptron with one hidden layer on handwritten digits, with numpy alone.

One process is one trial: every choice is a flag, the seed decides everything that is random, and
the same flags give the same numbers. Reads MNIST's own files (idx, plain or gzipped) from
--data-dir, else the small digits set that comes with scikit-learn. Appends a JSON line an epoch to
the file that $TALLY_METRICS names, when it names one, and writes result.json to --out-dir.
"""

import argparse
import gzip
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Labels = NDArray[np.int64]
Data = tuple[Images, Labels]

CLASSES = 10
VALIDATION_SHARE = 0.2
SPLIT_SEED = 20_240_917  # the split never depends on --seed: trials are judged on the same images


def parse_arguments() -> argparse.Namespace:
    """The flags of one trial."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lr", type=float, default=1e-2, help="learning rate")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=64, help="units of the hidden layer")
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--device", choices=["cpu"], default="cpu")
    parser.add_argument("--data-dir", type=Path, help="directory with MNIST's idx files")
    parser.add_argument("--log-dir", type=Path, help="train.log is written there")
    parser.add_argument("--out-dir", type=Path, help="result.json is written there")
    options = parser.parse_args()
    if options.lr <= 0 or options.batch_size < 1 or options.epochs < 1 or options.hidden < 1:
        parser.error("--lr, --batch-size, --epochs and --hidden must be positive")
    return options


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An array from one idx file, gzipped or not (the format of MNIST's own page)."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if content[:3] != b"\0\0\x08":
        sys.exit(f"{path}: expected an idx file of bytes, found {content[:4]!r}")
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def find(directory: Path, pattern: str) -> Path:
    """The first file of the directory that fits."""
    found = sorted(directory.glob(pattern))
    if not found:
        sys.exit(f"{directory}: expected a file {pattern}, found none")
    return found[0]


def load_images(directory: Path | None) -> tuple[Images, Labels, str]:
    """Images as rows of numbers from 0 to 1, their labels, and the name of the data set.

    All images in the directory's first pair of files are used: with the ten thousand of t10k alone
    those are split, with the sixty thousand of train beside them, those are.
    """
    if directory is not None:
        kind = "train" if list(directory.glob("train-images*")) else "t10k"
        images = read_idx(find(directory, f"{kind}-images*"))
        labels = read_idx(find(directory, f"{kind}-labels*"))
        if len(images) != len(labels):
            sys.exit(f"{directory}: {len(images)} images and {len(labels)} labels")
        pixels = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
        return pixels, labels.astype(np.int64), f"mnist-{kind}"
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow, and not needed for MNIST

    digits = load_digits()
    return (digits.data / 16).astype(np.float32), digits.target, "digits"


def split(images: Images, labels: Labels) -> tuple[Data, Data]:
    """Training and validation parts, always the same ones."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    cut = int(len(images) * (1 - VALIDATION_SHARE))
    train, validation = order[:cut], order[cut:]
    return (images[train], labels[train]), (images[validation], labels[validation])


def initial(random: np.random.Generator, inputs: int, outputs: int) -> NDArray[np.float32]:
    """Weights of one layer, after He and others (2015)."""
    weights = random.normal(0, np.sqrt(2 / inputs), (inputs, outputs))
    return weights.astype(np.float32)


class Perceptron:
    """One hidden layer of rectified units, a softmax on top, momentum SGD."""

    def __init__(self, inputs: int, hidden: int, random: np.random.Generator) -> None:
        """Random weights, zero biases."""
        self.weights = [
            initial(random, inputs, hidden),
            np.zeros(hidden, np.float32),
            initial(random, hidden, CLASSES),
            np.zeros(CLASSES, np.float32),
        ]
        self.velocity = [np.zeros_like(weight) for weight in self.weights]

    def forward(self, images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Hidden activations and class probabilities."""
        first, first_bias, second, second_bias = self.weights
        hidden = np.maximum(0, images @ first + first_bias)
        scores = hidden @ second + second_bias
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return hidden, scores / scores.sum(axis=1, keepdims=True)

    def step(self, images: Images, labels: Labels, lr: float, momentum: float) -> float:
        """One update; the mean loss before it."""
        hidden, probabilities = self.forward(images)
        loss = cross_entropy(probabilities, labels)
        wrong = probabilities.copy()
        wrong[np.arange(len(labels)), labels] -= 1
        wrong /= len(labels)
        back = (wrong @ self.weights[2].T) * (hidden > 0)
        gradients = [images.T @ back, back.sum(axis=0), hidden.T @ wrong, wrong.sum(axis=0)]
        for weight, velocity, gradient in zip(self.weights, self.velocity, gradients, strict=True):
            np.multiply(velocity, momentum, out=velocity)
            np.subtract(velocity, lr * gradient, out=velocity)
            np.add(weight, velocity, out=weight)
        return loss


def cross_entropy(probabilities: NDArray[np.float32], labels: Labels) -> float:
    """Mean negative log likelihood."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def train_epoch(
    model: Perceptron, data: Data, options: argparse.Namespace, random: np.random.Generator
) -> tuple[float, int]:
    """Every image once, in a random order; mean loss and number of updates."""
    images, labels = data
    order = random.permutation(len(images))
    losses = []
    for start in range(0, len(order), options.batch_size):
        batch = order[start : start + options.batch_size]
        losses.append(model.step(images[batch], labels[batch], options.lr, options.momentum))
    return float(np.mean(losses)), len(losses)


def evaluate(model: Perceptron, data: Data) -> tuple[float, float]:
    """Loss and accuracy."""
    images, labels = data
    probabilities = model.forward(images)[1]
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    return cross_entropy(probabilities, labels), accuracy


class Report:
    """Progress: to the terminal, to train.log, and to the file of measurements."""

    def __init__(self, log_dir: Path | None, metrics_file: str | None) -> None:
        """Create what is missing."""
        self.log = None
        if log_dir is not None:
            log_dir.mkdir(parents=True, exist_ok=True)
            self.log = (log_dir / "train.log").open("w")
        self.metrics = open(metrics_file, "a") if metrics_file else None  # noqa: PTH123, SIM115

    def say(self, line: str) -> None:
        """One line for people."""
        print(line, flush=True)
        if self.log is not None:
            self.log.write(line + "\n")
            self.log.flush()

    def measure(self, row: dict[str, float]) -> None:
        """One line for machines."""
        if self.metrics is not None:
            self.metrics.write(json.dumps(row) + "\n")
            self.metrics.flush()


def main() -> None:
    """One trial from flags to result.json."""
    options = parse_arguments()
    report = Report(options.log_dir, os.environ.get("TALLY_METRICS"))
    images, labels, name = load_images(options.data_dir)
    train, validation = split(images, labels)
    report.say(
        f"{name}: {len(train[0])} images to train on, {len(validation[0])} to validate on; "
        f"lr {options.lr:g}, batch size {options.batch_size}, seed {options.seed}"
    )
    random = np.random.default_rng(options.seed)
    model = Perceptron(images.shape[1], options.hidden, random)
    began = time.monotonic()
    step = 0
    row: dict[str, float] = {}
    for epoch in range(1, options.epochs + 1):
        loss, updates = train_epoch(model, train, options, random)
        step += updates
        val_loss, val_accuracy = evaluate(model, validation)
        row = {
            "step": step,
            "epoch": epoch,
            "loss": loss,
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
        }
        report.measure(row)
        report.say(
            f"epoch {epoch}/{options.epochs}  loss {loss:.4f}  "
            f"val_loss {val_loss:.4f}  val_accuracy {val_accuracy:.4f}"
        )
    seconds = time.monotonic() - began
    report.say(f"done in {seconds:.1f} s")
    if options.out_dir is not None:
        options.out_dir.mkdir(parents=True, exist_ok=True)
        result = {
            "data": name,
            "lr": options.lr,
            "batch_size": options.batch_size,
            "seed": options.seed,
            "epochs": options.epochs,
            "hidden": options.hidden,
            "momentum": options.momentum,
            "train_loss": row["loss"],
            "val_loss": row["val_loss"],
            "val_accuracy": row["val_accuracy"],
        }
        (options.out_dir / "result.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
