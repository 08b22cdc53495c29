"""Mixes many channels to one: FFmpeg's downmix, or the loudest channel if the others cancel it. Removes offsets."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

SILENCE = 1e-4  # RMS; anything below counts as silence
# The share of its energy that a channel must keep in the mix. A mean of two channels keeps a quarter if the other is
# silent, and less if the other cancels it. Two channels that differ keep a half: they stay a mean.
KEPT_ENERGY = 0.2502
SILENT_BESIDE = 1e-6  # share of the loudest channel's energy (-60 dB)
OFFSET_ENERGY = 0.01  # share of the sound's energy; a smaller offset changes the level by less than .05 dB
DRIFT_ENERGY = 0.1
SHORTEST_OFFSET_S = 0.2  # the mean of a shorter piece is no offset: it may be part of a period
DRIFT_WINDOW_S = 0.1
DRIFT_RATE_HZ = 40  # what such a low sampling rate keeps is drift: below 20 Hz. A voice has nothing below 50 Hz.
DRIFT_EDGE_S = 1.0  # the resampler looks half a second ahead and back
BLOCK_SAMPLES = 1 << 20

_HALF_POWER = 2**-0.5
_WEIGHTS = {"FC": 1.0, "LFE": 0.0, "LFE2": 0.0, **dict.fromkeys(("FL", "FR", "FLC", "FRC", "DL", "DR"), _HALF_POWER)}
_SURROUND = 0.5
_GUESSED = {  # FFmpeg's layout for a number of channels if the file does not name them
    3: "FL FR LFE",
    4: "FL FR FC BC",
    5: "FL FR FC BL BR",
    6: "FL FR FC LFE BL BR",
    7: "FL FR FC LFE BC SL SR",
    8: "FL FR FC LFE BL BR SL SR",
}


def choose_weights(count: int, names: Sequence[str] = ()) -> np.ndarray | None:
    """Returns the weight of each channel in the mix (count,) float32. None means equal weights.

    names: FFmpeg's names, such as FL and LFE. The weights are those of libswresample (rematrix.c) for floating point.
    The centre has weight 1, so speech in the centre alone keeps its level.
    """
    if count < 3:
        return None
    known = tuple(names) if len(names) == count and all(name.isalnum() and name != "NONE" for name in names) else ()
    known = known or tuple(_GUESSED.get(count, "").split())
    if len(known) != count or any(name[0] not in "FLBSTDW" for name in known):
        return None
    return np.array([_WEIGHTS.get(name, _SURROUND) for name in known], np.float32)


def mix_channels(block: np.ndarray, names: Sequence[str] = (), channel: int | None = None) -> np.ndarray:
    """(n, channels) -> (n,) of the same type: the channel number `channel`, or else the downmix."""
    count = block.shape[1]
    if channel is not None and channel < count:
        return np.ascontiguousarray(block[:, channel])
    if count < 3:  # to the bit what numpy's mean gives, which has no -0, and ten times as fast
        return np.asarray(block[:, 0] + 0.0 if count == 1 else (block[:, 0] + block[:, 1]) / 2 + 0.0)
    weights = choose_weights(count, names)
    return np.asarray(block.mean(axis=1) if weights is None else block @ weights.astype(block.dtype))


@dataclass
class ChannelLevels:
    """The levels of the channels and of their mix, added up block by block."""

    count: int = 0
    peak: float = 0.0  # of the mix
    # sums of the samples and of their squares
    _sums: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))  # by channel
    _mix: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def add(self, block: np.ndarray, mixed: np.ndarray) -> None:
        """Adds a block (n, channels) and its mix (n,). Blocks may have different numbers of channels."""
        if not len(block):
            return
        self.count += len(block)
        self.peak = max(self.peak, float(mixed.max()), -float(mixed.min()))
        mix = np.array([mixed.sum(dtype=np.float64), np.square(mixed, dtype=np.float64).sum()])
        self._mix += mix
        channels = block.shape[1]
        self._sums = np.pad(self._sums, ((0, 0), (0, max(0, channels - self._sums.shape[1]))))
        if channels == 1:
            self._sums[:, 0] += mix
        else:
            exact = np.ascontiguousarray(block.T, dtype=np.float64)
            self._sums[:, :channels] += (exact.sum(axis=1), np.einsum("ij,ij->i", exact, exact))

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self._mix).all() and np.isfinite(self._sums).all())

    @property
    def powers(self) -> np.ndarray:
        """(channels,) mean squares without the channel's own offset."""
        mean, square = self._sums / max(1, self.count)
        return np.asarray(np.maximum(0, square - mean**2))

    @property
    def loudest(self) -> float:
        """The mean square of the loudest channel."""
        return float(self.powers.max(initial=0.0))

    def choose_channel(self) -> int | None:
        """Returns the channel to use instead of the mix, if only it has sound or the mix cancels it.

        None: use the mix.
        """
        powers = self.powers
        if len(powers) < 2 or powers.max() < SILENCE**2:
            return None
        loudest = int(powers.argmax())
        alone = np.delete(powers, loudest).max() < SILENT_BESIDE * powers[loudest]
        mean, square = self._mix / self.count
        return loudest if alone or square - mean**2 < KEPT_ENERGY * powers[loudest] else None

    def find_offset(self, rate: int) -> float:
        """Returns the offset of the mix to remove; 0 if it does not matter."""
        mean, square = self._mix / max(1, self.count)
        matters = (
            self.count >= SHORTEST_OFFSET_S * rate
            and abs(mean) > SILENCE
            and mean**2 > OFFSET_ENERGY * (square - mean**2)
        )
        return float(mean) if matters else 0.0


def remove_drift(wav: np.ndarray, rate: int) -> bool:
    """Removes a changing offset from (n,) float32, in place. Returns True if there was one that matters."""
    size = round(DRIFT_WINDOW_S * rate)
    windows = len(wav) // size if size else 0
    if windows < SHORTEST_OFFSET_S / DRIFT_WINDOW_S:
        return False
    slow = float(np.square(wav[: windows * size].reshape(windows, size).mean(axis=1, dtype=np.float64)).mean())
    blocks = range(0, len(wav), BLOCK_SAMPLES)
    whole = sum(float(np.square(wav[i : i + BLOCK_SAMPLES], dtype=np.float64).sum()) for i in blocks) / len(wav)
    if slow <= SILENCE**2 or slow <= DRIFT_ENERGY * (whole - slow):
        return False
    # The recording goes on beyond its ends as its mirror image: from silence, its first sample would be a step.
    edge = round(DRIFT_EDGE_S * rate)
    before = np.pad(wav[:edge], (edge, 0), "symmetric")[:edge]
    after = np.pad(wav[-edge:], (0, edge), "symmetric")[-edge:]
    extended = (before, *(wav[i : i + BLOCK_SAMPLES] for i in blocks), after)
    slow_part = np.concatenate(list(_resample_blocks(extended, rate, DRIFT_RATE_HZ)))
    step = max(1, BLOCK_SAMPLES * DRIFT_RATE_HZ // rate)
    pieces = (slow_part[i : i + step] for i in range(0, len(slow_part), step))
    start = -edge
    for drift in _resample_blocks(pieces, DRIFT_RATE_HZ, rate):
        inside = drift[max(0, -start) : max(0, len(wav) - start)]
        first = max(0, start)
        wav[first : first + len(inside)] -= inside
        start += len(drift)
    return True


def _resample_blocks(blocks: Iterable[np.ndarray], rate: int, to_rate: int) -> Iterator[np.ndarray]:
    """Blocks (n,) float32 of one sound -> blocks of it at another rate."""
    import soxr

    stream = soxr.ResampleStream(rate, to_rate, 1, "float32", "LQ")  # the shortest filter: a step rings least
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def mix_array(wav: np.ndarray, rate: int) -> np.ndarray:
    """Mixes a whole recording (n, channels) in memory to (n,) float32, by the same rules as a file."""
    levels = ChannelLevels()
    mixed = mix_channels(wav)
    levels.add(wav, mixed)
    if (channel := levels.choose_channel()) is not None:
        mixed = mix_channels(wav, channel=channel)
        levels = ChannelLevels()
        levels.add(mixed[:, None], mixed)
    offset = levels.find_offset(rate)
    # a copy in any case: the caller's samples stay as they are
    mono = (mixed - offset if offset else mixed).astype(np.float32)
    remove_drift(mono, rate)
    return mono
