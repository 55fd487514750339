"""The commands as a user gives them: in the process, with exit codes and what they print."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from crossloss import cli
from crossloss.cli import preflight
from crossloss.cli.options import as_options
from crossloss.models.skipgram import settings
from dense import random_sentences

WORDS = [f"wa{chr(97 + i)}" for i in range(16)]
SETTINGS = ["--min-count", "1", "--window", "3", "--dimension", "4", "--steps", "6", "--lr", "0.5"]


@pytest.fixture
def crossloss(monkeypatch, capsys):
    """Run a command; returns (exit code, output, errors)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["crossloss", *map(str, arguments)])
        monkeypatch.setattr(signal, "signal", lambda *unused: None)
        code = 0
        try:
            cli.main()
        except SystemExit as stopped:
            code = stopped.code or 0
        said = capsys.readouterr()
        return code, " ".join(said.out.split()), " ".join(said.err.split())

    return run


@pytest.fixture
def files(tmp_path):
    """A corpus, a test of its words, and a candidate."""
    sentences = [*random_sentences(3, sentences=60), "waa <script>alert(1)</script> \x1b[31m wab wai waj"]
    rows = "".join(f"d{i % 5}\t{text}\n" for i, text in enumerate(sentences))
    (tmp_path / "c.tsv").write_text("document\tsentence\n" + rows)
    sets = {side: WORDS[4 * i : 4 * i + 4] for i, side in enumerate("XYAB")}
    (tmp_path / "t.yaml").write_text(json.dumps({"mine": sets, "turned": sets | {"X": sets["Y"], "Y": sets["X"]}}))
    return tmp_path


def test_the_whole_chain(crossloss, files):
    corpus, test, out = files / "c.tsv", f"{files}/t.yaml:mine", files / "run"
    code, said, _ = crossloss("run", corpus, "--objective", test, "--dry-run", *SETTINGS)
    assert code == 0
    assert "4 of 4" in said
    assert "Estimate: training" in said
    assert not out.exists()
    code, said, errors = crossloss("run", corpus, "--objective", test, "--out", out, "--validate", 4, *SETTINGS)
    assert (code, errors.count("Error")) == (0, 0)
    assert "removing one is predicted to lower it" in said
    assert "Retrained without the" in said
    assert "From 5 other starts" in said
    metrics = json.loads((out / "metrics.json").read_text())
    wanted = ["train.loss", "train.seconds", "score.seconds", "peak_memory_bytes", "weat.mine.effect",
              "weat.mine.p_value", "plan.mine.size", "plan.mine.predicted", "plan.mine.retrained",
              "plan.mine.other_seeds.mean", "plan.mine.other_seeds.sd"]  # fmt: skip
    for estimator in ("unrolled", "gradient-dot", "co-occurrence"):
        for figure in ("pearson", "spearman", "slope"):
            wanted += [f"fidelity.mine.{estimator}.{figure}{end}" for end in ("", "_low", "_high")]
    assert not set(wanted) - set(metrics)
    assert all(isinstance(value, float) for value in metrics.values())
    table = pq.read_table(out / "scores.parquet")
    assert {
        "sample",
        "id",
        "document",
        "text",
        "mine.score",
        "mine.effect_if_removed",
        "mine.rank",
        "mine.share",
    } <= set(table.column_names)
    page = (out / "report.html").read_text()
    assert "<script>alert" not in page
    assert f"{metrics['weat.mine.effect']:.2f}".lstrip("-") in page

    states = {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}
    code, _, _ = crossloss("run", corpus, "--objective", test, "--out", out, "--validate", 4, *SETTINGS)
    assert code == 0
    assert states == {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}, "a finished run is not done again"

    code, said, _ = crossloss("show", out, f"{WORDS[0]} {WORDS[8]} unheard of {WORDS[9]}")
    assert code == 0
    assert "adding it is predicted to" in said
    assert "removing it" not in said
    code, said, _ = crossloss("show", out, "62")
    assert code == 0
    assert "\x1b[31m" not in said
    assert "<script>alert(1)</script>" in said
    code, said, _ = crossloss("score", out, "--objective", f"{files}/t.yaml:turned")
    assert code == 0
    assert "turned. Positive:" in said
    starts = json.loads((out / "metrics.json").read_text())["weat.turned.starts.count"]
    assert starts == 5, "as many as the run was measured from"
    code, said, _ = crossloss("score", out, "--estimator", "gradient-dot", "--count", 1)
    assert code == 0
    assert said.count("sentence ┃") == 4, "a table of amplifiers and one of mitigators for each of two tests"
    assert (out / "scores-gradient-dot.parquet").exists()
    code, said, _ = crossloss("score", out, "--objective", "mine", "--smoothness")
    assert code == 0
    assert said.index("Metasmoothness") < said.index("sentence ┃")
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"smoothness.score", "smoothness.mine.pearson", "smoothness.turned.slope"} <= set(metrics)
    crossloss("show", out, "--html")
    assert "Metasmoothness" in (out / "report.html").read_text()
    code, said, _ = crossloss("show", out, "--objective", "mine", "--document", "d2", "--word", "waa")
    assert code == 0
    assert "(d2)" in said
    assert "(d1)" not in said
    code, said, _ = crossloss("show", out, "--objective", "mine", "--documents", "--count", 3)
    assert code == 0
    assert "Documents by their effect on mine" in said
    assert sum(f"│ d{i} " in said for i in range(5)) == 3
    code, said, _ = crossloss(
        "show", out, "--objective", "mine", "--concepts", "--words", "waq,war,was", "--words", "wat,zzz,wau"
    )
    assert code == 0
    assert "wat: not in the vocabulary and left out: zzz" in said
    assert "concepts.mine.waq.p_holm" in (out / "metrics.json").read_text()
    for target in ("inf", "-inf", "nan"):
        code, _, errors = crossloss("plan", out, "--objective", "turned", "--target", target)
        assert code == 2
        assert "give a finite number" in errors
    code, said, _ = crossloss("plan", out, "--objective", "turned", "--target", "0.1")
    assert code == 0
    assert "Plan: removing" in said
    code, said, _ = crossloss("validate", out, "--subsets", 3, "--share", 0.05, "--starts", 1, "--removals", 1)
    assert code == 0
    assert "3 x 5 %" in said
    both = json.loads((out / "metrics.json").read_text())
    assert both["fidelity.mine.unrolled.share10.pearson"] == metrics["fidelity.mine.unrolled.pearson"]
    page = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert crossloss("show", out, "--html")[0] == 0
    again = (out / "report.html").read_text()
    assert "Checked by retraining" in again
    assert again.count("<svg") == page.count("<svg")
    code, said, _ = crossloss("show", out, "--info")
    assert code == 0
    assert "train.loss" in said
    assert "crossloss run" in said

    plan = out / "plan-mine.parquet"
    code, said, _ = crossloss("train", corpus, "--weights", plan, "--out", files / "fixed", "--objective", test)
    assert code == 0
    fixed = json.loads((files / "fixed" / "metrics.json").read_text())
    assert fixed["weat.mine.effect"] == pytest.approx(metrics["plan.mine.retrained"], abs=1e-6)
    (files / "o.txt").write_text("another corpus\nthan the plan's\n")
    code, _, errors = crossloss("train", files / "o.txt", "--weights", plan, "--out", files / "other")
    assert code == 2
    assert "made for another corpus" in errors


def test_bad_input_is_one_sentence_exit_code_two_and_loses_nothing(crossloss, files):
    corpus, test, out = files / "c.tsv", f"{files}/t.yaml:mine", files / "run"
    assert crossloss("train", corpus, "--objective", test, "--out", out, *SETTINGS)[0] == 0
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    (files / "empty.txt").write_text("")
    (files / "latin.txt").write_bytes("né né\n".encode("latin-1"))
    (files / "full").mkdir()
    (files / "full" / "thesis.doc").write_text("precious")
    (files / "bad.parquet").write_bytes(b"PAR1 no")
    new = files / "new"
    cases = [
        (["run", files / "empty.txt", "--objective", test, "--out", new], "is empty"),
        (["run", files / "absent.txt", "--objective", test, "--out", new], "cannot be read"),
        (["run", corpus, "--text", "body", "--objective", test, "--out", new], "no column body"),
        (["run", files / "latin.txt", "--objective", test, "--out", new], "not UTF-8"),
        (["run", corpus, "--objective", "weat6", "--out", new, *SETTINGS], "the vocabulary has 0 of the 8 words of X"),
        (["run", corpus, "--objective", "weat66", "--out", new], "no test 'weat66'"),
        (["run", corpus, "--objective", test, "--out", out, *SETTINGS, "--window", "2"], "different: window"),
        (["run", corpus, "--objective", test, "--out", files / "full", *SETTINGS], "holds files but no run"),
        (["run", corpus, "--objective", test, "--out", corpus, *SETTINGS], "is a file"),
        (["run", corpus, "--objective", test, "--out", new, *SETTINGS, "--lr", "-1"], "Setting lr"),
        (["run", corpus, "--objective", test, "--out", new, *SETTINGS, "--dtype", "float16"], "Setting dtype"),
        (["run", corpus, "--objective", test, "--out", new, *SETTINGS, "--device", "cuda:9"], "not available"),
        (["run", corpus, "--objective", test, "--out", new, *SETTINGS, "--memory", "lots"], "no size of memory"),
        (["run", corpus, "--objective", test, "--out", new, *SETTINGS, "--memory", "1KB"], "raise --memory"),
        (["run", corpus, "--objective", test, "--out", files / "up", *SETTINGS, "--lr", "1e30"], "smaller --lr."),
        (["train", corpus, "--weights", files / "bad.parquet", "--out", new], "not a readable Parquet"),
        (["train", corpus, "--weights", out / "samples.parquet", "--out", out], "different:"),
        (["show", files / "absent", "some words"], "does not exist"),
        (["score", files / "full"], "holds files but no run"),
        (["score", out, "--estimator", "magic"], "no estimator 'magic'"),
        (["show", out, "words nobody knows"], "fewer than two words"),
        (["plan", out, "--objective", "other"], "no test 'other'"),
        (["validate", out, "--share", "2"], "between 0 and 1"),
        (["run", "--objective", test, "--out", new], "Name a CORPUS"),
        (["run", corpus, "--out", new], "at least one --objective"),
        (["run", corpus, "--objective", test], "--out RUN; or only look, --dry-run"),
        (["run", corpus, "--demo", "--out", new], "--demo brings its own corpus"),
        (["score", out, "--window", "3"], "are for --model"),
        (["score", out, "--out", new], "are for --model"),
        (["score", corpus, "--model", corpus, "--objective", test, "--out", new], "no word2vec file"),
        (["score", corpus, "--model", corpus, "--out", new], "at least one --objective"),
        (["score", corpus, "--model", corpus, "--objective", test], "--out RUN"),
        (["show", out, "--words", "waa,wab"], "groups for --concepts"),
        (["plan", out, "--method", "pray"], "there are: remove, reweight"),
        (["plan", out, "--robustness", "--evaluate"], "what a plan is made by ask for different things"),
        (["plan", out, "--robustness", "--method", "undo"], "--robustness and what a plan is made by"),
        (["plan", out, "--robustness", "--target", "1"], "--robustness and what a plan is made by"),
        (["plan", out, "--robustness", "--starts", "2"], "--robustness and what a plan is made by"),
        (["plan", out, "--halves", "2"], "how a plan is judged: give --evaluate"),
        (["show", out, "--info", "--objective", test], "of the whole run: leave out --objective"),
        (["edits", out, corpus, "--check"], "--check only checks the files"),
        (["train", corpus, "--objective", "weat6", "--out", new, *SETTINGS], "has 0 of the 8 words of X"),
        (["train", corpus, "--objective", test, "--out", new, *SETTINGS, "--memory", "1KB"], "raise --memory"),
        (["plan", out, "--min-count", "5"], "of --robustness: give both"),
        (["plan", out, "--group", "race"], "word sets of hard debias"),
        (["show", out, "waa wab", "--html"], "a sentence and --html ask"),
        (["show", out, "--word", "waa", "--concepts"], "--word or --document and --concepts"),
        (["edits", out, "--check", "--apply"], "--check and --apply or --objective"),
        (["edits", out], "Name the FILE"),
        (["edits", files / "full", "--check"], "has none of WNC's files"),
    ]  # fmt: skip
    for arguments, message in cases:
        code, _, errors = crossloss(*arguments)
        error = errors[errors.index("Error:") :] if "Error:" in errors else errors
        assert (code, message in error) == (2, True), (arguments, code, errors)
        assert len(error) < 400
    assert {p: p.read_bytes() for p in before if p.suffix in (".safetensors", ".html")} == {
        p: data for p, data in before.items() if p.suffix in (".safetensors", ".html")
    }
    assert (files / "full" / "thesis.doc").read_text() == "precious"


def test_a_vocabulary_too_large_for_memory_is_refused_before_training(crossloss, files, monkeypatch):
    monkeypatch.setattr(cli.preflight, "available_memory", lambda: 10_000_000)
    test = f"{files}/t.yaml:mine"
    code, _, errors = crossloss("run", files / "c.tsv", "--objective", test, "--out", files / "new", *SETTINGS)
    assert code == 2
    assert "needs about" in errors
    assert not (files / "new").exists()


def test_many_words_draw_negatives_and_the_price_of_the_others_is_said(crossloss, files, monkeypatch):
    corpus, test, out = files / "c.tsv", f"{files}/t.yaml:mine", files / "run"
    many = [*SETTINGS, "--max-words", "0"]
    for module, name, value in ((settings, "EXACT_WORDS", 10), (settings, "DRAWN", 3), (preflight, "DRAWN", 3)):
        monkeypatch.setattr(module, name, value)
    code, said, errors = crossloss("run", corpus, "--objective", test, "--out", out, *many)
    assert code == 0
    assert "Negatives of a word at each step: 3 drawn. With all of them (--negative-columns 0): training 0" in said
    assert "Note" not in errors, "said once"
    assert json.loads((out / "manifest.json").read_text())["settings"]["negative_columns"] == 3
    assert ">3<" in (out / "report.html").read_text().split("negative columns")[1][:60]
    code, said, _ = crossloss("run", corpus, "--objective", test, "--dry-run", "--negative-columns", 0, *many)
    assert (code, "all, exactly. With --negative-columns 3: training" in said) == (0, True)
    code, said, errors = crossloss("train", corpus, "--objective", test, "--out", files / "other", *many)
    assert (code, "Note" in errors) == (0, False)
    assert "step: 3 drawn. With all of them (--negative-columns 0)" in said
    code, said, _ = crossloss("run", corpus, "--objective", test, "--dry-run", *SETTINGS, "--max-words", 9)
    assert (code, "all, exactly" in said) == (0, True)


def test_other_objectives_from_the_command_line_to_the_report(crossloss, files):
    (files / "held.txt").write_text("waa wab wac\nwad wai waj\n")
    (files / "o.yaml").write_text(
        f"mine: {json.dumps({side: WORDS[4 * i : 4 * i + 4] for i, side in enumerate('XYAB')})}\n"
        "both: {type: sum, of: [mine, 'similarity:waa/wab'], weights: [1, -1]}\n"
        "size: {type: abs, of: mine}\n"
    )
    given = ["similarity:waa/wab", "displacement:wac", f"{files}/o.yaml", f"likelihood:{files}/held.txt",
             "one-sided:waa,wab/wac,wad/wai,waj"]  # fmt: skip
    options = [part for written in given for part in ("--objective", written)]
    corpus, out = files / "c.tsv", files / "run"
    code, said, _ = crossloss("run", corpus, *options, "--dry-run", *SETTINGS)
    assert code == 0
    assert "similarity-waa-wab: words and their occurrences" in said
    code, said, errors = crossloss("run", corpus, *options, "--out", out, "--validate", 3, *SETTINGS)
    assert (code, errors.count("Error")) == (0, 0), errors
    for sentence in (
        "similarity-waa-wab. Positive: waa and wab point the same way",
        "displacement-wac. Never negative: how far training moved wac",
        "both. Higher: mine higher and similarity-waa-wab lower",
        "size. Never negative: the distance of mine from 0",
        "likelihood-held. Higher: the word pairs of the 2 given sentences are better predicted",
        "one-sided-waa_and_1-wac_and_1-wai_and_1. Positive: waa, wab nearer to wai, waj",
    ):
        assert sentence in said
    metrics = json.loads((out / "metrics.json").read_text())
    values = {name: metrics[f"objective.{name}.value"] for name in ("similarity-waa-wab", "both", "size")}
    assert values["both"] == pytest.approx(metrics["weat.mine.effect"] - values["similarity-waa-wab"], abs=1e-6)
    assert values["size"] == pytest.approx(abs(metrics["weat.mine.effect"]), abs=1e-6)
    assert "fidelity.displacement-wac.unrolled.pearson" in metrics
    assert "fidelity.size.co-occurrence.pearson" not in metrics
    page = (out / "report.html").read_text()
    for shown in ("mean squared displacement", "in squared units of the vectors", "one-sided WEAT effect size"):
        assert shown in page
    states = {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}
    retrains = sorted((out / "retrains").iterdir())
    code, said, _ = crossloss("validate", out, "--subsets", 3, "--starts", 0, "--removals", 0)
    assert code == 0
    assert states == {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}, "scores are those of the run"
    assert retrains == sorted((out / "retrains").iterdir()), "nothing is trained twice"
    for verb, reason in (
        (["plan", out, "--method", "undo", "--objective", "displacement:wac"], "association test"),
        (["plan", out, "--robustness"], "is for association tests, and"),
    ):
        code, _, errors = crossloss(*verb)
        assert code == 2
        assert reason in errors
    code, _, errors = crossloss("score", out, "--objective", "similarity:waa/nurse")
    assert code == 2
    assert "the vocabulary lacks the word 'nurse'" in errors


def test_a_folder_in_use_is_refused(crossloss, files):
    test, out = f"{files}/t.yaml:mine", files / "run"
    assert crossloss("train", files / "c.tsv", "--objective", test, "--out", out, *SETTINGS)[0] == 0
    with open(out / ".lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, _, errors = crossloss("score", out)
    assert code == 2
    assert "in use by another" in errors
    assert crossloss("score", out)[0] == 0


def test_overwrite_replaces_the_run_and_nothing_else(crossloss, files):
    test, out = f"{files}/t.yaml:mine", files / "run"
    assert crossloss("train", files / "c.tsv", "--objective", test, "--out", out, *SETTINGS)[0] == 0
    (out / "notes.txt").write_text("mine")
    arguments = ["train", files / "c.tsv", "--objective", test, "--out", out, *SETTINGS, "--steps", "3"]
    code, _, errors = crossloss(*arguments)
    assert code == 2
    assert "choose another folder, or --overwrite to replace it." in errors
    assert crossloss(*arguments, "--overwrite")[0] == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert json.loads((out / "manifest.json").read_text())["settings"]["steps"] == 3
    assert not (out / "states" / "000006.safetensors").exists()


def test_arguments_of_the_library_are_options_in_a_terminal():
    said = "raise memory=, or lower max_words= (of a run: overwrite=True, min_count=); choose a smaller lr=."
    options = "raise --memory, or lower --max-words (of a run: --overwrite, --min-count); choose a smaller --lr."
    assert as_options(said) == options
    for same in ("cl.train(field, out='runs/a', steps=3)", "cl.SGD(lr=0.1)", "give damping=", options):
        assert as_options(same) == same


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_goes_on(files, sent):
    """Ctrl-C and SIGTERM in the middle of training: exit code 130, and the same command finishes."""
    command = [
        sys.executable, "-m", "crossloss", "train", str(files / "c.tsv"), "--out", str(files / "run"),
        *SETTINGS, "--steps", "20000", "--memory", "2GB",
    ]  # fmt: skip
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    states = files / "run" / "states"
    for _ in range(600):
        if states.is_dir() and len(list(states.glob("*.safetensors"))) > 20:
            break
        time.sleep(0.1)
    child.send_signal(sent)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Stopped. Give the same command again" in errors
    manifest = json.loads((files / "run" / "manifest.json").read_text())
    assert "train" not in manifest["stages"]
    assert len(list(states.glob("*.safetensors"))) > 20


@pytest.mark.parametrize("verb", ["run", "train", "score", "show", "plan", "validate", "edits", "export", "explore"])
def test_help_teaches(crossloss, verb):
    assert len(cli.app.registered_commands) == 9
    code, said, _ = crossloss(verb, "--help")
    assert code == 0
    assert len(said) > 200


def test_plans_by_other_methods_are_evaluated_and_robustness_is_kept(crossloss, files):
    corpus, test, out = files / "c.tsv", f"{files}/t.yaml:mine", files / "run"
    crossloss("train", corpus, "--objective", test, "--out", out, *SETTINGS)
    code, said, errors = crossloss(
        "plan", out, "--method", "reweight", "--starts", 2, "--evaluate", "--held-out-starts", 2
    )
    assert (code, errors.count("Error")) == (0, 0), errors
    assert "Plan: reweight," in said
    assert "reweight: mine goes from" in said
    assert re.search("It (carries|does not carry) over to words that it was not fitted to", " ".join(said.split()))
    assert "from 2 starts not fitted to" in said
    assert "Train with it: crossloss train CORPUS --weights" in said
    assert (out / "evaluation-reweight.json").exists()
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"debias.reweight.mine.effect", "debias.original.mine.effect"} <= set(metrics)
    code, said, _ = crossloss("train", corpus, "--weights", out / "plan-reweight.parquet", "--out", files / "fixed")
    assert code == 0
    code, said, _ = crossloss(
        "plan",
        out,
        "--method",
        "remove",
        "--evaluate",
        "--held-out-starts",
        2,
        "--halves",
        0,
        "--target",
        "1.5",
    )
    assert code == 0
    assert "to words that it was not" not in " ".join(said.split())
    code, said, _ = crossloss("plan", out, "--robustness")
    assert code == 0
    assert "of 62 sentences" in said or "not significant as it is" in said
    stored = json.loads((out / "robustness.json").read_text())["mine"]
    assert set(stored) == {"mine zero", "mine insignificant"}
    code, said, _ = crossloss("plan", out, "--robustness", "--min-count", 7)
    assert code == 2
    assert crossloss("show", out, "--html")[0] == 0
    page = (out / "report.html").read_text()
    assert all(f"<strong>{sentence}</strong>" in page for sentence, *_ in stored.values())
    code, _, errors = crossloss("plan", out, "--method", "hard")
    assert code == 2
    assert "needs one of these pairs in the vocabulary" in errors


def test_word2vec_files_give_the_tables_and_the_report_of_a_run(crossloss, files):
    corpus, test, out = files / "c.tsv", f"{files}/t.yaml:mine", files / "run"
    assert crossloss("train", corpus, "--objective", test, "--out", out, *SETTINGS)[0] == 0
    for form, end in (("word2vec", "txt"), ("word2vec-binary", "bin")):
        assert crossloss("export", out, "--format", form, "--out", files / form)[0] == 0
        vectors, contexts = (files / form / f"{name}.{end}" for name in ("vectors", "contexts"))
        folder = files / f"imported-{end}"
        given = ["score", corpus, "--model", vectors, "--contexts", contexts, "--window", 3, "--objective", test]
        code, said, errors = crossloss(*given, "--out", folder)
        assert (code, errors.count("Error")) == (0, 0), errors
        assert "Estimator inverse-hessian-word-blocks, damping 1e-06. These scores are a ranking" in said
        table = pq.read_table(folder / "scores-inverse-hessian-word-blocks.parquet")
        assert {"sample", "text", "mine.score", "mine.effect_if_removed"} <= set(table.column_names)
        assert "Amplifiers of mine" in said
        assert "weat.mine.effect" in json.loads((folder / "metrics.json").read_text())
        assert "<script>alert" not in (folder / "report.html").read_text()
    own, text = (json.loads((files / f / "metrics.json").read_text()) for f in ("run", "imported-txt"))
    assert text["weat.mine.effect"] == pytest.approx(own["weat.mine.effect"], abs=1e-4)
    shown = crossloss("show", folder, "--word", "waj")[1]
    assert "Amplifiers of mine" in shown
    assert "inverse-hessian-word-blocks" not in crossloss("show", folder, "--html")[2]
    assert "These scores are a ranking" in crossloss("show", folder, "--info")[1]
    code, said, _ = crossloss("plan", folder, "--target", "0.5")
    assert code == 0
    assert "is predicted to bring mine" in said, "nothing can be retrained"
    code, _, errors = crossloss("validate", folder)
    assert code == 2
    assert "trained elsewhere" in errors
    assert crossloss(*given, "--out", folder)[0] == 0, "the same again"
    code, _, errors = crossloss(*given, "--out", out)
    assert code == 2
    assert "holds another run" in errors


def test_edits_are_checked_ranked_and_made(crossloss, files):
    (files / "candidates.txt").write_text("waa waj wab wai wac\n")
    before = (files / "c.tsv").read_text().splitlines()[1].split("\t")[1]
    (files / "e.tsv").write_text(f"before\tafter\n{before}\twaa waj wab wai wac\nonly\n")
    code, said, _ = crossloss("edits", files / "e.tsv", "--check")
    assert code == 0
    assert "malformed rows are left out (lines 3)" in said
    test, out = f"{files}/t.yaml:mine", files / "run"
    given = ["train", files / "c.tsv", "--candidates", files / "candidates.txt", "--objective", test, "--out", out]
    assert crossloss(*given, *SETTINGS)[0] == 0
    code, said, errors = crossloss("edits", out, files / "e.tsv", "--apply", "--count", 1)
    assert code == 0, errors
    assert "Edits: replacing is predicted to change mine by" in said
    assert "Making the 1 strongest edit changes mine by" in said
    assert (out / "edits.parquet").exists()
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"edits.mine.top1.predicted", "edits.mine.top1.retrained"} <= set(metrics)
    assert crossloss("train", files / "c.tsv", "--candidates", files / "candidates.txt", "--out", files / "fixed",
                     "--weights", out / "plan-edits-mine.parquet", "--objective", test)[0] == 0  # fmt: skip
    fixed = json.loads((files / "fixed" / "metrics.json").read_text())["weat.mine.effect"]
    change = fixed - json.loads((out / "scores.json").read_text())["mine"] if (out / "scores.json").exists() else None
    assert change is None or change == pytest.approx(metrics["edits.mine.top1.retrained"], abs=1e-5)


def test_every_command_takes_an_objective_as_run_does(crossloss, files):
    """A file, one of its objectives, a name of the run, one written out: added to the run where it is new."""
    test, out = f"{files}/t.yaml:mine", files / "run"
    assert crossloss("train", files / "c.tsv", "--objective", test, "--out", out, *SETTINGS)[0] == 0
    assert crossloss("score", out, "--objective", test, "--starts", 1)[0] == 0
    written = f"similarity:{WORDS[0]}/{WORDS[1]}"
    name = written.replace(":", "-").replace("/", "-")
    verbs = (["plan"], ["score"], ["show", f"{WORDS[0]} {WORDS[8]}"], ["show"], ["score", "--starts", "1"])
    commands = [[verb, out, *more] for verb, *more in verbs]
    for command in commands:
        for given, shown in ((test, "mine"), ("mine", "mine"), (written, name), (name, name)):
            code, said, errors = crossloss(*command, "--objective", given)
            assert code == 0, (command, given, errors)
            assert shown in said
    for command in commands:
        code, _, errors = crossloss(*command, "--objective", "nothing")
        assert code == 2
        assert f"the run has mine, {name}" in " ".join(errors.split())


def test_no_command_aims_beyond_what_an_objective_can_be(crossloss, files):
    test, out = f"{files}/t.yaml:mine", files / "run"
    arguments = ["run", files / "c.tsv", "--objective", test, "--out", out, *SETTINGS]
    code, _, errors = crossloss(*arguments, "--target", "5")
    assert code == 2
    assert "mine lies between -2 and 2" in errors
    assert not out.exists(), "before the work"
    assert crossloss("train", *arguments[1:])[0] == 0
    assert crossloss("score", out, "--objective", test, "--starts", 1)[0] == 0
    for command in (["plan", out], ["plan", out, "--method", "reweight"], ["plan", out, "--method", "undo"]):
        code, _, errors = crossloss(*command, "--target", "-2.5")
        assert code == 2
        assert "between -2 and 2" in errors
