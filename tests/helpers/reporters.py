"""Reporters that remember what they are told."""

from dataclasses import dataclass, field

from facevc_cli.core.progress import SilentReporter


class Notes(SilentReporter):
    """Keeps the notes, and the items that were skipped."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.skipped: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def skip(self, item: str) -> None:
        self.skipped.append(item)


@dataclass
class Recorder:
    """A reporter that keeps the loss of every logged step, as exactly as the loop has it, and the notes."""

    losses: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def begin(self, total: int | None, unit: str, what: str) -> None: ...
    def advance(self, item: str, **figures: float | str) -> None:
        if "loss" in figures:
            self.losses[item] = float(figures["loss"])

    def skip(self, item: str) -> None: ...
    def fail(self, item: str, reason: str) -> None: ...
    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self) -> None: ...
