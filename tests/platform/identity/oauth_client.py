"""An application of somebody else's and the browser of an account, for the tests of OAuth."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tenfold.platform.identity.errors import BadCredential
from tenfold.platform.identity.oauth import actions

PASSWORD = "correct horse battery"
CALLBACK = "https://client.example/callback?from=tenfold"
OOB = "urn:ietf:wg:oauth:2.0:oob"


@dataclass
class App:
    """A program of somebody else's, and the browser of an account that it wants to act for."""

    process: Any
    application: Any
    client: httpx.AsyncClient
    browser: httpx.AsyncClient

    @property
    def credentials(self) -> dict[str, str]:
        secret = self.application.client_secret
        return {"client_id": self.application.client_id, **({"client_secret": secret} if secret else {})}

    def request(self, **changed: str) -> dict[str, Any]:
        wanted = {"response_type": "code", "client_id": self.application.client_id, "redirect_uri": CALLBACK}
        return wanted | {"scope": "read write", "state": "xyz"} | changed

    async def consent(self, **changed: str) -> dict[str, Any]:
        answer = await self.browser.post(
            "/api/identity/authorization", json=self.request(**changed) | {"approve": True}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def code(self, **changed: str) -> str:
        answer = await self.consent(**changed)
        [code] = parse_qs(urlsplit(answer["redirect_to"]).query)["code"]
        return code

    async def token(self, grant_type: str, **parameters: str) -> httpx.Response:
        return await self.client.post("/oauth/token", data=self.credentials | {"grant_type": grant_type} | parameters)

    async def exchange(self, code: str, **parameters: str) -> httpx.Response:
        return await self.token("authorization_code", **{"code": code, "redirect_uri": CALLBACK} | parameters)

    async def password(self, scope: str = "read write", **parameters: str) -> httpx.Response:
        return await self.token("password", **{"username": "alice", "password": PASSWORD, "scope": scope} | parameters)

    async def revoke(self, token: str) -> httpx.Response:
        return await self.client.post("/oauth/revoke", data=self.credentials | {"token": token})

    async def who(self, answer: httpx.Response, process: Any = None) -> Any:
        identity = (process or self.process).identity
        return await identity.authenticate_bearer(answer.json()["access_token"])


async def registered(process, **changed: Any):
    wanted = {"name": "Client", "redirect_uris": [CALLBACK, OOB, "http://127.0.0.1/cb"], "ip": "203.0.113.7"}
    scopes = {"scopes": ["read", "write", "follow", "push", "offline_access"], "website": "https://client.example/"}
    return await actions.create_application(process.identity, **wanted | scopes | changed)


def refused(answer: httpx.Response, error: str, status: int = 400) -> bool:
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.json()["error_description"]
    return answer.json()["error"] == error


async def unknown_to(process, answer: httpx.Response) -> None:
    """Wait until a process has heard that a token is no longer good."""
    token = answer.json()["access_token"]
    async with asyncio.timeout(5):
        while True:
            try:
                await process.identity.authenticate_bearer(token)
            except BadCredential:
                return
            await asyncio.sleep(0.01)
