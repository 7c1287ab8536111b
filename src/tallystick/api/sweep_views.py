"""Sweeps to the bodies that go out (P2.3): texts, plan, and what it waits for in words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallystick.api.views import (
    LONGEST_IN_LIST,
    Material,
    document_in,
    load_texts,
    optional_seconds,
    progress,
    seconds,
)
from tallystick.db.database import Transaction
from tallystick.domain.axes import as_sent
from tallystick.domain.ids import RunId, SweepId
from tallystick.domain.reasons import SweepPaused
from tallystick.domain.sweep import Sweep
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.projections import runs
from tallystick.wire import views as wire

MOST_RUN_IDS: Final = 1_000
"""Run ids in a sweep's view."""

MOST_RUN_IDS_IN_LIST: Final = 50
"""Run ids of each sweep in a list: a list may hold a thousand sweeps."""

_LARGEST_LOADED: Final = 65_536  # bytes of a command in a list


def of_sweeps(
    tx: Transaction, found: Sequence[Sweep], *, in_list: bool
) -> tuple[Material, dict[SweepId, list[RunId]]]:
    """Everything that the views of `found` need: texts, and run ids by sweep."""
    wanted = [text for sweep in found for text in (sweep.name, sweep.goal)]
    for plan in (sweep.plan for sweep in found):
        if plan is not None:
            wanted += [plan.command, plan.workdir, None if in_list else plan.ui_config]
    limit = MOST_RUN_IDS_IN_LIST if in_list else MOST_RUN_IDS
    filled = {sweep.id: sweep.runs.total for sweep in found if sweep.runs.total}
    ids = runs.ids_of_sweeps(tx, filled, limit=limit) if filled else {}
    return Material(load_texts(tx, wanted, most=_LARGEST_LOADED if in_list else None)), ids


def sweep_view(
    sweep: Sweep,
    material: Material,
    run_ids: Sequence[str],
    *,
    in_list: bool = False,
    held_up: str | None = None,
    **more: Any,
) -> wire.SweepView:
    """One sweep with the first of its runs, the ids as `of_sweeps` found them.

    `held_up` says what keeps its queued runs from being started, where that is known.
    """
    name, goal, plan = material.text(sweep.name) or "", material.text(sweep.goal), sweep.plan
    command = None if plan is None else material.text(plan.command)
    cut = plan.count if plan is not None and plan.count < plan.size else None
    ui_config = None if in_list or plan is None else document_in(material.text(plan.ui_config))
    return wire.SweepView(
        id=sweep.id,
        name=name,
        goal=goal,
        is_wild=sweep.wild,
        status=sweep.status,
        progress=progress(sweep.runs),
        run_ids=list(run_ids),
        run_ids_truncated=len(run_ids) < sweep.runs.total,
        chat_session_id=sweep.session,
        violations=list(sweep.violations),
        compliant=not sweep.violations,
        created_by=sweep.created_by,
        created_at=seconds(sweep.created_at),
        started_at=optional_seconds(sweep.started_at),
        completed_at=optional_seconds(sweep.completed_at),
        is_archived=sweep.archived,
        archived_at=optional_seconds(sweep.archived_at),
        base_command=command[:LONGEST_IN_LIST] if command and in_list else command,
        workdir=None if plan is None else material.text(plan.workdir),
        parameters={} if plan is None else parameters_of(plan),
        max_runs=cut,
        ui_config=ui_config,
        plan=None if plan is None else plan_view(plan, seq=sweep.plan_seq),
        parallel=sweep.parallel,
        planned=sweep.planned,
        registered=sweep.registered,
        paused=sweep.paused is not None,
        reason=reason_of(sweep) or held_up,
        creation_context=_creation_context(
            sweep, {"name": name, "goal": goal, "command": command, "max_runs": cut}, ui_config
        ),
        seq=sweep.created_seq,
        **more,
    )


def plan_view(plan: SweepPlanned, *, seq: int | None = None) -> wire.PlanView:
    """The plan, its ranges as they were sent."""
    seeds: Any = plan.seeds
    axes = []
    for axis in plan.axes:
        if axis.get("every"):
            seeds = as_sent(axis)
        elif "value" in axis or "values" in axis:
            key = "value" if "value" in axis else "values"
            axes.append({"name": axis["name"], key: as_sent(axis)})
        else:
            axes.append({"name": axis["name"], **as_sent(axis)})
    return wire.PlanView(
        strategy=plan.strategy,
        count=plan.count,
        size=plan.size,
        digest=plan.digest,
        generator=plan.generator,
        axes=axes,
        seeds=seeds,
        samples=plan.samples,
        seed=plan.seed,
        placement=plan.placement,
        tags=list(plan.tags),
        seq=seq,
    )


def parameters_of(plan: SweepPlanned) -> dict[str, Any]:
    """The parameters of a plan as they were sent."""
    return {axis["name"]: as_sent(axis) for axis in plan.axes if not axis.get("every")}


def reason_of(sweep: Sweep) -> str | None:
    """What it waits for, or what is being done for it, in words; None when all is as asked."""
    missing = sweep.planned - sweep.registered
    if sweep.paused is not None:
        return SweepPaused.by(sweep.id, sweep.paused).words(now=0)
    if sweep.to_stop:
        return f"stopping: {sweep.to_stop:,} of its runs are still ending"
    if sweep.draft:
        return f"a draft: POST /sweeps/{sweep.id}/start makes its runs and starts them"
    if sweep.unregistered > 0:
        return f"registering: {sweep.registered:,} of {sweep.planned:,} runs"
    if sweep.to_queue or sweep.to_requeue:
        return f"queueing: {sweep.to_queue + sweep.to_requeue:,} of its runs"
    if sweep.halted and missing:
        return (
            f"stopped: {missing:,} of {sweep.planned:,} planned runs are not registered; "
            f"POST /sweeps/{sweep.id}/resume goes on"
        )
    if sweep.halted and sweep.runs.stopped:
        return (
            f"stopped: {sweep.runs.stopped:,} of its runs were cancelled; "
            f"POST /sweeps/{sweep.id}/resume goes on"
        )
    if sweep.halted and sweep.runs.ready:
        return f"stopped before it had started: POST /sweeps/{sweep.id}/start starts it"
    if sweep.runs.ready and sweep.runs.ready == sweep.runs.total:
        return f"not started: POST /sweeps/{sweep.id}/start"
    return None


def _creation_context(
    sweep: Sweep, known: Mapping[str, Any], ui_config: dict[str, Any] | None
) -> dict[str, Any]:
    """What older agents read: the wish that made the sweep; null is what nobody said."""
    plan = sweep.plan
    turning = None
    if plan is not None:
        turning = sum("value" not in axis for axis in plan.axes) + (plan.seeds is not None)
    return {
        "name": None,
        "goal": None,
        "description": None,
        "command": None,
        "notes": None,
        "max_runs": None,
        **known,
        "parallel_runs": sweep.parallel,
        "early_stopping_enabled": None,
        "early_stopping_patience": None,
        "hyperparameter_count": turning,
        "metric_count": None,
        "insight_count": None,
        "created_at": seconds(sweep.created_at),
        "ui_config_snapshot": ui_config,
    }
