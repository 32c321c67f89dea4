"""Following a link. The hot path answers from memory and notes the click; everything else may take its time."""

import time
from collections.abc import Awaitable
from functools import lru_cache
from math import inf
from typing import Any

from litestar import Controller, MediaType, Request, Response, post, route
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import Receive, Send

from tenfold.platform.cache import MISSING, Cache
from tenfold.platform.errors import TooManyRequests, Unavailable
from tenfold.platform.http import Headers
from tenfold.platform.limits import Limit, Limits, Rate, network
from tenfold.systems.links import rules
from tenfold.systems.links.actions import context, following
from tenfold.systems.links.actions.context import Links
from tenfold.systems.links.endpoints import pages
from tenfold.systems.links.errors import LinkGone, WrongPassword
from tenfold.systems.links.hot import Allowance, Recorder
from tenfold.systems.links.types import Target

_PERMANENT = frozenset({301, 308})
#: A browser may keep a permanent redirect for 90 s; else a changed link would not be, nor a followed one counted.
_KEPT = (b"cache-control", b"private, max-age=90")
_NOT_KEPT = (b"cache-control", b"no-store")
_EMPTY = (b"content-length", b"0")
_BODY = {"type": "http.response.body", "body": b"", "more_body": False}
GUESSES = Limit(name="links.password", rates={"anonymous": Rate(10, per=60)})


class Redirects:
    """The front of the system: `GET /{code}`. Counters are plain numbers, sampled by telemetry."""

    def __init__(self, links: Links, recorder: Recorder, allowance: Allowance) -> None:
        self.redirects = 0
        self.cold = 0
        self.refused = 0
        self._links = links
        self._cache: Cache[str, Target] = links.cache
        self._peek = links.cache.peek
        self._record = recorder.record
        self._allowance = allowance

    def answer(
        self, method: str, path: str, scope: Any, headers: Headers, receive: Receive, send: Send
    ) -> Awaitable[None] | None:
        """Answer a click, or say (None) that this is something else: an API call, a page, a preview, a password."""
        code = path[1:]
        target = self._peek(code)
        if target is MISSING or target is None:
            if method not in ("GET", "HEAD") or code.lower() in rules.RESERVED:
                return None
            if not rules.CODE.fullmatch(code):
                asked = code.endswith("+") and rules.CODE.fullmatch(code[:-1])
                return self._or_later(self._preview(code[:-1], send, method), send, method) if asked else None
            return self._or_later(self._cold(method, code, target is None, scope, send), send, method)
        now = time.time()
        if target.guarded or not target.enabled or now >= target.expires:
            if method not in ("GET", "HEAD"):
                return None
            return self._or_later(self._checked(method, target, now, scope, send), send, method)
        if method == "GET":
            self.redirects += 1
            self._record(target.code, now, target.owner_id, scope)
        elif method != "HEAD":
            return None
        return _answer(target, send)

    async def _or_later(self, answer: Awaitable[None], send: Send, method: str) -> None:
        """Ask the visitor to come back where the answer isn't in memory and the database doesn't give it."""
        try:
            await answer
        except Unavailable:
            await pages.send(send, 503, pages.unavailable(), head=method == "HEAD")

    async def _cold(self, method: str, code: str, absent: bool, scope: Any, send: Send) -> None:
        self.cold += 1
        target = None if absent else await self._cache.get(code)
        if target is None:
            self.refused += 1
            if method == "GET":
                self._record(code, time.time(), 0, scope, known=False)
            return await pages.send(send, 404, pages.unknown(code), head=method == "HEAD")
        return await self._checked(method, target, time.time(), scope, send)

    async def _preview(self, code: str, send: Send, method: str) -> None:
        """`/{code}+`: where a link leads, without going there."""
        head = method == "HEAD"
        link = await following.find_stored(self._links, code)
        if link is None:
            return await pages.send(send, 404, pages.unknown(code), head=head)
        page = pages.preview(context.seen_by(self._links, link, None))
        return await pages.send(send, 200, page, head=head)

    async def _checked(self, method: str, target: Target, now: float, scope: Any, send: Send) -> None:
        head = method == "HEAD"
        try:
            if not target.enabled or now >= target.expires:
                raise LinkGone(code=target.code, state="expired" if target.enabled else "disabled")
            if target.guarded:
                link = await following.find_stored(self._links, target.code)
                if link is None:
                    return await pages.send(send, 404, pages.unknown(target.code), head=head)
                if link.password is not None:
                    return await pages.send(send, 200, pages.password(target.code), head=head)
                if head:
                    following.check_active(link)
                else:
                    await following.take_click(self._allowance, link)
        except LinkGone as error:
            self.refused += 1
            return await pages.send(send, 410, pages.gone(target.code, str(error.values["state"])), head=head)
        if not head:
            self.redirects += 1
            self._record(target.code, now, target.owner_id, scope)
        return await _answer(target, send)


async def _answer(target: Target, send: Any) -> None:
    await send(_start(target.url, target.status, target.expires == inf and not target.guarded))
    await send(_BODY)


@lru_cache(maxsize=4096)
def _start(url: str, status: int, lasting: bool) -> dict[str, object]:
    """The message that begins an answer, kept for the links that are followed most."""
    keep = _KEPT if lasting and status in _PERMANENT else _NOT_KEPT
    return {"type": "http.response.start", "status": status, "headers": [(b"location", url.encode()), keep, _EMPTY]}


class VisitorEndpoints(Controller):
    """What a visitor can do besides following a link: give a password, and get lost."""

    path = "/"
    include_in_schema = False

    @route("/{code:str}", http_method=["GET", "HEAD"], media_type=MediaType.HTML)
    async def lost(self, code: FromPath[str]) -> Response[bytes]:
        """What can't be a code leads nowhere, either."""
        return pages.response(404, pages.unknown(code))

    @post("/{code:str}", media_type=MediaType.HTML, request_max_body_size=4096)
    async def enter(
        self,
        request: Request[Any, Any, Any],
        code: FromPath[str],
        links: NamedDependency[Links],
        limits: NamedDependency[Limits],
        recorder: NamedDependency[Recorder],
        allowance: NamedDependency[Allowance],
        ip: NamedDependency[str],
    ) -> Response[bytes]:
        """Give the password of a link, and follow it."""
        link = await following.find_stored(links, code) if rules.CODE.fullmatch(code) else None
        if link is None or link.password is None:
            return pages.response(404, pages.unknown(code))
        form = await request.form()
        try:
            await limits.take(GUESSES, f"{code}/{network(ip)}")
            await following.check_password(link, str(form.get("password", "")))
            await following.take_click(allowance, link)
        except TooManyRequests as error:
            return pages.response(429, pages.password(code, error.detail), error.headers)
        except WrongPassword as error:
            return pages.response(403, pages.password(code, error.detail))
        except LinkGone as error:
            return pages.response(410, pages.gone(code, str(error.values["state"])))
        recorder.record(code, time.time(), link.owner_id or 0, request.scope)
        return pages.leave(link.url)
