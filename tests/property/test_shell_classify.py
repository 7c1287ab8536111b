"""Whatever is typed: no fault, no endless look, true places, and quotes that stay quotes.

With TALLY_SOAK=1 a hundred times as many examples.
"""

import os
import shlex
import time
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.shell.classify import Around, Verdict, judge
from tallystick.shell.convert import convert, exec_line
from tallystick.shell.expand import expand
from tallystick.shell.lint import lint
from tallystick.shell.parse import parse
from tallystick.shell.plans import check
from tallystick.shell.triggers import could_matter
from tests.corpus.load import commands

SOAK: Final = os.environ.get("TALLY_SOAK") == "1"
MOST_SECONDS: Final = 10.0
"""Far beyond what any of these takes (under a second), far below the patience of an agent."""

ENTRIES: Final = commands("commands")
EXPERIMENTS: Final = [entry.text for entry in ENTRIES if entry.label == "experiment"]
PIECES: Final = st.sampled_from(
    [
        *"'\"`$(){}[]<>|&;\\#!*?~=\n\t\0 ",
        *("<<EOF", "<<-'E'", "EOF", "$(", "${", "`", "$((", "<(", ">(", "<<<", "&&", "||", ";;"),
        *("do", "done", "for i in", "if", "then", "fi", "case", "esac", "{1..9}", "A=1", "> a.sh"),
        *("python", "train.py", "-c", "bash", "bash -c", "eval", "xargs", "nohup", "torchrun"),
        *("python -m src.train", "ssh h", "docker run x", "sudo", "env -S", "tally exec --"),
        *("\u00e4", "\u2028", "\U0001f600", "\ud800", "\r\n", "\x1b[0m"),
    ]
)
SNIPPETS = st.lists(PIECES, max_size=40).flatmap(
    lambda parts: st.sampled_from(["", " "]).map(lambda between: between.join(parts))
)
MUTATED = st.builds(
    lambda text, at, length, new: (
        text[: at % (len(text) + 1)] + new + text[at % (len(text) + 1) + length :]
    ),
    st.sampled_from([entry.text for entry in ENTRIES]),
    st.integers(0, 4_000),
    st.integers(0, 30),
    PIECES,
)
ANYTHING = st.one_of(SNIPPETS, MUTATED, st.text(max_size=200))
many = settings(
    max_examples=15_000 if SOAK else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@given(ANYTHING)
@many
def test_no_text_is_too_odd_for_any_of_the_readers(text: str) -> None:
    found = judge(text)
    start, end = found.span
    assert 0 <= start <= end <= len(text)
    assert text[start:end] == found.text
    for command in parse(text).commands:
        assert 0 <= command.span[0] <= command.span[1] <= len(text)
    expansion = expand(text)
    assert expansion is None or 0 < len(expansion.points) <= 1_000
    assert shlex.split(exec_line(text, session="s", origin=None))
    convert(text)
    lint(text)
    check(text)


@given(ANYTHING)
@many
def test_what_would_be_acted_upon_is_never_passed_by_the_first_look(text: str) -> None:
    if judge(text).verdict is not Verdict.UTILITY:
        assert could_matter(text)


QUOTING = st.sampled_from(
    [
        lambda text: f"echo {shlex.quote(text)}",
        lambda text: f"git commit -m {shlex.quote(text)}",
        lambda text: f"cat > notes.txt <<'END_OF_TEXT'\n{text}\nEND_OF_TEXT",
        lambda text: f"grep -rn {shlex.quote(text)} .",
        lambda text: f"tally exec -- {shlex.quote(text)}",
    ]
)


@given(st.sampled_from(EXPERIMENTS), QUOTING)
@many
def test_an_experiment_in_quotes_is_a_text(text: str, quote: "object") -> None:
    assert callable(quote)
    found = judge(quote(text))
    assert found.verdict is Verdict.UTILITY, found


WRAPPING = st.sampled_from(
    [
        lambda text: f"bash -c {shlex.quote(text)}",
        lambda text: f"cd src && ({text}\n)",
        lambda text: f"nohup sh -c {shlex.quote(text)} > log 2>&1 &",
        lambda text: f"bash <<'END_OF_TEXT'\n{text}\nEND_OF_TEXT",
        lambda text: f"ls; true && {text}",
        lambda text: f"x=$({text}\n)",
    ]
)


@given(st.sampled_from(EXPERIMENTS), WRAPPING)
@many
def test_an_experiment_stays_one_however_it_is_wrapped(text: str, wrap: "object") -> None:
    assert callable(wrap)
    around = Around(cwd="/nowhere")
    if judge(text, around=around).verdict is Verdict.UTILITY:
        return  # its script lies in the project, which is not at hand here
    assert judge(wrap(text), around=around).verdict is not Verdict.UTILITY


@pytest.mark.parametrize(
    "text",
    [
        "$(" * 500,
        "(" * 20_000,
        "`" * 5_001,
        "$(echo " * 300 + ")" * 300,
        "{a,b}" * 200,
        "python " + "a " * 50_000,
        "x=" + "$y" * 20_000,
        "a | " * 20_000,
        "if " * 5_000,
        "<<A " * 3_000,
        "cat <<E\n" + "$(a `b` ${c})\n" * 3_000 + "E",
        "bash -c '" * 2_000,
        "for i in {1..1000000}; do python train.py; done",
        "for a in 1 2; do " * 200 + "b" + "; done" * 200,
        "eval " * 20_000,
        "'" * 99_999,
        "\\\n" * 50_000,
        "\0" * 100_000,
        "env " * 30_000 + "python train.py",
        'a "' + "$(b " * 2_000,
        "python -c '" + "(" * 50_000 + "'",
        "python -c '" + "a+" * 50_000 + "1'",
    ],
    ids=lambda text: f"{text[:12]!r} of {len(text)}",
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    for read in (could_matter, judge, expand, lint):
        read(text)
    assert time.process_time() - began < MOST_SECONDS
