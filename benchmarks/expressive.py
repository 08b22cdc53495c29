"""Convert whisper, hoarse, very low, child-like, shouted, sung and laughed speech, made from plain recordings
(manners.py), and measure what a listener would notice first.

SPEECH holds plain recordings, FACES pictures. Each recording is spoken in every manner and converted towards every
face. Columns of the table:

| column | what |
| --- | --- |
| failed | conversions that raised an error, or are not finite |
| buzz | share of the frames with sound, but without a pitch in the source, that have a pitch in the conversion |
| lost | share of the frames with a pitch in the source that have none in the conversion |
| gender kept | share of conversions that the gender judge hears as it hears the conversion of the plain recording |
| CER, CER source | against the words heard in the plain recording; of the conversion, and of the unchanged source |
"""

import sys
from collections import defaultdict
from pathlib import Path

import common
import numpy as np

from facevc_cli import Converter
from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.pitch import extract_f0
from facevc_cli.evaluation.metrics.gender import PitchGenderJudge, load_packaged_judge
from facevc_cli.evaluation.metrics.intelligibility import (
    Recogniser,
    WhisperRecogniser,
    count_errors,
)
from facevc_cli.evaluation.metrics.voices import JUDGE_HOP_SAMPLES, JUDGE_RATE, listen
from facevc_cli.files.audio import load_audio, resample, save_audio
from facevc_cli.files.inputs import AUDIO_SUFFIXES, IMAGE_SUFFIXES, list_files
from facevc_cli.voices.dvector import VoiceEmbedder

QUIET_DB = -35.0  # frames that are quieter than this against the loudest count as silence


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("speech", type=Path, help="a folder of plain recordings")
    parser.add_argument("faces", type=Path, help="a folder of faces")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint; without it, the bundled model")
    parser.add_argument("--limit", type=int, default=6, help="most recordings")
    parser.add_argument("--language", default="en", help="what is spoken; an empty one switches CER off")
    parser.add_argument("--save", type=Path, help="write sources and conversions into this folder")
    args = parser.parse_args()
    from manners import MANNERS, Voice

    converter = Converter(args.checkpoint)
    recogniser = WhisperRecogniser(language=args.language) if args.language else None
    judge, embedder = load_packaged_judge() or PitchGenderJudge(), VoiceEmbedder("cpu")
    targets = {path.stem: converter.target_from_face(path) for path in list_files([args.faces], IMAGE_SUFFIXES)}
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in list_files([args.speech], AUDIO_SUFFIXES)[: args.limit]:
        plain, rate = load_audio(path, JUDGE_RATE)
        voice, words, genders = Voice.analyse(plain, rate), transcribe(recogniser, plain), {}
        for manner, change in MANNERS.items():
            found = figures[manner]
            source = change(voice, np.random.default_rng(0)).synthesise()
            if recogniser and manner != "laughter":
                found["CER source"].append(measure_cer(words, transcribe(recogniser, source)))
            analysed = converter.analyse((source, rate))
            for name, target in targets.items():
                try:
                    spoken = resample(converter.speak(analysed, target), converter.rate, rate)
                except FaceVCError as error:
                    print(f"{path.name}, {manner}, {name}: {error}", file=sys.stderr)
                    found["failed"].append(1)
                    continue
                found["failed"].append(float(not np.isfinite(spoken).all()))
                heard = judge.hear(listen(spoken, embedder))
                kept = genders.setdefault(name, heard)  # the plain manner comes first
                found["gender kept"].append(float(heard == kept))
                for label, value in compare_pitches(source, spoken).items():
                    found[label].append(value)
                if recogniser and manner != "laughter":
                    found["CER"].append(measure_cer(words, transcribe(recogniser, spoken)))
                if args.save:
                    for kind, wav in (("source", source), (name, spoken)):
                        save_audio(args.save / f"{path.stem}_{manner.replace(' ', '-')}_{kind}.wav", wav, rate)
    columns = ("failed", "buzz", "lost", "gender kept", "CER", "CER source")
    rows = [
        {"manner": manner, "conversions": len(found["failed"])}
        | {name: round(float(np.nanmean(found[name])), 3) if found[name] else "" for name in columns}
        for manner, found in figures.items()
    ]
    common.show("Manners of speaking", rows, args.json)


def compare_pitches(source: np.ndarray, spoken: np.ndarray) -> dict[str, float]:
    """Shares of frames that gained (buzz) and lost a pitch; nan if there are no such frames. Both are at JUDGE_RATE."""
    before, after = (extract_f0(wav, JUDGE_RATE, JUDGE_HOP_SAMPLES) > 0 for wav in (source, spoken))
    frames = min(len(before), len(after))
    level = np.array([np.mean(chunk**2) for chunk in np.array_split(spoken, len(after))])[:frames]
    audible = level > level.max() * 10 ** (QUIET_DB / 10)
    before, after = before[:frames], after[:frames]
    unvoiced = ~widen(before) & audible
    return {
        "buzz": float(after[unvoiced].mean()) if unvoiced.any() else float("nan"),
        "lost": float((~widen(after))[before].mean()) if before.any() else float("nan"),
    }


def widen(voiced: np.ndarray, frames: int = 3) -> np.ndarray:
    """Also the frames beside voiced ones: a tracker sets the border a little earlier or later."""
    return np.convolve(voiced, np.ones(2 * frames + 1), mode="same") > 0


def transcribe(recogniser: Recogniser | None, wav: np.ndarray) -> str:
    return recogniser.transcribe(wav).text if recogniser else ""


def measure_cer(words: str, heard: str) -> float:
    errors, letters = count_errors(words, heard, "character")
    return errors / max(1, letters)


if __name__ == "__main__":
    main()
