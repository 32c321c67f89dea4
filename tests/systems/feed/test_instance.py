"""What the instance says about itself, what it has none of, and applications that register themselves."""

import asyncio
from typing import Any

import httpx
import mastodon
import pytest
from tests.conftest import Stack

from tenfold import __version__
from tenfold.systems.feed.settings import FeedSettings

API = "/feed/api"


async def test_the_instance_in_both_versions(
    stack: Stack, alice: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    await alice.post(f"{API}/v1/statuses", json={"status": "hello"})
    second = (await stranger.get(f"{API}/v2/instance")).json()
    assert second["domain"] == "localhost:8080"
    assert second["version"] == f"4.4.0 (compatible; Tenfold {__version__})"
    assert second["configuration"]["statuses"]["max_characters"] == 280
    assert second["configuration"]["statuses"]["characters_reserved_per_url"] == 23
    assert second["configuration"]["urls"]["streaming"] == "ws://localhost:8080/feed"
    assert second["usage"]["users"]["active_month"] == 1
    for path in ("instance", "instance/"):
        first = (await stranger.get(f"{API}/v1/{path}")).json()
        assert first["stats"] == {"user_count": 1, "status_count": 1, "domain_count": 0}
        assert first["urls"]["streaming_api"] == "ws://localhost:8080/feed"
        assert first["configuration"]["statuses"] == second["configuration"]["statuses"]
    info = (await stranger.get("/feed/nodeinfo/2.0")).json()
    assert info["usage"] == {"users": {"total": 1, "activeMonth": 1}, "localPosts": 1}


async def test_a_known_client_understands_the_instance(stack: Stack, alice: httpx.AsyncClient) -> None:
    """Mastodon.py reads the version and where streams are from it."""
    async with stack.served() as url:

        def ask() -> tuple[Any, ...]:
            client = mastodon.Mastodon(api_base_url=f"{url}/feed", access_token=alice.headers["authorization"][7:])
            return client.retrieve_mastodon_version(), client.instance(), client.instance_v1(), client.instance_rules()

        version, second, first, rules = await asyncio.to_thread(ask)
    assert version == "4.4.0"
    assert second.configuration.statuses.max_characters == 280
    assert first.configuration.statuses.max_characters == 280
    assert rules == []


@pytest.mark.parametrize("path", ["peers", "domain_blocks", "rules"])
async def test_there_are_no_others(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.get(f"{API}/v1/instance/{path}")).json() == []


@pytest.mark.parametrize("path", ["v1/nonsense", "v3/statuses", "v1/instance/nonsense"])
async def test_what_the_api_lacks_is_not_found_in_its_own_shape(stranger: httpx.AsyncClient, path: str) -> None:
    for answer in (await stranger.get(f"{API}/{path}"), await stranger.post(f"{API}/{path}")):
        assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})


@pytest.mark.parametrize("path", ["activity", "privacy_policy", "terms_of_service", "nonsense"])
async def test_what_isnt_published_is_not_found(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.get(f"{API}/v1/instance/{path}")).status_code == 404


async def test_rules_and_description_come_from_the_settings(stack_with: Any) -> None:
    own = FeedSettings(rules=("Be kind.", "No spam."), description="<b>Ours</b>", title="Here")
    async with stack_with(systems={"feed": own}) as stack:
        stranger = await stack.client()
        rules = (await stranger.get(f"{API}/v1/instance/rules")).json()
        assert [(rule["id"], rule["text"]) for rule in rules] == [("1", "Be kind."), ("2", "No spam.")]
        assert "&lt;b&gt;Ours" in (await stranger.get(f"{API}/v1/instance/extended_description")).json()["content"]
        assert (await stranger.get(f"{API}/v2/instance")).json()["title"] == "Here"


async def test_what_there_is_none_of(alice: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    own = [
        "v1/filters",
        "v2/filters",
        "v1/featured_tags",
        "v1/followed_tags",
        "v1/endorsements",
        "v1/scheduled_statuses",
    ]
    for path in [*own, "v1/domain_blocks"]:
        assert (await alice.get(f"{API}/{path}")).json() == [], path
        assert (await stranger.get(f"{API}/{path}")).status_code == 401, path
    for path in ("v1/custom_emojis", "v1/announcements"):
        assert (await stranger.get(f"{API}/{path}")).json() == [], path
    assert (await alice.get(f"{API}/v1/push/subscription")).status_code == 404
    assert (await alice.delete(f"{API}/v1/push/subscription")).json() == {}
    refused = await alice.post(f"{API}/v2/filters", json={"title": "x"})
    assert refused.status_code == 422
    assert "error" in refused.json()
    assert (await stranger.get("/feed/health")).text == "OK"


@pytest.mark.parametrize("how", ["form", "json", "list"])
async def test_an_application_registers_itself(stranger: httpx.AsyncClient, how: str) -> None:
    asked: dict[str, Any] = {
        "client_name": "Test client",
        "redirect_uris": "urn:ietf:wg:oauth:2.0:oob",
        "scopes": "read write",
        "website": "https://client.example",
    }
    if how == "list":
        asked["redirect_uris"] = ["urn:ietf:wg:oauth:2.0:oob", "https://client.example/callback"]
    form, body = (asked, None) if how == "form" else (None, asked)
    answer = await stranger.post(f"{API}/v1/apps", data=form, json=body)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["name"] == "Test client"
    assert made["website"] == "https://client.example"
    assert made["client_id"]
    assert made["client_secret"]
    assert made["redirect_uris"][0] == "urn:ietf:wg:oauth:2.0:oob"
    assert set(made["scopes"]) == {"read", "write"}
    token = await stranger.post(
        "/feed/oauth/token",
        data={
            "grant_type": "client_credentials",
            "client_id": made["client_id"],
            "client_secret": made["client_secret"],
            "redirect_uri": "urn:ietf:wg:oauth:2.0:oob",
        },
    )
    assert token.status_code == 200, token.text
    bearer = {"authorization": f"Bearer {token.json()['access_token']}"}
    verified = (await stranger.get(f"{API}/v1/apps/verify_credentials", headers=bearer)).json()
    assert verified["name"] == "Test client"
    assert "client_secret" not in verified
    assert (await stranger.get(f"{API}/v1/notifications", headers=bearer)).status_code == 401


async def test_a_bad_application_is_told_why(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post(f"{API}/v1/apps", json={"client_name": "", "redirect_uris": "javascript:alert(1)"})
    assert answer.status_code == 422
    assert set(answer.json()["details"]) == {"name", "redirect_uris"}
    assert (await stranger.get(f"{API}/v1/apps/verify_credentials")).status_code == 401
