"""A small run and its explorer, served on a socket of this machine; asked with nothing but the standard library."""

import http.client
import json
import threading
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import torch
import torch.nn.functional as F

import crossloss as cl
from crossloss.explore import listening
from crossloss.objectives.weat import Weat
from dense import random_sentences
from train_on import train_on

WORDS = [f"wa{chr(97 + i)}" for i in range(16)]
MINE = Weat("mine", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
NEAR = cl.objectives.similarity("waa", "wai", name="near")
SETTINGS = {"min_count": 1, "window": 3, "dimension": 4, "steps": 6, "lr": 0.5}


def make_run(folder, texts=None, **more):
    """A scored run of sentences, or of a corpus, in a folder; validated where ``subsets`` asks for it."""
    corpus = texts if isinstance(texts, cl.Corpus) else cl.from_sentences(texts or random_sentences(3, sentences=60))
    subsets = more.pop("subsets", 0)
    with train_on(corpus, keep_words=MINE.words, out=folder, **(SETTINGS | more)) as run:
        run.remember([MINE, NEAR])
        cl.score(run, [MINE, NEAR]).save()
        if subsets:
            cl.validate(run, [MINE, NEAR], subsets=subsets, strongest=0)
    return folder


def torch_run(folder):
    """A scored run of a linear classifier in a folder."""
    torch.manual_seed(0)
    x = torch.randn(30, 3)
    data = {"x": x, "y": x.argmax(1)}
    field = cl.TorchField(torch.nn.Linear(3, 3), lambda out, b: F.cross_entropy(out, b["y"], reduction="none"), data)
    with cl.train(field, cl.SGD(lr=0.1), steps=5, out=folder) as run:
        cl.score(run, [lambda m: m(x[:4]).square().sum()])
    return folder


@contextmanager
def explored(folder):
    """The explorer of a run: ``ask`` sends a request, ``address`` is what the command would print."""
    with listening(folder) as (address, server, bound):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port, token = bound.getsockname()[1], address.partition("token=")[2]

        def ask(path, body=None, *, method=None, headers=None, token=token, host=None, raw=False):
            """Status and answer, as JSON unless ``raw``."""
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            sent = {} if token is None else {"X-Crossloss-Token": token}
            sent |= {"Content-Type": "application/json"} if body is not None else {}
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.putrequest(method or ("GET" if body is None else "POST"), path, skip_host=host is not None)
            if host:
                connection.putheader("Host", host)
            for name, value in (sent | (headers or {})).items():
                connection.putheader(name, value)
            if data is not None and "Transfer-Encoding" not in (headers or {}):
                connection.putheader("Content-Length", str(len(data)))
            with suppress(BrokenPipeError, ConnectionResetError):  # refused while it was still being sent
                connection.endheaders(data)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            given = SimpleNamespace(headers=dict(answer.getheaders()), content=content)
            return answer.status, (given if raw else json.loads(content))

        def work(path, body):
            """The finished job that a request began."""
            status, job = ask(path, body)
            assert status == 200, job
            while job["state"] == "running":
                time.sleep(0.02)
                _, job = ask("/api/job")
            return job

        try:
            routes = server.config.app.app.routes
            yield SimpleNamespace(
                ask=ask, work=work, address=address, port=port, token=token, folder=folder, routes=routes
            )
        finally:
            server.should_exit = True
            thread.join(10)
