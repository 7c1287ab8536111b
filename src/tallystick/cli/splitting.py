"""A loop over fixed values as a sweep: one run for each round, registered before the first starts.

The rounds keep the loop's own order: one at a time, or all at once where it started them in the
background. A line that is no such loop is one run, as without `--split`.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from tallystick.cli.command import command_of, name_of
from tallystick.cli.registration import Registration, register

if TYPE_CHECKING:
    from tallystick.client.client import Client
    from tallystick.shell.expand import Expansion
    from tallystick.wire.views import RunView


def register_split(client: "Client", said: Registration) -> "tuple[RunView, ...]":
    """The runs of a line in the order of its rounds; raises what registering a run raises."""
    from tallystick.shell.expand import expand

    command = command_of(said.words)
    expansion = expand(command)
    if expansion is None:
        return (register(client, said),)
    sweep = said.sweep or _sweep_for(client, command, said.origin)
    runs = [register(client, one) for one in _rounds(said, expansion, sweep)]
    if said.sweep is None:
        client.start_sweep(sweep, parallel=None if expansion.parallel else 1)
    else:  # its other runs are not ours to start
        for run in runs:
            client.start_run(run.id)
    return tuple(runs)


def _sweep_for(client: "Client", command: str, origin: str | None) -> str:
    """Id of a sweep of its own; the same origin finds the same."""
    return client.create_sweep(name_of(command), goal=f"each round of: {command}", key=origin).id


def _rounds(said: Registration, expansion: "Expansion", sweep: str) -> list[Registration]:
    """What is registered, not started yet."""
    return [
        replace(
            said,
            words=(point.command,),
            sweep=sweep,
            name=said.name and f"{said.name} #{number}",
            params=(*said.params, *(f"{name}={value}" for name, value in point.params.items())),
            start=False,
            origin=said.origin,
            key=said.origin and f"{said.origin}-{number}",
        )
        for number, point in enumerate(expansion.points, start=1)
    ]
