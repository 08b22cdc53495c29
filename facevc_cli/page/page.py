"""The page itself, in Gradio: its frame. `tabs` has what is in it."""

import importlib.util
import os
from pathlib import Path
from typing import Any

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command
from facevc_cli.page.studio import MOST_PAGES, Studio
from facevc_cli.page.tabs.tab import KEPT_S, PageContext, find_tabs, read_page_id

SWEPT_EVERY_S = 60
WAITING = 20  # most calls in the queue; further ones are asked to come back
# Off, whatever Gradio's defaults are: these write elsewhere or contact another host.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SHARE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
INTRODUCTION = """# facevc
Give speech or a text, and a face. You hear the words in a voice that fits the face."""


def prepare(folder: Path) -> None:
    """Set the environment that Gradio reads, before its import. FaceVCError if it is not installed."""
    if importlib.util.find_spec("gradio") is None:
        raise FaceVCError(
            "facevc serve needs the package gradio, which is not installed. Install it with "
            f"{install_command('page')}. No other command needs it."
        )
    os.environ.update(QUIET, GRADIO_TEMP_DIR=str(folder))


def build(studio: Studio, model: str) -> Any:
    """Build the gradio.Blocks of a studio: one tab for each file in `tabs`. Its `sockets` are those of the tabs."""
    import gradio as gr

    def leave(request: gr.Request) -> None:
        studio.leave(read_page_id(request))

    context = PageContext(studio, model)
    with gr.Blocks(title="facevc", analytics_enabled=False, delete_cache=(SWEPT_EVERY_S, KEPT_S)) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Tabs():
            for tab in find_tabs():
                with gr.Tab(tab.title):
                    tab.build(context)
        page.unload(leave)
    page.queue(max_size=WAITING, api_open=False)
    page.state_session_capacity = MOST_PAGES
    page.sockets = context.sockets
    return page
