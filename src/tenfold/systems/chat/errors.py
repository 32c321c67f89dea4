"""What can be wrong with chat."""

from tenfold.platform import errors


class ModelNotFound(errors.NotFound):
    """There is no model {model}."""


class BudgetSpent(errors.TenfoldError):
    """The {tokens} tokens of today are used up. There are more tomorrow, or with another plan."""

    status = 429


class ThreadNotFound(errors.NotFound):
    """There is no such conversation."""


class MessageNotFound(errors.NotFound):
    """There is no such message."""


class FileNotFound(errors.NotFound):
    """There is no such file, or another conversation has it."""


class FilesFull(errors.Conflict):
    """Your files may take {most} MB together. Delete a conversation that has some."""


class FileEmpty(errors.Invalid):
    """There is nothing in this file."""


class FileRefused(errors.Invalid):
    """I can't help with what this file says. It wasn't kept; people will look at whether this was right."""


class TooManyAnswers(errors.TenfoldError):
    """{most} answers are being written for you already. Wait for one of them, or stop it."""

    status = 429


class QuestionTooLong(errors.TenfoldError):
    """This question has about {tokens} tokens with what belongs to it, and the model takes {most}. Make it shorter."""

    status = 413


class ThreadFull(errors.Conflict):
    """This conversation has {most} messages, and takes no more. Begin a new one."""


class KeyReused(errors.Invalid):
    """This Idempotency-Key has come with another question. Give each question a key of its own."""
