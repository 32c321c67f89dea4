"""How fast a connection is read: a leaky bucket (as a meter, ITU-T I.371 annex A) whose overflow is waited for."""


class Pace:
    """`rate` units a second, and up to `burst` ahead."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._ahead = burst / rate
        self._empty_at = now

    def take(self, cost: float, now: float) -> float:
        """Seconds to wait before more is read. `now` in seconds of any clock that only goes on."""
        self._empty_at = max(self._empty_at, now) + cost / self._rate
        return max(0.0, self._empty_at - now - self._ahead)


def cost_of(size: int, envelopes: int = 0) -> float:
    """Units of a frame: one, and one more for each 4 KiB and each 16 envelopes: about what they cost to store."""
    return 1 + size / 4096 + envelopes / 16
