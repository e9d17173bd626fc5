"""What a job is given or does that makes no sense: one sentence, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from celery import Celery

from jobmonitor.states import FINAL
from tests.acceptance_fixtures import imported_app
from tests.waiting import eventually
from tests.workers import Worker, workers

APP = "tests.acceptance.bad_input_app"


@pytest.fixture(scope="module")
def shop(environment: dict[str, str]) -> Iterator[ModuleType]:
    with imported_app(APP, environment | {"SENDER": "1"}) as module:
        yield module


@pytest.fixture(scope="module")
def worker(
    shop: ModuleType, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    knows_less = environment | {"SENDER": ""}
    with workers(Worker(APP, knows_less, tmp_path_factory.mktemp("log"))) as (one,):
        yield one
        assert one.alive


@pytest.fixture
def run(shop: ModuleType, worker: Worker) -> Callable[..., Any]:
    """Submit a task by name, and wait for the end of its job."""

    def run(name: str, *args: Any, **options: Any) -> Any:
        sent = getattr(shop, name).apply_async(args, **options)
        return shop.monitor.jobs.wait_for(sent.id, timeout=30)

    return run


def lines(shop: ModuleType, job_id: str) -> list[str]:
    """What a job logged."""
    found = shop.monitor.jobs.logs(job_id, newest_first=False).lines
    return [line.message for line in found]


# -- checkpoints -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (
            "no JSON",
            "a checkpoint must be JSON: Object of type object is not JSON serializable",
        ),
        ("NaN", "a checkpoint must be JSON: Out of range float values are not JSON compliant"),
        (
            "over its cap",
            "the checkpoint has 3,013 bytes; at most 2,000 are accepted (setting "
            "checkpoint_max): save a position, not the data",
        ),
        ("bytes", "a checkpoint must be JSON: Object of type bytes is not JSON serializable"),
        ("a key", "a checkpoint must be JSON: keys must be str, int, float, bool or None"),
        ("nested", "a checkpoint must be JSON: maximum recursion depth exceeded"),
    ],
)
def test_a_checkpoint_that_cannot_be_kept_is_the_tasks_to_catch_and_the_last_good_one_stays(
    run: Callable[..., Any], kind: str, says: str
) -> None:
    job = run("save", kind)
    error, sentence, state = job.result
    assert (error, state) == ("CheckpointRefused", {"row": 1})
    assert sentence.startswith(says)
    assert (job.has_errors, job.checkpoint) == (False, {"state": {"row": 1}})


def test_a_refused_checkpoint_that_nobody_catches_fails_the_job(
    run: Callable[..., Any], shop: ModuleType
) -> None:
    job = run("save_uncaught")
    assert job.error == (
        "CheckpointRefused: a checkpoint must be JSON: "
        "Object of type object is not JSON serializable"
    )
    assert job.checkpoint == {"state": {"row": 1}}
    assert job.error in lines(shop, job.id)[-1]


@pytest.mark.parametrize("kind", ["no JSON", "over its cap"])
def test_a_bad_checkpoint_at_the_end_costs_nothing_but_a_line_in_the_log(
    run: Callable[..., Any], shop: ModuleType, kind: str
) -> None:
    job = run("save_last", kind)
    assert (job.result, job.has_errors, job.checkpoint) == (
        "returned", False, {"state": {"row": 1}},
    )  # fmt: skip
    [line] = lines(shop, job.id)
    assert line.startswith("the last checkpoint is not kept: ")


# -- progress --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("negative", "progress done must be a finite number zero or above, not -1"),
        ("negative total", "progress total must be a finite number above zero, not -1"),
        (
            "total of zero",
            "progress total must be above zero, not 0; leave it out while it is unknown",
        ),
        ("NaN", "progress done must be a finite number zero or above, not nan"),
        ("infinite total", "progress total must be a finite number above zero, not inf"),
        ("text", "progress done must be a finite number zero or above, not '1'"),
        ("text as total", "progress total must be a finite number above zero, not '2'"),
        ("True", "progress done must be a finite number zero or above, not True"),
        ("None", "progress done must be a finite number zero or above, not None"),
        ("large", f"progress done must be a finite number zero or above, not 1{'0' * 59}…"),
    ],
)
def test_progress_that_makes_no_sense_is_the_tasks_to_catch(
    run: Callable[..., Any], kind: str, says: str
) -> None:
    job = run("report", kind)
    assert job.result == ["ProgressRefused", says]
    assert (job.progress.done, job.progress.total) == (1, 4)


def test_refused_progress_that_nobody_catches_fails_the_job(run: Callable[..., Any]) -> None:
    job = run("report_uncaught")
    assert job.error.startswith("ProgressRefused: progress total must be above zero, not 0")


# -- errors and results ----------------------------------------------------------------------


@pytest.mark.parametrize("link", [False, True], ids=["alone", "with a link"])
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("hostile text", "ValueError: a\ufffdb?c"),
        (
            "without words",
            "WordlessError: [the text of this WordlessError raised RuntimeError]",
        ),
        ("not for pickle", "UnpickledError: one"),
        ("huge", "ValueError: hhh"),
    ],
)
def test_an_error_of_any_kind_ends_its_job_and_is_shown(
    run: Callable[..., Any], shop: ModuleType, kind: str, error: str, link: bool
) -> None:
    options = {"link_error": shop.echo.si(kind)} if link else {}
    job = run("fail", kind, **options)
    assert job.error.startswith(error)
    assert (job.attempt, job.has_errors) == (1, True)
    assert max(len(job.error), len(job.traceback)) < 9_000
    assert lines(shop, job.id)
    assert eventually(lambda: shop.app.AsyncResult(job.id).state == "FAILURE")
    if link:
        eventually(lambda: shop.monitor.jobs.get(job.id).children.finished == 1)


@pytest.mark.parametrize(
    ("task", "error"),
    [("fail_deep", "RecursionError: "), ("fail_in_a_chain", "ValueError: cause 999")],
)
def test_a_traceback_of_any_length_is_cut(
    run: Callable[..., Any], task: str, error: str
) -> None:
    job = run(task)
    assert job.error.startswith(error)
    assert len(job.traceback) < 9_000


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("an object", "EncodeError: Object of type object is not JSON serializable"),
        ("without words", "EncodeError: Object of type WithoutWords is not JSON serializable"),
        ("a set", "EncodeError: Object of type set is not JSON serializable"),
        ("nested", "EncodeError: maximum recursion depth exceeded"),
        ("hostile text", None),
        ("huge", None),
        ("NaN", None),
        ("bytes", None),
    ],
)
def test_a_result_of_any_kind_is_kept_or_is_an_error_of_its_job(
    run: Callable[..., Any], shop: ModuleType, kind: str, error: str | None
) -> None:
    job = run("give", kind)
    eventually(lambda: shop.app.AsyncResult(job.id).ready())
    # the row learns after the result backend that a result could not be written
    eventually(lambda: shop.monitor.jobs.get(job.id).has_errors == bool(error), within=20)
    job = shop.monitor.jobs.get(job.id)
    state = shop.app.AsyncResult(job.id).state
    assert (state, job.has_errors) == (("FAILURE", True) if error else ("SUCCESS", False))
    assert (job.error or "").startswith(error or "")
    assert len(str(job.result)) < 9_000


@pytest.mark.parametrize("kind", ["an object", "without words", "nested"])
def test_a_result_that_nobody_wants_may_be_anything(run: Callable[..., Any], kind: str) -> None:
    job = run("give", kind, ignore_result=True)
    assert not job.has_errors
    assert job.result.endswith("that cannot be shown")


# -- submitted by a job ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("no JSON", "EncodeError: Object of type object is not JSON serializable"),
        ("over the cap", "MessageTooLarge: the message of tests.acceptance.bad_input_app.add"),
    ],
)
def test_a_child_that_is_refused_is_the_tasks_to_catch(
    run: Callable[..., Any], kind: str, says: str
) -> None:
    job = run("submit_badly", kind)
    assert job.result.startswith(says)
    assert (job.children.total, job.has_errors) == (0, False)


@pytest.mark.parametrize(
    ("kind", "error", "retries"),
    [
        ("no JSON", "EncodeError: Object of type object is not JSON serializable", 0),
        ("over the cap", "MessageTooLarge: the message of tests.acceptance.bad_input_app", 0),
        ("hostile", "ValueError: a\ufffdb?c", 2),
    ],
)
def test_a_retry_that_cannot_be_sent_ends_its_job(
    run: Callable[..., Any], kind: str, error: str, retries: int
) -> None:
    job = run("retry_badly", kind)
    assert job.error.startswith(error)
    assert job.retries == retries


def test_a_replacement_that_cannot_be_sent_ends_its_job(run: Callable[..., Any]) -> None:
    assert run("replace_badly").error.startswith("EncodeError: ")


# -- messages that can never run --------------------------------------------------------------


def test_a_message_that_no_worker_may_read_ends_its_job(run: Callable[..., Any]) -> None:
    job = run("add", 1, 2, serializer="yaml")
    assert job.error.startswith("ContentDisallowed: Refusing to deserialize")
    assert (job.attempt, job.has_errors) == (0, True)


def test_ids_that_no_job_has_hold_up_no_end_in_the_worker(
    run: Callable[..., Any], shop: ModuleType, worker: Worker
) -> None:
    shop.app.control.revoke(["a\0", "\ud800", 123, "x" * 10_000])
    waiting = shop.add.apply_async((1, 2), countdown=300)
    shop.app.control.revoke(waiting.id)
    assert shop.monitor.jobs.wait_for(waiting.id, "canceled", timeout=20)


@pytest.mark.parametrize("said", ["alice", ["dispatch"], {"dispatch": "x"}, 7])
def test_anything_may_stand_in_our_header(
    shop: ModuleType, worker: Worker, environment: dict[str, str], said: Any
) -> None:
    with Celery("foreign", broker=environment["BROKER_URL"], set_as_current=False) as foreign:
        unknown = foreign.send_task("nobody.knows", headers={"jobmonitor": said})
        known = foreign.send_task(shop.add.name, (1, 2), headers={"jobmonitor": said})
    eventually(lambda: unknown.id in worker.log, within=20)
    eventually(lambda: shop.monitor.jobs.some([known.id]), within=20)
    assert shop.monitor.jobs.wait_for(known.id, timeout=20).result == 3
    assert worker.alive


def test_wrong_arguments_are_the_errors_of_their_jobs(shop: ModuleType, worker: Worker) -> None:
    sent = shop.app.send_task(shop.add.name, (1, 2, 3))
    job = shop.monitor.jobs.wait_for(sent.id, timeout=20)
    assert job.error.startswith(
        "TypeError: add() takes 2 positional arguments but 3 were given"
    )


# -- text --------------------------------------------------------------------------------------


def test_any_text_is_kept_everywhere(run: Callable[..., Any], shop: ModuleType) -> None:
    with shop.monitor.acting(shop.HOSTILE):
        job = run("say", shop.HOSTILE, label=shop.HOSTILE)
    assert job.result == shop.HOSTILE
    assert (job.run_by, job.label, job.args) == ("a\ufffdb?c", "a\ufffdb?c", [shop.HOSTILE])
    assert job.progress.message == "a\ufffdb?c"
    assert job.checkpoint["state"] == {shop.HOSTILE: shop.HOSTILE}
    assert job.error is None
    assert job.children.total == 2
    logged = lines(shop, job.id)
    assert sum("b?c" in line for line in logged) >= 3
    assert "values (one='a\\x00b\\ud800c', two=[the text of this WithoutWords raised" in str(
        logged
    ).replace("\\\\", "\\")


def test_what_has_no_words_is_said_to_have_none(
    run: Callable[..., Any], shop: ModuleType
) -> None:
    job = run("say_without_words")
    assert job.error is None
    assert job.progress.message == "[the text of this WithoutWords raised RuntimeError]"
    assert lines(shop, job.id) == ["[the text of this WithoutWords raised RuntimeError]"]


def test_no_job_is_left_behind(shop: ModuleType, worker: Worker) -> None:
    def unfinished() -> list[str]:
        jobs = shop.monitor.jobs.find(roots_only=False, limit=500).jobs
        return [job.type for job in jobs if job.status not in FINAL | {"stopped"}]

    eventually(lambda: not unfinished(), within=20, says="every job has ended")
    assert "an end could not be written" not in worker.log
    assert "jobmonitor: a beat failed" not in worker.log
