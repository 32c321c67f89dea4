"""What one process keeps in memory of links: clicks on their way out, today's salt, the list of blocked domains."""

import asyncio
import contextlib
import hashlib
import re
import secrets
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import structlog

from tenfold.contracts.links import Click, LinksClicked
from tenfold.platform.errors import Unavailable
from tenfold.platform.hot import Hot
from tenfold.platform.proxies import FORWARDED, Proxies
from tenfold.systems.links import engine

log = structlog.get_logger(__name__)

#: Bytes that are read of these headers: strangers choose them, and many clicks may wait.
AGENT, REFERRER = 400, 600
#: Clicks that are prepared in one go, while redirects wait for some 150 us. One by one they take twice the time: the
#: processor has forgotten in between how it goes.
SLICE = 32
#: How long a salt is kept: its day and what comes late.
SALT_MILLISECONDS = 2 * 86_400_000
#: What no browser writes of itself, and what would take six bytes each in an event.
CONTROLS = bytes(range(32)) + b"\x7f"

_signed = struct.Struct("<q").unpack

#: What the redirect notes of a click, in this order: code, seconds, owner, peer, headers, known.
type Noted = tuple[str, float, int, tuple[str, int] | None, Sequence[tuple[bytes, bytes]], bool]


class Salt:
    """The secret that today's visitors are hashed with. Shared through Valkey, gone a day later, kept nowhere else."""

    def __init__(self, hot: Hot, key: bytes) -> None:
        self._hot = hot
        self._key = key
        self._days: dict[int, bytes] = {}

    async def of(self, day: int) -> bytes:
        """The salt of a day, counted since 1970. Without Valkey it is derived from the master secret."""
        if day not in self._days:
            name = self._hot.key("links", "salt", str(day))
            try:
                await self._hot.set_many([(name, secrets.token_bytes(32), SALT_MILLISECONDS)], only_new=True)
                salt = await self._hot.get(name)
            except Unavailable:
                salt = None
            if salt is None:
                return hashlib.blake2b(str(day).encode(), key=self._key, digest_size=32).digest()
            self._days = {old: kept for old, kept in self._days.items() if old >= day - 1} | {day: salt}
        return self._days[day]


class Recorder:
    """Takes clicks off the redirect's path: a tuple appended now, a slice of them prepared at times, one event for many
    of them a moment later.

    What is buffered is lost if the process is killed, at most `seconds` of clicks; a clean stop sends everything. While
    NATS is away clicks wait, `most` of them; beyond that the oldest are dropped and counted.
    """

    def __init__(
        self,
        publish: Callable[[LinksClicked, str], Awaitable[object]],
        salt: Salt,
        *,
        seconds: float,
        batch: int,
        most: int,
        proxies: Proxies,
    ) -> None:
        self.dropped = 0
        self.sent = 0
        self._publish = publish
        self._salt = salt
        self._seconds = seconds
        self._most_in_batch = batch
        self._most = most
        self._locate = lru_cache(maxsize=10_000)(partial(_locate, proxies))
        #: Hashes with the salt of the day; None until the first flush has asked for it.
        self._keyed: hashlib.blake2b | None = None
        self._flushing = asyncio.Lock()
        # The way of a click: as it was noted, prepared, in a batch that is complete. A batch keeps its id until it is
        # sent, however often that is tried.
        self._noted: list[Noted] = []
        self._clicks: list[Click] = []
        self._batches: list[tuple[str, LinksClicked]] = []
        # The User-Agent headers of the prepared clicks: the place of the first that has it, and the hash of its
        # visitor up to the address.
        self._agents: dict[bytes, tuple[int, hashlib.blake2b]] = {}

    @property
    def waiting(self) -> int:
        return len(self._noted) + len(self._clicks) + sum(len(event.clicks) for _, event in self._batches)

    def record(self, code: str, at: float, owner_id: int, scope: Any, *, known: bool = True) -> None:
        """Note the click that an ASGI request is."""
        self._noted.append((code, at, owner_id, scope["client"], scope["headers"], known))
        if len(self._noted) >= SLICE and self._keyed is not None:
            self._prepare(self._keyed)

    async def run(self, stop: asyncio.Event) -> None:
        """Send what was recorded, until told to stop; then send the rest."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._seconds)
            try:
                await self.flush()
            except Unavailable:
                log.warning("clicks_waiting", clicks=self.waiting)
                self._drop()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 1)
        for _ in range(10):
            try:
                while self.waiting:
                    await self.flush()
            except Unavailable:
                await asyncio.sleep(0.5)
            else:
                return
        log.error("clicks_lost", clicks=self.waiting)

    async def flush(self) -> None:
        """Send all that is buffered now. Raises Unavailable with the rest still buffered.

        A batch whose acknowledgement got lost is sent again under the id it had, so that it counts once.
        """
        async with self._flushing:
            salt = await self._salt.of(int(time.time()) // 86_400)
            self._keyed = hashlib.blake2b(key=salt, digest_size=8)
            await self._send_batches()
            self._prepare(self._keyed)
            self._complete_batch()
            await self._send_batches()

    async def _send_batches(self) -> None:
        while self._batches:
            event_id, event = self._batches[0]
            await self._publish(event, event_id)
            del self._batches[0]
            self.sent += len(event.clicks)

    def _prepare(self, keyed: "hashlib.blake2b") -> None:
        """Make clicks of what was noted."""
        noted, self._noted = self._noted, []
        for code, at, owner_id, peer, headers, known in noted:
            get = dict(headers).get
            header = get(b"user-agent", b"")[:AGENT]
            agent: str | int
            if header in self._agents:
                agent, begun = self._agents[header]
            else:
                agent, begun = agent_text(header), keyed.copy()
                begun.update(header + b"|")
                self._agents[header] = len(self._clicks), begun
            address, country = self._locate(peer[0] if peer else "", get(b"x-forwarded-for", b"")[-FORWARDED:])
            visitor = begun.copy()
            visitor.update(address)
            purpose = get(b"sec-purpose", b"")
            click = Click(
                code,
                at,
                owner_id,
                _signed(visitor.digest())[0],
                country,
                referring_host(get(b"referer", b"")[:REFERRER]),
                agent,
                purpose != b"" and (b"prefetch" in purpose or b"preview" in purpose),
                known,
            )
            self._clicks.append(click)
            if len(self._clicks) == self._most_in_batch:
                self._complete_batch()

    def _complete_batch(self) -> None:
        if self._clicks:
            self._batches.append((secrets.token_hex(12), LinksClicked(clicks=self._clicks)))
            self._clicks, self._agents = [], {}

    def _drop(self) -> None:
        """Forget the oldest clicks beyond `most`, but none of the first batch: it may be stored without our knowing."""
        while len(self._batches) > 1 and self.waiting - len(self._batches[0][1].clicks) > self._most:
            self.dropped += len(self._batches.pop(1)[1].clicks)


def _locate(proxies: Proxies, peer: str, forwarded: bytes) -> tuple[bytes, str]:
    """The address of a visitor, and its country."""
    address = proxies.visitor(peer, forwarded) if peer else ""
    return address.encode(), engine.country_of(address)


def agent_text(header: bytes) -> str:
    """A User-Agent header as it is kept: without what a database can't hold."""
    return header.translate(None, CONTROLS).decode("latin-1")


#: urlsplit takes four times as long, and this runs for each click. IPv6 hosts count as none.
_REFERRER = re.compile(
    rb"https?://(?:[^/?#@\s]*@)?(?:www\.)?((?=[A-Za-z0-9_.-]{1,100}(?:[:/?#]|$))[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)"
    rb"(?::\d{1,5})?(?:[/?#]|$)",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def referring_host(header: bytes) -> str:
    """The host of a Referer header; what isn't a web address is none."""
    found = _REFERRER.match(header)
    return found[1].decode().lower() if found else ""


class Blocklist:
    """Domains that no link may lead to, read again when their file changes."""

    CHECK_SECONDS = 2.0

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._domains: frozenset[str] = frozenset()
        self._read: tuple[int, int] | None = None
        self._checked = 0.0

    def domains(self) -> Collection[str]:
        """The domains, lower-case. The file is looked at every other second at most; a missing one blocks nothing."""
        now = time.monotonic()
        if self._file is None or now - self._checked < self.CHECK_SECONDS:
            return self._domains
        self._checked = now
        try:
            state = self._file.stat()
            if (state.st_mtime_ns, state.st_size) != self._read:
                lines = (line.partition("#")[0].strip().lower() for line in self._file.read_text("utf-8").splitlines())
                self._domains = frozenset(line for line in lines if line)
                self._read = state.st_mtime_ns, state.st_size
                log.info("blocklist_read", domains=len(self._domains))
        except (OSError, UnicodeDecodeError) as error:
            log.warning("blocklist_unreadable", reason=str(error))
        return self._domains


class Watching:
    """Which links somebody is looking at right now, in any process: only their clicks are worth sending to browsers."""

    LEASE_MILLISECONDS = 30_000

    def __init__(self, hot: Hot) -> None:
        self._hot = hot

    async def watched(self, codes: Collection[str]) -> set[str]:
        """Those of the codes that are watched; none while Valkey is away."""
        ordered = list(codes)
        try:
            marks = await self._hot.get_many([self._key(code) for code in ordered])
        except Unavailable:
            return set()
        return {code for code, mark in zip(ordered, marks, strict=True) if mark is not None}

    @contextlib.asynccontextmanager
    async def watch(self, code: str) -> AsyncIterator[None]:
        """Mark a code as watched while inside."""
        await self._mark(code)
        keeper = asyncio.create_task(self._keep(code))
        try:
            yield
        finally:
            keeper.cancel()

    async def _keep(self, code: str) -> None:
        while True:
            await asyncio.sleep(self.LEASE_MILLISECONDS / 3000)
            await self._mark(code)

    async def _mark(self, code: str) -> None:
        with contextlib.suppress(Unavailable):
            await self._hot.set_many([(self._key(code), b"1", self.LEASE_MILLISECONDS)])

    def _key(self, code: str) -> str:
        return self._hot.key("links", "watched", code)


class Allowance:
    """Takes clicks of limited links from the database, one statement for all that wait in this process."""

    def __init__(self, take: Callable[[str, int], Awaitable[int]]) -> None:
        self._take = take
        self._waiting: dict[str, list[asyncio.Future[bool]]] = {}

    async def take(self, code: str) -> bool:
        """Whether one more click is allowed. Exactly as many say yes as the link has clicks, over all processes."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if code in self._waiting:
            self._waiting[code].append(future)
            return await future
        self._waiting[code] = []
        group = [future]
        try:
            while group:
                granted = await self._take(code, len(group))
                for place, each in enumerate(group):
                    if not each.done():
                        each.set_result(place < granted)
                group, self._waiting[code] = self._waiting[code], []
        except BaseException as error:
            for each in [*group, *self._waiting[code]]:
                if not each.done():
                    each.set_exception(error if isinstance(error, Exception) else Unavailable(part="The link"))
                    each.exception()
            raise
        finally:
            del self._waiting[code]
        return future.result()
