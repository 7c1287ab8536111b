"""A converted line keeps its text byte for byte, and gives back the prompt where the text did."""

import json
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.shell.convert import convert, exec_line

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def words(line: str) -> list[str]:
    """The words that bash gives to a program instead of `tally`."""
    script = f'tally() {{ printf "%s\\0" "$@"; }}\n{line}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return done.stdout.decode(errors="surrogateescape").split("\0")[:-1]


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --lr 1e-2",
        'cd \'my dir\' && python train.py --name "it\'s" > "$OUT" 2>&1',
        "python - <<'EOF'\nprint('a')\nEOF",
        "python train.py \\\n  --lr 0.1  # a comment",
        "echo '!' \"$(date)\" `id` \\$HOME é 😀\ttab",
        "python a.py &\npython b.py &\nwait",
    ],
)
def test_the_text_arrives_as_it_was_typed(command: str) -> None:
    line = exec_line(command, session="a b", origin="dec_0123456789ab")
    given_words = words(line)
    assert given_words[-1] == command
    assert given_words[:5] == ["exec", "--session", "a b", "--origin", "dec_0123456789ab"]
    assert "--detach" not in given_words


@given(TEXTS.filter(lambda text: not text.rstrip().endswith("&")))
def test_any_text_is_one_word_of_the_new_line(text: str) -> None:
    assert shlex.split(exec_line(text, session=None, origin=None))[-1] == text


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("python train.py &", "python train.py"),
        ("nohup python train.py > log 2>&1 &", "nohup python train.py > log 2>&1"),
        ("(cd x; python train.py)&", "(cd x; python train.py)"),
        ("for s in 1 2; do python a.py $s; done &", "for s in 1 2; do python a.py $s; done"),
    ],
)
def test_a_start_in_the_background_is_registered_and_left(command: str, kept: str) -> None:
    given_words = words(exec_line(command, session=None, origin=None))
    assert given_words[-1] == kept
    assert "--detach" in given_words


@pytest.mark.parametrize(
    "command",
    ["a & b", "a && b", "a &\nwait", "echo 'x &'", "a >&", "a \\&", "a & b &", "cat <<E &\nx\nE"],
)
def test_an_ampersand_amid_others_stays_where_it_is(command: str) -> None:
    line = exec_line(command, session=None, origin=None)
    assert "--detach" not in line.split(" -- ")[0]
    assert shlex.split(line)[-1] == command


def test_a_loop_is_split_and_left_only_when_it_does_not_wait() -> None:
    loop = "for s in 1 2; do python a.py $s & done"
    assert "--detach --split" in exec_line(loop, session=None, origin=None)
    waiting = exec_line(f"{loop}; wait", session=None, origin=None)
    assert "--split" in waiting
    assert "--detach" not in waiting


def test_the_calls_are_one_sweep_and_a_run_for_each_configuration() -> None:
    made = convert("for lr in 0.1 1; do python a.py --lr $lr; done", workdir="/w", session="s")
    sweep, first, second = made.calls
    assert (sweep["path"], sweep["body"]["chat_session_id"]) == ("/sweeps/wild", "s")
    assert first["body"]["command"] == "python a.py --lr 0.1"
    assert [first["body"]["params"], second["body"]["params"]] == [{"lr": 0.1}, {"lr": 1}]
    assert (first["body"]["workdir"], first["body"]["auto_start"]) == ("/w", True)
    into = convert("python a.py", sweep="swp_0123456789ab")
    assert [call["path"] for call in into.calls] == ["/runs"]
    assert into.calls[0]["body"]["sweep_id"] == "swp_0123456789ab"
    assert "--sweep swp_0123456789ab" in into.cli
    assert json.loads(json.dumps(made.view()))["calls"][0]["method"] == "POST"


def test_the_curl_text_sends_the_command_as_it_is_and_the_session_expanded() -> None:
    command = 'python a.py --name "$USER\'s \\ `x`" é'
    made = convert(command)
    script = f"""
curl() {{ while [ "$1" != -d ]; do shift; done; cat; printf '\\0'; }}
SERVER_URL=u AUTH_TOKEN=t CHAT_SESSION_ID=the-session SWEEP_ID=swp_1
{made.curl}
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    sweep, run = (json.loads(body) for body in done.stdout.split("\0")[:-1])
    assert sweep["chat_session_id"] == run["chat_session_id"] == "the-session"
    assert run["command"] == command
    assert run["sweep_id"] == "swp_1"
