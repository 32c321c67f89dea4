"""How jobs say no, and why they end."""

from tenfold.platform.errors import Conflict, NotFound, TenfoldError


class JobMissing(NotFound):
    """There is no such job, or it isn't yours."""


class JobOver(Conflict):
    """This job has ended already."""


class TooManyJobs(Conflict):
    """You have {limit} of these jobs waiting or running already, and that is the most. Let some end first."""

    status = 429


class JobTooLarge(TenfoldError):
    """The {part} of a job has {size} bytes; at most {limit} are kept. What is bigger belongs among the blobs."""


class JobLost(TenfoldError):
    """The lease of job {id} was lost, so another process may be working on it."""


class JobTimedOut(TenfoldError):
    """This took longer than the {seconds} seconds that it may take."""


class JobKeptCrashing(TenfoldError):
    """The process that worked on this died {times} times, so it isn't tried again."""


class ConfinedFailed(TenfoldError):
    """This could not be worked on within its limits: {reason}."""

    status = 422
