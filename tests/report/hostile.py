"""Every string of a report replaced by one that would act if a page let it."""

from types import SimpleNamespace

from report_sample import bare, fidelity, objective, plan, report

from crossloss.report import render

# Closes whatever it may stand in, then marks the document in five ways.
ACT = "document.documentElement.setAttribute('data-owned','1')"
PAYLOAD = (
    f"\"'></title></style></code></bdi><script>{ACT}</script><img src=x onerror=\"{ACT}\">"
    f"<svg onload=\"{ACT}\"></svg><details open ontoggle=\"{ACT}\"></details>{{{{ 7*7 }}}}{{% raw %}}"
    "$\\frac{ &lt; \x00\x1b[31m\x9b\ud800\u202e"
)  # fmt: skip


class Named:
    """An objective whose every word is hostile."""

    quantity = question = PAYLOAD

    def __init__(self, name):
        self.name = name

    def interpretation(self):
        return PAYLOAD


def hostile_page(**more) -> str:
    """A page of two objectives, one of them known in every way, the other by its scores, all with PAYLOAD for text."""
    known, other = objective(PAYLOAD), bare(PAYLOAD + "2")
    for given in (known, other):
        given.objective = Named(given.objective.name)
        for shown in (*given.amplifiers, *given.mitigators):
            shown.text = shown.document = shown.id = PAYLOAD
            shown.spans = [(5, 90, 0.1), (60, 160, -0.2)]
            shown.pairs = [(PAYLOAD, PAYLOAD, 0.1)]
    word = SimpleNamespace(sentence=lambda predicted: PAYLOAD)
    known.plans = [plan(PAYLOAD, 1.5, depleted_words=[word]), plan(PAYLOAD, 1.5, method=PAYLOAD)]
    known.plans[1].name = PAYLOAD + "3"
    known.fidelity = [fidelity(name, 0.9, 1.0) for name in ("unrolled", PAYLOAD)]
    known.flips = [[PAYLOAD, PAYLOAD]]
    run = report(known, other, command=PAYLOAD, environment={PAYLOAD: PAYLOAD}, folder=PAYLOAD)
    origin = {"optimiser": {PAYLOAD: PAYLOAD}, "field": {"settings": {PAYLOAD: PAYLOAD}}}
    run.origin = origin | {"steps": run.steps, "seed": run.seed}
    run.model.corpus = SimpleNamespace(source=PAYLOAD, documents=run.model.corpus.documents)
    run.model.sample_noun = more.pop("noun", "sentence")
    return render(run, **more)
