"""prepare.py DATA OUT [PARALLEL]: make the starter recipe's tables.

DATA holds speech.csv and faces.csv, and speech_more.csv if there is more speech to train on. PARALLEL is the output of
recipes/parallel, made at least to its tables.

The script writes speech.txt (files to use), few_speech.txt (one or two utterances of most speakers), speakers.csv,
splits.csv (24 English speakers, 12 of each gender, are held out for testing, 12 more for validation), weights.csv (how
often an utterance is drawn), voices.txt (the files from which the voices are taken), whispers.csv (recordings of which
whispered copies are made), aligned.csv (which utterances say the same words at the same moments; only with PARALLEL),
faces.txt and people.csv (gender and age bin of speakers and faces, by which `train` joins them), held_out_faces.csv
(faces of each race and gender that are kept for testing). The same input gives the same tables.
"""

import csv
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

HELD_OUT = {"librispeech": 7, "vctk": 2, "speechocean762": 3}  # speakers of each gender kept for testing
VALIDATION = {"librispeech": 4, "speechocean762": 2}
# Clean, native speech counts more: Common Voice is noisy, speechocean762 one accent.
CORPUS_WEIGHT = {"librispeech": 4.0, "vctk": 4.0, "speechocean762": 0.8, "commonvoice": 0.4, "parallel": 3.0}
SHORTEST_S, LONGEST_S = 1.5, 16.1
WHISPERS = 300  # recordings of the clean corpora that are also whispered
LONGEST_CROP_S = 9.3  # longer recordings are not drawn more often
HELD_OUT_FACES = 40  # of each race and gender, as labelled
# FairFace's: a fixed draw and the faces of examples/, whatever the table's order
LISTED = Path(__file__).parent.parent / "held_out_faces.txt"


def find_age_bin(age: str) -> str:
    """Convert a number, a decade's name (Common Voice) or a bin to FairFace's bin. Empty if unknown."""
    names = {
        "teens": 15,
        "twenties": 25,
        "thirties": 35,
        "fourties": 45,
        "forties": 45,
        "fifties": 55,
        "sixties": 65,
        "seventies": 75,
        "eighties": 75,
    }
    digits = age.split("-")[0].removeprefix("more than ")
    years = names.get(age, int(digits) if digits.isdigit() else None)
    if years is None:
        return ""
    return next(label for low, label in ((60, "60+"), (40, "40-59"), (20, "20-39"), (0, "0-19")) if years >= low)


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_paths(path: Path, data: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(f"{(data / row['path']).resolve()}\n" for row in rows), encoding="utf-8")


def draw_faces(faces: list[dict[str, str]]) -> set[str]:
    """Draw the first HELD_OUT_FACES of each race and gender."""
    seen: Counter[tuple[str, str]] = Counter()
    drawn = set()
    for face in faces:
        group = face.get("race", ""), face["gender"]
        seen[group] += 1
        if seen[group] <= HELD_OUT_FACES:
            drawn.add(face["face"])
    return drawn


def read_more(data: Path) -> list[dict[str, str]]:
    """Read speech_more.csv, if it is there. Its speakers are for training only."""
    path = data / "speech_more.csv"
    return read(path) if path.is_file() else []


def read_parallel(folder: Path) -> list[dict[str, str]]:
    """Read the recordings of recipes/parallel as rows of speech.csv, with text_id and split."""
    splits = {row["utterance"]: row["split"] for row in read(folder / "splits.csv")}
    return [
        {
            "utterance": row["utterance"],
            "path": str((folder / row["file"]).resolve()),
            "corpus": "parallel",
            "speaker": f"kokoro-{row['timbre']}",
            "seconds": row["seconds"],
            "text": row["text"],
            "text_id": row["text_id"],
            "split": splits[row["utterance"]],
        }
        for row in read(folder / "index.csv")
    ]


def draw_whispers(rows: list[dict[str, str]], data: Path, out: Path) -> list[dict[str, str]]:
    """Draw recordings to whisper: rows as of speech.csv, with the original's path in `original`."""
    clean = [row for row in rows if row["corpus"] != "commonvoice"]
    drawn = random.Random(2).sample(clean, min(WHISPERS, len(clean)))
    return [
        row
        | {
            "utterance": f"{Path(row['path']).stem}-whispered",
            "path": str((out / "whispers" / f"{Path(row['path']).stem}-whispered.flac").resolve()),
            "original": str((data / row["path"]).resolve()),
        }
        for row in drawn
    ]


def main(data: Path, out: Path, parallel: Path | None = None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    speech = read(data / "speech.csv")
    by_group: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in speech:
        if row["language"] == "en" and 3.5 <= float(row["seconds"]) <= 12:
            by_group[row["corpus"], row["gender"]].add(row["speaker"])
    split: dict[str, str] = {}
    for (corpus, _), speakers in sorted(by_group.items()):
        drawn = rng.sample(sorted(speakers), k=min(len(speakers), HELD_OUT.get(corpus, 0) + VALIDATION.get(corpus, 0)))
        split |= {s: "test" if i < HELD_OUT.get(corpus, 0) else "valid" for i, s in enumerate(drawn)}
    seen: Counter[str] = Counter()
    # shuffled separately, because the draw of faces below depends on the number of earlier shuffles
    used, more = [], []
    for row in speech:
        seen[row["speaker"]] += 1
        repeated = {"commonvoice": seen[row["speaker"]] > 1, "speechocean762": seen[row["speaker"]] % 2 == 1}.get(
            row["corpus"], False
        )
        if SHORTEST_S < float(row["seconds"]) < LONGEST_S:
            (more if repeated and row["speaker"] not in split else used).append(row)
    rng.shuffle(used)
    more += [row for row in read_more(data) if SHORTEST_S < float(row["seconds"]) < LONGEST_S]
    random.Random(1).shuffle(more)
    write_paths(out / "few_speech.txt", data, used)
    used += more
    joined = {row["speaker"] for row in speech}  # only these are joined with faces
    spoken = read_parallel(parallel) if parallel else []
    whispers = draw_whispers([r for r in used if r["speaker"] not in split], data, out)
    write(out / "whispers.csv", [{"utterance": r["utterance"], "path": r["original"]} for r in whispers])
    heard = used + spoken + whispers
    write_paths(out / "speech.txt", data, heard)
    links = [out / "whispered_by" / f"{r['utterance']}{Path(r['original']).suffix}" for r in whispers]
    voices = [*((data / r["path"]).resolve() for r in used + spoken), *(link.absolute() for link in links)]
    (out / "voices.txt").write_text("".join(f"{path}\n" for path in voices), encoding="utf-8")
    write(out / "speakers.csv", [{"utterance": Path(r["path"]).stem, "speaker": r["speaker"]} for r in heard])
    write(
        out / "splits.csv",
        [
            {"speaker": s, "utterance": "", "split": split.get(s, "train")}
            for s in dict.fromkeys(r["speaker"] for r in used)
        ]
        + [{"speaker": "", "utterance": r["utterance"], "split": r["split"]} for r in spoken],
    )
    if spoken:
        write(out / "aligned.csv", [{"utterance": r["utterance"], "text_id": r["text_id"]} for r in spoken])
    weights = {r["path"]: CORPUS_WEIGHT[r["corpus"]] * min(float(r["seconds"]), LONGEST_CROP_S) for r in heard}
    write(
        out / "weights.csv",
        [{"utterance": Path(path).stem, "weight": f"{weight:.3f}"} for path, weight in weights.items()],
    )
    texts = [
        {
            "utterance": Path(r["path"]).stem,
            "path": r["path"],
            "split": split.get(r["speaker"], "train"),
            "text": r["text"],
        }
        for r in used
    ]
    write(out / "texts.csv", texts)
    adults = [f for f in read(data / "faces.csv") if f["gender"] and find_age_bin(f["age_bin"]) not in ("", "0-19")]
    rng.shuffle(adults)
    kept = {f["face"] for f in adults} & set(LISTED.read_text(encoding="utf-8").split()) or draw_faces(adults)
    held_out = [f for f in adults if f["face"] in kept]
    faces = [f for f in adults if f["face"] not in kept]
    write(out / "held_out_faces.csv", held_out)
    write_paths(out / "faces.txt", data, faces)
    people = {
        r["speaker"]: {
            "name": r["speaker"],
            "kind": "voice",
            "corpus": r["corpus"],
            "gender": r["gender"],
            "age": find_age_bin(r["age"]),
        }
        for r in used
        if r["speaker"] in joined
    }
    shown = [
        {
            "name": Path(f["path"]).stem,
            "kind": "face",
            "corpus": f["corpus"],
            "gender": f["gender"],
            "age": find_age_bin(f["age_bin"]),
        }
        for f in faces
    ]
    write(out / "people.csv", [*people.values(), *shown])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
