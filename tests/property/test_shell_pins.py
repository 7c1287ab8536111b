"""What is said of a command line holds when bash executes it, whatever the line."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.shell.pins import named, named_by

SOAK = os.environ.get("TALLY_SOAK") == "1"
NAME = "CUDA_VISIBLE_DEVICES"
LEASED = "9"
"""What the variable holds before the line is executed."""

PIECES = (
    *(NAME, f"{NAME}=1", "=", "'", '"', "`", "$", "$(", ")", "${", "}", "(", "{", "\\", "\n", " "),
    *("<<", "<", ">", "&", "|", ";", "#", "env", "export ", "bash -c ", "case", "é", "\0", "-"),
)
noise = st.lists(st.sampled_from(PIECES)).map("".join)


@given(noise | st.text())
def test_nothing_that_is_written_breaks_the_reader(line: str) -> None:
    for answer in (named(line), named_by(line), named(f"{NAME}=1 {line}")):
        assert answer is None or all(answer)


value = st.sampled_from(["0", "1", "2,3", "'4'", '"5"', '"6, 7"', "", "-1", "$X", "$(echo 8)"])
settings_of = st.one_of(
    st.just(""),
    value.map(lambda text: f"{NAME}={text} "),
    value.map(lambda text: f"env {NAME}={text} "),
    value.map(lambda text: f"A=1 {NAME}={text} B='2 3' "),
    value.map(lambda text: f"export {NAME}={text}; "),
    value.map(lambda text: f"export {NAME}={text} && "),
    value.map(lambda text: f"{NAME}={text}; "),
    value.map(lambda text: f"unset {NAME}; probe; {NAME}={text} "),
    value.map(lambda text: f"eval {NAME}=2; {NAME}={text} probe; "),
    value.map(lambda text: f"read {NAME} <<< 3; {NAME}={text} probe; "),
)
simple = settings_of.flatmap(
    lambda before: st.sampled_from(
        [
            "probe",
            "probe > /dev/null; probe",
            "probe 'a b' \"$X c\"",
            "probe # probe",
            "nohup probe",
        ]
    ).map(lambda program: before + program)
)


def quoted(script: str) -> str:
    """`bash -c` with a script, whatever it holds."""
    return "bash -c '" + script.replace("'", "'\\''") + "'"


wrapped = st.recursive(
    simple,
    lambda inner: st.one_of(
        inner.map(lambda line: f"({line}\n)"),
        inner.map(lambda line: f"{{ {line}\n}}"),
        inner.map(lambda line: f"if true; then {line}\nfi"),
        inner.map(lambda line: f"for i in 1 2; do {line}\ndone"),
        inner.map(quoted),
        st.tuples(inner, st.sampled_from(["\n", "; ", " && ", " | ", " & "]), inner).map(
            lambda parts: parts[0].replace("# probe", "") + parts[1] + parts[2]
        ),
    ),
    max_leaves=3,
)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `probe`, which writes down what it is given."""
    folder = tmp_path_factory.mktemp("programs")
    probe = folder / "probe"
    probe.write_text(f'#!/bin/sh\nprintf "%s\\n" "${{{NAME}-unset}}" >> "$SEEN"\n')
    probe.chmod(0o755)
    return folder


@settings(
    max_examples=2_000 if SOAK else 60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(line=wrapped)
def test_a_program_sees_the_devices_that_were_read_or_those_of_the_lease(
    programs: Path, tmp_path: Path, line: str
) -> None:
    """With an answer, nothing runs on a device that is neither in it nor leased."""
    answer = named(line)
    if answer is None:
        return
    seen = tmp_path / str(len(list(tmp_path.iterdir())))
    seen.touch()  # of this line alone: what it left in the background may still write
    subprocess.run(
        ["bash", "-c", f"{line}\nwait"],
        env={"PATH": f"{programs}:/usr/bin:/bin", "SEEN": str(seen), "X": "x", NAME: LEASED},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        cwd=tmp_path,
    )
    used = {
        device
        for text in seen.read_text().splitlines()
        for device in named_by(text) or (text,)
        if text not in ("", "-1")
    }
    assert used <= {*answer, LEASED}, line
