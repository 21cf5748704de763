"""The model: it learns from topics.toml which words are said in which topic. `python topics.py` trains it."""

from __future__ import annotations

import pickle
from pathlib import Path

import sentences
import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

SOURCES = (Path(__file__), Path(sentences.__file__), sentences.SOURCE)
MODEL = Path(__file__).with_name(f"topics-{sklearn.__version__}.pickle")  # other versions might not read it


def train() -> Pipeline:
    """A model that has learnt its sentences."""
    # Pieces of words instead of words: "scoring" and "scored" are alike, and a typing error costs little.
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    texts, topics = zip(*sentences.sentences(learnt=True), strict=True)
    return make_pipeline(pieces, LogisticRegression(C=10)).fit(texts, topics)


def train_if_needed() -> None:
    """Keep a trained model in its file, where there is none, or one that is older than what it is made from."""
    if not MODEL.exists() or MODEL.stat().st_mtime < max(source.stat().st_mtime for source in SOURCES):
        MODEL.write_bytes(pickle.dumps(train()))


def load() -> Pipeline:
    """The trained model."""
    return pickle.loads(MODEL.read_bytes())


if __name__ == "__main__":
    train_if_needed()
