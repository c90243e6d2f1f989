"""Run a batch job: claim its folder, skip finished inputs, share the rest over processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.devices import Process, is_first_process, single_process, start_processes
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
    """Run a job, or resume it.

    Args:
        job: The job.
        inputs: Its inputs, with unique names.
        record: Folder of the manifest and journal: the output folder, or one beside an output file.
        settings: All settings that the results depend on, except the inputs.
        options: Devices, batch size and threads.
        skipped: Reason by name, for files that the search for inputs skipped.
        failed: Error message by name, for inputs that failed before the job.
        facts: More entries of the manifest.

    Returns:
        The outcome; None on every process but the first.

    Raises:
        ValueError: If the folder belongs to another job, or another run is writing into it.
        OSError: If the disk is full or cannot be written to.
        EndsJob: If a step raised it.
        Stopped: After SIGTERM.
    """
    if not is_first_process():
        _process_inputs(job, inputs, record, options, Stopping())
        return None
    with locked(record):
        # claim the folder, and delete unfinished files of a killed run
        claim(record, job.command, settings, job.renamed, job.implied)
        remove_partials(record)
        remove_partials_of(job.output_files)

        # process the inputs that no earlier run finished
        with stop_on_sigterm() as stopping:
            done_before = _process_inputs(job, inputs, record, options, stopping)

        # join the journals of all processes, and keep results whose inputs are no longer given
        entries = _entries_of_old_versions(job, inputs, record) | read_journal(record)
        names = {source.name for source in inputs}
        current = [entries[source.name] for source in inputs if source.name in entries]
        gone = sorted(set(entries) - names)
        stale = [name for name in gone if entries[name].row is not None]
        join_journals(record, [*current, *(entries[name] for name in stale)])

        # count, and write the manifest
        rows = []
        errors = {}
        for entry in current:
            if entry.error:
                errors[entry.name] = entry.error
            elif entry.row is not None:
                rows.append((entry.name, entry.row))
        report = Report(rows, (failed or {}) | errors, skipped or {}, done_before, stale)
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


def _process_inputs(
    job: Job[Any, Any, Any, Any],
    inputs: Sequence[Any],
    record: Path,
    options: JobOptions,
    stopping: Stopping,
) -> int:
    """Process this process's share, and return the number of inputs finished before."""
    # find the inputs without a result
    entries = read_journal(record) or _entries_of_old_versions(job, inputs, record)
    finished = set()
    for index, source in enumerate(inputs):
        if _is_finished(job, source, entries.get(source.name)):
            finished.add(index)
    units = _units(job, inputs, options.batch_size, finished)

    # start the other processes, and do this one's share
    process = _start(options, len(units))
    stopping.process = process
    try:
        # every process has read the journal, and the folder is claimed
        process.barrier(stopping.check)
        if units:
            journal = Journal(record, process.rank)
            JobWorker(job, inputs, finished, journal, process, options, stopping).run(units)
        process.barrier(stopping.check)
    except BaseException:
        process.end_others()
        raise
    return len(finished)


def _start(options: JobOptions, units: int) -> Process:
    """Start the processes of a job, no more than there are units."""
    if options.alone:
        return single_process(options.devices)
    return start_processes(options.devices, at_most=max(1, units))


def _entries_of_old_versions(
    job: Job[Any, Any, Any, Any], inputs: Sequence[Any], record: Path
) -> dict[str, Entry]:
    """Convert rows of versions without journals to entries, matched by name without a hash."""
    rows = job.earlier_rows(record)
    entries = {}
    for source in inputs:
        if source.name in rows:
            row = rows[source.name]
            entries[source.name] = Entry(source.name, source.size, source.mtime_ns, "", row)
    return entries


def _is_finished(job: Job[Any, Any, Any, Any], source: Any, entry: Entry | None) -> bool:
    """Return True if an input has a result computed from its present bytes."""
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
    """Split the unfinished inputs into units of work.

    A group with an unfinished input is processed again as a whole.
    """
    # batches, numbered the same in every run
    indices = [index for index in range(len(inputs)) if job.steady_batches or index not in finished]
    blocks = job.blocks([inputs[index] for index in indices], batch_size)

    # one unit for each batch, or for all batches of a group
    groups: list[str] = []
    units: list[Unit] = []
    for number, block in enumerate(blocks):
        positions = [indices[index] for index in block]
        group = inputs[positions[0]].group
        if group and groups and groups[-1] == group:
            units[-1].append((number, positions))
        else:
            groups.append(group)
            units.append([(number, positions)])
    return [unit for unit in units if not _all_finished(unit, finished)]


def _all_finished(unit: Unit, finished: set[int]) -> bool:
    """Return True if every input of a unit is finished."""
    return all(finished.issuperset(positions) for _, positions in unit)
