"""measure.py DATA FEATURES ORIGINALS.safetensors FUSED.safetensors: tables of dlib, faceres, gender-v1 and fused.

Gender on FairFace's held-out list, by group; on the people of DATA/pairs.csv, if it is there, against the gender heard
in their voice; and the age. dlib and faceres are read by a logistic regression on the training faces, gender-v1 by its
own layer. FEATURES/voices.csv keeps what was heard.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch
from features import load_originals
from fit import COPIES, SeenFaces, read_seen, weigh
from tables import LabelledFace, read_faces, read_table

from facevc_cli.conversion.recordings import load_recording
from facevc_cli.evaluation.metrics.gender import fit, load_packaged_judge
from facevc_cli.evaluation.metrics.voices import listen
from facevc_cli.faces.networks.gender_v1 import HIDDEN_DIM, GenderV1
from facevc_cli.voices.dvector import VOICE_RATE, VoiceEmbedder

CLEAR_VOICE = 2.0  # log odds of the judge of voices
PARTS = {"dlib": (slice(0, 128), 60.0), "faceres": (slice(128, -HIDDEN_DIM), 500.0)}  # columns, ridge


def hear_voices(data: Path, path: Path) -> dict[str, float]:
    """Returns the log odds of a woman's voice of each pair. Each recording is heard once."""
    if not path.exists():
        embedder, judge, rows = VoiceEmbedder(), load_packaged_judge(), []
        for row in read_table(data / "pairs.csv"):
            heard = listen(load_recording(data / row["wav"], VOICE_RATE), embedder)
            rows.append((row["pair"], judge.compute_log_odds(heard)))
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("pair", "log_odds"), *rows])
    return {row["pair"]: float(row["log_odds"]) for row in read_table(path)}


def read_all(
    train: SeenFaces, seen: SeenFaces, gender: GenderV1, fused: dict[str, torch.Tensor]
) -> dict[str, np.ndarray]:
    """Returns the log odds of a woman that each descriptor gives, by its name."""
    woman = np.array([float(face.woman) for face in train.faces])
    found = {}
    for name, (columns, ridge) in PARTS.items():
        judge = fit(train.mean_pair[:, columns].astype(np.float64), woman, weigh(train.faces), ridge)
        found[name] = seen.mean_pair[:, columns] @ judge.weight + judge.bias
    with torch.inference_mode():
        female, male = gender.logits(torch.from_numpy(seen.mean_pair[:, -HIDDEN_DIM:])).numpy().T
    found["gender-v1"] = female - male
    weight, bias = fused["register_and_age.weight"].numpy(), fused["register_and_age.bias"].numpy()
    found["fused"] = seen.mean_pair @ weight[0] + bias[0]
    found["years"] = seen.mean_pair @ weight[1] + bias[1]
    return found


def print_groups(faces: list[LabelledFace], odds: dict[str, np.ndarray]) -> None:
    woman, race = np.array([face.woman for face in faces]), np.array([face.race for face in faces])
    right = {name: (values > 0) == woman for name, values in odds.items() if name != "years"}
    print(f"| {len(faces)} held-out faces | {' | '.join(right)} |\n| --- |{' --- |' * len(right)}")
    rows = {"all": woman | ~woman, "women": woman, "men": ~woman}
    rows |= {f"{r}, {w}": (race == r) & (woman == (w == "women")) for r in sorted(set(race)) for w in ("women", "men")}
    for label, which in rows.items():
        print(f"| {label} ({which.sum()}) | {' | '.join(f'{values[which].mean():.3f}' for values in right.values())} |")
    worst = [min(values[which].mean() for label, which in rows.items() if "," in label) for values in right.values()]
    print(f"| worst group | {' | '.join(f'{value:.3f}' for value in worst)} |\n")


def print_certainty(woman: np.ndarray, odds: np.ndarray) -> None:
    """How often the reading is right, by how sure it is."""
    sure, right = 1 / (1 + np.exp(-np.abs(odds))), (odds > 0) == woman
    print("| certainty | faces | right |\n| --- | --- | --- |")
    for low, high in ((0.5, 0.75), (0.75, 0.9), (0.9, 0.97), (0.97, 0.99), (0.99, 1.01)):
        which = (sure >= low) & (sure < high)
        if which.any():
            print(f"| {low} to {min(high, 1)} | {which.sum()} | {right[which].mean():.3f} |")
    print()


def print_people(people: dict[str, str], odds: dict[str, np.ndarray], voices: np.ndarray, names: list[str]) -> None:
    """One row per descriptor: right against the voice, over people and over those with a clear voice."""
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        rows.setdefault(people[name], []).append(i)
    heard = np.array([voices[which].mean() for which in rows.values()])
    clear = np.abs(heard) > CLEAR_VOICE
    print(
        f"| {len(rows)} people, against their voices | all | the {clear.sum()} of a clear voice |\n| --- | --- | --- |"
    )
    for label, values in odds.items():
        if label != "years":
            right = (np.array([values[which].mean() for which in rows.values()]) > 0) == (heard > 0)
            print(f"| {label} | {right.mean():.3f} | {right[clear].mean():.3f} |")


def main(data: Path, folder: Path, originals: Path, weights: Path) -> None:
    from safetensors.torch import load_file

    (network, gender), fused, faces = load_originals(originals), load_file(weights), read_faces(data)
    train = read_seen(faces["train"], folder, "train", COPIES, network)
    seen = read_seen(faces["held_out"], folder, "held_out", (0, 1), network)
    odds = read_all(train, seen, gender, fused)
    print_groups(seen.faces, odds)
    print_certainty(np.array([face.woman for face in seen.faces]), odds["fused"])
    years = np.array([face.years for face in seen.faces])
    print(f"age: mean absolute error {np.abs(odds['years'] - years).mean():.2f} years, from the middle of the bins\n")
    if "pairs" in faces:
        seen = read_seen(faces["pairs"], folder, "pairs", (0, 1), network)
        names, heard = [face.name for face in seen.faces], hear_voices(data, folder / "voices.csv")
        people = {row["pair"]: row["speaker"] for row in read_table(data / "pairs.csv")}
        print_people(people, read_all(train, seen, gender, fused), np.array([heard[name] for name in names]), names)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:5]))
