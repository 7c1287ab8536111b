"""`tally session`: conversations, and what they did."""

from typing import Annotated

import typer

from tallystick.cli import options, output, showing

app = typer.Typer(no_args_is_help=True, help="Sessions: agent conversations and what they did.")


SessionId = Annotated[
    str | None,
    typer.Argument(metavar="[SESSION]", help="Id of the session. [default: the one you are in]"),
]


@app.command("list", epilog=options.examples("tally session list"))
def list_sessions(limit: options.Limit = 30, as_json: options.Json = False) -> None:
    """List sessions, newest first."""
    sessions = options.client_for().sessions(limit=limit)
    if as_json:
        output.emit(sessions)
        return
    now = output.now_seconds()
    output.table(
        ("ID", ">SWEEPS", ">RUNS", "PROGRESS", ">VIOLATIONS", "OPENED", "LATEST"),
        (
            (
                session.id,
                str(session.sweeps),
                str(session.runs.total),
                output.progress_words(session.runs),
                str(session.violations),
                output.ago(session.opened_at, now=now),
                output.ago(session.last_at, now=now),
            )
            for session in sessions
        ),
        empty="no sessions yet; the first request that creates something opens one",
    )


@app.command(epilog=options.examples("tally session show", "tally session show 5f0c1d2e"))
def show(
    session_id: SessionId = None,
    as_json: options.Json = False,
) -> None:
    """One session, its sweeps and its newest runs."""
    client = options.client_for()
    session = client.session_of(session_id or client.session)
    if as_json:
        output.emit(session)
        return
    output.facts(
        (
            ("id", session.id),
            ("sweeps", session.sweeps),
            ("runs", f"{session.runs.total} ({output.progress_words(session.runs)})"),
            ("violations", str(session.violations)),
            ("opened", output.moment_of(session.opened_at)),
            ("latest", output.moment_of(session.last_at)),
        )
    )
    output.say()
    showing.show_runs(list(client.runs(session=session.id, limit=30)))


@app.command(
    epilog=options.examples("tally session events", "tally session events --resolve 5f0c1d2e")
)
def events(
    session_id: SessionId = None,
    resolve: Annotated[
        bool, typer.Option("--resolve", help="They were heard: do not tell these again.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """What happened in a session and was not heard yet, oldest first; at most 1,000."""
    client = options.client_for()
    found = client.session_events(session_id)
    if as_json:
        output.emit(found)
    else:
        now = output.now_seconds()
        output.table(
            ("ID", "HAPPENED", "TYPE", "ABOUT", "TITLE", "DETAIL"),
            (
                (
                    event.id,
                    output.ago(event.created_at, now=now),
                    event.type,
                    event.alert_id or event.run_id or event.sweep_id or "",
                    event.title,
                    event.detail or "",
                )
                for event in found
            ),
            empty="nothing happened that was not heard",
        )
    if resolve and found:
        count = client.resolve_events([event.id for event in found], session_id)
        output.note(f"{count} heard; they are not told again")
