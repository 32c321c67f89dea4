"""Texts that say the same: alike to the letter, or nearly."""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

#: Bits of a fingerprint, words of a shingle, and bits in which fingerprints of the same text may differ.
BITS, SHINGLE, NEAR = 64, 3, 3

_WORD: Final = re.compile(r"\w+")


def digest(text: str) -> bytes:
    """The same for texts that differ in nothing but space and letter case."""
    return hashlib.blake2b(" ".join(text.lower().split()).encode(), digest_size=16).digest()


def fingerprint(text: str) -> int:
    """SimHash (Charikar 2002): texts that share most of their shingles differ in few bits."""
    words = _WORD.findall(text.lower())
    counts = [0] * BITS
    for at in range(max(1, len(words) - SHINGLE + 1)):
        hashed = hashlib.blake2b(" ".join(words[at : at + SHINGLE]).encode(), digest_size=BITS // 8).digest()
        number = int.from_bytes(hashed)
        for bit in range(BITS):
            counts[bit] += 1 if number >> bit & 1 else -1
    return sum(1 << bit for bit in range(BITS) if counts[bit] > 0)


def are_near(one: int, other: int) -> bool:
    return (one ^ other).bit_count() <= NEAR


def repeats(texts: Iterable[str]) -> list[int]:
    """Places of texts that say what one before them has said, to the letter."""
    seen: set[bytes] = set()
    found: list[int] = []
    for place, text in enumerate(texts):
        key = digest(text)
        if key in seen:
            found.append(place)
        seen.add(key)
    return found
