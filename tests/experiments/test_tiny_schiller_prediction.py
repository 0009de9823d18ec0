"""n-grams, the gate and the writing: all that needs no network."""

import itertools
import sys

import numpy as np
import pytest

from experiments.tiny_schiller import ngrams, rivals
from experiments.tiny_schiller.mixing import Gate, Mixture, mixed_bits, situations_of
from experiments.tiny_schiller.ngrams import Characters, Counted, Words, as_bytes, count, readers_of
from experiments.tiny_schiller.rivals import ppmd_bits, uniform_bits, unigram_bits, zpaq_bits
from experiments.tiny_schiller.scoring import bits_per_character
from experiments.tiny_schiller.text import Vocabulary
from experiments.tiny_schiller.writing import (
    REPEATED,
    Style,
    discourage_repeating,
    draw,
    share_of_repeats,
    write,
)


def probabilities_after(model, context):
    """Return what a model of characters predicts after some of them."""
    model.last = bytes(context)
    return model.predict()


def ngram_bits(primer, text):
    """Return what the model of characters needs, of three of them."""
    return bits_per_character(count(primer, text, Vocabulary("abc")).logs[:, 0], text)


class TestCharacters:
    def test_probabilities_by_hand(self):
        """After 'abaa': of order 0, a is new in the contexts '', b and a, b in one."""
        model = Characters(2, order=1, discounts=(0, 0.5, 0.5))
        model.read_all(bytes([0, 1, 0, 0]))
        # Contexts: '' -> a; a -> b (new: counts below), b -> a (new), a -> a (new).
        order_0 = np.array([3 - 0.5, 1 - 0.5]) / 4 + 0.5 * 2 / 4 * 0.5
        np.testing.assert_allclose(probabilities_after(model, []), order_0)
        after_a = np.array([1 - 0.5, 1 - 0.5]) / 2 + 0.5 * 2 / 2 * order_0
        np.testing.assert_allclose(probabilities_after(model, [0]), after_a)

    def test_a_shorter_context_counts_contexts_not_occurrences(self):
        """In 'abab', the second b is known after a: without context, it counts once."""
        model = Characters(2, order=1, discounts=(0, 0.5, 0.5))
        model.read_all(bytes([0, 1, 0, 1]))
        order_0 = np.array([2 - 0.5, 1 - 0.5]) / 3 + 0.5 * 2 / 3 * 0.5
        np.testing.assert_allclose(probabilities_after(model, []), order_0)

    def test_probabilities_sum_to_1_and_none_is_0(self):
        rng = np.random.default_rng(0)
        model = Characters(5, order=3)
        model.read_all(rng.integers(0, 4, 500, dtype=np.uint8).tobytes())
        for context in itertools.product(range(5), repeat=3):
            probabilities = probabilities_after(model, context)
            assert probabilities.min() > 0
            assert probabilities.sum() == pytest.approx(1)

    def test_it_learns_while_it_predicts(self):
        nothing, text = np.array([], int), np.array([0, 1, 2] * 50)
        assert ngram_bits(nothing, text[:1]) == pytest.approx(np.log2(3))
        assert ngram_bits(text, text) < 0.05 < ngram_bits(nothing, text)

    def test_what_came_more_often_gives_more_away(self):
        model = Characters(3, order=0, discounts=(0, 0.2, 0.5, 0.9))
        model.tables[0][b""] = bytearray([0, 1, 1, 2, 2, 2, 2])
        taken = np.array([0.2, 0.5, 0.9])
        expected = (np.array([1, 2, 4]) - taken + taken.sum() / 3) / 7
        np.testing.assert_allclose(model.predict(), expected)

    def test_it_knows_how_much_of_the_context_it_knew(self):
        model = Characters(3, order=2)
        model.read_all(bytes([0, 1, 0, 1, 0, 2]))
        probabilities_after(model, [1, 0])  # 0 1 0 -> 1 and 0 1 0 -> 2
        assert (model.depth, model.is_unambiguous) == (2, False)
        probabilities_after(model, [0, 1])
        assert (model.depth, model.is_unambiguous) == (2, True)
        probabilities_after(model, [2, 2])  # nothing was read behind a 2
        assert model.depth == 0

    def test_discounts_follow_from_how_many_symbols_came_how_often(self):
        model = Characters(20, order=0)
        # Six symbols once, three twice, two three times, one four times.
        times = [1] * 6 + [2] * 3 + [3] * 2 + [4]
        model.tables[0][b""] = bytearray(symbol for symbol, n in enumerate(times) for _ in range(n))
        model.fit_discounts()
        share = 6 / (6 + 2 * 3)
        expected = [0, 1 - 2 * share * 3 / 6, 2 - 3 * share * 2 / 3, 3 - 4 * share * 1 / 2]
        np.testing.assert_allclose(model.discounts[0], expected)
        few = Characters(20, order=0)
        few.read_all(bytes([1, 2, 3]))
        before = few.discounts[0].copy()
        few.fit_discounts()  # no symbol came twice
        np.testing.assert_array_equal(few.discounts[0], before)


class TestWords:
    def contexts_after(self, text):
        model = Words(Vocabulary(text))
        model.read_all(as_bytes(Vocabulary(text).encode(text)))
        return [context for _, context in model.contexts()]

    def test_capitals_and_what_is_between_words_do_not_matter(self):
        signs = "abAB .,\n"  # so that all texts have the same characters
        longest, *_ = self.contexts_after(f"{signs} ab. ba a")
        assert longest == self.contexts_after(f"{signs} Ab,\n Ba  a")[0]
        assert longest != self.contexts_after(f"{signs} ab. bb a")[0]

    def test_the_signs_since_the_last_word_do(self):
        signs = "abAB .,"
        assert self.contexts_after(f"{signs} ab. ")[2] != self.contexts_after(f"{signs} ab, ")[2]

    def test_it_learns_what_follows_a_word(self):
        """Nine characters are too many for the other model."""
        text = "eins zwei drei " * 5 + "eins   zwei "
        vocabulary = Vocabulary(text)
        model = Words(vocabulary)
        model.read_all(as_bytes(vocabulary.encode(text)))
        assert vocabulary.characters[model.predict().argmax()] == "d"
        assert model.predict().sum() == pytest.approx(1)


class TestReaders:
    def test_the_recent_model_has_read_the_end_alone(self, monkeypatch):
        monkeypatch.setattr(ngrams, "RECENT", 4)
        vocabulary = Vocabulary("abc")
        characters, _, recent = readers_of(vocabulary.encode("ccccbbabab"), vocabulary)
        c = bytes(vocabulary.encode("c").astype(np.uint8))
        assert c in characters.tables[1] and c not in recent.tables[1]

    def test_together_they_beat_characters_alone(self):
        rng = np.random.default_rng(0)
        words = ["eins", "zwei", "drei", "vier"]
        order = [words[0]]
        for _ in range(800):  # after a word, one of two others
            order.append(words[(words.index(order[-1]) + int(rng.integers(1, 3))) % 4])
        text = "".join(word + [" ", "  ", ",\n", ". "][int(rng.integers(4))] for word in order)
        vocabulary = Vocabulary(text)
        numbers = vocabulary.encode(text)
        primer, test = numbers[:4000], numbers[4000:]
        counted = count(primer, test, vocabulary)
        alone = bits_per_character(counted.logs[:, 0], test)
        assert mixed_bits(None, counted, test, len(vocabulary)) < alone - 0.02

    def test_a_network_that_knows_is_trusted(self):
        text = np.random.default_rng(0).integers(0, 3, 2000)
        counted = count(text[:1000], text[1000:], Vocabulary("abc"))
        logs = np.log(np.full((1000, 3), 0.02) + 0.94 * np.eye(3)[text[1000:]])
        assert mixed_bits(logs, counted, text[1000:], 3) < 0.2
        assert mixed_bits(None, counted, text[1000:], 3) > 1.5

    def test_no_prediction_depends_on_what_comes_later(self):
        text = np.random.default_rng(0).integers(0, 3, 400)
        other = text.copy()
        other[350:] = (other[350:] + 1) % 3
        one, two = (count(t[:300], t[300:], Vocabulary("abc")) for t in (text, other))
        for first, second in zip(one, two, strict=True):
            np.testing.assert_array_equal(first[:51], second[:51])


class TestGate:
    def test_it_finds_out_whom_to_trust_in_which_situation(self):
        rng = np.random.default_rng(1)
        gate = Gate(2, 2, rate=0.01)
        sure = np.log(np.array([0.97, 0.01, 0.01, 0.01]))
        surprise = []
        for _ in range(2000):
            symbol, situation = int(rng.integers(4)), int(rng.integers(2))
            right, wrong = np.roll(sure, symbol), np.roll(sure, rng.integers(4))
            pair = [right, wrong] if situation == 0 else [wrong, right]
            surprise.append(-gate.mix(np.array(pair), situation)[symbol])
            gate.learn(symbol)
        assert np.mean(surprise[-500:]) < 0.1
        assert gate.weights[0, 0] > 3 * abs(gate.weights[0, 1])
        assert gate.weights[1, 1] > 3 * abs(gate.weights[1, 0])

    def test_the_gradient_is_that_of_finite_differences(self):
        rng = np.random.default_rng(2)
        logs = np.log(rng.dirichlet(np.ones(6), size=3))

        def loss(weights):
            mixed = weights @ logs
            return -(mixed[2] - np.log(np.exp(mixed).sum()))

        gate = Gate(3, 1, rate=1 / 21)  # the first step is 21 times as large
        before = gate.weights[0].copy()
        gate.mix(logs, 0)
        gate.learn(2)
        step = 1e-6
        slopes = [
            (loss(before + step * e) - loss(before - step * e)) / (2 * step) for e in np.eye(3)
        ]
        np.testing.assert_allclose(before - gate.weights[0], slopes, atol=1e-7)


class TestMixture:
    def test_the_gate_whose_situation_tells_is_trusted(self):
        """One of two predictors is right: which one, the second kind of situation tells."""
        rng = np.random.default_rng(1)
        mixture = Mixture(2, [2, 2])
        sure = np.log(np.array([0.97, 0.01, 0.01, 0.01]))
        surprise = []
        for _ in range(3000):
            symbol, idle, telling = (int(rng.integers(n)) for n in (4, 2, 2))
            right, wrong = np.roll(sure, symbol), np.roll(sure, rng.integers(4))
            pair = [right, wrong] if telling == 0 else [wrong, right]
            surprise.append(-mixture.mix(np.array(pair), [idle, telling])[symbol])
            mixture.learn(symbol)
        assert np.mean(surprise[-500:]) < 0.1
        assert mixture.last.weights[0, 1] > mixture.last.weights[0, 0] + 0.2

    def test_situations(self):
        logs = np.log(np.array([[[0.95, 0.05], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]] * 2))
        counted = Counted(logs[:, 1:], np.array([3, 8]), np.array([False, True]))
        kinds = situations_of(logs, counted, np.array([1, 0]), n_symbols=2)
        # Surer than 0.9: 3; between 0.3 and 0.6: 1. Before the first character, there is none.
        assert kinds.tolist() == [[3 * 4 + 1, 6, 2], [3 * 4 + 1, 17, 1]]


class TestRivals:
    def test_chance_and_frequencies(self):
        assert uniform_bits(8) == 3
        primer = np.array([0] * 7 + [1] * 3)  # with one more of each: 8 and 4 of 12
        assert unigram_bits(primer, np.array([0, 1]), 2) == pytest.approx(
            -(np.log2(8 / 12) + np.log2(4 / 12)) / 2
        )

    @pytest.mark.parametrize("bits", [ppmd_bits, zpaq_bits])
    def test_compressors_need_less_for_what_they_have_read(self, bits):
        rng = np.random.default_rng(3)
        new = "".join(rng.choice(list("abcdefgh"), 3000))
        other = "".join(rng.choice(list("abcdefgh"), 3000))
        known, unknown = bits(new, new), bits(other, new)
        if known is None:
            pytest.skip("not installed")
        assert known < 1.5 and 2.8 < unknown < 4

    def test_one_that_fails_is_left_out(self, monkeypatch, capsys):
        monkeypatch.setattr(rivals.shutil, "which", lambda name: "/nowhere/zpaq")
        assert zpaq_bits("a", "b") is None
        assert "zpaq is left out: it failed" in capsys.readouterr().out

    def test_a_missing_one_is_told_in_a_line(self, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "pyppmd", None)  # as if it were not installed
        monkeypatch.setattr(rivals.shutil, "which", lambda name: None)
        assert ppmd_bits("a", "b") is None and zpaq_bits("a", "b") is None
        assert "pip install pyppmd" in capsys.readouterr().out


class TestWriting:
    LOGS = np.log(np.array([0.5, 0.3, 0.15, 0.05]))

    def frequencies(self, style):
        rng = np.random.default_rng(4)
        drawn = [draw(self.LOGS, style, rng) for _ in range(4000)]
        return np.bincount(drawn, minlength=4) / 4000

    def test_temperature(self):
        np.testing.assert_allclose(
            self.frequencies(Style(1.0, 1.0)), [0.5, 0.3, 0.15, 0.05], atol=0.03
        )
        squared = np.array([0.25, 0.09, 0.0225, 0.0025])
        np.testing.assert_allclose(
            self.frequencies(Style(0.5, 1.0)), squared / squared.sum(), atol=0.03
        )
        assert self.frequencies(Style(0.0, 1.0))[0] == 1
        with np.errstate(over="ignore"):
            assert self.frequencies(Style(1e-310, 1.0))[0] == 1

    def test_top_p_keeps_the_likeliest(self):
        np.testing.assert_allclose(
            self.frequencies(Style(1.0, 0.7)), [5 / 8, 3 / 8, 0, 0], atol=0.03
        )
        assert self.frequencies(Style(1.0, 0.1))[0] == 1

    def test_what_would_repeat_loses(self):
        tail = list(range(10, 10 + REPEATED - 1))
        written = [*tail, 3, 1, 2, *tail]
        logs = np.zeros(20)
        lowered = discourage_repeating(logs, written, 2.5)
        assert lowered[3] == -2.5 and np.count_nonzero(lowered) == 1
        np.testing.assert_array_equal(discourage_repeating(logs, written, 0.0), logs)

    def read_in_a_circle(self, symbol):
        """Expect the symbols 0 to 9 in turn."""
        return np.log(np.where(np.arange(10) == (symbol + 1) % 10, 0.91, 0.01))

    def test_a_loop_is_left(self):
        def share(penalty):
            symbols = write(self.read_in_a_circle, np.array([0]), Style(0.3, 1.0, penalty), 0)
            return share_of_repeats("".join(str(k) for k in itertools.islice(symbols, 300)))

        assert share(0.0) > 0.8
        assert share(6.0) < 0.4

    def test_equal_seeds_write_equal_texts(self):
        def text(seed):
            symbols = write(self.read_in_a_circle, np.array([0]), Style(2.0, 1.0), seed)
            return list(itertools.islice(symbols, 100))

        assert text(5) == text(5) != text(6)

    def test_share_of_repeats(self):
        assert share_of_repeats("abcdefghijklmnop") == 0
        assert share_of_repeats("a" * 100) == pytest.approx(1 - 1 / 93)
        assert share_of_repeats("kurz") == 0
