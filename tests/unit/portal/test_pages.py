"""The static pages, and the headers that every answer has."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from portal.web.pages import load

from unit.portal.running import House

pytestmark = pytest.mark.timeout(20)


async def test_the_page_is_served_to_who_has_no_session(house: House) -> None:
    answer = await house.browser().get("/", headers={"Accept-Encoding": "identity"})
    assert answer.status == 200 and b"<!doctype html>" in answer.content
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    again = await house.browser().get("/", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.content) == (304, b"")


async def test_what_has_its_content_in_its_name_stays_in_the_browser(house: House) -> None:
    answer = await house.browser().get("/assets/app-1a2b.js")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"


async def test_pages_are_sent_compressed_to_who_understands_it(house: House) -> None:
    plain = await house.browser().get("/", headers={"Accept-Encoding": "identity"})
    packed = await house.browser().get("/", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip" and "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.content) == plain.content and len(packed.content) < len(plain.content)


@pytest.mark.parametrize(
    "path",
    ["/..", "/../set.json", "/%2e%2e/set.json", "/assets/../../set.json", "/assets//app-1a2b.js", "/.env", "/call/1",
     "/assets", "/assets/", "/index.html%00.js", "/api", "/api/", "/api/nothing"],
)  # fmt: skip
async def test_no_path_leads_to_anything_else(house: House, path: str) -> None:
    from yarl import URL

    url = URL(house.url + path, encoded=True)
    async with house.http.get(url, headers=house.browser().headers()) as answer:
        assert answer.status in (400, 404)
        assert (await answer.json())["error"] in ("not-found", "bad-request")


def test_links_and_hidden_files_are_no_pages(tmp_path: Path) -> None:
    web, outside = tmp_path / "web", tmp_path / "secret"
    web.mkdir()
    outside.write_text("secret")
    (web / "link.txt").symlink_to(outside)
    (web / ".hidden").write_text("x")
    (web / "index.html").write_text("x")
    assert set(load(web)) == {"/index.html", "/"}


def test_without_pages_the_api_is_served(tmp_path: Path) -> None:
    assert load(tmp_path / "missing") == {}


ANSWERS = ["/", "/assets/app-1a2b.js", "/nothing", "/api/me", "/api/nothing", "/api/files/" + "0" * 32, "/api/calls/x"]


@pytest.mark.parametrize("path", ANSWERS)
@pytest.mark.parametrize("signed_in", [True, False])
async def test_every_answer_keeps_a_page_in_its_place(house: House, path: str, signed_in: bool) -> None:
    browser = await house.signed_in("ada") if signed_in else house.browser()
    headers = (await browser.get(path)).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["frame-ancestors"] == "'none'" and policy["default-src"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"] and "*" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert "aiohttp" not in headers["Server"].lower() and "python" not in headers["Server"].lower()
    if path.startswith("/api"):
        assert headers["Cache-Control"] == "no-store"
        assert "script-src" not in policy
    if path == "/":
        assert policy["script-src"] == "'self'" and policy["style-src"] == "'self'"
        assert policy["connect-src"] == "'self' wss://meet.acme.example.com"


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/api/me"), ("DELETE", "/"), ("POST", "/api/me"), ("GET", "/api/login"), ("HEAD", "/api/me")],
)
async def test_what_is_not_asked_so_is_refused(house: House, method: str, path: str) -> None:
    assert (await (await house.signed_in("ada")).ask(method, path)).status in (400, 404)


async def test_the_page_can_be_asked_for_its_headers_alone(house: House) -> None:
    answer = await house.browser().ask("HEAD", "/")
    assert (answer.status, answer.content) == (200, b"")
