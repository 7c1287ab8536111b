"""Go's judge, built once from the system's own packages; without Go these tests are skipped."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.run_suites import GO_SOURCES

SOURCE = Path(__file__).parent / "tlogcheck"

Judge = Callable[[str, Sequence[dict[str, Any]]], list[str]]
"""Of a verifier key and probes: one line for each, empty where Go accepts."""


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    go = shutil.which("go")
    if go is None or not (GO_SOURCES / "golang.org" / "x" / "mod" / "sumdb").is_dir():
        pytest.skip("Go, or its golang.org/x/mod, is not installed")
    directory = tmp_path_factory.mktemp("go")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "GOPATH": str(GO_SOURCES.parent),
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
        "GOCACHE": str(directory / "cache"),
    }
    program = directory / "tlogcheck"
    build = [go, "build", "-o", str(program), "."]
    done = subprocess.run(
        build, cwd=SOURCE, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    def ask(vkey: str, probes: Sequence[dict[str, Any]]) -> list[str]:
        request = json.dumps({"vkey": vkey, "probes": probes})
        answered = subprocess.run(
            [str(program)], input=request, capture_output=True, text=True, check=True
        )
        verdicts: list[str] = json.loads(answered.stdout)
        assert len(verdicts) == len(probes)
        return verdicts

    return ask
