"""Measure the watermark: false alarms on real speech, survival of attacks, audible cost, and time.

--speech holds recordings of people, --converted conversions without a mark (`facevc convert --no-watermark`). This
script marks each.
"""

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import common
import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.audio import load_audio, resample
from facevc_cli.files.inputs import AUDIO_SUFFIXES, list_files
from facevc_cli.provenance.watermark import FALSE_ALARMS, KEY, SHORTEST_S, add_watermark, detect

Sound = tuple[np.ndarray, int]  # (n,) float32, rate in Hz


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("--speech", type=Path, help="a folder of real recordings, for false alarms")
    parser.add_argument("--converted", type=Path, help="a folder of conversions, for detection, audible cost and time")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a piece")
    parser.add_argument("--pieces", type=int, default=5000, help="pieces of real speech, at most two per recording")
    parser.add_argument("--conversions", type=int, default=200, help="most conversions, spread over the folder")
    parser.add_argument("--crops", type=int, default=2, help="crops per conversion and attack")
    parser.add_argument(
        "--judged", type=int, default=30, help="conversions rated by DistillMOS, with and without the mark; 0: none"
    )
    args = parser.parse_args()
    if args.seconds < SHORTEST_S:
        parser.error(f"--seconds must be at least {SHORTEST_S:g}")
    rng = np.random.default_rng(0)
    about = {"seconds": args.seconds, "threshold_p": FALSE_ALARMS}
    if args.speech:
        rows = count_false_alarms(args.speech, args.pieces, args.seconds, rng)
        common.show("False alarms on real speech", rows, args.json, **about)
    if args.converted:
        sounds = [
            load_audio(path) for path in choose_spread(list_files([args.converted], AUDIO_SUFFIXES), args.conversions)
        ]
        sounds = [sound for sound in sounds if len(sound[0]) >= args.seconds * sound[1]]
        common.show(
            "Found after",
            count_detections(sounds, args.seconds, args.crops, rng),
            args.json,
            **about,
            conversions=len(sounds),
        )
        common.show(
            "Cost",
            measure_costs(sounds, args.judged),
            args.json,
            conversions=len(sounds),
            judged=min(args.judged, len(sounds)),
        )


def choose_spread(paths: Sequence[Path], count: int) -> list[Path]:
    return [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int))]


def count_false_alarms(folder: Path, pieces: int, seconds: float, rng: np.random.Generator) -> list[dict[str, object]]:
    """Check random pieces of real, unmarked recordings with the key in use and with nine others.

    Gives a 95 % upper bound.
    """
    keys = {"the key in use": [KEY], "nine other keys": [b"not facevc %d" % i for i in range(9)]}
    found: dict[str, list[tuple[float, bool]]] = {name: [] for name in keys}
    paths = list_files([folder], AUDIO_SUFFIXES)
    heard = 0
    for path in (paths[i] for i in rng.permutation(len(paths))):
        if heard >= pieces:
            break
        try:
            wav, rate = load_audio(path, 16000)
        except FaceVCError:
            continue
        for _ in range(min(2, pieces - heard, int(len(wav) / rate / seconds))):
            piece, heard = crop((wav, rate), seconds, rng)[0], heard + 1
            for name, several in keys.items():
                # other keys check every fifth piece only: there are nine, and they are as independent as the pieces
                results = [detect(piece, rate, key) for key in several] if len(several) == 1 or heard % 5 == 0 else []
                found[name] += [(result.score, result.marked is True) for result in results]
    rows: list[dict[str, object]] = []
    for name, results in found.items():
        scores, alarms = np.array([score for score, _ in results]), sum(alarm for _, alarm in results)
        rows.append(
            {
                "pieces looked at with": name,
                "looks": len(results),
                "false alarms": alarms,
                "share": alarms / len(results),
                "at most (95 %)": find_upper_bound(alarms, len(results)),
                "score: median": float(np.median(scores)),
                "99.9 %": float(np.quantile(scores, 0.999)),
                "greatest": float(scores.max()),
            }
        )
    return rows


def find_upper_bound(hits: int, count: int) -> float:
    """Find Clopper and Pearson's one-sided 95 % bound of a share."""
    from scipy.stats import beta

    return float(beta.ppf(0.95, hits + 1, count - hits)) if hits < count else 1.0


def count_detections(
    sounds: Sequence[Sound], seconds: float, crops: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    """Mark each conversion, attack it as a whole, crop it at random, and count detections."""
    scores: dict[str, list[float]] = {"no mark": [], **{name: [] for name in ATTACKS}}
    hits = {name: 0 for name in scores}
    for sound in sounds:
        marked = add_watermark(*sound), sound[1]
        for name in scores:
            attacked = sound if name == "no mark" else ATTACKS[name](marked, rng)
            for _ in range(crops):
                result = detect(*crop(attacked, seconds, rng))
                scores[name].append(result.score)
                hits[name] += result.marked is True
    return [
        {
            "attack": name,
            "crops": len(found),
            "found": hits[name] / len(found),
            "score: median": float(np.median(found)),
            "1 %": float(np.quantile(found, 0.01)),
            "least": min(found),
        }
        for name, found in scores.items()
    ]


def measure_costs(sounds: Sequence[Sound], judged: int) -> list[dict[str, object]]:
    """Measure what the mark changes (mean and worst conversion), and CPU seconds per second of sound."""
    embed, look, snr, distance = [], [], [], []
    for wav, rate in sounds:
        started = time.process_time()
        marked = add_watermark(wav, rate)
        between = time.process_time()
        detect(marked, rate)
        embed.append((between - started) * rate / len(wav))
        look.append((time.process_time() - between) * rate / len(wav))
        snr.append(10 * np.log10(np.sum(wav**2) / max(1e-20, np.sum((marked - wav) ** 2))))
        distance.append(log_spectral_distance(wav, marked))
    rows: list[dict[str, object]] = [
        make_row("signal to mark, dB", snr, min(snr)),
        make_row("log-spectral distance, dB", distance, max(distance)),
        make_row("marking, share of real time", embed, max(embed)),
        make_row("verifying, share of real time", look, max(look)),
    ]
    if judged:
        from facevc_cli.evaluation.metrics.naturalness import DistillMOS

        rate_it = DistillMOS().score
        chosen = [sounds[i] for i in np.unique(np.linspace(0, len(sounds) - 1, min(judged, len(sounds))).astype(int))]
        before = [rate_it(resample(wav, rate, 16000)) for wav, rate in chosen]
        after = [rate_it(resample(add_watermark(wav, rate), rate, 16000)) for wav, rate in chosen]
        change = np.subtract(after, before)
        error = 1.96 * float(change.std(ddof=1)) / len(change) ** 0.5 if len(change) > 1 else float("nan")
        rows += [
            make_row("DistillMOS, unmarked", before, min(before)),
            make_row("DistillMOS, change by the mark", change, float(change.min())),
        ]
        rows.append({"measure": "DistillMOS, change: +- of the 95 % interval", "mean": error, "worst": ""})
    return rows


def make_row(name: str, values: Sequence[float] | np.ndarray, worst: float) -> dict[str, object]:
    return {"measure": name, "mean": float(np.mean(values)), "worst": float(worst)}


def log_spectral_distance(wav: np.ndarray, other: np.ndarray) -> float:
    """Root mean square difference of log power in dB, over frames of 1024 and bins within 60 dB of the loudest."""
    power = [
        np.square(
            np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(x, 1024)[::256] * np.hanning(1024), axis=1))
        )
        for x in (wav, other)
    ]
    heard = power[0] > power[0].max() * 1e-6
    return float(np.sqrt(np.mean(np.square(10 * np.log10(power[1][heard] / power[0][heard])))))


def crop(sound: Sound, seconds: float, rng: np.random.Generator) -> Sound:
    wav, rate = sound
    count = min(len(wav), round(seconds * rate))
    start = int(rng.integers(len(wav) - count + 1))
    return wav[start : start + count], rate


def make_codec_attack(
    codec: str, container: str, kbit_s: int, rate: int | None = None
) -> Callable[[Sound, np.random.Generator], Sound]:
    """Make an attack that encodes and decodes with FFmpeg's libraries, at `rate` Hz if given."""

    def attack(sound: Sound, rng: np.random.Generator) -> Sound:
        import av

        wav, own = sound
        used = rate or own
        samples = np.clip(resample(wav, own, used) * 32767, -32768, 32767).astype(np.int16)
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=container) as coded:
            stream = coded.add_stream(codec, rate=used, layout="mono")
            stream.bit_rate = kbit_s * 1000
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate = used
            fitted = av.AudioResampler(stream.format.name, "mono", used)
            for part in (*fitted.resample(frame), *fitted.resample(None)):
                coded.mux(stream.encode(part))
            coded.mux(stream.encode(None))
        buffer.seek(0)
        with av.open(buffer) as coded:
            to_float = av.AudioResampler("flt", "mono", used)
            frames = [
                *(part for frame in coded.decode(audio=0) for part in to_float.resample(frame)),
                *to_float.resample(None),
            ]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames]), used

    return attack


def make_resampling_attack(*rates: int) -> Callable[[Sound, np.random.Generator], Sound]:
    def attack(sound: Sound, rng: np.random.Generator) -> Sound:
        for rate in rates:
            sound = resample(*sound, rate), rate
        return sound

    return attack


def make_noise_attack(snr_db: float) -> Callable[[Sound, np.random.Generator], Sound]:
    def attack(sound: Sound, rng: np.random.Generator) -> Sound:
        wav, rate = sound
        noise = rng.standard_normal(len(wav)) * np.sqrt(np.mean(wav**2)) * 10 ** (-snr_db / 20)
        return (wav + noise).astype(np.float32), rate

    return attack


def combine_attacks(sound: Sound, rng: np.random.Generator) -> Sound:
    return make_resampling_attack(48000)(MP3_128(make_resampling_attack(16000)(sound, rng), rng), rng)


def round_to_16_bits(sound: Sound, rng: np.random.Generator) -> Sound:
    return (np.round(sound[0] * 32767) / 32767).astype(np.float32), sound[1]


MP3_128 = make_codec_attack("libmp3lame", "mp3", 128)
ATTACKS: dict[str, Callable[[Sound, np.random.Generator], Sound]] = {
    "none but 16 bits": round_to_16_bits,
    "MP3, 128 kbit/s": MP3_128,
    "MP3, 64 kbit/s": make_codec_attack("libmp3lame", "mp3", 64),
    "to 16 kHz": make_resampling_attack(16000),
    "to 16 and 48 kHz": make_resampling_attack(16000, 48000),
    "to 16 kHz, MP3 128, to 48 kHz": combine_attacks,
    "to 8 kHz": make_resampling_attack(8000),
    "AAC, 64 kbit/s": make_codec_attack("aac", "adts", 64),
    "Opus, 32 kbit/s": make_codec_attack("libopus", "ogg", 32, 48000),
    "white noise 30 dB below": make_noise_attack(30),
    "white noise 20 dB below": make_noise_attack(20),
}


if __name__ == "__main__":
    main()
