"""What `evaluate --portraits` returns and writes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facevc_cli.evaluation.bootstrap import Figure
from facevc_cli.files.atomic import write_text
from facevc_cli.files.tables import write_table

COLUMNS = ["system", "group", "figure", "value", "n", "low", "high"]
Figures = dict[str, dict[str, Figure]]  # by system and name


def describe_groups(
    groups: Mapping[str, Figures], better: Mapping[str, str], counts: Mapping[str, int]
) -> dict[str, Any]:
    """Returns the data of the summary. counts: what was measured, such as 6 portraits of 3 voices."""
    names = dict.fromkeys(n for systems in groups.values() for figures in systems.values() for n in figures)
    return {
        "groups": {
            group: {system: {n: f.to_json() for n, f in figures.items()} for system, figures in systems.items()}
            for group, systems in groups.items()
        },
        "better": {name: better.get(name, "higher") for name in names},
        **counts,
    }


def save_groups(folder: Path | None, groups: Mapping[str, Figures], data: Mapping[str, Any]) -> None:
    """Writes portraits.json and portraits_figures.csv, if there is a folder."""
    if folder is None:
        return
    rows = [
        {"system": system, "group": group, "figure": name, **figure.to_json()}
        for group, systems in groups.items()
        for system, figures in systems.items()
        for name, figure in figures.items()
    ]
    write_text(folder / "portraits.json", json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    write_table(folder / "portraits_figures.csv", rows, COLUMNS)
