"""Swapped versions of sentences: grammar, names, what stays alone, what is refused, and the run that stays the same."""

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.core import UserError
from crossloss.text.write import encode_corpus

GRAMMAR = {
    "He thanked her.": "She thanked him.",
    "She sold her old car.": "He sold his old car.",
    "They saw her, and left.": "They saw him, and left.",
    "The book is hers.": "The book is his.",
    "It was his.": "It was hers.",
    "He told her that it rained.": "She told him that it rained.",
    "He celebrated his 80th birthday.": "She celebrated her 80th birthday.",
    "An engineer and his or her assistants.": "An engineer and her or his assistants.",
    "Ask him or her.": "Ask her or him.",
    'Her "dear husband" (and HIS sister).': 'His "dear wife" (and HER brother).',
    "Mrs Smith thanked the waitress.": "Mr Smith thanked the waiter.",
    "Sons and daughters of kings.": "Daughters and sons of queens.",
}


@pytest.mark.parametrize("text", GRAMMAR)
def test_grammar_is_kept(text):
    corpus = cl.with_swaps(cl.from_sentences([text]))
    assert corpus.texts == [text, GRAMMAR[text]]
    assert cl.with_swaps(cl.from_sentences([GRAMMAR[text]])).texts[1] == text, "and back"


def test_versions_are_candidates_behind_the_sentences():
    sentences = ["He sang.", "It rained.", "Her song."]
    corpus = cl.with_swaps(cl.from_sentences(sentences, ["a", "a", "b"]))
    assert corpus.texts == [*sentences, "She sang.", "His song."]
    assert corpus.ids == ["1", "2", "3", "1~", "3~"]
    assert corpus.documents == ["a", "a", "b", "a", "b"]
    assert corpus.weights.tolist() == [1, 1, 1, 0, 0]
    assert corpus.originals.tolist() == [-1, -1, -1, 0, 2]
    again = cl.Corpus.from_table(corpus.to_table())
    assert again.originals.tolist() == corpus.originals.tolist()
    assert again.digest == corpus.digest
    assert cl.Corpus.from_table(cl.from_sentences(sentences).to_table()).originals is None


def test_names_are_paired_by_how_often_they_occur():
    often = ["John met Mary."] * 3 + ["John slept."] * 2 + ["Mary and Paul and Amy."] * 2 + ["the grace of john"]
    corpus = cl.with_swaps(cl.from_sentences(often), "names")
    versions = dict(zip(corpus.originals[8:].tolist(), corpus.texts[8:], strict=True))
    assert versions[0] == "Mary met John."
    assert versions[3] == "Mary slept."
    assert versions[5] == "John and Amy and Paul."
    assert 7 not in versions, "grace and john are words there"


def test_quotations_and_proper_names_stay_alone_on_request():
    text = 'He liked King Crimson, and "she said" nothing.'
    assert cl.with_swaps(cl.from_sentences([text])).texts[1] == 'She liked Queen Crimson, and "he said" nothing.'
    kept = cl.with_swaps(cl.from_sentences([text]), quotations=False, proper=False)
    assert kept.texts[1] == 'She liked King Crimson, and "she said" nothing.'


def test_pairs_of_ones_own(tmp_path):
    file = tmp_path / "pairs.txt"
    file.write_text("cat\tdog\n\nred,blue\n")
    corpus = cl.from_sentences(["A red CAT.", "He slept."])
    assert cl.with_swaps(corpus, file).texts[2:] == ["A blue DOG."]
    assert cl.with_swaps(corpus, [("red", "green")]).texts[2:] == ["A green CAT."]
    assert cl.with_swaps(corpus, ["gender", file]).texts[2:] == ["A blue DOG.", "She slept."]


REFUSED = {
    "no such pairs": (lambda c, t: cl.with_swaps(c, "horses"), "There are no pairs 'horses'; there are gender, names"),
    "nothing to exchange": (lambda c, t: cl.with_swaps(c, [("a", "b")]), "No sentence of the corpus has a word"),
    "two partners": (lambda c, t: cl.with_swaps(c, [("he", "she"), ("he", "it")]), "'he' has two partners"),
    "versions of versions": (lambda c, t: cl.with_swaps(cl.with_swaps(c)), "has swapped versions already"),
    "no pair": (lambda c, t: cl.with_swaps(c, t), "Line 2 of .* is no pair of words: write he<TAB>she"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_swapped(what, tmp_path):
    file = tmp_path / "pairs.txt"
    file.write_text("he\tshe\nman woman\n")
    call, why = REFUSED[what]
    with pytest.raises(UserError, match=why) as caught:
        call(cl.from_sentences(["He slept."]), file)
    assert str(caught.value).count(". ") == 0


def test_a_version_is_written_where_its_sentence_stood():
    corpus = cl.with_swaps(cl.from_sentences(["He sang.", "It rained.", "Her song."]))
    text = encode_corpus(corpus, np.array([0, 1, 1, 1, 1]))["sentences.jsonl"].decode()
    assert [line.split('"text":')[1].split('"')[1] for line in text.splitlines()] == [
        "She sang.", "It rained.", "Her song.", "His song.",
    ]  # fmt: skip


def test_the_run_with_versions_is_the_same():
    sentences = ["He sang a song to the king.", "The queen and her song rained.", "It rained on the song."] * 8
    made = [
        cl.train(cl.SkipGram(corpus, min_count=1, dimension=4), steps=6)
        for corpus in (cl.from_sentences(sentences), cl.with_swaps(cl.from_sentences(sentences)))
    ]
    plain, swapped = (run.view for run in made)
    assert plain.index == swapped.index, "versions bring no words"
    torch.testing.assert_close(plain.vectors, swapped.vectors, rtol=0, atol=0)
