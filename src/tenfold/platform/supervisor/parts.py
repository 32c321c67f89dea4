"""What the supervisor keeps running: engines, and our own commands in processes of their own."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from tenfold.platform.engines.engine import until
from tenfold.platform.engines.guard import processes
from tenfold.platform.errors import TenfoldError

#: Seconds that web and worker processes get to finish what they are doing.
PATIENCE = 20.0


class PartFailed(TenfoldError):
    """{name} {what}"""


class Part(Protocol):
    """Something that runs beside us: an engine, or one of our own commands."""

    #: Called with the pid of each process that it starts.
    on_spawn: Callable[[int], object]

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def running(self) -> bool: ...
    @property
    def version(self) -> str: ...
    @property
    def address(self) -> str: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def hurry(self) -> None: ...
    def failure(self) -> TenfoldError: ...


class Program:
    """One of our own commands, running until it is stopped, in a process group of its own."""

    version = ""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], address: str) -> None:
        self.name = name
        self.address = address
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.on_spawn: Callable[[int], object] = lambda _: None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        self._signal_group(signal.SIGKILL)  # what outlived a killed parent would be in the way
        self._process = self._spawn()
        self.on_spawn(self._process.pid)

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            own(self._command), stdin=subprocess.DEVNULL, env=self._environment, start_new_session=True
        )

    async def stop(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        await until(lambda: not self.running, PATIENCE)
        self._signal_group(signal.SIGKILL)
        self._process.wait()

    def hurry(self) -> None:
        if self.running:
            self._signal_group(signal.SIGKILL)

    def failure(self) -> TenfoldError:
        code = self._process.poll() if self._process else None
        how = f"with code {code}" if code is None or code >= 0 else f"by {signal.Signals(-code).name}"
        return PartFailed(name=self.name, what=f"has ended {how}.")

    def _signal_group(self, sign: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, sign)


def own(command: Sequence[str]) -> list[str]:
    """One of our own commands, as a command line."""
    return [sys.executable, "-m", "tenfold.cli", *command]


def memory(pids: Sequence[int]) -> dict[int, int]:
    """Bytes in memory of processes and all their descendants. What these share is counted for each."""
    sizes: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for process in processes():
        sizes[process.pid] = process.size
        children.setdefault(process.parent, []).append(process.pid)

    def total(pid: int) -> int:
        return sizes.get(pid, 0) + sum(total(child) for child in children.get(pid, ()))

    return {pid: total(pid) for pid in pids}


def get(host: str, port: int, path: str) -> tuple[int, str]:
    """Ask a web server, in a thread. Its status, and the beginning of its answer."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(4096).decode(errors="replace")
    finally:
        connection.close()
