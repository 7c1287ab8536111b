"""The floor of an HTTP API in this style: FastAPI that validates the body of a run and echoes it.

Served by one worker of uvicorn with uvloop and httptools.
"""

from fastapi import FastAPI
from pydantic import BaseModel


class Body(BaseModel):
    """What every create of the measurements carries."""

    name: str
    command: str
    sweep_id: str
    chat_session_id: str


async def create(body: Body) -> Body:
    """The body, as it came."""
    return body


async def health() -> dict[str, str]:
    """What a probe asks."""
    return {"status": "ok"}


app = FastAPI()
app.post("/runs")(create)
app.get("/health")(health)
