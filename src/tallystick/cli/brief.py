"""`tally brief`: what a session did and what it has to do, for whoever comes back to it."""

from tallystick.cli import options, output


def brief(session: options.Session = None, as_json: options.Json = False) -> None:
    """What was tried, what failed and why, what runs and waits, and what to call next.

    At most 2,000 characters, for an agent whose context was compacted; changes nothing.
    """
    found = options.client_for(session).brief()
    if as_json:
        output.emit(found)
    else:
        output.say(output.plain(found.text))
