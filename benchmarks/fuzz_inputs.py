"""The undamaged inputs of `fuzz.py`: a small one of every kind."""

import base64
import json
import re
import shutil
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_kinds import RATE, TESTS, evaluate, go_on_extracting, pretrain

PEOPLE = {"anna": "female", "bert": "male", "carl": "male", "dora": "female"}
PICTURES = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF", "gif": "GIF", "bmp": "BMP"}


def make_inputs(base: Path) -> None:
    for make in (_make_media, _make_stores, _make_model, _make_run, _make_tables, _make_evaluation):
        make(base)
    for make in (_make_published, _make_vocoders, _make_teacher, _make_settings, _make_extracted):
        make(base)


def _make_media(base: Path) -> None:
    from helpers.sounds import buzz
    from PIL import Image

    from facevc_cli.files.audio import save_audio

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
    for suffix, codecs in {
        "mp4": ("libx264", "aac", 44_100),
        "mkv": ("mpeg4", "aac", 44_100),
        "webm": ("libvpx", "libopus", 48_000),
    }.items():
        _encode(folder / f"a.{suffix}", wav, codecs[1], codecs[2], np.asarray(image), codecs[0])


def _encode(
    path: Path, wav: np.ndarray, codec: str, rate: int, picture: np.ndarray | None = None, video_codec: str = ""
) -> None:
    import av

    from facevc_cli.files.audio import resample

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


def _make_stores(base: Path) -> None:
    from helpers.stores import make_stores

    from facevc_cli.corpus.store import Item, Store
    from facevc_cli.corpus.store_writer import StoreWriter

    made = make_stores(base / "stores")
    with (
        Store(made.features) as store,
        StoreWriter(base / "stores" / "other.h5", "extract-features", store.settings) as writer,
    ):
        item = store.read_item(0)
        writer.add(Item("new/one", "new", item.frames, item.vectors, item.columns))
    part = next((base / "stores" / "other.h5.parts").iterdir())
    part.rename(base / "stores" / "part.h5")
    shutil.rmtree(base / "stores" / "other.h5.parts")


def _make_model(base: Path) -> None:
    from helpers.checkpoints import checkpoint

    from facevc_cli.conversion.card import VoiceCard, save_card
    from facevc_cli.families.checkpoint import load_checkpoint
    from facevc_cli.manifest.manifest import Addresses

    folder = checkpoint(base / "model" / "checkpoint")
    loaded = load_checkpoint(folder)
    done = {"source": loaded.weights_sha256, "half": False, "origin": None}
    figures = {"step": 5, "best_loss": 0.5, "validation": {"loss": 0.5}, "imported": done}
    (folder / "metrics.json").write_text(json.dumps(figures), encoding="utf-8")
    loaded_slots = loaded.model.get_slot_values().numpy()
    address = np.full(len(loaded_slots), 1 / len(loaded_slots), np.float32)
    origin = ({"file": "a.jpg", "sha256": "0" * 16, "share": "1"},)
    save_card(
        base / "model" / "card.safetensors",
        VoiceCard(loaded_slots[0], address, "toy", loaded.weights_sha256[:16], 1.0, origin, "2026-01-01", "0.1.0"),
    )
    addresses = Addresses(base / "model", loaded_slots)
    addresses.put(Path("/pictures/a.jpg"), address)
    addresses.save()


def _make_run(base: Path) -> None:
    from helpers.stores import make_stores

    make_stores(base / "run")
    pretrain(base / "run", stop_at=3)
    _steady_records(base / "run" / "run")
    (base / "run" / "weights.csv").write_text(
        "utterance,weight\nanna/a_1,1\nanna/a-2,2\nbert/b 1,1\ncleo/ç.1,1\n", encoding="utf-8"
    )


def _steady_records(run: Path) -> None:
    """Write fixed times and paths. A seed damages the same place only if files have the same length everywhere."""
    from facevc_cli.files.tables import read_table, write_table

    starts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    steady = [{**start, "command": ["facevc", "pretrain"], "git": None} for start in starts]
    (run / "run.json").write_text(json.dumps(steady, indent=1) + "\n", encoding="utf-8")
    rows = [
        {name: "0.5" if name in ("steps_per_s", "data_wait") and text else text for name, text in row.items()}
        for row in read_table(run / "losses.csv")
    ]
    write_table(run / "losses.csv", rows)


def _make_tables(base: Path) -> None:
    from helpers.sounds import recording

    from facevc_cli.files.image import save_image

    folder = base / "tables"
    for i, (who, _) in enumerate(PEOPLE.items()):
        recording(folder / "wavs" / who / "1.wav", 0.2)
        save_image(folder / "faces" / who / "1.png", np.full((8, 8, 3), 40 * i + 9, np.uint8))
    genders = list(PEOPLE.items())
    (folder / "pairs.csv").write_text(
        "source,face\n" + "".join(f"{who}/1,{other}/1\n" for who in PEOPLE for other in PEOPLE if who != other)
    )
    (folder / "labels.csv").write_text(
        "target,gender,references\n" + "".join(f"{who},{gender},wavs/{who}/1.wav\n" for who, gender in genders)
    )
    lines = "".join(f"{who}/1,{gender},{who},two words\n" for who, gender in genders)
    (folder / "sources.csv").write_text("source_id,gender,speaker,transcript\n" + lines)
    (folder / "speakers.csv").write_text("utterance,speaker\n" + "".join(f"{who}/1,{who}\n" for who in PEOPLE))
    (folder / "splits.csv").write_text(
        "speaker,split\n" + "".join(f"{who},{'valid' if who == 'dora' else 'train'}\n" for who in PEOPLE)
    )
    (folder / "list.txt").write_text("".join(f"wavs/{who}/1.wav\n" for who in ("anna",)) + "wavs\n")
    (folder / "protocol.yaml").write_text(
        "sources: {speakers: 1, utterances: 1}\ntargets: {people: 1, images: 1}\nreferences: {least: 1, most: 10}\n"
    )


def _make_evaluation(base: Path) -> None:
    from helpers.sounds import recording

    from facevc_cli.files.image import save_image
    from facevc_cli.files.tables import write_table

    folder, rows = base / "evaluation", []
    for i, (who, gender) in enumerate(PEOPLE.items()):
        save_image(folder / "faces" / f"{who}.png", np.full((8, 8, 3), 40 * i + 9, np.uint8))
        recording(folder / f"real-{who}.wav", 0.3, f0_hz=110 + 30 * i)
        for source in ("s1", "s2"):
            recording(folder / f"{source}.wav", 0.3, f0_hz=140)
            recording(folder / f"{source}__{who}.wav", 0.3, f0_hz=112 + 30 * i)
            rows.append(
                {
                    "converted": f"{source}__{who}.wav",
                    "status": "done",
                    "system": "facevc",
                    "baseline": "",
                    "degradation": "",
                    "source": f"{source}.wav",
                    "source_id": source,
                    "target": who,
                    "face": f"faces/{who}.png",
                    "gender": gender,
                    "references": f"real-{who}.wav",
                    "seconds": "0.3",
                    "model": "toy",
                    "vocoder": "griffin-lim",
                    "key": "0" * 16,
                }
            )
    write_table(folder / "manifest.csv", rows)
    (folder / "labels.csv").write_text(
        "target,gender,references\n" + "".join(f"{who},{gender},real-{who}.wav\n" for who, gender in PEOPLE.items())
    )
    (folder / "sources.csv").write_text("source_id,gender,speaker,file\ns1,male,bert,s1.wav\ns2,female,dora,s2.wav\n")
    (folder / "real.csv").write_text(
        "file,speaker\n" + "".join(f"real-{who}.wav,{who}\ns1.wav,{who}\n" for who in PEOPLE)
    )
    evaluate(folder, listening_test=folder / "test.html")
    test = json.loads(
        re.search(
            r'<script type="application/json" id="test">(.*?)</script>',
            (folder / "test.html").read_text(encoding="utf-8"),
            re.S,
        )[1]
    )  # type: ignore[index]
    names = json.loads(base64.b64decode(test["names"]))
    answers = [
        [
            "lis",
            str(number),
            trial["kind"],
            trial["item"],
            *names[trial["item"]],
            "4" if trial["kind"] == "MOS" else "system",
            "3.5",
        ]
        for number, trial in enumerate(test["trials"][:20], start=1)
    ]
    (folder / "answers.csv").write_text("\n".join(",".join(line) for line in [test["columns"], *answers]) + "\n")
    for made in ("evaluation", "test.html"):
        shutil.rmtree(folder / made, ignore_errors=True)
    shutil.copy(base / "model" / "addresses.safetensors", folder / "addresses.safetensors")
    shutil.move(next((folder / ".facevc-cache").glob("voices-*.npz")), folder / "voices.npz")
    shutil.rmtree(folder / ".facevc-cache")


def _make_published(base: Path) -> None:
    """Make an FVMVC checkpoint under the published names, with the weights of a small model."""
    import torch

    from facevc_cli.families.fvmvc.model import FaceVC
    from facevc_cli.families.fvmvc.published import convert_published
    from facevc_cli.families.presets import load_config

    folder = base / "published"
    folder.mkdir()
    with np.load(TESTS / "golden" / "fvmvc_reference.npz") as file:
        shapes = json.loads(str(file["shapes"]))
    scopes = ("encoder", "encoder_spk", "decoder")
    places = [(scope, key) for scope in scopes for key in shapes[scope]]
    numbered = {scope: {key: torch.tensor(places.index((scope, key))) for key in shapes[scope]} for scope in scopes}
    small = (
        "voice_dim=16",
        "z_dim=8",
        "slots=6",
        "dvector_dim=256",
        "face_dim=12",
        "content_encoder={channels: 16, codes: 8, context_dim: 8}",
        "decoder={channels: 16, recurrent_dim: 16, postnet_channels: 16}",
    )
    model = FaceVC(load_config("fvmvc", None, [f"model.{setting}" for setting in small]).model)
    own = model.state_dict()
    content: dict[str, Any] = {scope: {} for scope in scopes}
    for name, number in convert_published(numbered)[0].items():
        scope, key = places[int(number)]
        content[scope][key] = own[name]
    torch.save(content | {"optimizer": {"state": {}}, "epoch": 3}, folder / "published.pt")
    np.save(folder / "stats.npy", np.stack([np.zeros(80), np.ones(80)]))


def _make_vocoders(base: Path) -> None:
    import h5py
    from helpers.vocoders import write_hifigan, write_pwg

    write_pwg(base / "pwg", "wavegan", "npy")
    write_pwg(base / "pwg5", "wavegan", "h5")
    write_hifigan(base / "hifigan")
    assert h5py.is_hdf5(base / "pwg5" / "stats.h5")


def _make_teacher(base: Path) -> None:
    """Make a CTranslate2 Whisper encoder of dimension 64, and a recording."""
    from helpers.sounds import recording

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
        parts += [
            text(name),
            struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape),
            struct.pack("<BI", 4, array.nbytes),
            array.tobytes(),
        ]
    folder = base / "teacher"
    recording(folder / "wavs" / "a" / "1.wav", 0.3)
    (folder / "whisper").mkdir()
    (folder / "whisper" / "model.bin").write_bytes(b"".join(parts))


def _make_settings(base: Path) -> None:
    from importlib.resources import files

    (base / "settings").mkdir()
    text = files("facevc_cli.presets").joinpath("toy.yaml").read_text(encoding="utf-8")
    (base / "settings" / "config.yaml").write_text(text, encoding="utf-8")


def _make_extracted(base: Path) -> None:
    """Make an output of extract-wav that a second run continues."""
    shutil.copytree(base / "tables" / "wavs", base / "extracted" / "wavs")
    go_on_extracting(base / "extracted")
