"""`evaluate`: a manifest of conversions -> every metric with its interval, for each system in it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.errors import FaceVCError
from facevc_cli.io.atomic import write_text
from facevc_cli.io.manifest import read_table, write_table
from facevc_cli.metrics.bootstrap import Figure
from facevc_cli.metrics.conversion import Conversion
from facevc_cli.metrics.intelligibility import PACKAGED, WhisperRecogniser, packaged_available
from facevc_cli.metrics.listening import Judges, Listening
from facevc_cli.metrics.naturalness import DistillMOS, naturalness_available
from facevc_cli.metrics.report import LACKS, Evidence, figures, gender_slices, metric_terms
from facevc_cli.metrics.tables import read_conversions, resolve
from facevc_cli.metrics.threshold import Threshold, calibrate, packaged_threshold
from facevc_cli.progress import SILENT, Reporter, Summary, Tally

CACHE_FOLDER = ".facevc-cache"
EVAL_EXTRA = "'pip install \"facevc[eval]\"'"
Slices = dict[str, dict[str, dict[str, Figure]]]  # system -> slice -> metric


@dataclass(frozen=True)
class EvaluateConfig:
    """manifest: the file, or the folder that holds manifest.csv. recogniser: auto (the packaged one where it is installed),
    none, a CTranslate2 Whisper folder, or a model's name."""

    manifest: Path
    output: Path | None = None
    labels: Path | None = None
    sources: Path | None = None
    recogniser: str = "auto"
    language: str | None = None  # spoken, such as "en"; None recognises each source's
    naturalness: bool = True
    calibrate: Path | None = None
    seed: int = 0
    jobs: int = 0  # processes; 0: one a processor
    limit: int | None = None


def run(config: EvaluateConfig, reporter: Reporter = SILENT, judges: Judges | None = None) -> Summary:
    """Measures every system of the manifest; with an output folder writes metrics.json and metrics.csv.

    `judges` replaces those that the config asks for. Summary.data is what metrics.json holds: systems (name -> metric ->
    value, n, low, high), slices (name -> gender pair -> metric -> the same), threshold, gender_judge, excluded, notes.
    A file that cannot be heard is a failure; its conversions do not count.
    """
    found = read_conversions(config.manifest, config.labels, config.sources, config.limit)
    tally, notes = Tally(reporter), list(found.notes)
    if judges is None:
        judges = _judges(config, notes)
    listening = Listening(judges, _cache_folder(config), tally, config.jobs)
    conversions = found.conversions
    voices = listening.voices(_files(conversions))
    if not any(c.converted in voices for c in conversions):
        raise FaceVCError(
            f"{config.manifest}: none of its {len(conversions)} converted files can be heard. The first: "
            f"{tally.failures[0][1] if tally.failures else 'unknown'}"
        )
    threshold = _threshold(config, listening, judges)
    heard = [c for c in conversions if c.converted in voices]
    sound = list(dict.fromkeys([c.converted for c in heard] + [c.source for c in heard if c.source in voices]))
    evidence = Evidence(
        voices,
        threshold.theta,
        judges.gender,
        listening.texts(heard, voices, judges.recogniser) if judges.recogniser else {},
        listening.scores(sound, judges.naturalness) if judges.naturalness else {},
    )
    slices = _slices(heard, evidence, config.seed)
    notes += _missing(slices, heard, evidence)
    for note in notes:
        reporter.note(note)
    data = {
        "systems": {name: _json(parts["all"]) for name, parts in slices.items()},
        "slices": {name: {k: _json(v) for k, v in parts.items() if k != "all"} for name, parts in slices.items()},
        "threshold": threshold.to_json(),
        "gender_judge": judges.gender.name,
        "excluded": found.excluded,
        "notes": notes,
    }
    if config.output is not None:
        write_text(config.output / "metrics.json", json.dumps(data, indent=2, ensure_ascii=False) + "\n")
        write_table(
            config.output / "metrics.csv", _long(slices), ["system", "slice", "metric", "value", "n", "low", "high"]
        )
    return tally.summary(config.output, None, **data)


def _judges(config: EvaluateConfig, notes: list[str]) -> Judges:
    """What was asked for by name must load; what is there by default is left out, with a note, where it does not."""
    judges = Judges()
    if config.recogniser == "auto" and not packaged_available():
        notes.append(f"WER and CER are off: no recogniser is installed ({EVAL_EXTRA}, then --recogniser FOLDER or base)")
    elif config.recogniser == "auto":
        try:
            judges = replace(judges, recogniser=WhisperRecogniser(PACKAGED, config.language))
        except FaceVCError as error:
            notes.append(f"WER and CER are off: {error}")
    elif config.recogniser != "none":
        judges = replace(judges, recogniser=WhisperRecogniser(config.recogniser, config.language))
    if config.naturalness and not naturalness_available():
        notes.append(f"naturalness is off: DistillMOS is not installed ({EVAL_EXTRA})")
    elif config.naturalness:
        try:
            judges = replace(judges, naturalness=DistillMOS())
        except FaceVCError as error:
            notes.append(f"naturalness is off: {error}")
    return judges


def _files(conversions: Sequence[Conversion]) -> list[str]:
    """Every file to listen to, once: conversions, then sources, then real recordings of the targets."""
    names = [c.converted for c in conversions] + [c.source for c in conversions if c.source]
    return list(dict.fromkeys(names + [name for c in conversions for name in c.references]))


def _threshold(config: EvaluateConfig, listening: Listening, judges: Judges) -> Threshold:
    if config.calibrate is None:
        return packaged_threshold()
    table = config.calibrate
    rows = [(resolve(row["file"], table), row["speaker"]) for row in read_table(table, ["file", "speaker"])]
    voices = listening.voices(list(dict.fromkeys(name for name, _ in rows)))
    heard = [(voices[name].embedding, speaker) for name, speaker in rows if name in voices]
    origin = f"{judges.name} on {len(heard)} recordings of {table.name}"
    return calibrate(
        np.stack([e for e, _ in heard]) if heard else np.zeros((0, 1)), [speaker for _, speaker in heard], origin
    )


def _slices(conversions: Sequence[Conversion], evidence: Evidence, seed: int) -> Slices:
    slices: Slices = {}
    for system in dict.fromkeys(c.system for c in conversions):
        terms = metric_terms([c for c in conversions if c.system == system], evidence, conversions, seed)
        slices[system] = {"all": figures(terms, seed=seed), **gender_slices(terms, seed)}
    return slices


def _missing(slices: Slices, conversions: Sequence[Conversion], evidence: Evidence) -> list[str]:
    """One line for every metric that no system has, and why."""
    present = {name for parts in slices.values() for name in parts["all"]}
    lacks = [text for name, text in LACKS.items() if name not in present]
    if "consistency" not in present:
        lacks = [text for text in lacks if text != LACKS["consistency_control"]]
    if not any(len(parts) > 1 for parts in slices.values()):
        lacks.append(
            "figures by gender pair are off: the gender of sources (source_gender, or gender in --sources) or of targets is unknown"
        )
    if evidence.texts and "CER" not in present:
        lacks.append("WER and CER are off: neither transcripts nor sources in which words are recognised")
    if len({c.target for c in conversions}) < 3:
        lacks.append("fewer than three targets: some or all figures have no interval")
    return lacks


def _cache_folder(config: EvaluateConfig) -> Path | None:
    """Beside the manifest, under the output where that cannot be written, else nowhere."""
    home = config.manifest if config.manifest.is_dir() else config.manifest.parent
    if os.access(home, os.W_OK):
        return home / CACHE_FOLDER
    return config.output / CACHE_FOLDER if config.output else None


def _json(metrics: Mapping[str, Figure]) -> dict[str, Any]:
    return {name: value.to_json() for name, value in metrics.items()}


def _long(slices: Slices) -> list[dict[str, Any]]:
    return [
        {"system": system, "slice": part, "metric": metric, **value.to_json()}
        for system, parts in slices.items()
        for part, metrics in parts.items()
        for metric, value in metrics.items()
    ]
