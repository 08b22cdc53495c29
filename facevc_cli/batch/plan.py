"""A plan: the rows of a manifest that are asked for, with what is known of their targets and sources."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from facevc_cli.batch.jobs import Row
from facevc_cli.files.tables import make_relative_path
from facevc_cli.manifest.contract import SEPARATOR
from facevc_cli.manifest.manifest import Line


@dataclass(frozen=True)
class Plan:
    """Rows, all of one source together, and the columns that the tables have about targets and sources."""

    rows: list[Row]
    targets: dict[str, Line] = field(default_factory=dict)
    sources: dict[str, Line] = field(default_factory=dict)

    def lines(self, system: str, folder: Path) -> list[Line]:
        """The columns of the manifest in `folder` about what was asked for, a line a row; those about the file that answers come with the file."""
        name = lru_cache(maxsize=None)(partial(make_relative_path, folder))
        targets = {target: dict(columns) for target, columns in self.targets.items()}
        for columns in targets.values():
            if columns.get("references"):
                columns["references"] = SEPARATOR.join(map(name, columns["references"].split(SEPARATOR)))
        return [_line(row, system, name) | targets.get(row.person, {}) | self.sources.get(row.source_id, {}) for row in self.rows]


def _line(row: Row, system: str, name: Callable[[Path], str]) -> Line:
    spec, target = row.job.voice_spec if row.job else None, name(row.target)
    return {
        "converted": row.job.relative if row.job else name(row.source),
        "system": system, "baseline": row.baseline, "degradation": spec.degradation if spec else "",
        "source": name(row.source), "source_id": row.source_id, "target": row.person, "face_id": row.target_id,
        "face": target if row.kind in ("face", "person") else "", "voice": target if row.kind == "voice" else "",
        "driver": name(spec.file) if spec and spec.file else "",
    }  # fmt: skip
