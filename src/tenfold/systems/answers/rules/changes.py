"""What a new version of a document changes in the index: by digests, so that what it keeps isn't made again."""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from tenfold.systems.answers.types.index import Chunk


class Changes(msgspec.Struct, frozen=True):
    #: The chunk that is there, and as what it goes on.
    kept: list[tuple[int, Chunk]]
    new: list[Chunk]
    gone: list[int]


def digest(searched: str) -> bytes:
    """Of what is searched of a chunk, which is all that its embedding and its terms are made of."""
    return hashlib.sha256(searched.encode()).digest()[:16]


def changes(there: Sequence[tuple[int, bytes]], wanted: Sequence[Chunk], digests: Mapping[int, bytes]) -> Changes:
    """Match the chunks that are there (id and digest) with those that should be; `digests` are by ordinal.

    Of several with the same words each is matched once, in their order.
    """
    free: dict[bytes, list[int]] = {}
    for key, known in reversed(there):
        free.setdefault(known, []).append(key)
    kept: list[tuple[int, Chunk]] = []
    new: list[Chunk] = []
    for chunk in wanted:
        if ids := free.get(digests[chunk.ordinal]):
            kept.append((ids.pop(), chunk))
        else:
            new.append(chunk)
    return Changes(kept, new, sorted(key for ids in free.values() for key in ids))
