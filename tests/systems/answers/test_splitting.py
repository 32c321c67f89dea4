"""Pieces of documents: whole, of a size, within their sections, and the same as long as their section is."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.systems.answers.engine.blocks import Blocks, row
from tenfold.systems.answers.rules.splitting import split
from tenfold.systems.answers.types.reading import BlockKind, Extract, Piece

SIZE, OVERLAP = 24, 6

_WORDS = "owl hunts at night. Quiet wings! and Mr. Hoot sees 3.5 mice? the forest, dark"
words = st.sampled_from(_WORDS.split())
sentences = st.lists(words, min_size=1, max_size=60).map(" ".join)
lines = st.lists(sentences, min_size=1, max_size=8)
bodies = st.one_of(
    st.tuples(st.just("paragraph"), sentences),
    st.tuples(st.just("code"), lines.map("\n\n".join)),
    st.tuples(st.just("list"), lines.map("\n".join)),
    st.tuples(st.just("table"), lines.map(lambda rows: "\n".join(row([each[:40], "x"]) for each in rows))),
    st.tuples(st.just("paragraph"), st.text("ab", min_size=100, max_size=300)),
)
sections = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["Owls", "Voice", "Nests"]), st.lists(bodies, max_size=4)), max_size=5
)
type Section = tuple[int, str, list[tuple[BlockKind, str]]]


def count(text: str) -> int:
    """A token a word, and one for each ten letters of a longer one."""
    return sum(1 + len(word) // 10 for word in text.split())


def document(made: list[Section]) -> Extract | None:
    blocks = Blocks(1_000_000)
    for level, name, inner in made:
        blocks.add("heading", name, level=level)
        for kind, text in inner:
            blocks.add(kind, text)
    return blocks.extract("text") if len(blocks) else None


def pieces(made: list[Section]) -> list[Piece]:
    whole = document(made)
    return [] if whole is None else split(whole, count, SIZE, OVERLAP)


@settings(deadline=None)
@given(sections)
def test_all_that_is_said_is_in_a_piece_of_the_size(made: list[Section]) -> None:
    whole = document(made)
    if whole is None:
        return
    covered: set[int] = set()
    for each in split(whole, count, SIZE, OVERLAP):
        assert each.text
        assert each.tokens >= 1
        if each.summary:
            continue
        assert each.text.endswith(whole.text[each.start : each.end])
        header = each.text.removesuffix(whole.text[each.start : each.end])
        assert not header or header.startswith("| ")
        assert count(each.text) <= SIZE + count(header)
        covered.update(range(each.start, each.end))
    for block in whole.blocks:
        if block.kind != "heading":
            missing = [at for at in range(block.start, block.end) if at not in covered]
            assert "".join(whole.text[at] for at in missing).strip() == ""


@settings(deadline=None)
@given(sections)
def test_neighbours_share_little_and_go_on(made: list[Section]) -> None:
    own = [each for each in pieces(made) if not each.summary]
    whole = document(made)
    for before, after in pairwise(own):
        assert after.start > before.start
        assert after.end > before.end
        if after.start < before.end:
            assert whole is not None
            assert after.headings == before.headings
            assert count(whole.text[after.start : before.end]) <= OVERLAP


@settings(deadline=None)
@given(sections, st.data())
def test_a_change_in_a_section_is_of_no_concern_to_the_others(made: list[Section], data: st.DataObject) -> None:
    if not made:
        return
    # A heading of its own for each, so that what a piece belongs to is seen in it.
    made = [(1, f"Part {number}", inner) for number, (_, _, inner) in enumerate(made)]
    at = data.draw(st.integers(0, len(made) - 1))
    changed = [*made[:at], (1, f"Part {at}", [("paragraph", "Something else."), *made[at][2]]), *made[at + 1 :]]

    def others(of: list[Section]) -> list[tuple[str, list[str], bool]]:
        return [(each.text, each.headings, each.summary) for each in pieces(of) if each.headings != [f"Part {at}"]]

    assert others(made) == others(changed) or all(not inner for _, _, inner in made)


def test_headings_are_those_above() -> None:
    made: list[Section] = [
        (1, "Owls", [("paragraph", "Intro.")]),
        (3, "Deep", [("paragraph", "Deeper.")]),
        (2, "Voice", [("paragraph", "Hoot.")]),
        (1, "Mice", [("paragraph", "Squeak.")]),
    ]
    assert [(each.headings, each.text) for each in pieces(made)] == [
        (["Owls"], "Intro."),
        (["Owls", "Deep"], "Deeper."),
        (["Owls", "Voice"], "Hoot."),
        (["Mice"], "Squeak."),
    ]


def test_a_table_repeats_its_header_and_code_is_cut_where_it_breathes() -> None:
    table = "\n".join([row(["kind", "weight"]), *(row([f"owl {n}", f"{n} g"]) for n in range(12))])
    parts = pieces([(1, "T", [("table", table)])])
    assert len(parts) > 1
    assert all(each.text.startswith("| kind | weight |") for each in parts)
    code = "\n\n".join(f"def f{n}():\n    return {n} + {n}" for n in range(12))
    for each in pieces([(1, "C", [("code", code)])]):
        assert each.text.startswith("def")


def test_sentences_end_where_they_end() -> None:
    text = "Mr. Hoot is an owl, e.g. A tawny one. It weighs 3.5 kg. " * 10
    for each in pieces([(1, "S", [("paragraph", text)])]):
        if not each.summary:
            assert each.text.startswith(("Mr. Hoot", "It weighs"))


def test_a_long_section_is_summed_up_in_its_own_words() -> None:
    about = [f"The tawny owl number {n} hunts mice in the dark forest of the north." for n in range(12)]
    text = " ".join(["Owls are birds of the night.", *about, "Unrelated prices rose again."])
    [summary] = [each for each in pieces([(1, "Owls", [("paragraph", text)])]) if each.summary]
    assert summary.text.startswith("Owls are birds of the night.")
    assert "tawny" in summary.text
    assert "prices" not in summary.text
