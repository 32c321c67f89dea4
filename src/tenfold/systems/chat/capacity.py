"""The case study's capacity estimation, as arithmetic on its inputs ("Capacity Estimation" of the LLM chat)."""

from collections.abc import Mapping
from math import ceil

from tenfold.platform.system import Estimate

SECONDS_A_DAY = 86_400


def capacity(
    *,
    weekly_users: float = 100e6,
    concurrent_users: float = 10e6,
    turns: float = 20,
    tokens_in: float = 500,
    tokens_out: float = 1000,
    dollars_in: float = 0.03,
    dollars_out: float = 0.06,
    fast_dollars: float = 0.002,
    fast_share: float = 0.7,
    cached_share: float = 0.5,
    conversations: float = 10,
    conversation_bytes: float = 50e3,
    peak: float = 2,
    measured: Mapping[str, float] | None = None,
) -> list[Estimate]:
    """What the inputs ask for and, given figures of a benchmark, the machines that follow.

    A turn is a question of `tokens_in` and an answer of `tokens_out`; `dollars_in`, `dollars_out` and `fast_dollars`
    are for 1,000 tokens of the large model, and of the small one in either direction. `fast_share` is the part of the
    turns that the router gives to the small one, `cached_share` the part of a prompt that its replica still holds, and
    whose work the case study halves. `measured` may hold tokens_per_second_16 (of a replica, 16 streams together),
    gateway_requests_per_core and streams_per_process.
    """
    exchanges = concurrent_users * turns
    read, written = exchanges * tokens_in, exchanges * tokens_out
    large = read / 1000 * dollars_in + written / 1000 * dollars_out
    small = (read + written) / 1000 * fast_dollars
    routed = (1 - fast_share) * large + fast_share * small
    saved = (1 - fast_share) * read / 1000 * dollars_in * cached_share / 2
    rate = exchanges / SECONDS_A_DAY
    rows = [
        Estimate(name="Turns a day", value=exchanges / 1e6, unit="million", formula="concurrent_users x turns"),
        Estimate(
            name="Tokens a day", value=(read + written) / 1e9, unit="billion",
            formula="turns a day x (tokens_in + tokens_out)",
        ),
        Estimate(name="Turns, mean", value=rate, unit="/s", formula="turns a day / 86,400"),
        Estimate(name="Turns, peak", value=rate * peak, unit="/s", formula="mean x peak"),
        Estimate(
            name="Tokens written, peak", value=rate * peak * tokens_out / 1e6, unit="million/s",
            formula="turns, peak x tokens_out",
        ),
        Estimate(
            name="Cost with the large model", value=large / 1e6, unit="M$/day",
            formula="tokens read x dollars_in + written x dollars_out, for 1,000",
        ),
        Estimate(
            name="Cost with routing", value=routed / 1e6, unit="M$/day",
            formula="(1 - fast_share) x large + fast_share x tokens x fast_dollars",
        ),
        Estimate(
            name="Cost with routing and prompt caches", value=(routed - saved) / 1e6, unit="M$/day",
            formula="routing - large model's reading x cached_share / 2",
        ),
        Estimate(
            name="Storage of conversations", value=weekly_users * conversations * conversation_bytes / 1e12, unit="TB",
            formula="weekly_users x conversations x conversation_bytes",
        ),
    ]  # fmt: skip
    for key, name, load in (
        ("tokens_per_second_16", "Replicas for writing", rate * peak * tokens_out),
        ("gateway_requests_per_core", "Cores of gateways", rate * peak),
        ("streams_per_process", "Processes for open streams", concurrent_users),
    ):
        if measured and measured.get(key):
            formula = f"{load:,.0f} / {measured[key]:,.0f} measured"
            rows.append(Estimate(name=name, value=ceil(load / measured[key]), unit="", formula=formula))
    return rows
