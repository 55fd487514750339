"""The one worker: long work in the background, one piece at a time, with progress, and cancelled between two steps."""

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from crossloss.core import Progress, UserError
from crossloss.utils.progress import progress


class Busy(UserError):
    """Other work is under way."""


class Cancelled(BaseException):
    """Raised inside of the work at its next step."""


@dataclass
class Job:
    """One piece of work: what it is, how far it has come, and what it gave.

    ``state`` is running, done, cancelled or failed; ``left`` the seconds that its present stage is expected to take.
    """

    id: int
    what: str
    state: str = "running"
    stages: list[str] = field(default_factory=list)
    done: int = 0
    total: int = 0
    begun: float = field(default_factory=time.monotonic)
    stage_begun: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    result: Any = None
    error: str = ""
    cancel: threading.Event = field(default_factory=threading.Event)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        now = time.monotonic()
        running = self.state == "running"
        left = (now - self.stage_begun) * (self.total - self.done) / self.done if running and self.done else None
        return {
            "id": self.id,
            "what": self.what,
            "state": self.state,
            "stage": ": ".join(self.stages),
            "done": self.done,
            "total": self.total,
            "seconds": now - self.begun if running else self.seconds,
            "left": left,
            "result": self.result,
            "error": self.error,
        }


class Worker:
    """Does one job at a time in a thread of its own.

    What a job writes into a run folder is complete or absent (``crossloss.utils.files``), so that it may be
    cancelled, or the process killed, at any time.
    """

    def __init__(self) -> None:
        self._lock, self._thread, self._count = threading.Lock(), threading.Thread(), 0
        self.job: Job | None = None

    def start(self, what: str, work: Callable[[], Any]) -> Job:
        """Begin a piece of work; ``Busy`` where one is under way."""
        with self._lock:
            if self.job is not None and self._thread.is_alive():
                raise Busy(f"One thing at a time: wait for {self.job.what}, or cancel it.")
            self._count += 1
            self.job = job = Job(self._count, what)
            self._thread = threading.Thread(target=_do, args=(job, work), name="crossloss worker", daemon=True)
            self._thread.start()
            return job

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Hold the worker for something short that writes; ``Busy`` where it works."""
        with self._lock:
            if self.job is not None and self._thread.is_alive():
                raise Busy(f"One thing at a time: wait for {self.job.what}, or cancel it.")
            yield

    def cancel(self) -> None:
        """Ask the present job to stop at its next step."""
        if self.job is not None:
            self.job.cancel.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until nothing is under way."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def close(self) -> None:
        """Cancel, and wait for the work to end."""
        self.cancel()
        self.wait(30)


def _do(job: Job, work: Callable[[], Any]) -> None:
    @contextmanager
    def tracked(name: str) -> Iterator[Progress]:
        job.stages.append(name)
        job.done, job.total, job.stage_begun = 0, 0, time.monotonic()

        def step(done: int, total: int) -> None:
            if job.cancel.is_set():
                raise Cancelled
            job.done, job.total = done, total

        try:
            step(0, 0)
            yield step
        finally:
            job.stages.pop()

    try:
        with progress(tracked):
            job.result = work()
        state = "done"
    except Cancelled:
        state = "cancelled"
    except UserError as error:
        state, job.error = "failed", str(error)
    except Exception as error:  # the thread must end with a word, whatever happened
        traceback.print_exc()
        state, job.error = "failed", f"The work stopped on an error of crossloss itself: {type(error).__name__}."
    job.seconds = time.monotonic() - job.begun
    job.state = state
