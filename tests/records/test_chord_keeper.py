"""How often a worker looks for chords that wait for a Stopped member."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.backends.base import KeyValueStoreBackend

from jobmonitor.dispatch import Dispatch
from jobmonitor.waiting import Waiting
from jobmonitor.worker import chords
from jobmonitor.worker.chords import ChordKeeper
from tests.factories import Records

HOUR = 3_600
EVERYTHING = None


class Results(KeyValueStoreBackend):
    """A backend whose keys expire; it may be away."""

    supports_autoexpire = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.away = False
        self.renewed: set[str] = set()

    def get(self, key: Any) -> None:
        return None

    def expire(self, key: bytes, value: int) -> None:
        if self.away:
            raise ConnectionError("the results are away")
        self.renewed.add(key.decode())


class Rounds:
    """The rounds of one worker, each at a second that the test names."""

    def __init__(self, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
        app = Celery("chords", broker="memory://", set_as_current=False)
        app.conf.result_expires = 24 * HOUR
        self.backend = Results(app)
        self.now = 0.0
        self._looks: list[int | None] = []
        self._database = records.database
        monkeypatch.setattr(chords, "time", SimpleNamespace(monotonic=lambda: self.now))
        monitor = SimpleNamespace(
            app=SimpleNamespace(backend=self.backend), database=self,
            dispatch=Dispatch(app, lambda *_: None, Waiting(app, records.database)),
        )  # fmt: skip
        self._keeper = ChordKeeper(monitor)

    def row(self, verb: str, facts: dict[str, Any]) -> Any:
        return self._database.row(verb, facts)

    def rows(self, verb: str, facts: dict[str, Any]) -> list[Any]:
        self._looks.append(facts["since"])
        return self._database.rows(verb, facts)

    def at(self, *seconds: float) -> list[float]:
        """Go round at these seconds; those at which it looked at all jobs."""
        full = []
        for second in seconds:
            self.now = second
            self._keeper.run()
            if self._looks[-1] is EVERYTHING:
                full.append(second)
        return full


@pytest.fixture
def rounds(records: Records, monkeypatch: pytest.MonkeyPatch) -> Rounds:
    """A worker that begins, and a chord of which a member is Stopped."""
    envelope = {
        "name": "shop.add", "headers": {"id": "member", "task": "shop.add", "group": "g1"},
        "properties": {}, "options": {}, "content_type": "application/json",
        "content_encoding": "utf-8",
    }  # fmt: skip
    records.make("member", envelope=json.dumps(envelope))
    records.operate("stop", "member")
    return Rounds(records, monkeypatch)


def test_all_jobs_are_looked_at_once_an_hour(rounds: Rounds) -> None:
    assert rounds.at(1, 6, HOUR, HOUR + 1, HOUR + 6) == [1, HOUR + 1]
    assert rounds.backend.get_key_for_group("g1", ".j").decode() in rounds.backend.renewed


def test_while_the_results_are_away_all_jobs_are_looked_at_once_a_minute(
    rounds: Rounds,
) -> None:
    rounds.backend.away = True
    assert rounds.at(*range(1, 200, 5)) == [1, 61, 121, 181]


def test_what_was_stopped_while_the_results_were_away_is_renewed_a_minute_later(
    rounds: Rounds, records: Records
) -> None:
    rounds.at(1)
    rounds.backend.away = True
    rounds.at(11, 16)
    rounds.backend.away = False
    rounds.backend.renewed.clear()
    records.sql("UPDATE job_event SET to_status = 'running'")  # as if it was long ago
    assert rounds.at(21, 66, 71, 76) == [71]
    assert rounds.backend.renewed
