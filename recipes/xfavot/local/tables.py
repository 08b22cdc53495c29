"""What the scripts that list a corpus have in common: who is held out, and which tables they leave.

| file | columns |
| --- | --- |
| speakers.csv, shown.csv | utterance, speaker: of the recordings, and of the pictures or clips |
| splits.csv | speaker, split: train or test |
| known.csv | kind (voice or face), name, gender |
| test/sources.csv, test/targets.csv | what `facevc evaluate` takes as --sources and --labels |

Files of the test are linked in test/sources and test/faces.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

GENDERS = ("female", "male")
NAMES = {"f": "female", "female": "female", "m": "male", "male": "male"}


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def write_lines(path: Path, lines: Sequence[Path]) -> None:
    path.write_text("".join(f"{line.resolve()}\n" for line in lines), encoding="utf-8")


def link(original: Path, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{original.suffix}"
    path.unlink(missing_ok=True)
    path.symlink_to(original.resolve())


def hold_out(genders: Mapping[str, str], count: int) -> list[str]:
    """Choose who trains nothing: up to `count` people, half of them women, spread evenly over the alphabet.

    At least one person of each gender is left to train on.
    """
    chosen: list[str] = []
    for gender in GENDERS:
        own = sorted(name for name, found in genders.items() if found == gender)
        wanted = min(-(-count // 2), len(own) - 1)
        chosen += [own[i * len(own) // wanted] for i in range(max(0, wanted))]
    return chosen


def write_tables(
    out: Path,
    heard: Sequence[tuple[str, str]],
    shown: Sequence[tuple[str, str]],
    genders: Mapping[tuple[str, str], str],
    held_out: Sequence[str],
) -> None:
    """Write speakers.csv, shown.csv, splits.csv and known.csv.

    heard, shown: (utterance, person). genders: (kind, name) -> gender. held_out: names.
    """
    write(out / "speakers.csv", ("utterance", "speaker"), heard)
    write(out / "shown.csv", ("utterance", "speaker"), shown)
    names = dict.fromkeys(name for _, name in (*heard, *shown))
    write(out / "splits.csv", ("speaker", "split"), [(n, "test" if n in held_out else "train") for n in names])
    known = [(kind, name, gender) for (kind, name), gender in genders.items()]
    write(out / "known.csv", ("kind", "name", "gender"), known)


def write_test(out: Path, sources: Sequence[tuple[str, str]], targets: Sequence[tuple[str, str]]) -> None:
    """sources, targets: (name of the file in test/, gender)."""
    write(out / "test" / "sources.csv", ("source_id", "gender"), sources)
    write(out / "test" / "targets.csv", ("target", "gender"), targets)
