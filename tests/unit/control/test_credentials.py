"""Tokens: how they look, how they are hashed, and that those of attempts can be made again."""

import hashlib
import re
from pathlib import Path

from tallystick.control.credentials import KEY_BYTES, Mint, hash_of, load_key, secret_text
from tallystick.control.redaction import redact
from tallystick.domain.ids import ID_PATTERN, AttemptId, Role
from tallystick.testing.clock import ManualClock

ATTEMPT, OTHER = AttemptId("att_00000000000a"), AttemptId("att_00000000000b")


def test_a_token_says_its_role_and_carries_256_bits() -> None:
    found = secret_text(Role.AGENT, bytes(range(32)))
    assert re.fullmatch(r"tally_agent_[A-Za-z0-9_-]{43}", found)
    assert redact(f"echo {found}", salt=b"s").secrets == {
        redact(f"echo {found}", salt=b"s").text.removeprefix("echo "): found
    }


def test_only_the_hash_is_kept() -> None:
    assert hash_of("x") == hashlib.sha256(b"x").hexdigest()


def test_the_tokens_of_an_attempt_are_the_same_every_time_and_all_different() -> None:
    mint, again = Mint(b"k" * 32), Mint(b"k" * 32)
    pairs = [(ATTEMPT, Role.RUN), (ATTEMPT, Role.SUPERVISOR), (OTHER, Role.RUN)]
    secrets = [mint.secret(*pair) for pair in pairs]
    assert secrets == [again.secret(*pair) for pair in pairs]
    assert len(set(secrets)) == 3
    assert Mint(b"K" * 32).secret(*pairs[0]) != secrets[0]
    for pair, secret in zip(pairs, secrets, strict=True):
        minted = mint.minted(*pair)
        assert minted.sha256 == hash_of(secret)
        assert ID_PATTERN.fullmatch(minted.token)
        assert minted.token[4:] not in secret
    assert len({mint.minted(*pair).token for pair in pairs}) == 3


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "attempt.key"
    key = load_key(path, ManualClock())
    assert len(key) == KEY_BYTES
    assert load_key(path, ManualClock(0)) == key
    assert path.stat().st_mode & 0o777 == 0o600
