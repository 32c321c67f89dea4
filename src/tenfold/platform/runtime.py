"""What one process holds open: its connections to the engines, and what the platform makes of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tenfold.platform.blobs import Blobs, open_blobs
from tenfold.platform.bus import Bus, open_bus
from tenfold.platform.db import Database, open_database
from tenfold.platform.hot import Hot, open_hot
from tenfold.platform.identity import Identity, open_identity
from tenfold.platform.ids import Ids
from tenfold.platform.inference import Inference, open_inference
from tenfold.platform.jobs import Jobs
from tenfold.platform.leases import worker_number
from tenfold.platform.limits import Limits
from tenfold.platform.live import Live, open_live
from tenfold.platform.proxies import Proxies
from tenfold.platform.settings import Settings


@dataclass(frozen=True, slots=True)
class Runtime:
    """Handed to each system's `start`, and from there to whoever needs a part of it."""

    settings: Settings
    db: Database
    hot: Hot
    bus: Bus
    live: Live
    limits: Limits
    identity: Identity
    ids: Ids
    proxies: Proxies
    blobs: Blobs
    inference: Inference
    jobs: Jobs


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Open everything, and close it in the opposite order. Raises Unavailable, naming what can't be reached."""
    async with AsyncExitStack() as stack:
        db = await open_database(settings)
        stack.push_async_callback(db.close)
        hot = await open_hot(settings)
        stack.push_async_callback(hot.close)
        bus = await open_bus(settings)
        stack.push_async_callback(bus.close)
        live = await open_live(bus)
        stack.push_async_callback(live.close)
        ids = Ids(await stack.enter_async_context(worker_number(db)))
        limits = Limits(hot, settings)
        identity = await stack.enter_async_context(open_identity(db, settings, ids, limits, hot, bus))
        proxies = Proxies(settings.trusted_proxies)
        inference = await stack.enter_async_context(open_inference(settings, hot, bus))
        jobs = Jobs(db, bus, live, ids, settings)
        blobs = open_blobs(settings)
        yield Runtime(settings, db, hot, bus, live, limits, identity, ids, proxies, blobs, inference, jobs)
