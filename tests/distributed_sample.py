"""Run a function in several processes that belong together, as torchrun would, by forking."""

import os
import pickle
import socket
import sys
import time
import traceback

from crossloss.core import UserError
from crossloss.utils import distributed


def together(count, work, timeout="30"):
    """Results of ``work(rank)`` in ``count`` processes: (exit code, result or message of the UserError, seconds)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [_fork(rank, count, port, work, timeout) for rank in range(count)]
    found = []
    for pid, pipe in children:
        with os.fdopen(pipe, "rb") as source:
            raw = source.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        result, seconds = pickle.loads(raw) if raw else (None, 0.0)
        found.append((code, result, seconds))
    return found


def results(count, work):
    found = together(count, work)
    assert [code for code, *_ in found] == [0] * count, found
    return [result for _, result, _ in found]


def _fork(rank, count, port, work, timeout):
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    os.close(read)
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        distributed.TIMEOUT: timeout,
    }
    code, start = 1, time.monotonic()
    try:
        try:
            with distributed.joined():
                result, code = work(rank), 0
        except UserError as error:
            result, code = str(error), 2
        with os.fdopen(write, "wb") as sink:
            pickle.dump((result, time.monotonic() - start), sink)
    except BaseException:
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(code)
