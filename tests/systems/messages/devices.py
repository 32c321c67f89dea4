"""Devices as clients make them: keys that sign what the protocol says, and requests with them."""

import base64
import itertools
from dataclasses import dataclass, field
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tenfold.contracts.messages.entities import device_text, key_text

API = "/messages/api/v1"
_numbers = itertools.count(1)


def armoured(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode()


def curve_key() -> str:
    return armoured(X25519PrivateKey.generate().public_key().public_bytes_raw())


@dataclass
class Keys:
    """The keys of a device that isn't added yet."""

    identity: str = field(default_factory=curve_key)
    signer: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def signing(self) -> str:
        return armoured(self.signer.public_key().public_bytes_raw())

    def signed(self, text: bytes) -> str:
        return armoured(self.signer.sign(text))

    def prekey(self) -> dict[str, str]:
        name, key = f"key-{next(_numbers):06}", curve_key()
        return {"id": name, "key": key, "signature": self.signed(key_text(self.identity, name, key))}

    def device(self, account: str, *, prekeys: int = 3, name: str = "laptop") -> dict[str, Any]:
        return {
            "name": name,
            "identity_key": self.identity,
            "signing_key": self.signing,
            "signature": self.signed(device_text(account, self.identity, self.signing)),
            "one_time_keys": [self.prekey() for _ in range(prekeys)],
            "fallback_key": self.prekey(),
        }


async def number_of(client: httpx.AsyncClient) -> str:
    """The account of a client."""
    return str((await answered(await client.get(f"{API}/me")))["account"]["id"])


async def answered(answer: httpx.Response, status: int | None = None) -> Any:
    """What was answered, which is no error."""
    assert answer.is_success if status is None else answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text


async def added(client: httpx.AsyncClient, keys: Keys | None = None, **options: Any) -> dict[str, Any]:
    """A new device of the client's account."""
    body = (keys or Keys()).device(await number_of(client), **options)
    return dict(await answered(await client.post(f"{API}/devices", json=body), 201))


async def direct(client: httpx.AsyncClient, other: httpx.AsyncClient) -> dict[str, Any]:
    """The conversation of two."""
    wish = {"kind": "direct", "accounts": [await number_of(other)]}
    return dict(await answered(await client.post(f"{API}/conversations", json=wish), 201))


async def group(client: httpx.AsyncClient, *others: httpx.AsyncClient, **wish: Any) -> dict[str, Any]:
    accounts = [await number_of(each) for each in others]
    body = {"kind": "group", "accounts": accounts, **wish}
    return dict(await answered(await client.post(f"{API}/conversations", json=body), 201))


async def read(client: httpx.AsyncClient, conversation: dict[str, Any]) -> dict[str, Any]:
    """A conversation as it is now."""
    return dict(await answered(await client.get(f"{API}/conversations/{conversation['id']}")))


async def run(stack: Any, name: str) -> None:
    """Do what is due by the clock."""
    [found] = [each for each in stack.process.systems["messages"][0].schedules if each.name == name]
    await found.job(stack.state("messages"))


async def heard(stack: Any, account_id: str) -> "Ear":
    """What is said to an account's connections from now on."""
    ear = Ear()
    await stack.state("messages").routes.open(int(account_id), ear)
    return ear


class Ear:
    """A connection that writes down what it is told."""

    account_id = 0
    device_id = 0

    def __init__(self) -> None:
        self.words: list[Any] = []

    def offer(self, word: Any) -> None:
        self.words.append(word)

    def look(self) -> None:
        pass

    def show(self, frame: bytes) -> None:
        self.words.append(frame)
