"""The embedded engines start, keep what they acknowledged, say why they ended, and never run twice on one directory."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import nats
import pytest
from nats.js.api import StreamConfig

from tenfold.platform.engines import Engine, EngineFailed, Nats, Postgres, Valkey

PASSWORD = "correct-horse_battery1"
KINDS = (Postgres, Valkey, Nats)
Make = Callable[..., Engine]


async def until(condition: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


@pytest.fixture
def directory() -> Iterator[Path]:
    # Not pytest's own: its long names don't leave enough room for a socket's path.
    with tempfile.TemporaryDirectory(prefix="tf-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
async def make(directory: Path) -> AsyncIterator[Make]:
    """Makes engines, and stops them when the test is over."""
    made: list[Engine] = []

    def make(kind: type[Engine], password: str = PASSWORD, *, where: str = "engine", port: int | None = None) -> Engine:
        made.append(kind(directory / where, password, port=port))
        return made[-1]

    yield make
    await asyncio.gather(*(engine.stop() for engine in made))


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def engine(request: pytest.FixtureRequest, make: Make) -> Engine:
    return make(request.param)


def processes(what: str, *which: str) -> str:
    return subprocess.run(
        ["ps", "-ww", "-o", what, *(which or ["-A"])], capture_output=True, text=True, check=False
    ).stdout


async def ask(engine: Engine, *lines: str, answers: int | None = None) -> list[bytes]:
    """Say lines to a server that speaks in lines; what it answers, a line for each unless told otherwise."""
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    answered = [await reader.readline() for _ in range(answers or len(lines))]
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answered


async def remember(engine: Engine) -> None:
    """Have something acknowledged."""
    if isinstance(engine, Postgres):
        connection = await asyncpg.connect(engine.url)
        await connection.execute("CREATE TABLE note (text text); INSERT INTO note VALUES ('kept')")
        await connection.close()
    elif isinstance(engine, Valkey):
        assert await ask(engine, f"AUTH {PASSWORD}", "SET note kept") == [b"+OK\r\n"] * 2
    else:
        client = await nats.connect(engine.url)
        await client.jetstream().add_stream(StreamConfig(name="notes", subjects=["notes"]))
        await client.jetstream().publish("notes", b"kept")
        await client.close()


async def recall(engine: Engine) -> str:
    if isinstance(engine, Postgres):
        connection = await asyncpg.connect(engine.url)
        try:
            return str(await connection.fetchval("SELECT text FROM note"))
        finally:
            await connection.close()
    if isinstance(engine, Valkey):
        return (await ask(engine, f"AUTH {PASSWORD}", "STRLEN note", "GETRANGE note 0 -1"))[1].decode()
    client = await nats.connect(engine.url)
    try:
        return (await client.jetstream().get_msg("notes", 1)).data.decode()
    finally:
        await client.close()


KEPT = {"Postgres": "kept", "Valkey": ":4\r\n", "Nats": "kept"}


async def test_what_was_acknowledged_survives_a_stop(engine: Engine) -> None:
    await engine.start()
    await remember(engine)
    await engine.stop()
    assert not engine.running
    await engine.start()
    assert await recall(engine) == KEPT[type(engine).__name__]


async def test_a_crash_is_said_with_the_last_words_and_the_url_stays(engine: Engine) -> None:
    await engine.start()
    where = engine.url
    os.kill(engine.pid, signal.SIGKILL)
    await until(lambda: not engine.running)
    assert "SIGKILL" in str(engine.failure())
    assert "The last lines of its log:" in str(engine.failure())
    await engine.start()
    assert engine.url == where, "those who hold the URL must find it again"


async def test_a_kill_right_after_an_acknowledgement_loses_nothing(engine: Engine) -> None:
    await engine.start()
    await remember(engine)
    os.kill(engine.pid, signal.SIGKILL)
    await until(lambda: not engine.running)
    await engine.start()
    assert await recall(engine) == KEPT[type(engine).__name__]


async def test_a_new_instance_finds_the_same_port(engine: Engine, make: Make) -> None:
    await engine.start()
    await engine.stop()
    again = make(type(engine))
    await again.start()
    assert again.url == engine.url


@pytest.mark.parametrize("kind", [Valkey, Nats])
async def test_a_port_taken_meanwhile_is_replaced(kind: type[Engine], make: Make) -> None:
    engine = make(kind)
    await engine.start()
    await engine.stop()
    assert engine.port
    with socket.create_server(("127.0.0.1", engine.port)):
        again = make(kind)
        await again.start()
        assert again.port != engine.port


@pytest.mark.parametrize("kind", [Valkey, Nats])
async def test_a_given_port_that_is_taken_is_an_error_with_the_servers_words(kind: type[Engine], make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        engine = make(kind, port=taken.getsockname()[1])
        with pytest.raises(EngineFailed, match="in use"):
            await engine.start()
    assert not engine.running


async def test_two_servers_on_one_directory_are_refused(engine: Engine, make: Make) -> None:
    await engine.start()
    second = make(type(engine))
    with pytest.raises(EngineFailed, match="runs already"):
        await second.start()
    assert engine.running


async def test_a_server_left_behind_is_ended_by_the_one_who_may(engine: Engine, make: Make) -> None:
    await engine.start()
    heir = make(type(engine))
    await heir.reclaim()
    await until(lambda: not engine.running)
    await heir.start()


async def test_nobody_gets_in_without_the_password(engine: Engine) -> None:
    await engine.start()
    wrong = engine.url.replace(PASSWORD, "wrong-password")
    if isinstance(engine, Postgres):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(wrong)
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(wrong.replace("//tenfold:", "//postgres:"))
    elif isinstance(engine, Valkey):
        assert (await ask(engine, "GET note"))[0].startswith(b"-NOAUTH")
    else:
        credentials = json.dumps({"user": "tenfold", "pass": "wrong-password"})
        answered = await ask(engine, f"CONNECT {credentials}", "PING", answers=2)
        assert answered[1].startswith(b"-ERR 'Authorization Violation'")


async def test_secrets_are_for_the_owner_only_and_not_on_a_command_line(engine: Engine) -> None:
    await engine.start()
    commands = processes("command=")
    assert str(engine.directory) in commands, "whoever looks for processes by the data's path finds them"
    assert PASSWORD not in commands
    assert PASSWORD not in engine.address
    for path in engine.directory.iterdir():
        if path.is_file() and PASSWORD in path.read_text(errors="replace"):
            assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("password", ["short", "with space in it", "quote'quote'quote", 'new\nline"here'])
def test_a_password_that_would_need_quoting_is_refused(password: str, directory: Path) -> None:
    with pytest.raises(ValueError, match="password"):
        Valkey(directory, password)


async def test_the_application_is_no_superuser_but_has_its_extensions(make: Make) -> None:
    engine = make(Postgres)
    await engine.start()
    connection = await asyncpg.connect(engine.url)
    assert await connection.fetchval("SHOW is_superuser") == "off"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("COPY (SELECT 1) TO PROGRAM 'true'")
    await connection.execute("CREATE EXTENSION pg_trgm")
    await connection.execute("CREATE DATABASE other")
    names = {row[0] for row in await connection.fetch("SELECT extname FROM pg_extension")}
    assert {"vector", "pg_stat_statements", "pg_trgm"} <= names
    settings = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums")
    assert {await connection.fetchval(f"SHOW {name}") for name in settings} == {"on"}
    await connection.close()


async def test_another_password_replaces_the_old_one(make: Make) -> None:
    engine = make(Postgres)
    await engine.start()
    await engine.stop()
    engine = make(Postgres, "another-password")
    await engine.start()
    await (await asyncpg.connect(engine.url)).close()


async def test_a_path_too_long_for_a_socket_uses_loopback(make: Make) -> None:
    engine = make(Postgres, where="long" * 20)
    await engine.start()
    assert "@127.0.0.1:" in engine.url
    await remember(engine)
    assert await recall(engine) == "kept"


async def test_a_directory_that_cannot_be_used_is_said(directory: Path) -> None:
    data = directory / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(EngineFailed, match=r"incompatible|not a valid|can't be"):
        await Postgres(directory / "postgres", PASSWORD).start()


GUARDED = """
import signal, subprocess, sys, time
from tenfold.platform.engines.guard import Guard
guard = Guard()
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
for stage, program in enumerate(["import time; print('here', flush=True); time.sleep(600)", deaf]):
    child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stdout=subprocess.PIPE)
    child.stdout.readline()
    guard.watch(child.pid, stage=stage, sign=signal.SIGTERM)
    print(child.pid, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    state = processes("stat=", "-p", str(pid)).strip()
    return bool(state) and not state.startswith("Z")


async def test_the_guard_ends_what_a_killed_process_left_even_the_deaf() -> None:
    pipe = asyncio.subprocess.PIPE
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", GUARDED, stdout=pipe)
    assert parent.stdout
    children = [int(await parent.stdout.readline()) for _ in range(2)]
    assert all(alive(pid) for pid in children)
    parent.kill()
    await parent.wait()
    await until(lambda: not any(alive(pid) for pid in children))
