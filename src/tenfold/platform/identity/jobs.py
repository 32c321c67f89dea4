"""What identity does by itself, now and then."""

from datetime import timedelta

from tenfold.platform.identity import actions
from tenfold.platform.identity.access import Identity
from tenfold.platform.identity.oauth import actions as oauth
from tenfold.platform.jobs import schedule


@schedule(every=timedelta(hours=6), name="identity-sweep-sessions")
async def sweep_sessions(identity: Identity) -> None:
    """Delete the sessions that have ended and that nobody came back to."""
    await actions.sweep_sessions(identity)


@schedule(every=timedelta(hours=1), name="identity-sweep-oauth")
async def sweep_oauth(identity: Identity) -> None:
    """Delete codes that nobody came for, and applications that nobody uses."""
    await oauth.sweep(identity)


SCHEDULES = (sweep_sessions, sweep_oauth)
