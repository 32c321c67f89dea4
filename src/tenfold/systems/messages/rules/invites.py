"""Codes that let people into groups: the conversation's number and 128 random bits, of which only a digest is kept."""

import hashlib
import re
import secrets
from hmac import compare_digest
from typing import NamedTuple

_CODE = re.compile(r"([0-9a-f]{1,16})-([A-Za-z0-9_-]{22})")


class Code(NamedTuple):
    """A code as somebody shows it. The number says where to look, so that a look-up knows its partition."""

    conversation_id: int
    digest: str


def new_code(conversation_id: int) -> str:
    return f"{conversation_id:x}-{secrets.token_urlsafe(16)}"


def read_code(text: str) -> Code | None:
    """None for what can't be a code."""
    found = _CODE.fullmatch(text)
    number = int(found[1], 16) if found else 1 << 63
    return None if number >> 63 else Code(number, digest(text))


def digest(code: str) -> str:
    """What is kept of a code. It is random and long, so that nothing slower is needed."""
    return hashlib.sha256(code.encode()).hexdigest()


def fits(code: Code, kept: str | None) -> bool:
    return kept is not None and compare_digest(code.digest, kept)
