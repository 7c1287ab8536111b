import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.intake.progress import Bar, last_bar


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Epoch 3:  45%|████▌     | 450/1000 [00:10<00:12, 43.2it/s]",
            Bar(0.45, 12.0, "Epoch 3"),
        ),
        (
            "Epoch 0:  30%|███       | 3/10 [01:02:03<1:00:00, 1.2it/s, v_num=0, loss=0.3]",
            Bar(0.3, 3600.0, "Epoch 0"),
        ),
        (" 10%|█         | 1.0k/10.0k [00:00<00:01, 9k/s]", Bar(0.1, 1.0, "")),
        (
            "model.bin:  50%|█████     | 1.00G/2.00G [00:09<00:09, 105MB/s]",
            Bar(0.5, 9.0, "model.bin"),
        ),
        ("no eta:   0%|          | 0/7 [00:00<?, ?it/s]", Bar(0.0, None, "no eta")),
        ("Training ━━━━━━━╸             45% 0:00:01", Bar(0.45, 1.0, "Training")),
        (
            "\x1b[2KTraining \x1b[91m━━\x1b[0m\x1b[90m╺━\x1b[0m \x1b[35m 45%\x1b[0m -:--:--",
            Bar(0.45, None, "Training"),
        ),
        (
            "Epoch 0/9 ━━━━━━━━ 45/90 0:00:01 • 0:00:02 42.1it/s v_num: 0",
            Bar(0.5, 2.0, "Epoch 0/9"),
        ),
        (" 30/60 ━━━━━━━━━━ 12s 43ms/step - loss: 0.3", Bar(0.5, 12.0, "")),
        ("30/60 [=====>......] - ETA: 2m - loss: 0.3", Bar(0.5, 120.0, "")),
    ],
)
def test_bars_are_read(text: str, expected: Bar) -> None:
    assert last_bar(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "accuracy 45%", "50it [00:00, 2953735.21it/s]", "loss 0.3 | 3/10", "step 3/10",
        "http://a/b?c=45%|x|", "10%|█| 1/0 [00:00<00:01, 1it/s]",
    ],
)  # fmt: skip
def test_what_is_no_bar_with_a_total_says_nothing(text: str) -> None:
    assert last_bar(text) is None


def test_the_last_of_many_counts() -> None:
    bars = "\r".join(f"e: {n}%|█| {n}/100 [00:01<00:0{n % 10}, 1it/s]" for n in range(60))
    assert last_bar(f"{bars}\nloss 0.25\n") == Bar(0.59, 9.0, "e")


@given(st.text(alphabet="0123456789%|/[]<:?━╸ kMs-ETA.\r\n\x1b", max_size=200))
def test_noise_is_never_a_fault(text: str) -> None:
    found = last_bar(text)
    assert found is None or 0 <= found.fraction <= 1


def test_a_long_line_takes_no_time_worth_mentioning() -> None:
    started = time.process_time()
    for char in "|━ %/9[":
        last_bar(char * 8_192)
        last_bar((char * 990 + "\n") * 8)
    assert time.process_time() - started < 2
