"""Long lists of names, written as text: a screen of them can be read, a column of them cannot."""


def word_set(text: str) -> frozenset[str]:
    """The words of a text; none twice, in no order."""
    return frozenset(text.split())
