"""The content of a stream: from the model's causal encoder, or from its usual one, run on the last two seconds."""

from typing import cast

from torch import Tensor

from facevc_cli.dsp.statistics import WHOLE, Statistics
from facevc_cli.families.base import Capability, ContentStream, ConversionModel, StreamModel


class WindowedContent:
    """Runs the model's content encoder on the whole window at each step.

    This works with every model, but most of the work is done again each time.
    """

    def __init__(self, model: ConversionModel):
        self._model = model

    def hear(self, mel: Tensor, new_frames: int, statistics: Statistics = WHOLE) -> Tensor:
        return self._model.hear_content(mel, statistics)


def hears_causally(model: ConversionModel, causal: bool) -> bool:
    """True if streams of this model use a causal encoder, which needs no window."""
    return causal and Capability.STREAM in model.capabilities


def open_content(model: ConversionModel, causal: bool) -> ContentStream:
    """Opens the content of one stream. causal: uses the model's causal encoder, if it has one."""
    if hears_causally(model, causal):
        return cast(StreamModel, model).open_content_stream()
    return WindowedContent(model)
