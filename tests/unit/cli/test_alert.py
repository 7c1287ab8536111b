"""What a choice of an alert stands for, as it is typed."""

import pytest

from tallystick.cli.alert import choice_of


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ("continue", "continue"),
        ("look later", "look later"),
        ("give up=stop", {"label": "give up", "action": "stop"}),
        ("lr=0.1=continue", {"label": "lr=0.1", "action": "continue"}),
        ("lr=0.1", "lr=0.1"),
        ("=stop", "=stop"),
    ],
)
def test_only_the_name_of_an_action_after_an_equals_sign_is_one(words: str, sent: object) -> None:
    assert choice_of(words) == sent
