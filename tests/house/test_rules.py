"""Each rule of the house catches what it is there for, and leaves its neighbour alone."""

import pytest

from tests.house import rules
from tests.house.rules import Module
from tests.house.test_tidy import Rule, excused

BAD = [
    (rules.globals_declared, "x = 0\ndef f():\n    global x\n    x = 1\n"),
    (rules.empty_containers, "REGISTRY = {}\n"),
    (rules.empty_containers, "_cache: dict[str, int] = dict()\n"),
    (rules.empty_containers, "import collections\nSEEN = collections.defaultdict(list)\n"),
    (rules.empty_containers, "class A:\n    known = []\n"),
    (rules.environment_reads, "import os\nx = os.environ['A']\n"),
    (rules.environment_reads, "from os import environ\n"),
    (rules.environment_reads, "import os as system\nx = system.getenv('A')\n"),
    (rules.clock_reads, "import time\nx = time.time()\n"),
    (rules.clock_reads, "from time import time_ns as ns\n"),
    (rules.clock_reads, "from datetime import datetime\nx = datetime.now()\n"),
    (rules.clock_reads, "import datetime\nx = datetime.datetime.now()\n"),
    (rules.clock_reads, "import uuid\nx = uuid.uuid4()\n"),
    (rules.clock_reads, "import random\nx = random.random()\n"),
    (rules.clock_reads, "import secrets\nx = secrets.token_hex(8)\n"),
    (rules.monotonic_reads, "import time\ntime.sleep(1)\n"),
    (rules.monotonic_reads, "import time\nclock = time.monotonic\n"),
    (rules.queries, "from sqlalchemy import select\n"),
    (rules.queries, "import sqlalchemy as sa\nx = sa.text('')\n"),
    (rules.event_loops, "import asyncio\nx = asyncio.Event()\n"),
    (rules.lazy_imports, "def f():\n    import json\n    return json\n"),
    (rules.lazy_imports, "class A:\n    def f(self):\n        from json import dumps\n"),
    (rules.file_size, "x = 1\n" * 601),
    (rules.function_size, "def f():\n" + "    x = 1\n" * 71),
    (rules.positional_parameters, "def f(a, b, c, d, e, f, g): ...\n"),
    (rules.class_size, "class A:\n" + "".join(f"    def m{i}(self): ...\n" for i in range(21))),
    (
        rules.class_size,
        "from typing import Protocol\nclass A(Protocol):\n"
        + "".join(f"    def m{i}(self): ...\n" for i in range(9)),
    ),
    (rules.broad_excepts, "try:\n    f()\nexcept Exception:\n    pass\n"),
    (rules.broad_excepts, "try:\n    f()\nexcept:\n    pass\n"),
    (rules.broad_excepts, "try:\n    f()\nexcept (ValueError, BaseException):\n    raise E\n"),
]

GOOD = [
    (rules.empty_containers, "WORDS = {'a': 1}\nPAIR = ()\ndef f():\n    x = {}\n"),
    (rules.environment_reads, "import os\nx = os.getcwd()\nenviron = {}\ny = environ\n"),
    (rules.clock_reads, "def f(secrets, random):\n    return secrets.values(), random.x\n"),
    (rules.clock_reads, "import time\nx = time.monotonic()\n"),
    (rules.clock_reads, "import hmac\nx = hmac.compare_digest(a, b)\n"),
    (rules.lazy_imports, "if True:\n    import json\n"),
    (rules.file_size, "x = 1\n" * 600),
    (rules.function_size, 'def f():\n    """' + "\n" * 80 + '"""\n' + "    x = 1\n" * 70),
    (rules.positional_parameters, "def f(self, a, b, c, d, e, f): ...\n"),
    (rules.positional_parameters, "def f(a, *, b, c, d, e, f, g): ...\n"),
    (
        rules.class_size,
        "from typing import Protocol\nclass A(Protocol):\n"
        + "".join(f"    def m{i}(self): ...\n" for i in range(8)),
    ),
    (rules.broad_excepts, "try:\n    f()\nexcept BaseException:\n    undo()\n    raise\n"),
    (rules.broad_excepts, "try:\n    f()\nexcept OSError:\n    pass\n"),
]


@pytest.mark.parametrize(("rule", "source"), BAD)
def test_a_breach_is_found(rule: Rule, source: str) -> None:
    assert list(rule(Module.of("control/noun.py", source)))


@pytest.mark.parametrize(("rule", "source"), GOOD)
def test_what_is_allowed_passes(rule: Rule, source: str) -> None:
    assert list(rule(Module.of("control/noun.py", source))) == []


@pytest.mark.parametrize("path", ["control/utils.py", "helpers/noun.py", "services/run.py"])
def test_a_drawer_is_found(path: str) -> None:
    assert list(rules.drawer_names(Module.of(path, "")))


def test_a_noun_is_no_drawer() -> None:
    assert list(rules.drawer_names(Module.of("api/services.py", ""))) == []


@pytest.mark.parametrize(
    "text",
    [
        "see /wor" + "k/main/README.md",
        "cd /roo" + "t/project",
        "https://pypi." + "org/simple",
        "as reported in #" + "42",
        "fixes issue " + "12",
    ],
)
def test_text_about_something_else_is_found(text: str) -> None:
    assert list(rules.private_text("docs/page.md", text))


@pytest.mark.parametrize(
    "text",
    ["color: #1234567", "a network/path", "runs/12 of 40", "`&#39;`", "# 1. First", "src/work.py"],
)
def test_ordinary_text_passes(text: str) -> None:
    assert list(rules.private_text("docs/page.md", text)) == []


def test_paths_are_read_from_backticks() -> None:
    text = "`domain/run.py` and `tests/house/` but not `POST /runs` or domain/sweep.py"
    assert rules.named_paths(text) == ["domain/run.py", "tests/house/"]


def test_an_exception_covers_a_file_or_a_folder_and_no_more() -> None:
    allowed = {"cli/": "", "config.py": ""}
    assert excused("cli/run.py", allowed) == "cli/"
    assert excused("config.py", allowed) == "config.py"
    assert excused("client/config.py", allowed) is None
