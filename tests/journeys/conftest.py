"""The real `tenfold` command, on data and a port of its own."""

import asyncio
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, async_playwright

from tenfold.platform.settings import Settings

#: What a person's shell must not bring into these tests. Most of them need no models, and none the big ones.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("TENFOLD_")}
ENVIRONMENT["TENFOLD_PULL_MODELS"] = "false"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class House:
    """A data directory, a port, and the `tenfold up` that runs there."""

    data: Path
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None
    environment: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ("-m", "tenfold.cli")

    @staticmethod
    async def until(condition: Callable[[], object], timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            await asyncio.sleep(0.05)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def empty(self) -> None:
        """Have nothing to show: most tests needn't wait for demo content."""
        self.data.mkdir(exist_ok=True, mode=0o700)
        (self.data / "demo-made").touch()

    async def up(self, *arguments: str, wait: bool = True) -> None:
        self.log.write_text("")
        with self.log.open("w") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, *self.command, "up", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.variables(),
                cwd=self.data.parent,
            )
        if wait:
            process = self.process
            await self.until(lambda: "Ready after" in self.said() or process.returncode is not None)
            assert process.returncode is None, self.said()

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Run another command on the same data. Its status, and all that it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tenfold.cli", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.variables(),
            cwd=self.data.parent,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def tell(self, sign: signal.Signals, timeout: float = 60) -> int:
        """Send the supervisor a signal and wait until it has ended. Its status."""
        assert self.process
        self.process.send_signal(sign)
        return await asyncio.wait_for(self.process.wait(), timeout)

    async def pids(self) -> dict[str, int]:
        """Of each part, by its first word in `tenfold status`."""
        _, status = await self.run("status")
        return {name: int(pid) for name, pid in re.findall(r"^  (\w+).* pid (\d+)", status, re.MULTILINE)}

    def variables(self) -> dict[str, str]:
        """Of the environment of its commands."""
        return ENVIRONMENT | {"TENFOLD_DATA": str(self.data), "TENFOLD_PORT": str(self.port)} | self.environment

    def processes(self) -> list[str]:
        """Everything that runs on this data, by command line or by what it has inherited."""
        table = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,stat=,command="], capture_output=True, text=True, check=True
        )
        return [
            line for line in table.stdout.splitlines() if str(self.data) in line or self._belongs(int(line.split()[0]))
        ]

    async def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, headers=headers) as client:
            return await client.get(path)

    def _belongs(self, pid: int) -> bool:
        try:
            return f"TENFOLD_DATA={self.data}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:  # gone meanwhile, or a system without /proc
            return False


@contextmanager
def short_place() -> Iterator[Path]:
    # Not pytest's own: its long names don't leave enough room for a socket's path.
    with tempfile.TemporaryDirectory(prefix="tf-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@asynccontextmanager
async def house_at(place: Path) -> AsyncIterator[House]:
    house = House(place / "var")
    try:
        yield house
    finally:
        if house.process and house.process.returncode is None:
            await house.tell(signal.SIGTERM)
        await house.until(lambda: not house.processes())


@pytest.fixture
def place() -> Iterator[Path]:
    with short_place() as place:
        yield place


@pytest.fixture
async def house(place: Path) -> AsyncIterator[House]:
    async with house_at(place) as house:
        yield house


@pytest.fixture(scope="module")
async def shared_house() -> AsyncIterator[House]:
    """One for all tests of a file: most of a short story's time is starting the product."""
    with short_place() as place:
        async with house_at(place) as house:
            yield house


#: A headless browser says that it is one, and would be counted as a bot.
PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "the browser tests need Chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        await browser.close()


class Children:
    """Processes of the real command, on the engines of the tests."""

    def __init__(self, settings: Settings, folder: Path, more: Mapping[str, str]) -> None:
        self._folder = folder
        own = {
            "database_url": settings.database_url,
            "valkey_url": settings.valkey_url,
            "nats_url": settings.nats_url,
            "secret": settings.secret,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TENFOLD_")}
        self._environment = inherited | {
            "TENFOLD_NAMESPACE": settings.namespace,
            **{f"TENFOLD_{name.upper()}": secret.reveal() for name, secret in own.items() if secret},
            **more,
        }
        self._numbers = itertools.count(1)
        self._running: set[asyncio.subprocess.Process] = set()

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        data = self._folder / f"data-{next(self._numbers)}"  # each is a machine of its own
        with (self._folder / "log").open("a") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tenfold.cli", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment | {"TENFOLD_DATA": str(data)},
                cwd=self._folder,
            )
        self._running.add(process)
        return process

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        process.kill()
        await process.wait()
        self._running.discard(process)

    async def stop(self) -> None:
        for process in tuple(self._running):
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), 30)

    @property
    def said(self) -> str:
        return (self._folder / "log").read_text()


@asynccontextmanager
async def children_of(stack: Any, folder: Path, **more: str) -> AsyncIterator[Children]:
    """Processes on the engines of a stack. `more` are variables of their environment."""
    children = Children(stack.settings, folder, more)
    try:
        yield children
    finally:
        await children.stop()
