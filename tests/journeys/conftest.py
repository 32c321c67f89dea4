"""The real `tenfold` command, on data and a port of its own."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

#: What a person's shell must not bring into these tests.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("TENFOLD_")}


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
                *(sys.executable, "-m", "tenfold.cli", "up", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
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
            env=self._environment(),
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

    def _environment(self) -> dict[str, str]:
        return ENVIRONMENT | {"TENFOLD_DATA": str(self.data), "TENFOLD_PORT": str(self.port)}


@pytest.fixture
def place() -> Iterator[Path]:
    # Not pytest's own: its long names don't leave enough room for a socket's path.
    with tempfile.TemporaryDirectory(prefix="tf-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
async def house(place: Path) -> AsyncIterator[House]:
    house = House(place / "var")
    yield house
    if house.process and house.process.returncode is None:
        await house.tell(signal.SIGTERM)
    await house.until(lambda: not house.processes())
