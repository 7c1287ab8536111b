"""Calls about runs: every trial is one (P3)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Unpack
from urllib.parse import quote

from tallystick.client.caller import path_of
from tallystick.client.calls import Calls
from tallystick.client.reading import view
from tallystick.client.waiting import wait_until
from tallystick.wire.attempt_views import AttemptView
from tallystick.wire.codec import to_json
from tallystick.wire.demands import AskedWords, RunDemands
from tallystick.wire.requests import AnnotateRun, CreateRun, GpuWrap, RerunRun, UpdateRun
from tallystick.wire.views import RunView

RUN_ENDS = frozenset({"finished", "failed", "stopped"})


class RunCalls(Calls):
    """Register, start, stop and find runs."""

    def create_run(  # noqa: PLR0913 - the old word for a GPU stands beside the new ones
        self,
        name: str,
        command: str,
        *,
        sweep: str | None,
        workdir: str | None = None,
        env: Mapping[str, str] | None = None,
        params: Mapping[str, str | int | float | bool] | None = None,
        auto_start: bool = False,
        session: str | None = None,
        key: str | None = None,
        gpuwrap: GpuWrap | None = None,
        **asked: Unpack[RunDemands],
    ) -> RunView:
        """Register one trial; raises `PolicyError` (sweep_required) when the sweep is missing.

        `command` goes to `bash -c` as it stands. The same `key` answers the same run. `asked` is
        what it needs, say `gpus=2, timeout_seconds=3600, retries=1`; `gpuwrap` is the old way to
        ask for a GPU.
        """
        body = CreateRun(
            name=name,
            command=command,
            workdir=workdir,
            sweep_id=sweep,
            chat_session_id=session or self.session,
            auto_start=auto_start,
            env=dict(env or {}),
            params=dict(params or {}),
            gpuwrap_config=gpuwrap,
            **asked,
        )
        return view(RunView, self._create("/runs", body, key=key))

    def runs(
        self,
        *,
        sweep: str | None = None,
        session: str | None = None,
        status: str | None = None,
        archived: bool = False,
        filter: str | None = None,  # noqa: A002 - the word that the call has
        sort: str | None = None,
        limit: int | None = None,
    ) -> Iterator[RunView]:
        """Runs, newest first unless `sort` says otherwise; fetched page by page.

        `filter` is text such as `status:failed param.lr>=1e-3 metric.val/loss<0.2`, and `sort`
        something like `-metric.val/loss`; raises `InvalidError` for what is none.
        """
        query = {
            "filter": filter,
            "sort": sort,
            "sweep_id": sweep,
            "chat_session_id": session,
            "status": status,
            "archived": "only" if archived else None,
        }
        for item in self._pages("/runs", query, limit):
            yield view(RunView, item)

    def run(self, run_id: str, *, wait: float = 0) -> RunView:
        """One run; with `wait` (seconds, at most 55) once its status changes."""
        return view(RunView, self._caller.get(path_of("runs", run_id), wait_seconds=wait))

    def attempts(self, run_id: str, *, limit: int | None = None) -> Iterator[AttemptView]:
        """Every execution of a run, newest first; fetched page by page as they are asked for."""
        for item in self._pages(path_of("runs", run_id, "attempts"), {}, limit):
            yield view(AttemptView, item)

    def wait_run(self, run_id: str, *, timeout_seconds: float | None = None) -> RunView:
        """The run once it has ended, or as it is when the time is up."""
        return wait_until(
            lambda seen: seen.status in RUN_ENDS,
            lambda wait: self.run(run_id, wait=wait),
            timeout_seconds=timeout_seconds,
            clock=self._caller.clock,
        )

    def start_run(self, run_id: str) -> RunView:
        """Let the queue start it; harmless when it is queued or running already."""
        return self._act(run_id, "start")

    def queue_run(self, run_id: str) -> RunView:
        """The same as `start_run`: the queue starts what has room (P3.2)."""
        return self._act(run_id, "queue")

    def stop_run(self, run_id: str) -> RunView:
        """Ask for its end; it is `stopped` once every process is dead (P3.6)."""
        return self._act(run_id, "stop")

    def rerun_run(
        self,
        run_id: str,
        *,
        command: str | None = None,
        auto_start: bool = False,
        session: str | None = None,
        key: str | None = None,
        **asked: Unpack[AskedWords],
    ) -> RunView:
        """A new run that names this one as its parent; belongs to this client's session.

        It asks for what the old one asked for, but for what `asked` names.
        """
        body = RerunRun(
            command=command,
            auto_start=auto_start,
            chat_session_id=session or self.session,
            **asked,
        )
        return view(RunView, self._create(path_of("runs", run_id, "rerun"), body, key=key))

    def edit_run(
        self,
        run_id: str,
        *,
        name: str | None = None,
        command: str | None = None,
        workdir: str | None = None,
        **asked: Unpack[AskedWords],
    ) -> RunView:
        """Change it before its start; raises `ConflictError` afterwards (P3.4).

        What is left out stays, and so does what it asks for but for what `asked` names.
        """
        body = to_json(UpdateRun(name=name, command=command, workdir=workdir, **asked))
        given = {field: value for field, value in body.items() if value is not None}
        return view(RunView, self._caller.post(path_of("runs", run_id), given, method="PUT"))

    def move_run(self, run_id: str, sweep: str) -> RunView:
        """Put it into another sweep, ready or ended; harmless when it is there already."""
        return self._act(run_id, "add-to-sweep", f"?sweep_id={quote(sweep, safe='')}")

    def annotate_run(
        self,
        run_id: str,
        *,
        add_tags: Sequence[str] = (),
        remove_tags: Sequence[str] = (),
        starred: bool | None = None,
        note: str | None = None,
    ) -> RunView:
        """Tag it, star it, write a note to it, at any time; what is left out stays as it is."""
        body = AnnotateRun(
            add_tags=list(add_tags), remove_tags=list(remove_tags), starred=starred, note=note
        )
        given = {field: value for field, value in to_json(body).items() if value is not None}
        answer = self._caller.post(path_of("runs", run_id, "annotate"), given)
        return view(RunView, answer["run"])

    def archive_run(self, run_id: str) -> RunView:
        """Take it out of the ordinary lists; nothing is deleted."""
        return self._act(run_id, "archive")

    def unarchive_run(self, run_id: str) -> RunView:
        """Put it back into the ordinary lists."""
        return self._act(run_id, "unarchive")

    def _act(self, run_id: str, verb: str, query: str = "") -> RunView:
        """One of the calls that are harmless when repeated, and the run after it."""
        answer = self._caller.post(path_of("runs", run_id, verb) + query)
        inner = answer.get("run") if isinstance(answer, dict) else None
        if isinstance(inner, dict):
            return view(RunView, inner)
        return view(RunView, answer)
