"""Streaming through the real server, over server-sent events and WebSockets, and across processes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tests.conftest import Stack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tenfold.platform.bus import Bus
from tenfold.systems.feed.endpoints import streaming
from tenfold.systems.feed.hot import streams as hot
from tenfold.systems.feed.rules.streams import NoticeTold
from tenfold.systems.feed.settings import FeedSettings

API = "/feed/api/v1"
pytestmark = pytest.mark.usefixtures("alice")


async def post(who: httpx.AsyncClient, text: str, **more: Any) -> dict[str, Any]:
    answer = await who.post(f"{API}/statuses", json={"status": text, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def me(who: httpx.AsyncClient) -> str:
    found: str = (await who.get(f"{API}/accounts/verify_credentials")).json()["id"]
    return found


async def follow(who: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    answer = await who.post(f"{API}/accounts/{await me(other)}/follow")
    assert answer.status_code == 200, answer.text


def key_of(who: httpx.AsyncClient) -> str:
    return who.headers["authorization"].removeprefix("Bearer ")


class Events:
    """A stream of server-sent events."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self) -> tuple[str, Any]:
        """The next event; signs of life are passed over."""
        async with asyncio.timeout(10):
            name = ""
            async for line in self._lines:
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    return name, json.loads(line.removeprefix("data: "))
        raise AssertionError("the stream has ended")

    async def ended(self) -> None:
        async with asyncio.timeout(10):
            async for _ in self._lines:
                pass


@asynccontextmanager
async def listening(url: str, who: httpx.AsyncClient, path: str) -> AsyncIterator[Events]:
    """An open stream that has begun to listen."""
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", f"{url}{API}/streaming/{path}", headers=who.headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert await anext(lines) == ":)"
        yield Events(lines)


@asynccontextmanager
async def socket(url: str, query: str, **more: Any) -> AsyncIterator[ClientConnection]:
    async with connect(f"{url.replace('http', 'ws')}{API}/streaming?{query}", proxy=None, **more) as opened:
        yield opened


async def heard(opened: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        message: dict[str, Any] = json.loads(await opened.recv())
    return message


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(10):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def test_a_home_brings_what_is_posted_repeated_edited_and_deleted(
    stack: Stack, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    carol = await stack.account("carol")
    hers = await post(carol, "by carol")
    await follow(alice, bob)
    async with stack.served() as url, listening(url, alice, "user") as home:
        await post(carol, "of somebody else")
        written = await post(bob, "hello")
        name, status = await home.next()
        assert (name, status["id"], status["account"]["username"]) == ("update", written["id"], "bob")
        assert status["favourited"] is False
        await bob.put(f"{API}/statuses/{written['id']}", json={"status": "hello again"})
        name, status = await home.next()
        assert name == "status.update"
        assert "again" in status["content"]
        await bob.delete(f"{API}/statuses/{written['id']}")
        assert await home.next() == ("delete", int(written["id"]))
        repeated = (await bob.post(f"{API}/statuses/{hers['id']}/reblog")).json()
        name, status = await home.next()
        assert (name, status["id"], status["reblog"]["id"]) == ("update", repeated["id"], hers["id"])
        own = await post(alice, "mine")
        assert (await home.next())[1]["id"] == own["id"]


async def test_a_home_hides_what_its_reader_may_not_or_will_not_see(
    stack: Stack, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    carol, dora = await stack.account("carol"), await stack.account("dora")
    for each in (bob, carol, dora):
        await follow(alice, each)
    of_dora = await post(dora, "of dora")
    async with stack.served() as url, listening(url, alice, "user") as home:
        await alice.post(f"{API}/accounts/{await me(carol)}/mute")
        await dora.post(f"{API}/accounts/{await me(alice)}/block")
        await post(carol, "muted")
        await post(dora, "blocks alice")
        await bob.post(f"{API}/statuses/{of_dora['id']}/reblog")
        stranger = await stack.account("stranger")
        theirs = await post(stranger, "of a stranger")
        await post(bob, "to a stranger", in_reply_to_id=theirs["id"])
        await post(bob, "@dora between us", visibility="direct")
        seen = await post(bob, "for followers", visibility="private")
        name, status = await home.next()
        assert (name, status["id"]) == ("update", seen["id"])


async def test_an_open_home_follows_whom_its_reader_follows(
    stack: Stack, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    async with stack.served() as url, listening(url, alice, "user") as home:
        streams = stack.state("feed").feed.streams
        author = ("author", int(await me(bob)))
        await follow(alice, bob)
        await until(lambda: author in streams.topics)
        written = await post(bob, "hello")
        assert (await home.next())[1]["id"] == written["id"]
        await alice.post(f"{API}/accounts/{await me(bob)}/unfollow")
        await until(lambda: author not in streams.topics)
        await post(bob, "unheard")
        own = await post(alice, "mine")
        assert (await home.next())[1]["id"] == own["id"]


async def test_notifications_come_from_another_process(
    stack: Stack, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await me(alice)
    async with (
        stack.beside() as other,
        stack.served() as url,
        listening(url, alice, "user/notification") as only,
        listening(url, alice, "user") as home,
    ):
        there = await other.client(key=key_of(bob))
        written = await post(there, "@alice hi")
        await other.settle()
        for stream in (only, home):
            name, notice = await stream.next()
            assert (name, notice["type"], notice["status"]["id"]) == ("notification", "mention", written["id"])
            assert notice["account"]["username"] == "bob"


async def test_public_tag_list_and_direct_streams(
    stack: Stack, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await follow(alice, bob)
    made = (await alice.post(f"{API}/lists", json={"title": "friends"})).json()
    await alice.post(f"{API}/lists/{made['id']}/accounts", json={"account_ids": [await me(bob)]})
    async with (
        stack.served() as url,
        listening(url, alice, "public/local") as public,
        listening(url, alice, "public?only_media=true") as pictures,
        listening(url, alice, "hashtag?tag=Cats") as tagged,
        listening(url, alice, f"list?list={made['id']}") as listed,
        listening(url, alice, "direct") as direct,
    ):
        unlisted = await post(bob, "quietly #cats", visibility="unlisted")
        private = await post(bob, "for followers #cats", visibility="private")
        whispered = await post(bob, "@alice a word #cats", visibility="direct")
        plain = await post(bob, "plain")
        cats = await post(bob, "all about #CATS")
        assert [(await public.next())[1]["id"] for _ in range(2)] == [plain["id"], cats["id"]]
        assert (await tagged.next())[1]["id"] == cats["id"]
        found = [(await listed.next())[1]["id"] for _ in range(4)]
        assert found == [unlisted["id"], private["id"], plain["id"], cats["id"]]
        name, conversation = await direct.next()
        assert (name, conversation["last_status"]["id"]) == ("conversation", whispered["id"])
        assert [each["username"] for each in conversation["accounts"]] == ["bob"]
        await bob.delete(f"{API}/statuses/{cats['id']}")
        for stream in (public, tagged, listed):
            assert await stream.next() == ("delete", int(cats["id"]))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pictures.next()


async def test_nobody_listens_to_what_isnt_theirs(
    stack: Stack, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    made = (await alice.post(f"{API}/lists", json={"title": "friends"})).json()
    for path in (f"list?list={made['id']}", "list?list=x", "list"):
        assert (await bob.get(f"{API}/streaming/{path}")).status_code == 404, path
    assert (await bob.get(f"{API}/streaming/hashtag")).status_code == 400
    for path in ("user", "public", "direct", "user?access_token=wrong"):
        assert (await stranger.get(f"{API}/streaming/{path}")).status_code == 401
    async with stack.served() as url:
        for query in ("", "stream=user", "stream=user&access_token=wrong"):
            with pytest.raises(InvalidStatus):
                async with socket(url, query):
                    pass
        with pytest.raises(InvalidStatus):
            async with socket(url, f"stream=list&list={made['id']}&access_token={key_of(bob)}"):
                pass


async def test_a_socket_carries_many_streams(stack: Stack, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await follow(alice, bob)
    async with stack.served() as url, socket(url, f"stream=user&access_token={key_of(alice)}") as opened:
        await opened.send(json.dumps({"type": "subscribe", "stream": "hashtag", "tag": "cats"}))
        await opened.send(json.dumps({"type": "subscribe", "stream": "nonsense"}))
        assert (await heard(opened))["status"] == 400
        written = await post(bob, "all about #cats")
        messages = [await heard(opened), await heard(opened)]
        assert sorted(message["stream"] for message in messages) == [["hashtag", "cats"], ["user"]]
        assert all(message["event"] == "update" for message in messages)
        assert all(json.loads(message["payload"])["id"] == written["id"] for message in messages)
        await opened.send(json.dumps({"type": "unsubscribe", "stream": "hashtag", "tag": "cats"}))
        for nonsense in ("{", "[]", '{"type": "subscribe", "stream": "list", "list": "1"}', '{"type": "sing"}'):
            await opened.send(nonsense)
            assert (await heard(opened))["status"] in (400, 404)
        written = await post(bob, "more about #cats")
        assert (await heard(opened))["stream"] == ["user"]
        await bob.delete(f"{API}/statuses/{written['id']}")
        gone = await heard(opened)
        assert (gone["stream"], gone["event"], gone["payload"]) == (["user"], "delete", written["id"])


async def test_a_token_may_come_as_the_protocol_of_a_socket(
    stack: Stack, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    key = key_of(alice)
    async with stack.served() as url, socket(url, "stream=public", subprotocols=[key]) as opened:
        assert opened.subprotocol == key
        written = await post(bob, "hello")
        assert json.loads((await heard(opened))["payload"])["id"] == written["id"]


async def test_who_leaves_is_forgotten(stack: Stack, alice: httpx.AsyncClient) -> None:
    streams = stack.state("feed").feed.streams
    async with stack.served() as url:
        async with listening(url, alice, "user"), socket(url, f"stream=public&access_token={key_of(alice)}"):
            await until(lambda: streams.readers == 2)
        await until(lambda: streams.readers == 0)
    assert not streams.topics


async def test_streams_end_when_they_are_told_to(stack: Stack, alice: httpx.AsyncClient) -> None:
    streams = stack.state("feed").feed.streams
    async with (
        stack.served() as url,
        listening(url, alice, "user") as home,
        socket(url, f"stream=public&access_token={key_of(alice)}") as opened,
    ):
        await until(lambda: streams.readers == 2)
        await streams.end()
        await home.ended()
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(10):
                await opened.recv()
        assert opened.close_code == 1001


async def test_an_account_has_only_so_many(stack: Stack, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    streams = stack.state("feed").feed.streams
    most = FeedSettings().streams_per_account
    account = int(await me(alice))
    opened = [streams.open(account) for _ in range(most)]
    refused = await alice.get(f"{API}/streaming/user")
    assert refused.status_code == 429
    assert "retry-after" in refused.headers
    async with stack.served() as url:
        with pytest.raises(InvalidStatus):
            async with socket(url, f"stream=user&access_token={key_of(alice)}"):
                pass
        async with listening(url, bob, "user"):
            pass
        opened.pop().close()
        async with listening(url, alice, "user"):
            pass
    for each in opened:
        each.close()


async def test_a_reader_who_does_not_keep_up_is_disconnected(stack: Stack, alice: httpx.AsyncClient) -> None:
    bus: Bus = stack.process.runtime.bus
    async with hot.open_streams(bus, FeedSettings()) as streams:
        slow, other = streams.open(1), streams.open(2)
        slow.listen(("user:notification",), [("notices", 1)])
        other.listen(("user:notification",), [("notices", 2)])
        for number in range(hot.QUEUE + 1):
            await streams.heard(b'["notice",1,%d]' % number)
        await streams.heard(b'["notice",2,7]')
        assert slow.closed
        assert await slow.take(1) is None
        assert [told.id for _, told in await other.take(1) or () if isinstance(told, NoticeTold)] == [7]
        assert (streams.slow, streams.readers) == (1, 1)


async def test_a_credential_that_is_taken_back_ends_its_stream(
    stack: Stack, alice: httpx.AsyncClient, stranger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "HEARTBEAT", 0.05)
    monkeypatch.setattr(streaming, "RECHECK", 0.0)
    signed_in = {"name": "alice", "password": "correct horse battery"}
    assert (await stranger.post("/api/identity/signin", json=signed_in)).status_code == 200
    [key] = (await stranger.get("/api/identity/keys")).json()
    async with stack.served() as url, listening(url, alice, "user") as home:
        written = await post(alice, "mine")  # looked at again, and still good
        assert (await home.next())[1]["id"] == written["id"]
        own_site = {"origin": "http://localhost:8080"}
        gone = await stranger.delete(f"/api/identity/keys/{key['id']}", headers=own_site)
        assert gone.status_code == 204, gone.text
        await home.ended()


async def test_health(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get(f"{API}/streaming/health")
    assert (answer.status_code, answer.text) == (200, "OK")
