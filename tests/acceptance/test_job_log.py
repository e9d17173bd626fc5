"""What a job logs, prints and warns is in its log, from real workers."""

from __future__ import annotations

from types import ModuleType

from tests.workers import Worker


def said(shop: ModuleType, job_id: str) -> list[tuple[str, str, str]]:
    """The lines of a job: logger, level, message."""
    page = shop.monitor.jobs.logs(job_id, newest_first=False, limit=1_000)
    return [(line.logger, line.level_name, line.message) for line in page.lines]


def test_what_a_job_logs_prints_and_warns_is_in_its_log(
    shop: ModuleType, worker: Worker
) -> None:
    for word in ("one", "two"):
        job = shop.monitor.jobs.wait_for(shop.say_everything.delay(word).id)
        lines = said(shop, job.id)
        warned = lines.pop(5)
        assert lines == [
            ("shop.stock", "WARNING", f"logged {word}"),
            ("shop.task", "INFO", f"task logged {word}"),
            (f"library{word}", "WARNING", f"library logged {word}"),
            ("stdout", "INFO", f"printed {word}"),
            ("stderr", "WARNING", f"on stderr {word}"),
            ("stdout", "INFO", f"thread printed {word}"),
            ("stdout", "INFO", f"half {word}"),
        ]
        assert warned[:2] == ("py.warnings", "WARNING")
        assert "UserWarning: an old way" in warned[2]
        assert job.has_errors is False
