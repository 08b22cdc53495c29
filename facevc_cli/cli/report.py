"""Shows results, progress and summaries, and sets exit codes. No other module prints.

stdout has the results, stderr everything else. With --json stdout has only the JSON.
"""

import errno
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from facevc_cli.cli.streams import drop_stdout
from facevc_cli.core.errors import FaceVCError, Interrupted, UsageError
from facevc_cli.core.progress import Reporter, Summary

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY_S = 10.0  # between progress lines off a terminal
FAILURES_SHOWN = 20
WIDTH_OF_A_PIPE = 10_000


class ConsoleReporter:
    """A progress bar on a terminal, plain lines elsewhere."""

    def __init__(self, quiet: bool = False, verbose: bool = False, json_lines: bool = False):
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self.quiet, self.verbose, self.json_lines = quiet, verbose, json_lines
        self._bar: Progress | None = None
        self._started = self._last_line = time.monotonic()
        self._count, self._unit, self._what = 0, "", ""
        self._total: int | None = None

    def begin(self, total: int | None, unit: str, what: str) -> None:
        self.end()
        self._count, self._total, self._unit, self._what = 0, total, unit, what
        self._started = self._last_line = time.monotonic()
        if self.quiet or not self.console.is_terminal:
            if not self.quiet:
                self._print(f"{what}: {total if total is not None else 'unknown number of'} {unit}")
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        # markup=False: names of files may hold brackets
        what_column, rate_column = (
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[rate]}", markup=False),
        )
        item_column = TextColumn("{task.fields[item]}", style="dim", markup=False)
        self._bar = Progress(
            what_column,
            BarColumn(),
            MofNCompleteColumn(),
            rate_column,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            item_column,
            console=self.console,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(what, total=total, item="", rate="")

    def advance(self, item: str, **figures: float | str) -> None:
        self._step(item, figures)
        if self.verbose:
            self._print(f"done  {item} {_format_figures(figures)}".rstrip())

    def skip(self, item: str) -> None:
        self._step(item, {})
        if self.verbose:
            self._print(f"skip  {item}")

    def fail(self, item: str, reason: str) -> None:
        self._step(item, {})
        if not self.quiet:
            self._print(_describe_failure(item, reason), style="red")

    def note(self, text: str) -> None:
        if not self.quiet:
            self._print(text)

    def record(self, data: dict[str, Any]) -> None:
        """Writes one line of data on stdout at once, if the user asked for lines."""
        if self.json_lines:
            write_out(json.dumps(data) + "\n")

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _step(self, item: str, figures: dict[str, float | str]) -> None:
        self._count += 1
        now = time.monotonic()
        rate = self._count / max(1e-9, now - self._started)
        if self._bar is not None:
            text = f"{rate:.3g} {self._unit}/s {_format_figures(figures)}".rstrip()
            self._bar.update(self._task, advance=1, item=item[-40:], rate=text)
        elif not self.quiet and now - self._last_line >= LINE_EVERY_S:
            self._last_line = now
            left = f", {(self._total - self._count) / rate:.0f} s left" if self._total else ""
            counted = f"{self._what}: {self._count}/{self._total or '?'} {self._unit}, {rate:.3g}/s{left}"
            self._print(f"{counted} {_format_figures(figures)} {item}".rstrip())

    def _print(self, text: str, style: str | None = None) -> None:
        self.console.print(text, style=style, markup=False)


class Results:
    """Shows the results of a command as text: on stdout, or on stderr if stdout holds JSON."""

    def __init__(self, *, on_stderr: bool = False) -> None:
        from rich.console import Console

        self._stream = sys.stderr if on_stderr else sys.stdout
        # A pipe has no width: nothing is cut or wrapped there, unless COLUMNS says so.
        width = None if self._stream.isatty() or os.environ.get("COLUMNS") else WIDTH_OF_A_PIPE
        self._console = Console(file=self._stream, width=width, highlight=False, markup=False, emoji=False)

    @property
    def width(self) -> int:
        """The width of the terminal in columns."""
        return self._console.width

    def write_line(self, text: str) -> None:
        self._write(f"{text}\n")

    def write_table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.table import Table

        drawn = Table(title=title)
        for i, column in enumerate(columns):
            drawn.add_column(column, justify="left" if i == 0 else "right")
        for row in rows:
            drawn.add_row(*row)
        with self._console.capture() as captured:
            self._console.print(drawn)
        self._write(captured.get())

    def _write(self, text: str) -> None:
        if self._stream is sys.stderr:
            sys.stderr.write(text)
        else:
            write_out(text)


def run_stage(
    stage: Callable[[Reporter], Summary],
    *,
    json_out: bool = False,
    json_lines: bool = False,
    quiet: bool = False,
    verbose: bool = False,
    debug: bool = False,
    show: Callable[[Results, Summary], None] | None = None,
) -> None:
    """Runs a stage, prints its summary, and ends the process with 0, 1, 2, or 130 (143, 129) if it was stopped.

    show: prints the result if it is not a file: on stdout, also when quiet; with `json_out` on stderr, unless quiet.
    json_lines: with `json_out`, prints one JSON object per item at once, and the summary last. Their "type" tells them
    apart.
    """
    from facevc_cli.core import stopping

    reporter = ConsoleReporter(quiet, verbose, json_out and json_lines)
    stopping.set_stop_reporter(lambda text: reporter._print(text))
    try:
        summary = stage(reporter)
        if show is not None and not (json_out and quiet):
            show(Results(on_stderr=json_out), summary)
        _print_summary(reporter, summary, json_out)
    except (KeyboardInterrupt, Interrupted) as stop:
        _exit_stopped(reporter, getattr(stop, "exit_code", 130))
    except Exception as error:
        if stopping.stop_requested() and not debug and not isinstance(error, FaceVCError):
            _exit_stopped(reporter, stopping.get_exit_code())  # a library reports that its processes were ended
        reporter.end()
        said = explain(error)
        if debug or said is None:
            raise
        reporter.console.print(f"error: {said}", style="bold red", markup=False)
        raise typer.Exit(find_exit_code(error)) from None
    finally:
        stopping.set_stop_reporter(None)
    raise typer.Exit(1 if summary.failures else 0)


def _exit_stopped(reporter: ConsoleReporter, code: int) -> NoReturn:
    from facevc_cli.core import stopping

    reporter.end()
    reporter.note(stopping.STOPPED)
    stopping.mark_stop_reported()
    raise typer.Exit(code) from None


def explain(error: BaseException) -> str | None:
    """Explains an error that a user can cause or correct, in a sentence. None for an error of facevc itself."""
    from facevc_cli.core.memory import is_out_of_memory

    said = str(error)
    if isinstance(error, FaceVCError):
        return said
    if isinstance(error, ModuleNotFoundError):
        from facevc_cli.core.extras import explain_missing_package

        return explain_missing_package(error)
    if is_out_of_memory(error):
        return (
            "there is not enough memory for this. Close other programs, or give smaller inputs, fewer --jobs or a "
            "smaller batch."
        )
    if isinstance(error, ValueError) and "embedded null" in said:
        return (
            "a path holds a NUL character, which no file's name can. Correct the path, or the table or list that "
            "it is in."
        )
    if isinstance(error, UnicodeEncodeError):
        return (
            f"a name holds characters that {error.encoding} cannot write. Rename the file or folder, or set LANG "
            "to a UTF-8 locale."
        )
    if not isinstance(error, OSError):
        return None
    if isinstance(error, FileNotFoundError) and error.filename is None and _is_homeless():
        return (
            "the working directory is gone: it was deleted or moved. Change to a folder that is there, then run "
            "the same command again."
        )
    if error.filename is None and error.errno in (errno.EPIPE, errno.EBADF, errno.ENOSPC, errno.EIO):
        return f"stdout could not be written: {error.strerror}. Send it to a file or a program that reads it."
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}{error.strerror or said}. Check the path, its permissions and the space on the disk."


def find_exit_code(error: BaseException) -> int:
    return 2 if isinstance(error, UsageError) else 1


def write_out(data: str | bytes) -> None:
    """Writes data on stdout at once. FaceVCError if stdout is full, closed or no longer read."""
    try:
        if isinstance(data, bytes):
            sys.stdout.buffer.write(data)
        else:
            sys.stdout.write(data)
        sys.stdout.flush()
    except OSError as error:
        drop_stdout()
        raise FaceVCError(
            f"stdout could not be written: {error.strerror or error}. Send it to a file or a program that reads it."
        ) from error


def _is_homeless() -> bool:
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _print_summary(reporter: ConsoleReporter, summary: Summary, json_out: bool) -> None:
    if json_out:
        failures = [{"item": item, "reason": reason} for item, reason in summary.failures]
        counts = {"done": summary.done, "skipped": summary.skipped, "failures": failures}
        kind = {"type": "summary"} if reporter.json_lines else {}
        write_out(
            json.dumps({**kind, **counts, "output": str(summary.output) if summary.output else None, **summary.data})
            + "\n"
        )
    is_long = summary.done + summary.skipped + len(summary.failures) > FAILURES_SHOWN  # the failures are far above
    for item, reason in summary.failures[:FAILURES_SHOWN] if reporter.quiet or is_long else ():
        reporter._print(_describe_failure(item, reason), style="red")
    if (more := len(summary.failures) - FAILURES_SHOWN) > 0:
        reporter._print(f"and {more} more, which --json lists", style="red")
    if reporter.quiet:
        return
    where = f" -> {summary.output}" if summary.output else ""
    reporter.note(f"{summary.done} done, {summary.skipped} skipped, {len(summary.failures)} failed{where}")
    if summary.next_command and not summary.failures:
        reporter.note(f"next: {summary.next_command}")
    if summary.failures and summary.resumes and summary.done + summary.skipped + len(summary.failures) > 1:
        reporter.note(f"to go on with what failed: {shlex.join(['facevc', *sys.argv[1:]])}")


def _describe_failure(item: str, reason: str) -> str:
    """Names the item once: many reasons begin with the file's name, which may be the item's."""
    return f"failed  {reason if reason.startswith(f'{item}: ') else f'{item}: {reason}'}"


def _format_figures(figures: dict[str, float | str]) -> str:
    return " ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items()
    )
