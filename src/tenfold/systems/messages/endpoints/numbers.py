"""Numbers in paths, and bodies that are bytes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request

from tenfold.platform.errors import BadRequest, NotFound, PayloadTooLarge
from tenfold.platform.identity.rules import read_id

#: Seconds in which the next bytes of a body must come.
SILENCE = 30.0


def number_of(text: str, missing: type[NotFound]) -> int:
    """A 64-bit id of a path. Raises `missing` for what can't be one."""
    number = read_id(text)
    if number is None:
        raise missing
    return number


def place_of(text: str) -> int:
    """The number of a part, from 0; -1 for what can't be one."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else -1


async def read_bytes(request: Request[Any, Any, Any], most: int) -> bytes:
    """The body. Raises PayloadTooLarge beyond `most` bytes, BadRequest for a sender who has gone silent."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and int(announced[:20]) > most:
        raise PayloadTooLarge(limit=most)
    parts: list[bytes] = []
    size = 0
    stream: AsyncIterator[bytes] = request.stream()
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise BadRequest(reason=f"nothing came for {SILENCE:.0f} seconds") from None
        if chunk is None:
            return b"".join(parts)
        size += len(chunk)
        if size > most:
            raise PayloadTooLarge(limit=most)
        parts.append(chunk)
