"""The plan gate: plans as agents and people write them, with what is to be said about each."""

import json

import pytest

from tallystick.shell.plans import CODES, check
from tests.corpus.load import CORPUS, Entry, read

NEEDS_NONE = {
    "empty": "",
    "prose about code": "# Plan\n1. Refactor the training loop.\n2. Document the evaluation.",
    "tests": "- run `pytest -q`\n- fix what fails\n\n```bash\npytest tests/test_train.py\n```",
    "packaging": "```\npip install -e .\ngit commit -am 'train.py: new flag'\n```",
    "a script is written": "1. Write `train.py` with argparse for lr and seed.",
    "docs": "- Update the README section on how to train models",
    "reading": "1. Read the logs of the last training\n2. Summarise accuracy in a table",
    "negative": "- Do not train any model in this task",
    "a list of tasks": json.dumps({"todos": [{"content": "Rename the seed option"}]}),
    "shell": "#!/bin/bash\nset -e\ngit pull\nmake lint\n",
    "makefile": "lint:\n\truff check .\n\ntest:\n\tpytest\n",
    "data": "```bash\nmkdir -p data && curl -LO https://example.org/a.zip\n```",
    "a word inside others": "Constraints: the loss of precision in the restrained model text.",
}

COMPLIANT = {
    "grid": '1. `tally sweep create "lr" --command "python train.py" --param lr=0.1,1 --start`\n'
    "2. `tally sweep wait ID`\n3. Compare the accuracy of all models.",
    "sweep and runs": "Train 3 seeds:\n```bash\n"
    'SWEEP=$(tally sweep create "seeds" --goal "noise")\n'
    'tally run create --sweep "$SWEEP" -- python train.py --seed 1\n```',
    "exec": "```bash\ntally exec -- python train.py --lr 0.1\n```",
    "http": "Tune the learning rate of the MLP.\n"
    "POST /sweeps/wild with chat_session_id, then POST /runs with sweep_id for each.",
    "mcp": "1. register_sweep(name='lr')\n2. submit_runs: train models with 4 seeds\n3. wait_run",
    "tasks": json.dumps({"plan": [{"step": "tally exec -- python train.py", "status": "pending"}]}),
}

FOUND = {
    "prose only": ("Train the MLP with 3 seeds and compare accuracy.", {(1, "P102"), (1, "P103")}),
    "a direct command": (
        "```bash\npython train.py --lr 0.1\n```",
        {(2, "P101"), (2, "P102"), (2, "P103")},
    ),
    "a sweep without runs": (
        'tally sweep create "x" --goal y\n\nThen fine-tune the model with two seeds.',
        {(3, "P103")},
    ),
    "a command beside the calls": (
        "tally exec -- python train.py\n\n```bash\npython train.py --lr 3\n```",
        {(4, "P101")},
    ),
    "a loop": (
        "tally exec -- x\n```sh\nfor s in 1 2 3; do\n  python train.py --seed $s\ndone\n```",
        {(3, "P104")},
    ),
    "inline": (
        "tally exec -- x\n1. run `python train.py --lr 0.1`\n2. read `docs/a.md`",
        {(2, "P101")},
    ),
    "a prompt": (
        "tally exec -- x\n```console\n$ python train.py\nepoch 1 python train.py\n```",
        {(3, "P101")},
    ),
    "background": (
        "tally exec -- x\n```bash\nls\nnohup python train.py > log &\n```",
        {(4, "P101"), (4, "P105")},
    ),
    "http without a session": (
        'curl -X POST $SERVER_URL/sweeps/wild -d "{}"\ncurl -X POST $SERVER_URL/runs -d "{}"',
        {(1, "P106")},
    ),
    "a second line of a shell block": (
        "tally exec -- x\n```bash\ncd x && ls\npython train.py\n```",
        {(4, "P101")},
    ),
}


@pytest.mark.parametrize("name", NEEDS_NONE)
def test_a_plan_without_experiments_needs_nothing(name: str) -> None:
    report = check(NEEDS_NONE[name])
    assert (report.needs_experiments, report.compliant, report.findings) == (False, True, ())


@pytest.mark.parametrize("name", COMPLIANT)
def test_a_plan_that_registers_its_runs_is_compliant(name: str) -> None:
    report = check(COMPLIANT[name])
    assert report.findings == ()
    assert (report.needs_experiments, report.compliant) == (True, True)


@pytest.mark.parametrize("name", FOUND)
def test_each_line_that_has_to_change_is_named(name: str) -> None:
    text, expected = FOUND[name]
    report = check(text)
    assert {(each.line, each.code) for each in report.findings} == expected
    assert (report.needs_experiments or "P106" in str(expected), report.compliant) == (True, False)
    for each in report.findings:
        assert each.code in CODES
        assert each.cli or each.calls or each.code == "P106"
    json.dumps(report.view())


def test_a_notebook_is_read_cell_by_cell() -> None:
    cells = [
        {"cell_type": "markdown", "source": "# Train"},
        {"cell_type": "code", "source": ["import torch\n", "!python train.py --lr 1\n"]},
        {"cell_type": "code", "source": "%%bash\nls\npython train.py"},
        {"cell_type": "code", "source": "%run train.py --epochs 3"},
        {"cell_type": "code", "source": "print('python train.py')"},
    ]
    report = check(json.dumps({"cells": cells, "nbformat": 4}))
    direct = [each for each in report.findings if each.code == "P101"]
    assert [each.text for each in direct] == [
        "python train.py --lr 1",
        "python train.py",
        "python train.py --epochs 3",
    ]
    assert [each.detail.partition(":")[0] for each in direct] == ["cell 2", "cell 3", "cell 4"]


def test_a_makefile_is_read_by_its_recipes() -> None:
    text = "train: data\n\t@python train.py \\\n\t  --lr 0.1\n\nfigures:\n\tpython3 -V\n"
    report = check(text, name="Makefile")
    assert {(each.line, each.code) for each in report.findings} >= {(2, "P101")}
    assert all(each.line == 2 for each in report.findings)


def test_tasks_of_agents_have_the_line_of_their_item() -> None:
    tasks = {"todos": [{"content": "look around"}, {"content": "run `python train.py`"}]}
    report = check(json.dumps(tasks, indent=1))
    assert {each.line for each in report.findings} == {7}


@pytest.mark.parametrize(
    "text", ["{", "[1, {", '{"cells": 3}', '{"todos": {"a": 1}}', "```\n", "\0"]
)
def test_a_plan_that_is_broken_is_no_error(text: str) -> None:
    check(text)


SAMPLES = read(CORPUS / "plans.txt")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.label}: {sample.name}")
def test_a_plan_is_judged_as_a_person_judges_it(sample: Entry) -> None:
    report = check(sample.text)
    assert report.compliant == (sample.label != "beside"), report.findings
    if sample.label != "beside":
        assert report.needs_experiments == (sample.label == "registered")


def test_there_are_forty_labelled_plans_of_every_kind() -> None:
    assert len(SAMPLES) >= 40
    assert {sample.label for sample in SAMPLES} == {"free", "registered", "beside"}
    assert len({sample.text for sample in SAMPLES}) == len(SAMPLES)
