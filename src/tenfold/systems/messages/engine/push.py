"""Web Push (RFC 8030): messages sealed for a browser (RFC 8291), from a server that says who it is (RFC 8292)."""

import base64
import hashlib
import hmac
import os
import time
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

#: Bytes of a record: what is sent is shorter, so there is one.
RECORD = 4096
#: Seconds for which a VAPID token is good; a push service takes none of more than a day.
GOOD = 12 * 3600
#: Messages of one device of which only the newest is worth keeping (RFC 8030, 5.4).
TOPIC = "waiting"
_CURVE = ec.SECP256R1()
#: The order of the curve's base point (FIPS 186-5).
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Subscription(NamedTuple):
    """Where a browser's push service takes messages, and how they are sealed for it."""

    endpoint: str
    #: The browser's public key, an uncompressed point of P-256, and its secret of 16 bytes.
    p256dh: bytes
    auth: bytes


class Answer(NamedTuple):
    """What a push service says. `status` 0: it can't be reached."""

    status: int
    #: Seconds that it wants to be left alone, where it says so.
    retry_after: float | None


def read_subscription(endpoint: str, p256dh: str, auth: str) -> Subscription:
    """Raises ValueError for keys that aren't any."""
    key, secret = _unarmoured(p256dh), _unarmoured(auth)
    ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, key)
    if len(key) != 65 or len(secret) != 16:
        raise ValueError("a push subscription has a point of 65 bytes and a secret of 16")
    return Subscription(endpoint, key, secret)


def seal(
    message: bytes,
    subscription: Subscription,
    *,
    salt: bytes | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """The body of a push message: RFC 8291, 3.4, in one record of RFC 8188.

    `salt` and `key`, which are random, are given by tests only.
    """
    salt = salt or os.urandom(16)
    key = key or ec.generate_private_key(_CURVE)
    own = _point(key)
    browser = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, subscription.p256dh)
    shared = key.exchange(ec.ECDH(), browser)
    secret = _hkdf(subscription.auth, shared, b"WebPush: info\0" + subscription.p256dh + own, 32)
    content_key = _hkdf(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(salt, secret, b"Content-Encoding: nonce\0", 12)
    header = salt + RECORD.to_bytes(4) + len(own).to_bytes(1) + own
    return header + AESGCM(content_key).encrypt(nonce, message + b"\x02", None)  # 2: the last record


class Vapid:
    """Who sends: a key that push subscriptions are made with, and tokens signed by it."""

    def __init__(self, seed: bytes, contact: str) -> None:
        """`seed` is 32 secret bytes, from which the key follows. `contact` is a mailto: or https: URL."""
        scalar = int.from_bytes(hashlib.sha512(seed).digest()) % (_ORDER - 1) + 1
        self._key = ec.derive_private_key(scalar, _CURVE)
        self._contact = contact
        #: As `PushManager.subscribe` takes it.
        self.public = _armoured(_point(self._key))

    def authorization(self, endpoint: str) -> str:
        """The header for a push service (RFC 8292, 3)."""
        url = urlsplit(endpoint)
        claims = {"aud": f"{url.scheme}://{url.netloc}", "exp": int(time.time()) + GOOD, "sub": self._contact}
        return f"vapid t={jwt.encode(claims, self._key, 'ES256')}, k={self.public}"


async def send(
    session: aiohttp.ClientSession, vapid: Vapid, subscription: Subscription, message: bytes, *, ttl: int
) -> Answer:
    """Hand a message to a push service, which keeps it for `ttl` seconds. What is told isn't followed elsewhere."""
    headers = {
        "Authorization": vapid.authorization(subscription.endpoint),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(ttl),
        "Topic": TOPIC,
        "Urgency": "high",
    }
    body = seal(message, subscription)
    try:
        async with session.post(subscription.endpoint, data=body, headers=headers, allow_redirects=False) as response:
            wait = response.headers.get("retry-after", "")
            return Answer(response.status, float(wait) if wait.isascii() and wait.isdigit() else None)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, UnsupportedAlgorithm):
        return Answer(0, None)


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256, for up to 32 bytes."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")[:length]


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _armoured(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unarmoured(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
