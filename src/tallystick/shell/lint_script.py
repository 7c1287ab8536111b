"""What the text of a Python script says about seeds, output and its terminal.

Patterns over the text, not a syntax tree: the tree of a long script takes longer than everything
else that happens when a run is created. What they miss is not said; nothing is guessed from names.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

LONGEST: Final = 131_072
"""Characters that are looked at."""

_SEED_OPTION: Final = re.compile(
    r"""["']--?(?P<flag>[\w-]*(?:seed|random[-_]state)[\w-]*)["']"""
    r"""(?P<more>[^)\n]{0,300}(?:\n[^)]{0,300})?)"""
    r"""|^[ \t]*(?P<field>\w*(?:seed|random_state))[ \t]*:[ \t]*"""
    r"""(?:int|Optional|Annotated|float|str)\b(?P<set>[^\n]*)""",
    re.MULTILINE,
)
"""An option of argparse, click or absl; a field of a dataclass or of typer."""
_HAS_DEFAULT: Final = re.compile(
    r"(?:default[ \t]*=|^[^\n]*=)[ \t]*(?:typer\.Option\()?-?\d|,[ \t]*\d"
)
_FIXED: Final = re.compile(
    r"(?:seed\w{0,40}|random_state|default_rng|RandomState|PRNGKey|Random|random\.key)[ \t]{0,9}"
    r"(?::[ \t]{0,9}int)?"
    r"(?:\([ \t]{0,9}(?:\w{1,40}[ \t]{0,9}=[ \t]{0,9})?|[ \t]{0,9}=[ \t]{0,9})"
    r"(?:-?\d|[A-Z_]{0,40}SEED\b)"
    r"|\bSEED[ \t]{0,9}(?::[ \t]{0,9}\w{1,40})?[ \t]{0,9}=[ \t]{0,9}\d"
)
"""`torch.manual_seed(0)`, `random_state=42`, `SEED = 3`."""
_RANDOM: Final = (
    re.compile(
        r"random\.(?:random|rand|randn|randint|choices?|shuffle|sample|uniform|gauss|normal"
        r"|permutation)\w*\("
    ),
    re.compile(r"torch\.(?:rand|randn|randint|randperm|bernoulli|multinomial|normal)\w*\("),
    re.compile(r"shuffle[ \t]*=[ \t]*True"),
)
"""One by one: a pattern that begins with letters is found ten times as fast as a choice of them."""
_RANDOM_WORDS: Final = (
    "np.random", "numpy.random", "jax.random", "tf.random", "train_test_split(", ".backward(",
    ".fit(", "Trainer(", "xgb.train(", "lgb.train(",
)  # fmt: skip
_ASKING_WORDS: Final = ("input(", "getpass(", "breakpoint(", "set_trace(")
_SEEDING_WORDS: Final = (
    "seed", "SEED", "random_state", "default_rng", "RandomState", "PRNGKey", "Random(",
    "random.key(",
)  # fmt: skip
"""Where none of these stands, no pattern of the kind need be tried."""
_OUTPUT_OPTION: Final = re.compile(
    r"""["'](?P<flag>--(?:(?:output|out|save|saving|logs?|logging|checkpoints?|ckpt|results?|work"""
    r"""|run|exp)[-_]?(?:dir|directory|path|folder|root)|output|out|results))["']"""
    r"""(?P<more>[^)]{0,300})"""
)
_CONSTANT: Final = re.compile(r"""default[ \t]*=[ \t]*(?:\w+\()?["'][^"'{}\n]+["']""")
"""A place that is the same each time; without a default, nothing is written that nobody wants."""
_PATH: Final = r"""[A-Za-z0-9_.-][^"'\n{}%]{0,200}"""
"""What stands in quotes and is made of nothing else; an absolute path was chosen by somebody."""
_FIXED_PATH: Final = re.compile(
    r"(?:torch\.save|joblib\.dump|pickle\.dump|np\.savez?(?:_compressed)?|\.savefig"
    r"|\.save_pretrained|\.to_csv|\.to_parquet|\.to_json|\.save_model|\.save_weights|\.save)\("
    rf"""[^\n"']{{0,120}}(?<![fF])["'](?P<path>{_PATH})["'](?![ \t]*[%/+])"""
    rf"""|\bopen\([ \t]*["'](?P<opened>{_PATH})["'][ \t]*,[ \t]*["'][wx]"""
)
_OWN_DIRECTORY: Final = re.compile(
    r"TALLY_RUN|SLURM_JOB_ID|hydra|Path\(sys\.argv|os\.environ\[[\"']OUT|os\.chdir\("
)
_ASKS: Final = re.compile(
    r"^[^\n\"'#]*(?<![\w.])(?:input|raw_input|getpass\.getpass)\("
    r"|^[ \t]*(?:breakpoint\(\)|i?pdb\.set_trace\(\)|import i?pdb\b[^\n]*set_trace\(\))",
    re.MULTILINE,
)
_STDIN: Final = re.compile(r"\bsys\.stdin\b(?!\.(?:isatty|fileno|close|encoding))")

KEPT: Final = 16
"""Scripts whose reading is kept."""


class Script(NamedTuple):
    """What a script says."""

    seed_option: str | None = None
    """An option or field that takes a seed, as it is written; it has no default."""
    is_seeded: bool = False
    """It fixes its seed, or has a default for it."""
    is_random: bool = False
    """It draws random numbers, or trains."""
    output_options: tuple[str, ...] = ()
    """Options that take where its output goes, and have a place that is always the same."""
    fixed_output: str | None = None
    """A path in its text that it writes to."""
    asks: str | None = None
    """A call that waits for somebody at a terminal."""
    reads_stdin: bool = False


@lru_cache(maxsize=KEPT)
def read(source: str) -> Script:
    """What the text of a script says; takes time in proportion to its length.

    The last few are kept: the runs of a grid start one script, and four rules ask about it.
    """
    text = source[:LONGEST]
    option, is_seeded = _seed(text)
    own = _OWN_DIRECTORY.search(text) is not None
    options = {match["flag"]: match["more"] for match in _OUTPUT_OPTION.finditer(text)}
    written = None if own or options else _FIXED_PATH.search(text)
    asks = _ASKS.search(text) if _holds(text, _ASKING_WORDS) else None
    return Script(
        seed_option=option,
        is_seeded=is_seeded,
        is_random=_holds(text, _RANDOM_WORDS) or any(each.search(text) for each in _RANDOM),
        output_options=()
        if own
        else tuple(flag for flag, more in options.items() if _CONSTANT.search(more)),
        fixed_output=(written["path"] or written["opened"]) if written else None,
        asks=_called(asks[0]) if asks else None,
        reads_stdin="sys.stdin" in text and _STDIN.search(text) is not None,
    )


def _seed(text: str) -> tuple[str | None, bool]:
    """An option for the seed that has no default, and whether the seed is fixed without it."""
    if not _holds(text, _SEEDING_WORDS):
        return None, False
    option = None
    for match in _SEED_OPTION.finditer(text):
        more = match["more"] if match["flag"] else match["set"]
        if _HAS_DEFAULT.search(more) is not None:
            return None, True
        option = option or (f"--{match['flag']}" if match["flag"] else match["field"])
    return option, _FIXED.search(text) is not None


def _holds(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


def _called(found: str) -> str:
    """The name of the call that a pattern found."""
    names = re.findall(r"[\w.]+(?=\()", found)
    return f"{names[-1]}()" if names else found.strip()[:40]
