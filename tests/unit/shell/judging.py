"""A small world for judgements: files are entries of a dictionary."""

from collections.abc import Mapping

from tallystick.shell.classify import Around, Judgement, Rules, judge

TRAINS = "import torch\nloss = torch.ones(1)\nloss.backward()\n"
HARMLESS = "import json\nprint(json.dumps({'a': 1}))\n"
FILES: Mapping[str, str] = {
    "/proj/train.py": TRAINS,
    "/proj/src/train.py": TRAINS,
    "/proj/tool.py": HARMLESS,
    "/proj/step.sh": "set -e\npython train.py --lr $1\n",
    "/proj/clean.sh": "rm -rf out\n",
    "/proj/outer.sh": "bash step.sh 0.1\n",
    "/proj/loop.sh": "bash loop.sh\n",
    "/proj/Makefile": "fit:\n\tpython train.py\n\nfmt:\n\truff format .\n\nboth: fmt fit\n",
}


def verdict(
    command: str,
    *,
    files: Mapping[str, str] = FILES,
    rules: Rules | None = None,
    variables: Mapping[str, str] | None = None,
) -> str:
    """The verdict alone."""
    return judged(command, files=files, rules=rules, variables=variables).verdict.value


def judged(
    command: str,
    *,
    files: Mapping[str, str] = FILES,
    rules: Rules | None = None,
    variables: Mapping[str, str] | None = None,
) -> Judgement:
    """A judgement in `/proj`."""

    def read(path: str) -> bytes | None:
        return files[path].encode() if path in files else None

    around = Around(cwd="/proj", home="/home/ada", read=read, variables=variables or {})
    return judge(command, around=around, rules=rules or Rules())
