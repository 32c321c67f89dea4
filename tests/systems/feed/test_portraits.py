"""Drawn pictures: the same for the same account, different for others, and well-formed."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from tenfold.systems.feed.rules.portraits import draw_avatar, draw_header

ids = st.integers(1, (1 << 63) - 1)


@given(ids, st.sampled_from("AZ09_&<"))
def test_a_picture_is_a_small_svg_and_always_the_same(id: int, initial: str) -> None:
    avatar, header = draw_avatar(id, initial), draw_header(id)
    assert avatar == draw_avatar(id, initial)
    assert header == draw_header(id)
    for picture, width, height in ((avatar, "400", "400"), (header, "1500", "500")):
        root = ET.fromstring(picture)
        assert (root.get("width"), root.get("height")) == (width, height)
        assert len(picture) < 5000
    [text] = ET.fromstring(avatar).iter("{http://www.w3.org/2000/svg}text")
    assert text.text == initial


def test_pictures_differ() -> None:
    assert len({draw_avatar(each, "A") for each in range(1, 500)}) == 499
    assert len({draw_header(each) for each in range(1, 500)}) == 499
