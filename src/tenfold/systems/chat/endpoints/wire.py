"""What goes over the wire of the OpenAI API, and the bounds of it."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tenfold.platform.inference import Usage

#: Characters of a message, and of a piece of one that is an image.
MOST_TEXT, MOST_IMAGE = 400_000, 14_000_000

type Text = Annotated[str, Meta(max_length=MOST_TEXT)]
type Name = Annotated[str, Meta(max_length=256)]
type Share = Annotated[float, Meta(ge=0, le=1)]
type Penalty = Annotated[float, Meta(ge=-2, le=2)]


class _Wish(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    pass


class ImageUrl(_Wish):
    url: Annotated[str, Meta(max_length=MOST_IMAGE)]
    detail: Name | None = None


class Part(_Wish):
    """A piece of a message: text or an image."""

    type: Literal["text", "image_url", "refusal"]
    text: Text | None = None
    image_url: ImageUrl | None = None
    refusal: Text | None = None


class Called(_Wish):
    name: Name
    arguments: Text


class ToolCall(_Wish):
    id: Name
    function: Called
    type: Literal["function"] = "function"
    index: int | None = None


class Message(_Wish):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[Part], Meta(max_length=64)] | None = None
    name: Name | None = None
    tool_calls: Annotated[list[ToolCall], Meta(max_length=128)] | None = None
    tool_call_id: Name | None = None
    refusal: Text | None = None


class StreamOptions(_Wish):
    include_usage: bool = False
    include_obfuscation: bool | None = None


class CompleteChat(_Wish, kw_only=True):
    """POST /v1/chat/completions. What is known and has no meaning here is taken and not passed on."""

    model: Name
    messages: Annotated[list[Message], Meta(min_length=1, max_length=2000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=131_072)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1, le=131_072)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Share | None = None
    n: Annotated[int, Meta(ge=1, le=8)] | None = None
    stop: Name | Annotated[list[Name], Meta(max_length=4)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Annotated[dict[str, float], Meta(max_length=1024)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[dict[str, Any]], Meta(max_length=128)] | None = None
    tool_choice: Name | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    # taken only:
    user: Name | None = None
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | None = None
    store: bool | None = None
    service_tier: Name | None = None
    reasoning_effort: Name | None = None
    verbosity: Name | None = None
    safety_identifier: Name | None = None
    prompt_cache_key: Name | None = None
    prompt_cache_retention: Name | None = None
    modalities: Annotated[list[Name], Meta(max_length=4)] | None = None


#: Fields of a request that are the model's business.
PASSED_ON = (
    "temperature", "top_p", "n", "stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs",
    "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "response_format",
)  # fmt: skip


class Embed(_Wish, kw_only=True):
    """POST /v1/embeddings."""

    model: Name
    input: Text | Annotated[list[Text], Meta(min_length=1, max_length=256)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: Name | None = None


class Moderate(_Wish, kw_only=True):
    """POST /v1/moderations."""

    input: Text | Annotated[list[Text | Part], Meta(min_length=1, max_length=32)]
    model: Name | None = None


class ChatCompletion(msgspec.Struct, kw_only=True):
    id: str
    created: int
    model: str
    choices: msgspec.Raw
    usage: Usage
    object: str = "chat.completion"
    system_fingerprint: str | None = None


class ChatCompletionChunk(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    created: int
    model: str
    choices: msgspec.Raw
    usage: Usage | None = None
    object: str = msgspec.field(default_factory=lambda: "chat.completion.chunk")


class Model(msgspec.Struct, kw_only=True):
    id: str
    created: int
    object: str = "model"
    owned_by: str = "tenfold"


class Models(msgspec.Struct):
    data: list[Model]
    object: str = "list"


class Embedding(msgspec.Struct):
    index: int
    #: Numbers, or 32-bit floats in base64, which a third of the bytes do for.
    embedding: list[float] | str
    object: str = "embedding"


class Embeddings(msgspec.Struct):
    model: str
    data: list[Embedding]
    usage: dict[str, int]
    object: str = "list"


class Judgement(msgspec.Struct):
    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]


class Moderations(msgspec.Struct):
    id: str
    model: str
    results: list[Judgement]


class Reason(msgspec.Struct):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Complaint(msgspec.Struct):
    """An error as this API tells it."""

    error: Reason
