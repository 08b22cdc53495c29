"""Measures faces that `facevc imagine` draws for people's voices, and fits what it reads in a voice.

imagined.py list PAIRS.csv OUT [--count N]: chooses N people, half of them women, whose gender is clear, and links a
recording of each into OUT/voices. PAIRS.csv has the columns wav, face, speaker, face_gender_estimate,
face_gender_confidence, face_age_estimate. Writes OUT/pairs.csv, which `facevc evaluate --association` reads.

facevc imagine OUT/voices -o OUT/faces

imagined.py measure OUT: counts how often the drawn face has the gender of the person, and an age within one bin of ten
years. It looks at what was meant (the labels of the mixed composites) and at what the judge sees.

imagined.py fit VOICES.h5 FEATURES.h5 TABLE.csv...: fits the log odds of a woman on the register and the mean ln F0, and
prints the numbers of `facevc_cli/imagining/voice.py` with their accuracy in five folds over speakers.
"""

import argparse
import collections
import csv
import random
from pathlib import Path

import numpy as np
import torch

from facevc_cli.corpus.store import Store
from facevc_cli.evaluation.metrics.gender import LinearGenderJudge, fit
from facevc_cli.portraits.composites import load_composites
from facevc_cli.voices.traits import load_trait_reader

FOLDS, SEED = 5, 1
LEAST_CONFIDENCE = 99  # percent, of the estimate of a face's gender
YEARS = 10  # of a bin


def read_table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def list_people(table: Path, out: Path, count: int) -> None:
    people: dict[str, dict[str, str]] = {}
    for row in read_table(table):
        if int(row["face_gender_confidence"]) >= LEAST_CONFIDENCE:
            people.setdefault(row["speaker"], row)
    rows, rng = [], random.Random(SEED)
    (out / "voices").mkdir(parents=True, exist_ok=True)
    for gender in ("female", "male"):
        alike = sorted(
            (row for row in people.values() if row["face_gender_estimate"] == gender), key=lambda r: r["pair"]
        )
        for row in rng.sample(alike, min(count // 2, len(alike))):
            voice = out / "voices" / f"{row['speaker']}{Path(row['wav']).suffix}"
            voice.unlink(missing_ok=True)
            voice.symlink_to((table.parent / row["wav"]).resolve())
            rows.append(
                {
                    "face": str((table.parent / row["face"]).resolve()),
                    "voice": f"voices/{voice.name}",
                    "person": row["speaker"],
                    "gender": gender,
                    "age": row["face_age_estimate"],
                }
            )
    write_table(out / "pairs.csv", rows)


def measure(out: Path) -> None:
    composites = load_composites()
    known = {row["person"]: row for row in read_table(out / "pairs.csv")}
    counts: dict[str, list[bool]] = collections.defaultdict(list)
    errors: dict[str, list[float]] = collections.defaultdict(list)
    for row in read_table(out / "faces" / "portraits.csv"):
        person = known.get(row["voice_id"])
        if person is None or row["status"] != "done" or row["sample"] != "1":
            continue
        parts = [part.split("=") for part in row["parts"].split()]
        shares = np.array([float(share) for _, share in parts])
        numbers = [int(number) for number, _ in parts]
        meant_woman = float(shares @ composites.registers[numbers]) / shares.sum()
        ages = {
            "heard": float(row["age"]),
            "meant": float(shares @ composites.ages[numbers]) / shares.sum(),
            "seen": float(row["looks_age"]),
        }
        women = {"heard": float(row["feminine"]), "meant": meant_woman, "seen": float(row["looks_feminine"])}
        years = float(person["age"])
        for what in ages:
            right = (women[what] > 0.5) == (person["gender"] == "female")
            counts[f"{what}: gender right"].append(right)
            counts[f"{what}: gender right, {person['gender']}"].append(right)
            counts[f"{what}: age within one bin"].append(abs(int(ages[what] // YEARS) - int(years // YEARS)) <= 1)
            errors[f"{what}: years off"].append(abs(ages[what] - years))
        counts["35 years for everyone: age within one bin"].append(abs(3 - int(years // YEARS)) <= 1)
    for name, right in counts.items():
        print(f"{name:45} {sum(right)}/{len(right)} = {np.mean(right):.3f}")
    for name, off in errors.items():
        print(f"{name:45} {np.mean(off):.1f}")


def fit_odds(voices: Path, features: Path, tables: list[Path]) -> None:
    rows = {row["utterance"]: row for table in tables for row in read_table(table)}
    with Store(features) as store:
        pitch = dict(zip(store.ids, map(float, store.read_column("log_f0_mean")), strict=True))
    with Store(voices) as store:
        ids, dvectors = list(store.ids), store.read_vectors("dvector")
    kept = [i for i, name in enumerate(ids) if name in pitch and rows.get(name, {}).get("gender") in ("female", "male")]
    register = load_trait_reader().read_all(torch.from_numpy(dvectors[kept]))[:, 0].numpy()
    x = np.column_stack([register, [pitch[ids[i]] for i in kept]])
    female = np.array([rows[ids[i]]["gender"] == "female" for i in kept], float)
    speakers = [rows[ids[i]]["speaker"] for i in kept]
    sizes = collections.Counter(speakers)
    weights = np.array([1 / sizes[speaker] for speaker in speakers])
    weights *= len(weights) / weights.sum()
    places = {speaker: i % FOLDS for i, speaker in enumerate(sorted(sizes))}
    fold = np.array([places[speaker] for speaker in speakers])
    for name, used in (("register and ln F0", x), ("register alone", x[:, :1])):
        judge = fit(used, female, weights)
        right = np.zeros(len(used), bool)
        for k in range(FOLDS):
            other = fit(used[fold != k], female[fold != k], weights[fold != k])
            right[fold == k] = _say_woman(other, used[fold == k]) == (female[fold == k] > 0.5)
        found = f"{len(used)} utterances of {len(sizes)} speakers, {right.mean():.3f} right"
        print(f"{name}: weights {judge.weight.round(3).tolist()}, bias {judge.bias:.3f}; {found}")


def _say_woman(judge: LinearGenderJudge, x: np.ndarray) -> np.ndarray:
    return np.asarray(x @ judge.weight + judge.bias > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list")
    listing.add_argument("pairs", type=Path)
    listing.add_argument("out", type=Path)
    listing.add_argument("--count", type=int, default=100)
    measuring = commands.add_parser("measure")
    measuring.add_argument("out", type=Path)
    fitting = commands.add_parser("fit")
    fitting.add_argument("voices", type=Path)
    fitting.add_argument("features", type=Path)
    fitting.add_argument("tables", type=Path, nargs="+")
    given = parser.parse_args()
    if given.command == "list":
        list_people(given.pairs, given.out, given.count)
    elif given.command == "measure":
        measure(given.out)
    else:
        fit_odds(given.voices, given.features, given.tables)


if __name__ == "__main__":
    main()
