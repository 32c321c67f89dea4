"""Language models for all systems: tiers of OpenAI-compatible endpoints, a fair queue, failover among replicas."""

from tenfold.platform.inference.inference import Inference, open_inference
from tenfold.platform.inference.types import (
    Chunk,
    Completion,
    InferenceBusy,
    InferenceFailed,
    InferenceRefused,
    NoSuchTier,
    Queued,
    ReplicaState,
    Usage,
)

__all__ = [
    "Chunk",
    "Completion",
    "Inference",
    "InferenceBusy",
    "InferenceFailed",
    "InferenceRefused",
    "NoSuchTier",
    "Queued",
    "ReplicaState",
    "Usage",
    "open_inference",
]
