"""Pictures: what is kept of them, what is taken away, and what is refused."""

import asyncio
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, TiffImagePlugin

from tenfold.platform.errors import Unavailable
from tenfold.systems.feed.engine import pictures
from tenfold.systems.feed.engine.pictures import prepare, square, wide
from tenfold.systems.feed.errors import BadMedia

PIXELS = 1_000_000


def encoded(image: Image.Image, kind: str, **more: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def halves(left: str, right: str, size: tuple[int, int] = (80, 40), mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def told() -> Image.Exif:
    """Where and with what a picture was taken."""
    exif = Image.Exif()
    exif[0x010F] = "a camera of mine"
    exif[0x0112] = 6  # lies on its side
    exif[0x8825] = {1: "N", 2: (TiffImagePlugin.IFDRational(48), TiffImagePlugin.IFDRational(51), 30.0)}
    return exif


@pytest.mark.parametrize(
    ("kind", "extension", "more"),
    [
        ("JPEG", "jpg", {"exif": told(), "comment": b"a secret place", "xmp": b"a secret place"}),
        ("PNG", "png", {"exif": told()}),
        ("WEBP", "jpg", {"exif": told(), "xmp": b"a secret place", "quality": 90}),
        ("AVIF", "jpg", {"exif": told()}),
    ],
)
async def test_pictures_tell_nothing_of_their_makers(kind: str, extension: str, more: dict[str, Any]) -> None:
    before = encoded(halves("red", "blue"), kind, **more)
    assert b"camera of mine" in before
    made = await prepare(before, max_pixels=PIXELS)
    for each in (made.original, made.preview):
        image = decoded(each.data)
        assert image.size == (each.width, each.height) == (40, 80)  # upright
        assert b"camera" not in each.data
        assert b"secret" not in each.data
        assert not image.getexif()
        assert {"exif", "icc_profile", "comment", "xmp"}.isdisjoint(image.info)
        red, blue = image.convert("RGB").getpixel((20, 10)), image.convert("RGB").getpixel((20, 70))
        assert isinstance(red, tuple)
        assert isinstance(blue, tuple)
        assert red[0] > 200 > 60 > red[2]
        assert blue[2] > 200 > 60 > blue[0]
    assert made.original.extension == extension


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
async def test_every_kind_of_png_is_shown(mode: str) -> None:
    made = await prepare(encoded(Image.new(mode, (30, 20)), "PNG"), max_pixels=PIXELS)
    assert (made.original.extension, len(made.blurhash)) == ("png", 28)
    assert decoded(made.preview.data).size == (30, 20)


async def test_16_bits_of_grey_keep_their_light() -> None:
    made = await prepare(encoded(Image.new("I;16", (8, 8), 0x8000), "PNG"), max_pixels=PIXELS)
    assert decoded(made.original.data).convert("L").getpixel((4, 4)) in (127, 128)


async def test_transparency_stays() -> None:
    before = halves("#ff000000", "#0000ffff", mode="RGBA")
    for kind in ("PNG", "WEBP"):
        made = await prepare(encoded(before, kind), max_pixels=PIXELS)
        for each in (made.original, made.preview):
            alpha = decoded(each.data).getchannel("A")
            assert (alpha.getpixel((5, 20)), alpha.getpixel((75, 20))) == (0, 255)
    opaque = await prepare(encoded(before.convert("RGB").convert("RGBA"), "WEBP"), max_pixels=PIXELS)
    assert opaque.original.extension == "jpg"


async def test_colours_are_those_of_the_profile() -> None:
    """A profile in which red and green have changed places; whatever can't be used is passed over."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"tmp!").replace(b"gXYZ", b"rXYZ").replace(b"tmp!", b"gXYZ")
    red = Image.new("RGB", (16, 16), "red")
    for profile, shown in ((srgb, "red"), (swapped, "green"), (b"nonsense", "red"), (swapped[:200], "red")):
        made = await prepare(encoded(red, "PNG", icc_profile=profile), max_pixels=PIXELS)
        pixel = decoded(made.original.data).getpixel((8, 8))
        assert isinstance(pixel, tuple)
        assert pixel[0 if shown == "red" else 1] > 200, profile[:8]


async def test_cmyk_becomes_rgb() -> None:
    made = await prepare(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), max_pixels=PIXELS)
    pixel = decoded(made.original.data).getpixel((8, 8))
    assert isinstance(pixel, tuple)
    assert (len(pixel), pixel[0] > 200, pixel[1] < 90) == (3, True, True)


async def test_big_pictures_become_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "KEPT", 20_000)
    monkeypatch.setattr(pictures, "PREVIEW", 5_000)
    made = await prepare(encoded(halves("red", "blue", (800, 400)), "JPEG"), max_pixels=PIXELS)
    assert (made.original.width, made.original.height) == (200, 100)
    assert (made.preview.width, made.preview.height) == (100, 50)
    small = await prepare(encoded(halves("red", "blue", (20, 10)), "JPEG"), max_pixels=PIXELS)
    assert (small.original.width, small.preview.width) == (20, 20)
    line = await prepare(encoded(Image.new("RGB", (60_000, 1)), "PNG"), max_pixels=PIXELS)
    assert (line.original.height, line.preview.height) == (1, 1)


@pytest.mark.parametrize("size", [(900, 300), (300, 900), (7, 3), (400, 400), (1, 1), (5000, 20)])
async def test_avatars_and_headers_have_one_size(size: tuple[int, int]) -> None:
    for kind in ("JPEG", "PNG"):
        data = encoded(halves("red", "blue", size), kind, exif=told())
        avatar, header = await square(data, max_pixels=PIXELS), await wide(data, max_pixels=PIXELS)
        assert decoded(avatar.data).size == (avatar.width, avatar.height) == (400, 400)
        assert decoded(header.data).size == (header.width, header.height) == (1500, 500)
        assert b"camera" not in avatar.data + header.data


async def test_the_middle_of_a_picture_is_its_avatar() -> None:
    image = Image.new("RGB", (1200, 400), "blue")
    image.paste("red", (400, 0, 800, 400))
    avatar = decoded((await square(encoded(image, "JPEG"), max_pixels=PIXELS)).data)
    for corner in ((10, 10), (390, 390)):
        pixel = avatar.getpixel(corner)
        assert isinstance(pixel, tuple)
        assert pixel[0] > 200


def animated(kind: str, frames: int, size: tuple[int, int] = (20, 10)) -> bytes:
    first, *rest = (Image.new("RGB", size, (each * 7 % 256, each * 31 % 256, 90)) for each in range(frames))
    return encoded(first, kind, save_all=True, append_images=rest, duration=50, loop=0)


async def test_animations_move_on() -> None:
    made = await prepare(animated("GIF", 5), max_pixels=PIXELS)
    assert made.original.extension == "gif"
    moving = decoded(made.original.data)
    assert (getattr(moving, "n_frames", 1), moving.info["duration"], moving.info["loop"]) == (5, 50, 0)
    assert made.preview.extension == "jpg"
    # Others are shown by their first frame, and a GIF that doesn't move is a picture.
    assert (await prepare(animated("WEBP", 3), max_pixels=PIXELS)).original.extension == "jpg"
    assert (await prepare(animated("GIF", 1), max_pixels=PIXELS)).original.extension == "png"


async def test_what_would_be_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    big = encoded(Image.new("1", (2000, 2000)), "PNG")
    with pytest.raises(BadMedia, match="3999999 pixels"):
        await prepare(big, max_pixels=3_999_999)
    await prepare(big, max_pixels=4_000_000)
    with pytest.raises(BadMedia):
        await square(big, max_pixels=3_999_999)
    # A header that promises more than any limit, and nothing behind it.
    with pytest.raises(BadMedia):
        await prepare(big[:16] + b"\x7f\xff\xff\xff" * 2 + big[24:], max_pixels=PIXELS)
    scans = encoded(Image.new("RGB", (8, 8)), "JPEG") + b"\xff\xda" * 200
    with pytest.raises(BadMedia, match="scans"):
        await prepare(scans, max_pixels=PIXELS)
    monkeypatch.setattr(pictures, "MOST_FRAMES", 3)
    with pytest.raises(BadMedia, match="animation"):
        await prepare(animated("GIF", 4), max_pixels=PIXELS)
    monkeypatch.setattr(pictures, "MOST_FRAMES", 10)
    monkeypatch.setattr(pictures, "MOST_ANIMATED", 799)
    with pytest.raises(BadMedia, match="animation"):
        await prepare(animated("GIF", 4), max_pixels=PIXELS)


async def test_too_many_at_once_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(halves("red", "blue"), "JPEG")
    monkeypatch.setattr(pictures._workshop, "free", 2)
    many = await asyncio.gather(*(prepare(data, max_pixels=PIXELS) for _ in range(5)), return_exceptions=True)
    assert [isinstance(each, Unavailable) for each in many] == [False, False, True, True, True]
    assert (await prepare(data, max_pixels=PIXELS)).original.width == 80


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "ICO", "PPM", "TGA", "PDF", "EPS"])
async def test_other_kinds_are_not_tried(kind: str) -> None:
    with pytest.raises(BadMedia, match="can't be read"):
        await prepare(encoded(Image.new("RGB", (8, 8)), kind), max_pixels=PIXELS)


SAMPLES = [
    encoded(halves("red", "blue"), "JPEG", exif=told()),
    encoded(halves("red", "blue"), "JPEG", progressive=True),
    encoded(halves("#ff000080", "blue", mode="RGBA"), "PNG", exif=told()),
    encoded(halves("red", "blue").convert("P"), "PNG"),
    encoded(halves("red", "blue"), "WEBP"),
    encoded(halves("#ff000080", "blue", mode="RGBA"), "WEBP", lossless=True),
    encoded(halves("red", "blue"), "AVIF"),
    animated("GIF", 3),
    animated("WEBP", 3),
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # the library warns of broken Exif, and passes over it
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    st.floats(0, 1),
)
async def test_a_broken_picture_is_shown_or_refused(
    sample: bytes, changes: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(sample)
    for place, value in changes:
        data[int(place * len(data))] = value
    broken = bytes(data[: max(1, int(len(data) * max(kept, 0.3)))])
    try:
        made = await prepare(broken, max_pixels=PIXELS)
    except BadMedia:
        return
    assert decoded(made.original.data).size == (made.original.width, made.original.height)
    assert decoded(made.preview.data).size == (made.preview.width, made.preview.height)
