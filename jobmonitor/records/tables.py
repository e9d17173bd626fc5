"""The tables, for queries and for the check that migrations make just these.

Runs in: every process that reads. What each table is for stands in the first migration.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, REAL

metadata = MetaData()
_time = DateTime(timezone=True)
_now = text("clock_timestamp()")


def _id(name: str, **options: bool) -> Column[str]:
    return Column(name, Text(collation="C"), **options)  # type: ignore[arg-type]


job = Table(
    "job",
    metadata,
    _id("id", primary_key=True),
    Column("type", Text, nullable=False),
    Column("label", Text),
    _id("parent_id"),
    Column("parent_run", Integer),
    _id("root_id", nullable=False),
    Column("root_run", Integer, nullable=False),
    _id("key"),
    _id("step_of"),
    Column("run_by", Text),
    Column("queue", Text, nullable=False),
    Column("system", Boolean, nullable=False),
    Column("stoppable", Boolean, nullable=False),
    Column("restartable", Boolean, nullable=False),
    Column("low_priority", Boolean, nullable=False),
    Column("weight", REAL, nullable=False, server_default=text("1")),
    Column("status", Text, nullable=False),
    Column("pending_because", Text),
    Column("due_at", _time),
    Column("run", Integer, nullable=False, server_default=text("1")),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("dispatch", Integer, nullable=False, server_default=text("1")),
    Column("taken_dispatch", Integer),
    Column("retries", Integer, nullable=False, server_default=text("0")),
    Column("lost", Integer, nullable=False, server_default=text("0")),
    Column("continued", Boolean, nullable=False, server_default=text("true")),
    Column("links_fired", Boolean, nullable=False, server_default=text("false")),
    Column("outbox", Text),
    Column("has_errors", Boolean, nullable=False, server_default=text("false")),
    Column("error", Text),
    Column("traceback", Text),
    Column("created_at", _time, nullable=False),
    Column("waiting_since", _time),
    Column("waited", Double, nullable=False, server_default=text("0")),
    Column("first_wait", Double),
    Column("started_at", _time),
    Column("running_since", _time),
    Column("ran", Double, nullable=False, server_default=text("0")),
    Column("finished_at", _time),
    Column("worker", Text),
    Column("worker_pid", Integer),
    Column("claimed_as", Text),
    Column("progress_done", Double),
    Column("progress_total", Double),
    Column("progress_message", Text),
    Column("checkpoint", JSON),
    Column("checkpoint_at", _time),
    Column("args", Text),
    Column("kwargs", Text),
    Column("result", Text),
    Column("result_is_whole", Boolean, nullable=False, server_default=text("false")),
)
Index("job_roots", job.c.created_at.desc(), job.c.id.desc(),
      postgresql_where=job.c.parent_id.is_(None))  # fmt: skip
Index("job_created", job.c.created_at.desc(), job.c.id.desc())
Index("job_of_parent", job.c.parent_id, job.c.created_at, job.c.id,
      postgresql_where=job.c.parent_id.is_not(None))  # fmt: skip
Index("job_of_root", job.c.root_id)
Index("job_key", job.c.parent_id, job.c.parent_run, job.c.key, unique=True,
      postgresql_where=job.c.key.is_not(None))  # fmt: skip
Index("job_groups", job.c.created_at, postgresql_where=job.c.type == "group")
Index("job_outbox", job.c.id, postgresql_where=job.c.outbox.is_not(None))

job_message = Table(
    "job_message",
    metadata,
    _id("job_id", primary_key=True),
    Column("envelope", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("outcome", LargeBinary),
)

job_children = Table(
    "job_children",
    metadata,
    _id("job_id", primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("slot", SmallInteger, primary_key=True),
    *(
        Column(name, BigInteger, nullable=False, server_default=text("0"))
        for name in (
            "total", "finished", "with_errors",
            "descendants_total", "descendants_finished", "descendants_with_errors",
        )
    ),
)  # fmt: skip

job_run = Table(
    "job_run",
    metadata,
    _id("job_id", primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("started_at", _time),
    Column("finished_at", _time),
    Column("waited", Double, nullable=False),
    Column("first_wait", Double),
    Column("ran", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("lost", Integer, nullable=False),
    Column("has_errors", Boolean, nullable=False),
    Column("error", Text),
    Column("traceback", Text),
    Column("result", Text),
)

job_hold = Table(
    "job_hold",
    metadata,
    _id("job_id", primary_key=True),
    _id("root_id", nullable=False),
    Column("operation", Text, nullable=False),
    Column("held_by", Text),
    Column("held_at", _time, nullable=False, server_default=_now),
)
Index("job_hold_root", job_hold.c.root_id)

job_event = Table(
    "job_event",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _id("job_id", nullable=False),
    Column("at", _time, nullable=False, server_default=_now),
    Column("event", Text, nullable=False),
    Column("actor", Text),
    Column("from_status", Text),
    Column("to_status", Text),
    Column("reason", Text),
)
Index("job_event_job", job_event.c.job_id, job_event.c.id)

job_log = Table(
    "job_log",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    _id("job_id", nullable=False),
    Column("run", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", _time, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("logger", Text, nullable=False),
    Column("message", Text, nullable=False),
    postgresql_partition_by="RANGE (at)",
)
Index("job_log_job", job_log.c.job_id, job_log.c.id)

worker = Table(
    "worker",
    metadata,
    _id("id", primary_key=True),
    Column("node", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pool", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("queues", ARRAY(Text), nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", _time, nullable=False, server_default=_now),
    Column("beat_at", _time, nullable=False, server_default=_now),
    Column("ended_at", _time),
)

api_token = Table(
    "api_token",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("created_at", _time, nullable=False, server_default=_now),
    Column("last_used_at", _time),
    Column("revoked_at", _time),
)

panel_user = Table(
    "panel_user",
    metadata,
    _id("name", primary_key=True),
    Column("role", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("created_at", _time, nullable=False, server_default=_now),
    Column("last_login_at", _time),
)

panel_session = Table(
    "panel_session",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column(
        "user_name",
        Text(collation="C"),
        ForeignKey("panel_user.name", onupdate="CASCADE", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("created_at", _time, nullable=False, server_default=_now),
    Column("seen_at", _time, nullable=False, server_default=_now),
)
Index("panel_session_user", panel_session.c.user_name)

panel_key = Table(
    "panel_key",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("secret", LargeBinary, nullable=False),
)
