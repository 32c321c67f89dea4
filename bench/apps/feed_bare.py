"""The limit of home reads: it has the statuses ready, and makes the same call to Valkey for the same bytes.

`/encoded/7` encodes the page of reader 7 from structs, as an application does that knows what to answer; `/joined/7`
puts it together from 20 pieces of bytes.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from glide import ExpiryGetEx, ExpiryTypeGetEx

from apps import serving
from tenfold.platform.hot import Hot, open_hot
from tenfold.platform.settings import Secret, Settings

PAGES, VALKEY = "BARE_PAGES", "BARE_VALKEY"
_HOUR = ExpiryGetEx(ExpiryTypeGetEx.SEC, 3600)
_encode = msgspec.json.Encoder().encode
_kinds: dict[tuple[str, ...], Any] = {}


class Page(msgspec.Struct):
    """What a reader is answered, and the key of their timeline in Valkey."""

    key: str
    statuses: list[msgspec.Raw]
    link: str


def solid(value: Any) -> Any:
    """JSON as structs, which are quicker to encode than dicts."""
    if isinstance(value, list):
        return [solid(each) for each in value]
    if not isinstance(value, dict):
        return value
    names = tuple(value)
    if names not in _kinds:
        _kinds[names] = msgspec.defstruct("Thing", [(name, Any) for name in names])
    return _kinds[names](*map(solid, value.values()))


class Application:
    def __init__(self) -> None:
        pages = msgspec.json.decode(Path(os.environ[PAGES]).read_bytes(), type=list[Page])
        self._answers: dict[str, tuple[str, bytes, Callable[[], bytes]]] = {}
        for number, page in enumerate(pages):
            statuses = [solid(msgspec.json.decode(each)) for each in page.statuses]
            pieces = [bytes(each) for each in page.statuses]
            for name, body in (
                ("encoded", lambda statuses=statuses: _encode(statuses)),
                ("joined", lambda pieces=pieces: b"[" + b",".join(pieces) + b"]"),
            ):
                self._answers[f"/{name}/{number}"] = page.key, page.link.encode(), body
        self._hot: Hot | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        self._hot = await open_hot(Settings(valkey_url=Secret(os.environ[VALKEY])))
        yield
        await self._hot.close()

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        status, body, link = 200, b"", b""
        path = scope["path"]
        if path != "/":
            assert self._hot is not None
            key, link, encoded = self._answers[path]
            if not await self._hot.client.getex(key, _HOUR):
                status = 500
            body = encoded()
        sent = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"link", link)]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def create() -> Any:
    application = Application()
    return serving.application(application.answer, application.opened)


if __name__ == "__main__":
    serving.serve("apps.feed_bare:create")
