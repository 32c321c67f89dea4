"""Web Push: sealed as the RFC's example is, and told to a real push service, which opens it as a browser would."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.systems.messages.devices import API, added, answered, number_of, refused, run

from tenfold.systems.messages.actions.waking import wake
from tenfold.systems.messages.engine import push
from tenfold.systems.messages.rules.push import ATTEMPTS, host_of, outcome
from tenfold.systems.messages.settings import MessagesSettings

type OpenStack = Callable[..., AbstractAsyncContextManager[Any]]
CURVE = ec.SECP256R1()


def unarmoured(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def armoured(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unarmoured(text)), CURVE)


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def opened(body: bytes, key: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """What a browser reads (RFC 8188 and 8291), by another implementation of the derivation."""
    salt, size, length = body[:16], int.from_bytes(body[16:20]), body[20]
    sender, sealed = body[21 : 21 + length], body[21 + length :]
    assert len(sealed) <= size
    shared = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender))

    def derive(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
        return HKDF(hashes.SHA256(), size, salt, info).derive(secret)

    secret = derive(shared, auth, b"WebPush: info\0" + point(key) + sender, 32)
    content_key = derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = derive(secret, salt, b"Content-Encoding: nonce\0", 12)
    padded = AESGCM(content_key).decrypt(nonce, sealed, None).rstrip(b"\0")
    assert padded[-1:] == b"\x02"
    return padded[:-1]


def test_it_is_sealed_as_the_example_of_rfc_8291() -> None:
    subscription = push.read_subscription(
        "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
    )
    body = push.seal(
        b"When I grow up, I want to be a watermelon",
        subscription,
        salt=unarmoured("DGv6ra1nlYgDCS1FRnbzlw"),
        key=private("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
    )
    assert armoured(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
        "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    browser = private("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")
    assert opened(body, browser, unarmoured("BTBZMqHH6r4Tts7J_aSIgg")) == b"When I grow up, I want to be a watermelon"


@dataclass
class Service:
    """A push service on the loopback, and the browsers that it knows."""

    address: str
    taken: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    #: What it answers next; 201 when there is nothing left of it.
    answers: list[web.Response] = field(default_factory=list)
    keys: dict[str, tuple[ec.EllipticCurvePrivateKey, bytes]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return self.address.removeprefix("http://")

    def browser(self, name: str) -> dict[str, Any]:
        """A subscription as a page sends it on."""
        key, auth = ec.generate_private_key(CURVE), name.encode().ljust(16, b"-")
        self.keys[f"/push/{name}"] = key, auth
        keys = {"p256dh": armoured(point(key)), "auth": armoured(auth)}
        return {"endpoint": f"{self.address}/push/{name}", "keys": keys, "expirationTime": None}

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append(
            (request.path, {each.lower(): request.headers[each] for each in request.headers}, await request.read())
        )
        return self.answers.pop(0) if self.answers else web.Response(status=201)

    def opened(self) -> list[tuple[str, Any]]:
        """Who was told what."""
        return [(path, json.loads(opened(body, *self.keys[path]))) for path, _, body in self.taken]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    app = web.Application()
    runner = web.AppRunner(app)
    made = Service("")
    app.router.add_post("/push/{name}", made.take)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def stack(stack_with: OpenStack, service: Service) -> AsyncIterator[Any]:
    settings = MessagesSettings(push_contact="mailto:operator@example.org", push_hosts=(service.host,))
    async with stack_with(systems={"messages": settings}) as stack:
        yield stack


async def subscribed(client: httpx.AsyncClient, service: Service, name: str) -> int:
    """A device that a push service wakes."""
    device = await added(client, name=name)
    answer = await client.put(f"{API}/devices/{device['id']}/push", json=service.browser(name))
    assert answer.status_code == 204, answer.text
    return int(device["id"])


async def comes(stack: Any, client: httpx.AsyncClient, *devices: int, seq: int = 1, ago: float = 60.0) -> None:
    """Something comes for devices, so many seconds ago, as sending does it."""
    account_id = int(await number_of(client))
    async with stack.db.transaction() as tx:
        at = int(await tx.value("SELECT extract(epoch FROM now()) * 1000")) - int(ago * 1000)
        for device_id in devices:
            sql = "INSERT INTO messages.inbox VALUES ($1, $2, 7, $3, 'id', 1, 1, $4, $5, 0, 'x')"
            await tx.execute(sql, account_id, device_id, seq, at, at + 10**9)
        await wake(stack.state("messages").settings, tx, [account_id, 99])


async def passes(stack: Any) -> None:
    """The time goes by that something may wait, and that a push service is left alone."""
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE messages.waking SET due_at = now()")
        await tx.execute("UPDATE messages.push SET due_at = now()")
    await run(stack, "messages-push")


async def left(stack: Any) -> tuple[int, int]:
    sql = "SELECT ARRAY[(SELECT count(*) FROM messages.waking), (SELECT count(*) FROM messages.push)]"
    waking, pushes = await stack.value(sql)
    return waking, pushes


async def test_devices_that_have_not_taken_what_came_are_woken_once(
    stack: Any, alice: httpx.AsyncClient, service: Service
) -> None:
    phone, tablet = [await subscribed(alice, service, name) for name in ("phone", "tablet")]
    quiet = int((await added(alice))["id"])
    for seq in (1, 2, 3):
        await comes(stack, alice, phone, quiet, seq=seq)
    await run(stack, "messages-push")
    assert service.taken == [], "they may be connected, and about to take it"
    await passes(stack)
    assert service.opened() == [("/push/phone", {"t": "waiting"})]
    assert await left(stack) == (0, 0)
    await comes(stack, alice, phone, tablet, seq=4)
    await passes(stack)
    assert sorted(path for path, _ in service.opened()[1:]) == ["/push/phone", "/push/tablet"]


async def test_a_push_service_is_told_who_sends_and_how_long_it_matters(
    stack: Any, alice: httpx.AsyncClient, stranger: httpx.AsyncClient, service: Service
) -> None:
    await comes(stack, alice, await subscribed(alice, service, "phone"))
    await passes(stack)
    [(_, headers, _)] = service.taken
    assert headers["content-encoding"] == "aes128gcm"
    assert (headers["ttl"], headers["urgency"], headers["topic"]) == (str(28 * 86_400), "high", "waiting")
    key = (await answered(await stranger.get(f"{API}/push/key")))["key"]
    scheme, _, fields = headers["authorization"].partition(" ")
    given = dict(each.strip().split("=", 1) for each in fields.split(","))
    assert (scheme, given["k"], len(unarmoured(key))) == ("vapid", key, 65)
    public = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, unarmoured(key))
    claims = jwt.decode(given["t"], public, algorithms=["ES256"], audience=service.address)
    assert claims["sub"] == "mailto:operator@example.org"


async def test_what_came_meanwhile_has_its_own_look(stack: Any, alice: httpx.AsyncClient, service: Service) -> None:
    phone = await subscribed(alice, service, "phone")
    await comes(stack, alice, phone, ago=-60.0)  # it has not waited long enough when its turn comes
    await passes(stack)
    assert (service.taken, await left(stack)) == ([], (1, 0))
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE messages.inbox SET at = at - 120000")
    await passes(stack)
    assert (len(service.taken), await left(stack)) == (1, (0, 0))
    async with stack.db.transaction() as tx:
        await tx.execute("DELETE FROM messages.inbox")  # it was acknowledged in time
        await wake(stack.state("messages").settings, tx, [int(await number_of(alice))])
    await passes(stack)
    assert (len(service.taken), await left(stack)) == (1, (0, 0))


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_has_ended_is_forgotten(
    stack: Any, alice: httpx.AsyncClient, service: Service, status: int
) -> None:
    phone = await subscribed(alice, service, "phone")
    service.answers = [web.Response(status=status)]
    await comes(stack, alice, phone)
    await passes(stack)
    assert [each["pushed"] for each in await answered(await alice.get(f"{API}/devices"))] == [False]
    await comes(stack, alice, phone, seq=2)
    await passes(stack)
    assert (len(service.taken), await left(stack)) == (1, (0, 0))


async def test_a_busy_push_service_is_asked_again(stack: Any, alice: httpx.AsyncClient, service: Service) -> None:
    await comes(stack, alice, await subscribed(alice, service, "phone"))
    service.answers = [web.Response(status=429, headers={"retry-after": "600"}), web.Response(status=503)]
    await passes(stack)
    sql = "SELECT extract(epoch FROM due_at - now())::float8 FROM messages.push"
    assert 500 < await stack.value(sql) <= 600
    await run(stack, "messages-push")
    assert len(service.taken) == 1, "not before it said"
    await passes(stack)
    assert 30 < await stack.value(sql) <= 60
    await passes(stack)
    assert (len(service.taken), await left(stack)) == (3, (0, 0))


async def test_what_a_push_service_does_not_want_is_dropped(
    stack: Any, alice: httpx.AsyncClient, service: Service
) -> None:
    phone = await subscribed(alice, service, "phone")
    elsewhere = {"location": f"{service.address}/push/elsewhere"}
    for seq, answer in enumerate((web.Response(status=400), web.Response(status=307, headers=elsewhere))):
        service.answers = [answer]
        await comes(stack, alice, phone, seq=seq)
        await passes(stack)
    assert ([path for path, _, _ in service.taken], await left(stack)) == (["/push/phone"] * 2, (0, 0))


async def test_a_push_service_that_is_away_is_given_up_in_the_end(
    stack: Any, alice: httpx.AsyncClient, service: Service
) -> None:
    phone = await subscribed(alice, service, "phone")
    # What isn't HTTP at all: the same to us as nobody there.
    hangs_up = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    away = f"http://127.0.0.1:{hangs_up.sockets[0].getsockname()[1]}/push/phone"
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE messages.device SET push = jsonb_set(push, '{endpoint}', $1)", away)
    await comes(stack, alice, phone)
    await passes(stack)
    assert await left(stack) == (0, 0), "its host isn't one of those that are known now"
    assert outcome(0, 1) == outcome(500, ATTEMPTS - 1) == "again"
    assert outcome(0, ATTEMPTS) == "done"
    subscription = push.read_subscription(away, **service.browser("phone")["keys"])
    vapid = push.Vapid(bytes(32), "mailto:a@example.org")
    async with push.aiohttp.ClientSession() as session:
        answer = await push.send(session, vapid, subscription, b"{}", ttl=1)
    assert answer == push.Answer(0, None)
    hangs_up.close()


async def test_only_push_services_are_taken(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, service: Service
) -> None:
    device = await added(alice)
    good, place = service.browser("phone"), f"{API}/devices/{device['id']}/push"
    for endpoint in (
        "https://example.org/", "http://fcm.googleapis.com/x", "https://fcm.googleapis.com:444/x", "http://127.0.0.1/push/x",
        "https://fcm.googleapis.com.example.org/x", "https://evil.push.apple.com@127.0.0.1/", "https://u:p@fcm.googleapis.com/",
        "https://169.254.169.254/latest", "http://localhost:1/", "https://xpush.apple.com/", "https://[::1]:99999/", "https://[/xx",
    ):  # fmt: skip
        refused(await alice.put(place, json=good | {"endpoint": endpoint}), 422, "push_service_unknown")
    for keys in (
        {"p256dh": "AAAA", "auth": "AAAA"},
        {},
        good["keys"] | {"auth": "AA"},
        good["keys"] | {"p256dh": "B" * 87},
    ):
        refused(await alice.put(place, json=good | {"keys": keys}), 422, "invalid")
    assert (await alice.put(place, json=good | {"endpoint": "file:///etc/passwd"})).status_code == 422
    refused(await bob.put(place, json=good), 404, "device_not_found")
    refused(await bob.delete(place), 404, "device_not_found")
    for endpoint in (
        "https://fcm.googleapis.com/fcm/send/x",
        "https://api.push.apple.com/x",
        "https://db5p.notify.windows.com/w",
    ):
        assert (await alice.put(place, json=good | {"endpoint": endpoint})).status_code == 204, endpoint
    assert [each["pushed"] for each in await answered(await alice.get(f"{API}/devices"))] == [True]
    assert (await alice.delete(place)).status_code == 204
    assert [each["pushed"] for each in await answered(await alice.get(f"{API}/devices"))] == [False]


async def test_without_a_contact_there_is_no_push(stack_with: OpenStack, service: Service) -> None:
    async with stack_with() as stack:
        alice = await stack.account("alice")
        device = await added(alice)
        assert await answered(await alice.get(f"{API}/push/key")) == {"key": None}
        answer = await alice.put(f"{API}/devices/{device['id']}/push", json=service.browser("phone"))
        refused(answer, 409, "push_off")


def test_hosts_are_compared_whole() -> None:
    assert host_of("https://push.example.org/x", ["push.example.org"]) == ("push.example.org", True)
    assert host_of("http://push.example.org/x", ["push.example.org"]) == ("push.example.org", True)
    assert not host_of("https://push.example.org:8443/x", ["push.example.org"])[1]
    assert not host_of("https://a.push.example.org/x", ["push.example.org"])[1]
    assert host_of("https://FCM.googleapis.com/x", ())[1]
