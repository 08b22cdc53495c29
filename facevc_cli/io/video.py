"""Video files, and sound inside any container: what PyAV (FFmpeg) opens."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.errors import FaceVCError
from facevc_cli.io.audio import LONGEST_S, resample, too_long


def iterate_frames(path: Path | str, every: int = 1, limit: int | None = None) -> Iterator[tuple[int, float, np.ndarray]]:
    """Every n-th frame of a video, at most `limit` of them: (index, time in s, (H, W, 3) uint8 RGB, upright).

    Damaged packets are passed over. FaceVCError for a missing, empty or unreadable file and one in which no frame decodes.
    """
    path = Path(path)
    if every < 1:
        raise FaceVCError(f"{path}: expected every n-th frame with n >= 1, found {every}.")
    index, given = 0, 0
    with _opened(path) as container:
        if not container.streams.video:
            raise FaceVCError(f"{path}: the file has no video stream. Name a video or an image.")
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        for frame in _decoded(container, stream):
            if index % every == 0:
                time_s = float(frame.time) if frame.time is not None else index / rate
                yield index, time_s, _upright(frame.to_ndarray(format="rgb24"), frame.rotation)
                given += 1
                if limit is not None and given >= limit:
                    return
            index += 1
    if index == 0:
        raise FaceVCError(f"{path}: no frame of the video can be decoded: it is cut short or damaged. Copy or export it again.")


def has_audio(path: Path | str) -> bool:
    """Whether a container has a sound stream; FaceVCError where it cannot be opened."""
    with _opened(Path(path)) as container:
        return bool(container.streams.audio)


def read_audio(path: Path | str, rate: int | None = None, longest_s: float = LONGEST_S) -> tuple[np.ndarray, int]:
    """The first sound stream of a container as (wav (n,) float32 mono, rate in Hz), resampled to `rate` where given.

    Channels are averaged. FaceVCError for a file that cannot be opened, has no sound, or whose sound does not decode.
    """
    path = Path(path)
    with _opened(path) as container:
        if not container.streams.audio:
            raise FaceVCError(f"{path}: the file has no sound. Leave it out, or use a recording that has.")
        if container.duration and container.duration / 1e6 > longest_s:
            raise too_long(path, longest_s)
        stream = container.streams.audio[0]
        chunks: list[np.ndarray] = []
        found, samples = 0, 0
        for frame in _decoded(container, stream):
            found = found or frame.sample_rate
            chunks.append(resample(_mono(frame), frame.sample_rate, found))
            samples += len(chunks[-1])
            if samples > longest_s * found:
                raise too_long(path, longest_s)
    if not any(len(chunk) for chunk in chunks):
        raise FaceVCError(f"{path}: the sound stream holds no samples that can be decoded. Copy or export the file again.")
    wav = np.concatenate(chunks)
    return resample(wav, found, rate or found), rate or found


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    from av.error import InvalidDataError

    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except InvalidDataError:
            continue  # one damaged packet; whether any frame comes is for the caller to see
        yield from frames


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import av
    from av.error import FFmpegError

    if not path.is_file():
        raise FaceVCError(f"{path}: no such file. Check the path.")
    if path.stat().st_size == 0:
        raise FaceVCError(f"{path}: the file is empty (zero bytes). Copy or record it again.")
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            yield container
    except FFmpegError as error:
        reason = error.strerror or error
        raise FaceVCError(f"{path}: expected a video or sound file that FFmpeg can read, found one it cannot ({reason}).") from error


def _upright(image: np.ndarray, rotation_deg: int) -> np.ndarray:
    """Turns a frame counter-clockwise by the container's display rotation: telephones film sideways."""
    return np.ascontiguousarray(np.rot90(image, round(rotation_deg / 90) % 4))


def _mono(frame: Any) -> np.ndarray:
    """An audio frame of any sample format -> (n,) float32 in [-1, 1], channels averaged."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, len(frame.layout.channels)).T
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples / float(np.iinfo(samples.dtype).max + 1)
    return samples.mean(axis=0, dtype=np.float32)
