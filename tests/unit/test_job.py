"""The running job as its task sees it, with a clock and a recorder of the test's own."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

import pytest

from jobmonitor import job as job_module
from jobmonitor.current import current_job, enter, leave, running_job
from jobmonitor.errors import (
    CheckpointRefused,
    JobFenced,
    JobStopped,
    ProgressRefused,
)
from jobmonitor.job import Identity, RunningJob
from tests.unit.running_jobs import Clock, Log, Recorder, attempt_of


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(job_module, "time", clock)
    return clock


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def job(recorder: Recorder, clock: Clock) -> RunningJob:
    return attempt_of(recorder)


# -- how often it writes -------------------------------------------------------------------


def test_a_hundred_thousand_steps_write_once_a_second(
    job: RunningJob, recorder: Recorder, clock: Clock
) -> None:
    for step in job.iterate(range(100_000)):
        clock.now += 0.0001
        job.progress(step)
    assert 9 <= len(recorder.reports) <= 10


def test_what_was_said_last_is_always_written(job: RunningJob, recorder: Recorder) -> None:
    for done in range(10):
        job.progress(done, 10, f"row {done}")
        job.checkpoint({"row": done})
    assert recorder.reports == []
    last = job.last_report()
    assert (last.done, last.total, last.message) == (9, 10, "row 9")
    assert json.loads(last.checkpoint or "") == {"state": {"row": 9}}


def test_nothing_is_written_twice(job: RunningJob, recorder: Recorder, clock: Clock) -> None:
    job.checkpoint({"row": 1})
    clock.now += 2
    job.progress(1, 2)
    last = job.last_report()
    assert recorder.reports[0].checkpoint is not None
    assert (last.checkpoint, last.has_progress) == (None, False)


def test_while_the_database_is_away_the_job_goes_on_and_says_it_later(
    job: RunningJob, recorder: Recorder, clock: Clock
) -> None:
    recorder.away = True
    clock.now += 2
    job.checkpoint({"row": 5})
    job.progress(5, 10)
    recorder.away = False
    last = job.last_report()
    assert (last.done, json.loads(last.checkpoint or "")) == (5, {"state": {"row": 5}})


def test_what_another_thread_says_during_a_write_is_not_lost(
    job: RunningJob, recorder: Recorder, clock: Clock
) -> None:
    def meanwhile() -> None:
        thread = threading.Thread(target=lambda: (job.progress(9, 9), job.checkpoint("end")))
        thread.start()
        thread.join()

    recorder.meanwhile = meanwhile
    clock.now += 2
    job.progress(1, 9)
    last = job.last_report()
    assert (last.done, json.loads(last.checkpoint or "")) == (9, {"state": "end"})


def test_a_safe_point_is_told_though_it_saves_nothing(
    job: RunningJob, recorder: Recorder, clock: Clock
) -> None:
    clock.now += 2
    job.progress(1, 2)
    clock.now += 2
    job.checkpoint()
    assert [(one.safe, one.checkpoint) for one in recorder.reports] == [
        (False, None), (True, None)
    ]  # fmt: skip


# -- stop ----------------------------------------------------------------------------------


def test_a_stop_ends_the_job_at_its_next_safe_point_with_its_checkpoint(
    job: RunningJob, recorder: Recorder, clock: Clock
) -> None:
    recorder.status = "stopping"
    done = []
    with pytest.raises(JobStopped):
        for item in job.iterate("abcdef"):
            done.append(item)
            clock.now += 0.4
    assert done == ["a", "b", "c"]
    again = attempt_of(recorder, recorder.reports[-1])
    assert list(again.iterate("abcdef")) == ["d", "e", "f"]


def test_progress_alone_is_no_safe_point(
    job: RunningJob, recorder: Recorder, clock: Clock
) -> None:
    recorder.status = "stopping"
    clock.now += 2
    job.progress(1, 2)
    assert recorder.halts == []
    with pytest.raises(JobStopped):
        job.checkpoint()


def test_a_job_that_is_not_stoppable_goes_on(recorder: Recorder, clock: Clock) -> None:
    who = Identity("j1", "j1", None, None, 1, 1, stoppable=False)
    job = RunningJob(who, recorder, interval=1, checkpoint_max=100)
    recorder.status = "stopping"
    clock.now += 2
    job.checkpoint()
    assert recorder.halts == []


@pytest.mark.parametrize("call", ["checkpoint", "progress"])
def test_an_attempt_that_was_fenced_out_ends(
    job: RunningJob, recorder: Recorder, clock: Clock, call: str
) -> None:
    recorder.status = None
    clock.now += 2
    with pytest.raises(JobFenced):
        job.checkpoint(1) if call == "checkpoint" else job.progress(1)


def test_a_stop_that_cannot_be_written_waits(
    job: RunningJob, recorder: Recorder, clock: Clock
) -> None:
    recorder.status = "stopping"
    clock.now += 2
    job.progress(1)
    recorder.away = True
    job.checkpoint()
    recorder.away = False
    with pytest.raises(JobStopped):
        job.checkpoint()


# -- checkpoint, progress, error -----------------------------------------------------------


def test_the_state_comes_back_in_the_next_attempt(job: RunningJob, recorder: Recorder) -> None:
    assert job.state is None
    job.checkpoint({"row": 1})
    assert job.state == {"row": 1}
    assert attempt_of(recorder, job.last_report()).state == {"row": 1}


def test_a_checkpoint_without_a_state_keeps_the_last_one(job: RunningJob) -> None:
    job.checkpoint({"row": 1})
    job.checkpoint()
    assert job.state == {"row": 1}


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (object(), "a checkpoint must be JSON"),
        (float("nan"), "a checkpoint must be JSON"),
        (
            "x" * 2_000,
            r"has 2,\d+ bytes; at most 1,000 are accepted \(setting checkpoint_max\)",
        ),
    ],
    ids=["no JSON", "NaN", "too large"],
)
def test_a_checkpoint_that_cannot_be_kept_is_refused_with_a_sentence(
    job: RunningJob, clock: Clock, state: Any, sentence: str
) -> None:
    clock.now += 2
    with pytest.raises(CheckpointRefused, match=sentence):
        job.checkpoint(state)
    job.last_report()


@pytest.mark.parametrize(
    ("done", "total"),
    [(-1, None), (1, 0), (1, -1), (float("nan"), 1), (1, float("inf")), (True, 1), ("1", 2),
     (10**400, None), (1, 10**400)],
)  # fmt: skip
def test_progress_that_makes_no_sense_is_refused(
    job: RunningJob, done: Any, total: Any
) -> None:
    for progress in (job.progress, current_job().progress):
        with pytest.raises(ProgressRefused, match="progress"):
            progress(done, total)


def test_a_total_is_said_once(job: RunningJob) -> None:
    job.progress(1, 10)
    job.progress(2)
    assert job.last_report().total == 10


def test_an_error_is_a_scrubbed_line_of_the_log_and_marks_the_job(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    job = attempt_of(recorder, scrub=lambda text: text.replace("hunter22", "***"))
    job.log = log = Log()
    with caplog.at_level(logging.ERROR, "jobmonitor.job"):
        job.error("bad row hunter22", line=3, value="hunter22")
    assert job.last_report().has_errors
    assert caplog.messages == ["bad row *** (line=3, value='***')"]
    assert log.lines == [(logging.ERROR, "jobmonitor.job", caplog.messages[0])]


def test_the_log_is_written_before_the_stop(
    job: RunningJob, recorder: Recorder, clock: Clock
) -> None:
    job.log = log = Log()
    recorder.status = "stopping"
    clock.now += 2
    with pytest.raises(JobStopped):
        job.checkpoint()
    assert (log.flushed, len(recorder.halts)) == (1, 1)


def test_a_message_is_storable_and_not_endless(job: RunningJob) -> None:
    job.progress(1, message="a\0" + "x" * 5_000)
    message = job.last_report().message or ""
    assert "\0" not in message
    assert len(message) < 1_100


# -- which job runs here -------------------------------------------------------------------


def test_outside_a_job_the_same_calls_do_nothing(clock: Clock) -> None:
    job = current_job()
    assert running_job() is None
    job.progress(1, 2, "halfway")
    job.checkpoint({"row": 1})
    assert job.state is None
    assert list(job.iterate("ab")) == ["a", "b"]
    assert list(job.iterate(lambda cursor: [(1, "a"), (2, "b")], total=2)) == ["a", "b"]
    assert list(job.step("load")) == ["load"]
    assert (job.id, job.run, job.attempt) == (None, 0, 0)


def test_outside_a_job_an_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "jobmonitor.job"):
        current_job().error("bad row")
    assert caplog.messages == ["bad row"]


def test_a_bound_function_finds_its_job_in_any_thread(job: RunningJob) -> None:
    found: list[Any] = []
    for function in (
        lambda: found.append(current_job()),
        job.bind(lambda: found.append(current_job())),
    ):
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()
    assert found[0] is not job
    assert found[1] is job


def test_a_job_is_the_current_one_until_it_is_left(job: RunningJob) -> None:
    enter(job)
    assert current_job() is job
    leave()
    assert running_job() is None
