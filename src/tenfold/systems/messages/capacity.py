"""The case study's capacity estimation, as arithmetic on its inputs ("Capacity Estimation" of the messaging system)."""

from collections.abc import Mapping
from math import ceil

from tenfold.platform.system import Estimate

DAY = 86_400


def capacity(
    *,
    users: float = 2e9,
    messages_per_day: float = 100e9,
    bytes_per_message: float = 100,
    years: float = 5,
    media_share: float = 0.1,
    bytes_per_media: float = 1e6,
    media_days: float = 30,
    connected_share: float = 0.25,
    devices_per_user: float = 1.5,
    offline_share: float = 0.1,
    offline_hours: float = 8,
    peak: float = 3,
    cores_per_machine: int = 8,
    connections_per_machine: float = 1e6,
    measured: Mapping[str, float] | None = None,
) -> list[Estimate]:
    """What the inputs ask for and, given figures of a benchmark, the machines that follow.

    `peak` is the busiest moment as a multiple of the mean; `offline_share` the part of messages that waits for its
    device, for `offline_hours` on average. `measured` may hold messages_per_core (durable, a second) and
    bytes_per_connection.
    """
    mean = messages_per_day / DAY
    kept = messages_per_day * bytes_per_message
    media = messages_per_day * media_share * bytes_per_media
    connections = users * connected_share * devices_per_user
    inboxes = messages_per_day * offline_share * offline_hours / 24
    rows = [
        Estimate(name="Messages, mean", value=mean, unit="/s", formula="messages_per_day / 86,400"),
        Estimate(name="Messages, peak", value=mean * peak, unit="/s", formula="mean x peak"),
        Estimate(
            name="Messages a day, if all were kept", value=kept / 1e12, unit="TB",
            formula="messages_per_day x bytes_per_message",
        ),
        Estimate(
            name="Messages, if all were kept", value=kept * 365 * years / 1e15, unit="PB",
            formula="TB a day x 365 x years",
        ),
        Estimate(
            name="Messages waiting in inboxes", value=inboxes * bytes_per_message / 1e12, unit="TB",
            formula="messages_per_day x offline_share x offline_hours / 24 x bytes_per_message",
        ),
        Estimate(
            name="Media a day", value=media / 1e15, unit="PB",
            formula="messages_per_day x media_share x bytes_per_media",
        ),
        Estimate(name="Media kept", value=media * media_days / 1e15, unit="PB", formula="PB a day x media_days"),
        Estimate(
            name="Connections", value=connections, unit="", formula="users x connected_share x devices_per_user",
        ),
        Estimate(
            name="Machines for connections", value=ceil(connections / connections_per_machine), unit="",
            formula="connections / connections_per_machine",
        ),
    ]  # fmt: skip
    if measured and (rate := measured.get("messages_per_core")):
        rows.append(
            Estimate(
                name="Machines for messages", value=ceil(mean * peak / (rate * cores_per_machine)), unit="",
                formula=f"peak / {rate:,.0f} /s measured a core x {cores_per_machine} cores",
            )
        )  # fmt: skip
    if measured and (size := measured.get("bytes_per_connection")):
        rows.append(
            Estimate(
                name="Memory for connections", value=connections * size / 1e12, unit="TB",
                formula=f"connections x {size:,.0f} bytes measured",
            )
        )  # fmt: skip
    return rows
