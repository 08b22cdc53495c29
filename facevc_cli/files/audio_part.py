"""Cuts a part out of a recording, without any change of its samples."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.packed import MOST_BYTES, Part

TOLERANCE_S = 0.1  # manifests round; a part may end so much after its recording
BLOCK_SAMPLES = 1 << 20  # of all channels together
SAMPLE_BYTES = 4


def cut_part(path: Path, part: Part, target: Path) -> Path:
    """Writes a part of a recording to `target`, as 32-bit float w64. FaceVCError if it is outside the recording.

    Equal parts give equal files: libsndfile writes the time of day into a wav of floats, but not into a w64.
    """
    import soundfile

    from facevc_cli.files.sound import read_sound

    try:
        with soundfile.SoundFile(path) as file:
            first, count = _find_samples(path, part, file.samplerate, file.frames)
            _write(path, part, target, file.samplerate, file.channels, _read_blocks(file, path, part, first, count))
    except (soundfile.LibsndfileError, TypeError):  # a video, or a format that only FFmpeg knows
        sound = read_sound(path)
        first, count = _find_samples(path, part, sound.rate, len(sound.wav))
        wav = np.asarray(sound.wav[first : first + count], np.float32)
        try:
            _write(path, part, target, sound.rate, 1, [wav[:, None]])
        except soundfile.LibsndfileError as error:
            raise FaceVCError(
                f"{path}: no temporary copy of a part in {target.parent} ({error}). Make room, or set TMPDIR to a "
                "folder with room."
            ) from error
    return target


def _write(path: Path, part: Part, target: Path, rate: int, channels: int, blocks: Iterable[np.ndarray]) -> None:
    """Writes the part's channels of blocks (n, channels)."""
    import soundfile

    chosen = list(part.channels) if part.channels and channels > 1 else list(range(channels))
    if max(chosen) >= channels:
        raise FaceVCError(
            f"{path}: expected the channel {max(chosen)}, found {channels} channels, counted from 0. Correct the "
            "manifest."
        )
    if part.duration_s * rate * len(chosen) * SAMPLE_BYTES > MOST_BYTES:
        raise FaceVCError(f"{path}: expected a part of at most {MOST_BYTES:,} bytes, found more. Split it.")
    with soundfile.SoundFile(target, "w", rate, len(chosen), "FLOAT", format="W64") as file:
        for block in blocks:
            file.write(block[:, chosen])


def _read_blocks(file: Any, path: Path, part: Part, first: int, count: int) -> Iterator[np.ndarray]:
    """Reads a part block by block, because a header may announce more samples than there are."""
    file.seek(first)
    left, most = count, max(1, BLOCK_SAMPLES // file.channels)
    while left and len(block := file.read(min(left, most), dtype="float32", always_2d=True)):
        yield block
        left -= len(block)
    if left > TOLERANCE_S * file.samplerate:
        raise _make_length_error(path, part, (first + count - left) / file.samplerate)


def _find_samples(path: Path, part: Part, rate: int, total: int) -> tuple[int, int]:
    """Returns the first sample of a part, and how many there are."""
    first, stop = round(part.start_s * rate), round((part.start_s + part.duration_s) * rate)
    if first >= total or stop > total + TOLERANCE_S * rate:
        raise _make_length_error(path, part, total / rate)
    return first, min(stop, total) - first


def _make_length_error(path: Path, part: Part, found_s: float) -> FaceVCError:
    return FaceVCError(
        f"{path}: expected a part from {part.start_s:g} to {part.start_s + part.duration_s:g} s, found a recording of "
        f"{found_s:g} s. Correct the manifest."
    )
