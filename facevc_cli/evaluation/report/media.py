"""Encode recordings and pictures as data URIs, small enough for hundreds of them in one HTML file."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.audio import load_audio, resample
from facevc_cli.files.image import load_image

MP3_RATE = 24000  # Hz; covers systems of 16 and 22.05 kHz, and is an MPEG-2 rate, which needs fewer bits
MP3_KBIT_S = 48  # constant; 80 log-mel bands stay within 0.04 of the original on average (log10)
LEVEL_KBIT_S = (160, 8)  # libsndfile takes a compression level from 0 to 1, linear between these at MPEG-2 rates
JPEG_QUALITY = 82


def encode_audio(path: str, longest_s: float = 20, kbit_s: int = MP3_KBIT_S) -> str:
    """Encode the first `longest_s` seconds of a recording as a data URI: mono MP3, 24 kHz, `kbit_s` kbit/s (8 kB of
    text per second at 48).

    FaceVCError if the file is missing, broken or without sound (files/audio.load_audio).
    """
    import soundfile

    wav, rate = load_audio(path)
    wav = np.clip(resample(wav[: max(1, round(longest_s * rate))], rate, MP3_RATE), -1.0, 1.0)
    level = (LEVEL_KBIT_S[0] - kbit_s) / (LEVEL_KBIT_S[0] - LEVEL_KBIT_S[1])
    options = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT", "compression_level": level}
    encoded = io.BytesIO()
    try:
        soundfile.write(encoded, wav, MP3_RATE, **options)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: soundfile before 0.13 has no bit rate option
        raise FaceVCError(
            f"{path}: could not be encoded as MP3 ({error}). Update the encoder: 'pip install -U soundfile'."
        ) from error
    return _make_uri("audio/mpeg", encoded.getvalue())


def encode_image(path: str, size: int = 96) -> str:
    """Encode a picture as a data URI: an upright, square JPEG of `size` x `size` pixels, cropped to the middle.

    FaceVCError if the file is missing or not a picture (files/image.load_image).
    """
    picture = Image.fromarray(load_image(path))
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    thumbnail = picture.resize(
        (size, size), Image.Resampling.LANCZOS, (left, top, left + side, top + side), reducing_gap=3.0
    )
    encoded = io.BytesIO()
    thumbnail.save(encoded, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return _make_uri("image/jpeg", encoded.getvalue())


@dataclass
class MediaTable:
    """The media that a page embeds, each file once.

    recordings: key ("a0", "a1" ...) -> data URI, for the page's players. missing: unreadable path -> why.
    """

    recordings: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)

    def add_audio(self, path: str) -> str:
        """Add a recording and return its key; "" if it cannot be read."""
        return self._encode_once("audio", path, lambda: self._add(encode_audio(path)))

    def add_image(self, path: str, size: int = 96) -> str:
        """Return the data URI of a picture; "" if it cannot be read."""
        return self._encode_once(f"image {size}", path, lambda: encode_image(path, size))

    def _encode_once(self, kind: str, path: str, encode: Callable[[], str]) -> str:
        # one file may have several names: relative and absolute, or a source that is its own baseline
        name = f"{kind} {Path(path).absolute() if path else ''}"
        if name not in self._known:
            try:
                self._known[name] = encode()
            except FaceVCError as error:
                # no folders, because pages are shared
                self.missing[path] = str(error).replace(path, Path(path).name) if path else str(error)
                self._known[name] = ""
        return self._known[name]

    def _add(self, uri: str) -> str:
        key = f"a{len(self.recordings)}"
        self.recordings[key] = uri
        return key


def _make_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
