from pathlib import Path

import pytest

from bench.__main__ import BEGIN, END, QUESTIONS, write_page
from bench.creates import check_distinct
from bench.load import LoadError, Throughput

REPOSITORY = Path(__file__).resolve().parents[3]


def test_every_question_has_a_title_and_an_answer() -> None:
    assert [name for name, question in QUESTIONS.items() if not question.TITLE] == []
    assert all(callable(question.answer) for question in QUESTIONS.values())


def test_the_tables_replace_what_stands_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    write_page(page, "new\n")
    write_page(page, "newer\n")

    assert page.read_text() == f"before\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")

    with pytest.raises(SystemExit, match="marks"):
        write_page(page, "new\n")
    assert page.read_text() == "nothing\n"


def test_the_documentation_has_a_place_for_the_tables() -> None:
    text = (REPOSITORY / "docs/explanation/performance.md").read_text()

    assert text.index(BEGIN) < text.index(END)


def test_answers_that_made_no_run_of_their_own_fail_the_measurement() -> None:
    result = Throughput(100, 1.0, 1.0, 1.0)

    check_distinct(result, 100, clients=4)
    check_distinct(result, 104, clients=4)
    with pytest.raises(LoadError, match="99 runs"):
        check_distinct(result, 99, clients=4)
    with pytest.raises(LoadError, match="105 runs"):
        check_distinct(result, 105, clients=4)
