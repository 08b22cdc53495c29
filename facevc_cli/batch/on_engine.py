"""Makes the files of jobs by the workers of an engine. Each loads the model once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facevc_cli.batch.jobs import Job
from facevc_cli.batch.making import Made, group_jobs, make_files, make_resolver
from facevc_cli.conversion.converter import Converter
from facevc_cli.core.engines.base import count_gpus
from facevc_cli.core.engines.registry import open_engine
from facevc_cli.core.progress import Reporter, SilentReporter
from facevc_cli.manifest.manifest import Addresses

if TYPE_CHECKING:
    from facevc_cli.batch.run import ConvertConfig

GROUP = 16  # most jobs of a source that a worker does together: it analyses the source once


@dataclass(frozen=True)
class GroupReport:
    """What a worker made, and what else the run writes or tells."""

    made: Sequence[Made]
    addresses: Mapping[Path, np.ndarray]
    notes: Sequence[str]


class _Notes(SilentReporter):
    """Takes the notes of a worker, which shows none."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def note(self, text: str) -> None:
        self.taken.append(text)


class _Addresses(Addresses):
    """Takes the addresses of a worker, which writes none."""

    def __init__(self) -> None:
        super().__init__(None, None)
        self.taken: dict[Path, np.ndarray] = {}

    def put(self, face: Path, address: np.ndarray) -> None:
        self.taken[face] = address


class _Bench:
    """The model of a worker, and the voices that it has made."""

    def __init__(self, config: "ConvertConfig"):
        self.config, self.notes, self.addresses = config, _Notes(), _Addresses()
        guidance = config.voice_options.guidance
        converter = Converter(
            config.checkpoint, config.vocoder, config.device, on_many=config.on_many, guidance=guidance
        )
        self.resolver = make_resolver(converter, config, self.addresses, self.notes)

    def make(self, group: Sequence[tuple[Job, str]]) -> GroupReport:
        made: list[Made] = []
        make_files(dict(group), self.resolver, self.config, made.append)
        report = GroupReport(made, self.addresses.taken, self.notes.taken)
        self.addresses.taken, self.notes.taken = {}, []
        return report


_bench: _Bench | None = None  # in a worker: stays between groups


@dataclass(frozen=True)
class _GroupMaker:
    config: "ConvertConfig"

    def __call__(self, group: Sequence[tuple[Job, str]]) -> GroupReport:
        global _bench
        if _bench is None or _bench.config != self.config:
            _bench = _Bench(self.config)
        return _bench.make(group)


def make_files_on_engine(
    keys: Mapping[Job, str],
    config: "ConvertConfig",
    device: str,
    addresses: Addresses,
    reporter: Reporter,
    record: Callable[[Made], None],
) -> None:
    """As `make_files`, by the workers of `config.engine`. The jobs are recorded in any order. device: of the model."""
    groups = [[(job, keys[job]) for job in group] for group in group_jobs(list(keys), GROUP)]
    told: set[str] = set()
    with open_engine(config.engine) as engine, engine.open_pool(config.jobs, gpus=count_gpus(device)) as pool:
        for group, report, error in pool.map(_GroupMaker(config), groups, most_items=1):
            if report is None:
                for job, key in group:
                    record(Made(job, {"key": key, "status": "failed", "reason": str(error)}, error))
                continue
            for note in report.notes:
                if note not in told:
                    told.add(note)
                    reporter.note(note)
            for face, address in report.addresses.items():
                addresses.put(face, address)
            for made in report.made:
                record(made)
