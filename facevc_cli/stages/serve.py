"""`serve`: serves the page until Ctrl-C."""

import math
import signal
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import Interrupted, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary
from facevc_cli.core.stopping import check_stop, hold, is_dropping, remove_if_dropped
from facevc_cli.page.folder import open_upload_folder
from facevc_cli.page.page import build, prepare
from facevc_cli.page.server import bind, is_loopback, serve_page
from facevc_cli.page.studio import Studio

MEGABYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    host: str = "127.0.0.1"
    port: int = 7860
    checkpoint: Path | None = None
    vocoder: str | None = None
    device: str = "auto"
    max_seconds: float = 60.0  # longest speech
    max_mb: float = 50.0  # largest upload
    open_browser: bool = False


@dataclass(frozen=True)
class ServedPage:
    """A page that is being served: its address, its studio, which makes the conversions, and the thread
    that serves it.
    """

    url: str
    studio: Studio
    thread: threading.Thread


@contextmanager
def serve_in_background(config: ServeConfig, reporter: Reporter = SILENT) -> Iterator[ServedPage]:
    """Serves the page during the block, then deletes its folder.

    FaceVCError if the model, Gradio or the port is not available.
    """
    if not 0 < config.max_seconds < math.inf:
        raise UsageError(f"--max-seconds {config.max_seconds:g}: expected a number above 0.")
    if not 0 < config.max_mb < math.inf:
        raise UsageError(f"--max-mb {config.max_mb:g}: expected a number above 0.")
    with (
        closing(bind(config.host, config.port)) as listener,  # before Gradio is loaded, which takes seconds
        open_upload_folder() as folder,
        remove_if_dropped(folder.parent),
    ):
        prepare(folder)

        def load() -> Converter:
            converter = Converter(config.checkpoint, config.vocoder, config.device, reporter=reporter)
            converter.prepare_faces()
            converter.prepare_speech()
            return converter

        studio = Studio(load, folder, config.max_seconds)
        converter = studio.converter
        model = f"{converter.checkpoint.config.name}, vocoder {converter.vocoder.name}, on {converter.device}"
        with serve_page(build(studio, model), listener, folder, int(config.max_mb * MEGABYTE)) as thread:
            host, port = listener.getsockname()[:2]
            try:
                yield ServedPage(f"http://{f'[{host}]' if ':' in host else host}:{port}/", studio, thread)
            finally:
                if studio.busy:
                    reporter.note("Waiting for the conversion that is running ...")
                studio.close()


def run(config: ServeConfig, reporter: Reporter = SILENT) -> Summary:
    """Serves until Ctrl-C or a termination. Summary.done counts the conversions."""
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:  # called from Python: a termination must clean up as Ctrl-C does
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with serve_in_background(config, reporter) as page:
            if not is_loopback(config.host):
                reporter.note(
                    f"warning: --host {config.host} lets everyone who reaches this machine use the page, unencrypted "
                    "and without a password. Their browsers will give it no microphone or camera without https."
                )
            reporter.note(f"The page is at {page.url} (Ctrl-C ends it).")
            if config.open_browser:
                webbrowser.open(page.url)
            with (
                suppress(KeyboardInterrupt, Interrupted),
                hold(lambda: int(page.studio.busy), "conversion", terminations=True, raises=True),
            ):
                page.thread.join()
        reporter.note("Closed. All uploads are deleted.")
        if is_dropping():  # by a closed terminal, or a second Ctrl-C
            check_stop()
        return Summary(done=page.studio.conversions)
    finally:
        signal.signal(signal.SIGTERM, before)
