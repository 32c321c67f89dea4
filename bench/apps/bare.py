"""The limit of every redirect: an application that knows one answer, served exactly as the product is served."""

from typing import Any

from apps import serving

TARGET = "https://example.org/articles/2026/11/a-title-of-common-length?utm_source=newsletter&utm_medium=email"

_START = {
    "type": "http.response.start",
    "status": 302,
    "headers": [(b"location", TARGET.encode()), (b"cache-control", b"no-store"), (b"content-length", b"0")],
}
_BODY = {"type": "http.response.body", "body": b"", "more_body": False}


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await send(_START)
    await send(_BODY)


def create() -> Any:
    return serving.application(_answer)


if __name__ == "__main__":
    serving.serve("apps.bare:create")
