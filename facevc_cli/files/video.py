"""Reads the frames of video files that PyAV (FFmpeg) opens. files/sound.py reads their sound."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.container import decode_frames, open_container


def iterate_frames(
    path: Path | str, every: int = 1, limit: int | None = None
) -> Iterator[tuple[int, float, np.ndarray]]:
    """Yields every n-th frame of a video, at most `limit` frames, as (index, time in s, (H, W, 3) uint8 RGB, upright).

    Damaged packets are skipped. FaceVCError if the file is missing, empty or unreadable, or if no frame can be decoded.
    """
    path = Path(path)
    if every < 1:
        raise FaceVCError(f"{path}: expected every n-th frame with n >= 1, found {every}.")
    index, given = 0, 0
    with open_container(path) as container:
        if not container.streams.video:
            raise FaceVCError(f"{path}: the file has no video stream. Name a video or an image.")
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        for frame in decode_frames(container, stream):
            if index % every == 0:
                time_s = float(frame.time) if frame.time is not None else index / rate
                yield index, time_s, _turn_upright(frame.to_ndarray(format="rgb24"), frame.rotation)
                given += 1
                if limit is not None and given >= limit:
                    return
            index += 1
    if index == 0:
        raise FaceVCError(
            f"{path}: no frame of the video can be decoded: it is cut short or damaged. Copy or export it again."
        )


def _turn_upright(image: np.ndarray, rotation_deg: int) -> np.ndarray:
    """Turns a frame counter-clockwise by the container's display rotation, because phones film sideways."""
    return np.ascontiguousarray(np.rot90(image, round(rotation_deg / 90) % 4))
