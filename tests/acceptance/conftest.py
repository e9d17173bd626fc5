"""The app of these tests, its workers, and a browser that looks at its panel."""

from tests.acceptance_fixtures import environment, shop, start_worker, trace, worker
from tests.browser import browser, complaints, open_page, panel_app, session_of, web_server

__all__ = [
    "browser",
    "complaints",
    "environment",
    "open_page",
    "panel_app",
    "session_of",
    "shop",
    "start_worker",
    "trace",
    "web_server",
    "worker",
]
