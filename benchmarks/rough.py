"""Convert recordings as people make them: with noise, in a room, by a laptop, from an MP3 (conditions.py).

SPEECH holds clean recordings of two or more speakers, one for each. Each is converted towards the next speaker.
In the first table the source is rough, in the second the recording of the target. Columns:

| column | what |
| --- | --- |
| CER | against the words heard in the clean source |
| MOS | predicted by DistillMOS |
| target, source | cosine to the clean recording of each (Resemblyzer, and voicefilter if it is installed) |
| noise | level in the source's pauses against its speech, dB |
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import common
import numpy as np

from facevc_cli import Converter
from facevc_cli.evaluation.judges import load_speaker_judge
from facevc_cli.evaluation.metrics.intelligibility import (
    Recogniser,
    WhisperRecogniser,
    count_errors,
)
from facevc_cli.evaluation.metrics.naturalness import DistillMOS
from facevc_cli.files.audio import load_audio, resample
from facevc_cli.files.inputs import AUDIO_SUFFIXES, list_files

JUDGES = ("resemblyzer", "voicefilter")
FRAME_SAMPLES = 400
PAUSE, LOUD = 0.1, 0.9  # quantiles of the frames' power


class Judges:
    def __init__(self, language: str):
        self.recogniser: Recogniser = WhisperRecogniser(language=language)
        self.mos, self.speakers = DistillMOS(), {name: load_speaker_judge(name) for name in JUDGES}

    def hear_words(self, wav: np.ndarray) -> str:
        return self.recogniser.transcribe(wav).text

    def embed(self, wav: np.ndarray) -> dict[str, np.ndarray]:
        return {name: judge.embed(wav) for name, judge in self.speakers.items()}


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("speech", type=Path, help="a folder of clean recordings, one for each speaker")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint; without it, the bundled model")
    parser.add_argument("--limit", type=int, default=8, help="most recordings")
    parser.add_argument("--language", default="en", help="what is spoken")
    args = parser.parse_args()
    from conditions import RATE

    paths = list_files([args.speech], AUDIO_SUFFIXES)[: args.limit]
    if len(paths) < 2:
        parser.error(f"{args.speech}: expected at least two recordings, found {len(paths)}")
    wavs = [load_audio(path, RATE)[0] for path in paths]
    converter, judges = Converter(args.checkpoint), Judges(args.language)
    for title, rough_source in (("Rough sources", True), ("Rough recordings of the target", False)):
        common.show(title, measure(converter, judges, wavs, rough_source), args.json, recordings=len(wavs))


def measure(converter: Converter, judges: Judges, wavs: Sequence[np.ndarray], rough_source: bool) -> list[dict]:
    """One row for each condition: means over the recordings."""
    from conditions import CONDITIONS, RATE

    words, voices = [judges.hear_words(wav) for wav in wavs], [judges.embed(wav) for wav in wavs]
    rows = []
    for name, change in CONDITIONS.items():
        found: dict[str, list[float]] = defaultdict(list)
        rough = [change(wav, np.random.default_rng(i)) for i, wav in enumerate(wavs)]
        sources, references = (rough, wavs) if rough_source else (wavs, rough)
        for i, source in enumerate(sources):
            other = (i + 1) % len(wavs)
            target = converter.target_from_voice((references[other], RATE))
            spoken = resample(converter.speak(converter.analyse((source, RATE)), target), converter.rate, RATE)
            errors, letters = count_errors(words[i], judges.hear_words(spoken), "character")
            found["CER"].append(errors / max(1, letters))
            found["MOS"].append(judges.mos.score(spoken))
            found["noise"].append(measure_noise_db(spoken))
            for judge, heard in judges.embed(spoken).items():
                found[f"{judge} target"].append(float(heard @ voices[other][judge]))
                found[f"{judge} source"].append(float(heard @ voices[i][judge]))
        rows.append({"condition": name} | {column: round(float(np.mean(v)), 3) for column, v in found.items()})
    return rows


def measure_noise_db(wav: np.ndarray) -> float:
    frames = wav[: len(wav) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    power = (frames.astype(np.float64) ** 2).mean(1)
    return float(10 * np.log10(max(1e-12, np.quantile(power, PAUSE)) / max(1e-12, np.quantile(power, LOUD))))


if __name__ == "__main__":
    main()
