"""The heavy tools of the link shortener: where an address is, what a browser is, and QR codes."""

import io
from functools import lru_cache

import crawleruseragents
import msgspec
import segno
import ua_parser
from iptocc import country_code


class Agent(msgspec.Struct, frozen=True):
    """A User-Agent header, described."""

    device: str
    browser: str
    system: str
    bot: bool


def country_of(address: str) -> str:
    """ISO 3166-1 alpha-2 of the country to which a registry gave the address, "" when there is none.

    The data (of the five regional registries) is part of the package `iptocc`, so no lookup leaves this process.
    """
    return country_code(address) or ""


@lru_cache(maxsize=20_000)
def describe_agent(header: str) -> Agent:
    """What a User-Agent header says. Without one, it's a program: browsers always send it.

    Parsing takes some 200 microseconds, hence the memory: few headers make up most clicks.
    """
    parsed = ua_parser.parse(header)
    family = parsed.device.family if parsed.device else ""
    browser = parsed.user_agent.family if parsed.user_agent else ""
    system = parsed.os.family if parsed.os else ""
    if not header or family == "Spider" or crawleruseragents.is_crawler(header):
        return Agent("bot", browser, system, bot=True)
    if family == "iPad" or "Tablet" in (brand := (parsed.device and parsed.device.brand) or ""):
        device = "tablet"
    elif system in ("iOS", "Android") or "Mobile" in header or "Phone" in brand:
        device = "phone" if system != "Android" or "Mobile" in header else "tablet"
    else:
        device = "desktop"
    return Agent(device, browser, system, bot=False)


def qr_svg(text: str) -> bytes:
    """A QR code as SVG that scales to any size."""
    out = io.BytesIO()
    segno.make_qr(text).save(out, kind="svg", border=2, xmldecl=False, svgclass=None, lineclass=None, omitsize=True)
    return out.getvalue()


def qr_png(text: str, size: int) -> bytes:
    """A QR code as PNG, at most `size` pixels wide and in whole pixels a module."""
    code = segno.make_qr(text)
    out = io.BytesIO()
    code.save(out, kind="png", border=2, scale=max(1, size // code.symbol_size(border=2)[0]))
    return out.getvalue()
