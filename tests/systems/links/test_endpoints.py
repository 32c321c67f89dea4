"""The API of the link shortener through its doors: what can be made, listed, changed and removed, and by whom."""

import asyncio
import csv
import io
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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
async def test_what_is_wrong_is_named(carol: httpx.AsyncClient, wish: dict[str, object], code: str, field: str) -> None:
    refused(await carol.post(API, json=DOCS | wish), 422, code, field)


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
    carol: httpx.AsyncClient, path: str, media_type: str, body: bytes, status: int, field: str | None
) -> None:
    answer = await carol.post(path, content=body, headers={"content-type": media_type.encode("latin-1")})
    refused(answer, status, "invalid" if status == 422 else "bad_request", *[field] * (status == 422))


async def test_a_body_that_is_too_large(carol: httpx.AsyncClient) -> None:
    refused(await carol.post(API, content=b" " * 2**21), 413, "request_entity_too_large")
    refused(await carol.post(f"{API}/import", content=b" " * 2**26), 413, "request_entity_too_large")


@pytest.mark.parametrize("path", [API, f"{API}/bulk"])
async def test_a_field_that_is_missing_is_named(carol: httpx.AsyncClient, path: str) -> None:
    field = "links" if path.endswith("bulk") else "url"
    assert refused(await carol.post(path, json={}), 422, "invalid", field)["fields"] == {field: "is required"}
    for wrong in (5, None, {"a": 1}, []):
        refused(await carol.post(path, json={field: wrong}), 422, "invalid", field)


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


@pytest.mark.parametrize(
    "host", ["short.example", "SHORT.example", "short.example:443", "short.example:8443", "[2001:db8::1]:8080"]
)
async def test_a_link_to_where_the_request_came_to_is_refused(carol: httpx.AsyncClient, host: str) -> None:
    wish = {"url": f"https://{host}/x"}
    refused(await carol.post(API, json=wish, headers={"host": host}), 422, "bad_link", "url")
    made = await make(carol)
    refused(await carol.patch(f"{API}/{made['code']}", json=wish, headers={"host": host}), 422, "bad_link", "url")
    [row] = (await carol.post(f"{API}/bulk", json={"links": [wish]}, headers={"host": host})).json()["results"]
    assert list(row["error"]["fields"]) == ["url"]


async def test_links_to_the_house_itself_go_in_circles(guarded: Any) -> None:
    client = await guarded.client(host="elsewhere.example")
    for url in (
        "http://localhost:8080/links/abc",
        "http://links.localhost:8080/abc",
        "http://LINKS.localhost:8080/abc",
        "http://127.0.0.1:8080/",
        "http://[::1]:8080/",
        "https://go.example/abc",
        "https://GO.example:443/abc",
    ):
        refused(await client.post(API, json={"url": url}), 422, "bad_link", "url")


async def test_domains_on_the_blocklist_are_refused_as_soon_as_it_says_so(guarded: Any, blocklist: Path) -> None:
    client = await guarded.account("alice", host="elsewhere.example")
    guarded.state("links").links.blocklist.CHECK_SECONDS = 0.0
    made = await make(client, url="https://a.evil.example/")
    blocklist.write_text("# what nobody shall meet\nevil.example # and all below it\n\nOTHER.example\n")
    for after in (lambda: None, lambda: blocklist.write_bytes(b"\xff\xfe no text"), blocklist.unlink):
        after()  # a file that can't be read changes nothing
        for url in ("https://evil.example/", "http://a.b.EVIL.example:8080/x", "https://other.example/"):
            refused(await client.post(API, json={"url": url}), 422, "bad_link", "url")
        change = await client.patch(f"{API}/{made['code']}", json={"url": "https://evil.example/"})
        refused(change, 422, "bad_link", "url")
        await make(client, url="https://notevil.example/")


@pytest.fixture
def blocklist(tmp_path: Path) -> Path:
    path = tmp_path / "blocked.txt"
    path.write_text("")
    return path


@pytest.fixture
async def guarded(blocklist: Path, stack_with: Callable[..., AbstractAsyncContextManager[Any]]) -> AsyncIterator[Any]:
    """A product with a short host of its own and a blocklist."""
    own = LinksSettings(own_hosts=("go.example",), blocklist=blocklist)
    async with stack_with(systems={"links": own}) as stack:
        yield stack


async def test_strangers_make_few_links_that_belong_to_nobody(
    stranger: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    link = await make(stranger)
    assert link["anonymous"]
    for client in (stranger, alice):  # who knows the code may look, and nobody may change
        assert (await client.get(f"{API}/{link['code']}")).json() == link
        assert (await client.get(f"{API}/{link['code']}/stats")).status_code == 200
        refused(await client.patch(f"{API}/{link['code']}", json={"title": "mine"}), 403, "not_yours")
        refused(await client.delete(f"{API}/{link['code']}"), 403, "not_yours")
    answers = [await stranger.post(API, json=DOCS | {"reuse": True}) for _ in range(12)]
    made = [answer for answer in answers if answer.status_code == 201]
    assert len(made) == 9
    assert len({answer.json()["code"] for answer in made}) == 9  # nobody's links are not reused
    refused(answers[-1], 429, "too_many_requests")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 6
    await make(alice)


async def test_an_address_is_limited_whatever_it_says_of_itself(stack: Any) -> None:
    client = await stack.client(ip="192.0.2.200")
    answers = [
        await client.post(API, json=DOCS, headers={"x-forwarded-for": f"192.0.2.{number}"}) for number in range(11)
    ]
    assert [answer.status_code for answer in answers] == [201] * 10 + [429]


# --- many at once ---------------------------------------------------------------------------------------------------


async def test_good_and_bad_rows_stand_for_themselves(alice: httpx.AsyncClient) -> None:
    await make(alice, alias=(taken := f"taken-{alice_number(alice)}"))
    there = (await alice.post(API, json={"url": "https://example.org/there", "reuse": True})).json()
    fresh = f"fresh-{alice_number(alice)}"
    rows = [
        DOCS | {"title": "One", "tags": ["x", "y"], "max_clicks": 3},
        {"url": "ftp://example.org/"},
        DOCS | {"alias": fresh},
        DOCS | {"alias": fresh},
        DOCS | {"alias": taken},
        {"title": "no address"},
        "https://example.org/",
        None,
        DOCS | {"nonsense": 1},
        {"url": "https://example.org/there", "reuse": True},
        DOCS | {"password": "open sesame", "ttl": 60},
        DOCS | {"tags": ["fine", "\x00"]},
        DOCS,
    ]
    answer = await alice.post(f"{API}/bulk", json={"links": rows})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert len(results) == len(rows)
    assert [list(result["error"]["fields"]) if result["error"] else None for result in results] == [
        None, ["url"], None, ["alias"], ["alias"], ["url"], ["body"], ["body"], ["nonsense"], None, None, ["tags[1]"],
        None,
    ]  # fmt: skip
    assert all((result["link"] is None) == (result["error"] is not None) for result in results)
    statuses = [result["error"]["status"] for result in results if result["error"]]
    assert statuses == [422, 409, 409, 422, 422, 422, 422, 422]
    assert (results[0]["link"]["title"], results[0]["link"]["tags"]) == ("One", ["x", "y"])
    assert results[2]["link"]["code"] == fresh
    assert results[9]["link"] == there
    assert results[10]["link"]["has_password"]
    for result in results:
        if result["link"]:
            assert (await alice.get(f"{API}/{result['link']['code']}")).json() == result["link"]


def alice_number(client: httpx.AsyncClient) -> str:
    """Something that no other test's aliases have."""
    return client.headers["authorization"][-8:].replace("-", "_")


async def test_a_call_has_ten_thousand_rows_at_most(stack: Any) -> None:
    erin = await stack.account("erin")
    rows = [{"url": f"https://example.org/{number}"} for number in range(10_000)]
    refused(await erin.post(f"{API}/bulk", json={"links": [*rows, DOCS]}), 422, "invalid", "links")
    results = (await erin.post(f"{API}/bulk", json={"links": rows})).json()["results"]
    assert len({result["link"]["code"] for result in results}) == 10_000
    assert [result["link"]["url"] for result in results] == [row["url"] for row in rows]
    assert (await erin.get(f"{API}/overview")).json()["links"] == 10_000
    table = "url\r\n" + "https://example.org/\r\n" * 10_001
    refused(await erin.post(f"{API}/import", content=table), 422, "invalid", "body")
    # What was refused has cost nothing: 20,000 rows an hour are what an account may make.
    assert (await erin.post(f"{API}/bulk", json={"links": rows})).status_code == 200
    refused(await erin.post(f"{API}/bulk", json={"links": rows[:5000]}), 429, "too_many_requests")


async def test_an_alias_is_taken_once_however_far_apart_its_rows_are(alice: httpx.AsyncClient) -> None:
    rows = [DOCS | ({"alias": alice_number(alice)} if number in (0, 700, 1400) else {}) for number in range(1401)]
    results = (await alice.post(f"{API}/bulk", json={"links": rows})).json()["results"]
    assert [number for number, result in enumerate(results) if result["error"]] == [700, 1400]
    assert len({result["link"]["code"] for result in results if result["link"]}) == 1399


async def test_looking_is_no_way_around_a_guard(
    stranger: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    for guard in ({"password": "sesame"}, {"max_clicks": 1}):
        nobodys = await make(stranger, url="https://whisper.example/", title="Whisper", **guard)
        hers = await make(alice, url="https://whisper.example/", title="Whisper", **guard)
        for code in (nobodys["code"], hers["code"]):
            looks = [await client.get(f"{API}/{code}") for client in (stranger, bob)]
            looks += [await client.get(f"/links/{code}+") for client in (stranger, bob, alice)]
            assert not [look.text for look in looks if "whisper" in look.text.lower()]
        assert (await stranger.get(f"{API}/{nobodys['code']}")).json()["url"] == nobodys["short_url"]
        assert (await alice.get(f"{API}/{hers['code']}")).json()["url"] == "https://whisper.example/"
        assert nobodys["url"] == "https://whisper.example/"  # whoever made it was told


async def test_strangers_make_links_one_by_one(stranger: httpx.AsyncClient) -> None:
    for rows in ([DOCS], [DOCS] * 5):
        refused(await stranger.post(f"{API}/bulk", json={"links": rows}), 403, "not_yours")
    refused(await stranger.post(f"{API}/import", content="url\nhttps://example.org/\n"), 403, "not_yours")


async def test_links_go_out_and_come_back_as_csv(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    titles = ["=1+1", "+1", "-1", "@SUM(A1)", "'=quoted", "'plain", 'He said "hi", then left', "ümlaut 🦊", None]
    for number, title in enumerate(titles):
        await make(alice, title=title, tags=[title or "x", "b"], url=f"https://example.org/?q={number},%22", status=307)
    await make(alice, alias=f"-{alice_number(alice)}", expires_at=end.isoformat(), max_clicks=7)
    code = (await make(alice))["code"]
    await alice.get(f"/links/{code}", headers=BROWSER)
    await stack.settle()

    answer = await alice.get(f"{API}/export.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="links.csv"'
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["clicks"] for row in table] == ["1"] + ["0"] * 10
    for row in table:
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values()), row
        assert row["short_url"] == f"http://localhost:8080/links/{row['code'].removeprefix(chr(39))}"
        assert row["state"] == "active"

    before = (await alice.get(API, params={"limit": 100})).json()["items"]
    for link in before:
        assert (await alice.delete(f"{API}/{link['code']}")).status_code == 204
    answer = await bob.post(f"{API}/import", content=answer.content, headers={"content-type": "text/csv"})
    assert [result["error"] for result in answer.json()["results"]] == [None] * 11
    after = {link["code"]: link for link in (await bob.get(API, params={"limit": 100})).json()["items"]}
    assert len(after) == 11
    for link in before:
        for name in ("url", "title", "tags", "status", "expires_at", "max_clicks"):
            assert after[link["code"]][name] == link[name]


async def test_what_a_table_of_links_may_look_like(alice: httpx.AsyncClient) -> None:
    table = (
        "\ufeffTags, URL ,alias,title,expires_at\n"
        ' a; b ;;,https://example.org/1,,"Two\nlines",\n'
        " a; b ;;,https://example.org/1,,One line,2999-01-01\n"
        "\n"
        ",,,,\n"
        f"a,https://example.org/2,{alice_number(alice)}x,'quoted,2090-01-01T00:00:00\n"
        ",ftp://example.org/,,,\n"
        ",https://example.org/3,,,,too,many\n"
        ",https://example.org/4\n"
    )
    results = (await alice.post(f"{API}/import", content=table.encode())).json()["results"]
    errors = [list(result["error"]["fields"]) if result["error"] else None for result in results]
    assert errors == [["title"], ["expires_at"], None, ["url"], ["unnamed"], None]
    assert results[2]["link"]["tags"] == ["a"]
    assert results[2]["link"]["title"] == "'quoted"
    assert results[2]["link"]["expires_at"] == "2090-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("table", "status"),
    [
        (b"", 422),
        (b"\n", 422),
        (b"alias,title\nx,y\n", 422),
        (b"url,colour\nhttps://example.org/,red\n", 422),
        (b'url\n"https://example.org/\n', 422),
        (b'url\n"https://example.org/"x\n', 422),
        (b"url\n" + b"a" * 200_000, 422),
        (b"url\nhttps://example.org/\xff\n", 400),
        (b"url\n", 200),
        (b"url\n\x00\n", 200),
    ],
)
async def test_a_table_that_cannot_be_read(carol: httpx.AsyncClient, table: bytes, status: int) -> None:
    answer = await carol.post(f"{API}/import", content=table)
    assert answer.status_code == status, answer.text
    if status == 422:
        refused(answer, 422, "invalid", "body")


# --- reading --------------------------------------------------------------------------------------------------------


async def listed(client: httpx.AsyncClient, **params: Any) -> list[str]:
    """Titles of the links on all pages."""
    titles: list[str] = []
    while True:
        answer = await client.get(API, params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= params.get("limit", 25)
        titles += [link["title"] for link in page["items"]]
        if page["next"] is None:
            return titles
        assert page["items"]
        params["cursor"] = page["next"]


async def test_pages_have_no_gaps_and_nothing_twice(alice: httpx.AsyncClient) -> None:
    assert await listed(alice) == []
    rows = [DOCS | {"title": str(number), "tags": ["even"] * (number % 2 == 0)} for number in range(57)]
    await alice.post(f"{API}/bulk", json={"links": rows})
    newest_first = [str(number) for number in reversed(range(57))]
    for limit in (1, 10, 19, 56, 57, 58, 100):
        assert await listed(alice, limit=limit) == newest_first
    assert await listed(alice) == newest_first
    assert await listed(alice, tag="even", limit=4) == newest_first[::2]

    page = (await alice.get(API, params={"limit": 20})).json()
    await make(alice, title="new")  # what comes meanwhile moves nothing
    await alice.delete(f"{API}/{page['items'][-1]['code']}")  # nor what goes
    assert await listed(alice, limit=20, cursor=page["next"]) == newest_first[20:]
    assert await listed(alice, cursor="1") == await listed(alice, cursor="0") == []


async def test_a_search_finds_all_words_anywhere(alice: httpx.AsyncClient) -> None:
    await make(alice, title="one", url="https://example.org/Weather?city=Köln")
    await make(alice, title="two 100% done", tags=["weather", "under_score"])
    await make(alice, title="three", alias=f"wEaTher-{alice_number(alice)}")
    assert await listed(alice, q="weather") == ["three", "two 100% done", "one"]
    assert await listed(alice, q="  weather   TWO ") == ["two 100% done"]
    assert await listed(alice, q="100%") == ["two 100% done"]
    assert await listed(alice, q="r_s") == ["two 100% done"]
    for nothing in ("weathers", "%%", "_%_", "\\", "'", "ümlaut", "one three"):
        assert await listed(alice, q=nothing) == [], nothing
    assert await listed(alice, q="done", tag="weather") == ["two 100% done"]
    assert await listed(alice, tag="Weather") == []


async def test_links_are_listed_by_state(alice: httpx.AsyncClient) -> None:
    await make(alice, title="active")
    await make(alice, title="ends", ttl=1)
    link = await make(alice, title="used", max_clicks=1)
    await alice.get(f"/links/{link['code']}")
    link = await make(alice, title="off")
    await alice.patch(f"{API}/{link['code']}", json={"enabled": False})
    async with asyncio.timeout(10):
        while await listed(alice, state="expired") != ["ends"]:  # noqa: ASYNC110 (the clock sends no events)
            await asyncio.sleep(0.05)
    assert await listed(alice, state="active") == ["active"]
    assert await listed(alice, state="exhausted") == ["used"]
    assert await listed(alice, state="disabled") == ["off"]
    states = {link["title"]: link["state"] for link in (await alice.get(API)).json()["items"]}
    assert states == {"active": "active", "ends": "expired", "used": "exhausted", "off": "disabled"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("state=asleep", "state"),
        ("cursor=", "cursor"),
        ("cursor=!", "cursor"),
        ("cursor=zzzzzzzzzzzz", "cursor"),
        ("q=" + "a" * 201, "q"),
        ("q=%00", "q"),
        ("tag=%00", "tag"),
        ("tag=" + "a" * 41, "tag"),
    ],
)
async def test_a_list_that_cannot_be_asked_for(carol: httpx.AsyncClient, query: str, field: str) -> None:
    refused(await carol.get(f"{API}?{query}"), 422, "invalid", field)


@pytest.mark.parametrize("query", ["cursor=zzzzzzzzzzz", "q=%ff", "q=%ED%A0%80", "q=", "tag=", "q=a&q=b", "x=y"])
async def test_odd_lists_are_lists(carol: httpx.AsyncClient, query: str) -> None:
    assert (await carol.get(f"{API}?{query}")).status_code == 200


async def test_the_list_has_clicks_of_two_weeks(stack: Any, alice: httpx.AsyncClient) -> None:
    code = (await make(alice))["code"]
    for _ in range(3):
        await alice.get(f"/links/{code}", headers=BROWSER)
    await stack.settle()
    [link] = (await alice.get(API)).json()["items"]
    assert (link["clicks"], sum(link["series"]), len(link["series"])) == (3, 3, 14)
    overview = (await alice.get(f"{API}/overview")).json()
    assert (overview["links"], overview["clicks"], overview["visitors"], overview["bots"]) == (1, 3, 1, 0)
    assert len(overview["series"]) == 24


@pytest.mark.parametrize("code", ["nowhere", "ab", "a" * 65, "a.b", "%00abc", "%ff%fe", "ümlaut"])
async def test_there_is_no_such_link(carol: httpx.AsyncClient, code: str) -> None:
    for answer in (
        await carol.get(f"{API}/{code}"),
        await carol.get(f"{API}/{code}/stats"),
        await carol.get(f"{API}/{code}/qr"),
        await carol.patch(f"{API}/{code}", json={"title": "x"}),
        await carol.delete(f"{API}/{code}"),
    ):
        if code == "nowhere":
            refused(answer, 404, "link_not_found")
        else:
            refused(answer, 422, "invalid", "code")


async def test_a_qr_code_leads_to_the_short_address(alice: httpx.AsyncClient) -> None:
    code = (await make(alice))["code"]
    svg = await alice.get(f"{API}/{code}/qr")
    assert svg.headers["content-type"] == "image/svg+xml"
    assert svg.text.startswith("<svg ")
    assert "script" not in svg.text
    for size in (64, 100, 2048):
        png = await alice.get(f"{API}/{code}/qr", params={"format": "png", "size": size})
        assert png.headers["content-type"] == "image/png"
        assert png.content.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", png.content[16:24])
        assert size - 33 < width == height <= size  # a module has a whole number of pixels
    for query in ("size=63", "size=2049", f"size={10**30}", "format=gif"):
        refused(await alice.get(f"{API}/{code}/qr?{query}"), 422, "invalid", query.partition("=")[0])


async def test_statistics_of_each_period_end_now(stack: Any, alice: httpx.AsyncClient) -> None:
    code = (await make(alice))["code"]
    await alice.get(f"/links/{code}", headers=BROWSER)
    await stack.settle()
    for period, buckets, interval in (("24h", 24, "hour"), ("7d", 7, "day"), ("30d", 30, "day"), ("90d", 90, "day")):
        stats = (await alice.get(f"{API}/{code}/stats", params={"period": period})).json()
        assert (stats["period"], stats["interval"], len(stats["series"])) == (period, interval, buckets)
        assert stats["totals"] == {"clicks": 1, "visitors": 1, "bots": 0}
        assert stats["series"][-1]["clicks"] == 1
        assert stats["from"] == stats["series"][0]["at"]
        assert datetime.fromisoformat(stats["to"]) > datetime.now(UTC)
    refused(await alice.get(f"{API}/{code}/stats?period=1y"), 422, "invalid", "period")


# --- changing -------------------------------------------------------------------------------------------------------


async def test_what_is_absent_stays_and_null_clears(alice: httpx.AsyncClient) -> None:
    link = await make(alice, title="Old", tags=["a"], password="sesame", max_clicks=5, ttl=3600, status=307)
    path = f"{API}/{link['code']}"
    assert (await alice.patch(path, json={})).json() == link
    changed = (await alice.patch(path, json={"title": "New", "tags": ["b", "c", "b"], "status": 301})).json()
    assert changed == link | {"title": "New", "tags": ["b", "c"], "status": 301}
    null = {"title": None, "password": None, "max_clicks": None, "expires_at": None}
    cleared = (await alice.patch(path, json=null)).json()
    assert cleared == changed | {
        "title": None, "has_password": False, "max_clicks": None, "clicks_left": None, "expires_at": None
    }  # fmt: skip
    again = {"password": "x", "max_clicks": 9, "expires_at": "2090-01-01T00:00:00Z", "url": "https://EXAMPLE.org"}
    assert (await alice.patch(path, json=again)).json() == cleared | {
        "has_password": True, "max_clicks": 9, "clicks_left": 9, "expires_at": "2090-01-01T00:00:00Z",
        "url": "https://example.org/",
    }  # fmt: skip
    assert (await alice.get(path)).json()["url"] == "https://example.org/"


async def test_clicks_that_were_taken_stay_taken(alice: httpx.AsyncClient) -> None:
    code = (await make(alice, max_clicks=5))["code"]
    for _ in range(3):
        assert (await alice.get(f"/links/{code}")).status_code == 302
    more = (await alice.patch(f"{API}/{code}", json={"max_clicks": 10})).json()
    assert (more["max_clicks"], more["clicks_left"], more["state"]) == (10, 7, "active")
    fewer = (await alice.patch(f"{API}/{code}", json={"max_clicks": 2})).json()
    assert (fewer["max_clicks"], fewer["clicks_left"], fewer["state"]) == (2, 0, "exhausted")


@pytest.mark.parametrize(
    ("wish", "code", "field"),
    [
        ({"url": "javascript:x"}, "bad_link", "url"),
        ({"url": None}, "invalid", "url"),
        ({"tags": None}, "invalid", "tags"),
        ({"enabled": None}, "invalid", "enabled"),
        ({"status": 418}, "invalid", "status"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "bad_link", "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "bad_link", "expires_at"),
        ({"title": "\x00"}, "invalid", "title"),
        ({"alias": "other"}, "invalid", "alias"),
        ({"code": "other"}, "invalid", "code"),
        ({"clicks_left": 7}, "invalid", "clicks_left"),
        ({"max_clicks": -1}, "invalid", "max_clicks"),
    ],
)
async def test_a_change_that_is_refused_changes_nothing(
    carol: httpx.AsyncClient, wish: dict[str, object], code: str, field: str
) -> None:
    link = await make(carol)
    refused(await carol.patch(f"{API}/{link['code']}", json={"title": "fine"} | wish), 422, code, field)
    assert (await carol.get(f"{API}/{link['code']}")).json() == link


async def test_changes_at_once_are_all_kept(alice: httpx.AsyncClient) -> None:
    code = (await make(alice))["code"]
    wishes: list[dict[str, object]] = [{"title": "x"}, {"tags": ["y"]}, {"status": 301}, {"max_clicks": 4}]
    await asyncio.gather(*(alice.patch(f"{API}/{code}", json=wish) for wish in wishes))
    link = (await alice.get(f"{API}/{code}")).json()
    assert (link["title"], link["tags"], link["status"], link["max_clicks"]) == ("x", ["y"], 301, 4)


async def test_a_link_that_was_deleted_is_gone_with_its_statistics(stack: Any, alice: httpx.AsyncClient) -> None:
    code = (await make(alice, alias=alice_number(alice)))["code"]
    await alice.get(f"/links/{code}", headers=BROWSER)
    await stack.settle()
    answer = await alice.delete(f"{API}/{code}")
    assert (answer.status_code, answer.content) == (204, b"")
    refused(await alice.delete(f"{API}/{code}"), 404, "link_not_found")
    refused(await alice.get(f"{API}/{code}"), 404, "link_not_found")
    assert (await alice.get(f"/links/{code}")).status_code == 404
    await stack.settle()
    await make(alice, alias=code)  # the alias is free again, and begins anew
    stats = (await alice.get(f"{API}/{code}/stats", params={"period": "90d"})).json()
    assert stats["totals"] == {"clicks": 0, "visitors": 0, "bots": 0}


# --- whose links ----------------------------------------------------------------------------------------------------


async def test_nobody_meets_the_links_of_others(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    link = await make(alice, title="secret plans", tags=["secret"], password="sesame")
    path = f"{API}/{link['code']}"
    for other in (bob, stranger):
        for method, rest, body in (
            ("GET", "", None),
            ("GET", "/stats", None),
            ("GET", "/qr", None),
            ("GET", "/live", None),
            ("PATCH", "", {"url": "https://evil.example/", "enabled": False, "password": None}),
            ("PATCH", "", {}),
            ("DELETE", "", None),
        ):
            refused(await other.request(method, path + rest, json=body), 404, "link_not_found")
    assert (await bob.get(API, params={"q": "secret"})).json() == {"items": [], "next": None}
    assert (await bob.get(API, params={"tag": "secret"})).json()["items"] == []
    assert "secret" not in (await bob.get(f"{API}/export.csv")).text
    assert (await bob.get(f"{API}/overview")).json()["links"] == 0
    for list_of_own in (API, f"{API}/export.csv", f"{API}/overview"):
        refused(await stranger.get(list_of_own), 403, "not_yours")
    assert (await bob.post(API, json={"url": link["url"], "reuse": True})).json()["code"] != link["code"]
    assert (await alice.get(path)).json() == link
    assert "secret" not in (await stranger.get(f"/links/{link['code']}+")).text


async def test_a_key_that_is_no_good_is_refused(stack: Any) -> None:
    client = await stack.client(key="tf_nonsense")
    for answer in (await client.get(API), await client.post(API, json=DOCS)):
        refused(answer, 401, "bad_credential")
