"""The explorer: one page on this machine that asks a run questions, acts on the answers and retrains to check them.

Belongs here: the server and what guards it, the one worker, and queries of what a run holds. Does not: any number that
is not a call of scores, plans, run or objectives.
"""

import signal
import socket
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from crossloss.core import UserError
from crossloss.utils.extras import needed

__all__ = ["HOST", "explore", "listening"]

HOST = "127.0.0.1"
"""The only address that is listened on."""


def explore(path: str | Path, *, port: int = 0, browser: bool = True) -> None:
    """Serve the explorer of a run folder until it is interrupted; prints one line with its address.

    Parameters
    ----------
    path : str or Path
        A finished run folder. It is held while the explorer runs.
    port : int
        0: any that is free.
    browser : bool
        Whether to open the page in the system's browser.

    Raises
    ------
    UserError
        The extra ``explore`` is not installed, the port is taken, or as ``cl.load``: no run, or one in use.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), listening(path, port) as (address, server, bound):
        print(f"Explorer: {address}", flush=True)
        if browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        server.run(sockets=[bound])


@contextmanager
def listening(path: str | Path, port: int = 0) -> Iterator[tuple[str, Any, socket.socket]]:
    """The explorer's address, its server, which is yet to run, and the socket that it runs on."""
    with needed("explore", "The explorer"):
        import uvicorn

        from crossloss.explore.server import make_app
    from crossloss.explore.session import Session

    with socket.socket() as bound:
        try:
            bound.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UserError(f"Port {port} cannot be had ({error}): give another --port, or 0 for any.") from error
        number, token = bound.getsockname()[1], token_urlsafe(24)
        with Session(Path(path)) as session:
            settings = uvicorn.Config(
                make_app(session, token, number),
                log_level="critical",
                access_log=False,
                lifespan="off",
                server_header=False,
                http="h11",
                ws="none",
                limit_concurrency=512,
                timeout_graceful_shutdown=1,
            )
            yield f"http://{HOST}:{number}/?token={token}", uvicorn.Server(settings), bound
