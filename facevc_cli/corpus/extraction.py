"""The loop that the extracting stages share: inputs, one extractor, a crash-safe store."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.core.engines.base import count_gpus
from facevc_cli.core.engines.registry import make_engine, open_engine
from facevc_cli.core.errors import UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.corpus.origins import COLUMNS, Origin, find_standing
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.files.inputs import Input, SpeakerRule, parse_shard
from facevc_cli.files.locks import exclusive_lock
from facevc_cli.files.packed import open_input
from facevc_cli.files.packed_inputs import find_all_inputs


@dataclass(frozen=True, kw_only=True)
class ExtractionConfig:
    """The settings that all extracting stages share; each stage adds its own."""

    sources: tuple[str | Path, ...]
    output: Path
    speaker_pattern: str | None = None
    speakers_table: Path | None = None
    engine: str = "local"  # where the inputs are worked on, as --engine names it
    jobs: int = 0  # processes, or workers of the engine; 0: one per CPU core
    root: str | None = None  # what lists of URLs and manifests name must be below this folder or URL
    shard: str | None = None  # "I/N"
    keep_shards: int | None = None  # most items of a shard; the store is then an index of shards that stay apart
    limit: int | None = None
    overwrite: bool = False
    dry_run: bool = False
    fail_fast: bool = False

    def find_inputs(self, suffixes: frozenset[str], reporter: Reporter = SILENT) -> list[Input]:
        """Finds the inputs with their speakers, up to the limit. The reporter gets notes about skipped files."""
        rule = SpeakerRule.from_options(self.speaker_pattern, self.speakers_table)
        return find_all_inputs(self.sources, suffixes, rule, reporter, self.root)[: self.limit]


@dataclass(frozen=True)
class Finish:
    """The additions of a stage when all items are done: columns by id, statistics by name."""

    columns: Mapping[str, Mapping[str, Any]]
    statistics: Mapping[str, np.ndarray]


def extract_into_store(
    config: ExtractionConfig,
    *,
    stage: str,
    suffixes: frozenset[str],
    settings: Mapping[str, Any],
    extract: Callable[[Input], Item],
    reporter: Reporter,
    next_command: str,
    finish: Callable[[list[Store]], Finish] | None = None,
    finish_settings: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> Summary:
    """Runs `extract` on the inputs that are not done, and merges the store.

    If an input is bad, it is listed, and the others are done.

    corpus/origins.py decides which inputs are done. FaceVCError, before any work, if the store holds an id of another
    file. `extract` must be picklable, because it runs in worker processes. finish_settings: the settings that `finish`
    depends on. If those of a finished store differ, its items stay and only `finish` runs again. device: of `extract`.
    """
    make_engine(config.engine)  # UsageError before any work
    inputs = config.find_inputs(suffixes, reporter)
    index, count = parse_shard(config.shard)
    mine = inputs[index - 1 :: count]
    if count > 1 and config.overwrite:
        raise UsageError(
            f"--overwrite with --shard: each shard would delete the others' work. Delete {config.output} and its "
            ".parts."
        )
    tally = Tally(reporter)
    if config.dry_run:
        reporter.note(f"would work on {len(mine)} files and write {config.output}")
        return tally.summarise(config.output, inputs=len(mine))
    folder = config.output.parent
    lock = config.output.with_name(f".{config.output.name}{f'.{index}-of-{count}' if count > 1 else ''}.lock")
    with (
        exclusive_lock(lock, str(config.output) if count == 1 else f"shard {index}/{count} of {config.output}"),
        StoreWriter(
            config.output, stage, settings, overwrite=config.overwrite, keep_shards=config.keep_shards
        ) as writer,
        open_engine(config.engine) as engine,
    ):
        standing = find_standing(mine, _read_origins(writer), config.output, folder)
        standing.tell(config.output, reporter)
        waiting = standing.waiting
        reporter.begin(len(mine), "files", stage)
        for source in standing.done:
            tally.skip(source.id)
        if waiting:
            with engine.open_pool(config.jobs, gpus=count_gpus(device)) as pool:
                keep, work = writer.keeper, _WithOrigin(extract, folder)
                for source, item, error in pool.map(work, waiting, keep=keep, most_items=keep.shard_items):
                    if error is None:
                        if item is not None:  # otherwise its worker has written it
                            writer.add(item)
                        tally.complete(source.id)
                        continue
                    tally.fail(source.id, str(error))
                    if config.fail_fast:
                        raise error
        if count > 1:
            writer.flush()
            following = "run every shard, then the same command without --shard to join them"
            return tally.summarise(writer.parts, following, resumes=True)
        attributes = {"finish_settings": json.dumps(finish_settings or {}, sort_keys=True)}
        if waiting or not writer.is_complete or _has_other_attributes(config.output, attributes):
            stores = writer.list_readers()
            added = finish(stores) if finish else Finish({}, {})
            for store in stores:
                store.close()
            writer.merge([item.id for item in inputs], added.columns, added.statistics, attributes)
    return tally.summarise(config.output if config.output.exists() else None, next_command, resumes=True)


@dataclass(frozen=True)
class _WithOrigin:
    """An extractor that adds the file's origin to each item."""

    extract: Callable[[Input], Item]
    folder: Path

    def __call__(self, source: Input) -> Item:
        with open_input(source) as local:
            origin = Origin.of(local, self.folder)
            item = self.extract(local)
        if source.packed is not None and "path" in item.columns:
            item.columns["path"] = origin.source  # not the temporary copy
        item.columns |= origin.as_columns()
        return item


def _read_origins(writer: StoreWriter) -> dict[str, Origin]:
    """Reads the origin of each item from the store and its parts."""
    if not writer.done:
        return {}
    found: dict[str, Origin] = {}
    for store in writer.list_readers():
        with store:
            columns = {name: store.read_column(name) for name in COLUMNS if name in store.columns}
            for i, (identifier, speaker) in enumerate(zip(store.ids, store.speakers, strict=True)):
                found[identifier] = Origin.read({name: values[i] for name, values in columns.items()}, speaker)
    return found


def _has_other_attributes(path: Path, attributes: Mapping[str, str]) -> bool:
    if not path.is_file():
        return False
    with Store(path) as store:
        return any(store.attributes.get(name) != value for name, value in attributes.items())
