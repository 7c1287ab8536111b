from tallystick.store.kept import Kept


def test_an_answer_is_made_once_for_each_thing_it_was_made_from() -> None:
    kept, made = Kept(), []

    def make() -> bytes:
        made.append(1)
        return b"answer"

    assert [kept.get_or_make(("file", 1), make) for _ in range(3)] == [b"answer"] * 3
    assert kept.get(("file", 2)) is None
    assert len(made) == 1


def test_what_is_kept_is_bounded_in_bytes_and_the_longest_unused_goes_first() -> None:
    kept = Kept(most_bytes=10)
    for key in "abc":
        kept.get_or_make(key, lambda: b"1234")
        kept.get("a")
    assert [kept.get(key) for key in "abc"] == [b"1234", None, b"1234"]
    kept.get_or_make("d", lambda: b"x" * 11)
    assert kept.get("d") is None
    assert kept.held_bytes == 8


def test_an_empty_answer_is_an_answer() -> None:
    kept = Kept()
    assert kept.get_or_make("a", lambda: b"") == b""
    assert kept.get("a") == b""
