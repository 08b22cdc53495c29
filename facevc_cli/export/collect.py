"""Collects the graphs of a conversion, in the order in which a program calls them."""

from typing import cast

import torch
from torch import nn

from facevc_cli.conversion.converter import GUIDING_S, Converter
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.graphs import Graph, draw_log_mel, draw_speech
from facevc_cli.dsp.mel import compute_log_mel
from facevc_cli.export.mark_graph import MarkGraph
from facevc_cli.export.sound_graphs import LEAST_CORRELATION, LogMelGraph, PitchGraph, VoiceGraph
from facevc_cli.families.base import Capability, ExportableModel
from facevc_cli.files.audio import resample
from facevc_cli.provenance.watermark import add_watermark
from facevc_cli.vocoders import Vocoder
from facevc_cli.voices.dvector import VOICE_RATE, VoiceEmbedder
from facevc_cli.voices.dvector_network import load_voice_encoder

MEL_TOLERANCE, VOCODER_TOLERANCE, MARK_TOLERANCE = 2e-3, 5e-4, 1e-5
VOICE_TOLERANCE = 5e-3  # soxr resamples with another filter
OWN_LICENCE = "MIT"


def collect_graphs(converter: Converter) -> list[Graph]:
    """Makes all graphs of a conversion.

    FaceVCError if the model's networks or the vocoder cannot be written as graphs.
    """
    model = converter.model
    if Capability.EXPORT not in model.capabilities:
        raise FaceVCError(
            f"the model {converter.checkpoint.config.name!r} has a content encoder or a decoder that facevc cannot "
            "export. Choose another --checkpoint, such as the bundled one."
        )
    graphs = [_make_mel_graph(converter), _make_pitch_graph(converter)]
    if model.needs_dvector:
        graphs.append(_make_voice_graph(converter))
    own = cast(ExportableModel, model).make_graphs()
    typical = own[0].make_inputs(200)[0]
    return [
        *graphs,
        *own,
        make_vocoder_graph(converter.vocoder, typical),
        *make_stream_graphs(converter.vocoder, typical),
        _make_mark_graph(converter.rate),
    ]


def _make_mel_graph(converter: Converter) -> Graph:
    definition = converter.frontend.definition

    def compute(wav: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(compute_log_mel(wav.numpy(), definition))[None]

    return Graph(
        name="mel",
        purpose="log-mel of the prepared source",
        module=LogMelGraph(definition),
        inputs={"wav": ("samples",)},
        outputs={"log_mel": (1, "frames", definition.n_mels)},
        make_inputs=lambda frames: (draw_speech(frames * definition.hop_samples, definition.rate),),
        reference=compute,
        tolerance=MEL_TOLERANCE,
        context_frames=-(-definition.n_fft // definition.hop_samples // 2),
        facts={"least_samples": definition.n_fft},
    )


def _make_pitch_graph(converter: Converter) -> Graph:
    definition = converter.frontend.definition
    return Graph(
        name="pitch",
        purpose="F0 in Hz of the prepared source, 0 in unvoiced frames. facevc itself uses WORLD",
        module=PitchGraph(definition),
        inputs={"wav": ("samples",)},
        outputs={"f0": ("frames",)},
        make_inputs=lambda frames: (draw_speech(frames * definition.hop_samples, definition.rate),),
        tolerance=1.0,
        facts={"least_samples": definition.n_fft, "least_correlation": LEAST_CORRELATION},
    )


def _make_voice_graph(converter: Converter) -> Graph:
    rate, device = converter.rate, "cpu"
    embedder = VoiceEmbedder(device)

    def embed(wav: torch.Tensor) -> torch.Tensor:
        heard = embedder.embed(resample(wav.numpy(), rate, VOICE_RATE))
        return converter.model.embed_voice(torch.from_numpy(heard)[None])

    return Graph(
        name="voice",
        purpose="voice embedding of a recording: of the source, for guidance, or of a target",
        module=VoiceGraph(converter.model, load_voice_encoder(device), rate),
        inputs={"wav": ("samples",)},
        outputs={"voice": (1, "voice_dim")},
        make_inputs=lambda frames: (draw_speech(frames * converter.frontend.definition.hop_samples, rate),),
        reference=embed,
        tolerance=VOICE_TOLERANCE,
        facts={"most_s": GUIDING_S, "licence": "Apache-2.0"},
    )


def make_vocoder_graph(vocoder: Vocoder, typical: torch.Tensor) -> Graph:
    """Makes the graph of a vocoder. typical: a log-mel (1, T, n_mels), whose statistics the check uses.

    FaceVCError if the vocoder has none.
    """
    module = vocoder.make_graph_module()
    if module is None:
        raise FaceVCError(
            f"the vocoder {vocoder.name} cannot be exported, because it draws noise or works in steps. Choose another "
            "with --vocoder: hifigan, or the folder of a light vocoder."
        )
    return Graph(
        name="vocoder",
        purpose="raw log-mel -> waveform",
        module=module,
        inputs={"log_mel": ("voices", "frames", vocoder.n_mels)},
        outputs={"wav": ("voices", "samples")},
        make_inputs=lambda frames: (_draw_like(typical, frames),),
        tolerance=VOCODER_TOLERANCE,
        context_frames=vocoder.context_frames,
        facts={"licence": vocoder.licence or None, "name": vocoder.name},
    )


def make_stream_graphs(vocoder: Vocoder, typical: torch.Tensor) -> list[Graph]:
    """Makes the graph of a step of a stream, if the vocoder keeps what it heard. typical: as `make_vocoder_graph`."""
    module = vocoder.make_stream_graph()
    if module is None:
        return []

    def make_inputs(frames: int) -> tuple[torch.Tensor, ...]:
        """The last frames are heard ahead. The past is that of other frames."""
        ahead = min(frames - 1, vocoder.context_frames or 0)
        spoken = torch.tensor([frames - ahead])
        with torch.no_grad():
            past = module(_draw_like(typical, frames + 1), torch.zeros(module.past_size), spoken, spoken)[1]
        return _draw_like(typical, frames), past, spoken, spoken + ahead // 2

    graph = Graph(
        name="vocoder_stream",
        purpose="raw log-mel -> waveform, step by step. The first 'past' is zeros, the next is 'next_past'. count: "
        "frames that are returned; spoken: frames after which the next step begins; what follows is heard ahead",
        module=cast(nn.Module, module),
        inputs={
            "log_mel": (1, "frames", vocoder.n_mels),
            "past": (module.past_size,),
            "spoken": (1,),
            "count": (1,),
        },
        outputs={"wav": ("samples",), "next_past": (module.past_size,)},
        make_inputs=make_inputs,
        tolerance=VOCODER_TOLERANCE,
        context_frames=vocoder.context_frames,
        instead_of="vocoder",
        facts={"licence": vocoder.licence or None, "name": vocoder.name},
    )
    return [graph]


def _draw_like(typical: torch.Tensor, frames: int) -> torch.Tensor:
    """(1, T, n_mels) -> one of so many frames, with the same statistics."""
    std, mean = torch.std_mean(typical[0], 0)
    return draw_log_mel(frames, mean, std)


def _make_mark_graph(rate: int) -> Graph:
    module: MarkGraph = MarkGraph(rate)

    def mark(wav: torch.Tensor, start_sample: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(add_watermark(wav.numpy(), rate))

    return Graph(
        name="mark",
        purpose="adds the mark that 'facevc verify' finds. start_sample: where a piece begins in its stream, a "
        "multiple of hop_samples; 0 for a whole sound",
        module=nn.Module.eval(module),
        inputs={"wav": ("samples",), "start_sample": (1,)},
        outputs={"marked": ("samples",)},
        make_inputs=lambda frames: (draw_speech(frames * 256, rate), torch.zeros(1, dtype=torch.long)),
        reference=mark,
        tolerance=MARK_TOLERANCE,
        facts={"hop_samples": module.hop_samples, "context_samples": module.size},
    )
