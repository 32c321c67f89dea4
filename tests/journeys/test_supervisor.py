"""`tenfold up` as a person meets it: it starts, says what is wrong, survives crashes, and leaves nothing behind."""

import json
import os
import signal
import socket
import time

import httpx
import pytest

pytestmark = pytest.mark.journey

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


async def test_a_first_start_shows_each_part_and_content_and_a_stop_leaves_nothing(house):
    await house.up()
    said = house.said()
    for part in ("PostgreSQL", "Valkey", "NATS", "migrations", "web", "work", "demo"):
        assert f"\n  {part} " in said
    assert f"http://localhost:{house.port}" in said
    assert (await house.get("/healthz")).status_code == 200
    assert (await house.get("/readyz")).status_code == 200

    status, output = await house.run("status")
    assert status == 0, output
    for part in ("supervisor", "PostgreSQL", "Valkey", "NATS", "web", "work"):
        assert f"  {part} " in output
    assert "links-" in output, "each consumer has a row"

    secrets = house.data / "secrets"
    assert secrets.stat().st_mode & 0o077 == 0
    assert (house.data / "runtime.json").stat().st_mode & 0o077 == 0

    assert await house.tell(signal.SIGINT) == 0
    await house.until(lambda: not house.processes(), 10)
    assert not (house.data / "runtime.json").exists()
    status, output = await house.run("status")
    assert status == 1
    assert "doesn't run" in output


async def test_a_second_start_on_the_same_data_says_who_has_it(house):
    house.empty()
    await house.up()
    status, output = await house.run("up", "--port", "1")
    assert status == 1
    assert f"already runs on {house.data}, as process {house.process.pid}" in output
    assert (await house.get("/healthz")).status_code == 200

    status, output = await house.run("down")
    assert status == 0, output
    assert await house.process.wait() == 0
    await house.until(lambda: not house.processes(), 10)
    status, output = await house.run("down")
    assert status == 1
    assert "doesn't run" in output


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_busy_port_is_named_before_anything_starts(house, host):
    try:
        taken = socket.create_server((host, house.port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError:
        pytest.skip(f"there is no {host} here")
    with taken:
        status, output = await house.run("up")
    assert status == 1
    assert f"Port {house.port} is in use" in output
    assert "TENFOLD_PORT=" in output
    assert "--port" in output
    assert not (house.data / "postgres").exists()
    assert not house.processes()


async def test_a_killed_supervisor_leaves_nothing_running_and_nothing_lost(house):
    house.empty()
    await house.up()
    status, output = await house.run("account", "create", "--name", "alice", "--password", "correct horse battery")
    assert status == 0, output

    await house.tell(signal.SIGKILL)
    # At once, while the guard still cleans up: the next one waits for it.
    await house.up()
    status, output = await house.run("account", "key", "--name", "alice")
    assert status == 0, output
    async with httpx.AsyncClient(base_url=house.url) as client:
        answer = await client.get("/api/identity/me", headers={"Authorization": f"Bearer {output.strip()}"})
    assert answer.json()["account"]["name"] == "alice"

    await house.tell(signal.SIGKILL)
    await house.until(lambda: not house.processes(), 10)


async def test_parts_that_die_are_said_and_started_again_and_a_second_interrupt_hurries(house):
    house.empty()
    await house.up()
    pids = await house.pids()
    for parts in (("Valkey", "NATS", "PostgreSQL"), ("work", "web")):
        for part in parts:
            os.kill(pids[part], signal.SIGKILL)
        await house.until(lambda parts=parts: all(f"{part} runs again." in house.said() for part in parts))
    assert "Starting Valkey again in" in house.said()
    assert "SIGKILL" in house.said()
    deadline = time.monotonic() + 60
    while not await ready(house):
        assert time.monotonic() < deadline, house.said()

    house.process.send_signal(signal.SIGINT)
    await house.until(lambda: "Stopping" in house.said())
    assert await house.tell(signal.SIGINT, 15) == 0
    await house.until(lambda: not house.processes(), 10)


async def ready(house):
    try:
        return (await house.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("seen", ["Tenfold", "NATS", "migrations"])
async def test_a_stop_in_the_middle_of_a_start_leaves_nothing(house, seen):
    house.empty()
    await house.up(wait=False)
    await house.until(lambda: seen in house.said())
    assert await house.tell(signal.SIGINT) == 0
    await house.until(lambda: not house.processes(), 10)


async def test_a_stop_ends_live_streams_and_loses_no_click(house):
    house.empty()
    await house.up()
    await house.run("account", "create", "--name", "alice", "--password", "correct horse battery")
    _, key = await house.run("account", "key", "--name", "alice")
    headers = {"Authorization": f"Bearer {key.strip()}"}
    async with httpx.AsyncClient(base_url=house.url, headers=headers, timeout=30) as client:
        answer = await client.post("/links/api/links", json={"url": "https://example.org/"})
        code = answer.json()["code"]
        async with client.stream("GET", f"/links/api/links/{code}/live") as stream:
            assert stream.status_code == 200
            # On connections of their own, so that the stop finds none of them waiting for an answer.
            clicks = [await house.get(f"/links/{code}", BROWSER) for _ in range(20)]
            assert {click.status_code for click in clicks} <= {301, 302, 307, 308}
            house.process.send_signal(signal.SIGTERM)
            async for _ in stream.aiter_bytes():
                pass  # until the server ends it
        assert await house.process.wait() == 0
        assert "refused to gracefully stop" not in house.said()

        await house.up()
        await house.until(lambda: "Ready after" in house.said())
        deadline = time.monotonic() + 30
        while (await client.get("/links/api/links")).json()["items"][0]["clicks"] != 20:
            assert time.monotonic() < deadline


async def test_lost_secrets_are_said_and_nothing_is_overwritten(house):
    house.empty()
    (house.data / "postgres").mkdir()
    status, output = await house.run("up")
    assert status == 1
    assert "secrets is missing" in output
    assert not (house.data / "secrets").exists()


async def test_an_engine_that_cannot_start_is_said_with_its_own_words(house):
    house.empty()
    data = house.data / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    (house.data / "secrets").write_text(json.dumps({"master": "m" * 32, "engines": "e" * 32}))
    status, output = await house.run("up")
    assert status == 1
    assert "PostgreSQL can't be prepared" in output
    assert "could not access the server configuration file" in output
    await house.until(lambda: not house.processes(), 10)


async def test_a_place_that_cannot_be_written_is_said(house):
    house.data.write_text("a file, where a directory is wanted")
    status, output = await house.run("up")
    assert status == 1
    assert "can't be used" in output
