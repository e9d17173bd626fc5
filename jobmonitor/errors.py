"""The errors of jobmonitor, one tree.

    JobMonitorError
    ├── ConfigurationError      the app or a setting cannot work as it is
    │   └── WrongProtocol       the app sends messages without headers
    ├── ServerError             an embedded server could not be found, started or stopped
    ├── DatabaseUnavailable     Postgres cannot be reached
    ├── NotMigrated             the tables are missing or older than the code
    ├── MigratedFurther         the tables are newer than the code
    ├── SubmissionRefused       a job cannot be accepted as it was given
    │   ├── JobExists           its id belongs to a job that is not final
    │   │   └── JobNotDone      … or that is final, but not done with
    │   └── MessageTooLarge     its message is over the cap
    ├── JobNotFound             there is no job with this id
    ├── QueueNotFound           there is no queue with this name
    ├── TokenRefused            a token cannot be made or found
    ├── UserRefused             a user of the panel cannot be made, changed or found
    ├── QueryRefused            a filter or cursor makes no sense
    ├── CheckpointRefused       a checkpoint cannot be stored
    ├── ProgressRefused         a progress report makes no sense
    ├── MalformedMessage        what came from the broker cannot be delivered
    ├── WorkerLost              the attempt's worker vanished too often
    └── TaskExited              the task raised SystemExit or KeyboardInterrupt

    JobInterrupt (BaseException: a task's own `except Exception` cannot swallow it)
    ├── JobStopped              a person asked the job to stop; it did, at a safe point
    └── JobFenced               the attempt is no longer the job's current one

Every constructor takes facts and makes the sentence.
"""

from __future__ import annotations

from collections.abc import Iterable

_ID_MAX = 255


class JobMonitorError(Exception):
    """Base of every error that jobmonitor raises."""


class ConfigurationError(JobMonitorError):
    """The app or a setting cannot work as it is; the sentence says what to change."""


class WrongProtocol(ConfigurationError):
    """The app sends messages of Celery 3, which have no headers."""

    def __init__(self) -> None:
        super().__init__("task_protocol must be 2, Celery's default: 1 has no headers")


class ServerError(JobMonitorError):
    """An embedded server could not be found, started or stopped."""


class DatabaseUnavailable(JobMonitorError):
    """Postgres cannot be reached, or the connection broke."""

    def __init__(self, address: str, cause: BaseException) -> None:
        first_line = str(cause).strip().splitlines()[0] if str(cause).strip() else repr(cause)
        super().__init__(f"the database {address} cannot be reached: {first_line}")


class NotMigrated(JobMonitorError):
    """The tables are missing or older than the code."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"the database {address} does not have jobmonitor's tables of this version; "
            "run `celery -A your_app jobs migrate`"
        )


class MigratedFurther(JobMonitorError):
    """The tables were made by a newer version than the code."""

    def __init__(self, address: str, have: str, want: str) -> None:
        super().__init__(
            f"the database {address} was migrated to {have} by a newer jobmonitor; this one "
            f"knows {want}: upgrade jobmonitor here"
        )


class SubmissionRefused(JobMonitorError):
    """A job cannot be accepted as it was given; nothing was recorded or published."""


class JobExists(SubmissionRefused):
    """The id belongs to a job that is not final."""

    def __init__(self, job_id: str, shown_status: str) -> None:
        super().__init__(
            f"job {job_id} exists already and is {shown_status}; "
            "an id can be used again once its job is Finished or Canceled"
        )


class JobNotDone(JobExists):
    """The id belongs to a job that is final, but something of its last run is not done."""

    def __init__(self, job_id: str) -> None:
        SubmissionRefused.__init__(
            self,
            f"job {job_id} ended, but cannot be run anew yet: what it submitted is unfinished, "
            "a job above it is held, or no worker has told Celery of its end; try again later",
        )


class MessageTooLarge(SubmissionRefused):
    """The message is over the cap."""

    def __init__(self, name: str, size: int, limit: int) -> None:
        super().__init__(
            f"the message of {name} has {size:,} bytes; at most {limit:,} are accepted "
            "(setting message_max): store the data elsewhere and pass a reference"
        )


class JobNotFound(JobMonitorError):
    """There is no job with this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job with the id {_short(job_id)!r}")


def _short(job_id: str) -> str:
    """Keep what cannot be an id, as long as anything, out of a sentence."""
    text = str(job_id)
    return text if len(text) <= _ID_MAX else f"{text[:50]}…"


class QueueNotFound(JobMonitorError):
    """There is no queue with this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"there is no queue {_short(name)!r}; there are: {', '.join(known) or 'none'}"
        )


class TokenRefused(JobMonitorError):
    """A token cannot be made or found."""


class UserRefused(JobMonitorError):
    """A user of the panel cannot be made, changed or found."""


class QueryRefused(JobMonitorError):
    """A filter, a limit or a cursor makes no sense."""


class CheckpointRefused(JobMonitorError):
    """A checkpoint cannot be stored; the job keeps its earlier one."""


class ProgressRefused(JobMonitorError):
    """A progress report makes no sense."""


class MalformedMessage(JobMonitorError):
    """What came from the broker cannot be delivered; the sentence says what is wrong."""


class WorkerLost(JobMonitorError):
    """The attempt's worker vanished too often, or its task must not run twice."""


class TaskExited(JobMonitorError):
    """The task raised SystemExit or KeyboardInterrupt: its own failure, not a lost worker."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"the task raised {cause!r}")


class JobInterrupt(BaseException):
    """Ends the running attempt from inside; turned into Celery's Ignore in one place."""

    def __init__(self, job_id: str, why: str) -> None:
        self.job_id = job_id
        super().__init__(f"job {job_id} {why}")


class JobStopped(JobInterrupt):
    """A person asked the job to stop; it did, at a safe point."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id, "stopped at a checkpoint")


class JobFenced(JobInterrupt):
    """The attempt is no longer the job's current one; nothing it still writes is kept."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id, "is no longer this attempt's: it was stopped or taken over")
