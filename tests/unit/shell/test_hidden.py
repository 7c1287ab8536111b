"""Experiments behind an import, a list of commands, a rule of make, or a program nobody knows."""

import pytest

from tallystick.shell.triggers import could_matter
from tests.unit.shell.judging import FILES, HARMLESS, TRAINS, judged, verdict

GUARDED = """\
import torch


def main(lr=0.1):
    torch.ones(1).backward()


if __name__ == "__main__":
    main()
"""
CALLS_ITSELF = GUARDED.replace('if __name__ == "__main__":\n    main()', "main()")
BY_HAND = """\
import numpy as np
w = np.zeros(3)
for step in range(200):
    grad = 2 * X.T @ (X @ w - y) / len(X)
    w -= 0.1 * grad
print(w)
"""
ASKS = """\
import openai, json
client = openai.OpenAI()
for row in map(json.loads, open("gsm8k.jsonl")):
    client.chat.completions.create(model="m", messages=[row])
"""
CHATS = """\
import openai
for chunk in openai.OpenAI().chat.completions.create(model="m", messages=[], stream=True):
    print(chunk)
"""
COUNTS = """\
from transformers import pipeline
classify, hits = pipeline("text-classification"), 0
for row in rows:
    hits += classify(row["text"])[0]["label"] == row["label"]
print("accuracy", hits / len(rows))
"""
PARAMETERS = """\
import torch
total = 0
for each in torch.load("a.pt").values():
    total += each.numel()
print("parameters", total)
"""
MAKEFILE = """\
LRS = 0.1 0.01
results/%.json:
\tpython train.py --lr $* > $@
grid: $(LRS:%=results/%.json)
each: $(foreach lr,$(LRS),results/$(lr).json)
sure:
ifdef GPU
\tpython train.py
endif
clean: $(wildcard *.log)
\trm -f $^
tidy:
\trm -rf out
"""
HERE = {
    **FILES,
    "/proj/trains.py": TRAINS,
    "/proj/guarded.py": GUARDED,
    "/proj/calls.py": CALLS_ITSELF,
    "/proj/pkg/trains.py": TRAINS,
    "/proj/pkg/__init__.py": "",
    "/proj/model.py": "import torch\nclass Net(torch.nn.Module):\n    pass\n",
    "/proj/by_hand.py": BY_HAND,
    "/proj/asks.py": ASKS,
    "/proj/chats.py": CHATS,
    "/proj/counts.py": COUNTS,
    "/proj/parameters.py": PARAMETERS,
    "/proj/pool.py": "from multiprocessing import Pool\nfrom guarded import main\n"
    "Pool(2).map(main, [1, 2])\n",
    "/proj/replaces.py": "import os\nos.execvp('python', ['python', 'trains.py'])\n",
    "/proj/list.txt": "python trains.py --lr 1\npython trains.py --lr 2\n",
    "/proj/plain.txt": "ls\ndate\n",
    "/proj/rules.mk": MAKEFILE,
    "/proj/Taskfile.yml": "version: 3\ntasks:\n  go:\n    cmds: [ls, python trains.py]\n",
    "/proj/pyproject.toml": '[tool.pdm.scripts]\ngo = "python trains.py"\nls = "ls -l"\n',
}


def of(command: str) -> str:
    return verdict(command, files=HERE)


EXPERIMENTS = """\
python -c 'import trains'
python -c "from trains import *"
python -c 'import pkg.trains'
python -c 'from pkg import trains'
python -c 'import calls'
python -c "from guarded import main; main(lr=1)"
python -c '__import__("trains")'
python -c 'import importlib; importlib.import_module("trains")'
python <<< 'import trains'
python -m timeit -s 'import guarded' 'guarded.main()'
python by_hand.py
python pool.py
python replaces.py
ipython -c 'run trains.py'
ipython -c '%run trains.py'
ipython -c '!python trains.py'
parallel -a list.txt
parallel -j 2 --arg-file list.txt
parallel python trains.py --dry-run ::: 1 2
source <(cat step.sh)
fd -e py trains -x python trains.py
lxc exec box -- bash -c 'sbatch x'
mosh host -- torchrun x
pueue add -- python trains.py
pueue add 'python trains.py'
pm2 start trains.py --interpreter python
daemonize /usr/bin/python trains.py
dtach -n /tmp/s ./step.sh
byobu new-session -d 'python trains.py'
xterm -e python trains.py
toolbox run python trains.py
guix shell python -- python3 trains.py
kitty @ launch python -u trains.py
start-training-daemon --exec /usr/bin/python3.12 -u trains.py
expect -c 'spawn python trains.py; interact'
make -f rules.mk grid
make -f rules.mk each
make -f rules.mk sure GPU=1
task go
pdm go
trtexec --onnx=m.onnx
llama-perplexity -m m.gguf
"""


@pytest.mark.parametrize("command", EXPERIMENTS.splitlines())
def test_an_experiment_is_found_where_it_hides(command: str) -> None:
    assert of(command) == "experiment", judged(command, files=HERE)
    assert could_matter(command)


UNKNOWN = """\
python asks.py
python counts.py
vagrant ssh -c 'python trains.py'
kubectl create job x --image=y -- python trains.py
docker run --gpus all me/image:latest --epochs 3
"""


@pytest.mark.parametrize("command", UNKNOWN.splitlines())
def test_what_may_be_one_is_unknown(command: str) -> None:
    assert of(command) == "unknown", judged(command, files=HERE)
    assert could_matter(command)


UTILITIES = """\
python -c 'import guarded; print(guarded.__file__)'
python -c 'from guarded import main; print(main.__doc__)'
python -c 'from model import Net; print(Net())'
python -c 'import json, tool'
python -m timeit -s 'import json' 'json.dumps(1)'
python chats.py
python parameters.py
ipython -c '!ls'
parallel -a plain.txt
parallel --dry-run python trains.py ::: 1 2
source <(cat clean.sh)
fd -e py -x wc -l
lxc exec box -- ls
virtualenv -p python3 env
pacman -S python pytorch
some-lister python trains
docker run --gpus all nvidia/cuda nvidia-smi
docker run --gpus all -it me/image bash
make -f rules.mk clean
make -f rules.mk tidy
pdm ls
pdm list
pueue add 'rsync -a a b'
pm2 start server.js
vagrant ssh -c uptime
expect -c 'spawn ssh host; interact'
"""


@pytest.mark.parametrize("command", UTILITIES.splitlines())
def test_what_only_looks_like_one_is_let_alone(command: str) -> None:
    assert of(command) == "utility", judged(command, files=HERE)


def test_the_way_through_an_import_is_told() -> None:
    found = judged("python -c 'import trains'", files=HERE)
    assert found.detail == (
        "runs python -c, which imports trains.py, which imports torch and calls loss.backward()"
    )


def test_imports_that_are_not_here_use_up_little_of_what_may_be_read() -> None:
    lines = "".join(f"import package{number}.part\n" for number in range(24))
    files = {**HERE, "/proj/many.py": lines + "x = len('')\n", "/proj/plain.py": HARMLESS}
    command = "; ".join(["python many.py"] * 3 + ["python trains.py"])
    assert verdict(command, files=files) == "experiment"
