"""What is to be learned and predicted of a text."""

import dataclasses
import functools

import numpy as np

from experiments.tiny_schiller.ngrams import Counted, count
from experiments.tiny_schiller.text import Vocabulary, bits_to_restore, reduce_labels, split


@dataclasses.dataclass
class Task:
    """What is learned and what is predicted, with all characters or with fewer."""

    labels: str
    vocabulary: Vocabulary
    primer: str
    test: str
    restoring: float  # bits per character that the labels have lost, at most

    @functools.cached_property
    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the characters of primer and test, each int32 (n,)."""
        return self.vocabulary.encode(self.primer), self.vocabulary.encode(self.test)

    @functools.cached_property
    def counted(self) -> Counted:
        """What counting says at each place of the test part."""
        return count(*self.numbers, self.vocabulary)


def make_task(original: str, labels: str, is_validation: bool) -> Task:
    """Return what is to be learned and predicted of a text."""
    text = reduce_labels(original, labels)
    vocabulary = Vocabulary(text)
    ends = [len(part) for part in split(vocabulary.encode(text))]
    first = ends[0] if is_validation else ends[0] + ends[1]
    last = ends[0] + ends[1] if is_validation else len(text)
    primer, test = text[:first], text[first:last]
    restoring = bits_to_restore(original[:first], primer, original[first:last], test)
    return Task(labels, vocabulary, primer, test, restoring)
