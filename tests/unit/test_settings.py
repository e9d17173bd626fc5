"""What can be set, and what is refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from jobmonitor.errors import ConfigurationError
from jobmonitor.settings import DATABASE_URL_VARIABLE, DEFAULT_DATABASE_URL, Settings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE_URL_VARIABLE, raising=False)


def test_the_defaults_are_those_of_the_design() -> None:
    settings = Settings.of()
    assert settings.database_url == DEFAULT_DATABASE_URL
    assert (settings.beat_interval, settings.lost_after, settings.lost_max) == (5, 30, 3)
    assert settings.progress_interval == 1
    assert settings.message_max == 1_000_000


def test_the_database_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_URL_VARIABLE, "postgresql://elsewhere/shop")
    assert Settings.of().database_url == "postgresql://elsewhere/shop"
    given = Settings.of(database_url="postgresql://here/shop")
    assert given.database_url == "postgresql://here/shop"


def test_none_leaves_a_setting_at_its_default() -> None:
    assert Settings.of(lost_max=None) == Settings.of()


def test_an_unknown_setting_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"no setting 'lost_afer'; .*lost_after"):
        Settings.of(lost_afer=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("progress_interval", 0), ("progress_interval", -1), ("progress_interval", "1"),
        ("progress_interval", float("nan")), ("progress_interval", float("inf")),
        ("beat_interval", True), ("lost_after", 0), ("lost_max", -1), ("lost_max", "3"),
        ("lost_max", 1.5), ("message_max", 0), ("checkpoint_max", 0), ("shown_max", True),
        ("log_lines_max", -1), ("log_waiting_max", 0), ("log_lines_max", "many"),
        ("database_patience", "long"), ("claim_patience", -1),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings.of(**{name: value})


def test_no_rerun_of_lost_jobs_is_a_choice() -> None:
    assert Settings.of(lost_max=0).lost_max == 0


def test_a_worker_is_not_lost_before_three_beats_are_missed() -> None:
    with pytest.raises(ConfigurationError, match="at least three times"):
        Settings.of(beat_interval=5, lost_after=14)


@pytest.mark.parametrize("url", ["sqlite://", "mysql://localhost/shop", "", 5])
def test_the_database_is_postgres(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="postgresql"):
        Settings.of(database_url=url)


@pytest.mark.parametrize("name", ["restartable", "stoppable", "redact"])
@pytest.mark.parametrize("value", ["shop.*", 5, [1], {"shop.*": True}])
def test_patterns_are_a_list_of_texts(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a list"):
        Settings.of(**{name: value})


def test_patterns_are_kept_as_they_were_given() -> None:
    assert Settings.of(restartable=["shop.*", "a"]).restartable == ("shop.*", "a")
