"""A stand-in for a model on loopback: it asks for commands, one a turn, and keeps the answers.

It speaks as much of two protocols as the agents under test need: the Responses API (Codex) and chat
completions (OpenCode). Everything else of the agent is the real program.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {
    "input_tokens": 1,
    "output_tokens": 1,
    "total_tokens": 2,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


class ScriptedModel:
    """Asks for `commands` one after the other, then says that it is done."""

    def __init__(self, commands: Sequence[str]) -> None:
        self.commands = tuple(commands)
        self.outputs: list[str] = []
        """What the agent answered to each command, in order."""
        self.instructions: str = ""
        """The text of the first request, as far as it is text: what the agent told its model."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def responses_turn(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The events that answer a call of the Responses API."""
        self.instructions = self.instructions or json.dumps(body, ensure_ascii=False)
        answered = [item for item in body["input"] if item.get("type") == "function_call_output"]
        self.outputs = [_text_of(item["output"]) for item in answered]
        done = len(answered)
        if done < len(self.commands):
            item: dict[str, Any] = {
                "type": "function_call",
                "id": f"fc_{done}",
                "call_id": f"call_{done}",
                "name": "exec_command",
                "arguments": json.dumps({"cmd": self.commands[done], "yield_time_ms": 30_000}),
            }
        else:
            item = {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "done"}],
            }
        return [
            {"type": "response.created", "response": {"id": f"resp_{done}"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": f"resp_{done}", "usage": USAGE}},
        ]

    def chat_turn(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The chunks that answer a call for a chat completion."""
        tools = {tool["function"]["name"] for tool in body.get("tools", [])}
        if "bash" not in tools:  # a title for the conversation, say
            return _chunks({"role": "assistant", "content": "a title"}, "stop")
        self.instructions = self.instructions or json.dumps(body, ensure_ascii=False)
        answered = [message for message in body["messages"] if message["role"] == "tool"]
        self.outputs = [_text_of(message["content"]) for message in answered]
        done = len(answered)
        if done >= len(self.commands):
            return _chunks({"role": "assistant", "content": "done"}, "stop")
        arguments = {"command": self.commands[done], "description": "as asked"}
        call = {
            "index": 0,
            "id": f"call_{done}",
            "type": "function",
            "function": {"name": "bash", "arguments": json.dumps(arguments)},
        }
        return _chunks({"role": "assistant", "tool_calls": [call]}, "tool_calls")


@contextmanager
def scripted_model(commands: Sequence[str]) -> Iterator[ScriptedModel]:
    """A model that listens while the block runs."""
    model = ScriptedModel(commands)
    model.start()
    try:
        yield model
    finally:
        model.stop()


def _handler_for(model: ScriptedModel) -> type[BaseHTTPRequestHandler]:
    """A handler that answers from `model`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """The tests read `outputs`."""

        def do_GET(self) -> None:
            self._send(b'{"data": [], "models": []}', "application/json")

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            body = json.loads(raw)
            if self.path.endswith("/responses"):
                events = model.responses_turn(body)
                lines = [
                    f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events
                ]
            else:
                chunks = model.chat_turn(body)
                lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
                lines.append("data: [DONE]\n\n")
            self._send("".join(lines).encode(), "text/event-stream")

        def _send(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


def _chunks(delta: dict[str, Any], reason: str) -> list[dict[str, Any]]:
    """A message and its end, as chunks of a stream."""
    frame = {"id": "chunk", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    return [
        {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
    ]


def _text_of(content: Any) -> str:
    """What a tool said, whether it came as text or in parts."""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)
