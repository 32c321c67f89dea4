"""Pictures for accounts that have none: drawn of the account's id, so the same always and everywhere."""

from colorsys import hls_to_rgb
from hashlib import blake2b
from html import escape
from math import cos, pi, sin

#: Pixels. Everything is a vector, so these are only proportions.
AVATAR = 400
HEADER = 1500, 500


def draw_avatar(id: int, initial: str) -> str:
    """A square SVG: a gradient in a hue of the account's own, petals around the middle, and the initial in white."""
    dice = _dice(id, b"avatar")
    hue, petals, twist = dice[0] / 256, 5 + dice[1] % 4, dice[2] / 256
    leaves = "".join(
        f'<ellipse cx="200" cy="{92 + dice[3] % 24}" rx="{34 + dice[4] % 30}" ry="{92 + dice[5] % 30}" '
        f'transform="rotate({360 * (each + twist) / petals:.1f} 200 200)"/>'
        for each in range(petals)
    )
    return (
        f'{_svg(AVATAR, AVATAR)}{_gradient(hue, dice[6] / 256)}<rect width="400" height="400" fill="url(#g)"/>'
        f'<g fill="{_colour(hue + 0.12, 0.62, 0.7)}" fill-opacity="0.34">{leaves}</g>'
        f'<circle cx="200" cy="200" r="104" fill="{_colour(hue, 0.25, 0.55)}" fill-opacity="0.55"/>'
        '<text x="200" y="200" dy="0.36em" text-anchor="middle" fill="#fff" font-size="140" font-weight="600" '
        f'font-family="system-ui, -apple-system, Roboto, Helvetica, Arial, sans-serif">{escape(initial)}</text>'
        "</svg>"
    )


def draw_header(id: int) -> str:
    """A wide SVG: hills one behind the other, under a sky in the hue of the account's picture."""
    hue, dice = _dice(id, b"avatar")[0] / 256, _dice(id, b"header")
    width, height = HEADER
    hills = []
    for row in range(4):
        phase, waves, rise = 2 * pi * dice[row] / 256, 1.2 + dice[row + 4] / 128, 30 + dice[row + 8] / 5
        level = 190 + 80 * row
        ridge = " ".join(
            f"L{x} {level + rise * sin(phase + waves * 2 * pi * x / width) * cos(phase + 3 * x / width):.0f}"
            for x in range(0, width + 1, 50)
        )
        shade = _colour(hue + 0.03 * row, 0.5 - 0.09 * row, 0.5)
        hills.append(f'<path d="M0 {height} {ridge} L{width} {height}Z" fill="{shade}" fill-opacity="0.75"/>')
    sun = f'<circle cx="{200 + dice[12] * 4}" cy="150" r="{46 + dice[13] % 30}" fill="#fff" fill-opacity="0.5"/>'
    sky = f'{_gradient(hue + 0.08, 0.25)}<rect width="{width}" height="{height}" fill="url(#g)"/>'
    return f"{_svg(width, height)}{sky}{sun}{''.join(hills)}</svg>"


def _dice(id: int, of: bytes) -> bytes:
    """Bytes that look like chance and are always the same."""
    return blake2b(id.to_bytes(8, "big"), digest_size=16, person=of).digest()


def _svg(width: int, height: int) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'


def _gradient(hue: float, turn: float) -> str:
    near, far = _colour(hue, 0.52, 0.62), _colour(hue + 0.1, 0.36, 0.6)
    stops = f'<stop stop-color="{near}"/><stop offset="1" stop-color="{far}"/>'
    return f'<linearGradient id="g" gradientTransform="rotate({90 * turn:.0f} 0.5 0.5)">{stops}</linearGradient>'


def _colour(hue: float, lightness: float, saturation: float) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in hls_to_rgb(hue % 1.0, lightness, saturation))
