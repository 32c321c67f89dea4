"""One web server process and its workers: Granian, set up so that a stop loses nothing."""

import asyncio
import multiprocessing
import os
import resource
import shutil
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import uvloop

from tenfold.platform.settings import PREFIX, Settings

#: The factory of the ASGI application; it reads the settings itself, in each worker.
APPLICATION = "tenfold.app:create"
#: Seconds a worker gets to finish its requests after a stop.
PATIENCE = 10
#: Sent to workers ahead of the stop. A stop waits for open requests, and a live stream would never end by itself.
DRAIN = signal.SIGUSR1


def on_drain(callback: Callable[[], object]) -> None:
    """Have a web worker call this when it is about to stop, for ending streams and sockets that would stay open.

    To be called on the worker's event loop, when it starts. Outside of a worker (a test's loop in a thread) it is
    never called.
    """
    with suppress(RuntimeError, ValueError):  # signals are for the main thread
        asyncio.get_running_loop().add_signal_handler(DRAIN, callback)


def inherited(settings: Settings) -> dict[str, str]:
    """Variables for children, which read the settings as we did: what came to us by argument instead."""
    ours = {
        "DATA": str(settings.data.absolute()),
        "HOST": settings.host,
        "PORT": str(settings.port),
        "WORKERS": str(settings.workers),
        "ONLY": ",".join(settings.only),
    }
    return {f"{PREFIX}{name}": value for name, value in ours.items()}


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are then finished and the application's shutdown is run."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    os.environ.update(inherited(settings))
    files = _raise_file_limit()
    pages = Path(str(resources.files("tenfold"))) / "static"
    server = Granian(
        APPLICATION,
        factory=True,
        interface=Interfaces.ASGI,
        address=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop=Loops.uvloop,
        # One protocol less to defend; proxies speak HTTP/1.1 to what is behind them.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=10_000),
        backlog=4096,
        # Counts connections, not requests: live streams must not use them up.
        backpressure=max(128, min(10_000, files - 1_024)),
        respawn_failed_workers=True,
        workers_kill_timeout=PATIENCE,
        # The build names files after their content, so what a name stands for never changes.
        static_path_route=["/static"] if pages.is_dir() else None,
        static_path_mount=[pages] if pages.is_dir() else None,
        static_path_expires=365 * 24 * 3600,
        log_level=LogLevels.warning,
    )
    server.on_startup(_drain_before_stopping)
    server.serve()


def share_metrics(directory: Path) -> None:
    """Have the metrics of this process and its children added up in a directory, unless one is shared already.

    Before anything makes a metric. The directory is emptied: counts of processes that are gone are not wanted.
    """
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True, mode=0o700)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory.absolute())


def _drain_before_stopping() -> None:
    # The server has set its handlers by now. Its workers are this process's only children.
    for sign in (signal.SIGINT, signal.SIGTERM):
        stop: Any = signal.getsignal(sign)

        def drain_and_stop(*arguments: object, stop: Any = stop) -> None:
            for worker in multiprocessing.active_children():
                if worker.pid:
                    with suppress(ProcessLookupError):
                        os.kill(worker.pid, DRAIN)
            stop(*arguments)

        signal.signal(sign, drain_and_stop)


def _raise_file_limit() -> int:
    """How many files this process may open: as many as it is allowed to give itself, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has another limit below the one it tells
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft


def until_told(run: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run something that is told by an event to finish: at SIGTERM or SIGINT. A second one stops it at once."""

    async def main() -> None:
        stop = asyncio.Event()
        task = asyncio.ensure_future(run(stop))

        def tell() -> None:
            if stop.is_set():
                task.cancel()
            stop.set()

        for sign in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(sign, tell)
        with suppress(asyncio.CancelledError):
            await task

    uvloop.run(main())
