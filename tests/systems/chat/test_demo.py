"""The demo's conversations, and the case study's arithmetic."""

from typing import Any

import pytest

from tenfold.systems.chat.capacity import capacity
from tenfold.systems.chat.demo import CONVERSATIONS, demo


async def test_the_demo_is_made_once_and_can_be_read(stack: Any) -> None:
    chat = stack.state("chat")
    first = await demo(chat)
    assert first.startswith(f"{len(CONVERSATIONS)} conversations")
    assert (await demo(chat)).startswith("is there already")
    client = await stack.client()
    signed_in = await client.post("/api/identity/signin", json={"name": "demo", "password": first.rpartition(" ")[2]})
    assert signed_in.status_code in (200, 201), signed_in.text
    threads = (await client.get("/chat/api/threads")).json()["items"]
    assert [each["title"] for each in threads] == [title for title, _ in reversed(CONVERSATIONS)]
    read = (await client.get(f"/chat/api/threads/{threads[-1]['id']}")).json()
    roles = [each["role"] for each in read["messages"]]
    assert roles == ["user", "assistant", "assistant", "user", "assistant"]
    assert read["messages"][3]["parent_id"] == read["messages"][2]["id"]
    assert read["thread"]["head_id"] == read["messages"][-1]["id"]
    found = (await client.get("/chat/api/threads", params={"q": "row_num"})).json()["items"]
    assert [each["title"] for each in found] == ["Window functions"]


def test_the_arithmetic_is_that_of_the_case_study() -> None:
    rows = {each.name: each.value for each in capacity()}
    assert rows["Tokens a day"] == pytest.approx(300)
    assert rows["Cost with the large model"] == pytest.approx(15)
    assert rows["Storage of conversations"] == pytest.approx(50)
    assert rows["Cost with routing and prompt caches"] < rows["Cost with routing"] < 6
    measured = {each.name: each.value for each in capacity(measured={"tokens_per_second_16": 1e3})}
    assert measured["Replicas for writing"] == 4630
