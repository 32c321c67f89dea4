"""What can be set about answers: TENFOLD_ANSWERS_* or the table [answers]."""

from typing import Annotated

import msgspec

type Positive = Annotated[int, msgspec.Meta(ge=1)]
type Natural = Annotated[int, msgspec.Meta(ge=0)]


class AnswersSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    #: Who scores passages again: "learned" (no cross-encoder), "none", or the folder of any cross-encoder as ONNX.
    reranker: str = "learned"
    #: Tokens of a chunk, and those that two neighbours share.
    chunk_tokens: Positive = 512
    chunk_overlap: Natural = 50
