"""OAuth on every host and under every prefix, and what the tokens of applications reach."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Controller, get
from litestar.di import NamedDependency

from tenfold.app import mounted
from tenfold.platform.http import SCOPED, application
from tenfold.platform.identity import Principal
from tenfold.platform.identity.actions import create_account
from tenfold.platform.identity.oauth import actions

PASSWORD = "correct horse battery"
#: A host, and a prefix on it.
PLACES = [("localhost:8080", ""), ("localhost:8080", "/links"), ("links.localhost:8080", "")]


@asynccontextmanager
async def token_of_alice(stack, host: str = "localhost:8080", prefix: str = "") -> AsyncIterator[tuple[Any, str]]:
    identity = stack.process.runtime.identity
    await create_account(identity, "alice", PASSWORD)
    wanted = {"name": "Client", "redirect_uris": ["app://callback"], "scopes": ["read"], "ip": "203.0.113.7"}
    new = await actions.create_application(identity, **wanted)
    client = await stack.client(host=host)
    form = {"client_id": new.client_id, "client_secret": new.client_secret}
    password = {"grant_type": "password", "username": "alice", "password": PASSWORD}
    answer = await client.post(f"{prefix}/oauth/token", data=form | password)
    assert answer.status_code == 200, answer.text
    yield client, answer.json()["access_token"]
    assert (
        await client.post(f"{prefix}/oauth/revoke", data=form | {"token": answer.json()["access_token"]})
    ).is_success


@pytest.mark.parametrize(("host", "prefix"), PLACES)
async def test_tokens_are_given_wherever_a_client_begins(stack, host, prefix):
    async with token_of_alice(stack, host, prefix) as (client, _):
        metadata = (await client.get(f"{prefix}/.well-known/oauth-authorization-server")).json()
    base = f"http://{host}{prefix}"
    assert metadata["issuer"] == base
    assert metadata["authorization_endpoint"] == f"{base}/oauth/authorize"
    assert metadata["token_endpoint"] == f"{base}/oauth/token"
    assert metadata["revocation_endpoint"] == f"{base}/oauth/revoke"
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert {"read", "write:statuses", "profile"} <= set(metadata["scopes_supported"])


@pytest.mark.parametrize(("host", "prefix"), PLACES)
async def test_the_page_of_consent_is_there_and_in_no_frame(stack, host, prefix):
    client = await stack.client(host=host)
    page = await client.get(f"{prefix}/oauth/authorize?client_id=x")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'self'" in policy
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy, "scripts come from here only"
    asked = await client.get(f"{prefix}/api/identity/authorization?client_id=x")
    assert asked.status_code == 422
    assert (await client.get(f"{prefix}/oauth/token")).status_code == 405


async def test_a_token_reaches_only_what_checks_its_scopes(stack):
    async with token_of_alice(stack) as (client, token):
        headers = {"Authorization": f"Bearer {token}"}
        for path in ("/links/api/links", "/api/identity/me", "/links/api/links?q=x"):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "application_refused")
        made = await client.post("/links/api/links", headers=headers, json={"url": "https://example.org/"})
        assert made.status_code == 403

        class Whoami(Controller):
            opt = SCOPED

            @get("/whoami")
            async def whoami(self, principal: NamedDependency[Principal]) -> int:
                return principal.require("read:statuses")

            @get("/write")
            async def write(self, principal: NamedDependency[Principal]) -> int:
                return principal.require("write:statuses")

        runtime = stack.process.runtime
        app = application(title="Scoped", controllers=[Whoami], provide={}, max_body=1000, runtime=runtime)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://scoped") as scoped:
            assert (await scoped.get("/whoami", headers=headers)).status_code == 200
            refused = await scoped.get("/write", headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
            assert 'scope="write:statuses"' in refused.headers["www-authenticate"]
            assert (await scoped.get("/whoami")).status_code == 401


async def test_pages_of_people_begin_with_an_at_sign_where_a_system_says_so(stack):
    served = mounted(stack.process)
    [links, *others] = served.served
    with_people = msgspec.structs.replace(links, pages=links.pages | {"@"})
    client = await stack.client()
    assert (await client.get("/links/@alice/1")).status_code == 404
    stack.dispatcher.mount(msgspec.structs.replace(served, served=[with_people, *others]))
    for path in ("/links/@alice", "/links/@alice@example.org/1", "/links/@"):
        assert (await client.get(path)).headers["content-type"].startswith("text/html"), path
    for path in ("/links/@alice.json", "/links/alice@/1", "/@alice"):
        assert (await client.get(path)).status_code == 404, path


async def test_an_application_that_can_prove_it_is_let_in_by_code(stack):
    """The whole way as a browser and a client go it, under a prefix."""
    verifier = "v" * 43
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    identity = stack.process.runtime.identity
    new = await actions.create_application(
        identity, name="Client", redirect_uris=["app://callback"], scopes=["read"], ip="x", confidential=False
    )
    browser = await stack.client()
    browser.headers["origin"] = "http://localhost:8080"
    await browser.post("/api/identity/signup", json={"name": "alice", "password": PASSWORD})
    wanted = {"response_type": "code", "client_id": new.client_id, "redirect_uri": "app://callback", "scope": "read"}
    proof = {"code_challenge": challenge, "code_challenge_method": "S256"}
    decided = await browser.post("/feed/api/identity/authorization", json=wanted | proof | {"approve": True})
    to = httpx.URL(decided.json()["redirect_to"])
    assert to.params["iss"] == "http://localhost:8080/feed"
    client = await stack.client()
    exchanged = {"grant_type": "authorization_code", "code": to.params["code"], "redirect_uri": "app://callback"}
    token = await client.post(
        "/feed/oauth/token", json=exchanged | {"client_id": new.client_id, "code_verifier": verifier}
    )
    assert token.json()["scope"] == "read"
