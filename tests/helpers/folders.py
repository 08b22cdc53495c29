"""What the tests of folders and tables share: empty files, and a reporter that remembers."""

from pathlib import Path

from facevc_cli.core.progress import SilentReporter


class Notes(SilentReporter):
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
