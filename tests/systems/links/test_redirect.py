"""Following links: what a visitor meets, at once and through every cache, and whatever a visitor sends."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

API = "/links/api/links"
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"}
ORPHANS = "SELECT coalesce(sum(clicks), 0) FROM links.hourly WHERE code = '?' AND dimension = 'code' AND value = $1"
CLICKS = "SELECT coalesce(sum(clicks + bots), 0) FROM links.hourly WHERE code = $1 AND dimension = ''"


async def make(client: httpx.AsyncClient, url: str = "https://example.org/docs", **wish: Any) -> str:
    answer = await client.post(API, json={"url": url} | wish)
    assert answer.status_code == 201, answer.text
    code: str = answer.json()["code"]
    return code


def page(answer: httpx.Response, status: int, *words: str) -> None:
    """Check that an answer is a page of ours, which needs nothing and stays nowhere."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-robots-tag"] == "noindex"
    assert int(answer.headers["content-length"]) > 0
    for word in words:
        assert word in answer.text


async def eventually(client: httpx.AsyncClient, code: str, status: int, location: str | None = None) -> httpx.Response:
    """Follow a link until it answers so; long before any cache would forget by itself."""
    async with asyncio.timeout(10):
        while True:
            answer = await client.get(f"/links/{code}")
            if (answer.status_code, answer.headers.get("location")) == (status, location):
                return answer
            await asyncio.sleep(0.02)


# --- what a link answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "kept"),
    [
        ({"status": 301}, "private, max-age=90"),
        ({"status": 302}, "no-store"),
        ({"status": 303}, "no-store"),
        ({"status": 307}, "no-store"),
        ({"status": 308}, "private, max-age=90"),
        ({"status": 301, "ttl": 3600}, "no-store"),
        ({"status": 308, "max_clicks": 5}, "no-store"),
    ],
)
async def test_a_redirect_is_kept_only_where_it_lasts(
    carol: httpx.AsyncClient, wish: dict[str, int], kept: str
) -> None:
    code = await make(carol, "https://example.org/ä?b=ü#c", **wish)
    for _ in range(2):  # from the database, then from memory
        for method in ("GET", "HEAD"):
            answer = await carol.request(method, f"/links/{code}?ignored=1")
            assert answer.status_code == wish["status"]
            assert answer.headers["location"] == "https://example.org/%C3%A4?b=%C3%BC#c"
            assert answer.headers["cache-control"] == kept
            assert answer.headers["content-length"] == "0"
            assert answer.content == b""


@pytest.mark.parametrize(
    ("host", "prefix"),
    [
        ("localhost:8080", "/links"),
        ("127.0.0.1:8080", "/links"),
        ("nonsense.example", "/links"),
        ("links.localhost:8080", ""),
        ("LINKS.localhost", ""),
        ("links.example.org", ""),
    ],
)
async def test_by_prefix_and_by_host(stack: Any, carol: httpx.AsyncClient, host: str, prefix: str) -> None:
    code = await make(carol)
    client = await stack.client(host=host)
    assert (await client.get(f"{prefix}/{code}")).status_code == 302
    page(await client.get(f"{prefix}/{code}+"), 200, "https://example.org/docs")
    assert (await client.get(f"{prefix}/api/links/{code}")).status_code == 404  # a stranger's view of the API
    page(await client.get(f"{prefix}/nowhere"), 404, "nowhere")


async def test_the_prefix_alone_is_the_page(carol: httpx.AsyncClient) -> None:
    answer = await carol.get("/links")
    assert (answer.status_code, answer.headers["location"]) == (308, "/links/")
    for path in ("/links/", "/links/app", "/links/app/anything"):
        answer = await carol.get(path)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "code", ["nowhere", "Nowhere-_", "ab", "x" * 65, "favicon.ico", "robots.txt", "settings", "%ff", "%00abc", "a%22b"]
)
async def test_what_leads_nowhere_says_so(carol: httpx.AsyncClient, code: str) -> None:
    for _ in range(2):
        page(await carol.get(f"/links/{code}"), 404, "leads nowhere")
        answer = await carol.head(f"/links/{code}")
        assert (answer.status_code, answer.content) == (404, b"")
    page(await carol.post(f"/links/{code}", data={"password": "x"}), 404)


async def test_codes_that_lead_nowhere_are_counted_apart(stack: Any, carol: httpx.AsyncClient) -> None:
    for _ in range(3):
        await carol.get("/links/orphan", headers=BROWSER)
    await carol.head("/links/orphan", headers=BROWSER)
    await stack.settle()
    assert await stack.value(ORPHANS, "orphan") == 3
    assert await stack.value(CLICKS, "orphan") == 0


async def test_a_link_that_was_switched_off(carol: httpx.AsyncClient) -> None:
    code = await make(carol)
    await carol.get(f"/links/{code}")
    await carol.patch(f"{API}/{code}", json={"enabled": False})
    page(await carol.get(f"/links/{code}"), 410, "switched it off")
    assert (await carol.head(f"/links/{code}")).status_code == 410
    await carol.patch(f"{API}/{code}", json={"enabled": True})
    assert (await carol.get(f"/links/{code}")).status_code == 302


async def test_a_link_ends_at_its_second_even_in_memory(stack: Any, carol: httpx.AsyncClient) -> None:
    code = await make(carol, ttl=1)
    assert (await carol.get(f"/links/{code}")).status_code == 302
    page(await eventually(carol, code, 410), 410, "gave it an end")
    assert (await carol.head(f"/links/{code}")).status_code == 410
    page(await carol.get(f"/links/{code}+"), 200, "expired")
    await carol.patch(f"{API}/{code}", json={"expires_at": None})
    assert (await carol.get(f"/links/{code}")).status_code == 302


async def test_a_link_that_is_used_up(stack: Any, carol: httpx.AsyncClient) -> None:
    code = await make(carol, max_clicks=2)
    for _ in range(5):  # asking without following takes nothing
        assert (await carol.head(f"/links/{code}")).status_code == 302
        page(await carol.get(f"/links/{code}+"), 200, "active")
    for _ in range(2):
        assert (await carol.get(f"/links/{code}")).status_code == 302
    for _ in range(2):
        page(await carol.get(f"/links/{code}"), 410, "that number is reached")
    assert (await carol.head(f"/links/{code}")).status_code == 410
    page(await carol.get(f"/links/{code}+"), 200, "exhausted")
    await stack.settle()
    assert await stack.value(CLICKS, code) == 2


async def test_exactly_so_many_clicks_however_many_come_at_once(stack: Any, carol: httpx.AsyncClient) -> None:
    code = await make(carol, max_clicks=20)
    async with stack.beside() as other:
        there = await other.client()
        answers = await asyncio.gather(*(client.get(f"/links/{code}") for client in (carol, there) * 25))
        await other.settle()
    assert sorted(answer.status_code for answer in answers) == [302] * 20 + [410] * 30
    await stack.settle()
    assert await stack.value(CLICKS, code) == 20
    link = (await carol.get(f"{API}/{code}")).json()
    assert (link["clicks_left"], link["state"]) == (0, "exhausted")


async def test_asking_whether_it_is_there_counts_nothing(stack: Any, carol: httpx.AsyncClient) -> None:
    code = await make(carol)
    for _ in range(3):
        await carol.head(f"/links/{code}", headers=BROWSER)
        await carol.get(f"/links/{code}+", headers=BROWSER)
        await carol.get(f"{API}/{code}")
    await stack.settle()
    assert await stack.value(CLICKS, code) == 0


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_a_link_is_followed_and_nothing_else(carol: httpx.AsyncClient, method: str) -> None:
    code = await make(carol)
    for _ in range(2):
        answer = await carol.request(method, f"/links/{code}")
        assert answer.status_code in (204, 405), answer.text
        await carol.get(f"/links/{code}")


# --- before following -----------------------------------------------------------------------------------------------


async def test_a_preview_tells_where_a_link_leads(carol: httpx.AsyncClient) -> None:
    code = await make(carol, "https://example.org/?a=<b>&c", title="<script>alert(1)</script>", ttl=86_400)
    answer = await carol.get(f"/links/{code}+")
    page(answer, 200, "https://example.org/?a=%3Cb%3E&amp;c", "&lt;script&gt;", "Ends", f'href="{code}"')
    assert "<script" not in answer.text
    head = await carol.head(f"/links/{code}+")
    assert (head.status_code, head.content) == (200, b"")
    page(await carol.get("/links/nowhere+"), 404)
    page(await carol.get("/links/++"), 404)
    await carol.patch(f"{API}/{code}", json={"enabled": False})
    assert 'class="go"' not in (await carol.get(f"/links/{code}+")).text


async def test_a_password_stands_before_a_link(
    stack: Any, carol: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    code = await make(carol, "https://example.org/secret", title="plans", password="sesame ü")
    asked = await stranger.get(f"/links/{code}")
    page(asked, 200, "asks for a password", f'action="{code}"')
    for answer in (asked, await stranger.get(f"/links/{code}+"), await stranger.head(f"/links/{code}")):
        assert "example.org" not in answer.text + str(answer.headers)
        assert "plans" not in answer.text
    for guess in ("", "Sesame ü", "sesame ü ", "x" * 1000):
        wrong = await stranger.post(f"/links/{code}", data={"password": guess})
        page(wrong, 403, 'role="alert"', f'action="{code}"')
        assert "location" not in wrong.headers
    right = await stranger.post(f"/links/{code}", data={"password": "sesame ü"}, headers=BROWSER)
    assert (right.status_code, right.headers["location"]) == (303, "https://example.org/secret")
    assert right.headers["cache-control"] == "no-store"
    await stack.settle()
    assert await stack.value(CLICKS, code) == 1
    await carol.patch(f"{API}/{code}", json={"password": None})
    await eventually(stranger, code, 302, "https://example.org/secret")


async def test_guesses_are_counted_by_address_and_link(
    stack: Any, carol: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    code, other = await make(carol, password="sesame"), await make(carol, password="sesame")
    answers = [await stranger.post(f"/links/{code}", data={"password": f"guess {number}"}) for number in range(11)]
    assert [answer.status_code for answer in answers] == [403] * 10 + [429]
    page(answers[-1], 429, "too much at once", f'action="{code}"')
    assert 0 < int(answers[-1].headers["retry-after"]) <= 6
    elsewhere = await stack.client(ip="192.0.2.99")
    for client, path in ((elsewhere, code), (stranger, other)):
        assert (await client.post(f"/links/{path}", data={"password": "sesame"})).status_code == 303


async def test_a_password_and_a_number_of_clicks(carol: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    code = await make(carol, password="sesame", max_clicks=1)
    for guess, status in (("wrong", 403), ("sesame", 303), ("sesame", 410)):
        assert (await stranger.post(f"/links/{code}", data={"password": guess})).status_code == status
    await carol.patch(f"{API}/{code}", json={"enabled": False, "max_clicks": None})
    page(await stranger.post(f"/links/{code}", data={"password": "sesame"}), 410, "switched it off")


@pytest.mark.parametrize(
    ("media_type", "body", "status"),
    [
        ("application/x-www-form-urlencoded", b"password=%ff", 403),
        ("application/x-www-form-urlencoded", b"password=%ED%A0%80", 403),
        ("application/x-www-form-urlencoded", b"password=\xff", 403),
        ("application/x-www-form-urlencoded", b"password=%00", 403),
        ("application/x-www-form-urlencoded", b"", 403),
        ("application/x-www-form-urlencoded", b"p" * 5000, 413),
        ("multipart/form-data", b"x", 422),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; na", 400),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="password"; filename="f"\r\n\r\nsesame\r\n--x--\r\n',
            403,
        ),
        ("application/json", b'{"password":"sesame"}', 403),
        ("nonsense", b"password=sesame", 403),
    ],
)
async def test_a_form_that_cannot_be_read(
    carol: httpx.AsyncClient, stranger: httpx.AsyncClient, media_type: str, body: bytes, status: int
) -> None:
    code = await make(carol, password="sesame")
    answer = await stranger.post(f"/links/{code}", content=body, headers={"content-type": media_type})
    assert answer.status_code == status, answer.text


# --- through the caches ---------------------------------------------------------------------------------------------


async def test_changes_are_seen_at_once_in_every_process(stack: Any, carol: httpx.AsyncClient) -> None:
    async with stack.beside() as other:
        there = await other.client()
        code = await make(carol, "https://example.org/1")
        for client in (carol, there) * 2:
            assert (await client.get(f"/links/{code}")).headers["location"] == "https://example.org/1"
        await carol.patch(f"{API}/{code}", json={"url": "https://example.org/2"})
        assert (await carol.get(f"/links/{code}")).headers["location"] == "https://example.org/2"
        await eventually(there, code, 302, "https://example.org/2")
        await carol.patch(f"{API}/{code}", json={"status": 301})
        await eventually(there, code, 301, "https://example.org/2")
        await carol.patch(f"{API}/{code}", json={"enabled": False})
        assert (await carol.get(f"/links/{code}")).status_code == 410
        await eventually(there, code, 410)
        await carol.patch(f"{API}/{code}", json={"enabled": True, "max_clicks": 1})
        await eventually(there, code, 301, "https://example.org/2")
        assert (await carol.get(f"/links/{code}")).status_code == 410
        await carol.delete(f"{API}/{code}")
        assert (await carol.get(f"/links/{code}")).status_code == 404
        await eventually(there, code, 404)


async def test_a_code_that_led_nowhere_leads_somewhere_once_it_is_made(stack: Any, carol: httpx.AsyncClient) -> None:
    async with stack.beside() as other:
        there = await other.client()
        for client in (carol, there) * 2:
            assert (await client.get("/links/soon-there")).status_code == 404
            assert (await client.get("/links/soon-too")).status_code == 404
        await make(carol, alias="soon-there")
        rows = [{"url": "https://example.org/", "alias": "soon-too"}]
        assert (await carol.post(f"{API}/bulk", json={"links": rows})).json()["results"][0]["link"]
        for code, url in (("soon-there", "https://example.org/docs"), ("soon-too", "https://example.org/")):
            assert (await carol.get(f"/links/{code}")).headers["location"] == url
            await eventually(there, code, 302, url)


async def test_what_was_said_while_a_process_was_cut_off_is_not_missed(stack: Any, carol: httpx.AsyncClient) -> None:
    code = await make(carol, "https://example.org/1")
    async with stack.beside() as other:
        there = await other.client()
        await there.get(f"/links/{code}")
        client = other.process.runtime.bus.client
        client._transport.close()
        await carol.patch(f"{API}/{code}", json={"url": "https://example.org/2"})
        await eventually(there, code, 302, "https://example.org/2")
        assert client.stats["reconnects"] == 1


async def test_while_the_database_is_away_memory_answers(stack: Any, carol: httpx.AsyncClient) -> None:
    known = await make(carol)
    guarded, counted = await make(carol, password="sesame"), await make(carol, max_clicks=5)
    for code in (known, guarded, counted):
        await carol.get(f"/links/{code}")
    async with AsyncExitStack() as held:
        for _ in range(stack.settings.database_pool):  # nobody else gets a connection
            await held.enter_async_context(stack.db.transaction())
        waiting = [
            asyncio.create_task(carol.get(f"/links/{path}")) for path in (guarded, counted, f"{known}+", "never-seen")
        ]
        assert (await carol.get(f"/links/{known}")).status_code == 302
        for task in waiting:
            page(await task, 503, "One moment")
    assert (await carol.get(f"/links/{counted}")).status_code == 302


# --- what visitors send ---------------------------------------------------------------------------------------------

ODD_HEADERS = [
    b"Host: \xff\xfe",
    b"Host: [::",
    b"Host: " + b"a" * 5000,
    b"Host: localhost:8080\r\nHost: links.localhost",
    b"Host: localhost:8080\r\nUser-Agent: " + b"x" * 60_000,
    b"Host: localhost:8080\r\nUser-Agent: " + bytes(range(128, 256)) * 20,
    b"Host: localhost:8080\r\nUser-Agent: a\tb",
    b"Host: localhost:8080\r\nReferer: \xff\xfe",
    b"Host: localhost:8080\r\nReferer: http://[::1",
    b"Host: localhost:8080\r\nReferer: https://" + b"\xc3\xbc" * 5000 + b".example/",
    b"Host: localhost:8080\r\nReferer: javascript:alert(1)",
    b"Host: localhost:8080\r\nX-Forwarded-For: \xff, , ,,,",
    b"Host: localhost:8080\r\nX-Forwarded-For: " + b"127.0.0.1, " * 1000,
    b"Host: localhost:8080\r\nX-Forwarded-For: fe80::1%eth0",
    b"Host: localhost:8080\r\nSec-Purpose: \xff",
    b"Host: localhost:8080\r\nCookie: \xff=\xfe; tenfold_session=\xff",
    b"Host: localhost:8080\r\nAuthorization: \xff\xff",
    b"Host: localhost:8080\r\nAuthorization: Bearer \xff\xff",
    b"Host: localhost:8080\r\nAccept-Encoding: \xff\r\nAccept: \xff\r\nRange: bytes=0-\r\nIf-None-Match: *",
    b"Host: localhost:8080\r\nX-Request-Id: \xff",
    b"Host: localhost:8080\r\nOrigin: \xff\r\nSec-Fetch-Site: \xff",
    b"Host: localhost:8080\r\nTraceparent: 00-\xff-\xff-01",
]
ODD_PATHS = [
    b"/links/{code}", b"/links/{code}+", b"/links/{code}%2B", b"/links/{code}?\xff=%ff", b"/links/nowhere",
    b"/links/%ff%fe", b"/links/%00abc", b"/links/%ED%A0%80", b"/links/\xff", b"/links/..%2f..%2fetc", b"/links//{code}",
    b"//links/{code}", b"/links/{code}/", b"/links/{code}/x", b"/%ff", b"/links/%", b"/links/" + b"a" * 6000,
    b"/links/api/links/{code}/stats", b"/links/api/links/%ff", b"/links/api/docs/openapi.json", b"/api/identity/me",
    b"/readyz", b"*", b"http://evil.example/links/{code}",
]  # fmt: skip


async def statuses(address: str, requests: list[bytes]) -> list[int]:
    """Send requests as they are, each over a connection of its own, and see what status comes back."""
    parts = urlsplit(address)

    async def one(request: bytes) -> int:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(request)
        line = await reader.readline()
        writer.close()
        return int(line.split()[1])

    async with asyncio.timeout(30):
        return [await one(request) for request in requests]


async def test_whatever_a_visitor_sends_nothing_breaks(stack: Any, carol: httpx.AsyncClient) -> None:
    code = (await make(carol)).encode()
    requests = [
        b"GET /links/%b HTTP/1.1\r\nConnection: close\r\n%b\r\n\r\n" % (path, headers)
        for headers in ODD_HEADERS
        for path in (code, b"nowhere", b"api/links", code + b"+")
    ] + [
        b"%b %b HTTP/1.1\r\nHost: localhost:8080\r\nConnection: close\r\n\r\n" % (method, path.replace(b"{code}", code))
        for path in ODD_PATHS
        for method in (b"GET", b"HEAD", b"POST", b"DELETE")
    ]
    async with stack.served() as address:
        answers = await statuses(address, requests)
    broken = [(request[:200], status) for request, status in zip(requests, answers, strict=True) if status >= 500]
    assert not broken
    followed = [status for request, status in zip(requests, answers, strict=True) if request.startswith(b"GET")].count(
        302
    )
    recorder = stack.state("links").recorder
    await stack.settle()
    assert (recorder.waiting, recorder.dropped) == (0, 0)
    assert await stack.value(CLICKS, code.decode()) == followed > 20
