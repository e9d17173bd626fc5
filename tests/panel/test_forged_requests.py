"""Requests that did not come from our pages, and pages while a server is away."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from celery import Celery
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_panel import create_app
from jobmonitor import JobMonitor
from jobmonitor.embedded import create_database, drop_database
from jobmonitor.records.database import Database
from jobmonitor.states import Operation
from tests.panel.pages import Page, page_of

Submit = Callable[..., str]
NOWHERE = "postgresql://someone:sesame@127.0.0.1:1/none"
POSTS = ("/login", "/logout", *(f"/jobs/{operation.value}" for operation in Operation))
PAGES = ("/login", "/jobs", "/job/x", "/statistics", "/no-such-page")


def panel_of(database_url: str, broker_url: str, **config: object) -> FlaskClient:
    app = Celery("panel", broker=broker_url, set_as_current=False)
    return create_app(JobMonitor(app, database_url=database_url), **config).test_client()


# -- requests that did not come from our pages ---------------------------------------------


@pytest.mark.parametrize("token", [None, "", "x", "of another browser"])
@pytest.mark.parametrize("address", POSTS)
def test_a_form_without_our_token_is_a_sentence_and_changes_nothing(
    steerer: FlaskClient,
    client: FlaskClient,
    submit: Submit,
    monitor: JobMonitor,
    address: str,
    token: str | None,
) -> None:
    job_id = submit()
    if token == "of another browser":
        token = page_of(client.get("/login")).token
    form = {"id": job_id} | ({} if token is None else {"csrf_token": token})
    answer = steerer.post(address, data=form)
    assert (answer.status_code, "CSRF" in page_of(answer).main) == (400, True)
    assert monitor.jobs.events(job_id) == []
    assert steerer.get("/jobs").status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("address", POSTS)
def test_a_form_of_another_site_is_refused_also_with_our_token(
    steerer: FlaskClient, submit: Submit, monitor: JobMonitor, address: str, site: str
) -> None:
    job_id = submit()
    form = {"id": job_id, "csrf_token": page_of(steerer.get("/jobs")).token}
    answer = steerer.post(address, data=form, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert "This request came from a page of another site." in page_of(answer).main
    assert monitor.jobs.events(job_id) == []
    assert steerer.get("/jobs").status_code == 200


def test_a_form_of_ours_is_taken(
    steerer: FlaskClient, submit: Submit, monitor: JobMonitor
) -> None:
    job_id = submit()
    form = {"id": job_id, "csrf_token": page_of(steerer.get("/jobs")).token}
    headers = {"Sec-Fetch-Site": "same-origin"}
    assert steerer.post("/jobs/stop", data=form, headers=headers).status_code == 200
    assert monitor.jobs.get(job_id).status == "stopped"


def test_a_page_may_be_opened_from_another_site(reader: FlaskClient) -> None:
    answer = reader.get("/jobs", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("address", POSTS[2:])
def test_nothing_changes_by_a_link(reader: FlaskClient, address: str) -> None:
    answer = reader.get(address, query_string={"id": "x"})
    assert (answer.status_code, answer.mimetype) == (405, "text/html")


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"reason": "r" * 1_100_000}, 413),
        ({"id": ["x"] * 1_100}, 200),
        ({"id": [str(number) for number in range(501)]}, 400),
        ({"id": []}, 400),
    ],
    ids=("large", "one job often", "too many jobs", "no job"),
)
def test_a_giant_form_is_a_sentence(
    steerer: FlaskClient, form: dict[str, object], code: int
) -> None:
    token = page_of(steerer.get("/jobs")).token
    answer = steerer.post("/jobs/stop", data=form | {"csrf_token": token})
    assert (answer.status_code, bool(page_of(answer).main)) == (code, True)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xfe=%", "application/x-www-form-urlencoded"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (b"[" * 100_000, "application/json"),
        (b"", ""),
    ],
)
def test_a_body_that_is_no_form_is_a_bad_request(
    steerer: FlaskClient, body: bytes, kind: str
) -> None:
    answer = steerer.post("/jobs/stop", data=body, content_type=kind)
    assert answer.status_code == 400


# -- where something is missing ------------------------------------------------------------


@pytest.mark.parametrize("address", PAGES)
def test_without_a_database_the_first_page_says_so_and_not_where_it_is(
    broker_url: str, address: str
) -> None:
    says_that_it_is_away(panel_of(NOWHERE, broker_url).get(address))


@pytest.mark.parametrize("address", [page for page in PAGES if page != "/no-such-page"])
def test_without_a_database_who_is_logged_in_is_told_so(broker_url: str, address: str) -> None:
    browser = panel_of(NOWHERE, broker_url, SECRET_KEY=b"x" * 32)
    with browser.session_transaction() as session:
        session["_user_id"] = "somebody"
    says_that_it_is_away(browser.get(address))
    assert browser.get("/no-such-page").status_code == 404


def says_that_it_is_away(answer: TestResponse) -> None:
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert "The database cannot be reached." in Page(answer.text).main
    for word in ("someone", "sesame", "127.0.0.1", "Traceback", "psycopg"):
        assert word not in answer.text


def test_without_a_database_a_login_says_so(broker_url: str) -> None:
    browser = panel_of(NOWHERE, broker_url, SECRET_KEY=b"x" * 32)
    token = page_of(browser.get("/login")).token
    answer = browser.post("/login", data={"csrf_token": token, "name": "a", "password": "b"})
    assert (answer.status_code, "sesame" in answer.text) == (503, False)


def test_without_a_database_a_part_of_a_page_is_only_the_sentence(broker_url: str) -> None:
    answer = panel_of(NOWHERE, broker_url).get("/jobs", headers={"HX-Request": "true"})
    assert answer.status_code == 503
    assert page_of(answer).one("div", role="alert").text == "The database cannot be reached."
    assert "<html" not in answer.text


def test_a_panel_works_when_the_database_is_there_again(
    broker_url: str, database_url: str
) -> None:
    browser = panel_of(NOWHERE, broker_url)
    assert browser.get("/jobs").status_code == 503
    monitor = browser.application.extensions["jobmonitor"]
    monitor.database = Database(database_url)
    assert browser.get("/jobs").status_code == 302
    monitor.database.close()


@pytest.fixture
def new_url(database_url: str) -> Iterator[str]:
    """A database without tables."""
    url = create_database(database_url, f"test_{uuid.uuid4().hex}")
    yield url
    drop_database(url)


@pytest.mark.parametrize("address", PAGES)
def test_a_database_without_tables_is_told_what_to_run(
    new_url: str, broker_url: str, address: str
) -> None:
    browser = panel_of(new_url, broker_url)
    answer = browser.get(address)
    assert answer.status_code == 503
    assert "The database needs celery -A your_app jobs migrate." in Page(
        answer.text
    ).main.replace("`", "")
    browser.application.extensions["jobmonitor"].database.close()


@pytest.mark.parametrize(
    "address", ["/no-such-page", "/jobs/", "/job", "/static/none.js", "/statistics/x", "/%00"]
)
def test_an_unknown_address_is_a_page_that_leads_back(
    client: FlaskClient, address: str
) -> None:
    answer = client.get(address, follow_redirects=address == "/job")
    if address == "/job":
        assert answer.request.path == "/login"
        return
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert page_of(answer).links["Back to the jobs"] == "/jobs"


@pytest.mark.parametrize("query", ["q=\xff", "endpoint=x", "_external=1&_scheme=javascript"])
@pytest.mark.parametrize("address", ["/jobs", "/statistics", "/job/"])
def test_a_query_that_no_page_of_ours_makes_is_a_page(
    reader: FlaskClient, client: FlaskClient, address: str, query: str
) -> None:
    for browser in (reader, client):
        answer = browser.get(address, environ_overrides={"QUERY_STRING": query})
        assert answer.status_code in {200, 302, 404}
        assert "javascript:" not in answer.text
