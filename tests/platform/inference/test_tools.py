"""Calls of tools, in the forms in which models write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.platform.inference import tools

NAMES = ["get_weather", "add"]
WEATHER = {"name": "get_weather", "arguments": {"city": "Oslo {}", "days": 2}}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
OTHER = {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (json.dumps(WEATHER), ""),
        (f"```json\n{json.dumps(WEATHER, indent=2)}\n```", ""),
        (f"<tool_call>\n{json.dumps(WEATHER)}\n</tool_call>", ""),
        (f"<tools>{json.dumps(WEATHER)}</tools>", ""),
        (f"I look it up.\n```\n{json.dumps(WEATHER)}\n```", "I look it up."),
        (json.dumps([WEATHER]), ""),
        (json.dumps({"type": "function", "function": WEATHER}), ""),
        (json.dumps({"name": "get_weather", "parameters": WEATHER["arguments"]}), ""),
        (json.dumps({"name": "get_weather", "arguments": json.dumps(WEATHER["arguments"])}), ""),
    ],
)
def test_forms_of_a_call(text: str, rest: str) -> None:
    found, [call] = tools.read(text, NAMES)
    assert found == rest
    assert call.name == "get_weather"
    assert json.loads(call.arguments) == WEATHER["arguments"]


def test_several_calls() -> None:
    second = {"name": "add", "arguments": {"a": 1}}
    for text in (
        f"{json.dumps(WEATHER)}\n{json.dumps(second)}",
        json.dumps([WEATHER, second]),
        "".join(f"<tool_call>\n{json.dumps(each)}\n</tool_call>\n" for each in (WEATHER, second)),
    ):
        rest, calls = tools.read(text, NAMES)
        assert (rest, [call.name for call in calls]) == ("", ["get_weather", "add"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It is warm in Oslo.",
        '{"name": "drop_tables", "arguments": {}}',
        '{"name": "add", "arguments": [1, 2]}',
        '{"name": "add", "arguments": "{"}',
        '{"name": "add", "arguments": {"a": 1}',
        'Python: ```python\nd = {"name": 1}\n```',
        '{"answer": {"name": "Bob"}} []',
        "{" * 5000,
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    assert tools.read(text, NAMES) == (text, [])


pieces = st.one_of(
    st.text(max_size=12),
    st.sampled_from([
        json.dumps(WEATHER), json.dumps([WEATHER]), "```json\n", "```", "<tool_call>", "</tool_call>", "{", "}", "[",
        "<", '{"name"', '{"a": 1}', "```python\n{", "\n",
    ]),
)  # fmt: skip


@given(st.lists(pieces, max_size=8), st.data())
def test_a_stream_says_what_the_whole_says(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    reader, shown, at = tools.Reader(NAMES), "", 0
    while at < len(text):
        size = data.draw(st.integers(1, 9))
        shown += reader.take(text[at : at + size])
        at += size
    rest, calls = reader.end()
    _, whole = tools.read(text, NAMES)
    assert [call.name for call in calls] == [call.name for call in whole]
    if not calls:
        assert shown + rest == text
    assert text.startswith(shown)


def test_text_that_is_no_call_is_shown_at_once() -> None:
    reader = tools.Reader(NAMES)
    assert reader.take("It is ") == "It is "
    assert reader.take("``") == ""
    assert reader.take("`python\nd = {") == "```python\nd = "
    assert reader.take('"a": 1}\n```') == '{"a": 1}\n'
    assert reader.end() == ("```", [])


def test_a_choice_leaves_nothing_but_calls() -> None:
    body = {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Oslo?"}],
        "tools": [TOOL, OTHER],
        "temperature": 0,
    }
    for choice in (None, "auto", "none", {"type": "function", "function": {"name": "unknown"}}):
        assert tools.forced({**body, "tool_choice": choice}) == {**body, "tool_choice": choice}
    named = tools.forced({**body, "tool_choice": {"type": "function", "function": {"name": "get_weather"}}})
    assert "tools" not in named
    assert named["temperature"] == 0
    assert named["messages"][0]["content"].startswith("Be brief.\n\n")  # type: ignore[index]
    schema = named["response_format"]["json_schema"]["schema"]  # type: ignore[index]
    assert schema["properties"]["name"] == {"const": "get_weather"}
    assert schema["properties"]["arguments"] == TOOL["function"]["parameters"]  # type: ignore[index]
    required = tools.forced({**body, "tool_choice": "required"})
    assert len(required["response_format"]["json_schema"]["schema"]["anyOf"]) == 2  # type: ignore[index]


def test_what_is_offered() -> None:
    assert tools.offered({"tools": [TOOL, OTHER]}) == NAMES
    assert tools.offered({"tools": [TOOL], "tool_choice": "none"}) == ()
    assert tools.offered({"tools": [TOOL], "n": 2}) == ()
    assert tools.offered({"tools": [{"type": "custom"}]}) == []
