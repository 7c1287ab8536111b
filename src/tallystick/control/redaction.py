"""Finds secrets in free text and puts a salted mark in their place; pure.

A mark names the kind of secret and a salted digest, so that equal secrets in one request can be
told to be equal and nothing else can be told. What was cut out goes into the run's own 0600 file
and comes back only when the command is launched. Misses are possible: this is a net, not a wall.
"""

import hashlib
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_WORDS = (
    r"(?:token|secret|(?:pg)?password|passwd|passphrase|credentials?|api[_-]?key"
    r"|access[_-]?key(?:[_-]id)?|private[_-]?key|secret[_-]?key|auth|cookie|dsn)"
)

SECRET_NAME = re.compile(rf"(?:^|[_-]){_WORDS}$", re.IGNORECASE)
"""Names of variables and flags whose values are secrets; `--max-tokens` and TOKENIZERS are not."""

_KNOWN_FORMATS = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:
        sk-[A-Za-z0-9_-]{20,}
      | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,} | glpat-[A-Za-z0-9_-]{16,}
      | hf_[A-Za-z0-9]{20,} | npm_[A-Za-z0-9]{30,} | pypi-[A-Za-z0-9_-]{30,}
      | (?:AKIA|ASIA)[0-9A-Z]{16} | AIza[A-Za-z0-9_-]{30,} | xox[abeprs]-[A-Za-z0-9-]{10,}
      | eyJ[A-Za-z0-9_-]{10,4096}\.[A-Za-z0-9_-]{10,8192}\.[A-Za-z0-9_-]{1,4096}
      | tally_[a-z]+_[A-Za-z0-9_-]{30,}
    )""",
    re.VERBOSE,
)

_NAMED = re.compile(
    rf"""(?<![A-Za-z0-9])(?P<word>{_WORDS})
        (?P<sep>\\?["']?\s{{0,9}}[=:]\s{{0,9}}|\s{{1,9}})
        (?: \\"(?P<escaped>[^"\\$`<][^"\\]*)\\"
          | "(?P<double>[^"\\$`<](?:\\.|[^"\\])*)"
          | '(?P<single>[^'<][^']*)'
          | (?P<bare>[^\s"'$<`\\][^\s"']*) )""",
    re.VERBOSE | re.IGNORECASE,
)
"""The end of a secret's name, and its value. No start is scanned twice: commands can be long."""

_NAME_CHARACTERS = string.ascii_letters + string.digits + "_-"
_LONGEST_NAME = 128

_SHORTEST = 8
"""Shorter values stay: `--auth none`, `--token 512`; after the words below, every value goes."""
_EVEN_SHORT = ("password", "passwd", "passphrase")
_VALUES = ("escaped", "double", "single", "bare")

_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_MARK = re.compile(r"\[redacted [A-Za-z0-9_-]* [0-9a-f]{12}\]")

_LAYERS = 8
"""More than the four kinds of cut that can stand in one another."""

_BEARER = re.compile(
    r"(?P<head>\bBearer\s{1,9})(?P<value>[A-Za-z0-9._~+/=-]{8,4096})", re.IGNORECASE
)
_USERINFO = re.compile(
    r"(?P<head>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}://[^\s/:@]{0,128}:)(?P<value>[^\s/@]{1,512})(?=@)"
)

_SIGN = re.compile(
    "://|bearer|sk-|gh[pousr]_|github_pat_|glpat-|hf_|npm_|pypi-|akia|asia|aiza|xox|eyj|tally_"
    "|tok|secret|pass|cred|key|auth|cook|dsn"
)
"""Stands in every text, its case folded, in which a pattern above can match.

A net that costs little, so that most texts meet no other pattern at all.
"""

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without its secrets, and the secrets by mark."""

    text: str
    secrets: Mapping[str, str]


def redact(text: str, *, salt: bytes) -> Redacted:
    """Cut known secrets out of `text`; `restore` with the same secrets gives it back exactly."""
    if _SIGN.search(text.casefold()) is None:
        return Redacted(text, _NONE)
    return _cut_out(text, salt=salt)


def _cut_out(text: str, *, salt: bytes) -> Redacted:
    """Every pattern, one after another."""
    secrets: dict[str, str] = {}

    def cut(kind: str, value: str) -> str:
        mark = mark_of(kind, value, salt=salt)
        secrets[mark] = value
        return mark

    def named(match: re.Match[str]) -> str:
        start = match.start()
        before = match.string[max(0, start - _LONGEST_NAME) : start]
        name = before[len(before.rstrip(_NAME_CHARACTERS)) :] + match["word"]
        if match["sep"].isspace() and not name.startswith("-"):
            return match[0]  # "the password protected" is prose; "--password protected" is not
        group = next(group for group in _VALUES if match[group] is not None)
        begin, end = match.span(group)
        short = end - begin < _SHORTEST and not name.lower().endswith(_EVEN_SHORT)
        if short or _MARK.match(match.string, begin):
            return match[0]
        mark = cut(name.lstrip("-"), match[group])
        return f"{match[0][: begin - start]}{mark}{match[0][end - start :]}"

    text = _USERINFO.sub(lambda m: m["head"] + cut("password", m["value"]), text)
    text = _BEARER.sub(lambda m: m["head"] + cut("bearer", m["value"]), text)
    text = _KNOWN_FORMATS.sub(lambda m: cut("secret", m[0]), text)
    text = _NAMED.sub(named, text)
    return Redacted(text, secrets)


def redact_environment(
    environment: Mapping[str, str], *, salt: bytes
) -> tuple[dict[str, str], dict[str, str]]:
    """Variables with secret names or values get marks; names always stay. Returns both maps."""
    shown: dict[str, str] = {}
    secrets: dict[str, str] = {}
    for name, value in environment.items():
        if SECRET_NAME.search(name) and value:
            mark = mark_of(name, value, salt=salt)
            shown[name], secrets[mark] = mark, value
            continue
        result = redact(value, salt=salt)
        shown[name] = result.text
        secrets.update(result.secrets)
    return shown, secrets


def mark_of(kind: str, value: str, *, salt: bytes) -> str:
    """`[redacted KIND DIGEST]`; the digest is salted, so a short secret cannot be guessed."""
    digest = hashlib.sha256(salt + value.encode("utf-8", "surrogatepass")).hexdigest()
    return f"[redacted {_UNFIT.sub('_', kind)} {digest[:12]}]"


def marks_in(text: str) -> list[str]:
    """The marks in a text, in order."""
    return _MARK.findall(text)


def missing_marks(text: str, secrets: Mapping[str, str]) -> list[str]:
    """The marks in a recorded text whose secrets are not there."""
    return [mark for mark in marks_in(text) if mark not in secrets]


def restore(text: str, secrets: Mapping[str, str]) -> str:
    """The exact text again.

    Later cuts can hold marks of earlier ones, or a part of one, so marks are put back until none
    is left that is known; each kind of cut adds at most one such layer.
    """
    for _ in range(_LAYERS):
        restored = _MARK.sub(lambda match: secrets.get(match[0], match[0]), text)
        if restored == text:
            break
        text = restored
    return text
