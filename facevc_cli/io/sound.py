"""The sound of any file, read in blocks: mixed to one channel, brought to a rate and counted on the way, so that memory is bounded."""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from facevc_cli.errors import FaceVCError
from facevc_cli.features.downmix import SILENCE, ChannelLevels, mix_channels, remove_drift
from facevc_cli.io.container import check_file, decode_frames, open_container
from facevc_cli.io.inputs import VIDEO_SUFFIXES
from facevc_cli.io.timeline import Timeline
from facevc_cli.io.unfinished import id3_bytes, is_chained_ogg, length_patches

LONGEST_S = 6 * 3600.0  # a longer file is refused rather than filling the memory
BLOCK_SAMPLES = 1 << 20  # of all channels together
QUIETER_TRACK = 1e-3  # of the loudest track's energy, 30 dB below: such a track before it is no choice
LIE_S = 60.0  # this much more than the header says means that it is wrong
MOST_MP3_BYTES_PER_S = 48_000  # 320 kbit/s, and some more
SPARE_BYTES = SPARE_SAMPLES = 4096
MOST_ROOM = 1.2  # of what is used: more is given back


@dataclass(frozen=True)
class Sound:
    """(n,) float32 mono and its rate in Hz; the peak before resampling; what was done to it, in words."""

    wav: np.ndarray
    rate: int
    peak: float
    notes: tuple[str, ...] = ()


class Track(Protocol):
    """A sound stream that can be read from its beginning any number of times."""

    @property
    def rate(self) -> int: ...
    @property
    def names(self) -> tuple[str, ...]: ...  # of the channels, as FFmpeg calls them; none if unknown
    @property
    def announced_s(self) -> float | None: ...  # None: the header does not say
    def blocks(self) -> Iterator[np.ndarray]: ...  # (n, channels) float32
    def is_longer(self, longest_s: float) -> bool: ...  # found without decoding it all; False if that cannot be told


def read_sound(path: Path, rate: int | None = None, longest_s: float = LONGEST_S) -> Sound:
    """A file's sound, resampled to `rate` if given; what load_audio says of it."""
    check_file(path)
    import soundfile

    if path.suffix.lower() not in VIDEO_SUFFIXES:  # libsndfile takes some streams for MP3 and decodes noise
        with suppress(soundfile.LibsndfileError, TypeError):  # TypeError: it knows the suffix .raw but wants its rate
            plain = _PlainTrack(path)
            if plain.is_whole:
                return _read_track(path, plain, rate, longest_s)
    track, note = _choose_track(path, longest_s)
    return _read_track(path, track, rate, longest_s, note)


def _read_track(path: Path, track: Track, rate: int | None, longest_s: float, *notes: str) -> Sound:
    """Reads it once; and once more if one channel must be taken, or an offset be taken out before resampling."""
    if (track.announced_s is None or track.announced_s > longest_s) and track.is_longer(longest_s):
        raise _too_long(path, longest_s)
    wav, levels = _gather(path, track, rate, longest_s)
    told = [note for note in notes if note]
    before = levels
    channel, offset = levels.choose_channel(), 0.0
    if channel is not None:
        told.append(f"channel {channel + 1} of {len(levels.powers)} was taken: the others cancel it or are silent")
        wav, levels = _gather(path, track, rate, longest_s, channel)
    if (offset := levels.offset(track.rate)) != 0:
        told.append(f"an offset of {offset:.3f} was taken out")
        wav, levels = _gather(path, track, rate, longest_s, channel, offset)
    if remove_drift(wav, rate or track.rate):
        told.append("an offset that wanders was taken out")
    if before.loudest >= SILENCE**2 and not _is_louder(wav, min(SILENCE**2, before.loudest / 8)):
        raise FaceVCError(
            f"{path}: the file has sound, but nothing of it is left at {rate or track.rate} Hz mono: it lies above what speech needs, or "
            "below. Export it again with the speech alone."
        )
    return Sound(wav, rate or track.rate, levels.peak, tuple(told))


def _gather(
    path: Path, track: Track, rate: int | None, longest_s: float, channel: int | None = None, offset: float = 0.0
) -> tuple[np.ndarray, ChannelLevels]:
    """The whole track, mixed and resampled on the way, and how loud its channels are."""
    levels, mixer = ChannelLevels(), Resampler(track.rate, rate or track.rate, min(track.announced_s or 0.0, longest_s))
    checked = False
    first = np.zeros(0, np.float32)
    for block in track.blocks():
        mixed = mix_channels(block, track.names, channel)
        if offset:
            mixed = mixed - np.float32(offset)
        levels.add(block, mixed)
        if not levels.finite:
            raise FaceVCError(f"{path}: expected finite samples, found NaN or infinity. Export the file again as 16-bit PCM.")
        if levels.count > longest_s * track.rate:
            raise _too_long(path, longest_s)
        if not checked and levels.count > ((track.announced_s or 0) + LIE_S) * track.rate:
            checked = True
            if track.is_longer(longest_s):
                raise _too_long(path, longest_s)
        first = first if len(first) else mixed[:1].copy()
        mixer.push(mixed)
    if levels.count == 0:
        raise FaceVCError(f"{path}: the file holds no sound (no samples). Record or export it again.")
    wav = mixer.finish()
    return wav if len(wav) else first, levels


class Resampler:
    """Blocks (n,) float32 at one rate in, all of them at another out: to the bit what `resample` makes of the whole.

    expected_s: room is made for that much at once, so that nothing is copied; more may come.
    """

    def __init__(self, rate: int, to_rate: int, expected_s: float):
        import soxr

        self._stream = None if rate == to_rate else soxr.ResampleStream(rate, to_rate, 1, "float32", "HQ")
        self._wav = np.empty(math.ceil(expected_s * to_rate) + SPARE_SAMPLES, np.float32)
        self._count = 0

    def push(self, block: np.ndarray, last: bool = False) -> None:
        if self._stream is not None:
            block = self._stream.resample_chunk(np.ascontiguousarray(block), last=last)
        end = self._count + len(block)
        if end > len(self._wav):
            longer = np.empty(end + end // 2, np.float32)
            longer[: self._count] = self._wav[: self._count]
            self._wav = longer
        self._wav[self._count : end] = block
        self._count = end

    def finish(self) -> np.ndarray:
        """(n,) float32."""
        self.push(np.zeros(0, np.float32), last=True)
        return self._wav[: self._count] if len(self._wav) < MOST_ROOM * self._count else self._wav[: self._count].copy()


class _PlainTrack:
    """What libsndfile reads."""

    def __init__(self, path: Path):
        import soundfile

        self.path = path.absolute()  # it takes the name - for the standard input
        with soundfile.SoundFile(self.path) as file:
            self.rate, self.channels, self.frames, self.format = int(file.samplerate), file.channels, file.frames, file.format

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
        """Whether libsndfile reads all of it; False where FFmpeg reads more."""
        if self.frames == 0:
            return not length_patches(self.path)
        if self.format == "OGG":
            return not is_chained_ogg(self.path)
        if self.format in ("MP3", "MPEG"):  # its header may say too little
            return self.path.stat().st_size <= id3_bytes(self.path) + MOST_MP3_BYTES_PER_S * self.frames / self.rate + SPARE_BYTES
        return True

    def blocks(self) -> Iterator[np.ndarray]:
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


class _ContainerTrack:
    """What FFmpeg reads: one of the sound streams of a container."""

    def __init__(self, path: Path, index: int, patches: dict[int, bytes]):
        self.path, self.index, self.patches = path, index, patches
        self.names: tuple[str, ...] = ()
        with open_container(path, patches) as container:
            stream = container.streams[index]
            self.announced_s = container.duration / 1e6 if container.duration else None
            frame = next((frame for frame in decode_frames(container, stream) if frame.samples), None)
        if frame is None:
            raise FaceVCError(f"{path}: the sound stream holds no samples that can be decoded. Copy or export the file again.")
        self.rate = int(frame.sample_rate)
        if len(frame.layout.channels) > 2:
            self.names = tuple(channel.name for channel in frame.layout.channels)

    def blocks(self) -> Iterator[np.ndarray]:
        parts: list[np.ndarray] = []
        for part in self._placed():
            if parts and (parts[0].shape[1] != part.shape[1] or sum(p.size for p in parts) >= BLOCK_SAMPLES // 8):
                yield np.concatenate(parts)
                parts = []
            parts.append(part)
        if parts:
            yield np.concatenate(parts)

    def _placed(self) -> Iterator[np.ndarray]:
        """The frames (n, channels), with silence where some are missing."""
        with open_container(self.path, self.patches) as container:
            stream = container.streams[self.index]
            timeline = Timeline.of(container, stream, self.rate)
            for time_s, samples in _at_one_rate(decode_frames(container, stream), self.rate):
                silence, cut = timeline.place(time_s, len(samples))
                for start in range(0, silence, BLOCK_SAMPLES // samples.shape[1]):
                    yield np.zeros((min(silence - start, BLOCK_SAMPLES // samples.shape[1]), samples.shape[1]), np.float32)
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


def _choose_track(path: Path, longest_s: float) -> tuple[_ContainerTrack, str]:
    """The first sound stream that is not silent, and a note where it is not the first of all."""
    patches = length_patches(path)
    with open_container(path, patches) as container:
        streams = [stream.index for stream in container.streams.audio if stream.codec_context is not None]
    if not streams:
        raise FaceVCError(f"{path}: the file has no sound. Leave it out, or use a recording that has.")
    if len(streams) == 1:
        return _ContainerTrack(path, streams[0], patches), ""
    tracks: list[_ContainerTrack] = []
    loudness: list[float] = []
    for index in streams:
        with suppress(FaceVCError):
            track = _ContainerTrack(path, index, patches)
            levels = ChannelLevels()
            for block in track.blocks():
                levels.add(block, block[:, 0])
                if levels.count > longest_s * track.rate:
                    break
            tracks.append(track)
            loudness.append(levels.loudest)
    if not tracks:
        raise FaceVCError(f"{path}: no sound stream holds samples that can be decoded. Copy or export the file again.")
    floor = max(SILENCE**2, QUIETER_TRACK * max(loudness))
    chosen = next((i for i, level in enumerate(loudness) if level >= floor), 0)
    note = f"sound track {streams.index(tracks[chosen].index) + 1} of {len(streams)} was taken: those before it are silent"
    return tracks[chosen], note if tracks[chosen].index != streams[0] else ""


def _at_one_rate(frames: Iterator[Any], rate: int) -> Iterator[tuple[float | None, np.ndarray]]:
    """(time in s, (n, channels) float32) of each frame; those of another rate, as broadcasts and chained files have them, are resampled."""
    import soxr

    for frame in frames:
        if not frame.samples:
            continue
        samples = _samples(frame)
        if frame.sample_rate != rate:
            samples = soxr.resample(samples, frame.sample_rate, rate, quality="HQ").astype(np.float32, copy=False)
        yield (float(frame.time) if frame.pts is not None else None), samples


def _samples(frame: Any) -> np.ndarray:
    """A sound frame of any sample format -> (n, channels) float32, integers scaled to [-1, 1]."""
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, len(frame.layout.channels))
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples / float(np.iinfo(samples.dtype).max + 1)
    with np.errstate(over="ignore"):  # of 64-bit floats: infinity, which is refused
        return np.ascontiguousarray(samples, dtype=np.float32)


def _is_louder(wav: np.ndarray, least: float) -> bool:
    """Whether the mean square of (n,) is at least that."""
    parts = (wav[i : i + BLOCK_SAMPLES] for i in range(0, len(wav), BLOCK_SAMPLES))
    return sum(float(np.square(part, dtype=np.float64).sum()) for part in parts) >= len(wav) * least


def _too_long(path: Path, longest_s: float) -> FaceVCError:
    limit = f"{longest_s / 3600:g} hours" if longest_s >= 3600 else f"{longest_s:g} seconds"
    return FaceVCError(f"{path}: longer than {limit}. Cut it into pieces first.")
