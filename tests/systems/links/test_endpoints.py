"""The link shortener through its doors: making, following, changing and counting links."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

DOCS = {"url": "https://example.org/docs"}
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"}


async def test_a_link_is_made_followed_and_counted(stack: Any, alice: httpx.AsyncClient) -> None:
    made = await alice.post("/links/api/links", json=DOCS | {"title": "Docs", "tags": ["a", "b"]})
    assert made.status_code == 201, made.text
    link = made.json()
    assert len(link["code"]) == 7
    assert link["short_url"] == f"http://localhost:8080/links/{link['code']}"
    followed = await alice.get(f"/links/{link['code']}", headers=BROWSER | {"referer": "https://news.example/x"})
    assert (followed.status_code, followed.headers["location"]) == (302, "https://example.org/docs")
    await stack.settle()
    stats = (await alice.get(f"/links/api/links/{link['code']}/stats")).json()
    assert stats["totals"] == {"clicks": 1, "visitors": 1, "bots": 0}
    assert stats["referrers"] == [{"value": "news.example", "clicks": 1}]
    assert stats["browsers"] == [{"value": "Firefox", "clicks": 1}]
