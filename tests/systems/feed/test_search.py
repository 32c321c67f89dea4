"""Search through HTTP: who finds what, and in which order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tenfold.systems.feed.rules import search as rules
from tenfold.systems.feed.store import search as store
from tenfold.systems.feed.store.search import Scope
from tenfold.systems.feed.types import Range

API = "/feed/api"


async def say(client: httpx.AsyncClient, status: str, **wish: Any) -> str:
    made = await client.post(f"{API}/v1/statuses", json={"status": status, **wish})
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


async def find(client: httpx.AsyncClient, q: str, **query: Any) -> dict[str, Any]:
    found = await client.get(f"{API}/v2/search", params={"q": q, **query})
    assert found.status_code == 200, found.text
    results: dict[str, Any] = found.json()
    assert set(results) == {"accounts", "statuses", "hashtags"}
    return results


async def posts(client: httpx.AsyncClient, q: str, **query: Any) -> list[str]:
    return [each["id"] for each in (await find(client, q, type="statuses", **query))["statuses"]]


async def people(client: httpx.AsyncClient, q: str, **query: Any) -> list[str]:
    found = await client.get(f"{API}/v1/accounts/search", params={"q": q, **query})
    assert found.status_code == 200, found.text
    return [each["username"] for each in found.json()]


async def id_of(client: httpx.AsyncClient) -> str:
    return str((await client.get(f"{API}/v1/accounts/verify_credentials")).json()["id"])


async def test_a_post_is_found_at_once_however_it_is_written(
    alice: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    post_id = await say(alice, "The Größe of a CAFÉ au lait #Kaffee")
    await say(alice, "Something else altogether")
    for q in ("cafe", "GRÖSSE", '"cafe au lait"', "#kaffee", "kaffee", "lait -tea", "from:alice cafe"):
        assert await posts(stranger, q) == [post_id], q
    for q in ("caf", '"lait cafe"', "cafe -lait", "#cafe", "from:bob cafe", "cafe has:link", "", "-"):
        assert await posts(stranger, q) == [], q


async def test_an_edited_post_is_found_by_what_it_says_now(alice: httpx.AsyncClient) -> None:
    post_id = await say(alice, "tomatoes")
    assert (await alice.put(f"{API}/v1/statuses/{post_id}", json={"status": "potatoes"})).status_code == 200
    assert await posts(alice, "tomatoes") == []
    assert await posts(alice, "potatoes") == [post_id]
    assert (await alice.delete(f"{API}/v1/statuses/{post_id}")).status_code == 200
    assert await posts(alice, "potatoes") == []


async def test_only_who_may_see_a_post_finds_it(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    carol = await stack.account("carol")
    await id_of(carol)  # has been here, so can be mentioned
    ids = {each: await say(alice, f"secret {each}", visibility=each) for each in ("public", "unlisted", "private")}
    direct = await say(alice, "@carol secret direct", visibility="direct")
    assert (await bob.post(f"{API}/v1/accounts/{await id_of(alice)}/follow")).status_code == 200
    assert await posts(stranger, "secret") == [ids["public"]]
    assert set(await posts(bob, "secret")) == set(ids.values())
    assert set(await posts(carol, "secret")) == {ids["public"], direct}
    assert set(await posts(alice, "secret")) == {*ids.values(), direct}
    assert set(await posts(alice, "from:me")) == {*ids.values(), direct}
    assert await posts(bob, "from:me") == []


@pytest.mark.parametrize("what", ["block", "mute"])
async def test_who_is_hidden_is_not_found(alice: httpx.AsyncClient, bob: httpx.AsyncClient, what: str) -> None:
    await say(alice, "garden")
    a = await id_of(alice)
    assert (await bob.post(f"{API}/v1/accounts/{a}/{what}")).status_code == 200
    assert await posts(bob, "garden") == []
    assert await people(bob, "alice") == ([] if what == "block" else ["alice"])


async def test_who_does_not_want_to_be_found_is_found_by_followers_alone(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    post_id = await say(alice, "lighthouse")
    await alice.patch(f"{API}/v1/accounts/update_credentials", json={"discoverable": False})
    assert await posts(stranger, "lighthouse") == []
    assert await posts(alice, "lighthouse") == [post_id]
    await bob.post(f"{API}/v1/accounts/{await id_of(alice)}/follow")
    assert await posts(bob, "lighthouse") == [post_id]


async def test_pages_by_offset_and_by_id(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    ids = [await say(alice, "sameness") for _ in range(5)][::-1]
    assert await posts(bob, "sameness", limit=2) == ids[:2]
    assert await posts(bob, "sameness", limit=2, offset=2) == ids[2:4]
    assert await posts(bob, "sameness", offset=5) == []
    assert await posts(bob, "sameness", max_id=ids[1]) == ids[2:]
    assert await posts(bob, "sameness", min_id=ids[2]) == ids[:2]
    assert await posts(bob, "sameness", account_id=await id_of(bob)) == []
    assert await posts(bob, "sameness", account_id=await id_of(alice), limit=1) == ids[:1]
    assert await posts(bob, "sameness", limit="x", offset="-1") == ids


async def test_dates_and_filters(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    first = await say(alice, "look https://example.com @bob", language="de")
    answer = await say(bob, "looking", in_reply_to_id=first)
    today = datetime.now(UTC).date()
    assert await posts(bob, f"during:{today} language:de") == [first]
    assert set(await posts(bob, f"after:{today - timedelta(days=2)}")) == {first, answer}
    assert await posts(bob, f"before:{today - timedelta(days=1)}") == []
    assert await posts(bob, "has:link") == [first]
    assert await posts(bob, "is:reply") == [answer]
    assert await posts(bob, "-is:reply") == [first]


async def test_addresses_of_ours_lead_where_they_lead(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    post_id = await say(alice, "here", visibility="private")
    url = (await alice.get(f"{API}/v1/statuses/{post_id}")).json()["url"]
    assert [each["id"] for each in (await find(alice, url, resolve="true"))["statuses"]] == [post_id]
    assert await find(stranger, url) == {"accounts": [], "statuses": [], "hashtags": []}  # not theirs to see
    home = stack.state("feed").feed.url
    assert [each["username"] for each in (await find(bob, f"{home}/@Alice"))["accounts"]] == ["alice"]
    assert [each["name"] for each in (await find(bob, f"{home}/tags/Gr%C3%B6%C3%9Fe"))["hashtags"]] == ["größe"]
    for nothing in ("/@nobody", "/@alice/1", "/@alice/99999999999999999999", "/about"):
        assert await find(bob, home + nothing) == {"accounts": [], "statuses": [], "hashtags": []}


async def test_people_are_found_by_any_part_of_their_names(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    names = {"lovelace": "Ada Byron", "adalbert": "Berti", "nevada": "Ödön von Horváth", "adam_s": "100% Adam"}
    for name, display_name in names.items():
        client = await stack.account(name)
        await client.patch(f"{API}/v1/accounts/update_credentials", json={"display_name": display_name})
    await id_of(alice), await id_of(bob)
    assert set(await people(stranger, "ada")) == {"lovelace", "adalbert", "nevada", "adam_s"}
    assert (await people(stranger, "ada"))[-1] == "nevada"  # in the middle of a name
    assert await people(stranger, "odon horv") == ["nevada"]
    assert await people(stranger, "@ADAM_S") == ["adam_s"]
    assert await people(stranger, "adam_s@localhost") == ["adam_s"]
    assert await people(stranger, "adam_s@elsewhere.example") == []
    assert set(await people(stranger, "ad")) == {"adalbert", "adam_s"}  # short: by username only
    for nothing in ("", "@", "%%%", "___", "a_a"):
        assert await people(stranger, nothing) == []
    lovelace = (await stranger.get(f"{API}/v1/accounts/lookup", params={"acct": "lovelace"})).json()["id"]
    await bob.post(f"{API}/v1/accounts/{lovelace}/follow")
    assert (await people(bob, "ada"))[0] == "lovelace"  # followed
    assert await people(bob, "ada", following="true") == ["lovelace"]
    assert await people(bob, "yr", following="true") == ["lovelace"]
    assert await people(stranger, "ada", following="true") == []
    assert await people(stranger, "ada", limit=1, offset=3) == ["nevada"]


async def test_all_kinds_are_found_together_and_tags_by_how_they_begin(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await say(alice, "#alpine #alps #albania")
    await say(bob, "#alps")
    await stack.settle()
    found = await find(bob, "al")
    assert [each["name"] for each in found["hashtags"]] == ["alps", "albania", "alpine"]
    assert found["hashtags"][0]["history"][0] | {"day": ""} == {"day": "", "uses": "2", "accounts": "2"}
    assert [each["username"] for each in found["accounts"]] == ["alice"]
    assert [each["name"] for each in (await find(bob, "#ALP", limit=1))["hashtags"]] == ["alps"]
    assert (await find(bob, "#alp"))["accounts"] == []
    only = await find(bob, "al", type="hashtags", offset=2)
    assert [each["name"] for each in only["hashtags"]] == ["alpine"]
    assert only["accounts"] == []
    assert (await find(bob, "zz"))["hashtags"] == []


async def test_a_client_needs_the_scope_and_a_question_may_be_anything(
    stranger: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    assert (await find(stranger, "\0'\"\\ :* & | ! <-> 日 ﷺ " + "x" * 5000))["statuses"] == []
    assert (await find(alice, "%_\\ \ud7ff\U0010ffff"))["accounts"] == []
    assert (await stranger.get(f"{API}/v2/search")).json() == {"accounts": [], "statuses": [], "hashtags": []}


async def test_each_way_of_looking_finds_the_same(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    for n in range(12):
        await say(alice if n % 2 else bob, f"{'red' if n % 3 else 'blue'} balloon number {n}")
    me = int(await id_of(bob))
    for text in ("balloon", '"red balloon"', "balloon -blue", "red blue", "from:me balloon", "balloon number 7"):
        question = rules.ask(rules.read(text), {"me": me}, Range())
        assert question is not None
        scope = Scope(reader_id=me, hidden=[])
        async with stack.db.read(fresh=True) as tx:
            tried = await store.try_newest(tx, question, scope, depth=100, most=100)
            below = question.below
            newest = await store.list_newest(tx, question, scope, below=below, depth=100, most=100)
            indexed = await store.list_matches(tx, question, scope, most=100)
            few = await store.list_newest(tx, question, scope, below=below, depth=100, most=2)
        assert tried.matches == newest == indexed
        assert few == newest[:2]
        assert tried.seen == 12
        assert len(newest) <= tried.needed <= (tried.rarest or 0) <= 12
        assert all(match.rank > 0 for match in newest)
