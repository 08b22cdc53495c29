"""Progress without printing: a stage calls a `Reporter`, and a `Tally` counts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class Reporter(Protocol):
    """What a stage calls while it works. The command line shows it; tests and Python callers may ignore it."""

    def begin(self, total: int | None, unit: str, what: str) -> None: ...
    def advance(self, item: str, **figures: float | str) -> None: ...
    def skip(self, item: str) -> None: ...
    def fail(self, item: str, reason: str) -> None: ...
    def note(self, text: str) -> None: ...
    def record(self, data: dict[str, Any]) -> None: ...  # for scripts that read along
    def end(self) -> None: ...


class SilentReporter:
    """A reporter that says nothing."""

    def begin(self, total: int | None, unit: str, what: str) -> None: ...
    def advance(self, item: str, **figures: float | str) -> None: ...
    def skip(self, item: str) -> None: ...
    def fail(self, item: str, reason: str) -> None: ...
    def note(self, text: str) -> None: ...
    def record(self, data: dict[str, Any]) -> None: ...  # for scripts that read along
    def end(self) -> None: ...


SILENT: Reporter = SilentReporter()


@dataclass
class Summary:
    """What a stage did: counts, failures by item, the path of the result, and the next command.

    resumes: whether the same command again works only on what failed.
    """

    done: int = 0
    skipped: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    output: Path | None = None
    next_command: str | None = None
    resumes: bool = False
    data: dict[str, Any] = field(default_factory=dict)


class Tally:
    """Count what a stage did, and pass each event on to the reporter."""

    def __init__(self, reporter: Reporter):
        self.reporter = reporter
        self._summary = Summary()

    @property
    def failures(self) -> list[tuple[str, str]]:
        return self._summary.failures

    def complete(self, item: str, **figures: float | str) -> None:
        self._summary.done += 1
        self.reporter.advance(item, **figures)

    def skip(self, item: str) -> None:
        self._summary.skipped += 1
        self.reporter.skip(item)

    def fail(self, item: str, reason: str) -> None:
        self._summary.failures.append((item, reason))
        self.reporter.fail(item, reason)

    def summarise(
        self, output: Path | None = None, next_command: str | None = None, *, resumes: bool = False, **data: Any
    ) -> Summary:
        self.reporter.end()
        self._summary.output, self._summary.next_command, self._summary.data = output, next_command, data
        self._summary.resumes = resumes
        return self._summary


def describe_renaming(old: str, new: str) -> str:
    """The one line that somebody who uses an old name is told; the old name works as before."""
    return f"{old} is now called {new}. The old name still works."
