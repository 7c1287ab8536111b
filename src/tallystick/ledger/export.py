"""Writes the whole ledger as a directory of static files that strangers can verify (P6.5).

The layout is C2SP tlog-tiles: `checkpoint`, `tile/<level>/<index>`, `tile/entries/<index>`; beside
it stand the verifier key, a verifier that needs only Python, and a README. One read transaction is
one moment, so a running server's ledger may be exported; memory stays flat. Stored bytes are
copied, not checked: that is the verifier's work. Payloads, being free text, stay at home.
"""

from pathlib import Path
from typing import Final

from tallystick.db.database import Transaction
from tallystick.errors import ConflictError, NotFoundError
from tallystick.ledger import verify
from tallystick.ledger.checkpoint import Checkpoint, Note
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.merkle import TILE_LEVELS, TILE_WIDTH

README: Final = """\
An exported Tallystick ledger. Whose it is, and how many entries it has, says the file checkpoint.

Verify it with nothing but Python (exit status 0: it holds; 4: it does not):

    python3 verify.py . --vkey "$(cat vkey)"

Take the key from someone you trust rather than from this directory; the file vkey is a copy.
Read verify.py before you trust it, or use tools by others: the files are C2SP tlog-tiles, the tree
is RFC 6962 with SHA-256, the checkpoint is a C2SP tlog-checkpoint signed with Ed25519, and entries
are JCS (RFC 8785), each after its length in two bytes, big-endian.

The checkpoint's signature alone, with OpenSSL 3 (keep your own files outside of this directory):

    T=$(mktemp -d)
    python3 -c 'import base64, sys; k = open("vkey").read().strip().split("+", 2)[2]
    save = lambda name, data: open(sys.argv[1] + name, "wb").write(data)
    save("/key.der", bytes.fromhex("302a300506032b6570032100") + base64.b64decode(k)[1:])
    t, s = open("checkpoint", encoding="utf-8").read().rsplit("\\n\\n", 1)
    save("/text", t.encode() + b"\\n"); save("/sig", base64.b64decode(s.split()[2])[4:])' "$T"
    openssl pkeyutl -verify -pubin -keyform DER -inkey $T/key.der -rawin -in $T/text -sigfile $T/sig

An export proves that nothing up to its checkpoint was changed since it was signed. It cannot show
that newer entries were left out, so an old copy verifies too: compare it with checkpoints and
receipts kept elsewhere (verify.py takes them as --checkpoint FILE and --receipt FILE).
A commitment {"c", "n"} in an entry is SHA-256(salt || text) and the length of a text kept apart.
"""
"""The same in every export, so that the verifier can tell it by its hash (`verify.READMES`)."""


def write_export(tx: Transaction, out: Path, vkey: str) -> Checkpoint:
    """Write the ledger that `tx` sees into `out`, a new or empty directory; returns its head.

    The checkpoint is written last: an export that was interrupted has none, and does not verify.
    Raises `NotFoundError` for an empty ledger, `ConflictError` when `out` holds something.
    """
    note = Ledger.checkpoint(tx)
    if note is None:
        raise NotFoundError("the ledger is empty: there is nothing to export", code="ledger_empty")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConflictError(
            f"{out}: expected a new or empty directory; found something there", code="path_taken"
        )
    head = Checkpoint.parse(Note.parse(note).text)
    _write_hashes(tx, out / "tile", head.size)
    _write_entries(tx, out / "tile" / "entries", head.size)
    (out / "vkey").write_text(f"{vkey}\n", encoding="utf-8")
    (out / "README.txt").write_text(README, encoding="utf-8", newline="")
    (out / "verify.py").write_bytes(Path(verify.__file__).read_bytes())
    (out / "checkpoint").write_text(note, encoding="utf-8", newline="")
    return head


def tile_path(index: int, width: int = TILE_WIDTH) -> str:
    """The path of tile `index` below its level: 1234067 is x001/x234/067, `.p/W` when partial."""
    text = f"{index % 1000:03d}"
    while index := index // 1000:
        text = f"x{index % 1000:03d}/{text}"
    return text if width == TILE_WIDTH else f"{text}.p/{width}"


def _write_hashes(tx: Transaction, directory: Path, size: int) -> None:
    level = 0
    while held := size >> level * TILE_LEVELS:
        for index in range(-(-held // TILE_WIDTH)):
            width = min(TILE_WIDTH, held - index * TILE_WIDTH)
            tile = Ledger.tile(tx, level, index, width=width)
            _write(directory / str(level) / tile_path(index, width), tile)
        level += 1


def _write_entries(tx: Transaction, directory: Path, size: int) -> None:
    for index in range(-(-size // TILE_WIDTH)):
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        bundle = Ledger.entry_bundle(tx, index, width=width)
        _write(directory / tile_path(index, width), bundle)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
