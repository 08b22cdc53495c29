"""Reads texts: .txt, .md without its markup, .srt with its times, and .csv with the columns id, text and face."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.names import normalise_name
from facevc_cli.files.tables import decode_text, read_table
from facevc_cli.speaking.narrator import Cue

TEXT_SUFFIXES = (".txt", ".md", ".srt", ".csv")
LONGEST_ID = 40
_TIME = re.compile(r"(\d+):(\d\d):(\d\d)[,.](\d{1,3})\s*-->")
_BLOCK = re.compile(r"\n\s*\n")
_MARKUP = (  # Markdown, and what is left of it
    (re.compile(r"^---\n.*?\n---\n", re.S), ""),  # front matter
    (re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.M | re.S), ""),  # code
    (re.compile(r"<!--.*?-->", re.S), ""),
    (re.compile(r"!\[([^]]*)\]\([^)]*\)"), r"\1"),  # pictures
    (re.compile(r"\[([^]]+)\](?:\([^)]*\)|\[[^]]*\])"), r"\1"),  # links
    (re.compile(r"^\s*\[[^]]+\]:\s*\S+.*$", re.M), ""),
    (re.compile(r"^\s*\|?[\s:|-]*-{3,}[\s:|-]*$", re.M), ""),  # rules, and lines of tables
    (re.compile(r"^\s*(?:={3,}|-{3,}|\*{3,})\s*$", re.M), ""),
    (re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.M), "\n\\1\n"),
    (re.compile(r"^\s*>+\s?", re.M), ""),
    (re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?", re.M), ""),
    (re.compile(r"</?[A-Za-z][^>\n]*>"), ""),
    (re.compile(r"(\*\*|__|~~)(?=\S)(.+?)(?<=\S)\1", re.S), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])|(?<![\w_])_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)"), r"\1\2"),
    (re.compile(r"`([^`\n]*)`"), r"\1"),
    (re.compile(r"^\s*\|(.*)\|\s*$", re.M), r"\1"),
    (re.compile(r"\s\|\s"), ", "),
)


@dataclass(frozen=True)
class NamedText:
    """A text with an id. name: for people. faces: its own ones; none means those of the command line."""

    id: str
    name: str
    cues: tuple[Cue, ...]
    faces: tuple[Path, ...] = ()

    @classmethod
    def from_words(cls, text: str, taken: Sequence[str] = ()) -> "NamedText":
        """Names a text by its first words. Bytes of a command line that are not UTF-8 become question marks."""
        text = text.encode("utf-8", "replace").decode()
        words = re.sub(r"[^\w]+", "-", text.lower()).strip("-")
        short = words[:LONGEST_ID].rsplit("-", 1)[0] if len(words) > LONGEST_ID else words
        identifier, number = normalise_name(short) or "text", 2
        while identifier in taken:
            identifier, number = f"{normalise_name(short) or 'text'}-{number}", number + 1
        return cls(identifier, "a text", (Cue(text),))


def read_texts(path: Path) -> list[NamedText]:
    """Reads the texts of a file. FaceVCError if it cannot be read, is empty, or is of another kind."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _read_rows(path)
    if suffix not in TEXT_SUFFIXES:
        raise FaceVCError(
            f"--text {path}: expected a file that ends in {', '.join(TEXT_SUFFIXES)}. Rename it if it is plain text."
        )
    text = decode_text(path, "text", "Save it as UTF-8.").replace("\r\n", "\n").replace("\r", "\n")
    cues = read_subtitles(text) if suffix == ".srt" else [Cue(strip_markdown(text) if suffix == ".md" else text)]
    if not any(cue.text.strip() for cue in cues):
        raise FaceVCError(f"{path}: expected {'subtitles' if suffix == '.srt' else 'a text'}, found none. Write one.")
    return [NamedText(normalise_name(path.stem), path.name, tuple(cues))]


def read_subtitles(text: str) -> list[Cue]:
    """Reads SubRip: blocks of a number, a time and lines of text. Tags such as <i> are left out."""
    cues = []
    for block in _BLOCK.split(text.lstrip("\ufeff").strip()):
        if (time := _TIME.search(block)) is None:
            continue
        hours, minutes, seconds = (int(time[i]) for i in (1, 2, 3))
        start_s = 3600 * hours + 60 * minutes + seconds + int(time[4].ljust(3, "0")) / 1000
        lines = block[time.end() :].split("\n")[1:]
        said = re.sub(r"<[^>]*>|\{\\[^}]*\}", "", " ".join(lines)).strip()
        if said:
            cues.append(Cue(said, start_s))
    return sorted(cues, key=lambda cue: cue.start_s or 0.0)


def strip_markdown(text: str) -> str:
    """Returns the words of a Markdown text. Code, pictures' addresses, HTML tags and signs are left out."""
    for pattern, kept in _MARKUP:
        text = pattern.sub(kept, text)
    return text


def _read_rows(path: Path) -> list[NamedText]:
    texts: list[NamedText] = []
    for number, row in enumerate(read_table(path, ("text",)), 1):
        identifier = normalise_name(row.get("id", "").strip()) or f"{normalise_name(path.stem)}-{number}"
        if identifier in {text.id for text in texts}:
            raise FaceVCError(f"{path}: two rows have the id {identifier!r}. Give each row its own id.")
        face = row.get("face", "").strip()
        faces = (_find_beside(path, face),) if face else ()
        texts.append(NamedText(identifier, f"{path.name}, {identifier}", (Cue(row["text"]),), faces))
    if not texts:
        raise FaceVCError(f"{path}: expected rows with the columns id, text and face, found none. Add a row.")
    return texts


def _find_beside(table: Path, name: str) -> Path:
    """Finds a file that a table names: from the table's folder, else from the working directory."""
    beside = table.parent / name
    return beside if beside.exists() else Path(name)
