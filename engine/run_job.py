"""Running a batch job: the folder is claimed, earlier work is kept, and the rest is shared over the processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.devices import alone, first_process, start
from engine.files import locked, remove_partials, remove_partials_of
from engine.job import Job, JobOptions, Report
from engine.job_worker import JobWorker, Unit
from engine.journal import Entry, Journal, join_journals, read_journal
from engine.manifest import claim, write_manifest
from engine.stopping import Stopping, stop_on_sigterm


def run_job(
    job: Job[Any, Any, Any, Any],
    inputs: Sequence[Any],
    record: Path,
    settings: dict[str, Any],
    options: JobOptions,
    skipped: dict[str, str] | None = None,
    failed: dict[str, str] | None = None,
    facts: dict[str, Any] | None = None,
) -> Report | None:
    """Run a job, or go on with it.

    Args:
        job: The job.
        inputs: Its inputs, each with a name of its own.
        record: The folder of its manifest and journal: the output folder, or one beside an output file.
        settings: What the results depend on, but for the inputs.
        options: How it runs.
        skipped: Why, by name, for what was passed over when the inputs were looked for.
        failed: Why, by name, for inputs that failed before the job.
        facts: What else the manifest is to say.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        ValueError: If the folder holds another job, or another run is at work in it.
        OSError: If the disk is full or cannot be written to.
        EndsJob: If a step raised it.
        Stopped: After SIGTERM.
    """
    if not first_process():
        _work(job, inputs, record, options, Stopping())
        return None
    with locked(record):
        claim(record, job.command, settings)
        remove_partials(record)
        remove_partials_of(job.output_files)
        with stop_on_sigterm() as stopping:
            before = _work(job, inputs, record, options, stopping)
        entries = _earlier_entries(job, inputs, record) | read_journal(record)
        names = {source.name for source in inputs}
        done = [entries[source.name] for source in inputs if source.name in entries]
        rows = [
            (entry.name, entry.row) for entry in done if entry.row is not None and not entry.error
        ]
        wrong = {entry.name: entry.error for entry in done if entry.error}
        stale = sorted(set(entries) - names)
        join_journals(record, [*done, *(entries[name] for name in stale)])
        report = Report(rows, (failed or {}) | wrong, skipped or {}, before, stale)
        write_manifest(
            record,
            command=job.command,
            finished=True,
            settings=settings,
            counts=report.counts(),
            failed=report.failed,
            skipped=report.skipped,
            stale=stale,
            **(facts or {}),
        )
        return report


def _work(
    job: Job[Any, Any, Any, Any],
    inputs: Sequence[Any],
    record: Path,
    options: JobOptions,
    stopping: Stopping,
) -> int:
    """Do this process's share; returns how many inputs were done before."""
    entries = read_journal(record) or _earlier_entries(job, inputs, record)
    finished = {
        place
        for place, source in enumerate(inputs)
        if _is_done(job, source, entries.get(source.name))
    }
    units = _units(job, inputs, options.batch_size, finished)
    process = (
        alone(options.devices)
        if options.alone
        else start(options.devices, at_most=max(1, len(units)))
    )
    stopping.process = process
    try:
        process.barrier(stopping.check)  # all have read the journal, and the folder is claimed
        if units:
            JobWorker(
                job, inputs, finished, Journal(record, process.rank), process, options, stopping
            ).run(units)
        process.barrier(stopping.check)
    except BaseException:
        process.end_others()
        raise
    return len(finished)


def _earlier_entries(
    job: Job[Any, Any, Any, Any], inputs: Sequence[Any], record: Path
) -> dict[str, Entry]:
    """Entries made of an earlier version's rows: by name alone, as it kept no hashes."""
    rows = job.earlier_rows(record)
    known = [source for source in inputs if source.name in rows]
    return {
        source.name: Entry(source.name, source.size, source.mtime_ns, "", rows[source.name])
        for source in known
    }


def _is_done(job: Job[Any, Any, Any, Any], source: Any, entry: Entry | None) -> bool:
    """Whether an input has its result: of the very bytes it has now."""
    if entry is None or (entry.error and not source.group):
        return False
    if entry.row is not None and not job.exists(source, entry.row):
        return False
    if (entry.size, entry.mtime_ns) == (source.size, source.mtime_ns):
        return True
    return entry.size == source.size and entry.sha256 == source.digest()


def _units(
    job: Job[Any, Any, Any, Any], inputs: Sequence[Any], batch_size: int, finished: set[int]
) -> list[Unit]:
    """What there is to do; a group of which anything is to be done is done again as a whole."""
    units: list[tuple[str, Unit]] = []
    taken = [place for place in range(len(inputs)) if job.steady_batches or place not in finished]
    for number, block in enumerate(job.blocks([inputs[place] for place in taken], batch_size)):
        places = [taken[place] for place in block]
        group = inputs[places[0]].group
        if group and units and units[-1][0] == group:
            units[-1][1].append((number, places))
        else:
            units.append((group, [(number, places)]))
    return [
        unit
        for _, unit in units
        if not finished.issuperset(place for _, places in unit for place in places)
    ]
