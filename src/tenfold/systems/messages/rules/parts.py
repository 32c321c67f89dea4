"""How a file is cut into parts of one size, the last one shorter."""

from collections.abc import Iterator
from typing import NamedTuple


class Piece(NamedTuple):
    """Bytes `start` up to `end` of a part."""

    number: int
    start: int
    end: int


def count(size: int, part: int) -> int:
    """How many parts of `part` bytes a file of `size` bytes has."""
    return -(-size // part)


def size_of(number: int, size: int, part: int) -> int | None:
    """The bytes of a part, counted from 0; None when there is no such part."""
    if not 0 <= number < count(size, part):
        return None
    return min(part, size - number * part)


def pieces(start: int, end: int, part: int) -> Iterator[Piece]:
    """Which bytes of which parts are the bytes `start` up to `end` of a file."""
    while start < end:
        number, within = divmod(start, part)
        stop = min(part, end - number * part)
        yield Piece(number, within, stop)
        start = number * part + stop
