"""Whether devices and their prekeys are signed as docs/messages-protocol.md says (Ed25519, RFC 8032)."""

import base64
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenfold.contracts.messages.entities import AddDevice, OneTimeKey, device_text, key_text
from tenfold.systems.messages.errors import BadSignature

#: One-time keys that are kept for a device; and when it is told that there are few left.
MOST_KEYS, LOW = 200, 20


def verify_device(account: str, data: AddDevice) -> None:
    """Raises BadSignature, naming the field, unless the device and all its prekeys are signed by its signing key."""
    _verify(data.signing_key, data.signature, device_text(account, data.identity_key, data.signing_key), "signature")
    verify_keys(data.identity_key, data.signing_key, [data.fallback_key], "fallback_key")
    verify_keys(data.identity_key, data.signing_key, data.one_time_keys, "one_time_keys")


def verify_keys(identity_key: str, signing_key: str, keys: Iterable[OneTimeKey], field: str) -> None:
    """Raises BadSignature, naming the field, unless all prekeys are signed by their device."""
    for each in keys:
        _verify(signing_key, each.signature, key_text(identity_key, each.id, each.key), field)


def _verify(signing_key: str, signature: str, text: bytes, field: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(_decoded(signing_key)).verify(_decoded(signature), text)
    except (InvalidSignature, ValueError):
        raise BadSignature(fields={field: "isn't signed by signing_key as the protocol says"}) from None


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
