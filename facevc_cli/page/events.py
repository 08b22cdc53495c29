"""Check the events that the browser sends for fields and buttons, and keep only the needed parts."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_FILES = 200  # in one field; the studio accepts fewer and says so
LONGEST_TEXT = 200
LARGEST_NUMBER = 1e6
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
FILE_META = {"_type": "gradio.FileData"}


@dataclass(frozen=True)
class Call:
    """A call that the page may make: the most characters of each input, and whether it waits in the queue."""

    longest: tuple[int, ...]
    queued: bool


class RefusedEventError(ValueError):
    """An event that the page never sends. The text says what is wrong."""


def list_calls(config: Mapping[str, Any]) -> dict[int, Call]:
    """List the calls of a page's buttons and fields, by number. config: that of a gradio.Blocks.

    A text has at most 200 characters, unless its field says another limit.
    """
    fields = {field["id"]: field["props"].get("max_length") or LONGEST_TEXT for field in config["components"]}
    return {
        call["id"]: Call(tuple(fields[field] for field in call["inputs"]), call["queue"] is not False)
        for call in config["dependencies"]
        if call["backend_fn"] and not any(event == "unload" for _, event in call["targets"])
    }


def clean_event(body: bytes, calls: Mapping[int, Call], folder: Path, queued: bool) -> bytes:
    """Return the event with only the parts that the page needs.

    RefusedEventError if it names a file outside `folder`, or is not an event of the page.
    """
    try:
        event = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RefusedEventError("expected JSON") from error
    if not isinstance(event, dict):
        raise RefusedEventError("expected a JSON object")
    number, session, data, trigger = (event.get(key) for key in ("fn_index", "session_hash", "data", "trigger_id"))
    call = calls.get(number) if type(number) is int else None
    if call is None or call.queued is not queued:
        raise RefusedEventError("this page has no such call")
    if not isinstance(session, str) or not SESSION.fullmatch(session):
        raise RefusedEventError("expected a session_hash of letters and digits")
    if not isinstance(data, list) or len(data) != len(call.longest):
        raise RefusedEventError(f"expected a list of {len(call.longest)} inputs")
    cleaned = [_clean_input(value, folder, longest) for value, longest in zip(data, call.longest, strict=True)]
    kept = {
        "data": cleaned,
        "fn_index": number,
        "session_hash": session,
        "trigger_id": trigger if type(trigger) is int else None,
    }
    return json.dumps(kept).encode()


def find_file_inside(folder: Path, name: object) -> Path | None:
    """Find the file that `name` means, if it is inside a subfolder of `folder` after links are resolved.

    It need not exist.
    """
    if not isinstance(name, str) or any(ord(character) < 32 for character in name):
        return None
    path = Path(name)
    if not path.is_absolute() or ".." in path.parts:
        return None
    try:
        path = path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is too long
        return None
    return path if folder in path.parent.parents else None


def _clean_input(value: object, folder: Path, longest: int) -> object:
    if isinstance(value, list):
        if len(value) > MOST_FILES:
            raise RefusedEventError(f"expected at most {MOST_FILES} files")
        return [_clean_file(file, folder) for file in value]
    if isinstance(value, dict):
        return _clean_file(value, folder)
    if isinstance(value, str) and len(value) > longest:
        raise RefusedEventError(f"expected at most {longest} characters")
    if isinstance(value, (int, float)) and abs(value) > LARGEST_NUMBER:
        raise RefusedEventError("expected a smaller number")
    return value


def _clean_file(file: object, folder: Path) -> dict[str, object]:
    """Keep only harmless keys. Gradio would fetch or copy what others, such as `url` and `is_stream`, name."""
    if not isinstance(file, dict):
        raise RefusedEventError("expected a file")
    path = find_file_inside(folder, file.get("path"))
    if path is None:
        raise RefusedEventError("expected a file that was uploaded to this page")
    name, size, mime_type = file.get("orig_name"), file.get("size"), file.get("mime_type")
    return {
        "path": str(path),
        "orig_name": name if isinstance(name, str) else path.name,
        "size": size if type(size) is int else None,
        "mime_type": mime_type if isinstance(mime_type, str) else None,
        "meta": FILE_META,
    }


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
