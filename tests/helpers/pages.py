"""What tests of the page share: uploads as Gradio leaves them, the page's calls by name, and a browser."""

import importlib.util
import json
import re
import shutil
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.pictures import save_grey
from helpers.sounds import recording

from facevc_cli.page.studio import Studio

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_gradio = pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs the extra page")
needs_browser = pytest.mark.skipif(
    not CHROMIUM or importlib.util.find_spec("playwright") is None, reason="needs Chromium and the package playwright"
)


def add_sound(studio: Studio, seconds: float = 0.4, name: str = "s.wav", f0_hz: float = 120.0) -> dict[str, str]:
    """An upload as Gradio leaves one: in a folder of its own."""
    folder = studio.folder / uuid.uuid4().hex
    folder.mkdir()
    return {"path": str(recording(folder / name, seconds, 16000, f0_hz)), "orig_name": name}


def add_photo(studio: Studio, grey: int, name: str = "f.png") -> dict[str, str]:
    folder = studio.folder / uuid.uuid4().hex
    folder.mkdir()
    save_grey(folder / name, grey)
    return {"path": str(folder / name), "orig_name": name}


def find_calls(url: str) -> dict[str, dict[str, Any]]:
    """The calls of a page as its browser gets them, by the element and event that start them: 'convert.click'.

    One that does not wait in the queue has ', at once' in its name.
    """
    with urllib.request.urlopen(url) as answer:
        found = re.search(r"window\.gradio_config = (\{.*?\});</script>", answer.read().decode(), re.DOTALL)
    assert found
    config = json.loads(found[1])
    names = {field["id"]: field["props"].get("elem_id") for field in config["components"]}
    calls = {}
    for call in config["dependencies"]:
        ending = "" if call["queue"] is not False else ", at once"
        calls |= {f"{names.get(element)}.{event}{ending}": call for element, event in call["targets"]}
    return calls


@contextmanager
def open_chromium() -> Iterator[Any]:
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"{CHROMIUM} does not start: {error.message.splitlines()[0]}")
        yield opened
        opened.close()


def give(tab: Any, field: str, *paths: Path) -> None:
    """Gives files to a field of an open page."""
    tab.set_input_files(f"{field} input[type=file]", [str(path) for path in paths])
