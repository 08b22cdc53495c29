"""Loads the vocoder that a value of `--vocoder` names."""

from pathlib import Path

import torch

from facevc_cli.core.devices import prefers_bfloat16
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.plugins import Plugins
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.vocoders import Vocoder
from facevc_cli.vocoders.griffin_lim import GriffinLim
from facevc_cli.vocoders.hifigan import load_hifigan, load_universal

VOCODERS = Plugins(
    "facevc.vocoders",
    "--vocoder",
    "vocoder",
    ("auto", "fast", "hifigan", "light", "griffin-lim"),
    "the path of a checkpoint or its folder",
)
_WEIGHTS = frozenset({".safetensors", ".pkl", ".pt", ".pth", ".tar", ".ckpt", ".bin", ""})


def load_vocoder(
    spec: str | Path | None, mel: str, device: str | torch.device = "cpu", reporter: Reporter = SILENT
) -> Vocoder:
    """Loads a vocoder for log-mels of the definition `mel` on `device`, ready for inference.

    | spec | vocoder |
    | --- | --- |
    | None, "auto" | HiFi-GAN universal for `hifigan`; Griffin-Lim, with a note, for `fvmvc`, because facevc has no
    network for it |
    | "fast" | the light vocoder for `hifigan`, otherwise as "auto" |
    | "hifigan", "light", "griffin-lim" | this one |
    | a checkpoint or its folder | Parallel WaveGAN with config.yml and its statistics, HiFi-GAN with config.json, or a
    light vocoder with model.safetensors and config.yaml |
    | an entry point of facevc.vocoders | its object, called with (mel, device) |

    FaceVCError if there is no such vocoder, if a file is damaged or missing, or if the vocoder was trained on another
    mel definition.
    """
    if spec == "fast" and mel == "hifigan":
        spec = "light"
    if spec in (None, "auto", "fast"):
        spec = "hifigan" if mel == "hifigan" else "griffin-lim"
        if spec == "griffin-lim":
            reporter.note(
                f"no vocoder comes with facevc for the mel definition {mel!r}: Griffin-Lim speaks, which sounds "
                "hollow. Give a Parallel WaveGAN checkpoint trained on it with --vocoder."
            )
    if spec == "griffin-lim":
        return GriffinLim(mel).to(device)
    if spec in ("hifigan", "light"):
        if mel != "hifigan":
            raise FaceVCError(
                f"--vocoder {spec}: the vocoders that come with facevc were trained on the mel definition 'hifigan' "
                f"(22.05 kHz, hop 256), the model makes {mel!r} log-mels. Give --vocoder a checkpoint trained on "
                f"{mel!r}, or griffin-lim."
            )
        if spec == "light":
            from facevc_cli.vocoders.light import load_bundled_light  # safetensors, yaml

            vocoder = load_bundled_light()
        else:
            vocoder = load_universal()
        if prefers_bfloat16(torch.device(device)):
            vocoder.use_bfloat16()
        return vocoder.to(device)
    if isinstance(spec, str) and spec in VOCODERS.find_installed():
        return _from_package(spec, mel, device)
    if isinstance(spec, str) and _is_bare_name(spec):
        VOCODERS.find(spec)  # says which names there are
    return load_from_path(Path(spec), mel).to(device)


def _from_package(name: str, mel: str, device: str | torch.device) -> Vocoder:
    vocoder = VOCODERS.make(name, mel, device)
    if not isinstance(vocoder, Vocoder) or vocoder.mel != mel:
        found = f"one for {vocoder.mel!r}" if isinstance(vocoder, Vocoder) else type(vocoder).__name__
        raise FaceVCError(
            f"--vocoder {name} ({VOCODERS.describe_release(name)}): expected a facevc_cli.vocoders.Vocoder for "
            f"log-mels of the definition {mel!r}, found {found}. Take another vocoder, or another version of its "
            "package."
        )
    return vocoder.freeze().to(device)


def _is_bare_name(spec: str) -> bool:
    """Returns True if the text is neither a path nor an existing file or folder."""
    return Path(spec).name == spec and not Path(spec).suffix and not Path(spec).exists()


def load_from_path(path: Path, mel: str) -> Vocoder:
    """Loads a checkpoint file or its folder. The config beside it decides the kind."""
    if not path.exists():
        raise FaceVCError(
            f"vocoder {str(path)!r}: nothing is there. Expected auto, fast, hifigan, light, griffin-lim, or the path "
            "of a checkpoint or its folder."
        )
    folder = path if path.is_dir() else path.parent
    configs = [folder / name for name in ("config.yml", "config.yaml", "config.json") if (folder / name).is_file()]
    if not configs:
        raise FaceVCError(
            f"{folder}: a vocoder checkpoint needs its config beside it: config.yml for one of the ParallelWaveGAN "
            "repository, config.json for a HiFi-GAN generator, config.yaml for a light vocoder. Copy it there."
        )
    checkpoint = find_checkpoint(folder) if path.is_dir() else path
    if checkpoint.suffix == ".safetensors":
        from facevc_cli.vocoders.light import load_light  # safetensors, yaml

        return load_light(folder, mel)
    config = configs[0]
    if len(configs) > 1:  # both kinds in one folder: theirs are .pkl
        json_wanted = checkpoint.suffix != ".pkl"
        config = next((c for c in configs if (c.suffix == ".json") == json_wanted), config)
    if config.suffix == ".json":
        return load_hifigan(checkpoint, config, mel)
    from facevc_cli.vocoders.pwg_checkpoint import load_pwg  # yaml, h5py

    return load_pwg(checkpoint, config, mel)


def find_checkpoint(folder: Path) -> Path:
    """Finds the only checkpoint in a folder. A .pkl has priority. None or several are an error."""
    files = sorted(
        p for p in folder.iterdir() if p.is_file() and not p.name.startswith((".", "do_")) and p.suffix in _WEIGHTS
    )
    candidates = [p for p in files if p.suffix == ".pkl"] or files
    if len(candidates) != 1:
        found = ", ".join(p.name for p in candidates[:4]) or "none"
        raise FaceVCError(
            f"{folder}: expected one vocoder checkpoint in this folder, found {found}. Name the file itself."
        )
    return candidates[0]
