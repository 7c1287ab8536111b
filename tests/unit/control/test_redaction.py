"""Secrets in free text: what is found, what is left alone, and that nothing is lost."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallystick.control import redaction
from tallystick.control.redaction import (
    mark_of,
    missing_marks,
    redact,
    redact_environment,
    restore,
)

SALT = b"0123456789abcdef"
SECRET = "hunter2-Hunter2_hunter2"

FOUND = [
    "API_TOKEN={}",
    "export WANDB_API_KEY={} && python t.py",
    "env HF_TOKEN={} python t.py",
    "python train.py --api-key {} --lr 0.1",
    "python t.py --password {}",
    "t.py --api_key={}",
    "t.py -token {}",
    "t.py --my-secret-key   {}",
    "A=1 B=longer-than-eight DB_PASSWORD={} run",
    "PGPASSWORD={} psql",
    "MY__ACCESS_KEY={}",
    "a_b_c_d_e_f_g_h_i_token={}",
    "AWS_SECRET_ACCESS_KEY={}",
    "curl -H 'X-Auth-Token: {}'",
    "curl -H 'X-Api-Key: {}' http://h",
    "curl -H 'Authorization: Bearer {}'",
    'curl -d \'{{"api_key": "{}"}}\'',
    'curl -d "{{\\"token\\": \\"{}\\"}}"',
    "psql postgresql://me:{}@db/x",
    "token: {}",
    "password = '{} with spaces'",
    "--passphrase \"{} with 'quotes'\"",
]

FORMATS = [
    "sk-" + "a1B2" * 6,
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2" * 9,
    "glpat-" + "a1B2" * 5,
    "hf_" + "a1B2" * 9,
    "npm_" + "a1B2" * 9,
    "pypi-" + "a1B2" * 9,
    "AKIA" + "A1B2" * 4,
    "AIza" + "a1B2" * 9,
    "xoxb-" + "1234567890",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4",
    "tally_agent_" + "a1B2" * 10,
]

UNTOUCHED = [
    "python train.py --max-tokens 512 --num_tokens=100000000",
    "TOKENIZERS_PARALLELISM=false python train.py --tokenizer bert-base-uncased",
    "--tokenizer=/models/long/path/to/tokenizer --vocab 32000",
    "num_tokens=100000000 max_new_tokens: 4096000000",
    "--token 512 --auth none --cookie=yes",
    "--pad-token '<pad>' --eos_token=</s>",
    "python t.py --token $HF_TOKEN --password ${DB_PASSWORD}",
    'curl -H "X-Auth-Token: $AUTH_TOKEN"',
    "the password protected archive; a token economy",
    "http://localhost:8080/path http://a/b:c@d",
    "for lr in 0.1 0.2; do python t.py --lr $lr; done",
    "author=somebody-long authority=somewhere",
    "secretary=long-enough-name tokens=long-enough-name",
    "git checkout 0123456789abcdef0123456789abcdef01234567",
    "",
]


@pytest.mark.parametrize("template", FOUND)
def test_a_named_secret_is_cut_out_and_comes_back(template: str) -> None:
    text = template.format(SECRET)
    result = redact(text, salt=SALT)
    assert SECRET not in result.text
    assert "[redacted " in result.text
    assert restore(result.text, result.secrets) == text
    assert missing_marks(result.text, result.secrets) == []


@pytest.mark.parametrize("secret", FORMATS)
@pytest.mark.parametrize("template", ["{}", "x {} y", "--flag={}", "'{}'", "https://{}@host/x"])
def test_a_secret_of_a_known_form_is_cut_out_wherever_it_stands(secret: str, template: str) -> None:
    text = template.format(secret)
    result = redact(text, salt=SALT)
    assert secret not in result.text
    assert restore(result.text, result.secrets) == text


@pytest.mark.parametrize("text", UNTOUCHED)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert redact(text, salt=SALT).text == text


@pytest.mark.parametrize("password", ["x", "hunter2", "a b"])
def test_after_password_even_a_short_value_goes(password: str) -> None:
    result = redact(f"t.py --password '{password}'", salt=SALT)
    assert f"'{password}'" not in result.text
    assert result.secrets


def test_equal_secrets_have_equal_marks_and_other_salts_other_ones() -> None:
    result = redact(f"--token {SECRET} --token {SECRET} --token other-{SECRET}", salt=SALT)
    first, second, third = result.text.split("--token ")[1:]
    assert first.strip() == second.strip() != third.strip()
    assert mark_of("token", SECRET, salt=b"x") != mark_of("token", SECRET, salt=SALT)


def test_the_environment_keeps_names_and_loses_secret_values() -> None:
    environment = {
        "HF_TOKEN": "x",
        "A": "1",
        "URL": f"https://me:{SECRET}@host",
        "EMPTY_TOKEN": "",
        "odd name]_token": SECRET,
        "TOKENIZERS_PARALLELISM": "false",
    }
    shown, secrets = redact_environment(environment, salt=SALT)
    assert list(shown) == list(environment)
    assert (shown["A"], shown["EMPTY_TOKEN"]) == ("1", "")
    assert shown["TOKENIZERS_PARALLELISM"] == "false"
    assert shown["HF_TOKEN"].startswith("[redacted HF_TOKEN ")
    assert SECRET not in str(shown)
    assert {name: restore(value, secrets) for name, value in shown.items()} == environment
    assert not any(missing_marks(value, secrets) for value in shown.values())


def test_a_mark_whose_secret_is_gone_is_missing() -> None:
    result = redact(f"--token {SECRET}", salt=SALT)
    assert len(missing_marks(result.text, {})) == 1


def test_what_was_redacted_before_is_not_redacted_again() -> None:
    once = redact(f"--token {SECRET} --password '{SECRET}' API_KEY={SECRET}", salt=SALT).text
    assert redact(once, salt=b"another").text == once


WORDS = st.sampled_from(
    [
        *("token", "--token", "password", "--api-key", "API_KEY", "Bearer", "auth", "x"),
        *("=", ": ", " ", " = ", '"', "'", "\\", '\\"', "\n", "$", "<", "[", "]", "://", "@", ":"),
        *("[redacted token 0123456789ab]", "[redacted", "secret", SECRET, "u", "a b c", "☂"),
        *FORMATS,
    ]
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=14).map("".join))
def test_restoring_what_was_redacted_gives_every_text_back(text: str) -> None:
    result = redact(text, salt=SALT)
    assert restore(result.text, result.secrets) == text


@example("token=[sk-a1B2a1B2a1B2a1B2a1B2a1B2")
@given(st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=10).map("".join))
def test_the_secrets_survive_being_written_down_as_json(text: str) -> None:
    result = redact(text, salt=SALT)
    stored = json.loads(json.dumps(dict(result.secrets)))
    assert restore(result.text, stored) == text


@pytest.mark.parametrize(
    "piece", ["token=", 'token="', "a", "-", "_", "a://:", "--password ", "Bearer ", "token:'"]
)
def test_a_long_text_takes_no_more_than_its_length(piece: str) -> None:
    text = piece * 20_000  # quadratic behaviour would take minutes, and fail by the time limit
    result = redact(text, salt=SALT)
    assert restore(result.text, result.secrets) == text


PATTERNS = (
    redaction._USERINFO,
    redaction._BEARER,
    redaction._KNOWN_FORMATS,
    redaction._NAMED,
)


@settings(max_examples=300)
@given(st.sampled_from(PATTERNS).flatmap(st.from_regex), st.text(max_size=3))
def test_the_net_lets_no_text_pass_that_a_pattern_matches(text: str, before: str) -> None:
    assert redaction._SIGN.search((before + text).casefold()) is not None
