"""Calls of tools by models that write them as text.

A model that was taught to call tools in one form is asked for them in another by its template, and small ones fall back
to plain JSON: `{"name": ..., "arguments": ...}`, fenced, tagged or bare. llama.cpp then passes it on as content, and
takes `tool_choice` without holding the model to it (ggml-org/llama.cpp, issue 27217). So the text is read here, and
where a call must come, a schema leaves the model nothing else to write.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from json import JSONDecodeError, JSONDecoder
from typing import Any

import msgspec

#: What a call may be wrapped in, and what is left of it when the call is taken out.
_OPENERS = ("<tool_call>", "<tools>", "```json", "```")
_WRAPPED = re.compile(r"(?:<(tool_call|tools)>|```(?:json)?)\s*(?:</\1>|```)")
#: How a call begins, and what models call its arguments.
_KEYS = ('"name"', '"function"', '"type"', '"arguments"', '"parameters"', '"id"')
_ARGUMENTS = ("arguments", "parameters")
#: Braces of an answer that are tried.
MOST_TRIED = 500
_json = JSONDecoder()


class _Function(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Tool(msgspec.Struct):
    function: _Function


class _Choice(msgspec.Struct):
    function: _Function


class Call(msgspec.Struct, frozen=True):
    """A tool that the model wants called; its arguments are JSON."""

    name: str
    arguments: str

    def encoded(self, index: int | None = None) -> dict[str, object]:
        """As the API has it; pieces of a stream say which call they are of."""
        function = {"name": self.name, "arguments": self.arguments}
        call: dict[str, object] = {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
        return call if index is None else {"index": index, **call}


def offered(body: Mapping[str, Any]) -> Sequence[str]:
    """The names of the tools that an answer may call. What is no list of functions offers none."""
    if body.get("tool_choice") == "none" or (body.get("n") or 1) != 1:
        return ()
    return [tool.function.name for tool in _tools(body)]


def forced(body: Mapping[str, Any]) -> dict[str, object]:
    """The same request for an endpoint that isn't held to `tool_choice`: it can write nothing but calls."""
    choice = body.get("tool_choice")
    if choice is None or choice in ("auto", "none"):
        return dict(body)
    tools = _tools(body)
    if choice != "required":
        try:
            wanted = msgspec.convert(choice, _Choice).function.name
        except msgspec.ValidationError:
            return dict(body)
        tools = [tool for tool in tools if tool.function.name == wanted]
    if not tools:
        return dict(body)
    calls = [_schema(tool.function) for tool in tools]
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    form = {"type": "json_schema", "json_schema": {"name": "call", "strict": True, "schema": schema}}
    lines = "\n".join(msgspec.json.encode(tool.function).decode() for tool in tools)
    # The template would describe the tools, but llama.cpp refuses a schema beside them.
    told, messages = f"{_TOLD}\n{lines}", list(body["messages"])
    if messages and messages[0].get("role") == "system" and isinstance(messages[0].get("content"), str):
        told = f"{messages.pop(0)['content']}\n\n{told}"
    rest = {name: value for name, value in body.items() if name not in ("tools", "tool_choice", "parallel_tool_calls")}
    return {**rest, "messages": [{"role": "system", "content": told}, *messages], "response_format": form}


_TOLD = 'Answer by calling a function, as JSON: {"name": ..., "arguments": {...}}. The functions, with JSON schemas:'


def _schema(function: _Function) -> dict[str, object]:
    arguments = function.parameters or {"type": "object"}
    properties = {"name": {"const": function.name}, "arguments": arguments}
    return {
        "type": "object",
        "properties": properties,
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _tools(body: Mapping[str, Any]) -> list[_Tool]:
    try:
        return msgspec.convert(body.get("tools") or [], list[_Tool])
    except msgspec.ValidationError:
        return []


def read(text: str, names: Sequence[str]) -> tuple[str, list[Call]]:
    """What an answer says beside its calls, and these. Without a call of a tool in `names` that is all of the text."""
    calls: list[Call] = []
    rest, at, tried = "", 0, 0
    while (begin := text.find("{", at)) >= 0 and tried < MOST_TRIED:
        tried += 1
        try:
            found, end = _json.raw_decode(text, begin)
        except (JSONDecodeError, RecursionError):
            found, end = None, begin + 1
        call = _call(found, names)
        rest += text[at : begin if call else end]
        at = end
        if call is not None:
            calls.append(call)
    if not calls:
        return text, []
    rest += text[at:]
    return _WRAPPED.sub("", re.sub(r"\[[\s,]*\]", "", rest)).strip(" \n,;"), calls


def _call(found: object, names: Sequence[str]) -> Call | None:
    if isinstance(found, dict) and isinstance(inner := found.get("function"), dict):
        found = inner
    if not isinstance(found, dict) or found.get("name") not in names:
        return None
    arguments: object = next((found[each] for each in _ARGUMENTS if each in found), {})
    if isinstance(arguments, str):  # as the API itself has them
        try:
            arguments = msgspec.json.decode(arguments)
        except msgspec.DecodeError:
            return None
    if not isinstance(arguments, dict):
        return None
    return Call(found["name"], msgspec.json.encode(arguments).decode())


class Reader:
    """Takes an answer in pieces, and keeps back what may turn out to be a call."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._held = ""

    def take(self, text: str) -> str:
        """What can be shown now."""
        self._held += text
        at = _begin(self._held)
        shown, self._held = self._held[:at], self._held[at:]
        return shown

    def end(self) -> tuple[str, list[Call]]:
        """What is left to be shown, and the calls."""
        return read(self._held, self._names)


def _begin(text: str) -> int:
    """Where the first thing begins that may be a call, or be going to be one."""
    for found in re.finditer(r"[{<`\[]", text):
        if _may_call(text[found.start() :]):
            return found.start()
    return len(text)


def _may_call(text: str) -> bool:
    for opener in _OPENERS:
        if opener.startswith(text):
            return True
        if text.startswith(opener):
            text = text[len(opener) :].lstrip()
            break
    text = text.removeprefix("[").lstrip()
    if not text.startswith("{"):
        return not text
    key = text[1:].lstrip()
    return any(key.startswith(name) or name.startswith(key) for name in _KEYS)
