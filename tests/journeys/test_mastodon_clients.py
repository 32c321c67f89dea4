"""Clients that others wrote, unchanged, against the real command: Mastodon.py and toot."""

import asyncio
import os
import struct
import sys
import threading
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mastodon import Mastodon, MastodonNotFoundError, StreamListener
from tests.journeys.conftest import House

pytestmark = pytest.mark.journey

PASSWORD = "correct horse battery"
SCOPES = ["read", "write", "follow", "push"]


def white_pixel() -> bytes:
    """A PNG, by the specification."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    image = zlib.compress(b"\0\xff\xff\xff")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", image) + chunk(b"IEND", b"")


@pytest.fixture
async def feed(house: House) -> str:
    """The address of a feed with the accounts alice and bob, on a host of its own as clients expect it."""
    house.environment["TENFOLD_FEED_URL"] = f"http://localhost:{house.port}"
    house.empty()
    await house.up()
    for name in ("alice", "bob"):
        status, said = await house.run("account", "create", "--name", name, "--password", PASSWORD)
        assert status == 0, said
    return house.environment["TENFOLD_FEED_URL"]


def signed_in(address: str, name: str) -> Mastodon:
    client_id, client_secret = Mastodon.create_app("journey", scopes=SCOPES, api_base_url=address)
    client = Mastodon(client_id=client_id, client_secret=client_secret, api_base_url=address)
    client.log_in(name, PASSWORD, scopes=SCOPES, allow_http=True)
    return client


@dataclass
class Heard(StreamListener):
    """What a stream has said."""

    updates: list[Any] = field(default_factory=list)
    deletes: list[Any] = field(default_factory=list)
    notifications: list[Any] = field(default_factory=list)
    edits: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.listening = threading.Event()

    def handle_heartbeat(self) -> None:
        self.listening.set()

    def on_update(self, status: Any) -> None:
        self.updates.append(status)

    def on_delete(self, status_id: Any) -> None:
        self.deletes.append(status_id)

    def on_notification(self, notification: Any) -> None:
        self.notifications.append(notification)

    def on_status_update(self, status: Any) -> None:
        self.edits.append(status)


async def test_mastodon_py(feed: str) -> None:
    """Sign in, follow, post, answer, edit, like, boost, search, and hear of it all by streaming."""
    await asyncio.to_thread(_converse, feed)


def _converse(address: str) -> None:
    alice, bob = signed_in(address, "alice"), signed_in(address, "bob")
    assert alice.account_verify_credentials().username == "alice"
    assert alice.instance().configuration.statuses.max_characters == 280
    assert alice.app_verify_credentials().name == "journey"
    heard = Heard()
    stream = bob.stream_user(heard, run_async=True, timeout=30, reconnect_async=False)
    try:
        assert bob.account_follow(alice.me().id).following
        assert bob.account_relationships([alice.me().id])[0].following
        assert heard.listening.wait(30)

        media = alice.media_post(white_pixel(), mime_type="image/png", description="a white pixel")
        first = alice.status_post("Hello @bob, this is #tenfold https://example.org/", media_ids=[media.id])
        assert first.media_attachments[0].description == "a white pixel"
        assert [tag.name for tag in first.tags] == ["tenfold"]
        assert [mention.username for mention in first.mentions] == ["bob"]
        assert 'href="https://example.org/"' in first.content
        _until(lambda: [status.id for status in heard.updates] == [first.id])
        _until(lambda: [status.id for status in bob.timeline_home()] == [first.id])
        _until(lambda: [each.type for each in heard.notifications] == ["mention"])

        edited = alice.status_update(first.id, "Hello @bob, this is #tenfold, edited")
        assert edited.edited_at
        _until(lambda: [status.id for status in heard.edits] == [first.id])
        assert len(alice.status_history(first.id)) == 2
        assert "edited" in alice.status_source(first.id).text

        answer = bob.status_reply(first, "Nice to meet you")
        context = alice.status_context(first.id)
        assert [status.id for status in context.descendants] == [answer.id]
        assert bob.status_favourite(first.id).favourited
        boost = bob.status_reblog(first.id)
        assert boost.reblog.id == first.id
        assert bob.status_bookmark(first.id).bookmarked
        assert [status.id for status in bob.bookmarks()] == [first.id]
        assert [status.id for status in bob.favourites()] == [first.id]
        _until(lambda: {each.type for each in alice.notifications()} == {"follow", "mention", "favourite", "reblog"})
        _until(lambda: alice.status(first.id).favourites_count == 1)
        assert [account.username for account in alice.status_favourited_by(first.id)] == ["bob"]
        assert not bob.status_unfavourite(first.id).favourited
        assert not bob.status_unreblog(first.id).reblogged

        assert [status.id for status in bob.search_v2("edited from:alice", result_type="statuses").statuses] == [
            first.id
        ]
        assert [account.username for account in bob.account_search("ali")] == ["alice"]
        assert bob.account_lookup("alice").id == alice.me().id
        assert [status.id for status in bob.timeline_hashtag("tenfold")] == [first.id]
        assert first.id in [status.id for status in bob.timeline_public()]

        team = bob.list_create("Team")
        bob.list_accounts_add(team.id, [alice.me().id])
        assert [status.id for status in bob.timeline_list(team.id)] == [first.id]

        for number in range(25):
            alice.status_post(f"Number {number}", visibility="unlisted")
        page = alice.account_statuses(alice.me().id, limit=10)
        older = alice.fetch_next(page)
        assert [status.id for status in older] == sorted((status.id for status in older), reverse=True)
        assert older[0].id < page[-1].id
        _until(lambda: len(bob.timeline_home(limit=40)) == 27)

        alice.status_delete(first.id)
        _until(lambda: str(first.id) in map(str, heard.deletes))
        assert first.id not in [status.id for status in bob.timeline_home(limit=40)]
        with pytest.raises(MastodonNotFoundError):
            bob.status(first.id)
        assert not bob.account_unfollow(alice.me().id).following
        assert [status.account.username for status in bob.timeline_home()] == ["bob"]
        alice.account_block(bob.me().id)
        assert alice.account_relationships([bob.me().id])[0].blocking
    finally:
        stream.close()


def _until(condition: Any, seconds: float = 20) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    pause = threading.Event()
    while not condition():
        assert datetime.now(UTC) < deadline, "waited in vain"
        pause.wait(0.05)


async def toot(config: Path, *arguments: str, **variables: str) -> str:
    """Run the command line client. What it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "toot", "--no-color", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"XDG_CONFIG_HOME": str(config), "HOME": str(config)} | variables,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_toot(feed: str, tmp_path: Path) -> None:
    """The command line client: sign in with a password, post, read, search, like, follow, delete."""
    await asyncio.to_thread(lambda: signed_in(feed, "bob").me())  # who has never come can't be followed yet
    await toot(tmp_path, "login_cli", "--instance", feed, "--email", "alice", "--password", PASSWORD)
    assert "alice" in await toot(tmp_path, "whoami")
    assert "Tenfold" in await toot(tmp_path, "instance")
    await toot(tmp_path, "post", "The first words #hello")
    assert "The first words" in await toot(tmp_path, "timelines", "home")
    assert "The first words" in await toot(tmp_path, "timelines", "tag", "hello")
    assert "#hello" in await toot(tmp_path, "search", "hello")
    assert "following" in (await toot(tmp_path, "follow", "bob")).lower()
    assert "bob" in await toot(tmp_path, "following")


async def test_a_graph_is_imported_by_the_command(feed: str, house: House, tmp_path: Path) -> None:
    """JSON lines; what can't be taken is named, and doing it again adds nothing."""
    file = tmp_path / "graph.jsonl"
    file.write_text(
        '{"type": "account", "username": "carol", "display_name": "Carol"}\n'
        '{"type": "account", "username": "dave"}\n'
        '{"type": "follow", "follower": "dave", "followee": "carol"}\n'
        '{"type": "post", "author": "carol", "text": "From elsewhere #moved", "at": "2026-01-31T12:00:00Z"}\n'
        "not json\n"
    )
    status, said = await house.run("import", "feed", str(file))
    assert status == 0, said
    assert "2 accounts, 1 follows, 1 posts added" in said
    assert "line 5" in said
    assert "0 accounts, 0 follows, 0 posts added" in (await house.run("import", "feed", str(file)))[1]
    found = (await house.get("/feed/api/v1/timelines/tag/moved")).json()
    assert [each["account"]["username"] for each in found] == ["carol"]
    status, said = await house.run("import", "links", str(file))
    assert status != 0
    assert "feed" in said
