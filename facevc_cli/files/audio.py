"""Audio files.

Reads any format that soundfile or PyAV opens, as mono float32. Writes 16-bit files completely or not at all.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.atomic import atomic_path
from facevc_cli.files.sound import LONGEST_S, read_sound


def load_audio(path: Path | str, rate: int | None = None, *, longest_s: float = LONGEST_S) -> tuple[np.ndarray, int]:
    """Reads a file's sound as (wav (n,) float32 mono, rate in Hz), resampled to `rate` if given.

    One or two channels are averaged. More channels are mixed as FFmpeg mixes them. If the other channels cancel one
    channel or are silent, only that one is used. Of several sound tracks, the first that is not silent is used. An
    audible offset is removed. FaceVCError if the file is missing, empty or unreadable, has no samples or NaN samples,
    or is longer than `longest_s`.
    """
    sound = read_sound(Path(path), rate, longest_s)
    return sound.wav, sound.rate


def resample(wav: np.ndarray, rate: int, to_rate: int) -> np.ndarray:
    """(n,) at `rate` -> (about n * to_rate / rate,) float32, by soxr at high quality. At least one sample remains."""
    if rate == to_rate:
        return wav.astype(np.float32, copy=False)
    import soxr

    resampled = np.asarray(soxr.resample(wav, rate, to_rate, quality="HQ"), dtype=np.float32)
    return resampled if len(resampled) else wav[:1].astype(np.float32)


def save_audio(path: Path | str, wav: np.ndarray, rate: int, comment: str | None = None) -> None:
    """Writes (n,) float in [-1, 1] as a 16-bit file, atomically. The suffix gives the format (wav, flac, ogg).

    comment: is written to the file's own metadata.
    """
    import soundfile

    path = Path(path)
    kind, subtype = _find_format(path)
    clipped = np.clip(wav, -1.0, 1.0)
    try:
        with atomic_path(path, durable=False) as temporary:
            try:
                with soundfile.SoundFile(temporary, "w", rate, 1, subtype, format=kind) as file:
                    if comment:
                        file.comment = comment
                        file.software = "facevc"
                    file.write(clipped)
            except soundfile.LibsndfileError:
                temporary.write_bytes(
                    bytes(2 * len(clipped))
                )  # libsndfile only says "System error"; this says which one, such as a full disk
                raise
    except soundfile.LibsndfileError as error:
        raise FaceVCError(
            f"{path} could not be written ({error}). Is the disk full, or the folder read-only?"
        ) from error


@contextmanager
def open_audio_writer(path: Path, rate: int, comment: str | None = None) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that appends samples (n,) to a 16-bit file, in constant memory.

    The file appears when the block ends without an error. FaceVCError if it cannot be written, or its suffix is wrong.
    """
    import soundfile

    kind, subtype = _find_format(path)
    try:
        with (
            atomic_path(path, durable=False) as temporary,
            soundfile.SoundFile(temporary, "w", rate, 1, subtype, format=kind) as file,
        ):
            if comment:
                file.comment = comment
                file.software = "facevc"
            yield lambda samples: file.write(np.clip(samples, -1.0, 1.0))
            file.close()  # before the file gets its name
    except soundfile.LibsndfileError as error:
        raise FaceVCError(
            f"{path} could not be written ({error}). Is the disk full, or the folder read-only?"
        ) from error


def check_audio_suffix(path: Path) -> None:
    """FaceVCError if no sound file can be written under this name."""
    _find_format(path)


def _find_format(path: Path) -> tuple[str, str]:
    """soundfile's format and subtype for a path."""
    formats = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
    if path.suffix.lower() not in formats:
        raise FaceVCError(f"{path}: the output's suffix must be one of {', '.join(formats)}, found {path.suffix!r}.")
    return formats[path.suffix.lower()]


def read_wav_header(path: Path) -> tuple[int, int]:
    """Returns (samples, rate in Hz) of a mono 16-bit wav, or (0, 0) if `path` is no such file."""
    import soundfile

    try:
        found = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError):
        return 0, 0
    return (
        (found.frames, found.samplerate)
        if (found.format, found.subtype, found.channels) == ("WAV", "PCM_16", 1)
        else (0, 0)
    )
