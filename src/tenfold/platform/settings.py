"""Settings: typed, from TENFOLD_* variables over tenfold.toml over defaults. Unknown names are errors."""

import hashlib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_type_hints

import msgspec
from msgspec import Meta

from tenfold.platform.errors import TenfoldError

PREFIX = "TENFOLD_"


class BadSettings(TenfoldError):
    """{reason}"""


class Secret:
    """A value that is never shown. `reveal()` is the only way to it, so that each use can be found."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A server that speaks the OpenAI API."""

    #: Up to and with /v1: https://models.example.org/v1.
    url: str
    #: What it calls the model; empty: as the tier is called.
    model: str = ""
    key: Secret | None = None
    #: How much of the work it gets, beside the others of its tier.
    weight: Annotated[float, Meta(gt=0)] = 1.0
    #: Requests that it works on at once; more wait in the queue of the tier.
    slots: Annotated[int, Meta(ge=1)] = 16
    #: Whether the model takes images.
    sees: bool = False
    #: Whether it holds its model to `tool_choice`. Where it doesn't, as llama.cpp, a schema does.
    holds_to_tools: bool = True


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Models that may stand for each other: endpoints, or one of the manifest that runs here."""

    #: Of the manifest (`tenfold models list`); None: nothing runs here.
    model: str | None = None
    #: Processes that run it, requests that each works on at once, and tokens that each of these may have.
    replicas: Annotated[int, Meta(ge=1)] = 1
    slots: Annotated[int, Meta(ge=1)] = 4
    context: Annotated[int, Meta(ge=256)] = 8192
    #: A smaller model of the manifest that guesses ahead, where that measures faster.
    draft: str | None = None
    #: Another tier whose replicas serve this one too.
    same_as: str | None = None
    endpoints: tuple[Endpoint, ...] = ()
    #: Dollars a million tokens, for the ledger of costs. What runs here is free unless you say what it costs you.
    price_in: float = 0.0
    price_out: float = 0.0


#: What runs here when nothing else is set.
TIERS: Mapping[str, Tier] = {
    "fast": Tier(model="qwen2.5-coder-0.5b"),
    "smart": Tier(model="qwen2.5-coder-1.5b", slots=2),
    "code": Tier(same_as="smart"),
    "embed": Tier(model="minilm"),
}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a person can set. Every URL that stays None is served by an embedded engine."""

    host: str = "127.0.0.1"
    port: int = 8080
    data: Path = Path("var")
    #: The address people see, when it isn't http://localhost:{port} (behind a proxy, in production).
    public_url: str | None = None
    #: Web processes.
    workers: int = 1
    #: Processes that consume events and run schedules.
    work_processes: int = 1
    #: The systems that run here; empty means all.
    only: tuple[str, ...] = ()
    #: The master secret that every key is derived from; made on first start when engines are embedded.
    secret: Secret | None = None
    database_url: Secret | None = None
    database_replica_url: Secret | None = None
    #: Connections of one process.
    database_pool: int = 10
    #: Seconds a statement may take.
    database_timeout: float = 10.0
    valkey_url: Secret | None = None
    #: Bytes the embedded Valkey may use.
    valkey_memory: int = 512 * 1024 * 1024
    nats_url: Secret | None = None
    #: Where objects are kept, as s3://bucket or s3://bucket/prefix; None: the directory blobs in `data`.
    blobs_url: str | None = None
    #: The S3 service, when it isn't Amazon's: http://127.0.0.1:8333. Browsers must reach it by the same address.
    blobs_endpoint: str | None = None
    blobs_region: str = "us-east-1"
    #: None: what the machine is given, an instance's role or AWS_*.
    blobs_key_id: Secret | None = None
    blobs_secret: Secret | None = None
    #: Where a CDN shows what /blobs does, without a slash at the end: https://cdn.example.org.
    blobs_public_url: str | None = None
    #: Prefix of everything in Valkey, NATS and among the objects, so that several installations can share them.
    namespace: str = "tenfold"
    #: Where models are kept; None: the directory models in `data`.
    models: Path | None = None
    #: Whether `tenfold up` fetches models that are missing.
    pull_models: bool = True
    #: Tiers of language models that replace built-in ones, by name.
    tiers: dict[str, Tier] = {}
    #: Requests that may wait for a model, of one tier and of one caller there, and how many seconds each at most.
    inference_queue: int = 500
    inference_queue_each: int = 100
    inference_patience: float = 60.0
    #: How much weight of long jobs one process works on at once (a usual job weighs 1), and how many of kinds by name.
    jobs_at_once: Annotated[float, Meta(ge=1)] = 4.0
    jobs_of_kind: dict[str, Annotated[int, Meta(ge=0)]] = {}
    #: Jobs that an account may have waiting and running, a queue.
    jobs_per_account: Annotated[int, Meta(ge=1)] = 200
    #: Seconds of waiting that make up for one level of priority.
    jobs_aging: Annotated[float, Meta(gt=0)] = 300.0
    #: Seconds that a job is shown after its end.
    jobs_kept: float = 14 * 24 * 3600.0
    #: How long events stay replayable, in seconds, and how much disk they may take, in bytes, a system.
    events_max_age: int = 3 * 24 * 3600
    events_max_bytes: int = 1024**3
    #: Where traces go (OTLP over HTTP); None: no traces.
    otlp_endpoint: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    #: Proxies whose X-Forwarded-For is believed, as networks.
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    #: Set to share a sign-in among hosts, e.g. "example.org".
    cookie_domain: str | None = None
    #: Bytes of a request's body, where a route doesn't say otherwise.
    max_body: int = 1024 * 1024
    #: Rates that replace built-in limits, by name: {"links.create.free": "100/minute"}.
    limits: dict[str, str] = {}
    #: One table a system, typed by that system.
    systems: dict[str, msgspec.Struct] = {}

    def of[S: msgspec.Struct](self, kind: type[S]) -> S:
        """The settings of one system, by their type."""
        for own in self.systems.values():
            if isinstance(own, kind):
                return own
        return kind()

    def key(self, purpose: str) -> bytes:
        """32 bytes for one purpose, derived from the master secret.

        Raises BadSettings where there is no secret.
        """
        if self.secret is None:
            raise BadSettings(reason=f"{PREFIX}SECRET is not set, and no embedded engines have made one.")
        return hashlib.blake2b(purpose.encode(), key=self.secret.reveal().encode()[:64], digest_size=32).digest()

    @property
    def tier_names(self) -> list[str]:
        return [*{**TIERS, **self.tiers}]

    def tier(self, name: str) -> Tier:
        """What a tier is; one that is the same as others has the endpoints and the context of the last of them.

        Raises BadSettings.
        """
        tier = last = self._named(name)
        path = [name]
        while last.same_as is not None:
            path.append(last.same_as)
            if last.same_as in path[:-1]:
                raise BadSettings(reason=f"tiers: {' is the same as '.join(path)}, and none of them has a model.")
            last = self._named(last.same_as)
        if last is tier:
            return tier
        return msgspec.structs.replace(tier, same_as=path[-1], endpoints=last.endpoints, context=last.context)

    def _named(self, name: str) -> Tier:
        tier = self.tiers.get(name) or TIERS.get(name)
        if tier is None:
            raise BadSettings(reason=f"tiers: there is no tier {name}.")
        return tier

    @property
    def models_directory(self) -> Path:
        return self.models or self.data / "models"

    @property
    def address(self) -> str:
        """Where a person finds the product, without a slash at the end."""
        return (self.public_url or f"http://localhost:{self.port}").rstrip("/")


def load(
    system_settings: Mapping[str, type[msgspec.Struct]],
    *,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
    **overrides: Any,
) -> Settings:
    """Read the settings; what is given by name wins over variables, those over the file.

    Raises BadSettings, naming the variable or the key that is unknown or of the wrong type.
    """
    environ = os.environ if environ is None else environ
    file = file or Path(environ.get(f"{PREFIX}CONFIG", "tenfold.toml"))
    values: dict[str, Any] = {}
    own: dict[str, dict[str, Any]] = {name: {} for name in system_settings}
    if file.is_file():
        try:
            table = tomllib.loads(file.read_text())
        except tomllib.TOMLDecodeError as error:
            raise BadSettings(reason=f"{file} is not TOML: {error}") from error
        for name, value in table.items():
            if name in own and isinstance(value, dict):
                own[name] |= value
            else:
                values[name] = value
    hints = get_type_hints(Settings)
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == f"{PREFIX}CONFIG":
            continue
        name = variable.removeprefix(PREFIX).lower()
        system = next((s for s in own if name.startswith(f"{s}_") and name not in hints), None)
        if system is not None:
            field = name.removeprefix(f"{system}_")
            own[system][field] = _parse(get_type_hints(system_settings[system]).get(field), text)
        else:
            values[name] = _parse(hints.get(name), text)
    values |= {name: value for name, value in overrides.items() if value is not None}
    if "systems" in values:
        raise BadSettings(reason="systems can't be set as a whole; each system has a table of its own.")
    if isinstance(tiers := values.get("tiers"), dict):
        values["tiers"] = {name: _completed(name, given) for name, given in tiers.items()}
    systems = {name: _convert(own[name], kind, f"[{name}] ") for name, kind in system_settings.items()}
    settings = msgspec.structs.replace(_convert(values, Settings, ""), systems=systems)
    for name in settings.tier_names:
        settings.tier(name)  # what is wrong is said here, once, and not by every process
    return settings


def _parse(hint: object, text: str) -> object:
    """A variable is text; lists are written with commas, tables as JSON."""
    if "tuple" in str(hint):
        return [part.strip() for part in text.split(",") if part.strip()]
    if "dict" in str(hint):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise BadSettings(reason=f"{text!r} is not JSON: {error}") from error
    return text


def _completed(name: str, given: object) -> object:
    """A tier that doesn't say where answers come from is the built-in one of its name, with what it does say."""
    if name not in TIERS or not isinstance(given, dict) or given.keys() & {"model", "same_as", "endpoints"}:
        return given
    return {**msgspec.to_builtins(TIERS[name]), **given}


def _convert[T](values: dict[str, Any], kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        reason = str(error).replace("Object contains unknown field", "there is no setting")
        raise BadSettings(reason=f"Settings: {where}{reason}") from error


def _decode(kind: type, value: object) -> object:
    if isinstance(value, kind):
        return value
    if issubclass(kind, (Secret, Path)):
        return cast("type[Any]", kind)(str(value))
    raise NotImplementedError(f"{kind} can't be a setting")
