"""Compare ways to a voice for a face, by the same judges on the same sources: a table for docs/comparison.md.

SOURCES are recordings, FACES pictures (FACES/PERSON/1.jpg, or FACES/PERSON.jpg). --labels has the columns target,
gender and references (real recordings, between |), --sources-table source_id, gender and transcript, as `facevc
evaluate` takes them. Everything is left in OUT, and a second call goes on.

| system | what it hears or sees of the target |
| --- | --- |
| source | nothing: the unchanged source |
| copy | nothing: the source through the vocoder, the most that a conversion can sound like |
| face | the face, with the bundled model or --checkpoint |
| mean face | the mean of all faces: one voice for everyone |
| voice | the first of the references |
| speak, timbre, both | the face; the words are the transcripts, spoken by `speak --how convert`, `timbre`, `both` |
| styles by face, by voice | the same as face and voice, with --styles RUN, a model of `train --preset xfavot-64` |

The table has 95 % intervals over the targets. Those of copies have none.
"""

import csv
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import common

from facevc_cli import Converter
from facevc_cli.conversion.copy_synthesis import synthesise_copy
from facevc_cli.files.audio import load_audio, save_audio
from facevc_cli.files.inputs import AUDIO_SUFFIXES, list_files

METRICS: Mapping[str, str] = {  # of metrics.csv -> column
    "naturalness": "MOS",
    "DNSMOS": "DNSMOS",
    "CER": "CER",
    "GA": "gender accuracy",
    "voicefilter consistency": "likeness",
    "voicefilter consistency control": "likeness to others",
    "voicefilter leakage": "likeness to the source",
    "F0 deviation": "F0 deviation, Hz",
}
BASELINES = ("source", "mean-face")
COPY = "copy"
HOWS: Mapping[str, str] = {"speak": "convert", "timbre": "timbre", "both": "both"}  # system -> --how of `speak`
SOME_FAILED = 1  # the exit code of a command that could not use some of its inputs


def main() -> None:
    parser = common.make_parser(__doc__)
    for name in ("sources", "faces", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--sources-table", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint; without it, the bundled model")
    parser.add_argument("--styles", type=Path, help="a model of styles")
    parser.add_argument("--no-speak", action="store_true", help="leave out what is spoken from text")
    parser.add_argument("--light", action="store_true", help="without the recogniser, MOS and independent judges")
    args = parser.parse_args()
    voices = link_voices(args.labels, args.out / "voices")
    texts = None if args.no_speak else write_texts(args.sources_table, args.out / "texts.csv")
    systems = plan_systems(args, voices, texts)
    copy_sources(args.sources, args.out / COPY, args.checkpoint)
    judges = ["--recogniser", "none", "--no-naturalness", "--no-independent-judges"] if args.light else []
    judges += ["--sources", str(args.sources_table)]
    for name in (COPY, *systems):
        if name in systems:
            judged = args.out / name / "manifest.csv"
            run(["facevc", *map(str, systems[name]), "-o", str(args.out / name)], judged)
            known = [str(judged), "--labels", str(args.labels)]
        else:
            known = [str(args.out / name), "--pattern", "{source}__{target}.wav"]
        evaluated = args.out / "evaluation" / name
        run(["facevc", "evaluate", *known, "-o", str(evaluated), *judges], evaluated / "metrics.csv")
    rows = [row for name in (COPY, *systems) for row in read_rows(args.out / "evaluation", name)]
    common.show("Ways to a voice", rows, args.json)


def plan_systems(args: object, voices: Path, texts: Path | None) -> dict[str, list[object]]:
    """Returns the command of each system, without its output. args: those of `main`."""
    given = vars(args)
    model = ["--checkpoint", given["checkpoint"]] if given["checkpoint"] else []
    faces, sources = ["--face", given["faces"]], given["sources"]
    tables = ["--labels", given["labels"], "--sources", given["sources_table"]]
    systems: dict[str, list[object]] = {
        "face": ["benchmark", sources, *faces, *tables, *(f"--baseline={name}" for name in BASELINES), *model],
        "voice": ["convert", sources, "--voice", voices, *model],
    }
    if texts is not None:
        systems |= {name: ["speak", "--text", texts, *faces, "--how", how, *model] for name, how in HOWS.items()}
    if given["styles"]:
        styles = ["--checkpoint", given["styles"], "--vocoder", "griffin-lim"]
        systems["styles-by-face"] = ["convert", sources, *faces, *styles]
        systems["styles-by-voice"] = ["convert", sources, "--voice", voices, *styles]
    return systems


def run(command: Sequence[str], leaves: Path) -> None:
    """Runs a command that leaves a file. Some failed inputs are listed by it, and do not stop the comparison."""
    status = subprocess.run(command).returncode
    if status not in (0, SOME_FAILED) or not leaves.exists():
        sys.exit(f"{' '.join(command[:2])} ended with the exit code {status}.")


def copy_sources(sources: Path, folder: Path, checkpoint: Path | None) -> None:
    """Writes each source through the vocoder, as SOURCE__copy.wav. Those that are there stay."""
    files = list_files([sources], AUDIO_SUFFIXES)
    missing = [path for path in files if not (folder / f"{path.stem}__{COPY}.wav").exists()]
    if not missing:
        return
    converter = Converter(checkpoint, guidance=0)  # without guidance no d-vector is needed
    for path in missing:
        wav = synthesise_copy(converter, converter.hear(load_audio(path)))
        save_audio(folder / f"{path.stem}__{COPY}.wav", wav, converter.rate)


def link_voices(labels: Path, folder: Path) -> Path:
    """Links the first real recording of each target as TARGET.SUFFIX, so that the labels fit."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in read_table(labels):
        first = row["references"].split("|")[0]
        if first:
            original = (labels.parent / first).resolve()
            path = folder / f"{row['target']}{original.suffix}"
            path.unlink(missing_ok=True)
            path.symlink_to(original)
    return folder


def write_texts(sources: Path, path: Path) -> Path:
    """Writes the transcripts as `facevc speak --text` takes them."""
    rows = [(row["source_id"], row["transcript"]) for row in read_table(sources) if row.get("transcript", "").strip()]
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("id", "text"), *rows])
    return path


def read_rows(folder: Path, name: str) -> list[dict[str, object]]:
    """Returns a row for a system, and one for each of its baselines."""
    found = [row for row in read_table(folder / name / "metrics.csv") if row["slice"] == "all"]
    rows = []
    for system in dict.fromkeys(row["system"] for row in found):
        baseline = system.partition("/")[2]
        own = {row["metric"]: row for row in found if row["system"] == system}
        cells = {column: read_figure(own.get(metric, {})) for metric, column in METRICS.items()}
        rows.append({"system": (baseline or name).replace("-", " "), **cells})
    return rows


def read_figure(row: Mapping[str, str]) -> common.Interval | float | str:
    """Returns a figure with its interval, if it has one; "" if it was not measured."""
    if not row.get("value"):
        return ""
    if not row.get("low") or not row.get("high"):
        return float(row["value"])
    return common.Interval(float(row["value"]), float(row["low"]), float(row["high"]))


def read_table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
