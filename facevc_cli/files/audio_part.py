"""Cuts a part out of a recording, without any change of its samples."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facevc_cli.core.errors import FaceVCError

if TYPE_CHECKING:
    from facevc_cli.files.packed import Part

TOLERANCE_S = 0.1  # manifests round; a part may end so much after its recording


def cut_part(path: Path, part: "Part", target: Path) -> Path:
    """Writes a part of a recording to `target`, as 32-bit float wav. FaceVCError if it is outside the recording."""
    import soundfile

    from facevc_cli.files.sound import read_sound

    try:
        with soundfile.SoundFile(path) as file:
            rate, total = file.samplerate, file.frames
            first, count = _find_samples(path, part, rate, total)
            file.seek(first)
            wav = file.read(count, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:  # a video, or a format that only FFmpeg knows
        sound = read_sound(path)
        rate, wav = sound.rate, np.asarray(sound.wav, np.float32)[:, None]
        first, count = _find_samples(path, part, rate, len(wav))
        wav = wav[first : first + count]
    if part.channels and wav.shape[1] > 1:
        if max(part.channels) >= wav.shape[1]:
            raise FaceVCError(
                f"{path}: expected the channel {max(part.channels)}, found {wav.shape[1]} channels, counted from 0. "
                "Correct the manifest."
            )
        wav = wav[:, list(part.channels)]
    soundfile.write(target, wav, rate, subtype="FLOAT")
    return target


def _find_samples(path: Path, part: "Part", rate: int, total: int) -> tuple[int, int]:
    first, stop = round(part.start_s * rate), round((part.start_s + part.duration_s) * rate)
    if first >= total or stop > total + TOLERANCE_S * rate:
        raise FaceVCError(
            f"{path}: expected a part from {part.start_s:g} to {part.start_s + part.duration_s:g} s, found a recording "
            f"of {total / rate:g} s. Correct the manifest."
        )
    return first, min(stop, total) - first
