"""pair.py FACES.h5 VOICES.h5 PEOPLE.csv PAIRS.csv WEIGHTS.csv [--voices-each N] [--seed N]: pseudo-pairs.

The faces and the voices belong to different people. PEOPLE.csv (kind: face or voice, name, corpus, gender, age) says
their gender and, for some, a range of ages. Each face gets N speakers of its gender and its range of ages, and N of its
gender and of unknown age, drawn at random. So a model can learn gender and age, and nothing else. A table with the
columns speaker and split (--splits) leaves the speakers of other splits than train out.

WEIGHTS.csv says how often each utterance is drawn. Speakers count equally, and a group of n speakers of one corpus,
gender and range of ages counts as the root of n. Otherwise nearly all would be young adults of one corpus.
"""

import argparse
import csv
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from facevc_cli.corpus.store import Store


def draw_pairs(
    faces: list[str], speakers: list[str], people: dict[tuple[str, str], dict[str, str]], count: int, seed: int
) -> list[dict[str, str]]:
    """Returns rows with `speaker` and `face`, for each face whose gender is known."""
    rng = np.random.default_rng(seed)
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for speaker in speakers:
        about = people.get(("voice", speaker), {})
        groups[about.get("gender", ""), about.get("age", "")].append(speaker)
    rows = []
    for face in faces:
        about = people.get(("face", face), {})
        gender, age = about.get("gender", ""), about.get("age", "")
        for fitting, wanted in ((groups[gender, age], count if age else 0), (groups[gender, ""], count)):
            if gender and fitting:
                drawn = rng.choice(fitting, min(wanted, len(fitting)), replace=False)
                rows += [{"speaker": str(speaker), "face": face} for speaker in drawn]
    return rows


def weigh_utterances(
    utterances: list[tuple[str, str]], people: dict[tuple[str, str], dict[str, str]]
) -> list[dict[str, str]]:
    """utterances: (id, speaker). Returns rows with `utterance` and `weight`."""
    spoken = Counter(speaker for _, speaker in utterances)
    about = {speaker: people.get(("voice", speaker), {}) for speaker in spoken}
    group = {
        speaker: tuple(found.get(name, "") for name in ("corpus", "gender", "age")) for speaker, found in about.items()
    }
    sizes = Counter(group.values())
    return [
        {"utterance": utterance, "weight": f"{100 / spoken[speaker] / math.sqrt(sizes[group[speaker]]):.4f}"}
        for utterance, speaker in utterances
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("faces", "voices", "people", "pairs", "weights"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--voices-each", type=int, default=4)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with open(options.people, newline="", encoding="utf-8") as file:
        people = {(row["kind"], row["name"]): row for row in csv.DictReader(file)}
    with Store(options.faces, "extract-face") as faces, Store(options.voices, "extract-spkemb") as voices:
        speakers = sorted(set(voices.speakers) - find_held_out(options.splits))
        rows = draw_pairs(list(faces.ids), speakers, people, options.voices_each, options.seed)
        weights = weigh_utterances(list(zip(voices.ids, voices.speakers, strict=True)), people)
    if not rows:
        raise SystemExit(f"{options.people}: no face and no voice of one gender. Check the names and the genders.")
    write(options.pairs, rows)
    write(options.weights, weights)


def find_held_out(splits: Path | None) -> set[str]:
    """The speakers of other splits than train."""
    if splits is None:
        return set()
    with open(splits, newline="", encoding="utf-8") as file:
        return {row["speaker"] for row in csv.DictReader(file) if row["split"] != "train"}


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
