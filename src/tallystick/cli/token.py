"""`tally token`: who may do what."""

from enum import StrEnum
from typing import Annotated

import typer

from tallystick.cli import options, output

app = typer.Typer(no_args_is_help=True, help="Tokens: who may do what.")


class TokenRole(StrEnum):
    """What a new token may be."""

    ADMINISTRATOR = "administrator"
    RESEARCHER = "researcher"
    AGENT = "agent"
    AUDITOR = "auditor"


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration_seconds(text: str) -> int:
    """Seconds in `90`, `90s`, `30m`, `12h` or `7d`."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not (number.isascii() and number.isdigit()) or int(number) < 1:
        raise typer.BadParameter(f"expected 30m, 12h, 7d or seconds, found {text!r}")
    return int(number) * _UNITS[unit]


@app.command(
    epilog=options.examples(
        "tally token create --role agent --expires 12h",
        "tally token create --role agent --session 5f0c1d2e --json",
    ),
)
def create(
    role: Annotated[TokenRole, typer.Option("--role", help="What it may do.")],
    session: Annotated[
        str | None, typer.Option("--session", help="Bind it to this conversation.")
    ] = None,
    expires: Annotated[
        int | None,
        typer.Option(
            "--expires",
            parser=duration_seconds,
            metavar="<duration>",
            help="How long from now: 30m, 12h, 7d, or seconds. [default: never]",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Create a token and print its secret, this once."""
    with options.creating() as client:
        token = client.create_token(role.value, session=session, expires_seconds=expires)
        if as_json:
            output.emit(token)
            return
        output.say(token.token or "")
        revoking = f"tally token revoke {token.id}"
        output.note(f"{token.id}, {token.role}; shown only now, revoke it with: {revoking}")


@app.command("list", epilog=options.examples("tally token list"))
def list_tokens(as_json: options.Json = False) -> None:
    """List tokens, without their secrets."""
    tokens = options.client_for().tokens()
    if as_json:
        output.emit(tokens)
        return
    now = output.now_seconds()
    output.table(
        ("ID", "ROLE", "SESSION", "CREATED", "STATE"),
        (
            (
                token.id,
                token.role,
                token.session or "",
                output.ago(token.created_at, now=now),
                _state(token.expires_at, token.revoked_at, now),
            )
            for token in tokens
        ),
        empty="no tokens",
    )


def _state(expires_at: float | None, revoked_at: float | None, now: float) -> str:
    """Whether a token still opens anything."""
    if revoked_at is not None:
        return f"revoked {output.ago(revoked_at, now=now)}"
    if expires_at is None:
        return "valid"
    if expires_at <= now:
        return f"expired {output.ago(expires_at, now=now)}"
    return f"valid for {output.span(expires_at - now)}"


@app.command(epilog=options.examples("tally token revoke tok_0123456789ab"))
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="Id of the token.")],
    as_json: options.Json = False,
) -> None:
    """Close a token for good; repeating it is harmless."""
    token = options.client_for().revoke_token(token_id)
    if as_json:
        output.emit(token)
    else:
        output.say(f"{token.id} is revoked")
