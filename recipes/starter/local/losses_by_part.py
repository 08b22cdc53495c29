"""losses_by_part.py DATA OUT [--checkpoint DIR] [--utterances N] [--speakers N]: find the part of the model that loses
words or the target's voice.

OUT is the recipe's folder (splits.csv). Speakers of the splits test and valid who have two or more recordings are used.
The first recording of each is the reference. Each further one is measured in these forms:

| form | what it adds |
| --- | --- |
| recording | nothing: the ceiling |
| vocoded | log-mel and vocoder |
| own voice | content encoder and decoder, with content and voice of one speaker |
| same corpus | content of one speaker, voice of another of the same gender and corpus |
| other corpus | the same with a voice of another corpus, so another accent |

Columns: cosine by each judge to the reference of the voice, and to the source's own recording; CER against the text,
or against the words heard in the recording if the table has no text.
"""

import argparse
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
from held_out import read

from facevc_cli import Converter
from facevc_cli.conversion.copy_synthesis import synthesise_copy
from facevc_cli.conversion.voice import Target
from facevc_cli.evaluation.judges import load_speaker_judge
from facevc_cli.evaluation.metrics.intelligibility import WhisperRecogniser, count_errors
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE
from facevc_cli.files.audio import load_audio, resample

JUDGES = ("resemblyzer", "voicefilter", "campplus")
SHORTEST_S, LONGEST_S = 2.5, 12.0
LANGUAGE = "en"


class Sums:
    """Means of cosines, and errors over letters, by (corpus, form)."""

    def __init__(self) -> None:
        self.cosines: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.letters: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def add(self, key: tuple[str, str], cosines: dict[str, float], text: str, heard: str) -> None:
        for name, value in cosines.items():
            self.cosines[key][name].append(value)
        errors, letters = count_errors(text, heard, "character")
        self.letters[key][0] += errors
        self.letters[key][1] += letters

    def show(self) -> None:
        columns = [f"{judge} {to}" for judge in JUDGES for to in ("target", "source")]
        print(f"| corpus | form | n | CER | {' | '.join(columns)} |")
        print("| " + " | ".join(["---"] * (4 + len(columns))) + " |")
        for (corpus, form), (errors, letters) in self.letters.items():
            found = self.cosines[corpus, form]
            shown = [f"{np.mean(found[name]):.3f}" if found[name] else "" for name in columns]
            count = len(found[columns[0]])
            print(f"| {corpus} | {form} | {count} | {errors / max(1, letters):.3f} | {' | '.join(shown)} |")


def find_recordings(data: Path, out: Path, utterances: int, speakers: int) -> dict[str, list[dict[str, str]]]:
    """English recordings by speaker: the reference, then at most `utterances` more. At most `speakers` per corpus."""
    split = {row["speaker"]: row["split"] for row in read(out / "splits.csv") if row["speaker"]}
    by_speaker = defaultdict(list)
    for row in read(data / "speech.csv"):
        held_out = split.get(row["speaker"]) in ("test", "valid")
        if held_out and row["language"] == LANGUAGE and SHORTEST_S < float(row["seconds"]) < LONGEST_S:
            by_speaker[row["speaker"]].append(row)
    several = {speaker: rows[: utterances + 1] for speaker, rows in by_speaker.items() if len(rows) > 1}
    kept: dict[str, list[dict[str, str]]] = {}
    for corpus in sorted({rows[0]["corpus"] for rows in several.values()}):
        names = sorted(speaker for speaker, rows in several.items() if rows[0]["corpus"] == corpus)
        random.Random(0).shuffle(names)
        kept |= {name: several[name] for name in names[:speakers]}
    return kept


def main(data: Path, out: Path, checkpoint: Path | None, utterances: int, speakers: int) -> None:
    converter, recogniser = Converter(checkpoint), WhisperRecogniser(language=LANGUAGE)
    judges = {name: load_speaker_judge(name) for name in JUDGES}
    found, sums = find_recordings(data, out, utterances, speakers), Sums()
    references = {speaker: data / rows[0]["path"] for speaker, rows in found.items()}
    targets = {speaker: converter.target_from_voice(path) for speaker, path in references.items()}

    def embed(wav: np.ndarray) -> dict[str, np.ndarray]:
        return {name: judge.embed(wav) for name, judge in judges.items()}

    voices = {speaker: embed(load_audio(path, JUDGE_RATE)[0]) for speaker, path in references.items()}
    for number, (speaker, rows) in enumerate(found.items()):
        about = rows[0]
        near, far = (choose_other(found, speaker, number, same) for same in (True, False))
        for row in rows[1:]:
            recording = load_audio(data / row["path"], JUDGE_RATE)[0]
            source = embed(recording)
            text = row["text"] or recogniser.transcribe(recording).text
            heard = converter.hear(data / row["path"])
            analysed = converter.encode(heard)
            forms: dict[str, tuple[np.ndarray, str]] = {
                "recording": (recording, speaker),
                "vocoded": (resample(synthesise_copy(converter, heard), converter.rate, JUDGE_RATE), speaker),
            }
            for form, voice in (("own voice", speaker), ("same corpus", near), ("other corpus", far)):
                if voice:
                    target: Target = targets[voice]
                    forms[form] = resample(converter.speak(analysed, target), converter.rate, JUDGE_RATE), voice
            for form, (wav, voice) in forms.items():
                embedded = embed(wav)
                cosines = {f"{name} target": float(embedded[name] @ voices[voice][name]) for name in judges}
                if voice != speaker:
                    cosines |= {f"{name} source": float(embedded[name] @ source[name]) for name in judges}
                sums.add((about["corpus"], form), cosines, text, recogniser.transcribe(wav).text)
    sums.show()


def choose_other(found: dict[str, list[dict[str, str]]], speaker: str, number: int, same: bool) -> str:
    """Another speaker of the same gender, of the same corpus or of another. Empty if there is none."""
    own = found[speaker][0]
    others = [
        name
        for name, rows in found.items()
        if name != speaker and rows[0]["gender"] == own["gender"] and (rows[0]["corpus"] == own["corpus"]) == same
    ]
    return others[number % len(others)] if others else ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="default: the bundled model")
    parser.add_argument("--utterances", type=int, default=2, help="most recordings measured per speaker")
    parser.add_argument("--speakers", type=int, default=10, help="most speakers of a corpus")
    given = parser.parse_args()
    main(given.data, given.out, given.checkpoint, given.utterances, given.speakers)
