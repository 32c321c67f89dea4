"""Doors of the platform itself: is it alive, is it ready, what runs here and how it fares."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import structlog
from litestar import Controller, Response, get
from litestar.di import NamedDependency

from tenfold.platform import telemetry
from tenfold.platform.errors import TenfoldError, Unavailable
from tenfold.platform.runtime import Runtime
from tenfold.platform.system import Figure, System

log = structlog.get_logger(__name__)

type Health = Literal["ready", "degraded", "off"]

#: Seconds that one engine may take to answer, and that figures are kept for everybody who asks.
PROBE = 2.0
FIGURES_KEPT = 2.0


class Readiness(msgspec.Struct):
    """Ready: all answers. Degraded: what is in memory still answers. Off: the database is away."""

    status: Health
    engines: dict[str, Health]
    systems: dict[str, Health]


class SystemCard(msgspec.Struct):
    """A system as the home page shows it."""

    name: str
    title: str
    summary: str
    state: Health
    url: str
    figures: Sequence[Figure]


class House:
    """What runs in this process, for those who ask how it is."""

    def __init__(self, runtime: Runtime, running: Mapping[str, tuple[System[Any], Any]]) -> None:
        self._runtime = runtime
        self._running = running
        self._cards: tuple[float, list[SystemCard]] = (0.0, [])
        self._lock = asyncio.Lock()

    async def readiness(self) -> Readiness:
        """Ask each engine now."""
        runtime = self._runtime
        database, valkey = await asyncio.gather(_probe(self._ask_database), _probe(runtime.hot.ping))
        engines: dict[str, Health] = {
            "postgres": database,
            "valkey": valkey,
            "nats": "ready" if runtime.bus.connected else "off",
        }
        status: Health = "ready" if set(engines.values()) == {"ready"} else "degraded"
        if database == "off":
            status = "off"
        return Readiness(status, engines, dict.fromkeys(self._running, status))

    async def _ask_database(self) -> None:
        async with self._runtime.db.read(fresh=True) as tx:
            await tx.value("SELECT 1")

    async def cards(self) -> list[SystemCard]:
        """All systems with their figures; at most two seconds old, so that many who look cost what one does."""
        async with self._lock:
            at, cards = self._cards
            if time.monotonic() - at > FIGURES_KEPT:
                readiness = await self.readiness()
                cards = [
                    await self._card(system, state, readiness.systems[name])
                    for name, (system, state) in self._running.items()
                ]
                self._cards = time.monotonic(), cards
            return cards

    async def _card(self, system: System[Any], state: Any, health: Health) -> SystemCard:
        figures: Sequence[Figure] = ()
        try:
            figures = await system.figures(state)
        except TenfoldError as error:
            log.warning("figures_missing", system=system.name, reason=str(error))
            health = "degraded"
        return SystemCard(system.name, system.title, system.summary, health, f"/{system.name}/", figures)


async def _probe(ask: Callable[[], Awaitable[None]]) -> Health:
    try:
        async with asyncio.timeout(PROBE):
            await ask()
    except (Unavailable, TimeoutError):
        return "off"
    return "ready"


class HomeEndpoints(Controller):
    path = "/"

    @get("/healthz", media_type="text/plain", include_in_schema=False)
    async def healthz(self) -> str:
        """The process answers; nothing else is asked."""
        return "ok"

    @get("/readyz")
    async def readyz(self, house: NamedDependency[House]) -> Response[Readiness]:
        readiness = await house.readiness()
        return Response(readiness, status_code=503 if readiness.status == "off" else 200)

    @get("/api/systems")
    async def systems(self, house: NamedDependency[House]) -> list[SystemCard]:
        return await house.cards()

    @get("/metrics", include_in_schema=False)
    async def metrics(self) -> Response[bytes]:
        body, content_type = telemetry.render_metrics()
        return Response(body, media_type=content_type)
