"""The ledger for those who check it: checkpoints, proofs, tiles, entries (P6.2, P6.5).

Tiles are served under the paths of C2SP tlog-tiles, so that tools that are not ours can read them.
"""

import base64
import re
from typing import Final

import orjson
from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.call import Call
from tallystick.api.paging import page_size
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import ConsistencyProof, EntryPage, InclusionProof
from tallystick.db.database import Transaction
from tallystick.errors import NotFoundError
from tallystick.ledger.ledger import Ledger

_TILE = re.compile(
    r"(?P<level>entries|[0-7])/(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
_FULL_TILE: Final = 256
_LARGEST: Final = 2**53


async def checkpoint(call: Call) -> Response:
    """The newest signed checkpoint (C2SP tlog-checkpoint), as a signed note."""
    note = await call.services.read(Ledger.checkpoint)
    return answers.text(note or call.services.ledger.note)


async def vkey(call: Call) -> Response:
    """The key that verifies checkpoints (C2SP signed-note); pin it outside the server."""
    return answers.text(f"{call.services.ledger.vkey}\n")


async def proof(call: Call) -> Response:
    """Proof that an entry is in the ledger (RFC 6962)."""
    return answers.json(await call.services.read(lambda tx: _proof(tx, call)))


def _proof(tx: Transaction, call: Call) -> InclusionProof:
    seq = _number(call.path["seq"])
    found = Ledger.read(tx, after=seq - 1, limit=1)
    note = Ledger.checkpoint(tx)
    if not found or found[0].seq != seq or note is None:
        raise NotFoundError(f"there is no entry {seq}", code="entry_not_found")
    asked: int | None = call.query["size"]
    size = int(note.split("\n")[1]) if asked is None else asked
    return InclusionProof(
        seq=seq,
        size=size,
        leaf_hash=found[0].leaf_hash.hex(),
        hashes=[_encoded(item) for item in Ledger.inclusion(tx, seq, size)],
        checkpoint=note,
    )


async def consistency(call: Call) -> Response:
    """Proof that an earlier state of the ledger is the beginning of a later one (RFC 6962)."""
    old: int = call.query["old"]
    new: int = call.query["new"]
    hashes = await call.services.read(lambda tx: Ledger.consistency(tx, old, new))
    return answers.json(
        ConsistencyProof(old=old, new=new, hashes=[_encoded(item) for item in hashes])
    )


async def tile(call: Call) -> Response:
    """A tile of hashes or a bundle of entries (C2SP tlog-tiles).

    `0/x001/x234/067` is tile 1234067 of level 0, `entries/000.p/5` the first five entries.
    """
    match = _TILE.fullmatch(call.path["path"])
    width = int(match["width"] or _FULL_TILE) if match else 0
    if match is None or width > _FULL_TILE or (match["width"] and width == _FULL_TILE):
        raise NotFoundError(
            f"there is no tile {call.path['path'][:80]!r}",
            code="tile_missing",
            next_actions=("GET /ledger/tile/0/000.p/1",),
        )
    index = int(match["index"].replace("x", "").replace("/", ""))
    level = match["level"]
    content = await call.services.read(
        lambda tx: (
            Ledger.entry_bundle(tx, index, width=width)
            if level == "entries"
            else Ledger.tile(tx, int(level), index, width=width)
        )
    )
    response = answers.octets(content)
    response.headers["cache-control"] = "private, max-age=31536000, immutable"
    return response


async def list_entries(call: Call) -> Response:
    """Entries in order, each exactly as it was hashed."""
    query = call.query
    after: int = query["after"]
    limit: int = query["limit"]
    found = await call.services.read(
        lambda tx: Ledger.read(
            tx, after=after, limit=limit, stream=query["stream"], session=query["session"]
        )
    )
    next_after = found[-1].seq if found else after
    return answers.json(
        {
            "entries": [orjson.Fragment(entry.raw) for entry in found],
            "next_after": next_after,
            "size": call.services.ledger.size,
        }
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise NotFoundError(f"there is no entry {text[:40]!r}", code="entry_not_found")
    return int(text)


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _size(name: str, description: str, *, required: bool) -> Query:
    return Query(
        name=name,
        kind=int,
        minimum=0,
        maximum=_LARGEST,
        description=description,
        required=required,
    )


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/ledger/checkpoint",
        route=checkpoint,
        permission=Permission.READ,
        media_type="text/plain",
    ),
    Endpoint(
        method="GET",
        path="/ledger/vkey",
        route=vkey,
        permission=Permission.READ,
        media_type="text/plain",
    ),
    Endpoint(
        method="GET",
        path="/ledger/proof/{seq}",
        route=proof,
        permission=Permission.READ,
        query=(_size("size", "Size of the tree; that of the newest checkpoint.", required=False),),
        answer=InclusionProof,
        refusals=(404,),
    ),
    Endpoint(
        method="GET",
        path="/ledger/consistency",
        route=consistency,
        permission=Permission.READ,
        query=(
            _size("old", "Size of the earlier tree.", required=True),
            _size("new", "Size of the later tree.", required=True),
        ),
        answer=ConsistencyProof,
    ),
    Endpoint(
        method="GET",
        path="/ledger/tile/{path*}",
        route=tile,
        permission=Permission.READ,
        media_type="application/octet-stream",
        refusals=(404,),
    ),
    Endpoint(
        method="GET",
        path="/ledger/entries",
        route=list_entries,
        permission=Permission.READ,
        query=(
            Query(
                name="after",
                kind=int,
                default=-1,
                minimum=-1,
                maximum=_LARGEST,
                description="Begin after this position.",
            ),
            page_size(1000, 100),
            Query(name="stream", description="Only entries about this run, sweep or token."),
            Query(name="session", description="Only entries of this session."),
        ),
        answer=EntryPage,
    ),
)
