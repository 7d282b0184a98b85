"""Errors of the task builder; str() of each is one line for the user."""

from __future__ import annotations


class TaskBuilderError(Exception):
    """A task cannot be built."""


class InvalidRequestError(TaskBuilderError):
    """The request asks for something that cannot be."""


class ModelError(TaskBuilderError):
    """The model cannot be loaded."""


class ArtifactError(TaskBuilderError):
    """Plans or checkpoints cannot be made."""


class StorageError(TaskBuilderError):
    """A blob cannot be read or written."""


class TaskManagementError(TaskBuilderError):
    """Task management did not do what it was asked."""


def one_line(problem: object, limit: int = 500) -> str:
    """The first line of a message of somebody else, in printable characters."""
    line = next((line for line in str(problem).splitlines() if line.strip()), "" if isinstance(problem, str) else type(problem).__name__)
    text = "".join(character if character.isprintable() else "?" for character in line.strip())
    return text if len(text) <= limit else text[:limit] + "..."
