"""What kind a file is, GIFs without their comments, and blurhashes."""

from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tenfold.systems.feed.rules import blurhash, gif
from tenfold.systems.feed.rules.files import Kind, sniff

VERSIONS = {
    b"\xff\xd8\xff\xe0\0\x10JFIF": Kind("image", ""),
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR": Kind("image", ""),
    b"RIFF\x10\0\0\0WEBPVP8 ": Kind("image", ""),
    b"\0\0\0\x20ftypavif\0\0\0\0": Kind("image", ""),
    b"\0\0\0\x20ftypisom\0\0\2\0": Kind("video", "mp4"),
    b"\0\0\0\x14ftypqt  \0\0\0\0": Kind("video", "mov"),
    b"\0\0\0\x20ftypM4A \0\0\0\0": Kind("audio", "m4a"),
    b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1B\xf2\x81\4B\xf3\x81\x08B\x82\x84webmB\x87\x81\4": Kind("video", "webm"),
    b"OggS\0\2" + bytes(22) + b"\1\x13OpusHead": Kind("audio", "ogg"),
    b"ID3\4\0\0\0\0\0\0": Kind("audio", "mp3"),
    b"\xff\xfb\x90\x64\0": Kind("audio", "mp3"),
    b"RIFF\x10\0\0\0WAVEfmt ": Kind("audio", "wav"),
    b"fLaC\0\0\0\x22": Kind("audio", "flac"),
}


@pytest.mark.parametrize(("head", "kind"), VERSIONS.items())
def test_files_are_known_by_how_they_begin(head: bytes, kind: Kind) -> None:
    assert sniff(head) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'>",
        b"<!doctype html><script>",
        b"%PDF-1.7",
        b"MZ\x90\0",
        b"PK\3\4",
        b"\0\0\0\x18ftypheic\0\0\0\0",
        b"\x1aE\xdf\xa3\xa3B\x86\x81\1B\x82\x88matroska",
        b"OggS\0\2" + bytes(22) + b"\1\x2a\x80theora",
        b"\xff\xff\xff\xff",
        b"RIFF\x10\0\0\0AVI LIST",
    ],
)
def test_what_is_not_taken_is_no_kind(head: bytes) -> None:
    assert sniff(head) is None


@given(st.binary(max_size=64))
def test_any_beginning_is_some_kind_or_none(head: bytes) -> None:
    assert sniff(head) is None or sniff(head) == sniff(head + b"more")


def animation(colours: list[int], comment: bytes) -> bytes:
    frames = [Image.new("P", (9, 7), colour) for colour in colours]
    for frame in frames:
        frame.putpalette([value for each in range(256) for value in (each, 255 - each, each // 2)])
    out = BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=40, loop=0, comment=comment)
    return out.getvalue()


@given(st.lists(st.integers(0, 255), min_size=1, max_size=6, unique=True), st.binary(min_size=1, max_size=300))
def test_an_animation_loses_its_comments_only(colours: list[int], comment: bytes) -> None:
    before = animation(colours, comment)
    # What Photoshop writes: an application extension with a description.
    told = before[:-1] + b"\x21\xff\x0bXMP DataXMP\x05where\x00" + before[-1:]
    stripped = gif.strip(told)
    assert stripped.frames == len(colours)
    assert b"XMP" not in stripped.data
    with Image.open(BytesIO(before)) as old, Image.open(BytesIO(stripped.data)) as new:
        assert new.n_frames == old.n_frames
        assert "comment" not in new.info
        assert new.info.get("loop") == old.info.get("loop")
        for frame in range(new.n_frames):
            old.seek(frame)
            new.seek(frame)
            assert new.convert("RGB").tobytes() == old.convert("RGB").tobytes()
            assert new.info.get("duration") == old.info.get("duration")
    assert gif.strip(stripped.data) == stripped


@given(st.integers(0, 2000), st.binary(max_size=8))
def test_what_is_no_whole_gif_is_refused(length: int, tail: bytes) -> None:
    whole = animation([1, 2, 3], b"x")
    cut = whole[: min(length, len(whole) - 1)]
    with pytest.raises(ValueError):
        gif.strip(cut)
    with suppress(ValueError):
        assert gif.strip(cut + tail).frames <= 3 + len(tail)


def decode(hashed: str) -> list[int]:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
    return [digits.index(each) for each in hashed]


def test_blurhashes_are_those_that_the_algorithm_gives() -> None:
    """One colour: its average stands in the four digits behind the first two, and no wave has any strength."""
    hashed = blurhash.encode(bytes([200, 100, 50]) * 12, 4, 3)
    numbers = decode(hashed)
    assert len(hashed) == 1 + 1 + 4 + 2 * 11
    assert numbers[0] == 3 + 2 * 9
    average = ((numbers[2] * 83 + numbers[3]) * 83 + numbers[4]) * 83 + numbers[5]
    assert average == 200 << 16 | 100 << 8 | 50


def test_black_and_white_halves_make_the_first_wave_strong() -> None:
    """cos(pi x / 2) over two pixels of 1 and 0 is 0.5 of a wave: of its 19 steps the highest, and white is positive."""
    numbers = decode(blurhash.encode(bytes([255] * 3 + [0] * 3), 2, 1))
    first = numbers[6] * 83 + numbers[7]
    assert first == 18 * 361 + 18 * 19 + 18


@given(st.integers(1, 12), st.integers(1, 12), st.randoms(use_true_random=False))
def test_any_picture_has_a_hash(width: int, height: int, random: object) -> None:
    pixels = random.randbytes(width * height * 3)  # type: ignore[attr-defined]
    assert len(blurhash.encode(pixels, width, height)) == 28


def test_pixels_must_fit_the_size() -> None:
    with pytest.raises(ValueError):
        blurhash.encode(b"abc", 2, 1)
    with pytest.raises(ValueError):
        blurhash.encode(b"", 0, 0)
