"""Settings from a file, from variables, and what is refused."""

from pathlib import Path

import msgspec
import pytest

from tenfold.platform.settings import TIERS, BadSettings, Endpoint, Secret, Tier, load


class Own(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: int = 3
    hosts: tuple[str, ...] = ()


def read(tmp_path: Path, text: str = "", **environ: str) -> object:
    file = tmp_path / "tenfold.toml"
    file.write_text(text)
    return load({"links": Own}, environ=environ, file=file)


def test_variables_win_over_the_file_and_that_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "tenfold.toml"
    file.write_text('port = 1000\nhost = "0.0.0.0"\n[links]\nsize = 4\nhosts = ["a"]')
    settings = load({"links": Own}, environ={"TENFOLD_PORT": "2000", "TENFOLD_LINKS_HOSTS": "b, c"}, file=file)
    assert (settings.port, settings.host, settings.workers) == (2000, "0.0.0.0", 1)
    assert settings.of(Own) == Own(4, ("b", "c"))
    assert load({"links": Own}, environ={}, file=file, port=7).port == 7


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ("prot = 1", {}, "prot"),
        ("port = 'many'", {}, "port"),
        ("[links]\nsiz = 1", {}, "siz"),
        ("", {"TENFOLD_PROT": "1"}, "prot"),
        ("", {"TENFOLD_LINKS_SIZE": "many"}, "links"),
        ("port = ", {}, "TOML"),
        ("[tiers.fast]\nmodels = 'x'", {}, "models"),
        ("[tiers.fast]\nreplicas = 0", {}, "replicas"),
        ("[[tiers.fast.endpoints]]\nurl = 'http://h/v1'\nkeys = 'x'", {}, "keys"),
        ("", {"TENFOLD_TIERS": '{"fast": {"model": 1}}'}, "model"),
        ("", {"TENFOLD_TIERS": "fast"}, "JSON"),
    ],
)
def test_what_is_unknown_or_wrong_is_named(tmp_path: Path, text: str, environ: dict[str, str], named: str) -> None:
    with pytest.raises(BadSettings, match=named):
        read(tmp_path, text, **environ)


TABLES = """
[tiers.fast]
replicas = 2
[[tiers.smart.endpoints]]
url = "https://models.example.org/v1"
key = "hush"
slots = 64
[tiers.bright]
same_as = "smart"
price_in = 0.5
"""


def test_tiers_replace_built_in_ones(tmp_path: Path) -> None:
    file = tmp_path / "tenfold.toml"
    file.write_text(TABLES)
    settings = load({}, environ={}, file=file)
    endpoint = Endpoint(url="https://models.example.org/v1", key=Secret("hush"), slots=64)
    assert settings.tier("fast") == Tier(model=TIERS["fast"].model, replicas=2), "the rest stays"
    assert settings.tier("smart") == Tier(endpoints=(endpoint,))
    assert settings.tier("code").endpoints == settings.tier("bright").endpoints == (endpoint,)
    assert settings.tier("bright").price_in == 0.5
    assert settings.tier_names == ["fast", "smart", "code", "embed", "bright"]
    assert "hush" not in repr(settings)
    environ = {"TENFOLD_TIERS": '{"fast": {"model": "smollm2-135m", "slots": "2"}}', "TENFOLD_PULL_MODELS": "false"}
    settings = load({}, environ=environ, file=file)
    assert settings.tier("fast") == Tier(model="smollm2-135m", slots=2)
    assert not settings.pull_models
    with pytest.raises(BadSettings, match="no tier other"):
        settings.tier("other")


def test_tiers_that_are_the_same_lead_to_one_model() -> None:
    small = '{"fast": {"model": "smollm2-135m", "context": 512}, "smart": {"same_as": "fast"}}'
    settings = load({}, environ={"TENFOLD_TIERS": small})
    assert (settings.tier("code").same_as, settings.tier("code").context) == ("fast", 512)
    with pytest.raises(BadSettings, match="a is the same as b is the same as a"):
        load({}, environ={"TENFOLD_TIERS": '{"a": {"same_as": "b"}, "b": {"same_as": "a"}}'})
    with pytest.raises(BadSettings, match="no tier missing"):
        load({}, environ={"TENFOLD_TIERS": '{"a": {"same_as": "missing"}}'})


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    settings = load({}, environ={"TENFOLD_SECRET": "hush", "TENFOLD_DATABASE_URL": "postgresql://u:hush@h/d"})
    assert "hush" not in repr(settings) + str(settings)
    assert settings.secret == Secret("hush")
    assert settings.key("one") != settings.key("two")
    assert len(settings.key("one")) == 32


def test_without_a_secret_there_are_no_keys() -> None:
    with pytest.raises(BadSettings, match="TENFOLD_SECRET"):
        load({}, environ={}).key("one")
