"""Every projection's table, in one MetaData; `op_` tables hold nothing that is a fact."""

from typing import Final

from sqlalchemy import BigInteger, Column, MetaData, String, Table

from tallystick.domain.alert import Alert
from tallystick.domain.attempt import Attempt
from tallystick.domain.budget import Budget
from tallystick.domain.cluster import Cluster
from tallystick.domain.guard import Decision, GuardException, ProjectPolicy
from tallystick.domain.notice import Notice
from tallystick.domain.policy import Policy
from tallystick.domain.protocol import Publication
from tallystick.domain.request import SeenRequest
from tallystick.domain.run import Run
from tallystick.domain.session import Session
from tallystick.domain.status import Totals
from tallystick.domain.sweep import Sweep
from tallystick.domain.token import Token
from tallystick.projections.rows import Shape

VERSION: Final = 5
"""Another version at start rebuilds every projection from the ledger."""

metadata = MetaData()

runs = Shape(
    Run,
    "runs",
    metadata,
    indexes=[
        ("created_seq",),
        ("archived", "created_seq"),
        ("sweep", "created_seq"),
        ("session", "created_seq"),
        ("status", "created_seq"),
        ("phase", "queued_seq"),
        ("lane", "queued_seq", "not_before"),
        ("held", "queued_seq"),
    ],
)
attempts = Shape(Attempt, "attempts", metadata, indexes=[("run",), ("active",)])
sweeps = Shape(
    Sweep,
    "sweeps",
    metadata,
    indexes=[
        ("created_seq",),
        ("archived", "created_seq"),
        ("session", "created_seq"),
        ("unsettled",),
        ("runs_queued",),
    ],
)
sessions = Shape(Session, "sessions", metadata, indexes=[("opened_seq",), ("runs_queued",)])
tokens = Shape(Token, "tokens", metadata, indexes=[("sha256",), ("created_seq",)])
policy = Shape(Policy, "policy", metadata)
totals = Shape(Totals, "totals", metadata)
requests = Shape(SeenRequest, "requests", metadata)
budgets = Shape(Budget, "budgets", metadata)
alerts = Shape(
    Alert,
    "alerts",
    metadata,
    indexes=[
        ("created_seq",),
        ("run", "created_seq"),
        ("session", "created_seq"),
        ("session", "action", "created_seq"),
    ],
)
cluster = Shape(Cluster, "cluster", metadata)
notices = Shape(Notice, "notices", metadata, indexes=[("seq",), ("session", "seq")])
publications = Shape(Publication, "publications", metadata)
decisions = Shape(
    Decision,
    "guard_decisions",
    metadata,
    indexes=[("created_seq",), ("session", "created_seq"), ("action", "created_seq")],
)
exceptions = Shape(GuardException, "guard_exceptions", metadata, indexes=[("created_seq",)])
projects = Shape(ProjectPolicy, "project_policies", metadata, indexes=[("accepted_seq",)])

positions = Table(
    "op_positions",
    metadata,
    Column("name", String, primary_key=True),
    Column("version", BigInteger, nullable=False),
)
"""Which version of the projections the tables hold."""

unsealed = Table(
    "op_unsealed",
    metadata,
    Column("run", String, primary_key=True),
    Column("since", BigInteger, nullable=False),
)
"""Runs with streams that no entry covers whole yet."""
