"""The case study's capacity estimation, as arithmetic on its inputs ("Capacity Estimation" of the social feed)."""

from collections.abc import Mapping
from math import ceil

from tenfold.platform.system import Estimate

SECONDS_A_DAY = 86_400


def capacity(
    *,
    daily_users: float = 500e6,
    posts_per_day: float = 200e6,
    reads_per_post: float = 100,
    characters: int = 280,
    bytes_per_character: int = 2,
    metadata_factor: float = 200 / 112,
    years: float = 5,
    mean_followers: float = 200,
    active_share: float = 0.1,
    timeline_length: int = 800,
    peak: float = 2,
    cores_per_machine: int = 8,
    measured: Mapping[str, float] | None = None,
) -> list[Estimate]:
    """What the inputs ask for and, given figures of a benchmark, the machines that follow.

    `metadata_factor` is a post with its metadata as a multiple of its text (the case study: 200 GB of 112);
    `active_share` the part of the users whose timeline is alive at the busiest hour; `peak` the busiest moment as a
    multiple of the mean. `measured` may hold home_reads_per_core, posts_per_second, deliveries_per_worker (per second)
    and bytes_per_timeline.
    """
    text = posts_per_day * characters * bytes_per_character
    writes = posts_per_day / SECONDS_A_DAY
    reads = writes * reads_per_post
    deliveries = writes * mean_followers
    timelines = daily_users * active_share
    timeline_bytes = (measured or {}).get("bytes_per_timeline", 8 * (timeline_length + 1))
    rows = [
        Estimate(name="Text a day", value=text / 1e9, unit="GB", formula="posts_per_day x characters x bytes"),
        Estimate(
            name="With metadata, a day", value=text * metadata_factor / 1e9, unit="GB", formula="text x metadata_factor"
        ),
        Estimate(
            name="Storage", value=text * metadata_factor * 365 * years / 1e12, unit="TB", formula="a day x 365 x years"
        ),
        Estimate(name="Posts, mean", value=writes, unit="/s", formula="posts_per_day / 86,400"),
        Estimate(name="Posts, peak", value=writes * peak, unit="/s", formula="mean x peak"),
        Estimate(name="Home reads, mean", value=reads, unit="/s", formula="posts x reads_per_post"),
        Estimate(name="Home reads, peak", value=reads * peak, unit="/s", formula="mean x peak"),
        Estimate(name="Deliveries, peak", value=deliveries * peak, unit="/s", formula="posts x mean_followers x peak"),
        Estimate(
            name="Memory of timelines", value=timelines * timeline_bytes / 1e9, unit="GB",
            formula=f"daily_users x active_share x {timeline_bytes:,.0f} bytes",
        ),
    ]  # fmt: skip
    for key, name, load in (
        ("home_reads_per_core", "Machines for home reads", reads * peak / cores_per_machine),
        ("posts_per_second", "Database servers for posts", writes * peak),
        ("deliveries_per_worker", "Workers for the fan-out", deliveries * peak),
    ):
        if measured and measured.get(key):
            per_core = f" a core x {cores_per_machine} cores" if key == "home_reads_per_core" else ""
            formula = f"peak / {measured[key]:,.0f} /s measured{per_core}"
            rows.append(Estimate(name=name, value=ceil(load / measured[key]), unit="", formula=formula))
    return rows
