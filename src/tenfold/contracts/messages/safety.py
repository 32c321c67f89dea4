"""Safety numbers: what two people compare to know that nobody sits between them (docs/messages-protocol.md)."""

import hashlib
from collections.abc import Iterable

ROUNDS = 5200


def fingerprint(account: str, signing_keys: Iterable[str]) -> str:
    """30 digits that stand for an account and all its devices' signing keys (base64)."""
    text = (account + "\n" + "\n".join(sorted(signing_keys))).encode()
    digest = text
    for _ in range(ROUNDS):
        digest = hashlib.sha512(digest + text).digest()
    return "".join(f"{int.from_bytes(digest[at : at + 5], 'big') % 100_000:05}" for at in range(0, 30, 5))


def safety_number(one: tuple[str, Iterable[str]], other: tuple[str, Iterable[str]]) -> str:
    """60 digits, the same whoever computes them: of accounts (id, signing keys)."""
    return "".join(fingerprint(*each) for each in sorted((one, other), key=lambda each: each[0]))
