"""A real browser that is logged in to the panel of the tests' app.

CHROMIUM names the browser where none is on the PATH. Whatever the browser complains about
(errors of scripts, refusals of the Content Security Policy, answers that are errors) fails the
test that looked at the page, unless the test expects it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from jobmonitor.records.database import Database
from jobmonitor.records.users import Users
from tests.acceptance_fixtures import APP
from tests.web_server import WebServer

#: the first one has no windows and needs a third of the processor
NAMES = (
    "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome",
    "google-chrome-stable",
)  # fmt: skip
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDE, NARROW = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
#: without motion, since colours that still change are measured wrongly
AS_USUAL = {"viewport": WIDE, "locale": "en-GB", "reduced_motion": "reduce"}
PASSWORD = "a password of the tests"
USERS = {"operator": "an-operator", "viewer": "a-viewer"}
PATIENCE = 15_000  # ms; a page asks every 5 s
#: in tests every second, but where a test says `hurried=False`
HURRY = """
    const ask = window.setInterval.bind(window);
    window.setInterval = (call, ms, ...more) => ask(call, ms === 5000 ? 1000 : ms, ...more);
"""

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium with an empty profile; without one the test is skipped, but in CI it fails."""
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        sentence = (
            f"no browser: none of {', '.join(NAMES)} is on the PATH, and CHROMIUM is unset"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield chromium
        chromium.close()


# -- the panel -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def panel_app() -> str:
    """Which app the panel shows; a module may say another."""
    return f"{APP}:app"


@pytest.fixture(scope="module")
def web_server(
    panel_app: str,
    database_url: str,
    broker_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[WebServer]:
    """The panel of this module's database, with a user for each role."""
    database = Database(database_url)
    for role, name in USERS.items():
        Users(database).create(name, role, PASSWORD)
    database.close()
    environment = {"JOBMONITOR_DATABASE_URL": database_url, "BROKER_URL": broker_url}
    server = WebServer(panel_app, environment, tmp_path_factory.mktemp("panel")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def session_of(browser: Browser, web_server: WebServer) -> Callable[[str], Any]:
    """The cookies of a user of a role, who logs in through the form once per module."""
    known: dict[str, Any] = {}

    def session_of(role: str) -> Any:
        if role not in known:
            with browser.new_context(base_url=web_server.url) as context:
                log_in(context.new_page(), USERS[role])
                known[role] = context.storage_state()
        return known[role]

    return session_of


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Fill in the form and see the list of jobs."""
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


# -- pages -----------------------------------------------------------------------------------


class Complaints:
    """What the browser complained about while a test looked at its pages."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._expected: list[str] = []

    def listen(self, page: Page) -> None:
        """Note what is said about a page from now on."""
        page.on("console", lambda line: line.type == "error" and self._said.append(line.text))
        page.on("pageerror", lambda error: self._said.append(str(error)))

    def expect(self, pattern: str) -> None:
        """Take no offence at what matches."""
        self._expected.append(pattern)

    @property
    def unexpected(self) -> list[str]:
        """What no test has expected."""
        return [
            text
            for text in self._said
            if not any(re.search(pattern, text) for pattern in self._expected)
        ]


@pytest.fixture
def complaints() -> Complaints:
    """Where a test says which complaints of the browser it expects."""
    return Complaints()


@pytest.fixture
def open_page(
    request: pytest.FixtureRequest,
    browser: Browser,
    web_server: WebServer,
    session_of: Callable[[str], Any],
    complaints: Complaints,
    tmp_path: Path,
) -> Iterator[OpenPage]:
    """Open a page of the panel as a user of a role, or of none; keywords as of a context.

    It asks for what is new every second, or as often as a user's if it is not hurried.
    """
    contexts: list[BrowserContext] = []
    failed = request.session.testsfailed

    def open_page(
        path: str = "/jobs", role: str | None = "operator", *, hurried: bool = True,
        **options: Any,
    ) -> Page:  # fmt: skip
        session = {"storage_state": session_of(role)} if role else {}
        options = {**AS_USUAL, **session, **options}
        contexts.append(browser.new_context(base_url=web_server.url, **options))
        if hurried:
            contexts[-1].add_init_script(HURRY)
        page = contexts[-1].new_page()
        complaints.listen(page)
        page.goto(path)
        return page

    yield open_page
    for number, context in enumerate(contexts):
        if request.session.testsfailed > failed:
            context.pages[0].screenshot(path=tmp_path / f"page-{number}.png")
        context.close()
    assert complaints.unexpected == []


# -- what is on a page -----------------------------------------------------------------------


def row_of(page: Page, job_id: str) -> Locator:
    """The row of a job in a table of jobs."""
    return page.locator(f'[id="row-{job_id}"]')


def cell_of(page: Page, job_id: str, head: str) -> Locator:
    """What the row of a job says under a head."""
    return row_of(page, job_id).locator(f'td[data-head="{head}"]')


def field_of(page: Page, name: str) -> Locator:
    """What the page of a job says under a name."""
    term = page.locator("dl.fields dt", has_text=re.compile(f"^{name}$"))
    return term.locator("xpath=following-sibling::dd[1]")


def status_of(page: Page) -> Locator:
    """The status at the head of the page of a job."""
    return page.locator(".status .badge")


def pick(page: Page, *job_ids: str) -> None:
    """Select jobs in the list."""
    for job_id in job_ids:
        row_of(page, job_id).get_by_role("checkbox").check()


def press(page: Page, word: str, answer: str | None = None) -> None:
    """Press the button of an operation, and say yes to a question with these words."""
    questions: list[str] = []

    def agree(dialog: Any) -> None:
        questions.append(dialog.message)
        dialog.accept()

    page.on("dialog", agree)
    page.get_by_role("toolbar").get_by_role(
        "button", name=re.compile(rf"^{word}( \d+)?$")
    ).click()
    expect(page.locator("#outcomes strong")).to_have_text(word)
    page.remove_listener("dialog", agree)
    assert [answer in question for question in questions] == ([True] if answer else [])


def outcome_of(page: Page, job_id: str) -> Locator:
    """What an operation says it did to a job."""
    return page.locator("#outcomes li", has=page.locator(f'a[href$="/job/{job_id}"]'))


def shown_seconds(place: Locator) -> float:
    """The seconds that a place shows, less than a minute."""
    text = place.inner_text()
    assert text.endswith(" s"), text
    return float(text.removesuffix(" s"))


def moment_of(place: Locator) -> str:
    """The moment that a place shows in the viewer's zone, as the server said it."""
    return place.locator("time").get_attribute("datetime") or ""
