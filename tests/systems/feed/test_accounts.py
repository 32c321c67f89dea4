"""Accounts through HTTP: one's own, others', what they wrote, and finding some."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tenfold.platform.identity.oauth import actions as oauth
from tenfold.platform.identity.oauth.types import ClientCredentials, TokenRequest
from tenfold.systems.feed.actions.imports import import_graph

API = "/feed/api/v1"
#: One red pixel.
PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")


async def own(client: httpx.AsyncClient) -> dict[str, Any]:
    found = await client.get(f"{API}/accounts/verify_credentials")
    assert found.status_code == 200, found.text
    account: dict[str, Any] = found.json()
    return account


async def edit(client: httpx.AsyncClient, **request: Any) -> dict[str, Any]:
    changed = await client.patch(f"{API}/accounts/update_credentials", **request)
    assert changed.status_code == 200, changed.text
    account: dict[str, Any] = changed.json()
    return account


async def wrote(stack: Any, author: str, *texts: str, ago: timedelta = timedelta(hours=1)) -> None:
    """Have somebody have written public posts, a minute apart."""
    first = datetime.now(UTC) - ago
    lines = [
        {"type": "post", "author": author, "text": text, "at": (first + timedelta(minutes=number)).isoformat()}
        for number, text in enumerate(texts)
    ]
    done = await import_graph(stack.state("feed").feed, [json.dumps(line).encode() for line in lines])
    assert (done.posts, done.problems) == (len(texts), [])


async def test_one_sees_oneself_with_what_one_may_edit(alice: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    me = await own(alice)
    assert (me["username"], me["acct"], me["display_name"], me["locked"]) == ("alice", "alice", "alice", False)
    assert me["source"] == {
        "note": "", "fields": [], "privacy": "public", "sensitive": False, "language": None,
        "follow_requests_count": 0, "hide_collections": False, "discoverable": True, "indexable": True,
        "attribution_domains": [], "quote_policy": "nobody",
    }  # fmt: skip
    assert (await stranger.get(f"{API}/accounts/verify_credentials")).status_code == 401
    public = (await stranger.get(f"{API}/accounts/{me['id']}")).json()
    assert "source" not in public
    assert public["url"].endswith("/feed/@alice")


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"display_name": "Alice A.", "note": "Hi <b>", "locked": True, "bot": True, "discoverable": False,
                  "fields_attributes": [{"name": "Web", "value": "https://a.example"}, {"name": "", "value": ""}],
                  "source": {"privacy": "unlisted", "sensitive": True, "language": "de"}}},
        {"json": {"display_name": " Alice \n A. ", "note": "Hi <b>", "locked": True, "bot": True, "discoverable": False,
                  "fields_attributes": {"0": {"name": "Web", "value": "https://a.example"}},
                  "source": {"privacy": "unlisted", "sensitive": True, "language": "de"}}},
        {"data": {"display_name": "Alice A.", "note": "Hi <b>", "locked": "true", "bot": "1", "discoverable": "false",
                  "fields_attributes[0][name]": "Web", "fields_attributes[0][value]": "https://a.example",
                  "fields_attributes[1][name]": "", "fields_attributes[1][value]": "",
                  "source[privacy]": "unlisted", "source[sensitive]": "true", "source[language]": "de"}},
    ],
    ids=["list", "numbers", "form"],
)  # fmt: skip
async def test_a_profile_is_edited_however_it_is_sent(alice: httpx.AsyncClient, request_: dict[str, Any]) -> None:
    changed = await edit(alice, **request_)
    assert changed == await own(alice)
    assert (changed["display_name"], changed["locked"], changed["bot"]) == ("Alice A.", True, True)
    assert (changed["note"], changed["source"]["note"]) == ("<p>Hi &lt;b&gt;</p>", "Hi <b>")
    assert changed["source"]["fields"] == [{"name": "Web", "value": "https://a.example", "verified_at": None}]
    assert changed["source"]["privacy"] == "unlisted"
    preferences = (await alice.get(f"{API}/preferences")).json()
    assert preferences["posting:default:visibility"] == "unlisted"
    assert (preferences["posting:default:sensitive"], preferences["posting:default:language"]) == (True, "de")
    untouched = await edit(alice, json={"source": {"language": ""}})
    assert untouched == changed | {"source": changed["source"] | {"language": None}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"display_name": "x" * 51},
        {"note": "x" * 501},
        {"fields_attributes": [{"name": "x", "value": "y"}] * 5},
        {"fields_attributes": [{"name": "", "value": "y"}]},
        {"source": {"privacy": "direct"}},
        {"avatar": "a word"},
    ],
)
async def test_what_cannot_stand_on_a_profile(alice: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    refused = await alice.patch(f"{API}/accounts/update_credentials", json=wrong)
    assert refused.status_code == 422
    assert refused.json()["details"]


async def test_pictures_come_and_go(stack: Any, alice: httpx.AsyncClient) -> None:
    drawn = await own(alice)
    for kind in ("avatar", "header"):
        assert drawn[kind].endswith(f"/feed/api/pictures/{kind}/{drawn['id']}")
        picture = await alice.get(f"/feed/api/pictures/{kind}/{drawn['id']}")
        assert picture.headers["content-type"] == "image/svg+xml"
        assert "immutable" in picture.headers["cache-control"]
    assert (await alice.get("/feed/api/pictures/avatar/4711")).status_code == 404
    files = {"avatar": ("a.png", PNG, "image/png"), "header": ("h.png", PNG, "image/png")}
    changed = await edit(alice, data={"display_name": "With pictures"}, files=files)
    assert changed["display_name"] == "With pictures"
    blobs = stack.process.runtime.blobs
    kept = [entry.key async for entry in blobs.list("public/feed")]
    assert sorted(map(blobs.public_url, kept)) == sorted([changed["avatar"], changed["header"]])
    again = await edit(alice, files={"avatar": files["avatar"]})
    assert again["avatar"] != changed["avatar"]
    assert again["header"] == changed["header"]
    assert len([entry async for entry in blobs.list("public/feed")]) == 2  # the old one is gone
    broken = await alice.patch(f"{API}/accounts/update_credentials", files={"avatar": ("a.png", b"no", "image/png")})
    assert broken.status_code == 422
    for kind in ("avatar", "header"):
        assert (await alice.delete(f"{API}/profile/{kind}")).json()[kind] == drawn[kind]
    assert [entry async for entry in blobs.list("public/feed")] == []


async def test_accounts_are_found_by_name_and_by_ids(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    a, b = (await own(alice))["id"], (await own(bob))["id"]
    for name in ("alice", "@alice", "ALICE", "alice@localhost:8080", "@alice@localhost"):
        found = await bob.get(f"{API}/accounts/lookup", params={"acct": name})
        assert (found.status_code, found.json().get("id")) == (200, a), name
    for name in ("", "nobody", "alice@elsewhere.example"):
        assert (await bob.get(f"{API}/accounts/lookup", params={"acct": name})).status_code == 404
    found = await alice.get(f"{API}/accounts", params={"id[]": [b, "4711", a]})
    assert [each["id"] for each in found.json()] == [b, a]
    assert (await alice.get(f"{API}/accounts/4711")).json() == {
        "error": "Record not found: there is no such account.",
        "error_description": "account_not_found",
    }


async def test_a_profile_shows_what_is_asked_for(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    a = (await own(alice))["id"]
    path = f"{API}/accounts/{a}/statuses"
    await wrote(stack, "alice", "one #Tea", "two", "three #coffee #tea")

    async def texts(**query: Any) -> list[str]:
        found = await bob.get(path, params=query)
        assert found.status_code == 200, found.text
        return [each["content"].split()[0].removeprefix("<p>").removesuffix("</p>") for each in found.json()]

    assert await texts() == ["three", "two", "one"]
    assert await texts(tagged="TEA") == ["three", "one"]
    assert await texts(only_media="true") == []
    assert await texts(pinned="true") == []
    assert await texts(exclude_replies="true", exclude_reblogs="true") == ["three", "two", "one"]
    first = await bob.get(path, params={"limit": 2})
    second = await bob.get(first.links["next"]["url"])
    assert second.json()[0]["content"].startswith("<p>one")
    back = await bob.get(second.links["prev"]["url"])
    assert len(back.json()) == 2
    assert (await own(alice))["statuses_count"] == 3
    await alice.post(f"{API}/accounts/{(await own(bob))['id']}/block")
    assert await texts() == []
    assert (await bob.get(f"{API}/accounts/4711/statuses")).status_code == 404


async def test_private_posts_are_for_followers(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    a = (await own(alice))["id"]
    for visibility in ("public", "unlisted", "private", "direct"):
        written = await alice.post(f"{API}/statuses", json={"status": visibility, "visibility": visibility})
        assert written.status_code == 200, written.text

    async def seen(client: httpx.AsyncClient) -> list[str]:
        return [each["visibility"] for each in (await client.get(f"{API}/accounts/{a}/statuses")).json()]

    assert await seen(alice) == ["direct", "private", "unlisted", "public"]
    assert await seen(bob) == ["unlisted", "public"]
    await bob.post(f"{API}/accounts/{a}/follow")
    assert await seen(bob) == ["private", "unlisted", "public"]
    pinned = (await alice.get(f"{API}/accounts/{a}/statuses")).json()[-1]["id"]
    assert (await alice.post(f"{API}/statuses/{pinned}/pin")).status_code == 200
    found = (await bob.get(f"{API}/accounts/{a}/statuses", params={"pinned": "true"})).json()
    assert [each["id"] for each in found] == [pinned]


async def test_who_is_active_and_wants_to_be_found_is_in_the_directory(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    for client in (alice, bob):
        await own(client)
    await wrote(stack, "bob", "early", ago=timedelta(days=2))
    await wrote(stack, "alice", "late")

    async def names(client: httpx.AsyncClient, **query: Any) -> list[str]:
        return [each["username"] for each in (await client.get(f"{API}/directory", params=query)).json()]

    assert await names(stranger) == ["alice", "bob"]
    assert await names(stranger, order="new") == ["bob", "alice"]
    assert await names(stranger, order="new", offset=1, limit=1) == ["alice"]
    await edit(bob, json={"discoverable": False})
    assert await names(stranger) == await names(stranger, order="new") == ["alice"]


async def test_friends_of_friends_are_suggested_before_the_active(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    carol, dave, erin = [await stack.account(name) for name in ("carol", "dave", "erin")]
    ids = {
        name: (await own(each))["id"] for name, each in (("bob", bob), ("carol", carol), ("dave", dave), ("erin", erin))
    }
    await own(alice)
    await alice.post(f"{API}/accounts/{ids['bob']}/follow")
    await bob.post(f"{API}/accounts/{ids['carol']}/follow")
    await bob.post(f"{API}/accounts/{ids['erin']}/follow")
    await alice.post(f"{API}/accounts/{ids['erin']}/mute")
    for name in ("alice", "bob", "dave", "erin"):
        await wrote(stack, name, f"I am {name}")
    found = (await alice.get("/feed/api/v2/suggestions")).json()
    assert [(each["account"]["username"], each["source"]) for each in found] == [
        ("carol", "past_interactions"),
        ("dave", "global"),
    ]
    assert [each["username"] for each in (await alice.get(f"{API}/suggestions")).json()] == ["carol", "dave"]


async def test_an_application_registers_somebody(stack: Any, stranger: httpx.AsyncClient) -> None:
    identity = stack.process.runtime.identity
    made = await oauth.create_application(
        identity, name="app", redirect_uris=["urn:ietf:wg:oauth:2.0:oob"], scopes=["read", "write"], ip="203.0.113.8"
    )
    client = ClientCredentials(client_id=made.client_id, client_secret=made.client_secret)
    request = TokenRequest(grant_type="client_credentials", scope="read write")
    token = await oauth.give_token(identity, client, request, ip="203.0.113.8")
    headers = {"authorization": f"Bearer {token.access_token}"}
    wish = {
        "username": "newcomer", "email": "n@example.org", "password": "correct horse battery", "agreement": "true",
        "locale": "en", "client_id": made.client_id, "client_secret": made.client_secret,
    }  # fmt: skip
    assert (await stranger.post(f"{API}/accounts", data=wish)).status_code == 401
    refused = await stranger.post(f"{API}/accounts", data=wish | {"agreement": "false"}, headers=headers)
    assert (refused.status_code, refused.json()["details"]["agreement"][0]["error"]) == (422, "ERR_ACCEPTED")
    refused = await stranger.post(f"{API}/accounts", data=wish | {"password": "x"}, headers=headers)
    assert (refused.status_code, refused.json()["details"]["password"][0]["error"]) == (422, "ERR_INVALID")
    answered = await stranger.post(f"{API}/accounts", data=wish, headers=headers)
    assert answered.status_code == 200, answered.text
    own_headers = {"authorization": f"Bearer {answered.json()['access_token']}"}
    me = await stranger.get(f"{API}/accounts/verify_credentials", headers=own_headers)
    assert me.json()["username"] == "newcomer"
    taken = await stranger.post(f"{API}/accounts", data=wish, headers=headers)
    assert (taken.status_code, taken.json()["details"]["username"][0]["error"]) == (422, "ERR_TAKEN")


async def test_a_narrow_token_does_no_more_than_it_may(stack: Any, alice: httpx.AsyncClient) -> None:
    me = await own(alice)
    identity = stack.process.runtime.identity
    made = await oauth.create_application(
        identity, name="app", redirect_uris=["urn:ietf:wg:oauth:2.0:oob"], scopes=["profile"], ip="203.0.113.8"
    )
    client = ClientCredentials(client_id=made.client_id, client_secret=made.client_secret)
    request = TokenRequest(grant_type="password", username="alice", password="correct horse battery", scope="profile")
    token = await oauth.give_token(identity, client, request, ip="203.0.113.8")
    narrow = {"authorization": f"Bearer {token.access_token}"}
    assert (await alice.get(f"{API}/accounts/verify_credentials", headers=narrow)).json()["id"] == me["id"]
    for path in ("preferences", "blocks", "mutes", "follow_requests", "lists", "suggestions"):
        assert (await alice.get(f"{API}/{path}", headers=narrow)).status_code == 403, path
    for path in ("accounts/1/follow", "accounts/1/block", "accounts/1/mute", "accounts/1/note", "lists"):
        assert (await alice.post(f"{API}/{path}", headers=narrow)).status_code == 403, path


async def test_a_new_name_is_found_and_an_old_one_is_not(stack: Any, alice: httpx.AsyncClient) -> None:
    await own(alice)
    await edit(alice, json={"display_name": "Zoë Ångström"})
    assert await stack.value("SELECT words FROM feed.account_words") == "alice zoe angstrom"
    await edit(alice, json={"display_name": ""})
    assert await stack.value("SELECT words FROM feed.account_words") == "alice "
