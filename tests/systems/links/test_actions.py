"""What actions do without a database: tables of links, read and written."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.platform.errors import Invalid
from tenfold.systems.links.actions import tables

#: What a title may hold, with the beginnings that matter a little more often.
titles = st.builds(
    str.__add__,
    st.sampled_from(["", "'", "''", "=", "'=", "''=", "+", "-", "@", "'@"]),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20),
)


@given(titles)
def test_a_cell_is_never_a_formula_and_comes_back_as_it_was(title: str) -> None:
    cell = tables._cell(title)
    assert cell[:1] not in ("=", "+", "-", "@")
    assert tables._text(cell) in (title, title.strip())


@given(st.text(max_size=80) | st.text(max_size=80).map(lambda rest: f"url,title,tags\n{rest}"))
def test_any_text_is_a_table_or_refused(text: str) -> None:
    with contextlib.suppress(Invalid):
        for row in tables.parse_csv(text, 10):
            assert row
            assert all(value for value in row.values())


def test_a_table_names_its_columns() -> None:
    table = "code,URL, tags ,clicks,short_url,status,max_clicks,\r\nabc,https://a.example/,x;y ; ;,7,s,301,5,\r\n"
    assert tables.parse_csv(table, 1) == [
        {"url": "https://a.example/", "alias": "abc", "tags": ["x", "y"], "status": "301", "max_clicks": "5"}
    ]
    assert tables.parse_csv("url,alias,code\nhttps://a.example/,one,two\n", 1)[0]["alias"] == "one"
    with pytest.raises(Invalid) as caught:
        tables.parse_csv("url\na\nb\n", 1)
    assert caught.value.fields == {"body": "at most 1 rows a call"}
