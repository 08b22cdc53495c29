"""Reads the sound streams of a file in blocks, with libsndfile or FFmpeg."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.container import decode_frames, open_container
from facevc_cli.files.timeline import Timeline
from facevc_cli.files.unfinished import find_length_patches, is_chained_ogg, measure_id3_bytes

BLOCK_SAMPLES = 1 << 20  # of all channels together
MOST_MP3_BYTES_PER_S = 48_000  # 320 kbit/s, and some more
SPARE_BYTES = 4096


class Track(Protocol):
    """A sound stream that can be read from its beginning any number of times."""

    @property
    def rate(self) -> int: ...
    @property
    def names(self) -> tuple[str, ...]: ...  # of the channels, as FFmpeg calls them; none if unknown
    @property
    def announced_s(self) -> float | None: ...  # None: the header does not say
    def iterate_blocks(self) -> Iterator[np.ndarray]: ...  # (n, channels) float32
    def is_longer(
        self, longest_s: float
    ) -> bool: ...  # True if found without decoding everything; False if that is unknown


class PlainTrack:
    """The sound of a file that libsndfile reads."""

    def __init__(self, path: Path):
        import soundfile

        self.path = path.absolute()  # it takes the name - for the standard input
        with soundfile.SoundFile(self.path) as file:
            self.rate, self.channels, self.frames, self.format = (
                int(file.samplerate),
                file.channels,
                file.frames,
                file.format,
            )

    @property
    def announced_s(self) -> float | None:
        return self.frames / self.rate

    @cached_property
    def names(self) -> tuple[str, ...]:
        if self.channels < 3:
            return ()
        with suppress(FaceVCError), open_container(self.path) as container:
            return tuple(c.name for stream in container.streams.audio[:1] for c in stream.layout.channels)
        return ()

    @property
    def is_whole(self) -> bool:
        """Returns True if libsndfile reads all of it, False if FFmpeg reads more."""
        if self.frames == 0:
            return not find_length_patches(self.path)
        if self.format == "OGG":
            return not is_chained_ogg(self.path)
        if self.format in ("MP3", "MPEG"):  # its header may say too little
            return (
                self.path.stat().st_size
                <= measure_id3_bytes(self.path) + MOST_MP3_BYTES_PER_S * self.frames / self.rate + SPARE_BYTES
            )
        return True

    def iterate_blocks(self) -> Iterator[np.ndarray]:
        import soundfile

        with soundfile.SoundFile(self.path) as file:
            while len(block := file.read(max(1, BLOCK_SAMPLES // self.channels), dtype="float32", always_2d=True)):
                yield block

    def is_longer(self, longest_s: float) -> bool:
        import soundfile

        with suppress(soundfile.LibsndfileError), soundfile.SoundFile(self.path) as file:
            file.seek(int(longest_s * self.rate) + 1)
            return len(file.read(1)) > 0
        return False


class ContainerTrack:
    """One sound stream of a container, read by FFmpeg."""

    def __init__(self, path: Path, index: int, patches: dict[int, bytes]):
        self.path, self.index, self.patches = path, index, patches
        self.names: tuple[str, ...] = ()
        with open_container(path, patches) as container:
            stream = container.streams[index]
            self.announced_s = container.duration / 1e6 if container.duration else None
            frame = next((frame for frame in decode_frames(container, stream) if frame.samples), None)
        if frame is None:
            raise FaceVCError(
                f"{path}: the sound stream holds no samples that can be decoded. Copy or export the file again."
            )
        self.rate = int(frame.sample_rate)
        if len(frame.layout.channels) > 2:
            self.names = tuple(channel.name for channel in frame.layout.channels)

    def iterate_blocks(self) -> Iterator[np.ndarray]:
        parts: list[np.ndarray] = []
        for part in self._iterate_placed():
            if parts and (parts[0].shape[1] != part.shape[1] or sum(p.size for p in parts) >= BLOCK_SAMPLES // 8):
                yield np.concatenate(parts)
                parts = []
            parts.append(part)
        if parts:
            yield np.concatenate(parts)

    def _iterate_placed(self) -> Iterator[np.ndarray]:
        """Yields the frames (n, channels), with silence in place of missing ones."""
        with open_container(self.path, self.patches) as container:
            stream = container.streams[self.index]
            timeline = Timeline.of(container, stream, self.rate)
            for time_s, samples in _resample_frames(decode_frames(container, stream), self.rate):
                silence, cut = timeline.place(time_s, len(samples))
                for start in range(0, silence, BLOCK_SAMPLES // samples.shape[1]):
                    yield np.zeros(
                        (min(silence - start, BLOCK_SAMPLES // samples.shape[1]), samples.shape[1]), np.float32
                    )
                yield samples[cut:]

    def is_longer(self, longest_s: float) -> bool:
        with suppress(FaceVCError), open_container(self.path, self.patches) as container:
            stream = container.streams[self.index]
            begin_s = float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0
            with suppress(OSError, ValueError):
                container.seek(int((begin_s + longest_s) * 1e6))
            for packet in container.demux(stream):
                if packet.pts is not None and float(packet.pts * packet.time_base) - begin_s > longest_s:
                    return True
        return False


def _resample_frames(frames: Iterator[Any], rate: int) -> Iterator[tuple[float | None, np.ndarray]]:
    """Yields (time in s, (n, channels) float32) of each frame.

    Broadcasts and chained files may change their rate. Frames of another rate are resampled.
    """
    import soxr

    for frame in frames:
        if not frame.samples:
            continue
        samples = _convert_samples(frame)
        if frame.sample_rate != rate:
            samples = soxr.resample(samples, frame.sample_rate, rate, quality="HQ").astype(np.float32, copy=False)
        yield (float(frame.time) if frame.pts is not None else None), samples


def _convert_samples(frame: Any) -> np.ndarray:
    """A sound frame of any sample format -> (n, channels) float32, integers scaled to [-1, 1]."""
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, len(frame.layout.channels))
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples / float(np.iinfo(samples.dtype).max + 1)
    with np.errstate(over="ignore"):  # of 64-bit floats: infinity, which is refused
        return np.ascontiguousarray(samples, dtype=np.float32)
