"""What messages claims, measured: `tenfold bench messages`.

The generator speaks the protocol over sockets that cost next to nothing; what is sealed is random text of the length
that a short message has when it is encrypted. The limit is a bare relay: WebSocket in, JetStream, WebSocket out.
"""

import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import msgspec

import measure
from apps import relay
from house import House, command, open_house
from measure import OTHERS, OURS, Program, Report, Row, free_port, median, quantile
from sockets import Socket
from tenfold.platform.identity import rules as identity
from tenfold.platform.ids import first_id

LIMITS = {"messages.connect": "1000000/s"}
PATH = "/messages/api/v1/socket"
PEER = (
    "For scale: two well-known servers stored and delivered 82-145 and 361-408 messages/s, at 41 kB a connection"
    " (measured elsewhere on this kind of machine)."
)
#: Characters of a sealed body: an Olm message of some 100 bytes of plaintext.
BODY = secrets.token_urlsafe(240)
SETTINGS = {"messages_frames": 1_000_000, "messages_frames_burst": 1_000_000, "messages_window": 4096}

_decode = msgspec.json.decode
_numbers = count(1)


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    pairs: int
    rounds: int
    #: Seconds of a turn at full load, and at half.
    turn: float
    #: Messages of a pair on their way.
    ahead: int
    group: int
    group_messages: int
    idle: int
    stored: int
    storm: int


FULL = Size(pairs=32, rounds=5, turn=4, ahead=16, group=256, group_messages=60, idle=15_000, stored=10_000, storm=5_000)
QUICK = Size(pairs=32, rounds=2, turn=2, ahead=16, group=64, group_messages=10, idle=500, stored=1_000, storm=200)


@dataclass(frozen=True)
class Person:
    """An account with one device and a key."""

    id: int
    device: int
    token: str


@dataclass(frozen=True)
class Town:
    house: House
    report: Report
    size: Size
    people: Sequence[Person]
    #: The rate that was reached, for what is measured at half of it.
    reached: dict[str, float] = field(default_factory=dict)


async def people(house: House, number: int) -> list[Person]:
    """So many accounts, each with a device, written straight into the tables."""
    first = first_id(time.time() - 86_400)
    made = [Person(first + n, first + n, identity.new_token(identity.KEY, first + n, first + n)) for n in range(number)]
    async with house.db.session() as tx:
        await tx.copy(
            "platform.account",
            ["id", "name", "display_name", "tier", "password_hash"],
            [(each.id, f"p{n}", f"P{n}", "free", "") for n, each in enumerate(made)],
        )
        digests = [(token.digest, each) for each in made if (token := identity.read_token(each.token))]
        await tx.copy(
            "platform.api_key",
            ["account_id", "id", "digest", "name"],
            [(each.id, each.id, digest, "bench") for digest, each in digests],
        )
        await tx.copy(
            "messages.device",
            ["account_id", "id", "name", "identity_key", "signing_key", "signature", "fallback_id", "fallback_key",
             "fallback_signature"],
            [(each.id, each.device, "bench", "i", "s", "g", "f", "k", "g") for each in made],
        )  # fmt: skip
    return made


async def talk(house: House, kind: str, members: Sequence[Person]) -> int:
    """A conversation, written straight into the tables."""
    number = first_id(time.time()) + next(_numbers)
    async with house.db.session() as tx:
        await tx.execute("INSERT INTO messages.conversation (id, kind) VALUES ($1, $2)", number, kind)
        await tx.copy(
            "messages.member",
            ["conversation_id", "account_id", "role"],
            [(number, each.id, "member") for each in members],
        )
        await tx.copy(
            "messages.member_device",
            ["conversation_id", "account_id", "device_id"],
            [(number, each.id, each.device) for each in members],
        )
    return number


class Device:
    """A device at work: it acknowledges what it gets and notes when that was."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.socket: Socket
        self.got = 0
        #: When each message came whose sending somebody noted, in seconds.
        self.delays: list[float] = []
        self.on_sent: Callable[[bytes], None] = lambda _: None
        self.caught_up = asyncio.Event()
        self._seen: dict[str, int] = {}
        self._acking = False

    async def connect(self, port: int) -> None:
        self.caught_up.clear()
        self.socket = await Socket.open(port, PATH, self.person.token, self._hear)
        self.socket.send(b'{"t":"hello","device":"%d","protocol":1}' % self.person.device)

    def _hear(self, _: Socket, data: bytes) -> None:
        if data.startswith(b'{"t":"message"'):
            message = _decode(data)
            self.got += 1
            self._seen[message["conversation"]] = message["seq"]
            name = message["id"]
            if name.startswith("at"):
                self.delays.append(time.perf_counter() - float(name.partition("_")[0][2:].replace("-", ".")))
            if not self._acking:  # together with all that comes in this turn of the loop
                self._acking = True
                asyncio.get_running_loop().call_soon(self._ack)
        elif data.startswith(b'{"t":"sent"'):
            self.on_sent(data)
        elif data.startswith(b'{"t":"caught_up"'):
            self.caught_up.set()
        elif data.startswith(b'{"t":"error"'):
            raise SystemExit(data.decode())

    def _ack(self) -> None:
        self._acking = False
        self.socket.send(msgspec.json.encode({"t": "ack", "seen": self._seen}))
        self._seen = {}

    def send(self, conversation: int, to: Sequence[int], *, content: bool = False) -> None:
        """A message whose id tells when it was sent."""
        name = f"at{time.perf_counter():.6f}".replace(".", "-") + f"_{next(_numbers)}"
        frame = {"t": "send", "id": name, "conversation": str(conversation), "revision": 1}
        more = {"content": BODY} if content else {"envelopes": {str(each): {"type": 1, "body": BODY} for each in to}}
        self.socket.send(msgspec.json.encode({**frame, **more}))


@dataclass
class Pair:
    """One who writes to another, with so many messages on their way."""

    writer: Device
    reader: Device
    conversation: int
    sent: int = 0
    running: bool = False

    def begin(self, ahead: int) -> None:
        self.running = True
        self.writer.on_sent = self._sent
        for _ in range(ahead):
            self._write()

    def _write(self) -> None:
        self.writer.send(self.conversation, [self.reader.person.device])

    def _sent(self, _: bytes) -> None:
        self.sent += 1
        if self.running:
            self._write()


async def pairs(town: Town, *ports: int) -> list[Pair]:
    """Pairs that are connected; with two ports the reader is at another process than the writer."""
    made = []
    for n in range(town.size.pairs):
        one, other = Device(town.people[2 * n]), Device(town.people[2 * n + 1])
        await one.connect(ports[0])
        await other.connect(ports[-1])
        await asyncio.gather(one.caught_up.wait(), other.caught_up.wait())
        made.append(Pair(one, other, await talk(town.house, "direct", [one.person, other.person])))
    return made


async def durable(town: Town) -> None:
    """Messages a second through one process on one core, in turns with the relay."""
    report, size, house = town.report, town.size, town.house
    relay_port = free_port()
    await house.runtime.bus.ensure_stream("relay")
    rates: list[float] = []
    busy: list[float] = []
    bare: list[float] = []
    bare_busy: list[float] = []
    async with (
        house.web(**SETTINGS) as web,
        bare_server(house, relay_port) as relaying,
    ):
        talking = await pairs(town, house.port)
        plain = [await Plain.open(relay_port, n) for n in range(size.pairs * 2)]
        for _ in range(size.rounds):
            with relaying.paused():
                for pair in talking:
                    pair.begin(size.ahead)
                await asyncio.sleep(0.5)
                sent, got, cpu, began = _sum(talking), _got(talking), web.cpu, time.perf_counter()
                await asyncio.sleep(size.turn)
                took = time.perf_counter() - began
                rates.append(min(_sum(talking) - sent, _got(talking) - got) / took)
                busy.append(min(_sum(talking) - sent, _got(talking) - got) / max(web.cpu - cpu, 0.01))
                for pair in talking:
                    pair.running = False
                await asyncio.sleep(0.5)
            with web.paused():
                for each in plain:
                    each.begin(size.ahead)
                await asyncio.sleep(0.5)
                got, cpu, began = sum(each.got for each in plain), relaying.cpu, time.perf_counter()
                await asyncio.sleep(size.turn)
                took = time.perf_counter() - began
                bare.append((sum(each.got for each in plain) - got) / took)
                bare_busy.append((sum(each.got for each in plain) - got) / max(relaying.cpu - cpu, 0.01))
                for each in plain:
                    each.running = False
                await asyncio.sleep(0.5)
        lost = _sum(talking) - _got(talking)
    rate, limit = median(rates), median(bare)
    town.reached["rate"] = rate
    report.add(Row(
        claim="Messages stored, delivered and acknowledged, one core", measured=rate, unit="/s", limit=limit,
        limit_of="a bare relay: WebSocket in, JetStream, WebSocket out", wanted="ratio >= 0.5", met=rate >= limit / 2,
        note=f"{lost} lost.",
    ))  # fmt: skip
    report.add(Row(
        claim="... for each second of the web process's processor time", measured=median(busy), unit="/s",
        limit=median(bare_busy), limit_of="the relay's",
    ))  # fmt: skip
    report.figures["messages_per_core"] = rate


@asynccontextmanager
async def bare_server(house: House, port: int) -> AsyncIterator[Program]:
    """The relay, on the core of the product."""
    settings = house.runtime.settings
    assert settings.nats_url
    environment = {relay.NATS: settings.nats_url.reveal(), relay.NAMESPACE: settings.namespace}
    command_, log = (str(Path(relay.__file__)), str(port)), house.folder / "relay.log"
    async with measure.running(command_, cores=OURS, log=log, environment=environment) as relaying:
        await measure.answers(relaying, port)
        yield relaying


async def bare_memory(house: House, number: int) -> float:
    """Bytes that a connection takes which the same server only holds."""
    port = free_port()
    async with bare_server(house, port) as program:
        held = [await Socket.open(port, relay.SILENT, "", lambda *_: None)]
        before = measure.memory(program.pid)
        held += [await Socket.open(port, relay.SILENT, "", lambda *_: None) for _ in range(number)]
        return (measure.memory(program.pid) - before) / number


def _sum(talking: Sequence[Pair]) -> int:
    return sum(pair.sent for pair in talking)


def _got(talking: Sequence[Pair]) -> int:
    return sum(pair.reader.got for pair in talking)


class Plain:
    """A connection to the relay: it writes to its partner as fast as that is stored."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.got = 0
        self.running = False
        self.socket: Socket

    @classmethod
    async def open(cls, port: int, number: int) -> "Plain":
        made = cls(number)
        made.socket = await Socket.open(port, f"/{number}", "", made._hear)
        return made

    def begin(self, ahead: int) -> None:
        if self.number % 2 == 0:
            self.running = True
            for _ in range(ahead):
                self._write()

    def _write(self) -> None:
        self.socket.send(b'{"id":"message-%d","body":"%s"}' % (next(_numbers), BODY.encode()))

    def _hear(self, _: Socket, data: bytes) -> None:
        if data.startswith(b'{"t":"sent"'):
            if self.running:
                self._write()
        else:
            self.got += 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(300):
        while not condition():  # noqa: ASYNC110  # a look each 5 ms costs less than waking for each message
            await asyncio.sleep(0.005)


async def delivery(town: Town) -> None:
    """From one process to another, at half of what one was seen to do."""
    report, size, house = town.report, town.size, town.house
    rate = town.reached.get("rate", 1000) / 2
    other = free_port()
    async with house.web(**SETTINGS), second(house, other):
        talking = await pairs(town, house.port, other)
        for pair in talking:
            pair.writer.on_sent = lambda _: None
        began, at = time.perf_counter(), 0
        while (now := time.perf_counter()) - began < size.turn * 2:
            while at < (now - began) * rate:
                pair = talking[at % len(talking)]
                pair.writer.send(pair.conversation, [pair.reader.person.device])
                at += 1
            await asyncio.sleep(0.001)
        await until(lambda: _got(talking) >= at)
    delays = sorted(delay * 1000 for pair in talking for delay in pair.reader.delays)
    p99 = quantile(delays, 0.99)
    report.add(Row(
        claim=f"From writer to reader at another process, {rate:,.0f} messages/s, p50", measured=quantile(delays, 0.5),
        unit="ms",
    ))  # fmt: skip
    report.add(Row(claim="... p99", measured=p99, unit="ms", wanted="< 50 ms; the case study: < 1 s", met=p99 < 50))


@asynccontextmanager
async def second(house: House, port: int) -> AsyncIterator[Program]:
    """Another web process, on the same core."""
    async with house._command("serve", cores=OURS, settings={**SETTINGS, "port": port}) as web:
        await measure.answers(web, port, "/healthz")
        yield web


async def group(town: Town) -> None:
    """A message for each member of a full group."""
    report, size, house = town.report, town.size, town.house
    members = [Device(each) for each in town.people[: size.group]]
    async with house.web(**SETTINGS) as web:
        for each in members:
            await each.connect(house.port)
        await asyncio.gather(*(each.caught_up.wait() for each in members))
        conversation = await talk(house, "group", [each.person for each in members])
        writer, done = members[0], asyncio.Semaphore(0)
        writer.on_sent = lambda _: done.release()
        began, cpu = time.perf_counter(), web.cpu
        for n in range(size.group_messages):
            writer.send(conversation, [], content=True)
            if n >= 4:
                await done.acquire()
        wanted = size.group_messages * (size.group - 1)
        await until(lambda: sum(each.got for each in members) >= wanted)
        took, cpu = time.perf_counter() - began, web.cpu - cpu
    delays = sorted(delay * 1000 for each in members for delay in each.delays)
    report.add(Row(
        claim=f"Deliveries in a group of {size.group}, each stored and acknowledged", measured=wanted / took, unit="/s",
        note=f"{wanted / cpu:,.0f} for each second of processor time; p99 {quantile(delays, 0.99):,.0f} ms.",
    ))  # fmt: skip


async def idle(town: Town) -> None:
    """Connections that say nothing, and their memory; then a storm of them."""
    report, size, house = town.report, town.size, town.house
    people_ = town.people[: size.idle]
    devices = [Device(each) for each in people_]
    bare = await bare_memory(house, min(1000, len(people_)))
    async with house.web(**SETTINGS) as web:
        await devices[0].connect(house.port)
        await devices[0].caught_up.wait()
        before, engines = measure.memory(web.pid), _engines(house)
        began = time.perf_counter()
        await connect_all(devices[1:], house.port)
        took = time.perf_counter() - began
        held = (measure.memory(web.pid) - before) / (len(devices) - 1)
        theirs = (_engines(house) - engines) / (len(devices) - 1)
        cpu = web.cpu
        await asyncio.sleep(10)
        idle_cpu = (web.cpu - cpu) / 10
        report.add(Row(
            claim="Connections held by one process", measured=len(devices), unit="open",
            note=f"Opened at {len(devices) / took:,.0f}/s; {idle_cpu:.0%} of a core while they are silent.",
        ))  # fmt: skip
        report.add(Row(
            claim="... memory of each", measured=held / 1024, unit="KiB", limit=bare / 1024,
            limit_of="a socket that the same server only holds",
            note=f"And {theirs / 1024:.1f} KiB in the engines. For scale: 41 kB (measured elsewhere).",
        ))  # fmt: skip
        report.figures["bytes_per_connection"] = held
        storm = devices[: size.storm]
        for each in storm:
            each.socket.drop()
        began = time.perf_counter()
        await connect_all(storm, house.port, at_once=1000)
        took = time.perf_counter() - began
        report.add(Row(
            claim=f"{len(storm):,} connections lost and back at once", measured=took, unit="s",
            note=f"{len(storm) / took:,.0f}/s. Told to go by `bye`, they spread over 60 s by themselves.",
        ))  # fmt: skip


def _engines(house: House) -> float:
    return sum(measure.memory(pid, "Pss") for pid in house.everything())


async def connect_all(devices: Sequence[Device], port: int, *, at_once: int = 64) -> None:
    turns = asyncio.Semaphore(at_once)

    async def one(device: Device) -> None:
        async with turns:
            await device.connect(port)
            await device.caught_up.wait()

    await asyncio.gather(*map(one, devices))


async def catching_up(town: Town) -> None:
    """What waited while a device was away."""
    report, size, house = town.report, town.size, town.house
    reader = Device(town.people[0])
    per = 100
    async with house.db.session() as tx:
        await tx.execute(
            """INSERT INTO messages.inbox (account_id, device_id, conversation_id, seq, id, sender_id, sender_device_id,
                                           at, ends_at, expires, kind, body)
               SELECT $1, $2, 1 + n / $3, 1 + n % $3, 'message-' || n, 1, 1, 0, 1::bigint << 60, 0, 1, $4
               FROM generate_series(0, $5 - 1) n""",
            reader.person.id, reader.person.device, per, BODY, size.stored,
        )  # fmt: skip
    async with house.web(**{**SETTINGS, "messages_window": 1000}):
        began = time.perf_counter()
        await reader.connect(house.port)
        await reader.caught_up.wait()
        took = time.perf_counter() - began
        assert reader.got == size.stored, reader.got
        left = 1
        while left:  # acknowledgements are on their way
            await asyncio.sleep(0.05)
            left = await house.value("SELECT count(*) FROM messages.inbox WHERE device_id = $1", reader.person.device)
    report.add(Row(
        claim=f"{size.stored:,} messages that waited for a device, caught up in", measured=took, unit="s",
        note=f"{size.stored / took:,.0f}/s, at most 1,000 of them unacknowledged at a time.",
    ))  # fmt: skip


PARTS: dict[str, Callable[[Town], Awaitable[None]]] = {
    "durable": durable, "delivery": delivery, "group": group, "catching-up": catching_up, "idle": idle,
}  # fmt: skip


async def run(report: Report, size: Size, parts: Sequence[str]) -> None:
    os.sched_setaffinity(0, OTHERS)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tenfold-bench-"))
        house = await stack.enter_async_context(open_house(House, Path(folder), ("messages",), LIMITS))
        town = Town(house, report, size, await people(house, max(size.idle, size.pairs * 2, size.group)))
        for name in parts:
            began = time.perf_counter()
            await PARTS[name](town)
            print(f"  ({name}: {time.perf_counter() - began:.0f} s)", flush=True)
    report.say(PEER)


if __name__ == "__main__":
    command("messages", __doc__, "half a minute", PARTS, FULL, QUICK, run)
