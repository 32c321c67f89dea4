"""`tenfold up`: engines, models, web and worker processes as children of one process, which keeps them running."""

from tenfold.platform.supervisor.files import Progress, read_progress
from tenfold.platform.supervisor.parts import memory
from tenfold.platform.supervisor.state import running, status
from tenfold.platform.supervisor.supervisor import down, up

__all__ = ["Progress", "down", "memory", "read_progress", "running", "status", "up"]
