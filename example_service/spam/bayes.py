"""A spam filter: multinomial naive Bayes over words, words that stand close together, and parts of words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations
from math import log, tanh

WORD = re.compile(r"\w+|[^\w\s]+")  # punctuation counts: !!! tells as much as a word
WINDOW = 5  # words
PARTS = range(3, 7)  # letters


class NaiveBayes:
    """Tells spam from other messages by how often each feature was seen in either."""

    def __init__(self, examples: Iterable[tuple[str, bool]]) -> None:
        seen: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        for text, spam in examples:
            seen[spam].update(features(words(text)))
        known = seen[True].keys() | seen[False].keys()
        # One more of each than was seen, lest a feature that only one kind has decide alone.
        offset = log(seen[False].total() + len(known)) - log(seen[True].total() + len(known))
        self._evidence = {each: log(seen[True][each] + 1) - log(seen[False][each] + 1) + offset for each in known}

    def score(self, text: str) -> float:
        """How much the text looks like spam, from 0 to 1."""
        found = words(text)
        evidence = sum(self._evidence.get(feature, 0.0) for feature in features(found))
        # The features of a word say much the same: added up, they would make every message a certain case.
        return (1 + tanh(evidence / max(1, len(found)) / 2)) / 2


def words(text: str) -> list[str]:
    """The words and the punctuation of a text, in one spelling: ＦＲＥＥ is free."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def features(found: list[str]) -> Iterator[str]:
    """Each word with any of those that follow it closely, and with its parts."""
    for start, word in enumerate(found):
        following = found[start + 1 : start + WINDOW]
        for size in range(WINDOW):
            for others in combinations(following, size):
                yield " ".join((word, *others))  # 'free now' is found with whatever stands in between
        bounded = f"<{word}>"  # so that the beginning of a word is another part than its middle
        for length in PARTS:
            for first in range(len(bounded) - length + 1):
                yield bounded[first : first + length]  # a word that is misspelt on purpose keeps most of these
