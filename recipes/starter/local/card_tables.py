"""card_tables.py EVALUATION: make MODEL_CARD.md's tables from card.sh's
EVALUATION/{faces,images,voices}/metrics.csv.
"""

import sys
from pathlib import Path

from held_out import read

PAIRS = ("F>F", "F>M", "M>F", "M>M")
ALL = "all"
TWO_DIGITS, HERTZ = ("naturalness", "DNSMOS"), ("F0 deviation",)
JUDGES = ("voicefilter", "campplus")  # trained nothing here
SIMILARITIES = {
    "consistency": "cosine to the person's real voice",
    "consistency control": "... to other people of the same gender (control)",
    "consistency ceiling": "... between two recordings of the person (ceiling)",
    "consistency source": "... of the unchanged source",
    "leakage": "leakage: cosine to the source",
    "leakage control": "... to other speakers of the source's gender (control)",
    "leakage strangers": "... of the source to those speakers (two strangers)",
}


def add_judges(similarities: dict[str, str]) -> dict[str, str]:
    """Add the same rows by each independent judge."""
    return similarities | {
        f"{judge} {metric}": title if title.startswith("...") else f"{title}, by {judge}"
        for judge in JUDGES
        for metric, title in similarities.items()
    }


FACES = {
    "naturalness": "predicted MOS (DistillMOS)",
    "naturalness source": "... of the sources",
    "DNSMOS": "... by DNSMOS",
    "DNSMOS source": "... of the sources",
    "CER": "CER against the transcript, or Whisper-base's text of the source",
    "WER": "WER, the same",
    "GA": "gender accuracy",
    "matching": "1:2 matching to the real voice, chance .5",
    "F0 deviation": "F0 deviation, Hz",
    "F0 deviation source": "... of the unchanged source",
    "SDO": "SDO: cosine between different people's",
} | add_judges(SIMILARITIES)
IMAGES = {"SHO": "SHO: cosine between another image of the same person's", "SHR": "SHR", "SDO": "SDO on those"}
VOICES = {
    name: FACES[name] for name in ("naturalness", "DNSMOS", "CER", "WER", "GA", "matching", "F0 deviation")
} | add_judges(
    {"consistency driver": "cosine to the recording"}
    | {name: title for name, title in SIMILARITIES.items() if name != "consistency"}
)
# of the speakers of whom another recording is known
OTHER_RECORDING = add_judges(
    {
        "consistency": "cosine to another recording of the speaker",
        "consistency driver": "... to the recording that drove the conversion",
        "consistency control": "... to other people of the same gender (control)",
        "consistency ceiling": "... between both recordings (ceiling)",
    }
)
BASELINES = ("GA", "consistency", "matching", "leakage")

Figures = dict[tuple[str, str, str], dict[str, str]]  # (system, slice, metric) -> a row of metrics.csv


def read_figures(folder: Path) -> Figures:
    return {(row["system"], row["slice"], row["metric"]): row for row in read(folder / "metrics.csv")}


def find_plain_system(found: Figures) -> str:
    """Find the plain system. Labels of baselines have a slash."""
    return min((name for name, _, _ in found), key=len)


def format_number(metric: str, text: str) -> str:
    name = metric.removesuffix(" source").removesuffix(" control")
    digits = 0 if name in HERTZ else 2 if name in TWO_DIGITS else 3
    return f"{float(text):.{digits}f}".replace("0.", ".", 1) if digits == 3 else f"{float(text):.{digits}f}"


def format_cell(found: Figures, system: str, part: str, metric: str) -> str:
    """Format a value with its 95 % interval, if that has any width.

    With one person, or sources shared by all, it has none.
    """
    row = found.get((system, part, metric))
    if row is None:
        return ""
    value, low, high = (format_number(metric, row[name]) if row[name] else "" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})" if low != high else value


def print_table(found: Figures, metrics: dict[str, str], parts: tuple[str, ...]) -> None:
    system = find_plain_system(found)
    print("| figure | " + " | ".join("value" if part == ALL else part for part in parts) + " |")
    print("| --- |" + " --- |" * len(parts))
    for metric, title in metrics.items():
        if (system, ALL, metric) in found:
            print(f"| {title} | " + " | ".join(format_cell(found, system, part, metric) for part in parts) + " |")
    print()


def print_nearness(found: Figures) -> None:
    """Print how much closer another image of a person is than another person: across genders, within, and by pair."""
    system = find_plain_system(found)

    def read_value(part: str, metric: str) -> float:
        return float(found[system, part, metric]["value"])

    within = [part for part in PAIRS if (system, part, "SDO") in found]
    counts = {part: int(found[system, part, "SDO"]["n"]) for part in (ALL, *within)}
    same, alike = sum(counts[part] for part in within), sum(counts[part] * read_value(part, "SDO") for part in within)
    print("| SHO - SDO | |\n| --- | --- |")
    if same < counts[ALL]:  # all pairs minus the pairs within genders
        print(
            "| between the genders | "
            f"{read_value(ALL, 'SHO') - (counts[ALL] * read_value(ALL, 'SDO') - alike) / (counts[ALL] - same):.3f} |"
        )
    if same:
        print(f"| within one | {read_value(ALL, 'SHO') - alike / same:.3f} |")
    for part in within:
        if (system, part, "SHO") in found:
            print(f"| {part} | {read_value(part, 'SHO') - read_value(part, 'SDO'):.3f} |")
    print()


def print_baselines(found: Figures) -> None:
    print("| system | " + " | ".join(BASELINES) + " |")
    print("| --- |" + " --- |" * len(BASELINES))
    for system in sorted({name for name, _, _ in found}):
        print(f"| {system} | " + " | ".join(format_cell(found, system, ALL, metric) for metric in BASELINES) + " |")
    print()


def list_slices(found: Figures, column: str) -> tuple[str, ...]:
    return tuple(sorted({part for _, part, _ in found if part.startswith(f"{column}=")}))


def main(evaluation: Path) -> None:
    faces, images, voices = (read_figures(evaluation / name) for name in ("faces", "images", "voices"))
    print("Driven by a face\n")
    print_table(faces, FACES, (ALL, *PAIRS))
    for column in ("gender", "age_bin", "corpus"):
        print_table(faces, FACES, list_slices(faces, column))
    print_baselines(faces)
    print("Another image of the same person\n")
    print_table(images, IMAGES, (ALL, *PAIRS))
    print_nearness(images)
    print("Driven by a voice\n")
    print_table(voices, VOICES, (ALL, *PAIRS))
    print("Driven by a voice, speakers with two recordings\n")
    print_table(voices, OTHER_RECORDING, ("recordings=2",))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
