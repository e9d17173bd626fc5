"""Files that browsers load, headers, and what the strict policy asks of the templates."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import flask_panel

HERE = Path(flask_panel.__file__).parent
STATIC = HERE / "static"
VENDOR = STATIC / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())
TEMPLATES = sorted((HERE / "templates").rglob("*"))
PAGES = ["/login", "/jobs", "/statistics", "/job/none", "/no-such-page"]
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@pytest.mark.parametrize("name", MANIFEST)
def test_a_file_of_others_is_the_published_one_with_its_licence(name: str) -> None:
    entry = MANIFEST[name]
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == entry["sha256"]
    assert (VENDOR / entry["license_file"]).stat().st_size > 100
    assert all(entry[field] for field in ("package", "version", "path", "license"))


def test_no_file_of_others_is_missing_from_the_manifest() -> None:
    named = {*MANIFEST, *(entry["license_file"] for entry in MANIFEST.values())}
    assert {path.name for path in VENDOR.iterdir()} == named | {"manifest.json"}


def test_every_file_that_a_template_asks_for_is_there() -> None:
    asked = {
        name
        for path in TEMPLATES
        if path.is_file()
        for name in re.findall(r"filename='([^']+)'", path.read_text())
    }
    assert asked
    assert [name for name in asked if not (STATIC / name).is_file()] == []


@pytest.mark.parametrize("path", [p for p in TEMPLATES if p.is_file()], ids=lambda p: p.name)
def test_a_template_has_nothing_that_the_policy_forbids(path: Path) -> None:
    source = path.read_text()
    scripts = re.findall(r"<script([^>]*)>", source)
    assert [s for s in scripts if " src=" not in s and "application/json" not in s] == []
    assert not re.search(r"<style|\sstyle\s*=|\son[a-z]+\s*=|javascript:|https?://", source)
    assert not re.search(r"\|\s*safe\b|autoescape|hx-on", source)
    assert path.suffix == ".html"


@pytest.mark.parametrize("name", ["panel.js", "statistics.js", "theme.js"])
def test_a_script_of_ours_never_makes_code_or_elements_of_data(name: str) -> None:
    source = (STATIC / name).read_text()
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\("
    assert not re.search(forbidden, source)
    assert "http" not in source.replace("htmx", "")


@pytest.mark.parametrize("address", PAGES)
def test_a_page_has_a_strict_policy_and_is_kept_nowhere(
    reader: FlaskClient, client: FlaskClient, address: str
) -> None:
    for browser in (reader, client):
        headers = browser.get(address).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        if browser.get(address).status_code != 302:
            assert headers["Content-Security-Policy"] == POLICY
        assert "Access-Control-Allow-Origin" not in headers


def test_over_plain_http_nothing_is_promised_for_tls(client: FlaskClient) -> None:
    assert "Strict-Transport-Security" not in client.get("/login").headers


@pytest.mark.parametrize("name", ["panel.js", "panel.css", "vendor/htmx.min.js", "icon.svg"])
def test_a_file_is_asked_for_again_and_sent_once(client: FlaskClient, name: str) -> None:
    first = client.get(f"/static/{name}")
    assert (first.status_code, first.headers["Cache-Control"]) == (200, "no-cache")
    again = client.get(f"/static/{name}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert "Set-Cookie" not in first.headers
    for answer in (first, again):
        answer.close()


@pytest.mark.parametrize(
    "path",
    ["../__init__.py", "..%2f__init__.py", "%2e%2e/__init__.py", "vendor", "%00", "x" * 500],
)
def test_nothing_else_is_sent_as_a_file(client: FlaskClient, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


def test_a_page_asks_for_nothing_of_other_hosts(reader: FlaskClient) -> None:
    html = reader.get("/jobs").text
    assert re.findall(r'(?:src|href|action)="(?!/|#)[^"]*"', html) == []
