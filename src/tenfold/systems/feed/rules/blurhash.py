"""BlurHash: a picture's colours in some thirty characters, https://github.com/woltapp/blurhash/blob/master/Algorithm.md."""

from math import copysign, cos, pi, sqrt

#: Waves across and down.
WIDE, HIGH = 4, 3

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_LINEAR = [
    value / 255 / 12.92 if value / 255 <= 0.04045 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in range(256)
]

type Colour = tuple[float, float, float]


def encode(pixels: bytes, width: int, height: int) -> str:
    """The hash of a small picture: `pixels` are its rows, three bytes (red, green, blue in sRGB) each."""
    if not 0 < width * height * 3 == len(pixels):
        raise ValueError("a picture has three bytes a pixel, and at least one pixel")
    across = [[cos(pi * i * x / width) for x in range(width)] for i in range(WIDE)]
    down = [[cos(pi * j * y / height) for y in range(height)] for j in range(HIGH)]
    channels = [[_LINEAR[value] for value in pixels[channel::3]] for channel in range(3)]
    # Rows first: each wave across is needed for every wave down.
    rows = [
        [[sum(map(float.__mul__, line, wave)) for line in _lines(channel, width)] for wave in across]
        for channel in channels
    ]
    factors: list[Colour] = []
    for j in range(HIGH):
        for i in range(WIDE):
            scale = (1 if i == j == 0 else 2) / (width * height)
            red, green, blue = (scale * sum(map(float.__mul__, rows[channel][i], down[j])) for channel in range(3))
            factors.append((red, green, blue))
    first, rest = factors[0], factors[1:]
    greatest = max(abs(value) for colour in rest for value in colour)
    quantised = max(0, min(82, int(greatest * 166 - 0.5)))
    return (
        _base83(WIDE - 1 + (HIGH - 1) * 9, 1)
        + _base83(quantised, 1)
        + _base83(_srgb(first[0]) << 16 | _srgb(first[1]) << 8 | _srgb(first[2]), 4)
        + "".join(_base83(_wave(colour, (quantised + 1) / 166), 2) for colour in rest)
    )


def _lines(values: list[float], width: int) -> list[list[float]]:
    return [values[at : at + width] for at in range(0, len(values), width)]


def _srgb(value: float) -> int:
    value = max(0.0, min(1.0, value))
    return int((value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055) * 255 + 0.5)


def _wave(colour: Colour, greatest: float) -> int:
    """How strong a wave is, in 19 steps of each colour, finer around zero."""
    red, green, blue = (max(0, min(18, int(_root(value / greatest) * 9 + 9.5))) for value in colour)
    return red * 361 + green * 19 + blue


def _root(value: float) -> float:
    return copysign(sqrt(abs(value)), value)


def _base83(value: int, length: int) -> str:
    return "".join(_DIGITS[value // 83**place % 83] for place in range(length - 1, -1, -1))
