"""Models that run here: which there are, where they come from, and how they get onto this machine, whole."""

from tenfold.platform.models.errors import ModelCorrupt, ModelUnavailable, NoRoom, NoSuchModel
from tenfold.platform.models.manifest import MANIFEST, Hub, Model, ModelFile, Source, Wheel, Wheels
from tenfold.platform.models.models import Models

__all__ = [
    "MANIFEST",
    "Hub",
    "Model",
    "ModelCorrupt",
    "ModelFile",
    "ModelUnavailable",
    "Models",
    "NoRoom",
    "NoSuchModel",
    "Source",
    "Wheel",
    "Wheels",
]
