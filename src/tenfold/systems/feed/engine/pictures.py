"""Pictures: decoded within bounds, turned upright, freed of what they tell about their makers, made smaller."""

import asyncio
import os
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from typing import Literal

import msgspec
from PIL import Image, ImageCms, ImageOps

from tenfold.platform.errors import Unavailable
from tenfold.systems.feed.errors import BadMedia
from tenfold.systems.feed.rules import blurhash, gif

#: What is decoded; nothing else of what the library could read is tried.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF")
#: Pixels of a picture as it is kept, of its preview, and of an avatar and a header (width, height): enough for any
#: screen that shows them.
KEPT, PREVIEW = 3840 * 2160, 640 * 360
AVATAR, HEADER = (400, 400), (1500, 500)
#: A progressive JPEG is decoded once for each of its scans; usual ones have ten.
MOST_SCANS = 100
#: Frames of an animation, and their pixels altogether: whoever looks at it has to decode them.
MOST_FRAMES, MOST_ANIMATED = 1000, 500_000_000
#: Pixels on the longer side of what a blurhash is made of: it shows no more than four waves.
BLURRED = 32

#: What the decoders raise when a file isn't what it says.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# The library's own limit only warns; ours is checked before anything is decoded.
Image.MAX_IMAGE_PIXELS = None


class Picture(msgspec.Struct, frozen=True):
    """An encoded picture: its bytes, the extension of its type, and its size in pixels."""

    data: bytes
    extension: Literal["jpg", "png", "webp", "gif"]
    width: int
    height: int


class Prepared(msgspec.Struct, frozen=True):
    """A picture as it is kept, a smaller one to show first, and a blur to show before that."""

    original: Picture
    preview: Picture
    blurhash: str


async def prepare(data: bytes, *, max_pixels: int) -> Prepared:
    """Prepare an upload. An animated GIF keeps all its frames; of other animations the first one is kept.

    Raises BadMedia, Unavailable.
    """
    return await _workshop.run(partial(_prepare, data, max_pixels))


async def square(data: bytes, *, max_pixels: int) -> Picture:
    """The middle of a picture, 400 pixels a side. Raises BadMedia, Unavailable."""
    return await _workshop.run(partial(_cut, data, max_pixels, AVATAR))


async def wide(data: bytes, *, max_pixels: int) -> Picture:
    """The middle of a picture, 1500 by 500 pixels. Raises BadMedia, Unavailable."""
    return await _workshop.run(partial(_cut, data, max_pixels, HEADER))


class _Workshop:
    """A few threads of its own, so that neither requests nor passwords wait for pictures, and a queue with an end.

    The biggest picture takes a second or two of a core, and what it needs of memory is bounded by its pixels.
    """

    def __init__(self, waiting: int) -> None:
        threads = max(1, (os.cpu_count() or 2) // 2)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="pictures")
        self.free = threads + waiting

    async def run[T](self, work: Callable[[], T]) -> T:
        """Raises Unavailable when too many wait already."""
        if self.free <= 0:
            raise Unavailable(part="The workshop for pictures")
        self.free -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self.free += 1


_workshop = _Workshop(waiting=16)


def _prepare(data: bytes, max_pixels: int) -> Prepared:
    try:
        source = _open(data, max_pixels)
        lossless = source.format in ("PNG", "GIF")
        animation = _animation(source, data) if source.format == "GIF" else None
        image = _upright(source, KEPT)
        preview = image.copy()
        preview.thumbnail(_within(preview.size, PREVIEW))
        small = _encode(preview, lossless=False, quality=80)
        preview.thumbnail((BLURRED, BLURRED))
        pixels = preview.convert("RGB")
        blurred = blurhash.encode(pixels.tobytes(), pixels.width, pixels.height)
        return Prepared(animation or _encode(image, lossless=lossless, quality=88), small, blurred)
    except _BROKEN as error:
        raise BadMedia(reason="the picture can't be read") from error


def _cut(data: bytes, max_pixels: int, size: tuple[int, int]) -> Picture:
    try:
        source = _open(data, max_pixels)
        # First to what just covers it, which JPEGs are decoded to at once; the rest is cut off exactly.
        scale = max(size[0] / source.width, size[1] / source.height, size[0] / source.height, size[1] / source.width)
        image = _upright(source, max(1, int(source.width * source.height * min(1.0, scale) ** 2)))
        return _encode(ImageOps.fit(image, size), lossless=False, quality=85)
    except _BROKEN as error:
        raise BadMedia(reason="the picture can't be read") from error


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """The picture, not decoded yet. Raises BadMedia."""
    source = Image.open(BytesIO(data), formats=FORMATS)
    if source.width * source.height > max_pixels:
        raise BadMedia(reason=f"a picture has at most {max_pixels} pixels")
    # In compressed data this marker can't stand; a preview among the metadata brings a few.
    if source.format == "JPEG" and data.count(b"\xff\xda") > MOST_SCANS:
        raise BadMedia(reason="the picture has too many scans")
    return source


def _animation(source: Image.Image, data: bytes) -> Picture | None:
    """An animated GIF without its comments, None if nothing moves. Raises BadMedia."""
    stripped = gif.strip(data)
    if stripped.frames < 2:
        return None
    if stripped.frames > MOST_FRAMES or stripped.frames * source.width * source.height > MOST_ANIMATED:
        raise BadMedia(reason="the animation is too long")
    return Picture(stripped.data, "gif", source.width, source.height)


def _upright(source: Image.Image, most: int) -> Image.Image:
    """The picture in sRGB, with an alpha channel if it needs one, at most so many pixels, without any metadata."""
    icc = source.info.get("icc_profile")
    source.thumbnail(_within(source.size, most))
    image = ImageOps.exif_transpose(source)
    alpha = image.has_transparency_data
    if image.mode.startswith(("I", "F")):  # 16 bits of grey
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode not in ("RGB", "RGBA", "CMYK"):
        image = image.convert("RGBA" if alpha else "RGB")
    image = _in_srgb(image, icc)
    if image.mode == "CMYK":
        image = image.convert("RGB")
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    image.info = {}
    return image


def _in_srgb(image: Image.Image, icc: object) -> Image.Image:
    """Colours as screens show them without a profile. A profile that can't be used is passed over."""
    if not isinstance(icc, bytes) or not icc:
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image


def _within(size: tuple[int, int], most: int) -> tuple[int, int]:
    """The size scaled down to at most so many pixels; a side has at least one."""
    scale = min(1.0, (most / (size[0] * size[1])) ** 0.5)
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def _encode(image: Image.Image, *, lossless: bool, quality: int) -> Picture:
    """A JPEG, or where there is transparency a WebP; a PNG of what came without loss."""
    out = BytesIO()
    if lossless:
        image.save(out, "PNG", compress_level=3)  # half the time of the usual 6, for a twentieth more bytes
        return Picture(out.getvalue(), "png", *image.size)
    if image.mode == "RGBA":
        image.save(out, "WEBP", quality=quality, method=2)
        return Picture(out.getvalue(), "webp", *image.size)
    image.save(out, "JPEG", quality=quality)
    return Picture(out.getvalue(), "jpg", *image.size)
