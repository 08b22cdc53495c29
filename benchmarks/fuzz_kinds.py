"""What `fuzz.py` damages: whole small inputs of every kind, and the functions that commands read each kind with."""

import base64
import json
import random
import re
import shutil
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from facevc_cli.errors import FaceVCError  # noqa: E402

PEOPLE = {"anna": "female", "bert": "male", "carl": "male", "dora": "female"}
PICTURES = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF", "gif": "GIF", "bmp": "BMP"}
SOUNDS = ("wav", "flac", "ogg", "mp3", "m4a")
VIDEOS = ("mp4", "mkv", "webm")
RATE = 16000


@dataclass(frozen=True)
class Kind:
    """file: what is damaged, below `folder` of the made inputs; read: reads it there, as a command would, and raises what that raises."""

    folder: str
    file: str
    format: str
    read: Callable[[Path], None]
    repair: Callable[[Path], None] | None = None  # after the damage: sums that a reader would refuse at once


def attempt(*reads: Callable[[], Any]) -> None:
    """All of them, however many refuse; then the first refusal. A failed item of a stage is a refusal."""
    refusal: FaceVCError | None = None
    for read in reads:
        try:
            failures = getattr(read(), "failures", None)
            if failures:
                raise FaceVCError(str(failures[0][1]))
        except FaceVCError as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal


# --- inputs -----------------------------------------------------------------------------------------------------------


def make_inputs(base: Path) -> None:
    for make in (_media, _stores, _model, _run, _tables, _evaluation, _published, _vocoders, _teacher, _settings):
        make(base)


def _media(base: Path) -> None:
    from PIL import Image
    from tiny import buzz

    from facevc_cli.io.audio import save_audio

    folder = base / "media"
    folder.mkdir(parents=True)
    wav = buzz(0.4)
    for suffix in ("wav", "flac", "ogg"):
        save_audio(folder / f"a.{suffix}", wav, RATE, "a comment")
    save_audio(folder / "bystander.wav", wav, RATE)
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(picture).resize((64, 48), Image.Resampling.BILINEAR)
    for suffix, name in PICTURES.items():
        image.save(folder / f"a.{suffix}", name)
    _encode(folder / "a.mp3", wav, "libmp3lame", 44_100)
    _encode(folder / "a.m4a", wav, "aac", 44_100)
    _encode(folder / "bystander.ts", wav, "aac", 44_100)
    for suffix, codecs in {"mp4": ("libx264", "aac", 44_100), "mkv": ("mpeg4", "aac", 44_100), "webm": ("libvpx", "libopus", 48_000)}.items():
        _encode(folder / f"a.{suffix}", wav, codecs[1], codecs[2], np.asarray(image), codecs[0])


def _encode(path: Path, wav: np.ndarray, codec: str, rate: int, picture: np.ndarray | None = None, video_codec: str = "") -> None:
    import av

    from facevc_cli.io.audio import resample

    with av.open(str(path), "w") as container:
        if picture is not None:
            video: Any = container.add_stream(video_codec, rate=25)
            video.height, video.width, video.pix_fmt = *picture.shape[:2], "yuv420p"
        sound: Any = container.add_stream(codec, rate=rate, layout="mono")
        if picture is not None:
            for i in range(10):
                container.mux(video.encode(av.VideoFrame.from_ndarray(np.roll(picture, i, 0), format="rgb24")))
            container.mux(video.encode())
        samples = (resample(wav, RATE, rate) * 32767).astype(np.int16)
        fifo = av.AudioResampler(sound.format or "s16", "mono", rate, frame_size=sound.codec_context.frame_size or 1024)
        block = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = rate, 0, Fraction(1, rate)
        for frame in (*fifo.resample(block), *fifo.resample(None)):
            container.mux(sound.encode(frame))
        container.mux(sound.encode())


def _stores(base: Path) -> None:
    from stores import make_stores

    from facevc_cli.io.store import Item, Store
    from facevc_cli.io.store_writer import StoreWriter

    made = make_stores(base / "stores")
    with Store(made.features) as store, StoreWriter(base / "stores" / "other.h5", "extract-features", store.settings) as writer:
        item = store.item(0)
        writer.add(Item("new/one", "new", item.frames, item.vectors, item.columns))
    part = next((base / "stores" / "other.h5.parts").iterdir())
    part.rename(base / "stores" / "part.h5")
    shutil.rmtree(base / "stores" / "other.h5.parts")


def _model(base: Path) -> None:
    from tiny import checkpoint

    from facevc_cli.data.conversion_manifest import Addresses
    from facevc_cli.io.checkpoint import load_checkpoint
    from facevc_cli.io.voice_card import VoiceCard, save_card

    folder = checkpoint(base / "model" / "checkpoint")
    loaded = load_checkpoint(folder)
    done = {"source": loaded.weights_sha256, "half": False, "origin": None}
    figures = {"step": 5, "best_loss": 0.5, "validation": {"loss": 0.5}, "imported": done}
    (folder / "metrics.json").write_text(json.dumps(figures), encoding="utf-8")
    loaded_slots = loaded.model.memory.values.detach().numpy()
    address = np.full(len(loaded_slots), 1 / len(loaded_slots), np.float32)
    origin = ({"file": "a.jpg", "sha256": "0" * 16, "share": "1"},)
    save_card(base / "model" / "card.safetensors", VoiceCard(loaded_slots[0], address, "toy", loaded.weights_sha256[:16], 1.0, origin, "2026-01-01", "0.1.0"))
    addresses = Addresses(base / "model", loaded_slots)
    addresses.put(Path("/pictures/a.jpg"), address)
    addresses.save()


def _run(base: Path) -> None:
    from stores import make_stores

    make_stores(base / "run")
    _pretrain(base / "run", stop_at=3)
    _steady_records(base / "run" / "run")
    (base / "run" / "weights.csv").write_text("utterance,weight\nanna/a_1,1\nanna/a-2,2\nbert/b 1,1\ncleo/ç.1,1\n", encoding="utf-8")


def _steady_records(run: Path) -> None:
    """Times and paths as they would be anywhere: a seed damages the same place of a file only where it is as long."""
    from facevc_cli.io.manifest import read_table, write_table

    starts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    steady = [{**start, "command": ["facevc", "pretrain"], "git": None} for start in starts]
    (run / "run.json").write_text(json.dumps(steady, indent=1) + "\n", encoding="utf-8")
    rows = [{name: "0.5" if name in ("steps_per_s", "data_wait") and text else text for name, text in row.items()} for row in read_table(run / "losses.csv")]
    write_table(run / "losses.csv", rows)


def _tables(base: Path) -> None:
    from tiny import recording

    from facevc_cli.io.image import save_image

    folder = base / "tables"
    for i, (who, _) in enumerate(PEOPLE.items()):
        recording(folder / "wavs" / who / "1.wav", 0.2)
        save_image(folder / "faces" / who / "1.png", np.full((8, 8, 3), 40 * i + 9, np.uint8))
    genders = list(PEOPLE.items())
    (folder / "pairs.csv").write_text("source,face\n" + "".join(f"{who}/1,{other}/1\n" for who in PEOPLE for other in PEOPLE if who != other))
    (folder / "labels.csv").write_text("target,gender,references\n" + "".join(f"{who},{gender},wavs/{who}/1.wav\n" for who, gender in genders))
    lines = "".join(f"{who}/1,{gender},{who},two words\n" for who, gender in genders)
    (folder / "sources.csv").write_text("source_id,gender,speaker,transcript\n" + lines)
    (folder / "speakers.csv").write_text("utterance,speaker\n" + "".join(f"{who}/1,{who}\n" for who in PEOPLE))
    (folder / "splits.csv").write_text("speaker,split\n" + "".join(f"{who},{'valid' if who == 'dora' else 'train'}\n" for who in PEOPLE))
    (folder / "list.txt").write_text("".join(f"wavs/{who}/1.wav\n" for who in ("anna",)) + "wavs\n")
    (folder / "protocol.yaml").write_text(
        "sources: {speakers: 1, utterances: 1}\ntargets: {people: 1, images: 1}\nreferences: {least: 1, most: 10}\n"
    )


def _evaluation(base: Path) -> None:
    from tiny import recording

    from facevc_cli.io.image import save_image
    from facevc_cli.io.manifest import write_table

    folder, rows = base / "evaluation", []
    for i, (who, gender) in enumerate(PEOPLE.items()):
        save_image(folder / "faces" / f"{who}.png", np.full((8, 8, 3), 40 * i + 9, np.uint8))
        recording(folder / f"real-{who}.wav", 0.3, f0_hz=110 + 30 * i)
        for source in ("s1", "s2"):
            recording(folder / f"{source}.wav", 0.3, f0_hz=140)
            recording(folder / f"{source}__{who}.wav", 0.3, f0_hz=112 + 30 * i)
            rows.append({
                "converted": f"{source}__{who}.wav", "status": "done", "system": "facevc", "baseline": "", "degradation": "", "source": f"{source}.wav",
                "source_id": source, "target": who, "face": f"faces/{who}.png", "gender": gender, "references": f"real-{who}.wav", "seconds": "0.3",
                "model": "toy", "vocoder": "griffin-lim", "key": "0" * 16,
            })  # fmt: skip
    write_table(folder / "manifest.csv", rows)
    (folder / "labels.csv").write_text("target,gender,references\n" + "".join(f"{who},{gender},real-{who}.wav\n" for who, gender in PEOPLE.items()))
    (folder / "sources.csv").write_text("source_id,gender,speaker,file\ns1,male,bert,s1.wav\ns2,female,dora,s2.wav\n")
    (folder / "real.csv").write_text("file,speaker\n" + "".join(f"real-{who}.wav,{who}\ns1.wav,{who}\n" for who in PEOPLE))
    _evaluate(folder, listening_test=folder / "test.html")
    test = json.loads(re.search(r'<script type="application/json" id="test">(.*?)</script>', (folder / "test.html").read_text(encoding="utf-8"), re.S)[1])  # type: ignore[index]
    names = json.loads(base64.b64decode(test["names"]))
    answers = [
        ["lis", str(number), trial["kind"], trial["item"], *names[trial["item"]], "4" if trial["kind"] == "MOS" else "system", "3.5"]
        for number, trial in enumerate(test["trials"][:20], start=1)
    ]
    (folder / "answers.csv").write_text("\n".join(",".join(line) for line in [test["columns"], *answers]) + "\n")
    for made in ("evaluation", "test.html"):
        shutil.rmtree(folder / made, ignore_errors=True)
    shutil.copy(base / "model" / "addresses.safetensors", folder / "addresses.safetensors")
    shutil.move(next((folder / ".facevc-cache").glob("voices-*.npz")), folder / "voices.npz")
    shutil.rmtree(folder / ".facevc-cache")


def _published(base: Path) -> None:
    """An FVMVC checkpoint under the published names, with a small model's weights."""
    import torch

    from facevc_cli.config import load_config
    from facevc_cli.io.published import convert_published
    from facevc_cli.models.facevc import FaceVC

    folder = base / "published"
    folder.mkdir()
    with np.load(TESTS / "golden" / "fvmvc_reference.npz") as file:
        shapes = json.loads(str(file["shapes"]))
    scopes = ("encoder", "encoder_spk", "decoder")
    places = [(scope, key) for scope in scopes for key in shapes[scope]]
    numbered = {scope: {key: torch.tensor(places.index((scope, key))) for key in shapes[scope]} for scope in scopes}
    small = (
        "voice_dim=16", "z_dim=8", "slots=6", "dvector_dim=256", "face_dim=12", "content_encoder={channels: 16, codes: 8, context_dim: 8}",
        "decoder={channels: 16, recurrent_dim: 16, postnet_channels: 16}",
    )  # fmt: skip
    model = FaceVC(load_config("fvmvc", None, [f"model.{setting}" for setting in small]).model)
    own = model.state_dict()
    content: dict[str, Any] = {scope: {} for scope in scopes}
    for name, number in convert_published(numbered)[0].items():
        scope, key = places[int(number)]
        content[scope][key] = own[name]
    torch.save(content | {"optimizer": {"state": {}}, "epoch": 3}, folder / "published.pt")
    np.save(folder / "stats.npy", np.stack([np.zeros(80), np.ones(80)]))


def _vocoders(base: Path) -> None:
    sys.path.insert(0, str(TESTS / "unit"))
    import h5py
    from test_vocoders import write_hifigan, write_pwg

    write_pwg(base / "pwg", "wavegan", "npy")
    write_pwg(base / "pwg5", "wavegan", "h5")
    write_hifigan(base / "hifigan")
    assert h5py.is_hdf5(base / "pwg5" / "stats.h5")


def _teacher(base: Path) -> None:
    """A CTranslate2 Whisper's encoder of dimension 64, and a recording."""
    from tiny import recording

    dim, rng, arrays = 64, np.random.default_rng(0), {}

    def add(name: str, *shape: int) -> None:
        arrays[f"encoder/{name}"] = (0.1 * rng.standard_normal(shape)).astype(np.float16)

    def pair(name: str, first: str, second: str, *shape: int) -> None:
        add(f"{name}/{first}", *shape)
        add(f"{name}/{second}", shape[0])

    pair("conv1", "weight", "bias", dim, 80, 3)
    pair("conv2", "weight", "bias", dim, dim, 3)
    pair("layer_norm", "gamma", "beta", dim)
    for i in range(6):
        pair(f"layer_{i}/self_attention/layer_norm", "gamma", "beta", dim)
        pair(f"layer_{i}/self_attention/linear_0", "weight", "bias", 3 * dim, dim)
        pair(f"layer_{i}/self_attention/linear_1", "weight", "bias", dim, dim)
        pair(f"layer_{i}/ffn/layer_norm", "gamma", "beta", dim)
        pair(f"layer_{i}/ffn/linear_0", "weight", "bias", 4 * dim, dim)
        pair(f"layer_{i}/ffn/linear_1", "weight", "bias", dim, 4 * dim)
    text = lambda name: struct.pack("<H", len(name) + 1) + name.encode() + b"\0"  # noqa: E731
    parts = [struct.pack("<I", 6), text("WhisperSpec"), struct.pack("<II", 3, len(arrays))]
    for name, array in arrays.items():
        parts += [text(name), struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape), struct.pack("<BI", 4, array.nbytes), array.tobytes()]
    folder = base / "teacher"
    recording(folder / "wavs" / "a" / "1.wav", 0.3)
    (folder / "whisper").mkdir()
    (folder / "whisper" / "model.bin").write_bytes(b"".join(parts))


def _settings(base: Path) -> None:
    from importlib.resources import files

    (base / "settings").mkdir()
    text = files("facevc_cli.presets").joinpath("toy.yaml").read_text(encoding="utf-8")
    (base / "settings" / "config.yaml").write_text(text, encoding="utf-8")


# --- readers ----------------------------------------------------------------------------------------------------------


def _sound(name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        from facevc_cli.stages.extract_wav import ExtractWavConfig
        from facevc_cli.stages.extract_wav import run as extract_wav
        from facevc_cli.stages.verify import VerifyConfig
        from facevc_cli.stages.verify import run as verify

        path = folder / name
        attempt(lambda: extract_wav(ExtractWavConfig((path,), folder / "out", jobs=1, overwrite=True)), lambda: verify(VerifyConfig((path,))))

    return read


def _speech(folder: Path) -> None:
    from facevc_cli.stages.extract_features import ExtractFeaturesConfig, run

    _sound("a.wav")(folder)
    attempt(lambda: run(ExtractFeaturesConfig((folder / "a.wav",), folder / "out.h5", jobs=1, overwrite=True)))


def _video(name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        from facevc_cli.io.video import has_audio, iterate_frames

        path = folder / name
        attempt(lambda: _sound(name)(folder), lambda: has_audio(path), lambda: [None for _ in iterate_frames(path, 2, 4)])

    return read


def _picture(name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        from facevc_cli.io.image import load_image

        load_image(folder / name)

    return read


def _use_stores(folder: Path) -> None:
    from stores import TOY

    from facevc_cli.config import load_config
    from facevc_cli.data.training_inputs import FacePairs, read_inputs
    from facevc_cli.io.store import Store
    from facevc_cli.io.store_writer import StoreWriter
    from facevc_cli.stages.info import InfoConfig
    from facevc_cli.stages.info import run as info

    paths = [folder / f"{name}.h5" for name in ("features", "voices", "faces")]

    def join() -> None:
        config = load_config("toy", None, TOY)
        with Store(paths[0], "extract-features") as features, Store(paths[1], "extract-spkemb") as voices, Store(paths[2], "extract-face") as faces:
            inputs = read_inputs(features, voices, config, config.train, 0, faces=FacePairs(faces))
            attempt(lambda: inputs.training[0], lambda: inputs.training[1], lambda: inputs.validation and inputs.validation[0])

    def go_on(path: Path) -> None:
        with Store(path) as store:
            settings, stage = store.settings, store.attributes["stage"]
        with StoreWriter(path, stage, settings) as writer:
            writer.merge(sorted(writer.done))

    attempt(lambda: info(InfoConfig(tuple(paths))), join, *[lambda path=path: go_on(path) for path in paths])


def _use_part(folder: Path) -> None:
    from facevc_cli.io.store import Store
    from facevc_cli.io.store_writer import StoreWriter

    path = folder / "features.h5"
    with Store(path) as store:
        settings = store.settings
    parts = folder / "features.h5.parts"
    parts.mkdir(exist_ok=True)
    shutil.copy(folder / "part.h5", parts / "part-0.h5")
    with StoreWriter(path, "extract-features", settings) as writer:
        writer.merge([])


def _use_model(folder: Path) -> None:
    from facevc_cli.converter import Converter
    from facevc_cli.stages.info import InfoConfig, run

    path = folder / "checkpoint"
    attempt(lambda: run(InfoConfig((path,))), lambda: Converter(path, "griffin-lim", "cpu"))


def _use_metrics(folder: Path) -> None:
    """An import looks into the figures of what it takes, and into those of what it would replace."""
    from facevc_cli.stages.import_checkpoint import ImportCheckpointConfig, run

    path = folder / "checkpoint"
    shutil.copytree(path, folder / "other")
    attempt(
        lambda: _use_model(folder), lambda: run(ImportCheckpointConfig(path, folder / "copy")),
        lambda: run(ImportCheckpointConfig(path, folder / "other")),
    )  # fmt: skip


def _use_card(folder: Path) -> None:
    from facevc_cli.stages.info import InfoConfig, run

    attempt(lambda: run(InfoConfig((folder / "card.safetensors",), folder / "checkpoint")))


def _use_addresses(folder: Path) -> None:
    from facevc_cli.data.conversion_manifest import Addresses, read_addresses

    def go_on() -> None:
        addresses = Addresses(folder, np.zeros((16, 256), np.float32))
        addresses.put(folder / "b.jpg", np.full(16, 1 / 16, np.float32))
        addresses.save()

    attempt(lambda: read_addresses(folder / "addresses.safetensors"), go_on)


def _pretrain(folder: Path, **options: Any) -> Any:
    from stores import TOY

    import facevc_cli.io.rundir
    from facevc_cli.stages.pretrain import PretrainStageConfig, run

    if hasattr(facevc_cli.io.rundir, "_plot"):  # drawing takes longer than the training that it shows
        facevc_cli.io.rundir._plot = lambda table, picture: None
    inputs, settings = (folder / "features.h5", folder / "voices.h5"), (*TOY, "pretrain.steps=4")
    return run(PretrainStageConfig(*inputs, folder / "run", "toy", overrides=settings, device="cpu", **options))


def _resume(folder: Path) -> None:
    from facevc_cli.stages.info import InfoConfig, run

    attempt(lambda: run(InfoConfig((folder / "run",))), lambda: _pretrain(folder))


def _weigh(folder: Path) -> None:
    attempt(lambda: _pretrain(folder, weights=folder / "weights.csv", overwrite=True, stop_at=1))


def _plan(**given: str) -> Callable[[Path], None]:
    """A dry run of convert with the tables named; the sources are those of the list where that is damaged."""

    def read(folder: Path) -> None:
        from facevc_cli.data.conversion_plan import Benchmark
        from facevc_cli.stages.convert import ConvertConfig, run

        tables = {name: folder / file for name, file in given.items()}
        sources = f"@{tables.pop('list')}" if "list" in tables else folder / "wavs"
        pairs, protocol = tables.pop("pairs", None), tables.pop("protocol", None)
        benchmark = Benchmark(protocol=str(protocol) if protocol else None, baselines=("voice",) if "labels" in tables else (), **tables)  # type: ignore[arg-type]
        attempt(lambda: run(ConvertConfig((sources,), folder / "out", (folder / "faces",), pairs=pairs, dry_run=True, device="cpu", benchmark=benchmark)))

    return read


def _extract(**given: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        from facevc_cli.stages.extract_features import ExtractFeaturesConfig, run

        tables: dict[str, Any] = {name: folder / file for name, file in given.items()}
        attempt(lambda: run(ExtractFeaturesConfig((folder / "wavs",), folder / "out.h5", jobs=1, **tables)))

    return read


def _go_on_extracting(folder: Path) -> None:
    from facevc_cli.stages.extract_wav import ExtractWavConfig, run

    attempt(lambda: run(ExtractWavConfig((folder / "wavs",), folder / "extracted", jobs=1)))


class _Spectrum:
    def embed(self, wav: np.ndarray) -> np.ndarray:
        bands = np.abs(np.fft.rfft(wav, RATE))[100:7300].reshape(72, 100).mean(1) + 1e-3
        return (bands / np.linalg.norm(bands)).astype(np.float32)


def _evaluate(folder: Path, **options: Any) -> Any:
    from facevc_cli.metrics.gender import PitchGenderJudge
    from facevc_cli.metrics.judges import Judges
    from facevc_cli.stages.evaluate import EvaluateConfig, run

    config = EvaluateConfig(folder, folder / "evaluation", jobs=1, **{"html": False, **options})
    return run(config, judges=Judges(_Spectrum(), "spectrum", PitchGenderJudge()))


def _use_evaluation(**given: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        tables: dict[str, Any] = {name: folder / file for name, file in given.items()}
        if "answers" in tables:
            tables["answers"] = (tables["answers"],)
        attempt(lambda: _evaluate(folder, **tables))

    return read


def _draw_addresses(folder: Path) -> None:
    """As the page of an evaluation does it, less the drawing itself, which takes longer than all the rest."""
    from facevc_cli.reporting import plots

    if hasattr(plots, "to_svg"):
        plots.to_svg = lambda *given, **options: ""  # type: ignore[assignment]
    attempt(lambda: plots.address_map(plots.read_addresses(folder / "addresses.safetensors"), {}))


def _use_cache(folder: Path) -> None:
    from facevc_cli.metrics.listening import CACHE_VERSION

    (folder / ".facevc-cache").mkdir(exist_ok=True)
    shutil.copy(folder / "voices.npz", folder / ".facevc-cache" / f"voices-spectrum-v{CACHE_VERSION}.npz")
    attempt(lambda: _evaluate(folder))


def _use_manifest(folder: Path) -> None:
    from facevc_cli.data.conversion_manifest import Manifest

    def go_on() -> None:
        manifest = Manifest(folder)
        manifest.put({"converted": "new.wav", "status": "done", "key": "1"})
        manifest.save()

    attempt(lambda: _evaluate(folder), go_on)


def _use_published(folder: Path) -> None:
    from facevc_cli.stages.import_checkpoint import ImportCheckpointConfig, run

    attempt(lambda: run(ImportCheckpointConfig(folder / "published.pt", folder / "out", folder / "stats.npy", overwrite=True)))


def _vocoder(mel: str, file: str | None = None) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        import torch

        from facevc_cli.vocoders.load import load_vocoder

        vocoder = load_vocoder(str(folder / file) if file else folder, mel)
        with torch.inference_mode():
            vocoder(torch.zeros(20, 80))

    return read


def _configure(folder: Path) -> None:
    from facevc_cli.config import load_config
    from facevc_cli.models.facevc import FaceVC

    config = load_config("toy", folder / "config.yaml")
    FaceVC(config.model)


def _mend_sum(folder: Path, model: str) -> None:
    """config.yaml names the sha256 of the damaged weights, so that the reader opens them."""
    import hashlib

    config = folder / model / "config.yaml"
    found = hashlib.sha256((folder / model / "model.safetensors").read_bytes()).hexdigest()
    config.write_text(re.sub(r"(?<=weights_sha256: ).*", found, config.read_text(encoding="utf-8")), encoding="utf-8")


LAST = "run/checkpoints/last"
CONVERT_ALL = {"labels": "labels.csv", "sources_table": "sources.csv"}
KINDS: dict[str, Kind] = {
    **{suffix: Kind("media", f"a.{suffix}", "medium", _speech if suffix == "wav" else _sound(f"a.{suffix}")) for suffix in SOUNDS},
    **{suffix: Kind("media", f"a.{suffix}", "medium", _video(f"a.{suffix}")) for suffix in VIDEOS},
    **{suffix: Kind("media", f"a.{suffix}", "png" if suffix == "png" else "medium", _picture(f"a.{suffix}")) for suffix in PICTURES},
    **{f"{name}.h5": Kind("stores", f"{name}.h5", "hdf5", _use_stores) for name in ("features", "voices", "faces")},
    "part.h5": Kind("stores", "part.h5", "hdf5", _use_part),
    "checkpoint-config": Kind("model", "checkpoint/config.yaml", "yaml", _use_model),
    "checkpoint-weights": Kind("model", "checkpoint/model.safetensors", "safetensors", _use_model, lambda folder: _mend_sum(folder, "checkpoint")),
    "checkpoint-metrics": Kind("model", "checkpoint/metrics.json", "json", _use_metrics),
    "voice-card": Kind("model", "card.safetensors", "safetensors", _use_card),
    "addresses": Kind("model", "addresses.safetensors", "safetensors", _use_addresses),
    "run-config": Kind("run", "run/config.yaml", "yaml", _resume),
    "run-starts": Kind("run", "run/run.json", "json", _resume),
    "run-losses": Kind("run", "run/losses.csv", "table", _resume),
    "run-last-config": Kind("run", f"{LAST}/config.yaml", "yaml", _resume),
    "run-last-metrics": Kind("run", f"{LAST}/metrics.json", "json", _resume),
    "run-last-weights": Kind("run", f"{LAST}/model.safetensors", "safetensors", _resume, lambda folder: _mend_sum(folder, LAST)),
    "run-last-optimiser": Kind("run", f"{LAST}/training/optimiser_model.safetensors", "safetensors", _resume),
    "run-last-auxiliary": Kind("run", f"{LAST}/training/auxiliary.safetensors", "safetensors", _resume),
    "weights-table": Kind("run", "weights.csv", "table", _weigh),
    "pairs": Kind("tables", "pairs.csv", "table", _plan(pairs="pairs.csv")),
    "labels": Kind("tables", "labels.csv", "table", _plan(**CONVERT_ALL)),
    "sources": Kind("tables", "sources.csv", "table", _plan(**CONVERT_ALL)),
    "protocol": Kind("tables", "protocol.yaml", "yaml", _plan(**CONVERT_ALL, protocol="protocol.yaml")),
    "list": Kind("tables", "list.txt", "table", _plan(list="list.txt")),
    "speakers": Kind("tables", "speakers.csv", "table", _extract(speakers_table="speakers.csv")),
    "splits": Kind("tables", "splits.csv", "table", _extract(split_table="splits.csv")),
    "manifest": Kind("evaluation", "manifest.csv", "table", _use_manifest),
    "evaluate-labels": Kind("evaluation", "labels.csv", "table", _use_evaluation(labels="labels.csv")),
    "evaluate-sources": Kind("evaluation", "sources.csv", "table", _use_evaluation(sources="sources.csv")),
    "calibrate": Kind("evaluation", "real.csv", "table", _use_evaluation(calibrate="real.csv")),
    "answers": Kind("evaluation", "answers.csv", "table", _use_evaluation(answers="answers.csv")),
    "page-addresses": Kind("evaluation", "addresses.safetensors", "safetensors", _draw_addresses),
    "metrics-cache": Kind("evaluation", "voices.npz", "npz", _use_cache),
    "config": Kind("settings", "config.yaml", "yaml", _configure),
    "published": Kind("published", "published.pt", "torch", _use_published),
    "statistics": Kind("published", "stats.npy", "npy", _use_published),
    "pwg": Kind("pwg", "checkpoint-400000steps.pkl", "torch", _vocoder("fvmvc")),
    "pwg-config": Kind("pwg", "config.yml", "yaml", _vocoder("fvmvc")),
    "pwg-stats": Kind("pwg", "stats.npy", "npy", _vocoder("fvmvc")),
    "pwg-stats.h5": Kind("pwg5", "stats.h5", "hdf5", _vocoder("fvmvc")),
    "hifigan": Kind("hifigan", "g_02500000", "torch", _vocoder("hifigan", "g_02500000")),
    "hifigan-config": Kind("hifigan", "config.json", "json", _vocoder("hifigan", "g_02500000")),
    "whisper": Kind("teacher", "whisper/model.bin", "bytes", _extract(teacher="whisper")),
    "extract-manifest": Kind("extracted", "extracted/manifest.csv", "table", _go_on_extracting),
    "extract-settings": Kind("extracted", "extracted/.facevc-extract-wav.json", "json", _go_on_extracting),
}


def make_extracted(base: Path) -> None:
    """An output of extract-wav that a second run goes on with."""
    shutil.copytree(base / "tables" / "wavs", base / "extracted" / "wavs")
    _go_on_extracting(base / "extracted")


def chosen_kinds(names: Sequence[str]) -> list[str]:
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise SystemExit(f"--kinds {unknown[0]}: expected some of {', '.join(KINDS)}")
    return list(names) or list(KINDS)


def seed_of(kind: str, number: int) -> int:
    """One number for a kind and a case, the same on every machine."""
    return random.Random(f"{kind} {number}").getrandbits(60)
