"""Scheduled work of the link shortener, on one process at a time."""

from datetime import UTC, datetime, timedelta

from tenfold.platform.jobs import schedule
from tenfold.systems.links.actions import changing, statistics
from tenfold.systems.links.state import LinksState


@schedule(every=timedelta(minutes=5), name="links-sweep-expired")
async def sweep_expired(state: LinksState) -> None:
    """Remove links that ended long ago."""
    await changing.remove_expired(state.links, datetime.now(UTC) - timedelta(days=state.links.settings.expired_days))


@schedule(every=timedelta(minutes=10), name="links-fold-hours")
async def fold_hours(state: LinksState) -> None:
    """Fold hours of days gone by into their days, so that statistics stay as small as their time is long."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    await statistics.fold_hours(state.links, today - timedelta(days=state.links.settings.hourly_days))


@schedule(every=timedelta(hours=1), name="links-forget-visitors")
async def forget_visitors(state: LinksState) -> None:
    """Forget who visited on days that no late click can belong to any more."""
    await statistics.forget_visitors(state.links, datetime.now(UTC).date() - timedelta(days=4))
