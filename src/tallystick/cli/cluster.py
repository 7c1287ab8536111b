"""`tally cluster`: the machine as people describe it, and draining it for maintenance."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from tallystick.cli import options, output

app = typer.Typer(
    no_args_is_help=True, help="Cluster: what the server runs on; drain it for maintenance."
)


class Kind(StrEnum):
    """What a machine can be."""

    UNKNOWN = "unknown"
    SLURM = "slurm"
    LOCAL_GPU = "local_gpu"
    CPU_ONLY = "cpu_only"
    KUBERNETES = "kubernetes"
    RAY = "ray"
    SHARED_HEAD_NODE = "shared_head_node"


class State(StrEnum):
    """How it is."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    OFFLINE = "offline"


@app.command(epilog=options.examples("tally cluster show", "tally cluster show --json"))
def show(as_json: options.Json = False) -> None:
    """What the server runs on, what is busy, and who has how much of it."""
    client = options.client_for()
    document, health = client.cluster(), client.system_health()
    if as_json:
        output.emit({**document, "health": health})
        return
    _show_facts(document)
    output.facts(
        (
            ("runs", f"{health.running} running, {health.waiting_in_queue} queued"),
            ("places", f"{health.free} of {health.max_concurrent} free"),
            ("disk", _size(health.disk_free_bytes)),
        )
    )
    if health.devices:
        output.say()
        output.table(
            (">GPU", "NAME", ">MIB", "STATE", "RUN", "HELD BY"),
            (
                (
                    str(device.index),
                    device.name,
                    str(device.memory_mb or ""),
                    device.state,
                    device.run_id or "",
                    device.held_by or "",
                )
                for device in health.devices
            ),
            empty="",
        )
    if health.sessions:
        output.say()
        output.table(
            ("SESSION", ">RUNNING", ">QUEUED", ">GPUS", ">SHARE"),
            (
                (
                    share.session_id,
                    str(share.running),
                    str(share.queued),
                    str(share.devices),
                    f"{share.share:.0%}",
                )
                for share in health.sessions
            ),
            empty="",
        )


@app.command(
    "set",
    epilog=options.examples(
        "tally cluster set --gpus 4 --notes 'GPU 4 to 7 belong to the other group'",
        "tally cluster set --type slurm --head-node login1 --nodes 8",
        "tally cluster set",
    ),
)
def set_cluster(
    *,
    kind: Annotated[Kind | None, typer.Option("--type", help="What it is.")] = None,
    state: Annotated[State | None, typer.Option("--status", help="How it is.")] = None,
    head_node: Annotated[str | None, typer.Option("--head-node", help="Where to log in.")] = None,
    nodes: Annotated[int | None, typer.Option("--nodes", min=0, help="Its nodes.")] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", min=0, help="Hand out at most so many GPUs.")
    ] = None,
    notes: Annotated[str | None, typer.Option("--notes", help="For whoever reads it.")] = None,
    as_json: options.Json = False,
) -> None:
    """Say what the machine is, whole; people only. What you leave out is found."""
    document = options.client_for().set_cluster(
        type=None if kind is None else kind.value,
        status=None if state is None else state.value,
        head_node=head_node,
        node_count=nodes,
        gpu_count=gpus,
        notes=notes,
    )
    _told(document, as_json=as_json)


@app.command(
    epilog=options.examples(
        "tally cluster drain", "tally cluster drain --reason 'new driver at 14:00'"
    )
)
def drain(
    reason: Annotated[
        str | None, typer.Option("--reason", help="Said to everybody who waits for it.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Start nothing more; what runs goes on, what is queued waits. People only."""
    _told(options.client_for().drain(reason), as_json=as_json)


@app.command(epilog=options.examples("tally cluster undrain"))
def undrain(as_json: options.Json = False) -> None:
    """Start queued runs again. People only."""
    _told(options.client_for().undrain(), as_json=as_json)


def _told(document: dict[str, Any], *, as_json: bool) -> None:
    """The answer to a change."""
    if as_json:
        output.emit(document)
        return
    for warning in document.get("warnings", ()):
        output.note(output.plain(f"warning: {warning['detail']}  [{warning['code']}]"))
    _show_facts(document)


def _show_facts(document: dict[str, Any]) -> None:
    """The machine, a line for each fact."""
    cluster, drained = document["cluster"], document.get("draining")
    since = None
    if drained is not None:
        why = f": {drained['reason']}" if drained.get("reason") else ""
        since = f"since {output.moment_of(drained['since'])}{why}"
    output.facts(
        (
            ("type", f"{cluster['type']} ({cluster['source']})"),
            ("status", cluster["status"]),
            ("head node", cluster["head_node"]),
            ("nodes", cluster["node_count"]),
            ("gpus", str(cluster["gpu_count"])),
            ("notes", cluster["notes"]),
            ("drained", since),
        )
    )


def _size(count: int | None) -> str | None:
    """Bytes in GiB."""
    return None if count is None else f"{count / 2**30:.1f} GiB free"
