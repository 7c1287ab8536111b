"""The judgement, measured on commands as people and agents type them (P7.2, P7.3).

Caught is any verdict but utility, for that is what the guard acts on.
"""

from pathlib import Path

import pytest

from tallystick.scripts import read_script
from tallystick.shell.classify import Around, Judgement, Verdict, judge
from tests.corpus.load import CORPUS, PROJECT, Entry, commands, read

LEAST = {"commands": 400, "held_out": 200}
"""Commands in each folder."""
CAUGHT, TOUCHED = 0.98, 0.005
"""Of the experiments at least, of the utilities at most."""


def judged(entry: Entry) -> Judgement:
    """Where the corpus says it is typed."""
    cwd = str(PROJECT / entry.where)
    return judge(entry.text, around=Around(cwd=cwd, home="/home/ada", read=read_script))


@pytest.mark.parametrize("folder", LEAST)
def test_experiments_are_caught_and_utilities_are_let_alone(folder: str) -> None:
    entries = commands(folder)
    verdicts = {entry: judged(entry).verdict for entry in entries}
    experiments = [entry for entry in entries if entry.label == "experiment"]
    utilities = [entry for entry in entries if entry.label == "utility"]
    missed = [each for each in experiments if verdicts[each] is Verdict.UTILITY]
    touched = [each for each in utilities if verdicts[each] is not Verdict.UTILITY]
    words = [f"{each.place} {each.label}: {each.text}" for each in (*missed, *touched)]
    print(
        f"{folder}: {len(experiments) - len(missed)} of {len(experiments)} experiments caught, "
        f"{len(touched)} of {len(utilities)} utilities touched"
    )
    assert len(missed) <= (1 - CAUGHT) * len(experiments), "\n".join(words)
    assert len(touched) <= TOUCHED * len(utilities), "\n".join(words)


@pytest.mark.parametrize("folder", LEAST)
def test_the_corpus_is_large_and_both_labels_are_in_it(folder: str) -> None:
    entries = commands(folder)
    assert len(entries) >= LEAST[folder]
    assert {entry.label for entry in entries} == {"experiment", "utility"}
    for label in ("experiment", "utility"):
        assert sum(entry.label == label for entry in entries) >= len(entries) * 0.4
    assert all((PROJECT / entry.where).is_dir() for entry in entries)


def test_no_command_is_labelled_twice() -> None:
    entries = [entry for folder in LEAST for entry in commands(folder)]
    seen: dict[tuple[str, str], str] = {}
    for entry in entries:
        assert seen.setdefault((entry.where, entry.text), entry.place) == entry.place, entry


def test_a_heading_that_says_no_label_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "x.txt"
    broken.write_text("### python train.py\n")
    with pytest.raises(ValueError, match=r"x\.txt:1"):
        read(broken)
    assert CORPUS.name == "corpus"
