"""The embedded corpus: the Wikipedia excerpt inside gensim's wheel, 107 articles of 2007 and later."""

import html
import re
from collections.abc import Iterator

from crossloss.core import Progress
from crossloss.text.rows import Row
from crossloss.text.sentences import ENGLISH, sentences
from crossloss.text.tokens import FORM, Form, finder, prepared
from crossloss.utils.extras import needed

BUILTIN = "builtin:wikipedia"
FILE = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
ARTICLES = 107

_LEFT = (
    re.compile(r"<!--.*?-->|<ref[^>]*?/>|<ref.*?</ref>|<[^>\n]{1,300}>", re.S),
    re.compile(r"\{\||\|\}|\{\{|\}\}|\[\[|\]\]"),
    re.compile(r"\[?https?://\S+"),
    re.compile(r"__[A-Z]+__"),
    re.compile(r"'{2,}"),
)
_NOT_PROSE = re.compile(r"^\s*(=.*=\s*$|[|!{}*#:;]|\w+\s*=\s|thumb|left\||right\||Category:)", re.I)


def wikipedia(token_pattern: str, form: Form = FORM, progress: Progress | None = None) -> Iterator[Row]:
    """Yield the excerpt's sentences: mark-up stripped, at least three words each; document is the title."""
    with needed("gensim", BUILTIN):
        from gensim.corpora.wikicorpus import extract_pages, filter_wiki
        from gensim.test.utils import datapath
        from gensim.utils import open as open_compressed
    words, number, articles = finder(token_pattern), 0, 0
    with open_compressed(datapath(FILE), "rb") as file:
        for title, text, _ in extract_pages(file, filter_namespaces=("0",)):
            if text.lstrip()[:9].upper() == "#REDIRECT":
                continue
            articles += 1
            if progress:
                progress(min(articles, ARTICLES), ARTICLES)
            for sentence in sentences(plain(filter_wiki(text)), ENGLISH):
                if len(words(prepared(sentence, form))) >= 3:
                    number += 1
                    yield Row(str(number), title, sentence)


def plain(text: str) -> str:
    """Paragraphs of prose out of filtered wiki text: what mark-up is left goes, lists and tables too."""
    text = html.unescape(text).replace("\xa0", " ")
    for pattern in _LEFT:
        text = pattern.sub(" ", text)
    return "\n".join(line for line in text.split("\n") if not _NOT_PROSE.match(line))
