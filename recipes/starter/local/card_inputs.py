"""card_inputs.py DATA OUT: make the inputs for the model card: held-out speakers, and people in the wild who are in no
training set.

The script reads OUT/splits.csv of prepare.py, DATA/speech.csv and DATA/pairs.csv (wav, face, speaker,
face_gender_estimate, face_gender_confidence, face_age_estimate): several pictures and recordings per person. The same
input gives the same draw. It writes below OUT/card:

    sources/ sources.csv        one utterance of each held-out speaker: source_id, gender, speaker, corpus, transcript
    faces/ labels.csv           PERSON/1.jpg of PEOPLE of each gender: target, gender, age_bin, references (real
                                recordings, between |)
    images/ two/                PERSON/1.jpg, 2.jpg, ... of the same people, and two of the sources, a woman's and a
                                man's
    voices.csv pairs.csv        the sources as voices to convert to: target, gender, recordings (how many are known of
                                this speaker, 1 or 2), references; and each source with VOICES others
"""

import random
import sys
from collections import defaultdict
from pathlib import Path

from held_out import find_utterances, link, read, write

PEOPLE = 12  # of each gender
IMAGES = 4  # most pictures per person
LEAST_SURE = 95  # percent: confidence in the gender in every picture
VOICES = 3
RECORDINGS = 2  # most of a held-out speaker: the second is what the conversions are compared with
SEED = 2
DECADES = (20, 30, 40, 50, 60)


def draw_people(data: Path, rng: random.Random) -> dict[str, list[dict[str, str]]]:
    """Draw PEOPLE of each gender who have at least two pictures, all surely of that gender.

    Rows of pairs.csv by person.
    """
    pictures = defaultdict(list)
    for row in read(data / "pairs.csv"):
        pictures[row["speaker"]].append(row)
    chosen: dict[str, list[dict[str, str]]] = {}
    for gender in ("female", "male"):
        sure = [
            person
            for person, rows in sorted(pictures.items())
            if len(rows) > 1
            and all(
                row["face_gender_estimate"] == gender and float(row["face_gender_confidence"]) >= LEAST_SURE
                for row in rows
            )
        ]
        chosen |= {person: pictures[person] for person in rng.sample(sure, min(PEOPLE, len(sure)))}
    return chosen


def find_age_bin(years: str) -> str:
    decade = next((low for low in reversed(DECADES) if float(years or 0) >= low), None)
    return "" if decade is None else f"{decade}-{decade + 9}"


def main(data: Path, out: Path) -> None:
    rng, card = random.Random(SEED), out / "card"
    found = find_utterances(data, out)
    spoken = sorted((rows[0] for rows in found.values()), key=lambda row: (row["gender"], row["utterance"]))
    shown = draw_people(data, rng)

    for row in spoken:
        link(data / row["path"], card / "sources", row["utterance"])
    columns = ["utterance", "gender", "speaker", "corpus", "text"]
    write(
        card / "sources.csv",
        ["source_id", "gender", "speaker", "corpus", "transcript"],
        [[row[name] for name in columns] for row in spoken],
    )
    for gender in ("female", "male"):
        first = next(row for row in spoken if row["gender"] == gender)
        link(data / first["path"], card / "two", first["utterance"])

    labels = []
    for person, rows in shown.items():
        for number, row in enumerate(rows[:IMAGES], start=1):
            for folder in ("faces", "images") if number == 1 else ("images",):
                link(data / row["face"], card / folder / person, str(number))
        recordings = "|".join(str((data / row["wav"]).resolve()) for row in rows)
        labels.append([person, rows[0]["face_gender_estimate"], find_age_bin(rows[0]["face_age_estimate"]), recordings])
    write(card / "labels.csv", ["target", "gender", "age_bin", "references"], labels)

    voices = {}
    for row in spoken:  # what drives a conversion, and another recording of that speaker if there is one
        recordings = [str((data / other["path"]).resolve()) for other in found[row["speaker"]][:RECORDINGS]]
        voices[row["utterance"]] = [row["gender"], str(len(recordings)), "|".join(recordings)]
    columns = ["target", "gender", "recordings", "references"]
    write(card / "voices.csv", columns, [[name, *about] for name, about in voices.items()])
    pairs = [
        [source, voice]
        for source in voices
        for voice in rng.sample(sorted(set(voices) - {source}), min(VOICES, len(voices) - 1))
    ]
    write(card / "pairs.csv", ["source", "voice"], pairs)
    pictures = sum(min(len(rows), IMAGES) for rows in shown.values())
    print(
        f"{len(spoken)} sources, {len(shown)} people with {pictures} pictures, {len(pairs)} sources with a voice",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
