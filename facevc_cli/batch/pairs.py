"""Reads the table of --pairs: which source is converted to which target."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from facevc_cli.batch.utterance import Utterance
from facevc_cli.conversion.voice_request import TargetRequest
from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.names import find_real_path, normalise_name
from facevc_cli.files.tables import read_table

T = TypeVar("T")


def read_pairs(
    table: Path, sources: Sequence[Utterance], targets: Sequence[TargetRequest]
) -> set[tuple[Utterance, TargetRequest]]:
    """Reads (source, target) pairs. A cell is an id, a path, or a file name that occurs once.

    The column `voice` names recordings, the column `face` all other targets. FaceVCError if a row names an input that
    was not given.
    """
    by_source = _NameIndex([(source.file, source.id, source) for source in sources], table)
    of_kind = {
        "face": [one for one in targets if one.kind != "voice"],
        "voice": [one for one in targets if one.kind == "voice"],
    }
    by_target = {
        kind: _NameIndex([(_find_own_file(one), one.id, one) for one in ones], table) for kind, ones in of_kind.items()
    }
    pairs, unknown = set(), []
    for row in read_table(table, ("source",)):
        source = by_source.find(row["source"])
        named = [(kind, row[kind]) for kind in by_target if row.get(kind, "").strip()]
        for kind, name in named:
            target = by_target[kind].find(name)
            if source is not None and target is not None:
                pairs.add((source, target))
            else:
                hint = by_source.hint(row["source"]) if source is None else by_target[kind].hint(name)
                unknown.append(f"{row['source']} with {name}{hint}")
        if not named:
            unknown.append(f"{row['source']} with nothing in the columns face and voice")
    if unknown:
        raise FaceVCError(
            f"{table}: {len(unknown)} pairs name a source or target that was not given, first {unknown[0]!r}. "
            "Give it, or drop the row."
        )
    return pairs


def _find_own_file(target: TargetRequest) -> Path | None:
    """Returns the file that names a target. People with several pictures, and mixes, have none."""
    return None if target.kind in ("person", "mix") else target.path


class _NameIndex(Generic[T]):
    """Finds an item by any name that a table may use: its id, its file's name, or a path.

    The id may have the file's suffix. The file's name counts only if it occurs once.
    """

    def __init__(self, items: Sequence[tuple[Path | None, str, T]], table: Path):
        self.folder = table.parent
        files = [(path, identifier, item) for path, identifier, item in items if path]
        count = Counter(path.name for path, _, _ in files)
        self.ids = [identifier for _, identifier, _ in items]
        names = [(path.name, item) for path, _, item in files if count[path.name] == 1]
        names += [(str(path), item) for path, _, item in files]
        names += [(identifier + path.suffix, item) for path, identifier, item in files]
        names += [(identifier, item) for _, identifier, item in items]
        self.names = {normalise_name(name): item for name, item in names}
        self.paths = {os.path.realpath(path): item for path, _, item in reversed(files)}
        self.paths |= {os.path.abspath(path): item for path, _, item in reversed(files)}

    def find(self, name: str) -> T | None:
        """Finds what a cell names. A path may start from the table's folder or from the working directory."""
        for text in dict.fromkeys((name, name.strip(), name.strip().replace("\\", "/"))):
            if (item := self.names.get(normalise_name(text))) is not None:
                return item
            for path in (self.folder / text, Path(text)):
                place = os.path.abspath(find_real_path(Path(os.path.abspath(path))))
                if (item := self.paths.get(place, self.paths.get(os.path.realpath(place)))) is not None:
                    return item
        return None

    def hint(self, name: str) -> str:
        """Lists ids that the name may mean, if two files need their suffix to be told apart."""
        longer = [identifier for identifier in self.ids if identifier.startswith(f"{normalise_name(name.strip())}.")]
        return f" (there are {' and '.join(longer[:2])}: say which)" if len(longer) > 1 else ""
