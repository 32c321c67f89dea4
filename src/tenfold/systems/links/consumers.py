"""What the link shortener does when something happened: count clicks, and forget what is no longer so."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice

from tenfold.contracts.links import Click, LinksChanged, LinksClicked
from tenfold.platform.bus import consumer
from tenfold.platform.db import Tx
from tenfold.systems.links import engine, rules
from tenfold.systems.links.actions import statistics
from tenfold.systems.links.state import LinksState
from tenfold.systems.links.types import LiveClick

#: Clicks of one link and batch that its live feed shows; the counters show them all.
SHOWN_LIVE = 20


# What a killed process held is counted by another after ack_wait, so that statistics are behind for no longer.
@consumer(LinksClicked, name="links-count-clicks", batch=32, ack_wait=10.0)
async def count_clicks(tx: Tx, events: Sequence[LinksClicked], state: LinksState) -> None:
    """Add clicks to the rollups, each once: the inbox commits with them, so a redelivery finds its event counted."""
    seen = [describe(click, event.agent_of(click)) for event in events for click in event.clicks]
    await statistics.count(tx, seen, state.values.admit)
    watched = await state.watching.watched({click.code for click in seen})
    if watched:
        tx.after_commit(lambda: _show(state, [click for click in seen if click.code in watched]))


def describe(click: Click, header: str) -> rules.Seen:
    """What a rollup wants to know of a click."""
    agent = engine.describe_agent(header)
    return rules.Seen(
        code=click.code,
        at=datetime.fromtimestamp(click.at, UTC),
        owner_id=click.owner_id,
        visitor=click.visitor,
        bot=agent.bot or click.prefetch,
        values=(click.country, click.referrer, agent.device, agent.browser, agent.system),
        known=click.known,
    )


async def _show(state: LinksState, clicks: Sequence[rules.Seen]) -> None:
    """Tell those who watch. Each link has its last clicks of the batch."""
    by_code: dict[str, list[rules.Seen]] = {}
    for click in clicks:
        by_code.setdefault(click.code, []).append(click)
    for code, some in by_code.items():
        for click in islice(some, max(0, len(some) - SHOWN_LIVE), None):
            country, referrer, device, browser, system = click.values
            shown = LiveClick(click.at, country, referrer, device, browser, system, click.bot)
            await state.live.publish(f"links.{code}", shown)


@consumer(LinksChanged, name="links-forget-changed")
async def forget_changed(tx: Tx, event: LinksChanged, state: LinksState) -> None:
    """Let every cache forget links that changed, even if the process that changed them died before it could say so."""
    tx.after_commit(lambda: state.links.cache.invalidate(event.codes))
