"""heard_people.py DATA OUT: list the people of DATA/pairs.csv by the gender that is heard in their voices.

OUT/heard.csv and OUT/clear.csv are tables for fairness.py: path of a person's first picture, gender, age_bin (empty).
The second holds the people of a clear voice only. Labels of pictures cannot judge a face network of their own kind; a
voice can.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from held_out import read

from facevc_cli.conversion.recordings import load_recording
from facevc_cli.evaluation.metrics.gender import load_packaged_judge
from facevc_cli.evaluation.metrics.voices import listen
from facevc_cli.voices.dvector import VOICE_RATE, VoiceEmbedder

CLEAR_VOICE = 2.0  # log odds of the judge of voices: it is surer than .88


def main(data: Path, out: Path) -> None:
    embedder, judge = VoiceEmbedder(), load_packaged_judge()
    pictures: dict[str, str] = {}
    odds: dict[str, list[float]] = defaultdict(list)
    for row in read(data / "pairs.csv"):
        heard = listen(load_recording(data / row["wav"], VOICE_RATE), embedder)
        odds[row["speaker"]].append(judge.compute_log_odds(heard))
        pictures.setdefault(row["speaker"], row["face"])
    out.mkdir(parents=True, exist_ok=True)
    for name, least in (("heard", 0.0), ("clear", CLEAR_VOICE)):
        with open(out / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("path", "gender", "age_bin"))
            for person, picture in pictures.items():
                voice = np.mean(odds[person])
                if abs(voice) > least:
                    writer.writerow((picture, "female" if voice > 0 else "male", ""))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
