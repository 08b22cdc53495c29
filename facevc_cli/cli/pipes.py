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
def spool_pipes(sources: Sequence[str], output: Path) -> Iterator[tuple[list[str], Path]]:
    """Yield sources and output to work with. At the end, also after a failure, write the output to stdout."""
    with tempfile.TemporaryDirectory() as temporary:
        named = [_read_stdin(Path(temporary)) if source == "-" else source for source in dict.fromkeys(sources)]
        out = Path(temporary) / "converted.wav" if str(output) == "-" else output
        try:
            yield named, out
        finally:
            if out is not output and out.exists():
                with open(out, "rb") as file:
                    while block := file.read(1 << 20):
                        write_out(block)


def _read_stdin(folder: Path) -> str:
    path = folder / "stdin.wav"
    with open(path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    if not path.stat().st_size:
        raise UsageError(
            "-: expected a recording on stdin, found nothing. Send one, as in 'facevc convert - ... < speech.wav'."
        )
    return str(path)
