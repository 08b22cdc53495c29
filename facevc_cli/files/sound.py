"""Reads the sound of any file in blocks, so that memory is limited. Mixes, resamples and counts samples on the way."""

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.downmix import SILENCE, ChannelLevels, mix_channels, remove_drift
from facevc_cli.files.container import check_file, open_container
from facevc_cli.files.inputs import VIDEO_SUFFIXES
from facevc_cli.files.tracks import BLOCK_SAMPLES, ContainerTrack, PlainTrack, Track
from facevc_cli.files.unfinished import find_length_patches

LONGEST_S = 6 * 3600.0  # a longer file is refused rather than filling the memory
QUIETER_TRACK = 1e-3  # share of the loudest track's energy (-30 dB); a quieter track is skipped
LOST_ENERGY = 1e-5  # share of the loudest channel's energy; a quieter channel counts as silent
LIE_S = 60.0  # if there is this much more sound than the header says, the header is wrong
SPARE_SAMPLES = 4096
MOST_ROOM = 1.2  # largest ratio of allocated to used memory; more is given back


@dataclass(frozen=True)
class Sound:
    """(n,) float32 mono and its rate in Hz, its peak before resampling, and notes about changes to it."""

    wav: np.ndarray
    rate: int
    peak: float
    notes: tuple[str, ...] = ()


def read_sound(path: Path, rate: int | None = None, longest_s: float = LONGEST_S) -> Sound:
    """Reads a file's sound, resampled to `rate` if given. See `load_audio`."""
    check_file(path, "audio file")
    import soundfile

    if path.suffix.lower() not in VIDEO_SUFFIXES:  # libsndfile takes some streams for MP3 and decodes noise
        with suppress(soundfile.LibsndfileError, TypeError):  # TypeError: it knows the suffix .raw but wants its rate
            plain = PlainTrack(path)
            if plain.is_whole:
                return _read_track(path, plain, rate, longest_s)
    track, note = _choose_track(path, longest_s)
    return _read_track(path, track, rate, longest_s, note)


def fit_full_scale(sound: Sound) -> Sound:
    """Scales the sound to a peak of 1 if its samples are beyond, because a file of integers would clip them.

    Samples that only resampling raises above 1 are clipped. They are few, in recordings at full scale.
    """
    peak = max(float(sound.wav.max()), -float(sound.wav.min()))
    if sound.peak <= 1 or peak <= 1:
        return sound
    wav = sound.wav / np.float32(peak)
    return Sound(
        wav,
        sound.rate,
        sound.peak,
        (*sound.notes, f"scaled by {-20 * math.log10(peak):.1f} dB: its samples go up to {sound.peak:.2f}"),
    )


def _read_track(path: Path, track: Track, rate: int | None, longest_s: float, *notes: str) -> Sound:
    """Reads a track once, and again if one channel must be used or an offset must be removed before resampling."""
    if (track.announced_s is None or track.announced_s > longest_s) and track.is_longer(longest_s):
        raise _make_length_error(path, longest_s)
    wav, levels = _gather(path, track, rate, longest_s)
    told = [note for note in notes if note]
    before = levels
    if (channel := levels.choose_channel()) is not None:
        told.append(
            f"took only channel {channel + 1} of {len(levels.powers)}, because the others cancel it or are silent"
        )
        del wav  # before another array of this size is made
        wav, levels = _gather(path, track, rate, longest_s, channel)
    if (offset := levels.find_offset(track.rate)) != 0:
        told.append(f"removed an offset of {offset:.3f}")
        del wav
        wav, levels = _gather(path, track, rate, longest_s, channel, offset)
    if remove_drift(wav, rate or track.rate):
        told.append("removed a changing offset")
    least = max(min(SILENCE**2, before.loudest / 8), LOST_ENERGY * before.loudest)
    if before.loudest >= SILENCE**2 and not _is_louder(wav, least):
        raise FaceVCError(
            f"{path}: the file has sound, but nothing of it is left at {rate or track.rate} Hz mono: it is above "
            "what speech needs, or below. Export it again with only the speech."
        )
    return Sound(wav, rate or track.rate, levels.peak, tuple(told))


def _gather(
    path: Path, track: Track, rate: int | None, longest_s: float, channel: int | None = None, offset: float = 0.0
) -> tuple[np.ndarray, ChannelLevels]:
    """Returns the whole track, mixed and resampled on the way, and the levels of its channels."""
    levels, mixer = ChannelLevels(), Resampler(track.rate, rate or track.rate, min(track.announced_s or 0.0, longest_s))
    checked = False
    first = np.zeros(0, np.float32)
    for block in track.iterate_blocks():
        mixed = mix_channels(block, track.names, channel)
        if offset:
            mixed = mixed - np.float32(offset)
        levels.add(block, mixed)
        if not levels.finite:
            raise FaceVCError(
                f"{path}: expected finite samples, found NaN or infinity. Export the file again as 16-bit PCM."
            )
        if levels.count > longest_s * track.rate:
            raise _make_length_error(path, longest_s)
        if not checked and levels.count > ((track.announced_s or 0) + LIE_S) * track.rate:
            checked = True
            if track.is_longer(longest_s):
                raise _make_length_error(path, longest_s)
        first = first if len(first) else mixed[:1].copy()
        mixer.push(mixed)
    if levels.count == 0:
        raise FaceVCError(f"{path}: the file holds no sound (no samples). Record or export it again.")
    wav = mixer.finish()
    return wav if len(wav) else first, levels


class Resampler:
    """Resamples blocks (n,) float32. Together they equal the result of `resample` for the whole, to the bit.

    expected_s: memory for that length is allocated at once, so that nothing is copied. The sound may be longer.
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


def _choose_track(path: Path, longest_s: float) -> tuple[ContainerTrack, str]:
    """Returns the first sound stream that is not silent, and a note if it is not the first of all."""
    patches = find_length_patches(path)
    with open_container(path, patches) as container:
        streams = [stream.index for stream in container.streams.audio if stream.codec_context is not None]
    if not streams:
        raise FaceVCError(f"{path}: the file has no sound. Leave it out, or use a recording that has.")
    if len(streams) == 1:
        return ContainerTrack(path, streams[0], patches), ""
    tracks: list[ContainerTrack] = []
    loudness: list[float] = []
    for index in streams:
        with suppress(FaceVCError):
            track = ContainerTrack(path, index, patches)
            levels = ChannelLevels()
            for block in track.iterate_blocks():
                levels.add(block, block[:, 0])
                if levels.count > longest_s * track.rate:
                    break
            tracks.append(track)
            loudness.append(levels.loudest)
    if not tracks:
        raise FaceVCError(f"{path}: no sound stream holds samples that can be decoded. Copy or export the file again.")
    floor = max(SILENCE**2, QUIETER_TRACK * max(loudness))
    chosen = next((i for i, level in enumerate(loudness) if level >= floor), 0)
    note = (
        f"sound track {streams.index(tracks[chosen].index) + 1} of {len(streams)} was taken: those before it are silent"
    )
    return tracks[chosen], note if tracks[chosen].index != streams[0] else ""


def _is_louder(wav: np.ndarray, least: float) -> bool:
    """Returns True if the mean square of (n,) is at least that value."""
    parts = (wav[i : i + BLOCK_SAMPLES] for i in range(0, len(wav), BLOCK_SAMPLES))
    return sum(float(np.square(part, dtype=np.float64).sum()) for part in parts) >= len(wav) * least


def _make_length_error(path: Path, longest_s: float) -> FaceVCError:
    limit = f"{longest_s / 3600:g} hours" if longest_s >= 3600 else f"{longest_s:g} seconds"
    return FaceVCError(f"{path}: longer than {limit}. Cut it into pieces first.")
