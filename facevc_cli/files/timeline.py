"""Places decoded sound in time. Gaps are filled with silence, so that sound and picture stay together."""

import re
from typing import Any

GAP_S = 0.05  # time stamps that jump less are inexact; one lost packet is shorter, several add up
# in a broadcast's stream a longer jump is a new beginning of its clock (FFmpeg's dts_delta_threshold)
DISCONTINUITY_S = 10.0
UNTOLD_GAP_S = 60.0  # longest gap that is believed if the picture's length is unknown
OVERLAP_S = 1.0  # a longer jump back is a new beginning too
MOST_CUT = 0.05  # share of the sound; time stamps that would cut more are wrong
_BROADCAST = frozenset({"mpegts", "mpeg"})


class Timeline:
    """The timeline of one sound stream, in seconds from the beginning of its container.

    origin_s: the earliest time stamp of sound and picture. end_s: the end of the picture; None if there is no picture,
    or its end is unknown.
    """

    def __init__(
        self, rate: int, origin_s: float | None = None, end_s: float | None = None, discontinuous: bool = False
    ):
        self.rate, self.end_s, self.discontinuous = rate, end_s, discontinuous
        self._origin_s = origin_s
        self._written = self._cut = 0  # samples
        self._last_s: float | None = None

    @classmethod
    def of(cls, container: Any, stream: Any, rate: int) -> "Timeline":
        """Builds the timeline of an open container's stream. Cover art does not count as a picture."""
        pictures = [s for s in container.streams.video if not _is_attached(s)]
        begun = [
            float(s.start_time * s.time_base) for s in (stream, *pictures) if s.start_time is not None and s.time_base
        ]
        end_s = None
        if pictures:
            end_s = max((_read_duration_s(s) for s in pictures), default=0.0) or None
        return cls(rate, min(begun, default=None), end_s, bool(_BROADCAST & set(container.format.name.split(","))))

    def place(self, time_s: float | None, samples: int) -> tuple[int, int]:
        """A frame's time stamp and length -> samples of silence before it, and samples to cut from its beginning."""
        silence = cut = 0
        if time_s is not None and (self._last_s is None or time_s != self._last_s):  # the same one again says nothing
            self._last_s = time_s
            if self._origin_s is None:
                self._origin_s = time_s
            late_s = time_s - self._origin_s - self._written / self.rate
            if late_s > GAP_S:
                silence = round(late_s * self.rate) if self._is_gap(late_s) else 0
            elif late_s < -GAP_S and self._written:
                cut = min(samples, round(-late_s * self.rate)) if late_s > -OVERLAP_S else 0
                if self._cut + cut > OVERLAP_S * self.rate + MOST_CUT * self._written:
                    cut = 0
            self._cut += cut
            if abs(late_s) > GAP_S and not silence and not cut:
                self._origin_s += late_s  # go on from here
        self._written += silence + samples - cut
        return silence, cut

    def _is_gap(self, late_s: float) -> bool:
        if self.discontinuous and late_s > DISCONTINUITY_S:
            return False
        if self.end_s is None:
            return late_s <= UNTOLD_GAP_S
        return self._written / self.rate + late_s <= self.end_s + 1


def _read_duration_s(stream: Any) -> float:
    """Returns a stream's duration, or 0 if it is unknown.

    The container's duration is not used, because wrong time stamps of the sound make it too long.
    """
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    told = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))  # Matroska's
    return int(told[1]) * 3600 + int(told[2]) * 60 + float(told[3]) if told else 0.0


def _is_attached(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)
