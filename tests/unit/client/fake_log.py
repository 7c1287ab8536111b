"""A ledger as a server presents it, honest or not: entries, signed heads, proofs on demand."""

import base64
import json
from collections.abc import Callable
from typing import Any

from tallystick.client.transport import Request, Response
from tallystick.errors import InvalidError
from tallystick.ledger.canonical import JSON, canonical
from tallystick.ledger.checkpoint import Checkpoint
from tallystick.ledger.keys import Signer
from tallystick.ledger.merkle import consistency_proof, inclusion_proof, leaf_hash, root_of

ORIGIN = "tally.local/00112233445566ff"
RUN = "run_0123456789ab"


class FakeLog:
    """Grows by creating answers; `forked` is the same ledger with another history."""

    def __init__(self, origin: str = ORIGIN, *, seed: int = 1, size: int = 0) -> None:
        self.signer = Signer(origin, bytes([seed]) * 32)
        self.entries: list[bytes] = []
        self.mark = "one"
        self.grow(size)

    def grow(self, count: int) -> None:
        for _ in range(count):
            seq = len(self.entries)
            data: JSON = {"mark": self.mark}
            entry: dict[str, JSON] = {"data": data, "seq": seq, "stream": RUN, "type": "run.queued"}
            self.entries.append(canonical(entry))

    def forked(self, at: int, size: int, mark: str = "another") -> "FakeLog":
        other = FakeLog(self.signer.origin)
        other.signer, other.entries, other.mark = self.signer, self.entries[:at], mark
        other.grow(size - at)
        return other

    @property
    def size(self) -> int:
        return len(self.entries)

    def note(self, size: int | None = None) -> str:
        count = self.size if size is None else size
        root = root_of(map(leaf_hash, self.entries[:count]))
        return self.signer.sign(Checkpoint(self.signer.origin, count, root).text())

    def receipt(self, seq: int, size: int | None = None) -> dict[str, Any]:
        leaf = leaf_hash(self.entries[seq]).hex()
        return {"seq": seq, "leaf_hash": leaf, "checkpoint": self.note(size)}

    def created(self, count: int = 2) -> dict[str, Any]:
        """A creating answer: so many entries more, and the receipt of the first."""
        self.grow(count)
        return {"id": RUN, "receipt": self.receipt(self.size - count)}

    def answer(self, path: str, query: dict[str, str]) -> Any:
        """What the ledger's routes answer."""
        if path == "/ledger/vkey":
            return f"{self.signer.vkey}\n".encode()
        if path == "/ledger/checkpoint":
            return self.note().encode()
        if path == "/ledger/consistency":
            old, new = int(query["old"]), int(query["new"])
            self._within(new)
            return {"old": old, "new": new, "hashes": self._encoded(consistency_proof, old, new)}
        if path == "/ledger/entries":
            first = int(query["after"]) + 1
            found = self.entries[first : first + int(query["limit"])]
            shown = [json.loads(entry) for entry in found]
            return {"entries": shown, "next_after": first + len(found) - 1, "size": self.size}
        seq, size = int(path.rpartition("/")[2]), int(query.get("size", self.size))
        self._within(size)
        document = {**self.receipt(seq), "size": size}
        return {**document, "hashes": self._encoded(inclusion_proof, seq, size)}

    def _within(self, size: int) -> None:
        if size > self.size:
            raise InvalidError(f"size: expected at most {self.size}; found {size}")

    def _encoded(self, proof: Callable[..., list[bytes]], first: int, size: int) -> list[str]:
        leaves = [leaf_hash(entry) for entry in self.entries[:size]]

        def subtree(level: int, index: int) -> bytes:
            return root_of(leaves[index << level : (index + 1) << level])

        return [base64.b64encode(item).decode() for item in proof(subtree, first, size)]


class Presenting:
    """A transport to a server that presents `log`; `lie` may answer instead."""

    def __init__(self, log: FakeLog) -> None:
        self.log = log
        self.lie: Callable[[str, dict[str, str]], Any] = lambda _path, _query: None
        self.asked: list[Request] = []

    @property
    def paths(self) -> list[str]:
        """What was asked for, without the queries."""
        return [request.target.partition("?")[0] for request in self.asked]

    def send(self, request: Request) -> Response:
        self.asked.append(request)
        path, _, rest = request.target.partition("?")
        query = dict(pair.split("=", 1) for pair in rest.split("&") if pair)
        answer = self.lie(path, query)
        if answer is None:
            answer = self.created(path) if request.method == "POST" else self._got(path, query)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return Response(status=200, headers={}, chunks=iter((body,)))

    def created(self, path: str) -> dict[str, Any]:
        answer = self.log.created()
        if path == "/sweeps/wild":
            return {**answer, "name": "s", "status": "draft", "created_at": 1.0, "seq": 1}
        return {**answer, **self._run()}

    def _got(self, path: str, query: dict[str, str]) -> Any:
        return self._run() if path.startswith("/runs/") else self.log.answer(path, query)

    def _run(self) -> dict[str, Any]:
        return {
            "id": RUN,
            "name": "n",
            "command": "true",
            "workdir": "/w",
            "status": "running",
            "created_at": 1.0,
            "seq": 1,
            "changed_seq": self.log.size - 1,
        }
