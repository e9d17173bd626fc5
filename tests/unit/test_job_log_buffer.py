"""Lines on their way: capped, waiting while the database is away, written in order."""

from __future__ import annotations

import logging
import threading

import pytest

from jobmonitor.errors import DatabaseUnavailable
from jobmonitor.job_log import buffer as module
from tests.unit.logged import Written, logged_job
from tests.waiting import eventually

INFO = logging.INFO


@pytest.fixture
def written() -> Written:
    return Written()


def threads() -> int:
    return sum(thread.name == "jobmonitor-log" for thread in threading.enumerate())


# -- when it is written ----------------------------------------------------------------------


def test_without_a_line_there_is_no_thread_and_no_statement(written: Written) -> None:
    before = threads()
    job = logged_job(written)
    for _ in range(10):
        job.log.flush()
    assert (written.statements, threads()) == (0, before)


def test_lines_are_written_together_soon_after_the_first(written: Written) -> None:
    job = logged_job(written)
    for number in range(100):
        job.log.add(INFO, "shop", str(number))
    eventually(lambda: written.lines, within=10)
    assert (written.statements, written.messages) == (1, [str(n) for n in range(100)])


def test_the_thread_goes_on_with_later_lines(written: Written) -> None:
    job = logged_job(written)
    before = threads()
    for number in range(3):
        job.log.add(INFO, "shop", str(number))
        eventually(lambda n=number: len(written.lines) == n + 1, within=10)
    assert threads() == before + 1


def test_a_flush_writes_at_once_and_nothing_twice(written: Written) -> None:
    job = logged_job(written)
    job.log.add(INFO, "shop", "a")
    job.log.flush()
    job.log.flush()
    assert (written.messages, written.statements) == (["a"], 1)


def test_a_flush_waits_for_what_is_being_written(written: Written) -> None:
    job = logged_job(written)
    go_on = threading.Event()
    written.meanwhile = lambda: go_on.wait(10) and None
    job.log.add(INFO, "shop", "a")
    assert written.tried.wait(10)
    job.log.add(INFO, "shop", "b")
    threading.Timer(0.1, go_on.set).start()
    job.log.flush()
    assert written.messages == ["a", "b"]


def test_many_threads_lose_no_line(written: Written) -> None:
    job = logged_job(written, lines_max=10_000, waiting_max=10_000)

    def say(word: str) -> None:
        for number in range(500):
            job.log.add(INFO, "shop", f"{word}{number}")

    some = [threading.Thread(target=say, args=(word,)) for word in "abcd"]
    for thread in some:
        thread.start()
    for thread in some:
        thread.join()
    job.log.flush()
    assert len(set(written.messages)) == 2_000 == len(written.messages)
    assert [m for m in written.messages if m[0] == "a"] == [f"a{n}" for n in range(500)]


def test_what_is_logged_while_it_writes_does_not_come_back(
    written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    job = logged_job(written)
    seen: list[bool] = []
    written.meanwhile = lambda: seen.append(module.is_unheard())
    job.log.add(INFO, "shop", "a")
    job.log.flush()
    assert seen == [True]
    assert not module.is_unheard()


# -- the database is away --------------------------------------------------------------------


def test_lines_wait_while_the_database_is_away(written: Written) -> None:
    job = logged_job(written)
    written.away = True
    job.log.add(INFO, "shop", "a")
    with pytest.raises(DatabaseUnavailable):
        job.log.flush()
    job.log.add(INFO, "shop", "b")
    written.away = False
    job.log.flush()
    assert written.messages == ["a", "b"]


def test_the_thread_tries_again_by_itself(written: Written) -> None:
    job = logged_job(written)
    written.away = True
    job.log.add(INFO, "shop", "a")
    assert written.tried.wait(10)
    written.away = False
    eventually(lambda: written.messages == ["a"], within=10)


def test_what_the_buffer_had_no_room_for_is_said(written: Written) -> None:
    job = logged_job(written, waiting_max=5)
    written.away = True
    for number in range(12):
        job.log.add(INFO, "shop", str(number))
    written.away = False
    job.log.flush()
    assert written.messages[:5] == list("01234")
    assert written.messages[5].startswith("7 lines were not kept: the database was away")
    job.log.add(INFO, "shop", "12")
    job.log.flush()
    assert written.messages[6:] == ["12"]


def test_lines_that_are_refused_for_good_do_not_keep_others(
    written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise ValueError("no")

    job = logged_job(written)
    written.meanwhile = refuse
    job.log.add(INFO, "shop", "bad")
    job.log.flush()
    written.meanwhile = None
    job.log.add(INFO, "shop", "good")
    job.log.flush()
    assert written.messages == ["good"]
    assert "1 lines of logs were refused" in caplog.text


# -- caps ------------------------------------------------------------------------------------


def test_lines_over_the_cap_are_counted_and_their_errors_still_mark_the_job(
    written: Written,
) -> None:
    job = logged_job(written, lines_max=10)
    for number in range(1_000):
        job.log.add(INFO, "shop", str(number))
    assert not job.has_errors
    job.log.add(logging.ERROR, "shop", "bad")
    job.log.add(logging.ERROR, "jobmonitor.job", "Traceback", always=True)
    job.log.flush()
    job.log.flush()
    assert job.has_errors
    assert written.messages == [
        *map(str, range(10)), "Traceback",
        "991 more lines were not kept (setting log_lines_max)",
    ]  # fmt: skip


def test_no_line_at_all_may_be_asked_for(written: Written) -> None:
    job = logged_job(written, lines_max=0)
    job.log.flush()
    assert written.statements == 0


# -- what a line holds -----------------------------------------------------------------------


def test_a_line_is_scrubbed_also_where_escape_sequences_hide_a_secret(
    written: Written,
) -> None:
    job = logged_job(written)
    job.log.add(INFO, "shop", "hunter22 hun\x1b[1mter22 p\x1bw\n12")
    job.log.flush()
    assert written.messages == ["[redacted] [redacted] [redacted]"]


def test_a_long_line_is_cut_once(written: Written) -> None:
    job = logged_job(written)
    job.log.add(INFO, "shop", "\x1b[1m" + "x" * 5_000)
    job.log.flush()
    [message] = written.messages
    assert message == "x" * 66 + " … 4,901 characters cut … " + "x" * 33
    job.log.add(INFO, "shop", message)
    job.log.flush()
    assert written.messages[1] == message


def test_a_lone_surrogate_and_nul_are_storable(written: Written) -> None:
    job = logged_job(written)
    job.log.add(INFO, "shop", "a\0b\ud800c")
    job.log.flush()
    assert written.messages == ["a␀b?c"]


def test_levels_and_loggers_of_any_kind_are_storable(written: Written) -> None:
    job = logged_job(written)
    job.log.add(-5, "a\0\ud800", "low")
    job.log.add(10**9, "x" * 1_000, "high")
    job.log.flush()
    low, high = written.lines
    assert (low.level, high.level, len(high.logger) < 250) == (0, 32_767, True)
    assert low.logger.encode()
