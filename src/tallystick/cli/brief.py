"""`tally brief`: what a session did and what it has to do, for whoever comes back to it."""

from tallystick.cli import options, output
from tallystick.errors import NotFoundError


def brief(session: options.Session = None, as_json: options.Json = False) -> None:
    """What was tried, what failed and why, what runs and waits, and what to call next.

    At most 2,000 characters, for an agent whose context was compacted; changes nothing. A session
    that has not created anything yet has nothing to go on with: that is said, and is no error.
    """
    client = options.client_for(session)
    try:
        found = client.brief()
    except NotFoundError:
        output.note(f"Session {client.session} has not registered anything yet.")
        if as_json:
            output.emit(None)
        return
    if as_json:
        output.emit(found)
    else:
        output.say(output.plain(found.text))
