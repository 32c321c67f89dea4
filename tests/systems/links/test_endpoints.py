"""The API of the link shortener through its doors: what can be made, listed, changed and removed, and by whom."""

import asyncio
import csv
import io
import os
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from tenfold.systems.links.settings import LinksSettings

API = "/links/api/links"
DOCS = {"url": "https://example.org/docs"}
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"}


def refused(answer: httpx.Response, status: int, code: str, *fields: str) -> dict[str, Any]:
    """Check that an answer is a problem as RFC 9457 has it, and what it names."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"urn:tenfold:{code}"
    assert body["title"]
    assert body["detail"]
    assert set(body.get("fields", {})) == set(fields)
    return body


async def make(client: httpx.AsyncClient, **wish: Any) -> dict[str, Any]:
    answer = await client.post(API, json=DOCS | wish)
    assert answer.status_code == 201, answer.text
    link: dict[str, Any] = answer.json()
    return link


# --- making ---------------------------------------------------------------------------------------------------------


async def test_a_link_is_made_followed_and_counted(stack: Any, alice: httpx.AsyncClient) -> None:
    made = await alice.post(API, json=DOCS | {"title": "Docs", "tags": ["a", "b"]})
    assert made.status_code == 201, made.text
    link = made.json()
    assert len(link["code"]) == 7
    assert link["short_url"] == f"http://localhost:8080/links/{link['code']}"
    followed = await alice.get(f"/links/{link['code']}", headers=BROWSER | {"referer": "https://news.example/x"})
    assert (followed.status_code, followed.headers["location"]) == (302, "https://example.org/docs")
    await stack.settle()
    stats = (await alice.get(f"{API}/{link['code']}/stats")).json()
    assert stats["totals"] == {"clicks": 1, "visitors": 1, "bots": 0}
    assert stats["referrers"] == [{"value": "news.example", "clicks": 1}]
    assert stats["browsers"] == [{"value": "Firefox", "clicks": 1}]


async def test_a_plain_link_has_nothing_but_an_address(alice: httpx.AsyncClient) -> None:
    link = await make(alice, url="HTTPS://Example.org:443/Docs")
    assert {name: value for name, value in link.items() if name not in ("code", "short_url", "created_at")} == {
        "url": "https://example.org/Docs",
        "title": None,
        "tags": [],
        "status": 302,
        "expires_at": None,
        "max_clicks": None,
        "clicks_left": None,
        "has_password": False,
        "enabled": True,
        "state": "active",
        "anonymous": False,
    }
    age = datetime.now(UTC) - datetime.fromisoformat(link["created_at"])
    assert timedelta() <= age < timedelta(minutes=1)
    assert (await alice.get(f"{API}/{link['code']}")).json() == link


async def test_a_link_with_everything(alice: httpx.AsyncClient) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    link = await make(
        alice,
        alias="Docs_2026-x",
        title="Größe 🦊",
        tags=["b", "a", "b"],
        status=308,
        password="open sesame",
        max_clicks=5,
        expires_at=end.isoformat(),
    )
    assert link["code"] == "Docs_2026-x"
    assert (link["title"], link["tags"], link["status"]) == ("Größe 🦊", ["b", "a"], 308)
    assert (link["has_password"], link["max_clicks"], link["clicks_left"]) == (True, 5, 5)
    assert datetime.fromisoformat(link["expires_at"]) == end
    assert "sesame" not in str(link)
    assert (await alice.get(f"{API}/Docs_2026-x")).json() == link


async def test_a_time_to_live_is_an_end(alice: httpx.AsyncClient) -> None:
    link = await make(alice, ttl=3600)
    left = datetime.fromisoformat(link["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


async def test_a_time_without_a_zone_is_utc(alice: httpx.AsyncClient) -> None:
    end = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + timedelta(days=1)
    link = await make(alice, expires_at=end.isoformat())
    assert datetime.fromisoformat(link["expires_at"]) == end.replace(tzinfo=UTC)


async def test_an_alias_leads_to_one_place_only(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await make(alice, alias="taken")
    for client in (alice, bob):
        refused(await client.post(API, json=DOCS | {"alias": "taken"}), 409, "alias_taken", "alias")
    await make(bob, alias="Taken")  # capital and small letters differ
    answers = await asyncio.gather(*(client.post(API, json=DOCS | {"alias": "race"}) for client in (alice, bob) * 5))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9


@pytest.mark.parametrize(
    ("wish", "code", "field"),
    [
        ({"alias": "api"}, "bad_link", "alias"),
        ({"alias": "ab"}, "invalid", "alias"),
        ({"alias": "with space"}, "invalid", "alias"),
        ({"alias": "new\n"}, "bad_link", "alias"),
        ({"url": "example.org"}, "bad_link", "url"),
        ({"url": "javascript:alert(1)"}, "bad_link", "url"),
        ({"url": "https://example.org/\x00"}, "bad_link", "url"),
        ({"url": ""}, "invalid", "url"),
        ({"url": 7}, "invalid", "url"),
        ({"url": None}, "invalid", "url"),
        ({"url": "https://example.org/" + "a" * 8192}, "invalid", "url"),
        ({"url": "https://example.org/" + "ü" * 4000}, "bad_link", "url"),
        ({"ttl": 0}, "invalid", "ttl"),
        ({"ttl": 10**30}, "invalid", "ttl"),
        ({"ttl": 60, "expires_at": "2999-01-01T00:00:00Z"}, "bad_link", "ttl"),
        ({"expires_at": "tomorrow"}, "invalid", "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "bad_link", "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+23:59"}, "bad_link", "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "bad_link", "expires_at"),
        ({"title": "a" * 201}, "invalid", "title"),
        ({"title": "a\x00b"}, "invalid", "title"),
        ({"tags": ["fine", ""]}, "invalid", "tags[1]"),
        ({"tags": ["a;b"]}, "invalid", "tags[0]"),
        ({"tags": ["\x00"]}, "invalid", "tags[0]"),
        ({"tags": ["x"] * 21}, "invalid", "tags"),
        ({"tags": None}, "invalid", "tags"),
        ({"status": 200}, "invalid", "status"),
        ({"password": ""}, "invalid", "password"),
        ({"password": "x" * 129}, "invalid", "password"),
        ({"max_clicks": 0}, "invalid", "max_clicks"),
        ({"max_clicks": 1.5}, "invalid", "max_clicks"),
        ({"max_clicks": 1e300}, "invalid", "max_clicks"),
        ({"nonsense": True}, "invalid", "nonsense"),
    ],
)
async def test_what_is_wrong_is_named(shared: Any, wish: dict[str, object], code: str, field: str) -> None:
    refused(await shared.alice.post(API, json=DOCS | wish), 422, code, field)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 422, "body"),
        (b"null", 422, "body"),
        (b"[]", 422, "body"),
        (b'"text"', 422, "body"),
        (b"{", 400, None),
        (b"\xff", 400, None),
        (b'{"url":"https://example.org/\xff"}', 400, None),
        (b'{"url":"\xed\xa0\x80"}', 400, None),
        (b'{"url":"\\ud800"}', 400, None),
        (b"[" * 100_000, 400, None),
        (b'{"url":' * 100_000, 400, None),
    ],
)
@pytest.mark.parametrize("path", [API, f"{API}/bulk", "/api/identity/signin"])
@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "multipart/form-data", "\xff"])
async def test_a_body_that_cannot_be_read(
    shared: Any, path: str, media_type: str, body: bytes, status: int, field: str | None
) -> None:
    answer = await shared.alice.post(path, content=body, headers={"content-type": media_type.encode("latin-1")})
    refused(answer, status, "invalid" if status == 422 else "bad_request", *[field] * (status == 422))


async def test_a_body_that_is_too_large(shared: Any) -> None:
    refused(await shared.alice.post(API, content=b" " * 2**21), 413, "request_entity_too_large")
    refused(await shared.alice.post(f"{API}/import", content=b" " * 2**26), 413, "request_entity_too_large")


@pytest.mark.parametrize("path", [API, f"{API}/bulk"])
async def test_a_field_that_is_missing_is_named(shared: Any, path: str) -> None:
    field = "links" if path.endswith("bulk") else "url"
    assert refused(await shared.alice.post(path, json={}), 422, "invalid", field)["fields"] == {field: "is required"}
    for wrong in (5, None, {"a": 1}, []):
        refused(await shared.alice.post(path, json={field: wrong}), 422, "invalid", field)


async def test_reuse_answers_with_the_link_that_is_there(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    first = await alice.post(API, json=DOCS | {"reuse": True, "title": "First"})
    again = await alice.post(API, json={"url": "https://EXAMPLE.org/docs", "reuse": True})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    for other in ({"status": 301}, {"ttl": 60}, {"max_clicks": 3}, {"password": "x"}, {"url": "https://example.org/"}):
        made = await alice.post(API, json=DOCS | {"reuse": True} | other)
        assert made.status_code == 201
    theirs = await bob.post(API, json=DOCS | {"reuse": True})
    assert theirs.status_code == 201
    await alice.patch(f"{API}/{first.json()['code']}", json={"enabled": False})
    assert (await alice.post(API, json=DOCS | {"reuse": True})).status_code == 201


async def test_reuse_makes_one_link_however_many_ask_at_once(stack: Any, alice: httpx.AsyncClient) -> None:
    async with stack.beside() as other:
        there = await other.client(key=alice.headers["authorization"].removeprefix("Bearer "))
        answers = await asyncio.gather(
            *(client.post(API, json=DOCS | {"reuse": True}) for client in (alice, there) * 10)
        )
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["code"] for answer in answers}) == 1


@pytest.mark.parametrize("host", ["short.example", "SHORT.example", "short.example:8443", "[2001:db8::1]:8080"])
async def test_a_link_to_where_the_request_came_to_is_refused(shared: Any, host: str) -> None:
    wish = {"url": f"https://{host}/x"}
    refused(await shared.alice.post(API, json=wish, headers={"host": host}), 422, "bad_link", "url")
    made = await make(shared.alice)
    refused(
        await shared.alice.patch(f"{API}/{made['code']}", json=wish, headers={"host": host}), 422, "bad_link", "url"
    )
    [row] = (await shared.alice.post(f"{API}/bulk", json={"links": [wish]}, headers={"host": host})).json()["results"]
    assert list(row["error"]["fields"]) == ["url"]


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080/links/abc",
        "http://links.localhost:8080/abc",
        "http://LINKS.localhost:8080/abc",
        "http://127.0.0.1:8080/",
        "http://[::1]:8080/",
        "https://go.example/abc",
        "https://GO.example:443/abc",
    ],
)
async def test_links_to_the_house_itself_go_in_circles(guarded: Any, url: str) -> None:
    client = await guarded.client(host="elsewhere.example")
    refused(await client.post(API, json={"url": url}), 422, "bad_link", "url")


async def test_domains_on_the_blocklist_are_refused_as_soon_as_it_says_so(guarded: Any, blocklist: Path) -> None:
    client = await guarded.account("alice", host="elsewhere.example")
    domains = guarded.state("links").links.blocklist.domains
    made = await make(client, url="https://a.evil.example/")
    blocklist.write_text("# what nobody shall meet\nevil.example # and all below it\n\nOTHER.example\n")
    async with asyncio.timeout(10):
        while "evil.example" not in domains():
            await asyncio.sleep(0.05)
    for url in ("https://evil.example/", "http://a.b.EVIL.example:8080/x", "https://other.example/"):
        refused(await client.post(API, json={"url": url}), 422, "bad_link", "url")
    refused(await client.patch(f"{API}/{made['code']}", json={"url": "https://evil.example/"}), 422, "bad_link", "url")
    await make(client, url="https://notevil.example/")
    blocklist.write_bytes(b"\xff\xfe not a text")  # a broken file changes nothing
    os.utime(blocklist, (1, 1))
    blocklist.unlink()
    await make(client, url="https://notevil.example/")


@pytest.fixture
def blocklist(tmp_path: Path) -> Path:
    path = tmp_path / "blocked.txt"
    path.write_text("")
    return path


@pytest.fixture
async def guarded(blocklist: Path, stack_with: Callable[..., AbstractAsyncContextManager[Any]]) -> AsyncIterator[Any]:
    """A stack with a short host of its own and a blocklist."""
    own = LinksSettings(own_hosts=("go.example",), blocklist=blocklist)
    async with stack_with(systems={"links": own}) as stack:
        yield stack
