"""Videos, made by PyAV."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np


def write_video(path: Path, frames: Sequence[np.ndarray], codec: str = "mpeg4", fps: int = 25) -> None:
    """frames: (H, W, 3) uint8 RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = (
            frames[0].shape[1],
            frames[0].shape[0],
            "yuv420p",
            8_000_000,
        )
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
