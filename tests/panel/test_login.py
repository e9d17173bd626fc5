"""Logging in and out, sessions, roles, and requests that did not come from our pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_panel.login import local_path
from jobmonitor import JobMonitor
from jobmonitor.records.users import Users
from jobmonitor.states import Operation
from tests.panel.pages import page_of

Submit = Callable[..., str]
Headers = dict[str, str]
PAGES = ("/jobs", "/jobs?status=running&q=a%26b", "/job/some-id", "/job/?id=..", "/statistics")
POSTS = tuple(f"/jobs/{operation.value}" for operation in Operation)
PASSWORD = "a long pass phrase"
_addresses = count(1)

ELSEWHERE = [
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\\/evil",
    "https://evil.example", "https:evil.example", "https:/evil.example", "javascript:alert(1)",
    "data:text/html,x", "evil.example", "@evil.example", ".evil.example", "", " ", " //evil",
    " /jobs", "/\t/evil.example", "/\n/evil.example", "/jobs\r\nSet-Cookie: a=b", "/\0/evil",
    "\t//evil.example", "\x01https://evil.example", "/\u2028/evil", "http://[", "?x", "#x",
    "/jobs\\..\\..\\evil", "\u00a0//evil.example",
]  # fmt: skip


@pytest.fixture
def name(monitor: JobMonitor) -> Iterator[str]:
    """A viewer of this test only."""
    name = f"user-{next(_addresses)}"
    Users(monitor.database).create(name, "viewer", PASSWORD)
    yield name


@pytest.fixture
def visitor(panel: Flask) -> FlaskClient:
    """A browser at an address of its own, since failed logins are counted by address."""
    browser = panel.test_client()
    number = next(_addresses)
    browser.environ_base["REMOTE_ADDR"] = f"10.0.{number // 250}.{number % 250}"
    return browser


def log_in(
    browser: FlaskClient, name: str, password: str = PASSWORD, to: str = "/login", **more: str
) -> TestResponse:
    """Fill in the form and send it."""
    token = page_of(browser.get(to)).token
    form = {"csrf_token": token, "name": name, "password": password}
    return browser.post(to, data=form, headers=more)


def cookie_of(browser: FlaskClient) -> str:
    cookie = browser.get_cookie("jobmonitor")
    assert cookie is not None
    return cookie.value


def post(browser: FlaskClient, address: str, **form: object) -> TestResponse:
    """Send a form of one of our pages."""
    token = page_of(browser.get("/jobs")).token
    return browser.post(address, data={"csrf_token": token} | form)


# -- who is not logged in ------------------------------------------------------------------


@pytest.mark.parametrize("address", PAGES)
def test_a_page_sends_to_the_login_and_back(
    visitor: FlaskClient, name: str, address: str
) -> None:
    answer = visitor.get(address)
    assert answer.status_code == 302
    login = urlsplit(answer.headers["Location"])
    assert (login.netloc, login.path) == ("", "/login")
    assert log_in(visitor, name, to=answer.headers["Location"]).headers["Location"] == address


def test_the_first_page_is_the_list(visitor: FlaskClient, name: str) -> None:
    assert visitor.get("/").headers["Location"] == "/jobs"
    assert log_in(visitor, name).headers["Location"] == "/jobs"


def test_a_part_of_a_page_takes_the_whole_page_to_the_login(visitor: FlaskClient) -> None:
    there = "https://panel.example/jobs?q=x&status=running"
    headers = {"HX-Request": "true", "HX-Target": "jobs", "HX-Current-URL": there}
    answer = visitor.get("/jobs?q=x", headers=headers)
    assert (answer.status_code, answer.text) == (401, "")
    login = urlsplit(answer.headers["HX-Redirect"])
    assert (login.path, parse_qs(login.query)) == (
        "/login", {"next": ["/jobs?q=x&status=running"]}
    )  # fmt: skip


@pytest.mark.parametrize("there", ["", "http://[", "nonsense", "//evil.example", "\\x"])
def test_a_part_of_an_unknown_page_goes_to_the_login_too(
    visitor: FlaskClient, there: str
) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": there}
    answer = visitor.get("/jobs", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"].startswith("/login")


@pytest.mark.parametrize("wanted", ELSEWHERE, ids=repr)
def test_a_login_never_leads_elsewhere(
    visitor: FlaskClient, name: str, panel: Flask, wanted: str
) -> None:
    with panel.test_request_context():
        assert local_path(wanted) == "/jobs"


@pytest.mark.parametrize("wanted", ["//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_neither_who_logs_in_nor_who_is_logged_in_is_led_elsewhere(
    visitor: FlaskClient, name: str, wanted: str
) -> None:
    query = {"next": wanted}
    token = page_of(visitor.get("/login", query_string=query)).token
    form = {"csrf_token": token, "name": name, "password": PASSWORD}
    first = visitor.post("/login", query_string=query, data=form)
    second = visitor.get("/login", query_string=query)
    assert [first.headers["Location"], second.headers["Location"]] == ["/jobs", "/jobs"]


@pytest.mark.parametrize("escaped", ["%2F%2Fevil", "%5C%5Cevil", "%252F%252Fevil", "/%09/evil"])
def test_an_escaped_address_stays_a_path_of_this_host(panel: Flask, escaped: str) -> None:
    with panel.test_request_context():
        address = local_path(escaped)
    assert urlsplit(address).netloc == ""
    assert address.startswith("/")
    assert not address.startswith("//")


@pytest.mark.parametrize("address", POSTS)
def test_an_operation_of_nobody_changes_nothing(
    visitor: FlaskClient, submit: Submit, monitor: JobMonitor, address: str
) -> None:
    job_id = submit()
    token = page_of(visitor.get("/login")).token
    answer = visitor.post(address, data={"id": job_id, "csrf_token": token})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login")
    assert monitor.jobs.events(job_id) == []


# -- logging in ----------------------------------------------------------------------------


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(
    visitor: FlaskClient, name: str
) -> None:
    wrong = log_in(visitor, name, "a wrong pass phrase")
    unknown = log_in(visitor, "nobody")
    for answer in (wrong, unknown):
        assert answer.status_code == 401
        assert "This name and this password do not go together." in page_of(answer).main
    assert visitor.get("/jobs").status_code == 302


def test_the_name_stays_in_the_form_and_the_password_does_not(visitor: FlaskClient) -> None:
    page = page_of(log_in(visitor, '"><script>', "a wrong pass phrase"))
    assert page.one("input", name="name").get("value") == '"><script>'
    assert "value" not in page.one("input", name="password").attributes


@pytest.mark.parametrize(
    "form", [{}, {"name": "x" * 100_000, "password": "y" * 100_000}, {"name": "\0"}]
)
def test_a_form_that_makes_no_sense_opens_nothing(
    visitor: FlaskClient, form: dict[str, str]
) -> None:
    token = page_of(visitor.get("/login")).token
    assert visitor.post("/login", data=form | {"csrf_token": token}).status_code == 401


def test_a_login_makes_a_new_session(visitor: FlaskClient, name: str) -> None:
    token = page_of(visitor.get("/login")).token
    before = cookie_of(visitor)
    with visitor.session_transaction() as session:
        session["planted"] = "by somebody else"
    log_in(visitor, name)
    with visitor.session_transaction() as session:
        assert "planted" not in session
    assert cookie_of(visitor) != before
    assert page_of(visitor.get("/jobs")).token != token


def test_each_login_has_a_secret_of_its_own(visitor: FlaskClient, name: str) -> None:
    secrets = []
    for _ in range(2):
        log_in(visitor, name)
        with visitor.session_transaction() as session:
            secrets.append(session["_user_id"])
        post(visitor, "/logout")
    assert len(set(secrets)) == 2


def test_no_script_reads_the_cookie_and_no_other_site_sends_it(
    visitor: FlaskClient, name: str
) -> None:
    cookie = log_in(visitor, name).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert PASSWORD not in cookie


def test_over_tls_the_cookie_is_never_sent_without_it(visitor: FlaskClient) -> None:
    answer = visitor.get("/login", base_url="https://localhost")
    assert "Secure" in answer.headers["Set-Cookie"]
    assert "max-age" in answer.headers["Strict-Transport-Security"]


def test_five_failures_a_minute_are_followed_by_a_wait_also_with_the_right_password(
    visitor: FlaskClient, name: str
) -> None:
    codes = [log_in(visitor, name, "a wrong pass phrase").status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    answer = log_in(visitor, name)
    assert (answer.status_code, visitor.get("/jobs").status_code) == (429, 302)
    assert "per 1 minute" in page_of(answer).main


def test_who_guesses_does_not_lock_out_who_is_elsewhere(
    visitor: FlaskClient, panel: Flask, name: str
) -> None:
    for _ in range(6):
        log_in(visitor, name, "a wrong pass phrase")
    elsewhere = panel.test_client()
    elsewhere.environ_base["REMOTE_ADDR"] = "10.9.9.9"
    assert log_in(elsewhere, name).status_code == 303


def test_who_tries_many_names_waits_too(visitor: FlaskClient) -> None:
    token = page_of(visitor.get("/login")).token
    codes = [
        visitor.post(
            "/login", data={"csrf_token": token, "name": f"nobody-{number}"}
        ).status_code
        for number in range(31)
    ]
    assert codes == [401] * 30 + [429]


# -- logging out ---------------------------------------------------------------------------


def test_a_logout_ends_the_session_in_the_database(
    visitor: FlaskClient, panel: Flask, name: str
) -> None:
    log_in(visitor, name)
    stolen = panel.test_client()
    stolen.set_cookie("jobmonitor", cookie_of(visitor))
    assert stolen.get("/jobs").status_code == 200
    answer = post(visitor, "/logout")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert [browser.get("/jobs").status_code for browser in (visitor, stolen)] == [302, 302]


def test_a_link_logs_nobody_out(reader: FlaskClient) -> None:
    assert reader.get("/logout").status_code == 405
    assert reader.get("/jobs").status_code == 200


def test_who_is_not_logged_in_may_log_out(visitor: FlaskClient) -> None:
    token = page_of(visitor.get("/login")).token
    assert visitor.post("/logout", data={"csrf_token": token}).status_code == 303


@pytest.mark.parametrize("how", ["removed", "another password"])
def test_who_is_removed_or_has_another_password_is_out_at_once(
    visitor: FlaskClient, monitor: JobMonitor, name: str, how: str
) -> None:
    log_in(visitor, name)
    users = Users(monitor.database)
    if how == "removed":
        users.remove(name)
    else:
        users.change(name, password="another pass phrase")
    assert visitor.get("/jobs").status_code == 302


def test_a_new_role_counts_at_the_next_request(
    visitor: FlaskClient, monitor: JobMonitor, name: str
) -> None:
    log_in(visitor, name)
    assert post(visitor, "/jobs/stop", id="x").status_code == 403
    Users(monitor.database).change(name, role="operator")
    assert post(visitor, "/jobs/stop", id="x").status_code == 200


# -- cookies that are not ours -------------------------------------------------------------


@pytest.mark.parametrize("cookie", ["", "x", "e30.x.y", "\xe9", "." * 3_000])
@pytest.mark.parametrize("known_as", ["jobmonitor", "session", "remember_token"])
def test_a_cookie_that_is_not_ours_opens_nothing(
    visitor: FlaskClient, known_as: str, cookie: str
) -> None:
    answer = visitor.get("/jobs", headers={"Cookie": f"{known_as}={cookie}|x"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login?next=/jobs")


def test_a_changed_cookie_opens_nothing(reader: FlaskClient) -> None:
    cookie = cookie_of(reader)
    middle = len(cookie) // 2
    other = "A" if cookie[middle] != "A" else "B"
    reader.set_cookie("jobmonitor", cookie[:middle] + other + cookie[middle + 1 :])
    assert reader.get("/jobs").status_code == 302


def test_a_cookie_of_another_database_opens_nothing(reader: FlaskClient, panel: Flask) -> None:
    interface = panel.session_interface
    signer = interface.get_signing_serializer(Flask("other", static_folder=None))  # type: ignore[attr-defined]
    assert signer is None
    other = Flask("other", static_folder=None)
    other.secret_key = b"x" * 32
    with reader.session_transaction() as session:
        forged = interface.get_signing_serializer(other).dumps(dict(session))  # type: ignore[attr-defined]
    reader.set_cookie("jobmonitor", forged)
    assert reader.get("/jobs").status_code == 302


@pytest.mark.parametrize("address", PAGES)
def test_a_token_of_a_program_opens_no_page(
    client: FlaskClient, operator: Headers, address: str
) -> None:
    assert client.get(address, headers=operator).status_code == 302


def test_a_cookie_opens_no_api(steerer: FlaskClient, submit: Submit) -> None:
    job_id = submit()
    assert steerer.get("/api/v1/jobs").status_code == 401
    token = page_of(steerer.get("/jobs")).token
    body = {"json": {"ids": [job_id]}, "headers": {"X-CSRFToken": token}}
    assert steerer.post("/api/v1/jobs/stop", **body).status_code == 401


# -- roles ---------------------------------------------------------------------------------


def test_a_viewer_sees_no_button_and_no_box_to_select(
    reader: FlaskClient, submit: Submit
) -> None:
    job_id = submit()
    for address in ("/jobs", f"/job/{job_id}"):
        page = page_of(reader.get(address))
        assert [e for e in page.elements if "hx-post" in e.attributes] == []
        assert page.all("input", type="checkbox", name="id") == []
        assert page.all("input", name="reason") == []


@pytest.mark.parametrize("address", POSTS)
def test_an_operation_of_a_viewer_is_refused_and_changes_nothing(
    reader: FlaskClient, submit: Submit, monitor: JobMonitor, address: str
) -> None:
    job_id = submit()
    answer = post(reader, address, id=job_id)
    assert answer.status_code == 403
    assert "Viewer may look, but not change jobs." in page_of(answer).main
    assert monitor.jobs.events(job_id) == []
