"""What a process says about itself: logs with request ids, Prometheus metrics, and traces where an endpoint is set."""

import asyncio
import logging
import os
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import structlog
from structlog.contextvars import bound_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from tenfold.platform.settings import Settings

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer
    from prometheus_client import Counter, Gauge, Histogram

#: Seconds from reading plain numbers to reading them again.
SAMPLE = 1.0
#: Kinds of requests that are told apart; routes beyond that are "other". Templates are few, this is for mistakes.
MOST_ROUTES = 2_000
#: Seconds; the case studies ask for 10 ms to 2 s.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_SECRET_NAME = re.compile(r"passw|secret|token|authorization|cookie|api_?key|credential", re.IGNORECASE)
_SECRET_IN_URL = re.compile(r"(://[^\s/:@]*:)[^\s@]+@")


# Logs


def configure(settings: Settings) -> None:
    """Set up logs, and traces where there is an endpoint for them. Once a process, before its work begins."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,  # plain: prettier ones show local variables, and with them secrets
        _hide_secrets,
    ]
    render: Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    # Libraries log through the standard library; their lines look like ours.
    handler = logging.StreamHandler(sys.stderr)
    plain = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[plain, render]))
    logging.root.handlers = [handler]
    logging.root.setLevel(max(level, logging.INFO))
    for noisy in ("httpx", "httpcore", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if settings.otlp_endpoint:
        _start_tracing(settings.otlp_endpoint)


def _hide_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if _SECRET_NAME.search(name) and not isinstance(value, (int, float)):  # numbers of tokens are no secret
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = _SECRET_IN_URL.sub(r"\1***@", value)
    return event


# Metrics


@dataclass(slots=True)
class _Source:
    """An object whose plain numbers are read, and where they go."""

    numbers: object
    counters: dict[str, "Counter"] = field(default_factory=dict)
    gauges: dict[str, "Gauge"] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)


_sources: dict[tuple[str, ...], _Source] = {}


def watch(part: str, numbers: object, *, counters: str = "", gauges: str = "", **labels: str) -> None:
    """Show attributes of an object, named with spaces between, as tenfold_{part}_{attribute}, once a second.

    An attribute that counts costs its owner `self.hits += 1`, a tenth of what a metric costs. Whoever comes later with
    the same part and labels takes the place of who was there: its count goes on from what has been counted.
    """
    source = _Source(numbers)
    for name in counters.split():
        source.counters[name] = _with_labels(_counter(f"tenfold_{part}_{name}", tuple(sorted(labels))), labels)
    for name in gauges.split():
        source.gauges[name] = _with_labels(_gauge(f"tenfold_{part}_{name}", tuple(sorted(labels))), labels)
    _sources[part, *(f"{name}={labels[name]}" for name in sorted(labels))] = source


def sample() -> None:
    """Read all watched numbers now."""
    for source in _sources.values():
        for name, counter in source.counters.items():
            value = getattr(source.numbers, name)
            counter.inc(max(0, value - source.last.get(name, 0)))
            source.last[name] = value
        for name, gauge in source.gauges.items():
            gauge.set(getattr(source.numbers, name))


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """While a process runs: read the watched numbers every second; in the end, once more, and send the last spans."""

    async def keep_sampling() -> None:
        while True:
            await asyncio.sleep(SAMPLE)
            sample()

    task = asyncio.create_task(keep_sampling())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        sample()
        if _provider is not None:
            await asyncio.to_thread(_provider.force_flush, 5_000)


def observe_request(system: str, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request that has been answered. `route` is a template such as /api/links/{code}, never a path."""
    if method not in _METHODS:
        method = "OTHER"
    key = system, method, route, f"{status // 100}xx"
    try:
        counter, histogram = _requests[key]
    except KeyError:
        if len(_requests) >= MOST_ROUTES:
            key = system, method, "other", key[3]
        requests = _counter("tenfold_requests", ("system", "method", "route", "status"))
        counter, histogram = requests.labels(*key), _seconds().labels(system, key[2])
        _requests[key] = counter, histogram
    counter.inc()
    histogram.observe(seconds)


def observe(part: str, seconds: float, **labels: str) -> None:
    """Add a time to the histogram tenfold_{part}_seconds."""
    _times(part, tuple(sorted(labels))).labels(**labels).observe(seconds)


def render_metrics() -> tuple[bytes, str]:
    """The metrics of this process, or of all that share PROMETHEUS_MULTIPROC_DIR, and their content type."""
    from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    sample()
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


_requests: dict[tuple[str, str, str, str], tuple["Counter", "Histogram"]] = {}


# The library decides when it is imported whether processes share their metrics, so that waits for the first metric.


@cache
def _counter(name: str, labels: tuple[str, ...]) -> "Counter":
    from prometheus_client import Counter

    return Counter(name, name.replace("_", " "), labels)


@cache
def _gauge(name: str, labels: tuple[str, ...]) -> "Gauge":
    from prometheus_client import Gauge

    return Gauge(name, name.replace("_", " "), labels, multiprocess_mode="livesum")


@cache
def _seconds() -> "Histogram":
    from prometheus_client import Histogram

    return Histogram("tenfold_request_seconds", "time to answer", ("system", "route"), buckets=BUCKETS)


@cache
def _times(part: str, labels: tuple[str, ...]) -> "Histogram":
    from prometheus_client import Histogram

    return Histogram(f"tenfold_{part}_seconds", part.replace("_", " "), labels, buckets=BUCKETS)


def _with_labels[M: ("Counter", "Gauge")](metric: M, labels: Mapping[str, str]) -> M:
    return metric.labels(**labels) if labels else metric


# Requests


async def traced(
    app: "ASGIApp", system: str, scope: "Scope", headers: Mapping[bytes, bytes], receive: "Receive", send: "Send"
) -> None:
    """Answer a request with an id that its log lines and its response carry, within a span, and observe it.

    The id and the trace are the caller's where it has sent an X-Request-Id or a traceparent that can be read.
    """
    method = scope["method"]  # type: ignore[typeddict-item]  # of a request; a WebSocket has none
    request_id = headers.get(b"x-request-id", b"")
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = secrets.token_hex(8).encode()
    began = time.perf_counter()
    status = 500

    async def answer(message: "Message") -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
        await send(message)

    parent = {"traceparent": headers.get(b"traceparent", b"").decode("latin-1")} if _tracer else None
    with bound_contextvars(request_id=request_id.decode()), span(method, parent=parent, server=True) as current:
        try:
            await app(scope, receive, answer)
        finally:
            route = str(scope.get("path_template") or "other")
            if current is not None:
                current.update_name(f"{method} {route}")
                current.set_attributes(
                    {"http.request.method": method, "http.route": route, "http.response.status_code": status}
                )
            observe_request(system, method, route, status, time.perf_counter() - began)


# Traces

_tracer: "Tracer | None" = None
_provider: "TracerProvider | None" = None


class _NoSpan:
    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, __: object, ___: object) -> None:  # not *_, whose tuple would cost more than all else
        return None


_NO_SPAN = _NoSpan()


def span(
    name: str,
    attributes: Mapping[str, str | int | float | bool] | None = None,
    *,
    parent: Mapping[str, str] | None = None,
    server: bool = False,
) -> AbstractContextManager["Span | None"]:
    """Measure what happens inside, where traces are on. `parent` is what `trace_headers` gave to somebody else."""
    if _tracer is None:
        return _NO_SPAN
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract(parent) if parent else None
    kind = SpanKind.SERVER if server else SpanKind.INTERNAL
    return _tracer.start_as_current_span(name, context, kind, attributes)


def trace_headers() -> dict[str, str]:
    """What to send along so that the receiver's spans belong to this trace (W3C traceparent); empty without traces."""
    headers: dict[str, str] = {}
    if _tracer is not None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(headers)
    return headers


def _start_tracing(endpoint: str) -> None:
    global _tracer, _provider
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    url = endpoint if endpoint.endswith("/v1/traces") else f"{endpoint.rstrip('/')}/v1/traces"
    _provider = TracerProvider(resource=Resource.create({"service.name": "tenfold"}))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
    _tracer = _provider.get_tracer("tenfold")
