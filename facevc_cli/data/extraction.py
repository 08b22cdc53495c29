"""The loop that the extracting stages share: inputs, one extractor, a crash-safe store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.io.inputs import Input, SpeakerRule, find_inputs, parse_shard
from facevc_cli.io.store import Item, Store, StoreWriter
from facevc_cli.progress import Reporter, Summary, Tally
from facevc_cli.runtime import default_jobs, parallel_map


@dataclass(frozen=True)
class ExtractionConfig:
    """What every extracting stage is told; the stages add their own settings."""

    sources: tuple[str | Path, ...]
    output: Path
    speaker_pattern: str | None = None
    speakers_table: Path | None = None
    jobs: int = 0  # processes; 0: one a processor
    shard: str | None = None  # "I/N"
    limit: int | None = None
    overwrite: bool = False
    dry_run: bool = False
    fail_fast: bool = False

    def inputs(self, suffixes: frozenset[str]) -> list[Input]:
        """The inputs named, their speakers known, cut to the limit."""
        rule = SpeakerRule.from_options(self.speaker_pattern, self.speakers_table)
        return find_inputs(self.sources, suffixes, rule)[: self.limit]


@dataclass(frozen=True)
class Finish:
    """What a stage adds when all items are there: columns by id, statistics by name."""

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
) -> Summary:
    """Runs `extract` over the inputs that are not done and merges the store; a bad input is listed and the rest goes on.

    `extract` must be picklable: it runs in worker processes.
    """
    inputs = config.inputs(suffixes)
    index, count = parse_shard(config.shard)
    mine = inputs[index - 1 :: count]
    tally = Tally(reporter)
    if config.dry_run:
        reporter.note(f"would work on {len(mine)} files and write {config.output}")
        return tally.summary(config.output, inputs=len(mine))
    with StoreWriter(config.output, stage, settings, overwrite=config.overwrite) as writer:
        reporter.begin(len(mine), "files", stage)
        for item in mine:
            if item.id in writer.done:
                tally.skip(item.id)
        waiting = [item for item in mine if item.id not in writer.done]
        for source, item, error in parallel_map(extract, waiting, config.jobs or default_jobs()):
            if item is not None:
                writer.add(item)
                tally.done(source.id)
                continue
            tally.fail(source.id, str(error))
            if config.fail_fast and error is not None:
                raise error
        if count > 1:
            writer.flush()
            return tally.summary(writer.parts, "run every shard, then the same command without --shard to merge them")
        if waiting or writer.parts.exists():
            stores = writer.readers()
            added = finish(stores) if finish else Finish({}, {})
            for store in stores:
                store.close()
            writer.merge([item.id for item in inputs], added.columns, added.statistics)
    return tally.summary(config.output if config.output.exists() else None, next_command)
