import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallystick.domain.axes import text_of
from tallystick.domain.plan import Declaration, declare
from tallystick.domain.rendering import Rendering, check, rendering_of
from tallystick.errors import InvalidError

BASH_OPTIONS = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}

NASTY = [
    "", " ", "a b", "a\nb", "; touch broken", "$(touch broken)", "`touch broken`", "'", '"', "''",
    "';touch broken;'", '";touch broken;"', "a'\"b", "\\", "\\'", "$HOME", "${HOME}", "*", "~", "#",
    "# x", "a\ntouch broken\n", "&& touch broken", "| touch broken", "> broken", "-1", "--flag=x",
    "{a,b}", "{v}", "{{v}}", "!", "!!", "größe", "日本", "\t", "\x1b[0m", "$(( 1 ))", "EOF",
    "\nEOF\ntouch broken\n", "))", ")", "$'\\n'", "=", "a=b", "%s", "\\n", "-n", "[a-z]*", "\r",
]  # fmt: skip
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
VALUES = st.one_of(
    st.sampled_from(NASTY),
    TEXTS,
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
)

SHOW = "printf '%s\\0'"
"""Writes every argument as the program got it."""

FREE = [
    SHOW + " {v}",
    SHOW + " {v} {v}",
    SHOW + " pre{v}post",
    SHOW + " 'a'{v}\"b\"",
    SHOW + " --name={v}",
    "true && " + SHOW + " {v} | cat",
    "(" + SHOW + " {v})",
    "{ " + SHOW + " {v}; }",
    SHOW + " \"$(printf %s 'a b')\"{v}",
    "x=$(" + SHOW + " 1) && " + SHOW + " ${x:-1}{v}",
    "# a comment\n" + SHOW + " {v}",
    "cat <<'E' >/dev/null\nit's {x}\nE\n" + SHOW + " {v}",
    "cat <<E >/dev/null\n$(true) `true`\nE\n" + SHOW + " {v}",
    "cat <<<'x' >/dev/null; " + SHOW + " {v}",
    "for i in 1 2; do " + SHOW + " {v}; done",
    "case {v} in *) " + SHOW + " {v};; esac",
    SHOW + " $((1+1)) {v}",
    SHOW + " \\'{v}",
    "x={v}; " + SHOW + ' "$x"',
    "a=({v}); " + SHOW + ' "${a[0]}"',
]
"""Commands in which a shell takes a quoted word for one argument."""

INSIDE = [
    SHOW + " '{v}'",
    SHOW + ' "{v}"',
    SHOW + " \"a 'b' {v}\"",
    SHOW + " $'{v}'",
    SHOW + " `printf %s {v}`",
    SHOW + ' "$(printf %s {v})"',
    SHOW + " ${x:-{v}}",
    SHOW + " x # {v}",
    "# {v}\n" + SHOW + " x",
    "cat <<E\n{v}\nE",
    "cat <<'E'\n{v}\nE",
    "cat <<-E\n\t{v}\n\tE\n" + SHOW + " x",
    'cat <<"E"\n{v}\nE',
    "bash -c 'printf %s {v}'",
    'bash -c "printf %s {v}"',
    SHOW + " $(( 1 + {v} ))",
    "(( x = {v} )); " + SHOW + " $x",
    SHOW + ' "${x:-{v}}"',
]
"""Commands in which it does not."""


def bash(command: str, directory: Path, **environment: str) -> str:
    """What a command writes, as runs are executed: `bash -c`."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=directory, env={**BASH_OPTIONS, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False,
        timeout=20,
    )  # fmt: skip
    return done.stdout.decode()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bash")


def refusal(command: str, *names: str, placement: str | None = None) -> InvalidError:
    with pytest.raises(InvalidError) as caught:
        rendering_of(command, names, placement=placement)
    return caught.value


def rendered(command: str, point: dict[str, Any], **more: Any) -> str:
    return rendering_of(command, list(point), **more).command(point)


@given(st.dictionaries(st.sampled_from(["lr", "a-b", "a.b", "x y", "ü'"]), VALUES, min_size=1))
@settings(max_examples=120, deadline=None)
@example({"lr": "; touch broken"})
def test_every_flag_reaches_the_program_as_one_argument_through_a_real_bash(
    directory: Path, point: dict[str, Any]
) -> None:
    shown = bash(rendered(SHOW, point), directory).split("\0")[:-1]
    assert shown == [f"--{name}={text_of(value)}" for name, value in point.items()]
    assert not (directory / "broken").exists()


@pytest.mark.parametrize("command", FREE)
def test_a_value_in_place_of_a_placeholder_is_one_word_through_a_real_bash(
    directory: Path, command: str
) -> None:
    plain = bash(rendered(command, {"v": "MARK"}), directory)
    assert "MARK" in plain
    script = "\nprintf '\\1'\n".join(rendered(command, {"v": value}) for value in NASTY)
    shown = bash(script, directory).split("\1")
    assert shown == [plain.replace("MARK", value) for value in NASTY]
    assert not (directory / "broken").exists()


@given(command=st.sampled_from(FREE[:4]), value=VALUES)
@settings(max_examples=80, deadline=None)
def test_any_value_in_place_of_a_placeholder_is_one_word(
    directory: Path, command: str, value: Any
) -> None:
    plain = bash(rendered(command, {"v": "MARK"}), directory)
    assert bash(rendered(command, {"v": value}), directory) == plain.replace("MARK", text_of(value))


@pytest.mark.parametrize("command", INSIDE)
def test_a_placeholder_inside_quotes_takes_plain_values_and_nothing_can_break_out(
    directory: Path, command: str
) -> None:
    rendering = rendering_of(command, ["v"])
    for value in (0.1, -3, True, "adam", "runs/a-b_c.pt", "a=b,c"):
        text = text_of(value)
        assert rendering.command({"v": value}) == command.replace("{v}", text)
    shown = bash(rendering.command({"v": 7}), directory)
    assert shown == bash(command.replace("{v}", "7"), directory)
    for value in NASTY:
        if value in {"-1", "--flag=x", "EOF", "=", "a=b", "%s", "-n"}:
            bash(rendering.command({"v": value}), directory)
        else:
            with pytest.raises(InvalidError, match="expected only letters") as caught:
                rendering.command({"v": value})
            assert caught.value.code == "placeholder_quoted"
            assert "environment" in (caught.value.hint or "")
    assert not (directory / "broken").exists()


def test_values_as_variables_arrive_whole(directory: Path) -> None:
    rendering = rendering_of(SHOW + ' "$lr" "$note"', ["lr", "note"], placement="environment")
    for value in NASTY:
        point: dict[str, Any] = {"lr": 0.1, "note": value}
        shown = bash(rendering.command(point), directory, **rendering.variables(point))
        assert shown == f"0.1\0{value}\0"


@pytest.mark.parametrize(
    "command",
    [
        "echo {a,b} ${HOME} ${lr} {1..3}",
        "awk '{print $1}' f",
        "python -c 'print({1: 2})'",
        "echo {{x}} {{ x }} {}",
        "find . -exec echo {} \\;x",
    ],
)
def test_the_braces_of_bash_and_of_others_survive_untouched(command: str) -> None:
    assert rendered(command, {"lr": 0.1}) == f"{command} --lr=0.1"
    placed = rendered(command + " {lr}", {"lr": 0.1})
    assert placed == f"{command} 0.1"


def test_doubled_braces_around_a_declared_name_are_that_text() -> None:
    assert rendered("t {{lr}} {lr}", {"lr": 0.1}) == "t {lr} 0.1"
    assert rendered("t {x,{lr}} {{lr},x}", {"lr": 0.1}) == "t {x,0.1} {0.1,x}"
    assert rendered("t \\{lr} ${lr}", {"lr": 0.1}) == "t \\{lr} ${lr} --lr=0.1"


def test_flags_are_written_as_older_agents_know_them() -> None:
    point: dict[str, Any] = {
        "lr": 1e-05, "bs": 32, "amp": True, "off": False, "wd": -0.5, "opt": "adam", "empty": "",
        "big": 2**60, "one": 1.0,
    }  # fmt: skip
    assert rendered("python train.py ", point) == (
        "python train.py --lr=1e-05 --bs=32 --amp=True --off=False --wd=-0.5 --opt=adam --empty=''"
        " --big=1152921504606846976 --one=1.0"
    )


@pytest.mark.parametrize(
    "command",
    [
        "python t.py # the baseline", "python t.py 'a", 'python t.py "a', "python t.py &",
        "python t.py;", "python t.py |", "python t.py \\", "cat <<E\nx\nE", "(python t.py",
        "python t.py # x\n",
    ],
)  # fmt: skip
def test_flags_that_would_not_reach_the_program_are_refused(command: str) -> None:
    error = refusal(command, "lr")
    assert error.code == "command_unfinished"
    assert "{name}" in (error.hint or "")


def test_a_placeholder_chooses_the_placement_and_then_every_name_must_be_there() -> None:
    assert rendering_of("t {lr}", ["lr"]).placement == "placeholder"
    assert rendering_of("t", ["lr"]).placement == "flag"
    error = refusal("t {lr}", "lr", "seed")
    assert (error.code, "{seed}" in error.detail) == ("placeholder_missing", True)
    assert refusal("t", "lr", placement="placeholder").code == "placeholder_missing"
    assert rendered("t {lr}", {"lr": 1, "seed": 2}, placement="flag") == "t {lr} --lr=1 --seed=2"
    assert refusal("t", "lr", placement="argv").code == "placement_invalid"


def test_a_placeholder_beside_a_variable_is_refused_because_the_name_would_grow() -> None:
    assert refusal("t $DIR{lr}", "lr").code == "placeholder_invalid"
    assert rendered("t ${DIR}{lr} $DIR/{lr}", {"lr": 1}) == "t ${DIR}1 $DIR/1"


def test_names_that_no_variable_can_have_are_refused_for_the_environment() -> None:
    assert refusal("t", "a-b", placement="environment").code == "env_invalid"


def test_values_are_checked_before_anything_is_planned() -> None:
    rendering: Rendering = rendering_of("bash -c 'echo {v}' {w}", ["v", "w"])
    good: list[dict[str, Any]] = [{"v": 1, "w": "a; b"}, {"v": "x", "w": ""}]
    check(rendering, declare(Declaration(points=good)))
    with pytest.raises(InvalidError, match=r"parameters\.v"):
        check(rendering, declare(Declaration(points=[*good, {"v": "a; b", "w": 1}])))
    with pytest.raises(InvalidError, match=r"points\[2\]"):
        check(rendering, declare(Declaration(points=[*good, {"v": 1}])))
    check(rendering_of("t", ["v", "w"]), declare(Declaration(points=[*good, {"v": 1}])))
    with pytest.raises(InvalidError, match=r"parameters\.v"):
        check(rendering, declare(Declaration(parameters={"v": ["a", "a b"], "w": 1})))
