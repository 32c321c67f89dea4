"""The values of vectors.json, to which clients in every language are held, hold for this one."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tenfold.contracts.messages import backup
from tenfold.contracts.messages.crypto import Forged, verify
from tenfold.contracts.messages.entities import device_text, key_text
from tenfold.contracts.messages.files import FileBroken, Sealed, seal, unseal
from tenfold.contracts.messages.safety import safety_number

VECTORS: Any = msgspec.json.decode(Path(__file__).with_name("vectors.json").read_bytes())
bytes_of = base64.b64decode


def sealed_of(case: Any) -> Sealed:
    return Sealed(bytes_of(case["sealed"]), case["key"], case["iv"], case["sha256"], case["part"])


@pytest.mark.parametrize("case", VECTORS["files"]["cases"], ids=lambda case: case["what"])
def test_files(case: Any) -> None:
    plain, sealed = bytes_of(case["plain"]), sealed_of(case)
    assert seal(plain, key=bytes_of(case["key"]), iv=bytes_of(case["iv"]), part=case["part"]) == sealed
    assert unseal(sealed) == plain


def test_a_large_file() -> None:
    case = VECTORS["files"]["large"]
    plain = bytes(n % 251 for n in range(case["size"]))
    sealed = seal(plain, key=bytes_of(case["key"]), iv=bytes_of(case["iv"]))
    assert (sealed.sha256, sealed.part) == (case["sha256"], case["part"])


@pytest.mark.parametrize("case", VECTORS["broken_files"]["cases"], ids=lambda case: case["what"])
def test_broken_files(case: Any) -> None:
    with pytest.raises(FileBroken):
        unseal(sealed_of(case))


@pytest.mark.parametrize("case", VECTORS["safety_numbers"]["cases"], ids=lambda case: case["what"])
def test_safety_numbers(case: Any) -> None:
    one, other = [(each["account"], each["keys"]) for each in (case["one"], case["other"])]
    assert safety_number(one, other) == safety_number(other, one) == case["number"]


def test_signatures() -> None:
    case = VECTORS["signatures"]
    key, device, prekey = case["signing_key"], case["device"], case["prekey"]
    texts = (
        (device_text(device["account"], case["identity_key"], key), device),
        (key_text(case["identity_key"], prekey["id"], prekey["key"]), prekey),
    )
    for text, told in texts:
        assert text.decode() == told["text"]
        verify(key, text, told["signature"])
        with pytest.raises(Forged):
            verify(key, text + b" ", told["signature"])


def test_backups() -> None:
    case = VECTORS["backups"]
    key, part = bytes_of(case["key"]), bytes_of(case["part"])
    assert backup.open_head(case["passphrase"], case["head"]) == key
    with pytest.raises(backup.WrongPassphrase):
        backup.open_head(case["wrong_passphrase"], case["head"])
    opened = list(backup.open_part(key, case["version"], case["number"], part))
    assert opened == [line.encode() for line in case["lines"]]
    for version, number in ((case["version"] + 1, case["number"]), (case["version"], case["number"] + 1)):
        with pytest.raises(backup.BackupBroken):
            backup.open_part(key, version, number, part)
