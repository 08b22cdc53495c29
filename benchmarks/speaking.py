"""Speak texts in the voices of faces, and judge the results.

FACES is a table with the columns path and gender; paths start from its folder. One row for each way (--how):

| column | what |
| --- | --- |
| MOS | predicted by DistillMOS |
| WER, CER | of what Whisper hears against the words that the text stands for; numbers are spelled on both sides |
| gender | share that is heard as the face's labelled gender |
| voice | cosine of the d-vector to the voice that facevc recalls for the face (Resemblyzer) |
| over texts | cosine between two texts of one face |
| over faces | cosine between two faces of one text |

A second table has times: the first sound and the whole of a text of about 5 s, in a new process (cold) and in this one
(warm), and the largest resident memory. RTF is the time divided by the length of the sound. CPU is the time of all
cores, which a busy machine does not change much.
"""

import csv
import sys
import tempfile
import time
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import common
import numpy as np

from facevc_cli import Converter, FaceVCError, Speaker
from facevc_cli.conversion.sketch import sketch_voice
from facevc_cli.dsp.pitch import extract_f0
from facevc_cli.evaluation.metrics.gender import load_packaged_judge
from facevc_cli.evaluation.metrics.intelligibility import Unit, WhisperRecogniser, count_errors
from facevc_cli.evaluation.metrics.naturalness import DistillMOS
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.files.audio import resample
from facevc_cli.speaking.narrator import Cue
from facevc_cli.synthesis.text.normalise import normalise
from facevc_cli.voices.dvector import VoiceEmbedder

TEXTS = Path(__file__).with_name("speaking_texts.txt")
TIMED = "The old boat slid slowly along the quiet river bank. A warm wind carried the smell of bread across the yard."
RATE = 16000
UNITS: tuple[Unit, ...] = ("word", "character")

Figures = dict[str, object]
Faces = list[tuple[Path, str]]


class Judges:
    def __init__(self) -> None:
        self.recogniser, self.mos = WhisperRecogniser(language="en"), DistillMOS()
        self.gender, self.embedder = load_packaged_judge(), VoiceEmbedder()
        self.figures: dict[str, list[float]] = defaultdict(list)
        self.errors: dict[str, list[int]] = {unit: [0, 0] for unit in UNITS}
        self.vectors: dict[tuple[Path, str], np.ndarray] = {}

    def judge(self, wav: np.ndarray, text: str, face: Path, gender: str, recalled: np.ndarray | None) -> None:
        """wav: (n,) at 16 kHz."""
        said, heard = (
            normalise(words).text.replace("-", " ") for words in (text, self.recogniser.transcribe(wav).text)
        )
        for unit in UNITS:
            errors, count = count_errors(said, heard, unit)
            self.errors[unit] = [self.errors[unit][0] + errors, self.errors[unit][1] + count]
        vector = self.vectors[face, text] = self.embedder.embed(wav)
        self.figures["MOS"].append(self.mos.score(wav))
        if self.gender is not None:
            f0_hz = extract_f0(wav, RATE, RATE // 100)
            pitch = float(np.log(f0_hz[f0_hz > 0]).mean()) if (f0_hz > 0).any() else float(np.log(150))
            self.figures["gender"].append(float(self.gender.hear(HeardVoice(vector, 0.0, pitch)) == gender))
        if recalled is not None:
            self.figures["voice"].append(float(vector @ recalled / np.linalg.norm(recalled)))

    def summarise(self) -> Figures:
        pairs = list(combinations(self.vectors, 2))
        for name, place in (("over texts", 0), ("over faces", 1)):  # the part of the key that both have
            same = [(a, b) for a, b in pairs if a[place] == b[place]]
            self.figures[name] = [float(self.vectors[a] @ self.vectors[b]) for a, b in same]
        rates = {unit: round(errors / max(1, count), 3) for unit, (errors, count) in self.errors.items()}
        means = {name: round(float(np.mean(values)), 3) for name, values in self.figures.items() if values}
        return {"WER": rates["word"], "CER": rates["character"], **means}


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("faces", type=Path, help="a table with the columns path and gender")
    parser.add_argument("--count", type=int, default=24, help="faces, half of them women")
    parser.add_argument("--texts", type=int, default=20, help="texts, of all kinds")
    parser.add_argument("--how", nargs="+", default=["convert"], help="convert, timbre, both")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint; without it, the bundled model")
    parser.add_argument("--engine", default="kokoro", help="as facevc speak takes it")
    args = parser.parse_args()
    faces, texts = choose_faces(args.faces, args.count), choose_texts(args.texts)
    converter = Converter(args.checkpoint)
    rows = [{"how": how, **judge_way(converter, args.engine, how, faces, texts)} for how in args.how]
    common.show("Speech", rows, args.json, faces=len(faces), texts=len(texts))
    common.show("Time", measure_time(converter, args.engine, faces[0][0]), args.json)


def choose_faces(table: Path, count: int) -> Faces:
    """Choose the first women and men in turn."""
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    women, men = ([row for row in rows if row["gender"] == gender] for gender in ("female", "male"))
    chosen = [row for pair in zip(women, men, strict=False) for row in pair][:count]
    return [(table.parent / row["path"], row["gender"]) for row in chosen]


def choose_texts(count: int) -> list[str]:
    """Choose texts evenly from the list, so that all kinds are there."""
    lines = TEXTS.read_text(encoding="utf-8").splitlines()
    texts = [line for line in lines if not line.startswith("#")]
    return [texts[round(i)] for i in np.linspace(0, len(texts) - 1, min(count, len(texts)))]


def judge_way(converter: Converter, engine: str, how: str, faces: Faces, texts: list[str]) -> Figures:
    speaker, judges = Speaker(converter, engine=engine, how=how), Judges()
    sources = {text: converter.analyse(speaker.narrator.narrate([Cue(text)])) for text in texts if how == "convert"}
    for face, gender in faces:
        try:
            target = converter.target_from_face(face)
        except FaceVCError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        recalled = sketch_voice(converter, target).dvector
        for text in texts:
            said = converter.speak(sources[text], target) if how == "convert" else speaker.speak(text, voice=target)[0]
            judges.judge(resample(said, converter.rate, RATE), text, face, gender, recalled)
    return judges.summarise()


def measure_time(converter: Converter, engine: str, face: Path) -> list[Figures]:
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "cold.wav")
        words = ["speak", TIMED, "--face", str(face), "-o", out, "--engine", engine, "--quiet"]
        cold = common.run_command([sys.executable, "-m", "facevc_cli", *words])
    speaker, target = Speaker(converter, engine=engine), converter.target_from_face(face)
    speaker.speak("Hi.", voice=target)
    started, cpu_s = time.perf_counter(), time.process_time()
    wav, rate = speaker.speak(TIMED, voice=target)
    warm_s, warm_cpu_s, length_s = time.perf_counter() - started, time.process_time() - cpu_s, len(wav) / rate
    started, cpu_s = time.perf_counter(), time.process_time()
    next(speaker.speak_sentences(TIMED, voice=target))
    first_s, first_cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
    return [
        {"what": "the sound, s", "figure": round(length_s, 2)},
        describe("cold, the whole process, s", cold.wall_s, cold.cpu_s, length_s),
        describe("warm, s", warm_s, warm_cpu_s, length_s),
        describe("warm, first sentence, s", first_s, first_cpu_s, length_s),
        {"what": "largest memory of the process, MB", "figure": round(cold.peak_mb)},
    ]


def describe(what: str, seconds: float, cpu_s: float, length_s: float) -> Figures:
    return {"what": what, "figure": round(seconds, 2), "CPU": round(cpu_s, 2), "RTF": round(seconds / length_s, 2)}


if __name__ == "__main__":
    main()
