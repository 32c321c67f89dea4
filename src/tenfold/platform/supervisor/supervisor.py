"""`tenfold up` and `tenfold down`: one process starts all the others, watches and stops them."""

import asyncio
import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from importlib.metadata import version

import msgspec

from tenfold.platform.engines import Engine, EngineFailed, Nats, Postgres, Valkey
from tenfold.platform.engines.engine import until
from tenfold.platform.engines.guard import Guard
from tenfold.platform.errors import TenfoldError
from tenfold.platform.models import Models
from tenfold.platform.server import inherited
from tenfold.platform.settings import Settings
from tenfold.platform.supervisor.files import Files
from tenfold.platform.supervisor.hosts import Host, Plan, plan_models
from tenfold.platform.supervisor.parts import Part, PartFailed, Program, get, own
from tenfold.platform.supervisor.ports import check_port
from tenfold.platform.supervisor.state import (
    PartState,
    State,
    held,
    read_secrets,
    running,
    status,
    take_lock,
    write_state,
)

#: Seconds until a part that has ended is started again: doubled each time, and begun anew after a quiet minute.
BACK_OFF = 0.5
BACK_OFF_MOST = 30.0
QUIET = 60.0
#: Seconds until the web server has to be ready.
READY = 60.0
#: What happens in which order at a stop: first nobody asks any more, then nobody works any more.
WEB, WORK, ENGINES = range(3)


#: Brings the database up to date, and says in a few words what that took.
type Migrate = Callable[[Settings], Awaitable[str]]


class Supervisor:
    """`run()` starts everything, stays until it is told to stop, and stops everything."""

    def __init__(
        self, settings: Settings, migrate: Migrate, say: Callable[[str], None], tiers: Collection[str] = ()
    ) -> None:
        """`tiers` are those of the models that are needed."""
        self._settings = msgspec.structs.replace(settings, data=settings.data.absolute())
        self._migrate = migrate
        self._say = say
        self._began = time.monotonic()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stages: dict[int, list[Part]] = {WEB: [], WORK: [], ENGINES: []}
        self._urls: dict[str, Engine] = {}
        self._tiers = tiers
        self._models = Models(self._settings.models_directory)
        self._plan = Plan()

    async def run(self) -> None:
        """Raises TenfoldError when something can't be started; what was started has been stopped by then."""
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if sign != signal.SIGHUP or signal.getsignal(sign) != signal.SIG_IGN:  # nohup means it
                loop.add_signal_handler(sign, self._on_signal)
        lock = await take_lock(self._settings.data, self._stop.is_set, self._say)
        try:
            check_port(self._settings.host, self._settings.port)
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
        web = Program("web", ["serve"], self._environment(), f"http://{self._settings.host}:{self._settings.port}")
        work = [
            Program("work" if number == 1 else f"work {number}", ["work"], self._environment(), "")
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
            # Only now: neither fetching nor loading models shall keep anybody from what needs none.
            files = Files(self._models, self._plan.models, self._settings, self._say)
            if self._plan.models:
                group.create_task(files.fetch())
            for host in self._plan.hosts:
                group.create_task(self._host(host, files))

    def _plan_engines(self) -> None:
        settings = self._settings
        known = read_secrets(settings)
        folder = settings.data
        if settings.database_url is None:
            self._urls["database_url"] = Postgres(folder / "postgres", known.engines)
        if settings.valkey_url is None:
            self._urls["valkey_url"] = Valkey(folder / "valkey", known.engines, memory=settings.valkey_memory)
        if settings.nats_url is None:
            self._urls["nats_url"] = Nats(folder / "nats", known.engines)
        self._plan = plan_models(settings, self._models, self._tiers, known.engines)

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

    async def _host(self, host: Host, files: Files) -> None:
        """Run a model as soon as its files are here."""
        engine = host.engine
        await until(lambda: files.present(*host.needs), every=1)
        failure = None
        try:
            await self._bring_up(engine, ENGINES)
        except EngineFailed as error:
            failure = error
        await self._watch(engine, failure)

    async def _watch(self, part: Part, failure: TenfoldError | None = None) -> None:
        """Start a part again whenever it has ended, sooner at first and later when it keeps ending."""
        wait = BACK_OFF
        while True:
            began = time.monotonic()
            await until(lambda: not part.running, every=0.1)
            with suppress(EngineFailed):  # one that never got so far has no pid
                self._guard.forget(part.pid)
            wait = BACK_OFF if time.monotonic() - began > QUIET else wait
            self._say(f"{failure or part.failure()}\nStarting {part.name} again in {wait:g} s.")
            await asyncio.sleep(wait)
            wait = min(2 * wait, BACK_OFF_MOST)
            failure = None
            try:
                await part.start()
            except EngineFailed as error:
                failure = error
            else:
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
            *own(command),
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

    async def _web_ready(self, web: Program) -> None:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._settings.host, self._settings.host)  # noqa: S104
        deadline = time.monotonic() + READY
        answer = "nothing"
        while web.running and time.monotonic() < deadline:
            with suppress(OSError, http.client.HTTPException):
                status, answer = await asyncio.to_thread(get, host, self._settings.port, "/readyz")
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
            endpoints=self._plan.endpoints(self._settings),
        )
        write_state(self._settings, state)


async def up(settings: Settings, migrate: Migrate, say: Callable[[str], None], tiers: Collection[str] = ()) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP. Raises TenfoldError when it can't be started.

    `tiers` are those of the models that are needed; none of them keeps the rest waiting.
    """
    await Supervisor(settings, migrate, say, tiers).run()


def down(settings: Settings, timeout: float = 90) -> None:
    """Stop what `up` runs on the same data, and wait until it has. Raises NotRunning."""
    state = status(settings)
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while held(settings.data) and time.monotonic() < deadline:
        time.sleep(0.05)
    if held(settings.data):
        raise PartFailed(name="tenfold", what=f"(process {state.pid}) is still stopping after {timeout:g} s")


async def _together(*works: Coroutine[None, None, None]) -> None:
    """Do several things at once. When one fails, the others are cancelled, and its error alone is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
