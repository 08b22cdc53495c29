"""Audio files: any format soundfile or PyAV opens in, mono float32 out; 16-bit files written whole or not at all."""

from pathlib import Path

import numpy as np

from facevc_cli.errors import FaceVCError
from facevc_cli.io.atomic import atomic_path
from facevc_cli.io.inputs import VIDEO_SUFFIXES

LONGEST_S = 6 * 3600.0  # a longer file is refused rather than filling the memory


def load_audio(path: Path | str, rate: int | None = None, longest_s: float = LONGEST_S) -> tuple[np.ndarray, int]:
    """A file's sound as (wav (n,) float32 mono, rate in Hz), resampled to `rate` where given.

    Channels are averaged. FaceVCError for a missing, empty or unreadable file, one without samples, one with NaN samples, and one
    of more than `longest_s` seconds, which are counted while they are decoded.
    """
    path = Path(path)
    wav, found = _decode(path, longest_s)
    if wav.size == 0:
        raise FaceVCError(f"{path}: the file holds no sound (no samples). Record or export it again.")
    if not np.isfinite(wav).all():
        raise FaceVCError(f"{path}: expected finite samples, found NaN or infinity. Export the file again as 16-bit PCM.")
    return (resample(wav, found, rate), rate) if rate else (wav, found)


def resample(wav: np.ndarray, rate: int, to_rate: int) -> np.ndarray:
    """(n,) at `rate` -> (about n * to_rate / rate,) float32, by soxr at high quality; some sound stays some."""
    if rate == to_rate:
        return wav.astype(np.float32, copy=False)
    import soxr

    resampled = np.asarray(soxr.resample(wav, rate, to_rate, quality="HQ"), dtype=np.float32)
    return resampled if len(resampled) else wav[:1].astype(np.float32)


def save_audio(path: Path | str, wav: np.ndarray, rate: int, comment: str | None = None) -> None:
    """(n,) float in [-1, 1] -> a file whose suffix says the format (wav, flac, ogg), 16-bit, atomically.

    `comment` goes into the file's own metadata.
    """
    import soundfile

    path = Path(path)
    formats = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
    if path.suffix.lower() not in formats:
        raise FaceVCError(f"{path}: the output's suffix must be one of {', '.join(formats)}, found {path.suffix!r}.")
    kind, subtype = formats[path.suffix.lower()]
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
                temporary.write_bytes(bytes(2 * len(clipped)))  # libsndfile says "System error": this says which, such as a full disk
                raise
    except soundfile.LibsndfileError as error:
        raise FaceVCError(f"{path} could not be written ({error}). Is the disk full, or the folder read-only?") from error


def too_long(path: Path, longest_s: float) -> FaceVCError:
    longest = f"{longest_s / 3600:g} hours" if longest_s >= 3600 else f"{longest_s:g} s"
    return FaceVCError(f"{path}: longer than {longest}. Cut it into pieces first.")


def wav_header(path: Path) -> tuple[int, int]:
    """(samples, rate in Hz) of a mono 16-bit wav; (0, 0) where there is none at `path`."""
    import soundfile

    try:
        found = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError):
        return 0, 0
    return (found.frames, found.samplerate) if (found.format, found.subtype, found.channels) == ("WAV", "PCM_16", 1) else (0, 0)


def _decode(path: Path, longest_s: float) -> tuple[np.ndarray, int]:
    import soundfile

    if not path.is_file():
        raise FaceVCError(f"{path}: no such audio file. Check the path.")
    if path.stat().st_size == 0:
        raise FaceVCError(f"{path}: the file is empty (zero bytes). Copy or record it again.")
    if path.suffix.lower() in VIDEO_SUFFIXES:  # libsndfile takes some streams for MP3 and decodes noise
        return _from_container(path, longest_s)
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames > longest_s * file.samplerate:
                raise too_long(path, longest_s)
            samples = file.read(dtype="float32", always_2d=True)
            return samples.mean(axis=1), int(file.samplerate)
    except (soundfile.LibsndfileError, TypeError):  # TypeError: libsndfile knows the suffix .raw but wants its rate
        return _from_container(path, longest_s)


def _from_container(path: Path, longest_s: float) -> tuple[np.ndarray, int]:
    from facevc_cli.io.video import read_audio  # which needs this module's resample

    return read_audio(path, longest_s=longest_s)
