"""What is merged into a page, and what is hidden from it."""

from hypothesis import given
from hypothesis import strategies as st

from tenfold.systems.feed.rules import timelines as rules
from tenfold.systems.feed.types import Range

ids = st.integers(1, 60)
timelines = st.lists(st.lists(ids, max_size=40).map(sorted), max_size=4)
bound = st.none() | st.integers(0, 62)


@given(timelines, bound, bound, bound, st.integers(1, 12))
def test_a_page_is_what_sorting_everything_gives(
    merged: list[list[int]], max_id: int | None, since_id: int | None, min_id: int | None, limit: int
) -> None:
    page = Range(max_id=max_id, since_id=since_id, min_id=min_id, limit=limit)
    low, high = max(since_id or 0, min_id or 0), 1 << 63 if max_id is None else max_id
    inside = sorted({each for timeline in merged for each in timeline if low < each < high})
    expected = inside[:limit] if min_id is not None else inside[-limit:]
    assert rules.merge(map(rules.as_timeline, merged), page) == expected[::-1]


@given(timelines, st.integers(1, 7))
def test_pages_one_after_the_other_show_each_post_once(merged: list[list[int]], limit: int) -> None:
    seen: list[int] = []
    held = [rules.as_timeline(each) for each in merged]
    page = rules.merge(held, Range(limit=limit))
    while page:
        seen += page
        page = rules.merge(held, Range(limit=limit, max_id=page[-1]))
    assert seen == sorted({each for timeline in merged for each in timeline}, reverse=True)


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=50))
def test_packed_ids_are_the_same_ids(some: list[int]) -> None:
    packed = rules.pack(some)
    assert len(packed) == 8 * len(some)
    assert rules.unpack(packed).tolist() == some
    assert packed == b"".join(each.to_bytes(8, "little", signed=True) for each in some)


@given(st.sets(st.integers(1, 1 << 62), min_size=1, max_size=50), st.integers(1, 9))
def test_pieces_cover_all_followers_once(followers: set[int], size: int) -> None:
    ordered = sorted(followers)
    ranges = rules.bounds(ordered[::size])
    pieces = [[each for each in ordered if first <= each < end] for first, end in ranges]
    assert [each for piece in pieces for each in piece] == ordered
    assert all(len(piece) <= size for piece in pieces)


def test_floors_go_back_to_the_beginning() -> None:
    floors = rules.home_floors(1_800_000_000.0)
    assert floors == sorted(floors, reverse=True)
    assert floors[-1] == 0
