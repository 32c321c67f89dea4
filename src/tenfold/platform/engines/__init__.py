"""Embedded engines: PostgreSQL, Valkey, NATS, llama.cpp from their wheels, run as our children. One file an engine."""

from tenfold.platform.engines.engine import Engine, EngineFailed
from tenfold.platform.engines.llama import Llama
from tenfold.platform.engines.nats import Nats
from tenfold.platform.engines.postgres import Postgres
from tenfold.platform.engines.valkey import Valkey

__all__ = ["Engine", "EngineFailed", "Llama", "Nats", "Postgres", "Valkey"]
