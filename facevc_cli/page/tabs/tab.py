"""What a tab is, and what it gets to build itself. A new tab is a new file of this folder. Nothing else names it."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

from facevc_cli.core.errors import FaceVCError
from facevc_cli.page.studio import Studio

KEPT_S = 15 * 60  # how long unused uploads and results are kept
NOTICE = """Use recordings and photos of yourself, or of people who have agreed to it.
**The result is synthetic speech**: its file says so, say so too.
What you give stays on the machine that runs this page; it is deleted after the conversion, or when you leave."""
DOWNLOAD = (
    '(file) => { const link = document.createElement("a"); '
    "link.href = file.url; link.download = file.orig_name; link.click(); }"
)
# One call at a time, because all share one model.
ALONE: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model", "api_visibility": "private"}
# Uploads stay raw, so that our own readers check them and report errors.
RAW: dict[str, Any] = {"preprocess": False, "show_progress": "minimal", **ALONE}
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class PageContext:
    """model: the model's name, for people. sockets: ASGI applications for web sockets, by path; tabs add theirs."""

    studio: Studio
    model: str
    sockets: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Tab:
    title: str
    position: int
    build: Callable[[PageContext], None]  # adds the fields to the open gradio.Tab


_TABS: dict[str, Tab] = {}


def register_tab(title: str, position: int) -> Callable[..., Any]:
    """Marks a function as the builder of a tab. The arguments are those of `Tab`."""

    def register(build: Callable[[PageContext], None]) -> Callable[[PageContext], None]:
        _TABS[title] = Tab(title=title, position=position, build=build)
        return build

    return register


def find_tabs() -> list[Tab]:
    """Imports all files of this folder, and returns their tabs in their order."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
    return sorted(_TABS.values(), key=lambda tab: tab.position)


def read_page_id(request: Any) -> str:
    """The id of the open page that a call comes from."""
    return str(request.session_hash)


def make_toast(error: FaceVCError) -> Exception:
    """An error that the page shows in its corner."""
    import gradio as gr

    return gr.Error(escape(str(error)), duration=None, print_exception=False)  # Gradio shows it as HTML
