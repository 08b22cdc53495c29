"""`extract-spkemb`: recordings -> a store of d-vectors, one per utterance."""

from dataclasses import dataclass
from functools import lru_cache, partial

from facevc_cli.core.devices import resolve_device
from facevc_cli.core.progress import SILENT, Reporter, Summary
from facevc_cli.corpus.extraction import ExtractionConfig, extract_into_store
from facevc_cli.corpus.store import Item
from facevc_cli.files.audio import load_audio
from facevc_cli.files.inputs import AUDIO_SUFFIXES, Input
from facevc_cli.voices.dvector import EMBEDDER_VERSION, VOICE_RATE, VoiceEmbedder

STAGE = "extract-spkemb"


@dataclass(frozen=True, kw_only=True)
class ExtractSpkembConfig(ExtractionConfig):
    device: str = "cpu"


@lru_cache(maxsize=1)
def _load_embedder(device: str) -> VoiceEmbedder:
    return VoiceEmbedder(device)


def _extract(device: str, source: Input) -> Item:
    wav, _ = load_audio(source.path, VOICE_RATE)
    return Item(source.id, source.speaker, vectors={"dvector": _load_embedder(device).embed(wav)})


def run(config: ExtractSpkembConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes vectors/dvector (utterances, 256) float32, L2-normalised."""
    device = str(resolve_device(config.device))
    return extract_into_store(
        config,
        stage=STAGE,
        suffixes=AUDIO_SUFFIXES,
        settings={"embedder": "resemblyzer", "version": EMBEDDER_VERSION, "rate": VOICE_RATE},
        extract=partial(_extract, device),
        reporter=reporter,
        device=device,
        next_command=f"facevc pretrain features.h5 --voices {config.output} -o runs/pretrain",
    )
