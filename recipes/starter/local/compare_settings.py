"""compare_settings.py DATA OUT [--checkpoint DIR]... [--set NAME=VALUE,...]... [--faces N] [--no-words]: compare models
and settings of conversion, on people whom nobody trained on and the model card does not use.

OUT is the recipe's folder (splits.csv, held_out_faces.csv). Each speaker of the split valid says two recordings in the
voices of two others, one of them of the same gender, and towards N held-out faces. Every --checkpoint is tried with
every --set. `--set ""` is the model as it is; `voice_guidance` and all settings of `conversion` can be set.

Columns, voice-driven: cosine to the target and to the source by two judges, CER against the words heard in the source,
predicted MOS. Face-driven: cosine to the source, predicted MOS. The line `recordings` has source against target, and
the MOS of the sources.
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from facevc_cli import Converter
from facevc_cli.conversion.voice import Target
from facevc_cli.evaluation.judges import load_speaker_judge
from facevc_cli.evaluation.metrics.intelligibility import WhisperRecogniser, count_errors
from facevc_cli.evaluation.metrics.naturalness import DistillMOS
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE
from facevc_cli.faces.analyser import NoFaceError
from facevc_cli.files.audio import load_audio, resample
from facevc_cli.files.tables import read_table

JUDGES = ("voicefilter", "resemblyzer")
SHORTEST_S, LONGEST_S = 2.5, 9.0
LEAST_LETTERS_PER_S = 6.0  # the recogniser left words out of a source in which it hears less
ADULT = ("20-29", "30-39", "40-49", "50-59")
COLUMNS = (
    *(f"{judge} {to}" for judge in JUDGES for to in ("target", "source")),
    "MOS",
    *(f"face: {judge} source" for judge in JUDGES),
    "face: MOS",
)


@dataclass
class Case:
    """A source and the two voices that it gets."""

    path: Path
    references: list[Path]
    words: str = ""
    own: dict[str, np.ndarray] = field(default_factory=dict)  # the source's embeddings by judge


def choose_cases(data: Path, out: Path) -> list[Case]:
    valid = {row["speaker"] for row in read_table(out / "splits.csv", ("speaker", "split")) if row["split"] == "valid"}
    recordings = defaultdict(list)
    for row in read_table(data / "speech.csv", ("path", "speaker", "gender", "seconds")):
        if row["speaker"] in valid and SHORTEST_S < float(row["seconds"]) < LONGEST_S:
            recordings[row["speaker"]].append(row)
    speakers = sorted(recordings)
    cases = []
    for i, speaker in enumerate(speakers):
        others = speakers[i + 1 :] + speakers[:i]
        gender = recordings[speaker][0]["gender"]
        same = [name for name in others if recordings[name][0]["gender"] == gender]
        rest = [name for name in others if recordings[name][0]["gender"] != gender]
        voices = same[:1] + rest[:1]
        references = [data / recordings[name][0]["path"] for name in voices]
        cases += [Case(data / row["path"], references) for row in recordings[speaker][-2:]]
    return cases


def choose_faces(data: Path, out: Path, count: int) -> list[Path]:
    """Adults, women and men by turns."""
    rows = [
        row for row in read_table(out / "held_out_faces.csv", ("path", "gender", "age_bin")) if row["age_bin"] in ADULT
    ]
    women, men = ([row for row in rows if row["gender"] == gender] for gender in ("female", "male"))
    turns = [row for pair in zip(women, men, strict=False) for row in pair]
    return [data / row["path"] for row in turns[:: max(1, len(turns) // max(1, count))][:count]]


def apply(converter: Converter, settings: dict[str, float]) -> None:
    converter.style = replace(converter.style, **settings)
    converter.guidance = converter.style.voice_guidance


class Listener:
    def __init__(self, words: bool):
        self.judges = {name: load_speaker_judge(name) for name in JUDGES}
        self.quality = DistillMOS()
        self.recogniser = WhisperRecogniser(language="en") if words else None

    def embed(self, wav: np.ndarray) -> dict[str, np.ndarray]:
        return {name: judge.embed(wav) for name, judge in self.judges.items()}

    def transcribe(self, wav: np.ndarray) -> str:
        return self.recogniser.transcribe(wav).text if self.recogniser else ""


def measure(
    converter: Converter, cases: list[Case], faces: list[Path], listener: Listener, known: dict[Path, dict]
) -> tuple[dict[str, float], float]:
    """Returns the mean of each column, and the CER."""
    figures, errors, letters = defaultdict(list), 0, 0
    shown = []
    for path in faces:
        try:
            shown.append(converter.target_from_face(path))
        except NoFaceError:
            continue
    for case in cases:
        source = converter.analyse(case.path)
        targets: list[tuple[Target, Path | None]] = [(target, None) for target in shown]
        targets += [(converter.target_from_voice(path), path) for path in case.references]
        for target, reference in targets:
            wav = resample(converter.speak(source, target), converter.rate, JUDGE_RATE)
            embedded, start = listener.embed(wav), "" if reference else "face: "
            for name, vector in embedded.items():
                figures[f"{start}{name} source"].append(float(vector @ case.own[name]))
                if reference:
                    figures[f"{name} target"].append(float(vector @ known[reference][name]))
            figures[f"{start}MOS"].append(listener.quality.score(wav))
            if reference and case.words:
                found = count_errors(case.words, listener.transcribe(wav), "character")
                errors, letters = errors + found[0], letters + found[1]
    return {name: float(np.mean(values)) for name, values in figures.items()}, errors / max(1, letters)


def show(name: str, figures: dict[str, float], cer: float | None) -> None:
    cells = [f"{figures[column]:.3f}" if column in figures else "" for column in COLUMNS]
    print(f"| {name} | {' | '.join(cells)} | {'' if cer is None else f'{cer:.3f}'} |", flush=True)


def parse_settings(text: str) -> dict[str, float]:
    pairs = (part.split("=") for part in text.split(",") if part)
    return {name: float(value) for name, value in pairs}


def main(data: Path, out: Path, checkpoints: list[Path | None], settings: list[str], faces: int, words: bool) -> None:
    listener, cases = Listener(words), choose_cases(data, out)
    known = {
        path: listener.embed(load_audio(path, JUDGE_RATE)[0]) for path in {p for case in cases for p in case.references}
    }
    control, quality = defaultdict(list), []
    for case in cases:
        wav = load_audio(case.path, JUDGE_RATE)[0]
        case.own, heard = listener.embed(wav), listener.transcribe(wav)
        case.words = heard if len(heard) > LEAST_LETTERS_PER_S * len(wav) / JUDGE_RATE else ""
        quality.append(listener.quality.score(wav))
        for path in case.references:
            for name in JUDGES:
                control[f"{name} target"].append(float(case.own[name] @ known[path][name]))
    print(f"| {len(cases)} sources | {' | '.join(COLUMNS)} | CER |")
    print("| " + " | ".join(["---"] * (2 + len(COLUMNS))) + " |")
    show("recordings", {k: float(np.mean(v)) for k, v in control.items()} | {"MOS": float(np.mean(quality))}, None)
    chosen = choose_faces(data, out, faces)
    for checkpoint in checkpoints:
        converter = Converter(checkpoint)
        style = converter.style
        for text in settings:
            converter.style = style
            apply(converter, parse_settings(text))
            name = f"{checkpoint.name if checkpoint else 'bundled'} {text}".strip()
            show(name, *measure(converter, cases, chosen, listener, known))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--checkpoint", type=Path, action="append", help="default: the bundled model")
    parser.add_argument("--set", action="append", dest="settings", metavar="NAME=VALUE,...")
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--no-words", action="store_false", dest="words", help="leave the CER out")
    given = parser.parse_args()
    main(given.data, given.out, given.checkpoint or [None], given.settings or [""], given.faces, given.words)
