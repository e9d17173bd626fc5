"""What can be set, and what is refused with a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from jobmonitor.errors import ConfigurationError
from jobmonitor.records.database import Database
from jobmonitor.settings import DATABASE_URL_VARIABLE, DEFAULT_DATABASE_URL, Settings


class _WithoutWords:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


#: what no setting takes, whatever its type
_NONSENSE = (
    b"x", {"a": 1}, object(), _WithoutWords(), float("nan"), float("-inf"), -1, True, [None],
    10**400, 10**5000,
)  # fmt: skip


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


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
@pytest.mark.parametrize("value", _NONSENSE, ids=range(len(_NONSENSE)))
def test_what_makes_no_sense_is_refused_in_one_short_sentence(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name) as refused:
        Settings.of(**{name: value})
    assert len(str(refused.value)) < 200
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["postgres://h/x", "localhost/shop", "postgresql+psycopg2://h/x", " postgresql://h/x"],
)
def test_the_sentence_about_an_address_says_where_it_comes_from(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE_URL_VARIABLE, url)
    with pytest.raises(ConfigurationError, match=DATABASE_URL_VARIABLE):
        Settings.of()


@pytest.mark.parametrize(
    "rest", ["h:port/x", "u:a@h:hidden/x", "[::1/x", "h/x\0", "h/x\ud800", "h/x\n"]
)
def test_an_address_that_cannot_be_read_is_refused_without_its_password(rest: str) -> None:
    with pytest.raises(ConfigurationError, match="database_url cannot be read") as refused:
        Database(f"postgresql://{rest}")
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("command", [("worker",), ("jobs", "list"), ("beat",)])
def test_a_wrong_setting_ends_every_celery_command_with_its_sentence(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "wrong_app.py").write_text(
        "from celery import Celery\n"
        "from jobmonitor import JobMonitor\n"
        "app = Celery('wrong', broker='memory://')\n"
        "monitor = JobMonitor(app, lost_max='many')\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "wrong_app", *command],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr == (
        "jobmonitor: lost_max must be a whole number from 0 to 1,000,000,000, not 'many'\n"
    )
