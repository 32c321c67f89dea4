"""The case study's capacity estimation, as arithmetic on its inputs ("Capacity Estimation" of the URL shortener)."""

from collections.abc import Mapping
from math import ceil

from tenfold.platform.system import Estimate

SECONDS_A_MONTH = 365.25 / 12 * 86_400


def capacity(
    *,
    urls_per_month: float = 100e6,
    redirects_per_month: float = 10e9,
    years: float = 5,
    bytes_per_url: float = 500,
    code_length: int = 7,
    peak: float = 3,
    hot_share: float = 0.2,
    cores_per_machine: int = 8,
    measured: Mapping[str, float] | None = None,
) -> list[Estimate]:
    """What the inputs ask for and, given figures of a benchmark, the machines that follow.

    `peak` is the busiest moment as a multiple of the mean; `hot_share` the part of links that gets most clicks and so
    should fit into memory. `measured` may hold redirects_per_core, creates_per_second and clicks_counted, per second.
    """
    urls = urls_per_month * 12 * years
    space = 62.0**code_length
    reads = redirects_per_month / SECONDS_A_MONTH
    writes = urls_per_month / SECONDS_A_MONTH
    rows = [
        Estimate(name="Links kept", value=urls, unit="links", formula="urls_per_month x 12 x years"),
        Estimate(name="Storage", value=urls * bytes_per_url / 1e12, unit="TB", formula="links x bytes_per_url"),
        Estimate(name="Codes", value=space, unit="codes", formula="62 ^ code_length"),
        Estimate(name="Codes used", value=urls / space * 100, unit="%", formula="links / codes"),
        Estimate(
            name="Years until the codes run out", value=space / (urls_per_month * 12), unit="years",
            formula="codes / (urls_per_month x 12)",
        ),
        Estimate(name="Redirects, mean", value=reads, unit="/s", formula="redirects_per_month / seconds a month"),
        Estimate(name="Redirects, peak", value=reads * peak, unit="/s", formula="mean x peak"),
        Estimate(name="New links, mean", value=writes, unit="/s", formula="urls_per_month / seconds a month"),
        Estimate(name="New links, peak", value=writes * peak, unit="/s", formula="mean x peak"),
        Estimate(name="Reads for each write", value=reads / writes, unit=": 1", formula="redirects / new links"),
        Estimate(
            name="Memory for hot links", value=urls_per_month * hot_share * bytes_per_url / 1e9, unit="GB",
            formula="urls_per_month x hot_share x bytes_per_url",
        ),
    ]  # fmt: skip
    for key, name, load in (
        ("redirects_per_core", "Machines for redirects", reads * peak / cores_per_machine),
        ("creates_per_second", "Database servers for new links", writes * peak),
        ("clicks_counted", "Workers for clicks", reads * peak),
    ):
        if measured and measured.get(key):
            value = ceil(load / measured[key])
            formula = f"peak / {measured[key]:,.0f} /s measured" + (
                f" a core x {cores_per_machine} cores" if key == "redirects_per_core" else ""
            )
            rows.append(Estimate(name=name, value=value, unit="", formula=formula))
    return rows
