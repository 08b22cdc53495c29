"""`-` on the command line: stdin as a source, stdout as the output. Both use files in a temporary folder."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from facevc_cli.cli.report import write_out
from facevc_cli.core.errors import UsageError


@contextmanager
def spool_sources(sources: Sequence[str]) -> Iterator[list[str]]:
    """Yield sources to work with: each once, and a file with what came from stdin."""
    with tempfile.TemporaryDirectory() as temporary:
        yield [_read_stdin(Path(temporary)) if source == "-" else source for source in dict.fromkeys(sources)]


@contextmanager
def spool_output(output: Path) -> Iterator[Path]:
    """Yield an output to work with. At the end, also after a failure, write it to stdout if that is the output."""
    if str(output) != "-":
        yield output
        return
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "converted.wav"
        try:
            yield out
        finally:
            if out.exists():
                with open(out, "rb") as file:
                    while block := file.read(1 << 20):
                        write_out(block)


def read_text_from_stdin() -> str:
    """UsageError if there is no text in UTF-8."""
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"-: expected a text in UTF-8 on stdin, found other bytes ({error.reason}).") from error
    if not text.strip():
        raise UsageError("-: expected a text on stdin, found nothing. Send one, as in 'facevc speak - ... < text.txt'.")
    return text


def _read_stdin(folder: Path) -> str:
    path = folder / "stdin.wav"
    with open(path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    if not path.stat().st_size:
        raise UsageError(
            "-: expected a recording on stdin, found nothing. Send one, as in 'facevc convert - ... < speech.wav'."
        )
    return str(path)
