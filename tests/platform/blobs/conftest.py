"""Both places for objects: a directory, and a bucket of a real S3 server that is booted once."""

import asyncio
import os
import secrets
import signal
import socket
import sysconfig
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest

from tenfold.platform.blobs import Blobs, open_blobs
from tenfold.platform.engines.guard import Guard
from tenfold.platform.errors import Unavailable
from tenfold.platform.settings import Secret, Settings

Make = Callable[..., Blobs]


@dataclass
class S3:
    endpoint: str
    filer: str

    def settings(self, **others: object) -> Settings:
        values = {
            "secret": Secret("a secret of tests"),
            "blobs_url": "s3://tests/some/prefix",
            "blobs_endpoint": self.endpoint,
            "blobs_key_id": Secret("tests"),
            "blobs_secret": Secret("a secret of S3"),
            "namespace": f"t{secrets.token_hex(6)}",
        }
        return Settings(**(values | others))  # type: ignore[arg-type]

    async def unfinished(self) -> list[str]:
        """Uploads that have begun and are neither complete nor taken back."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self.filer}/buckets/tests/.uploads/", headers={"accept": "application/json"})
        return [each["FullPath"] for each in (answer.json().get("Entries") or [])] if answer.is_success else []


@pytest.fixture(scope="session")
async def s3(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[S3]:
    """SeaweedFS on free ports of the loopback."""
    folder = tmp_path_factory.mktemp("s3")
    with ExitStack() as held:
        ports = iter([held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(8)])
    named = {
        f"-{part}.{kind}": next(ports) for part in ("master", "volume", "filer", "s3") for kind in ("port", "port.grpc")
    }
    who = {
        "name": "tests",
        "credentials": [{"accessKey": "tests", "secretKey": "a secret of S3"}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_bytes(msgspec.json.encode({"identities": [who]}))
    command = [
        Path(sysconfig.get_path("scripts")) / "weed",
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-metricsPort=0",
        "-s3",
        f"-s3.config={folder / 's3.json'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=40",
        "-volume.preStopSeconds=0",
        *(f"{name}={port}" for name, port in named.items()),
    ]
    guard = Guard()  # ends it if this process is killed
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, start_new_session=True)
    guard.watch(process.pid, stage=0, sign=signal.SIGTERM)
    server = S3(f"http://127.0.0.1:{named['-s3.port']}", f"http://127.0.0.1:{named['-filer.port']}")
    blobs = open_blobs(server.settings())
    deadline = time.monotonic() + 60
    while True:
        try:
            await blobs.put("ready.txt", b"")
            break
        except Unavailable:
            assert process.returncode is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            await asyncio.sleep(0.1)
    yield server
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    guard.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the directory of objects is."""
    return tmp_path / "blobs"


@pytest.fixture
def in_directory(tmp_path: Path) -> Make:
    def make(**others: object) -> Blobs:
        return open_blobs(Settings(**({"secret": Secret("a secret of tests"), "data": tmp_path} | others)))  # type: ignore[arg-type]

    return make


@pytest.fixture(params=["directory", "s3"])
def make(request: pytest.FixtureRequest, in_directory: Make) -> Make:
    """Makes a store; all of one test are in the same place."""
    if request.param == "directory":
        return in_directory
    server: S3 = request.getfixturevalue("s3")
    namespace = server.settings().namespace
    return lambda **others: open_blobs(server.settings(**({"namespace": namespace} | others)))


@pytest.fixture
def blobs(make: Make) -> Blobs:
    return make()


@pytest.fixture
def unfinished(request: pytest.FixtureRequest, make: Make, place: Path) -> Callable[[], Awaitable[list[str]]]:
    """Asks for what has begun to be written and is neither complete nor taken back."""

    async def staged() -> list[str]:
        folder = place / ".staged"
        return [each.name for each in folder.iterdir()] if folder.exists() else []

    return staged if request.node.callspec.params["make"] == "directory" else request.getfixturevalue("s3").unfinished
