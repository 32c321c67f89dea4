"""Object storage: media, documents and other large things, in a directory or in any S3."""

from tenfold.platform.blobs.objects import Blob, BlobMissing, Entry, RangeUnsatisfiable, Stored, content_type, extension
from tenfold.platform.blobs.store import AddressInvalid, Blobs, open_blobs

__all__ = [
    "AddressInvalid",
    "Blob",
    "BlobMissing",
    "Blobs",
    "Entry",
    "RangeUnsatisfiable",
    "Stored",
    "content_type",
    "extension",
    "open_blobs",
]
