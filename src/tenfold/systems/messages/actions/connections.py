"""The connections of one process: who may connect, and what connections need from time to time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from tenfold.contracts.messages import frames
from tenfold.platform.errors import Unavailable
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.platform.limits import Limit
from tenfold.systems.messages.actions.connecting import Connection
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.hot import Seen
from tenfold.systems.messages.store import inbox, presence

log = structlog.get_logger(__name__)

CONNECT = Limit(name="messages.connect", rates={"anonymous": "120/minute"})
#: Milliseconds after which something that still waits in an inbox has perhaps lost its word.
LOST = 15_000
#: Seconds until a credential is looked at again.
RECHECK = 60.0


class Connections:
    """The connections of one process, and what they need from time to time."""

    def __init__(self, messages: Messages) -> None:
        self.opened = 0
        self.refused = 0
        self._messages = messages
        self._open: dict[Connection, Callable[[], Awaitable[bool]]] = {}
        self._draining = False

    @property
    def open_now(self) -> int:
        return len(self._open)

    async def open(
        self, principal: Principal, hello: frames.Hello, still: Callable[[], Awaitable[bool]]
    ) -> Connection | tuple[int, str, int]:
        """A connection for a device, whose older one ends; or the code, reason and pause with which it is refused.

        `still` says whether the credential is good. Raises TooManyRequests, Unavailable.
        """
        messages, settings = self._messages, self._messages.settings
        account_id, device_id = principal.account_id or 0, read_id(hello.device)
        if hello.protocol != frames.PROTOCOL:
            return frames.BAD_FRAMES, f"this server speaks protocol {frames.PROTOCOL}", 0
        if self._draining or len(self._open) >= settings.connections:
            self.refused += 1
            return 1001, "stopping" if self._draining else "full", settings.retry_most
        await messages.runtime.limits.take(CONNECT, principal)
        async with messages.runtime.db.transaction() as tx:
            known = device_id is not None and await presence.find_device(tx, account_id, device_id)
            last_seen = await presence.find_last_seen(tx, account_id)
        if device_id is None or not known:
            return frames.NO_DEVICE, "there is no such device", 0
        connection = Connection(messages, principal, account_id, device_id)
        connection.tells = last_seen != "nobody"
        # Heard before the inbox is read, so that nothing falls between.
        await messages.routes.open(account_id, connection)
        self._open[connection] = still
        self.opened += 1
        await messages.routes.end(account_id, device_id, frames.REPLACED, by=connection.id)
        if connection.tells:
            await messages.watching.beat([account_id])
            await messages.watching.tell(Seen(account_id, True, None))
        connection.start()
        return connection

    async def close(self, connection: Connection) -> None:
        """A connection is gone. Its account is, too, if this was the last here; another process says otherwise soon."""
        messages, account_id = self._messages, connection.account_id
        if self._open.pop(connection, None) is None:
            return
        await connection.close()
        messages.watching.watch(connection, connection.watched, ())
        await messages.routes.close(account_id, connection)
        if messages.routes.sinks(account_id):
            return
        with suppress(Unavailable):
            async with messages.runtime.db.transaction() as tx:
                await presence.note_seen(tx, account_id)
        if connection.tells:
            await messages.watching.gone(account_id)
            await messages.watching.tell(Seen(account_id, False, now_ms()))

    async def keep(self) -> None:
        """Until cancelled: refresh presence, find words that were lost, end what is silent or no longer allowed."""
        pause = self._messages.settings.heartbeat / 2
        checked = time.monotonic()
        while True:
            await asyncio.sleep(pause)
            try:
                await self._keep(time.monotonic() - checked >= RECHECK)
                if time.monotonic() - checked >= RECHECK:
                    checked = time.monotonic()
            except Unavailable:
                continue
            except Exception:
                log.exception("connections_not_kept")

    async def _keep(self, recheck: bool) -> None:
        messages, silent = self._messages, time.monotonic() - self._messages.settings.silence
        connections = tuple(self._open)
        await messages.watching.beat(list({each.account_id for each in connections if each.tells}))
        for each in connections:
            if each.heard_at < silent:
                each.end(frames.TOO_SILENT, "silence")
        for some in (connections[at : at + 1000] for at in range(0, len(connections), 1000)):
            devices = [(each.account_id, each.device_id) for each in some]
            async with messages.runtime.db.read(fresh=True) as tx:
                standing = {row.id: row.waits for row in await inbox.list_standing(tx, devices, now_ms() - LOST)}
            for each in some:
                waits = standing.get(each.device_id)
                if waits is None:
                    each.end(frames.NO_DEVICE, "ended")
                elif waits:
                    each.look()
        if recheck:
            for each in connections:
                still = self._open.get(each)
                if still is not None and not await still():
                    each.end(frames.SIGNED_OUT, "signed_out")

    async def drain(self) -> None:
        """The process is about to stop: everybody is told to come again, spread over a while."""
        self._draining = True
        for connection in tuple(self._open):
            connection.end(1001, "stopping", after=self._messages.settings.retry_most)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
