"""One process of a batch job: prepare inputs ahead, run batches, write results in order."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from engine.devices import Process
from engine.job import Batch, Job, JobOptions
from engine.journal import Entry, Journal
from engine.ordered import OrderedThreadPool, map_ahead
from engine.progress import hide_bars, progress
from engine.stopping import EndsJob, Stopping

MAX_WAITING_BYTES = 512 << 20
"""Memory of prepared inputs that wait for their batch, and of results that wait to be finished."""

OUTPUT_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""Errors of the output disk, which would fail every other input, too."""

INPUT_ERRORS = (ValueError, OSError, RuntimeError, MemoryError, ArithmeticError)
"""Errors that an input can cause; any other is a fault of this program."""

Unit = list[tuple[int, list[int]]]
"""Blocks that one process handles in order: each block's number, and the indices of its inputs."""


class _Failed(Exception):
    """Error message of one input."""


class JobWorker:
    """Worker of a job in one process.

    Args:
        job: The job.
        inputs: All inputs of the job.
        finished: Indices of the inputs that an earlier run finished.
        journal: Journal of this process.
        process: This process among those of the job.
        options: Batch size and threads.
        stopping: Set after SIGTERM.
    """

    def __init__(
        self,
        job: Job[Any, Any, Any, Any],
        inputs: Sequence[Any],
        finished: set[int],
        journal: Journal,
        process: Process,
        options: JobOptions,
        stopping: Stopping,
    ) -> None:
        self.job = job
        self.inputs = inputs
        self.finished = finished
        self.journal = journal
        self.process = process
        self.options = options
        self.stopping = stopping
        self.pool: OrderedThreadPool[tuple[int, Any]] = OrderedThreadPool(
            self._write, options.workers, MAX_WAITING_BYTES
        )

    def run(self, units: list[Unit]) -> None:
        """Process this process's share of the units."""
        own_units = units[self.process.rank :: self.process.world]
        indices = [index for unit in own_units for _, block in unit for index in block]

        # the first process shows the bar
        if self.process.rank > 0:
            hide_bars()
        unfinished = sum(self._needs_result(index) for index in indices)
        finished = len(self.inputs) - unfinished if self.process.world == 1 else 0
        self.bar = progress(total=unfinished + finished, unit=self.job.unit, initial=finished)

        # prepare inputs in threads, ahead of their batch
        self.job.setup(self.process)
        self.job.report_step = self._report_step
        prepared_ahead = map_ahead(
            self._prepare,
            indices,
            self.options.workers,
            weigh=self._input_bytes,
            max_weight=MAX_WAITING_BYTES,
            max_count=2 * self.options.batch_size,
        )
        try:
            for unit in own_units:
                self._process_unit(unit, prepared_ahead)
            self.pool.drain()
        finally:
            prepared_ahead.close()
            self.pool.close()
            self.journal.close()
            self.bar.close()

    def _process_unit(self, unit: Unit, prepared_ahead: Iterator[tuple[int, Any]]) -> None:
        """Run the batches of a unit, and the hooks of its group."""
        first_index = unit[0][1][0]
        group = self.inputs[first_index].group
        if group:
            self.job.begin_group(group)
        for number, block in unit:
            for batch in self._batches(number, islice(prepared_ahead, len(block))):
                if any(map(self._needs_result, batch.positions)):
                    self._process_batch(batch)
        if group:
            self.pool.drain()
            self.job.end_group(group)

    def _process_batch(self, batch: Batch[Any, Any]) -> None:
        """Compute a batch's results and hand them to the threads that finish them."""
        results = self._results(batch)
        for index, prepared, result in zip(batch.positions, batch.prepared, results, strict=True):
            if self._needs_result(index):
                self.pool.add(self._input_bytes(index), self._finish, index, prepared, result)
        self._stop_if_requested()

    def _batches(
        self, number: int, prepared_ahead: Iterator[tuple[int, Any]]
    ) -> Iterator[Batch[Any, Any]]:
        """Form batches of a block's prepared inputs, and record those that failed to open.

        A block has more than one batch only where its inputs exceed the memory limit.
        """
        batch: Batch[Any, Any] = Batch(number, [], [], [])
        batch_bytes = 0
        for index, prepared in prepared_ahead:
            if isinstance(prepared, _Failed):
                # an input that was finished while it was readable needs no new row
                if self._needs_result(index):
                    self.pool.add(0, self._finish, index, None, prepared)
                continue
            input_bytes = self.job.prepared_bytes(self.inputs[index])
            if batch.inputs and batch_bytes + input_bytes > MAX_WAITING_BYTES:
                yield batch
                batch = Batch(number, [], [], [])
                batch_bytes = 0
            batch.inputs.append(self.inputs[index])
            batch.positions.append(index)
            batch.prepared.append(prepared)
            batch_bytes += input_bytes
        if batch.inputs:
            yield batch

    def _needs_result(self, index: int) -> bool:
        """Return True if an input's result is to be written.

        Finished inputs take part in their batch, so that it is the same in every run.
        """
        return index not in self.finished or bool(self.inputs[index].group)

    def _input_bytes(self, index: int) -> int:
        """Return the memory of an input; 0 if its file cannot be read."""
        try:
            return self.job.input_bytes(self.inputs[index])
        except (OSError, ValueError):
            return 0

    def _results(self, batch: Batch[Any, Any]) -> list[Any]:
        """Compute the results of a batch; after an error, retry each input alone."""
        try:
            with self.process.autocast():
                return list(self.job.step(batch))
        except Exception as error:
            if len(batch.inputs) == 1 or _ends_job(error):
                return [self._failure(batch.positions[0], error)]
        results = []
        for source, index, prepared in zip(
            batch.inputs, batch.positions, batch.prepared, strict=True
        ):
            single = Batch(batch.number, [source], [index], [prepared])
            results.append(self._results(single)[0])
        return results

    def _prepare(self, index: int) -> Any:
        """Prepare an input, or return its failure."""
        try:
            return self.job.prepare(self.inputs[index])
        except Exception as error:
            return self._failure(index, error, of_input=True)

    def _finish(self, index: int, prepared: Any, result: Any) -> tuple[int, Any]:
        """Finish a result, or return its failure, with the index of its input."""
        if isinstance(result, _Failed):
            return index, result
        try:
            return index, self.job.finish(prepared, result)
        except Exception as error:
            return index, self._failure(index, error)

    def _write(self, finished: tuple[int, Any]) -> None:
        """Save a finished result and add its row to the journal."""
        index, result = finished
        source = self.inputs[index]
        row = None
        if not isinstance(result, _Failed):
            try:
                row = self.job.write(source, result)
            except Exception as error:
                result = self._failure(index, error)
        self.journal.add(self._entry(source, row, str(result) if row is None else ""))
        self.bar.update()

    def _entry(self, source: Any, row: dict[str, Any] | None, error: str) -> Entry:
        """Build the journal entry of an input; a file that cannot be read has no hash."""
        try:
            digest = source.digest()
        except OSError:
            digest = ""
        return Entry(source.name, source.size, source.mtime_ns, digest, row, error)

    def _failure(self, index: int, error: Exception, of_input: bool = False) -> _Failed:
        """Convert an error to the message of its input's row.

        Args:
            index: Index of the input.
            error: The error.
            of_input: The error was raised while the input was read. An I/O error of an input disk
                does not end the job, as its other files may be readable.

        Raises:
            Exception: The error itself, if it would fail every other input, too.
        """
        is_input_disk = of_input and isinstance(error, OSError) and error.errno == errno.EIO
        if _ends_job(error) and not is_input_disk:
            raise error
        text = " ".join(str(error).split())
        if not isinstance(error, INPUT_ERRORS):
            text = f"a fault of this program ({type(error).__name__}: {text}); please report it"
        text = text or type(error).__name__
        name = self.inputs[index].name
        return _Failed(text if Path(name).name in text else f"{name}: {text}")

    def _report_step(self, step: int, steps: int) -> None:
        """Show the progress of a long step on the bar, and stop after SIGTERM."""
        self.bar.set_postfix_str(f"step {step}/{steps}" if step < steps else "")
        self._stop_if_requested()

    def _stop_if_requested(self) -> None:
        """End the job after SIGTERM, once all waiting results are written."""
        if self.stopping.requested:
            self.pool.drain()
            self.stopping.stop()


def _ends_job(error: Exception) -> bool:
    """Return True if an error would fail every other input, too."""
    if isinstance(error, EndsJob):
        return True
    return isinstance(error, OSError) and error.errno in OUTPUT_ERRNOS
