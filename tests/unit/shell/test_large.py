"""Texts that are long and all alike cost time in proportion to their length, never its square.

A server judges what any agent sends, on a thread that shares the interpreter with all others: one
pattern that goes back and forth over the text would hold everybody up.
"""

import time
from collections.abc import Callable

import pytest

from tallystick.shell.classify import Around, judge
from tallystick.shell.convert import convert
from tallystick.shell.lint import lint
from tallystick.shell.plans import check

CHARACTERS = 60_000
SHORT_SECONDS = 1.0
"""What takes less is not worth a comparison."""
UNITS = (
    "a", "1", " ", "\n", "-", "../", ".", "#", "# ", "*", "$", "${", "$(", "(", "[", "<<a\n", "a=",
    "'", '"', "\\", "\\\n", "a ", "0.", "&", ";", "`", "{a,", "a/", ":", "1,", "- [ ] ", "{{", ">a",
    "http ", "curl", "POST -d ", "tally sweep create ", "train ", "run the ", "system", "seed",
    "onnxruntime", "python ", "for a in 1; do ", "x(",
)  # fmt: skip
BEFORE = ("", "python train.py; system")
SCRIPTS = (
    "python x.py", "bash x.sh", "make train", "just train", "julia x.jl", "node x.js",
    "npm run train",
)  # fmt: skip


def of_a_script(command: str) -> Callable[[str], object]:
    """Judges and lints a command, whose script is the text."""

    def look(text: str) -> object:
        around = Around(cwd="/p", home="/h", read=lambda _path: text.encode())
        return judge(command, around=around), lint(command, around=around)

    return look


LOOKS: dict[str, Callable[[str], object]] = {
    "plan": check,
    "conversion": convert,
    "lint": lint,
    "inline": lambda text: judge(f"julia -e '{text}'"),
    "loop": lambda text: convert(f'for a in 1 2; do python x.py "{text}"; done'),
    **{command: of_a_script(command) for command in SCRIPTS},
}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("look", LOOKS)
def test_a_text_that_repeats_itself_holds_nobody_up(look: str, unit: str) -> None:
    for before in BEFORE:

        def seconds(characters: int, before: str = before) -> float:
            text = before + unit * (characters // len(unit)) + "\x01"
            began = time.thread_time()
            LOOKS[look](text)
            return time.thread_time() - began

        whole = seconds(CHARACTERS)
        if whole > SHORT_SECONDS:  # the quickest of three, since others have the caches meanwhile
            whole = min(whole, seconds(CHARACTERS), seconds(CHARACTERS))
            quarter = min(seconds(CHARACTERS // 4) for _ in range(3))
            assert whole < 10 * quarter, "a square would be sixteen times as much"
