"""The connection of a client: it comes back by itself, sends what is kept to be sent, and keeps what comes."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
import structlog

from tenfold.contracts.messages import entities, frames
from tenfold.contracts.messages.api import PREFIX, Api, Refused
from tenfold.contracts.messages.crypto import Crypto, Forged
from tenfold.contracts.messages.entities import Conversation
from tenfold.contracts.messages.incoming import Incoming, Received, Wish
from tenfold.contracts.messages.keep import Keep
from tenfold.contracts.messages.outgoing import AHEAD, Outgoing, Queued

log = structlog.get_logger(__name__)

#: Below so many one-time keys at the server, some are added.
FEW_KEYS = 20
#: Seconds until what was gathered is acknowledged.
ACK_AFTER = 0.02
#: Bytes of a frame of the server.
MOST_FRAME = 4 * 1024 * 1024
#: Rows that are read of what is kept at a time.
PAGE = 200

_decode = msgspec.json.Decoder(frames.FromServer).decode
_encode = msgspec.json.encode

type Listener = Callable[[frames.FromServer], None]


class DeviceEnded(Exception):
    """This device was ended, from another one or because it was away for too long. Its folder is of no use any more."""


class NotSent(Exception):
    """A message was refused for good."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Connection:
    """What is between a device's store and the server. `Client` is what programs use."""

    def __init__(self, address: str, token: str, folder: Path, *, name: str = "Python") -> None:
        self.api = Api(address, token)
        self.name = name
        self.account = ""
        self.device = ""
        #: Called with each frame that isn't a message: receipts, typing, presence, changes.
        self.listeners: list[Listener] = []
        #: Devices that were seen for the first time, of people who had others before: what a person should be told.
        self.new_devices: list[entities.Device] = []
        #: Why the connection won't come back; None as long as it may.
        self.ended: Exception | None = None
        self._keep = Keep(folder)
        self._crypto = Crypto(self._keep)
        self._incoming: Incoming
        self._outgoing: Outgoing
        self._places: dict[str, Conversation] = {}
        self._blocked: dict[str, bool] = {}
        self._refused: dict[str, NotSent] = {}
        self._wishes: asyncio.Queue[Wish] = asyncio.Queue(1000)
        self._running: asyncio.Task[None] | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._opened: list[Received] = []
        self._seen: dict[str, int] = {}
        self._notes: list[str] = []
        self._acking: asyncio.TimerHandle | None = None
        self.connected = asyncio.Event()
        self.caught_up = asyncio.Event()

    async def _register(self) -> None:
        me = (await self.api.me()).account.id
        known = (self._keep.state("me") or b"").decode().partition(" ")
        if known[0] and known[0] != me:
            raise ValueError("this folder belongs to another account")
        self.account, self.device = me, known[2]
        if not self.device:
            self.device = (await self.api.add_device(self._crypto.add_device(me, self.name))).id
            self._keep.set_state("me", f"{me} {self.device}".encode())

    # The connection.

    async def _run(self) -> None:
        """Be connected, as long as that may be."""
        pause, most = 1.0, 60.0
        while True:
            wait = random.uniform(0, pause)
            try:
                wait = await self._connect()
                pause = 1.0
            except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError, Refused) as error:
                log.info("messages_disconnected", reason=repr(error))
                pause = min(pause * 2, most)
            except DeviceEnded as error:
                self.ended = error
            finally:
                self.connected.clear()
                self.caught_up.clear()
                self._socket = None
                self._outgoing.lost()
                self._seen, self._notes = {}, []
            async with self._changed:
                self._changed.notify_all()
            if self.ended is not None:
                return
            await asyncio.sleep(wait)

    async def _connect(self) -> float:
        """One connection, from hello to its end. Seconds to wait before the next one."""
        url = f"{self.api.address}{PREFIX}/socket"
        protocols = (frames.SUBPROTOCOL,)
        async with self.api.session.ws_connect(url, protocols=protocols, max_msg_size=MOST_FRAME) as socket:
            await socket.send_str(_encode(frames.Hello(device=self.device, protocol=frames.PROTOCOL)).decode())
            self._socket = socket
            listening = asyncio.create_task(self._listen(socket))
            tasks = [listening, *map(asyncio.create_task, (self._pump(), self._fulfil(), self._beat(socket)))]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done - {listening}:
                task.result()
            wait = listening.result() if listening in done else 1.0
            if socket.close_code in (frames.NO_DEVICE, frames.REPLACED):
                raise DeviceEnded
            return wait

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> float:
        wait = random.uniform(0, 1)
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            try:
                frame = _decode(message.data)
            except msgspec.ValidationError:
                continue  # of a kind that is newer than we are
            if isinstance(frame, frames.Bye):
                wait = random.uniform(0, frame.after)
            await self._hear(frame)
        return wait

    async def _beat(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await asyncio.sleep(25)
            await socket.send_str(_encode(frames.Ping()).decode())

    async def _hear(self, frame: frames.FromServer) -> None:
        match frame:
            case frames.Message():
                await self._know(frame.conversation, frame.device)
                received, wishes = self._incoming.take(frame)
                self._ack(frame.conversation, frame.seq)
                await self._tell(wishes, changed=received is not None)
            case frames.NoteCame():
                await self._know(frame.conversation, frame.device)
                opened, wishes = self._incoming.take_note(frame)
                self._opened += opened
                self._notes.append(frame.note)
                self._ack(frame.conversation, 0)
                await self._tell(wishes, changed=bool(opened))
            case frames.Sent():
                if self._outgoing.sent(frame) is not None:
                    await self._tell([], changed=True)
                self._wake.set()
            case frames.Problem():
                await self._problem(frame)
            case frames.Welcome():
                self.connected.set()
                self._wake.set()
                await self._top_up()
            case frames.CaughtUp():
                self.caught_up.set()
                await self._tell(list(self._incoming.missing()), changed=True)
            case frames.Changed() if frame.what == "self":
                await self._top_up()
            case frames.Changed() if isinstance(frame.conversation, str):
                self._places.pop(frame.conversation, None)
            case _:
                pass
        for listener in self.listeners:
            listener(frame)

    async def _tell(self, wishes: Sequence[Wish], *, changed: bool) -> None:
        for wish in wishes:
            if not self._wishes.full():
                self._wishes.put_nowait(wish)
        if changed:
            async with self._changed:
                self._changed.notify_all()

    def _ack(self, conversation: str, seq: int) -> None:
        if seq:
            self._seen[conversation] = max(seq, self._seen.get(conversation, 0))
        if self._acking is None:
            self._acking = asyncio.get_running_loop().call_later(
                ACK_AFTER, lambda: asyncio.ensure_future(self._send_acks())
            )

    async def _send_acks(self) -> None:
        self._acking = None
        seen, self._seen = self._seen, {}
        notes, self._notes = self._notes, []
        with suppress(aiohttp.ClientError, ConnectionError):
            await self._say(frames.Ack(seen=seen, notes=notes))

    async def _say(self, frame: frames.FromClient) -> None:
        if self._socket is None or self._socket.closed:
            raise ConnectionError("there is no connection")
        await self._socket.send_str(_encode(frame).decode())

    async def _problem(self, frame: frames.Problem) -> None:
        if not isinstance(frame.id, str):
            return
        again = frame.code in ("stale_members", "unavailable", "too_many_requests")
        queued = self._outgoing.back(frame.id, drop=not again)
        if queued is None:
            return
        if again:
            # Whatever else is on its way there is refused as well; it goes again in order once all of it is back.
            self._places.pop(queued.conversation, None)
            self._blocked[queued.conversation] = True
            if frame.code != "stale_members":
                seconds = frame.retry_after if isinstance(frame.retry_after, int) else 1
                asyncio.get_running_loop().call_later(seconds, self._wake.set)
        else:
            self._refused[frame.id] = NotSent(frame.code)
            await self._tell([], changed=True)
        self._wake.set()

    async def _pump(self) -> None:
        """Send what is to be sent."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self.connected.is_set():
                continue
            flying = {queued.conversation for queued in self._outgoing.flying.values()}
            for conversation in [each for each in self._blocked if each not in flying]:
                del self._blocked[conversation]
            while len(self._outgoing.flying) < AHEAD and (queued := self._outgoing.next(self._blocked)) is not None:
                await self._send(queued)

    async def _send(self, queued: Queued) -> None:
        try:
            place = await self._place(queued.conversation)
            await self._meet(self._outgoing.needs(place))
        except Refused as error:
            if error.status in (403, 404, 410):
                self._outgoing.flying[queued.id] = queued
                await self._problem(frames.Problem(code=error.code, detail=str(error), id=queued.id))
                return
            raise
        await self._say(self._outgoing.seal(queued, place))

    async def _fulfil(self) -> None:
        """Send notes that are wished for."""
        while True:
            wish = await self._wishes.get()
            await self.connected.wait()
            due = self._incoming.due(wish)
            if due is None:
                continue
            try:
                place = await self._place(due.conversation)
                device = next((each for each in place.devices if each.id == due.device), None)
                if device is None:
                    continue
                if due.fresh or not self._crypto.knows(device.id):
                    await self._meet([device])
            except (Refused, Forged) as error:
                log.info("note_not_sent", reason=str(error))
                continue
            if self._crypto.knows(device.id):
                await self._say(self._outgoing.note(due))

    async def _meet(self, devices: Sequence[entities.Device]) -> None:
        """Begin sessions with devices. Those whose keys are forged, or gone, get none: sealing for them fails."""
        if not devices:
            return
        by_id = {device.id: device for device in devices}
        for key in (await self.api.claim(list(by_id))).keys:
            with self._keep.transaction():
                self._crypto.begin(by_id[key.device], key)

    async def _place(self, conversation: str) -> Conversation:
        """A conversation with its devices, as far as is known."""
        if conversation not in self._places:
            self._learn(await self.api.conversation(conversation))
        return self._places[conversation]

    async def _know(self, conversation: str, device: str) -> None:
        """Have a sending device's keys. Raises Refused where the server doesn't answer."""
        if self._keep.one("SELECT 1 FROM device WHERE id = ?", device) is None:
            self._places.pop(conversation, None)
            try:
                await self._place(conversation)
            except Refused as error:
                if error.status != 404:
                    raise

    def _learn(self, place: Conversation) -> None:
        """Believe devices that are new, and remember who they are of."""
        honest = []
        for device in place.devices:
            before = self._keep.one("SELECT 1 FROM device WHERE account = ? LIMIT 1", device.account)
            try:
                if self._crypto.pin(device) and before is not None and device.id != self.device:
                    self.new_devices.append(device)
                honest.append(device)
            except Forged:
                log.warning("forged_device", device=device.id)
        self._places[place.id] = msgspec.structs.replace(place, devices=honest)

    async def _top_up(self) -> None:
        """Enough one-time keys at the server, and a fallback key that isn't old."""
        own = next((each for each in await self.api.devices() if each.id == self.device), None)
        if own is None:
            raise DeviceEnded
        old = self._crypto.fallback_is_old()
        if own.one_time_keys < FEW_KEYS or old:
            with self._keep.transaction():
                keys = self._crypto.more_keys(max(0, 50 - own.one_time_keys), fallback=old)
            await self.api.call("POST", f"/devices/{self.device}/keys", keys)
