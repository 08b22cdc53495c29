"""The settings of a stream."""

from dataclasses import dataclass

from facevc_cli.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """Frames are those of the model's log-mel: 11.6 ms for the bundled one.

    Shorter steps and less lookahead come sooner; longer ones need less computing and sound better.
    """

    step_frames: int = 4  # converted at once; even
    lookahead_frames: int = 6  # heard beyond the frames that are spoken; even
    causal: bool = True  # uses the model's causal content encoder, if it has one
    content_frames: int = 86  # the content encoder hears this much of the past, if the model has no causal one; even
    decoder_frames: int = 16  # the decoder hears this much before the frames that are spoken; even
    vocoder_frames: int = 12  # a vocoder that keeps nothing of the past hears this much of it again
    crossfade_ms: float = 20.0  # between steps; at most the lookahead
    memory_s: float = 15.0  # seconds of speech over which level, pitch and content are measured
    watermark: bool = True

    def __post_init__(self) -> None:
        for name in ("step_frames", "lookahead_frames", "content_frames", "decoder_frames"):
            least = 2 if name != "lookahead_frames" else 0
            value = getattr(self, name)
            if value < least or value % 2:
                raise UsageError(f"{name}={value}: expected an even number from {least} on.")
        if self.vocoder_frames < 0:
            raise UsageError(f"vocoder_frames={self.vocoder_frames}: expected 0 or more.")
        if self.decoder_frames > self.content_frames:
            raise UsageError(
                f"decoder_frames={self.decoder_frames}: expected at most content_frames, {self.content_frames}."
            )
        if self.crossfade_ms < 0 or self.memory_s <= 0:
            raise UsageError(
                f"crossfade_ms={self.crossfade_ms:g} and memory_s={self.memory_s:g}: expected 0 or more, and more "
                "than 0."
            )
