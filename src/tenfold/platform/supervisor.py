"""`tenfold up`: engines, web and worker processes as children of one process, which starts, watches and stops them."""

import asyncio
import errno
import fcntl
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import msgspec

from tenfold.platform.engines import Engine, EngineFailed, Nats, Postgres, Valkey
from tenfold.platform.engines.engine import until, write_private
from tenfold.platform.engines.guard import Guard, processes
from tenfold.platform.errors import TenfoldError
from tenfold.platform.server import inherited
from tenfold.platform.settings import Secret, Settings

#: Seconds until a part that has ended is started again: doubled each time, and begun anew after a quiet minute.
BACK_OFF = 0.5
BACK_OFF_MOST = 30.0
QUIET = 60.0
#: Seconds that web and worker processes get to finish what they are doing.
PATIENCE = 20.0
#: Seconds until the web server has to be ready.
READY = 60.0
#: What happens in which order at a stop: first nobody asks any more, then nobody works any more.
WEB, WORK, ENGINES = range(3)


#: Brings the database up to date, and says in a few words what that took.
type Migrate = Callable[[Settings], Awaitable[str]]


class AlreadyRunning(TenfoldError):
    """Tenfold already runs on {data}, as process {pid}. Stop it (tenfold down), or use another place (TENFOLD_DATA)."""


class NotRunning(TenfoldError):
    """Tenfold doesn't run on {data}."""


class PortBusy(TenfoldError):
    """Port {port} is in use by another program. Use another one: {how}."""


class CannotListen(TenfoldError):
    """Can't listen on {host}, port {port}: {reason}."""


class DataUnusable(TenfoldError):
    """{data} can't be used: {reason}."""


class PartFailed(TenfoldError):
    """{name} {what}"""


class Secrets(msgspec.Struct, frozen=True):
    """Made once for a data directory, and worth as much as all that is in it."""

    master: str
    engines: str


class PartState(msgspec.Struct, frozen=True):
    name: str
    pid: int
    version: str
    where: str


class State(msgspec.Struct, frozen=True):
    """What runs on a data directory, for other processes to find."""

    pid: int
    started_at: float
    address: str
    #: Settings that the embedded engines give, by name.
    urls: dict[str, str]
    parts: list[PartState]


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


def running(settings: Settings) -> Settings:
    """The settings, completed by what `tenfold up` has started and made on the same data: URLs, the master secret."""
    state, found = _state(settings), _read(settings.data / "secrets", Secrets)
    values = {name: Secret(url) for name, url in (state.urls if state else {}).items() if not getattr(settings, name)}
    if found and settings.secret is None:
        values["secret"] = Secret(found.master)
    return msgspec.structs.replace(settings, **values)


class Supervisor:
    """`run()` starts everything, stays until it is told to stop, and stops everything."""

    def __init__(self, settings: Settings, migrate: Migrate, say: Callable[[str], None]) -> None:
        self._settings = msgspec.structs.replace(settings, data=settings.data.absolute())
        self._migrate = migrate
        self._say = say
        self._began = time.monotonic()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stages: dict[int, list[Part]] = {WEB: [], WORK: [], ENGINES: []}
        self._urls: dict[str, Engine] = {}

    async def run(self) -> None:
        """Raises TenfoldError when something can't be started; what was started has been stopped by then."""
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if sign != signal.SIGHUP or signal.getsignal(sign) != signal.SIG_IGN:  # nohup means it
                loop.add_signal_handler(sign, self._on_signal)
        lock = await self._take_lock()
        try:
            _check_port(self._settings.host, self._settings.port)
            # It keeps the lock while it cleans up behind us, so that a successor waits for it.
            self._guard = Guard(keep=[lock])
            try:
                await self._live_until_stopped()
            finally:
                await self._stop_all()
                self._guard.close()
                (self._settings.data / "runtime.json").unlink(missing_ok=True)
        finally:
            os.close(lock)

    def _on_signal(self) -> None:
        (self._hurry if self._stop.is_set() else self._stop).set()

    async def _live_until_stopped(self) -> None:
        stop = asyncio.create_task(self._stop.wait())
        life = asyncio.create_task(self._live())
        await asyncio.wait((stop, life), return_when=asyncio.FIRST_COMPLETED)
        for task in (stop, life):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await life

    async def _live(self) -> None:
        data = self._settings.data
        self._say(f"Tenfold {version('tenfold')} on {data}")
        for place in ("run", "run/metrics"):
            shutil.rmtree(data / place, ignore_errors=True)
            (data / place).mkdir(mode=0o700)
        self._plan_engines()
        await _together(*(self._bring_up(each, ENGINES) for each in self._urls.values()))
        began = time.monotonic()
        self._say_ready("migrations", "", began, await self._migrate(running(self._settings)))
        web = _Program("web", ["serve"], self._environment(), f"http://{self._settings.host}:{self._settings.port}")
        work = [
            _Program("work" if number == 1 else f"work {number}", ["work"], self._environment(), "")
            for number in range(1, self._settings.work_processes + 1)
        ]
        await _together(
            self._bring_up(web, WEB, ready=lambda: self._web_ready(web)),
            *(self._bring_up(each, WORK) for each in work),
        )
        # A mark, rather than a look at the tables, so that content which somebody has deleted doesn't come back.
        shown = data / "demo-made"
        if "database_url" in self._urls and not shown.exists():
            try:
                await self._run_once("demo", "demo")
                shown.touch()
            except PartFailed as failure:
                self._say(str(failure))
        self._say(f"Ready after {time.monotonic() - self._began:.1f} s: {self._settings.address}")
        self._say("Ctrl-C stops everything.")
        async with asyncio.TaskGroup() as group:
            for parts in self._stages.values():
                for part in parts:
                    group.create_task(self._watch(part))
            group.create_task(self._keep_guard())

    def _plan_engines(self) -> None:
        settings = self._settings
        known = self._secrets()
        folder = settings.data
        if settings.database_url is None:
            self._urls["database_url"] = Postgres(folder / "postgres", known.engines)
        if settings.valkey_url is None:
            self._urls["valkey_url"] = Valkey(folder / "valkey", known.engines, memory=settings.valkey_memory)
        if settings.nats_url is None:
            self._urls["nats_url"] = Nats(folder / "nats", known.engines)

    def _secrets(self) -> Secrets:
        file = self._settings.data / "secrets"
        known = _read(file, Secrets)
        if known is None:
            if (self._settings.data / "postgres").exists():
                reason = (
                    "its file named secrets is missing, without which nobody can sign in. Bring it back, or start anew"
                )
                raise DataUnusable(data=self._settings.data, reason=reason)
            known = Secrets(master=secrets.token_urlsafe(48), engines=secrets.token_urlsafe(24))
            write_private(file, msgspec.json.encode(known).decode())
        return known

    async def _bring_up(self, part: Part, stage: int, ready: Callable[[], Awaitable[None]] | None = None) -> None:
        began = time.monotonic()
        sign = part.stop_signal if isinstance(part, Engine) else signal.SIGTERM
        part.on_spawn = lambda pid: self._guard.watch(pid, stage=stage, sign=sign)
        self._stages[stage].append(part)
        if isinstance(part, Engine):
            await part.reclaim()  # holding the lock, we know that a server left in there is nobody's
        await part.start()
        self._write_state()
        if ready:
            await ready()
        self._say_ready(part.name, part.version, began, part.address)

    def _say_ready(self, name: str, version: str, began: float, where: str) -> None:
        self._say(f"  {name:<11} {version:<8} {time.monotonic() - began:6.2f} s  {where}".rstrip())

    async def _watch(self, part: Part) -> None:
        """Start a part again whenever it has ended, sooner at first and later when it keeps ending."""
        wait = BACK_OFF
        while True:
            began = time.monotonic()
            await until(lambda: not part.running, every=0.1)
            self._guard.forget(part.pid)
            wait = BACK_OFF if time.monotonic() - began > QUIET else wait
            self._say(f"{part.failure()}\nStarting {part.name} again in {wait:g} s.")
            await asyncio.sleep(wait)
            wait = min(2 * wait, BACK_OFF_MOST)
            with suppress(EngineFailed):  # to be said in the next round
                await part.start()
                self._write_state()
                self._say(f"{part.name} runs again.")

    async def _keep_guard(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._guard.renew()

    async def _run_once(self, name: str, *command: str) -> None:
        """Run one of our own commands to its end; the last line it prints is worth showing."""
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *_own(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment(),
            start_new_session=True,
        )
        self._guard.watch(process.pid, stage=WEB, sign=signal.SIGTERM)
        try:
            told = (await process.communicate())[0].decode(errors="replace").strip()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        finally:
            self._guard.forget(process.pid)
        if process.returncode:
            raise PartFailed(name=name, what=f"failed.\n{told}")
        self._say_ready(name, "", began, told.rpartition("\n")[2])

    async def _web_ready(self, web: "_Program") -> None:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._settings.host, self._settings.host)  # noqa: S104
        deadline = time.monotonic() + READY
        answer = "nothing"
        while web.running and time.monotonic() < deadline:
            with suppress(OSError, http.client.HTTPException):
                status, answer = await asyncio.to_thread(_get, host, self._settings.port, "/readyz")
                if status == 200:
                    return
            await asyncio.sleep(0.05)
        if not web.running:
            raise web.failure()
        raise PartFailed(name="web", what=f"isn't ready after {READY:g} s: {answer}")

    async def _stop_all(self) -> None:
        if self._stop.is_set():
            self._say("Stopping. Ctrl-C again hurries.")
        hurrying = asyncio.create_task(self._hurry_all())
        for _, parts in sorted(self._stages.items()):
            await asyncio.gather(*(part.stop() for part in parts))
        hurrying.cancel()
        if self._stop.is_set():
            self._say("Stopped.")

    async def _hurry_all(self) -> None:
        await self._hurry.wait()
        while True:  # those too whose turn comes only now
            for parts in self._stages.values():
                for part in parts:
                    part.hurry()
            await asyncio.sleep(0.1)

    def _environment(self) -> dict[str, str]:
        metrics = {"PROMETHEUS_MULTIPROC_DIR": str(self._settings.data / "run" / "metrics")}
        return os.environ | inherited(self._settings) | metrics

    def _write_state(self) -> None:
        parts = [each for _, parts in sorted(self._stages.items(), reverse=True) for each in parts if each.running]
        state = State(
            pid=os.getpid(),
            started_at=time.time() - (time.monotonic() - self._began),
            address=self._settings.address,
            urls={name: engine.url for name, engine in self._urls.items() if engine.port},
            parts=[PartState(each.name, each.pid, each.version, each.address) for each in parts],
        )
        write_private(self._settings.data / "runtime.json", msgspec.json.encode(state).decode())

    async def _take_lock(self) -> int:
        """Raises AlreadyRunning. Waits while the guard of a killed supervisor is still cleaning up."""
        data = self._settings.data
        try:
            data.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(data / "tenfold.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataUnusable(data=data, reason=error.strerror) from error
        waited = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = os.pread(lock, 20, 0).decode().strip()
                if _alive(holder) or self._stop.is_set():
                    os.close(lock)
                    raise AlreadyRunning(data=data, pid=holder) from None
            if not waited:
                self._say("Waiting until what a killed process has left behind is cleaned up.")
                waited = True
            await asyncio.sleep(0.05)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return lock


class _Program:
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
            _own(self._command), stdin=subprocess.DEVNULL, env=self._environment, start_new_session=True
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


async def up(settings: Settings, migrate: Migrate, say: Callable[[str], None]) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP. Raises TenfoldError when it can't be started."""
    await Supervisor(settings, migrate, say).run()


def down(settings: Settings, timeout: float = 90) -> None:
    """Stop what `up` runs on the same data, and wait until it has. Raises NotRunning."""
    state = status(settings)
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while _held(settings.data) and time.monotonic() < deadline:
        time.sleep(0.05)
    if _held(settings.data):
        raise PartFailed(name="tenfold", what=f"(process {state.pid}) is still stopping after {timeout:g} s")


def status(settings: Settings) -> State:
    """What `up` runs on the same data. Raises NotRunning."""
    state = _state(settings)
    if state is None or not _alive(str(state.pid)) or not _held(settings.data):
        raise NotRunning(data=settings.data.absolute())
    return state


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


async def _together(*works: Coroutine[None, None, None]) -> None:
    """Do several things at once. When one fails, the others are cancelled, and its error alone is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _own(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "tenfold.cli", *command]


def _state(settings: Settings) -> State | None:
    return _read(settings.data / "runtime.json", State)


def _read[T](file: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise DataUnusable(data=file, reason=error) from error


def _held(data: Path) -> bool:
    """Whether a supervisor, or the guard of one, holds the lock."""
    try:
        with (data / "tenfold.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _get(host: str, port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(4096).decode(errors="replace")
    finally:
        connection.close()


def _check_port(host: str, port: int) -> None:
    """Raises PortBusy or CannotListen. On loopback both families must be free: browsers try either for localhost."""
    hosts = [host, "::1"] if host == "127.0.0.1" else [host]
    for each in hosts:
        try:
            _bind(each, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                free = _free_port(each, port)
                raise PortBusy(port=port, how=f"TENFOLD_PORT={free} make run, or tenfold up --port {free}") from None
            if each == host:
                raise CannotListen(host=host, port=port, reason=error.strerror or error) from None


def _bind(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _free_port(host: str, taken: int) -> int:
    for port in range(taken + 1, 65536):
        with suppress(OSError):
            _bind(host, port)
            return port
    return 0
