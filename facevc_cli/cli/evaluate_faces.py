"""What `facevc evaluate` measures of faces in place of conversions: which voice fits, and imagined ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from facevc_cli.core.errors import UsageError
from facevc_cli.core.progress import Reporter, Summary


def measure_association(
    table: Path,
    systems: Sequence[str],
    output: Path | None,
    seed: int,
    jobs: int,
    unused: Mapping[str, object],
    reporter: Reporter,
) -> Summary:
    from facevc_cli.stages.evaluate_association import AssociationConfig, run

    _refuse("--association measures faces and voices, not conversions", unused)
    config = AssociationConfig(table=table, systems=tuple(systems), output=output, seed=seed, jobs=jobs)
    return run(config, reporter)


def measure_portraits(
    table: Path,
    pairs: Path | None,
    systems: Sequence[str],
    output: Path | None,
    work: tuple[int, int, int | None],
    study: tuple[Path | None, int, tuple[str, ...], tuple[Path, ...]],
    networks: tuple[Path | None, Path | None],
    unused: Mapping[str, object],
    reporter: Reporter,
) -> Summary:
    from facevc_cli.evaluation.portraits.restyled import find_restyled
    from facevc_cli.stages.evaluate_portraits import PortraitsConfig, run

    _refuse("--portraits measures pictures, not conversions", unused)
    if len(systems) > 1:
        raise UsageError("--portraits takes one --system, the model that recalls voices. Leave the others out.")
    checkpoint = next((Path(text.rpartition("=")[2]) for text in systems), None)
    seed, jobs, limit = work
    page, items, questions, answers = study
    if (restyled := find_restyled(table)) is not None:
        own = {"--association": pairs, "--system": checkpoint, "--listening-test": page, "--answers": answers or None}
        own |= dict(zip(("--fid-network", "--lpips-network"), networks, strict=True))
        return _measure_restyled(restyled, output, seed, limit, own, reporter)
    config = PortraitsConfig(
        table=table,
        pairs=pairs,
        checkpoint=checkpoint,
        output=output,
        seed=seed,
        jobs=jobs,
        limit=limit,
        listening_test=page,
        listening_items=items,
        questions=questions,
        answers=answers,
        fid_network=networks[0],
        lpips_network=networks[1],
    )
    return run(config, reporter)


def _measure_restyled(
    table: Path, output: Path | None, seed: int, limit: int | None, unused: Mapping[str, object], reporter: Reporter
) -> Summary:
    from facevc_cli.stages.evaluate_restyled import RestyledConfig, run

    _refuse(f"{table} has restyled photos, not imagined faces", unused)
    return run(RestyledConfig(table=table, output=output, seed=seed, limit=limit), reporter)


def _refuse(what: str, unused: Mapping[str, object]) -> None:
    given = [name for name, value in unused.items() if value is not None]
    if given:
        raise UsageError(f"{what}. Leave {', '.join(given)} out.")
