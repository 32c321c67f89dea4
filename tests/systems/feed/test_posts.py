"""Posts through the doors: writing, answering, changing and removing them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

STATUSES = "/feed/api/v1/statuses"


async def post(client: httpx.AsyncClient, text: str, **more: Any) -> dict[str, Any]:
    answered = await client.post(STATUSES, json={"status": text, **more})
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def get(client: httpx.AsyncClient, id: str, what: str = "") -> Any:
    answered = await client.get(f"{STATUSES}/{id}{what}")
    assert answered.status_code == 200, answered.text
    return answered.json()


async def refused(client: httpx.AsyncClient, code: int = 422, **wish: Any) -> str:
    answered = await client.post(STATUSES, json=wish)
    assert answered.status_code == code, answered.text
    return str(answered.json()["error"])


async def account_id(client: httpx.AsyncClient) -> str:
    found: str = (await client.get("/feed/api/v1/accounts/verify_credentials")).json()["id"]
    return found


async def test_a_post_is_what_was_written(stack: Any, alice: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    made = await post(alice, "Hello\r\nworld & <you> #Tenfold", language="en")
    assert made["content"].startswith("<p>Hello<br />world &amp; &lt;you&gt; <a href=")
    assert [tag["name"] for tag in made["tags"]] == ["tenfold"]
    assert (made["visibility"], made["language"], made["sensitive"], made["spoiler_text"]) == (
        "public",
        "en",
        False,
        "",
    )
    assert made["account"]["username"] == "alice"
    assert (made["reblog"], made["in_reply_to_id"], made["edited_at"], made["poll"]) == (None, None, None, None)
    seen = await get(stranger, made["id"])
    assert seen["content"] == made["content"]
    assert (await get(alice, made["id"], "/source"))["text"] == "Hello\nworld & <you> #Tenfold"
    some = (await stranger.get(STATUSES, params={"id[]": [made["id"], "12"]})).json()
    assert [each["id"] for each in some] == [made["id"]]


async def test_what_a_post_may_be(alice: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    assert "280" in await refused(alice, status="x" * 281)
    await post(alice, "\N{FAMILY}" * 280)
    await post(alice, "x" * 256 + " https://example.org/" + "y" * 500)  # a link counts 23
    assert "281" in await refused(alice, status="x" * 271, spoiler_text="y" * 10)
    assert "blank" in await refused(alice, status=" \n ")
    await refused(alice)
    await refused(alice, status="x", poll={"options": ["a", "b"], "expires_in": 60})
    await refused(alice, status="x", scheduled_at="2030-01-01T00:00:00Z")
    await refused(alice, status="x", visibility="secret")
    await refused(alice, status="x", language="<b>")
    await refused(alice, status="x", media_ids=["77"])
    await refused(alice, 404, status="x", in_reply_to_id="77")
    await refused(stranger, 401, status="x")
    form = await alice.post(STATUSES, data={"status": "as a form", "sensitive": "true", "visibility": "unlisted"})
    assert form.json()["sensitive"] is True
    assert form.json()["visibility"] == "unlisted"


async def test_a_warning_hides_what_is_behind_it(alice: httpx.AsyncClient) -> None:
    made = await post(alice, "the end", spoiler_text="a film", sensitive=False)
    assert (made["spoiler_text"], made["sensitive"]) == ("a film", True)
    alone = await post(alice, "", spoiler_text="a film")
    assert (alone["spoiler_text"], alone["content"]) == ("", "<p>a film</p>")


async def test_names_become_accounts(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    bob_id = await account_id(bob)
    made = await post(alice, "@BOB and @nobody_here, @bob@elsewhere.example")
    assert [(each["id"], each["username"]) for each in made["mentions"]] == [(bob_id, "bob")]
    assert made["content"].count("u-url mention") == 1
    assert (await bob.post(f"/feed/api/v1/accounts/{await account_id(alice)}/block")).status_code == 200
    assert (await post(alice, "@bob again"))["mentions"] == []


async def test_who_sees_which_post(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    carol, stranger = await stack.account("carol"), await stack.client()
    await account_id(carol)
    await account_id(bob)
    assert (await bob.post(f"/feed/api/v1/accounts/{await account_id(alice)}/follow")).status_code == 200
    made = {
        kind: (await post(alice, "for @carol" if kind == "direct" else "for some", visibility=kind))["id"]
        for kind in ("public", "unlisted", "private", "direct")
    }
    for client, seen in (
        (alice, {"public", "unlisted", "private", "direct"}),
        (bob, {"public", "unlisted", "private"}),
        (carol, {"public", "unlisted", "direct"}),
        (stranger, {"public", "unlisted"}),
    ):
        answered = {kind: (await client.get(f"{STATUSES}/{made[kind]}")).status_code for kind in made}
        assert answered == {kind: 200 if kind in seen else 404 for kind in made}
        for what in ("/context", "/history", "/favourited_by", "/reblogged_by"):
            for kind, status in answered.items():
                assert (await client.get(f"{STATUSES}/{made[kind]}{what}")).status_code == status
    for what in ("favourite", "bookmark", "reblog", "mute", "pin"):
        assert (await carol.post(f"{STATUSES}/{made['private']}/{what}")).status_code == 404
    await refused(carol, 404, status="so?", in_reply_to_id=made["private"])
    assert (await stranger.post(f"{STATUSES}/{made['public']}/favourite")).status_code == 401


async def test_a_thread_is_read_in_order(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    carol = await stack.account("carol")
    root = await post(alice, "root")
    one = await post(bob, "one", in_reply_to_id=root["id"])
    two = await post(carol, "two", in_reply_to_id=root["id"])
    deep = await post(alice, "deep", in_reply_to_id=one["id"])
    deeper = await post(alice, "deeper", in_reply_to_id=int(deep["id"]))
    assert (deep["in_reply_to_id"], deep["in_reply_to_account_id"]) == (one["id"], one["account"]["id"])

    async def around(client: httpx.AsyncClient, status: dict[str, Any]) -> tuple[list[str], list[str]]:
        found = await get(client, status["id"], "/context")
        return [each["id"] for each in found["ancestors"]], [each["id"] for each in found["descendants"]]

    ids = [each["id"] for each in (root, one, deep, deeper, two)]
    assert await around(alice, root) == ([], ids[1:])
    assert await around(alice, deep) == (ids[:2], [deeper["id"]])
    assert await around(alice, deeper) == (ids[:3], [])
    # Whom one doesn't want to see isn't there; what answers them is.
    assert (await carol.post(f"/feed/api/v1/accounts/{one['account']['id']}/mute")).status_code == 200
    assert await around(carol, root) == ([], [deep["id"], deeper["id"], two["id"]])
    # What is gone leaves its answers together.
    await stack.settle()
    assert (await bob.delete(f"{STATUSES}/{one['id']}")).status_code == 200
    assert await around(alice, root) == ([], [deep["id"], deeper["id"], two["id"]])
    assert await around(alice, deeper) == ([root["id"], deep["id"]], [])


async def test_an_answer_to_a_repost_answers_what_it_repeats(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    root = await post(alice, "root")
    again = (await bob.post(f"{STATUSES}/{root['id']}/reblog")).json()
    answered = await post(bob, "yes", in_reply_to_id=again["id"])
    assert answered["in_reply_to_id"] == root["id"]


async def test_an_answer_in_confidence_stays_so(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await account_id(bob)
    secret = await post(alice, "@bob psst", visibility="direct")
    assert (await post(bob, "@alice ok", in_reply_to_id=secret["id"]))["visibility"] == "direct"


async def test_an_edit_keeps_what_was_said(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await account_id(bob)
    made = await post(alice, "first #one", spoiler_text="careful")
    path = f"{STATUSES}/{made['id']}"
    changed = (await alice.put(path, json={"status": "second #two for @bob"})).json()
    assert changed["edited_at"] is not None
    assert (changed["spoiler_text"], changed["sensitive"]) == ("", False)
    assert [each["username"] for each in changed["mentions"]] == ["bob"]
    assert await get(bob, made["id"]) | {"pinned": False} == changed | {"pinned": False}
    # The same again is no change.
    again = (await alice.put(path, json={"status": "second #two for @bob"})).json()
    assert again["edited_at"] == changed["edited_at"]
    versions = await get(bob, made["id"], "/history")
    assert [(each["spoiler_text"], each["sensitive"]) for each in versions] == [("careful", True), ("", False)]
    assert "first" in versions[0]["content"]
    assert versions[0]["created_at"] == made["created_at"]
    assert versions[1]["created_at"] == changed["edited_at"]
    for tag, count in (("one", 0), ("two", 1)):
        assert len((await bob.get(f"/feed/api/v1/timelines/tag/{tag}")).json()) == count
    assert (await bob.put(path, json={"status": "mine"})).status_code == 404
    assert (await bob.get(f"{path}/source")).status_code == 404
    assert (await alice.put(path, json={"status": "x" * 281})).status_code == 422
    assert (await get(bob, made["id"]))["content"] == changed["content"]


async def test_edits_end_somewhere(alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenfold.systems.feed.actions.posts.MOST_EDITS", 2)
    path = f"{STATUSES}/{(await post(alice, '0'))['id']}"
    assert [(await alice.put(path, json={"status": f"{n}"})).status_code for n in (1, 2, 3)] == [200, 200, 422]


async def test_a_deleted_post_is_nowhere(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    made = await post(alice, "gone soon #tag")
    path = f"{STATUSES}/{made['id']}"
    for verb in ("favourite", "bookmark", "reblog"):
        assert (await bob.post(f"{path}/{verb}")).status_code == 200
    await alice.put(path, json={"status": "gone very soon #tag"})
    await stack.settle()
    assert (await bob.delete(path)).status_code == 404
    gone = (await alice.delete(path)).json()
    assert gone["text"] == "gone very soon #tag"
    assert gone["id"] == made["id"]
    assert (await alice.get(path)).status_code == 404
    assert (await alice.delete(path)).status_code == 404
    for place in ("timelines/tag/tag", "timelines/public", "favourites", "bookmarks", "timelines/home"):
        assert (await bob.get(f"/feed/api/v1/{place}")).json() == [], place
    await stack.settle()
    for table in ("post", "authored", "tagged", "post_count", "post_version", "marked_by", "in_conversation"):
        assert await stack.value(f"SELECT count(*) FROM feed.{table}") == 0, table
    assert await stack.value("SELECT count(*) FROM feed.mark WHERE kind <> 'bookmark'") == 0
    assert await stack.value("SELECT sum(statuses) FROM feed.account_count") == 0


async def test_counts_follow(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    root = await post(alice, "root")
    reply = await post(bob, "yes", in_reply_to_id=root["id"])
    for client in (alice, bob):
        await client.post(f"{STATUSES}/{root['id']}/favourite")
    await bob.post(f"{STATUSES}/{root['id']}/reblog")
    await stack.settle()
    seen = await get(alice, root["id"])
    assert (seen["replies_count"], seen["favourites_count"], seen["reblogs_count"]) == (1, 2, 1)
    assert seen["account"]["statuses_count"] == 1
    assert seen["account"]["last_status_at"] == seen["created_at"][:10]
    assert (await get(alice, reply["id"]))["account"]["statuses_count"] == 2  # with the repost
    await bob.delete(f"{STATUSES}/{reply['id']}")
    await bob.post(f"{STATUSES}/{root['id']}/unreblog")
    await alice.post(f"{STATUSES}/{root['id']}/unfavourite")
    await stack.settle()
    seen = await get(alice, root["id"])
    assert (seen["replies_count"], seen["favourites_count"], seen["reblogs_count"]) == (0, 1, 0)
    assert (await bob.get("/feed/api/v1/accounts/verify_credentials")).json()["statuses_count"] == 0


async def test_a_key_makes_one_post(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    async def send(client: httpx.AsyncClient, key: str) -> str:
        made = await client.post(STATUSES, json={"status": "once"}, headers={"idempotency-key": key})
        assert made.status_code == 200, made.text
        found: str = made.json()["id"]
        return found

    await account_id(alice)
    await account_id(bob)
    same = await asyncio.gather(*(send(alice, "k") for _ in range(4)))
    assert len(set(same)) == 1
    assert len({*same, await send(alice, "l"), await send(bob, "k")}) == 3
    assert await stack.value("SELECT count(*) FROM feed.post") == 3
    assert await stack.value("SELECT count(*) FROM platform.outbox WHERE subject LIKE '%published'") <= 3


async def test_another_process_knows_what_one_has_changed(stack: Any, alice: httpx.AsyncClient) -> None:
    made = await post(alice, "one")
    async with stack.beside() as other:
        client = await other.client()

        async def answers(status: int, text: str = "") -> bool:
            found = await client.get(f"{STATUSES}/{made['id']}")
            return found.status_code == status and text in found.text

        assert await answers(200, "<p>one</p>")
        await alice.put(f"{STATUSES}/{made['id']}", json={"status": "two"})
        await until(lambda: answers(200, "<p>two</p>"))
        await alice.delete(f"{STATUSES}/{made['id']}")
        await until(lambda: answers(404))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
