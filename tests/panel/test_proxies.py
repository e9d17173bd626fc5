"""What is believed of a visitor where proxies stand before the panel."""

from __future__ import annotations

import pytest

from flask_panel import create_app
from jobmonitor import JobMonitor
from jobmonitor.errors import ConfigurationError

FORWARDED = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(("proxies", "is_secure"), [("0", False), ("1", True)])
def test_forwarded_headers_are_believed_only_of_proxies_that_are_named(
    monitor: JobMonitor, proxies: str, is_secure: bool
) -> None:
    visitor = create_app(monitor, PROXIES=proxies).test_client()
    cookie = visitor.get("/login", headers=FORWARDED).headers["Set-Cookie"]
    assert ("Secure" in cookie) == is_secure


def test_the_environment_names_the_proxies(
    monitor: JobMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBMONITOR_PROXIES", "1")
    visitor = create_app(monitor).test_client()
    assert "Secure" in visitor.get("/login", headers=FORWARDED).headers["Set-Cookie"]


@pytest.mark.parametrize("proxies", ["", "-1", "one", "²"])
def test_a_number_of_proxies_that_is_none_is_refused(monitor: JobMonitor, proxies: str) -> None:
    with pytest.raises(ConfigurationError, match="JOBMONITOR_PROXIES must be a number"):
        create_app(monitor, PROXIES=proxies)
