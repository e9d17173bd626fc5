"""The buttons: each operation a form, and what became of each job in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobmonitor import JobMonitor
from jobmonitor.records.store import Report
from jobmonitor.states import Operation
from tests.factories import Records
from tests.panel.pages import page_of

Submit = Callable[..., str]
PART = {"HX-Request": "true", "HX-Target": "div#outcomes"}


def press(browser: FlaskClient, operation: str, *ids: str, **form: Any) -> dict[str, str]:
    """Press a button for these jobs; the class and the sentence of each, by title."""
    token = page_of(browser.get("/jobs")).token
    data = {"csrf_token": token, "id": list(ids)} | form
    answer = browser.post(f"/jobs/{operation}", data=data, headers=PART)
    assert answer.status_code == 200
    lines = page_of(answer).all("li")
    return {line.text: line.get("class") for line in lines}


def running(submit: Submit, records: Records, **options: Any) -> str:
    job_id = submit(**options)
    assert records.claim(job_id).verdict == "run"
    return job_id


def finished(submit: Submit, records: Records) -> str:
    job_id = running(submit, records)
    records.finish(job_id)
    records.told(job_id)
    return job_id


CHANGED = {
    "stop": ("pending", "stopped"),
    "resume": ("stopped", "resumed"),
    "cancel": ("stopped", "canceled"),
    "restart": ("finished", "restarted"),
    "set-low-priority": ("pending", "has low priority now"),
    "remove-low-priority": ("low", "has no low priority any more"),
    "force-stop": ("stopping", "force-stopped"),
}


@pytest.fixture
def job_in(submit: Submit, records: Records, monitor: JobMonitor) -> Callable[[str], str]:
    """Make a job in a state."""

    def job_in(state: str) -> str:
        if state in {"pending", "low", "stopped"}:
            job_id = submit()
            if state == "stopped":
                monitor.jobs.stop(job_id)
            if state == "low":
                monitor.jobs.set_low_priority(job_id)
            return job_id
        if state == "finished":
            return finished(submit, records)
        job_id = running(submit, records)
        if state == "stopping":
            monitor.jobs.stop(job_id)
        return job_id

    return job_in


@pytest.mark.parametrize("operation", CHANGED)
def test_an_operation_says_what_it_did(
    steerer: FlaskClient, job_in: Callable[[str], str], operation: str
) -> None:
    state, says = CHANGED[operation]
    assert press(steerer, operation, job_in(state)) == {f"panel.work: {says}": "changed"}


def test_a_force_stop_says_where_the_pool_cannot_kill(
    steerer: FlaskClient, job_in: Callable[[str], str], records: Records
) -> None:
    job_id = job_in("stopping")
    records.worker("w1", pool="threads")
    [(sentence, how)] = press(steerer, "force-stop", job_id).items()
    assert (sentence.partition(";")[0], how) == (
        "panel.work: fenced out, not killed: a threads pool cannot kill a job", "changed",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        ("stop", "only a job that waits or runs can be stopped; this one is Finished"),
        ("resume", "only a stopped job can be resumed; this one is Finished"),
        ("force-stop", "only a stopping job can be force-stopped; this one is Finished"),
        ("cancel", "only a stopped job can be canceled; this one is Finished"),
        ("set-low-priority", "that is not final can be set to low priority; this one is"),
        ("remove-low-priority", "that is not final can lose its low priority; this one is"),
    ],
)
def test_an_operation_that_does_not_fit_says_why(
    steerer: FlaskClient,
    monitor: JobMonitor,
    job_in: Callable[[str], str],
    operation: str,
    says: str,
) -> None:
    job_id = job_in("finished")
    before = monitor.jobs.events(job_id)
    [(sentence, kind)] = press(steerer, operation, job_id).items()
    assert (says in sentence, kind) == (True, "unchanged")
    assert monitor.jobs.events(job_id) == before


def test_each_selected_job_has_its_own_sentence_in_the_order_of_the_selection(
    steerer: FlaskClient, submit: Submit, job_in: Callable[[str], str]
) -> None:
    told = press(steerer, "stop", submit(), "no/such job", job_in("finished"))
    assert list(told.items()) == [
        ("panel.work: stopped", "changed"),
        ("no/such job: there is no job with this id", "unchanged"),
        (
            "panel.work: only a job that waits or runs can be stopped; this one is Finished",
            "unchanged",
        ),
    ]


@pytest.mark.parametrize("odd", ["", "\0", "..", "/", "<b>", "x" * 10_000, "a\nb"])
def test_an_id_that_nobody_has_is_a_sentence(steerer: FlaskClient, odd: str) -> None:
    [(sentence, kind)] = press(steerer, "stop", odd).items()
    assert sentence.endswith(": there is no job with this id")
    assert kind == "unchanged"


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("fresh", "it has never reached a checkpoint, so the stop ends with the job"),
        ("marked", "it ends at its next checkpoint"),
        ("firm", "it cannot be stopped midway: it stays Stopping until it completes"),
    ],
)
def test_a_stop_of_a_running_job_says_when_it_ends(
    steerer: FlaskClient, submit: Submit, records: Records, state: str, says: str
) -> None:
    job_id = running(submit, records)
    if state == "marked":
        records.advance(job_id, Report(checkpoint='{"state": 1}'))
    if state == "firm":
        records.sql("UPDATE job SET stoppable = false WHERE id = %s", job_id)
    assert list(press(steerer, "stop", job_id)) == [f"panel.work: stopping: {says}"]
    detail = page_of(steerer.get(f"/job/{job_id}")).all("div", class_="status")[0].text
    assert detail == f"Stopping {says.removeprefix('it ') if state == 'marked' else says}"


def test_what_changed_below_is_counted(
    steerer: FlaskClient, submit: Submit, records: Records
) -> None:
    job_id = running(submit, records)
    for _ in range(2):
        records.make(under=job_id)
    [sentence] = press(steerer, "stop", job_id)
    assert sentence.endswith("; 2 below it changed")


def test_the_audit_names_the_person_and_keeps_the_reason(
    steerer: FlaskClient, submit: Submit, monitor: JobMonitor
) -> None:
    job_id = submit()
    press(steerer, "stop", job_id, reason="  <b>too early</b>\r\nSet-Cookie: a=b ")
    [event] = monitor.jobs.events(job_id)
    assert (event["actor"], event["event"]) == ("operator", "stop")
    assert event["reason"] == "<b>too early</b>\r\nSet-Cookie: a=b"
    assert "by operator" in page_of(steerer.get(f"/job/{job_id}")).section("Audit")


@pytest.mark.parametrize(("given", "kept"), [("", None), ("   ", None), ("r" * 600_000, 560)])
def test_a_reason_may_be_missing_and_is_cut(
    steerer: FlaskClient, submit: Submit, monitor: JobMonitor, given: str, kept: int | None
) -> None:
    job_id = submit()
    press(steerer, "stop", job_id, reason=given)
    [event] = monitor.jobs.events(job_id)
    if kept is None:
        assert event["reason"] is None
    else:
        assert len(event["reason"]) < kept


def test_nobody_acts_as_another_by_a_field_of_the_form(
    steerer: FlaskClient, submit: Submit, monitor: JobMonitor
) -> None:
    job_id = submit()
    press(steerer, "stop", job_id, actor="viewer", run_by="viewer", name="viewer")
    assert [event["actor"] for event in monitor.jobs.events(job_id)] == ["operator"]


def test_a_job_that_is_selected_twice_is_told_once(
    steerer: FlaskClient, submit: Submit
) -> None:
    job_id = submit()
    assert list(press(steerer, "stop", job_id, job_id)) == ["panel.work: stopped"]


def test_without_scripts_the_answer_is_a_page_that_leads_back(
    steerer: FlaskClient, submit: Submit
) -> None:
    token = page_of(steerer.get("/jobs")).token
    form = {"csrf_token": token, "id": submit()}
    page = page_of(steerer.post("/jobs/stop", data=form))
    assert "panel.work: stopped" in page.main
    assert page.links["Back to the jobs"] == "/jobs"


def test_the_list_is_told_that_something_changed(steerer: FlaskClient, submit: Submit) -> None:
    form = {"csrf_token": page_of(steerer.get("/jobs")).token, "id": submit()}
    answer = steerer.post("/jobs/stop", data=form, headers=PART)
    assert answer.headers["HX-Trigger"] == "jobs-changed"


def test_an_operation_that_does_not_exist_is_not_found(steerer: FlaskClient) -> None:
    form = {"csrf_token": page_of(steerer.get("/jobs")).token, "id": "x"}
    assert steerer.post("/jobs/purge", data=form).status_code == 404


def test_every_operation_has_a_button_and_what_cannot_be_undone_is_asked_before(
    steerer: FlaskClient, submit: Submit
) -> None:
    submit()
    buttons = [e for e in page_of(steerer.get("/jobs")).all("button") if e.get("hx-post")]
    assert [button.get("data-operation") for button in buttons] == [
        operation.value for operation in Operation
    ]
    for button in buttons:
        assert button.get("formaction") == button.get("hx-post")
    asked = [b.get("data-operation") for b in buttons if b.get("hx-confirm")]
    assert asked == ["force-stop", "cancel"]


@pytest.mark.parametrize("state", ["pending", "stopped", "running", "stopping", "finished"])
def test_the_page_of_a_job_offers_what_may_be_done_to_it_and_no_button_moves(
    steerer: FlaskClient, monitor: JobMonitor, job_in: Callable[[str], str], state: str
) -> None:
    job_id = job_in(state)
    page = page_of(steerer.get(f"/job/{job_id}"))
    buttons = [button for button in page.all("button") if button.get("hx-post")]
    assert [button.get("data-operation") for button in buttons] == list(Operation)
    offered = [b.get("data-operation") for b in buttons if "disabled" not in b.attributes]
    assert offered == list(monitor.jobs.get(job_id).operations)


def test_the_page_of_a_system_job_has_no_button_that_never_fits(
    steerer: FlaskClient, submit: Submit
) -> None:
    page = page_of(steerer.get(f"/job/{submit(task='panel.tidy')}"))
    buttons = [b.get("data-operation") for b in page.all("button") if b.get("hx-post")]
    assert buttons == ["resume", "set-low-priority", "remove-low-priority"]


def test_of_many_who_press_at_once_one_changes_the_job(
    log_in: Callable[..., FlaskClient], panel: Flask, submit: Submit, monitor: JobMonitor
) -> None:
    job_id = submit()
    browsers = [log_in("operator") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda browser: press(browser, "stop", job_id), browsers))
    kinds = sorted(kind for one in told for kind in one.values())
    assert kinds == ["changed"] + ["unchanged"] * 5
    assert [event["event"] for event in monitor.jobs.events(job_id)] == ["stop"]
