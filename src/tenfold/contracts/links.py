"""What the link shortener promises to others: its events."""

import msgspec

from tenfold.platform.bus import Event


class Click(msgspec.Struct, array_like=True, frozen=True):
    """Somebody followed a link, or asked for a code that leads nowhere. Of their address only this much is kept."""

    code: str
    at: float
    """Seconds since 1970."""
    owner_id: int
    """0: the link has no owner."""
    visitor: int
    """A hash of the visitor that means nothing after its day."""
    country: str
    """ISO 3166-1 alpha-2; "" is unknown."""
    referrer: str
    """The host that the visitor came from; "" is none."""
    agent: str | int
    """The User-Agent header, or the place in the event of an earlier click that has the same: see `agent_of`."""
    prefetch: bool = False
    """The browser fetched it in advance, and nobody has looked at it yet."""
    known: bool = True
    """False: the code leads nowhere."""


class LinksClicked(Event, subject="links.clicked", frozen=True, kw_only=True):
    """Clicks of one web process in the order they came, as many as came in a moment."""

    clicks: list[Click]

    def agent_of(self, click: Click) -> str:
        """The User-Agent header of a click of this event. Most of a click's bytes, so an event says each only once."""
        while isinstance(click.agent, int):
            click = self.clicks[click.agent]
        return click.agent


class LinksChanged(Event, subject="links.changed", frozen=True, kw_only=True):
    """These links lead elsewhere than before, or nowhere."""

    codes: list[str]
