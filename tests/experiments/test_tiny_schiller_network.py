import importlib
import itertools
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from common.user_error import UserError
from experiments.tiny_schiller import measuring, networks, rivals, scoring, task, training, writing
from experiments.tiny_schiller.networks import RECIPES, Recipe, build, forget, log_softmax
from experiments.tiny_schiller.scoring import (
    bits_per_character,
    dynamic_log_probabilities,
    static_bits,
    static_log_probabilities,
)
from experiments.tiny_schiller.text import Vocabulary, read_text
from experiments.tiny_schiller.trained import (
    DESCRIPTION,
    WEIGHTS,
    kept_scores,
    load,
    make_or_load,
    n_weights,
    reader_of,
)
from experiments.tiny_schiller.training import SingleWindows, Streams, streams_for, train
from experiments.tiny_schiller.writing import Style, write

program = importlib.import_module("experiments.tiny_schiller.__main__")
TINY = Recipe(
    cell="GRU", units=(12,), embedding=6, streams=4, window=8, epochs=3, learning_rate=0.02,
    rises_and_falls=True, clip=1.0,
)  # fmt: skip
N_SYMBOLS = 5


@pytest.fixture(scope="module")
def text():
    """Return 3,000 symbols, in each of which two follow from the one before."""
    rng = np.random.default_rng(0)
    steps = rng.choice([1, 3], 3000, p=[0.8, 0.2])
    return (np.cumsum(steps) % N_SYMBOLS).astype(np.int32)


@pytest.fixture(scope="module")
def network(text, tmp_path_factory):
    """Return a network that has learned the first 2,500 of them."""
    return train(TINY, N_SYMBOLS, text[:2500], None, 0, tmp_path_factory.mktemp("t") / "b.npz")[0]


# --- Networks and what they read ---


OURS = RECIPES["ours"]


def test_kernels_that_refuse_bfloat16_are_asked_for_in_float32_alone():
    assert networks.Memory("LSTM", 4).recurrence.use_cudnn == "auto"
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert networks.Memory("LSTM", 4).recurrence.use_cudnn is False
    finally:
        keras.config.set_dtype_policy("float32")


def test_parameters_of_the_published_networks():
    # 4 (98 + 256 + 1) 256 + 4 (256 + 256 + 1) 256, then dense layers of 128, 128 and 98.
    lstm = build(RECIPES["published"], 98, 2, 100, 0.2)
    assert n_weights(lstm) == 363_520 + 525_312 + 32_896 + 16_512 + 12_642
    # Keras' GRU has two biases: 3 (98 + 256 + 2) 256 + 3 (256 + 128 + 2) 128 + 129 * 98.
    gru = build(RECIPES["published_gru"], 98, 2, 100, 0.2)
    assert n_weights(gru) == 273_408 + 148_224 + 12_642


def test_ours_is_no_larger_than_the_published_one():
    assert n_weights(build(OURS, 98, 1, 1, 0.0)) <= n_weights(
        build(RECIPES["published"], 98, 1, 1, 0.0)
    )


def test_a_network_remembers_from_piece_to_piece_until_it_forgets(text):
    whole, pieces = (build(TINY, N_SYMBOLS, 1, window, 0.0) for window in (40, 10))
    networks.copy_weights(whole, pieces)
    expected = np.asarray(whole.predict_on_batch(text[np.newaxis, :40]))
    for _ in range(2):
        read = [pieces.predict_on_batch(text[np.newaxis, k : k + 10]) for k in range(0, 40, 10)]
        np.testing.assert_allclose(np.concatenate(read, axis=1), expected, atol=1e-5)
        forget(pieces)


def test_an_epoch_begins_with_empty_memories(text):
    """The first pieces of the next epoch do not follow the last ones of this one."""
    network = build(TINY, N_SYMBOLS, 4, 10, 0.0)
    batches = Streams(text, 4, 10, seed=0)
    epochs = training.Epochs(batches, SimpleNamespace(seconds=0.0), TINY, None, N_SYMBOLS)
    epochs.set_model(network)
    network.predict_on_batch(batches[0][0])
    memories = [weight for weight in network.weights if "memory" in weight.name]
    assert memories and all(np.asarray(memory).any() for memory in memories)
    epochs.on_epoch_begin(1)
    assert not any(np.asarray(memory).any() for memory in memories)


def test_log_softmax_of_large_logits():
    logs = log_softmax(np.array([[1000.0, 1000.0, -1000.0]], np.float32))
    np.testing.assert_allclose(np.exp(logs), [[0.5, 0.5, 0]])


def test_single_windows_ask_for_the_last_answer(text):
    batches = SingleWindows(text, 6, 10, steps=3, seed=0)
    inputs, targets, weights = batches[2]
    assert len(batches) == 3 and inputs.shape == targets.shape == weights.shape == (6, 10)
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
    assert weights[:, :-1].max() == 0 and weights.mean() == 1
    before = batches[0][0].tobytes()
    batches.begin(1)
    assert batches[0][0].tobytes() != before
    with pytest.raises(UserError, match="has 10 characters, but a window needs 11"):
        SingleWindows(text[:10], 6, 10, steps=3, seed=0)


def test_a_network_of_single_windows_learns_and_is_judged_by_windows(text, tmp_path, capsys):
    recipe = replace(TINY, streams=64, single_windows=True, steps=60, epochs=1)
    network, _ = train(recipe, N_SYMBOLS, text[:2500], text[2500:], 0, tmp_path / "b.npz")
    bits = static_bits(network, recipe, N_SYMBOLS, text[:2500], text[2500:])
    assert bits < 1.6
    last_line = capsys.readouterr().out.splitlines()[-1]
    assert float(last_line.split(", ")[1].split()[0]) == pytest.approx(bits, abs=0.1)


class TestStreams:
    def test_each_stream_goes_on_in_the_next_batch_and_targets_are_one_ahead(self, text):
        streams = Streams(text, 4, 8, seed=1)
        batches = [streams[k] for k in range(len(streams))]
        inputs, targets = (np.concatenate(part, axis=1) for part in zip(*batches, strict=True))
        assert inputs.shape == (4, 8 * (2999 // 32))
        np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
        joined = inputs.ravel()
        starts = [k for k in range(40) if np.array_equal(text[k : k + len(joined)], joined)]
        assert len(starts) == 1

    def test_each_epoch_is_cut_elsewhere_and_equal_seeds_alike(self, text):
        def first(seed, epoch):
            streams = Streams(text, 4, 8, seed)
            streams.begin(epoch)
            return streams.inputs.tobytes()

        assert len({first(0, epoch) for epoch in range(6)}) > 2
        assert first(0, 3) == first(0, 3)

    def test_a_text_that_is_too_short_is_refused(self, text):
        with pytest.raises(UserError, match="has 32 characters, but one batch of 4 streams"):
            Streams(text[:32], 4, 8, seed=0)
        assert len(Streams(text[:33], 4, 8, seed=0)) == 1


# --- Scores ---


def test_a_trained_network_is_better_than_chance(network, text):
    logs = static_log_probabilities(network, TINY, N_SYMBOLS, text[:2500], text[2500:])
    assert bits_per_character(logs, text[2500:]) < 1.0  # chance: 2.32; what can be known: 0.72


def test_streams_side_by_side_read_as_one_does(network, text):
    arguments = (network, TINY, N_SYMBOLS, text[:100], text[100:])  # 2,900: three streams
    static = static_log_probabilities(*arguments)
    dynamic = dynamic_log_probabilities(*arguments, rate=0.0)
    np.testing.assert_allclose(static[300:], dynamic[300:], atol=0.02)


def test_a_short_text_has_few_streams():
    recipe = replace(TINY, streams=64)
    assert [streams_for(recipe, n) for n in (5_000, 200_000, 2_000_000)] == [8, 20, 64]
    assert streams_for(TINY, 200_000) == 4


def test_learning_with_a_rate_of_0_is_reading_only(network, text):
    arguments = (network, TINY, N_SYMBOLS, text[:2500], text[2500:])
    static = static_log_probabilities(*arguments)
    dynamic = dynamic_log_probabilities(*arguments, rate=0.0)
    assert static.shape == dynamic.shape == (500, N_SYMBOLS)
    np.testing.assert_allclose(static, dynamic, atol=1e-4)


@pytest.mark.parametrize("score", [static_log_probabilities, dynamic_log_probabilities])
def test_no_prediction_depends_on_what_comes_later(score, network, text):
    other = text.copy()
    other[2900:] = (other[2900:] + 2) % N_SYMBOLS
    one, two = (score(network, TINY, N_SYMBOLS, t[:2500], t[2500:]) for t in (text, other))
    np.testing.assert_allclose(one[:401], two[:401], atol=1e-6)
    assert np.abs(one[401:] - two[401:]).max() > 0.1


def test_what_is_rehearsed_is_learned_before_the_text(network, text):
    """The primer ends as the text goes on: in another way than the network has learned."""
    changed = (4 * text) % N_SYMBOLS
    primer, rest = np.concatenate([text[:2500], changed[:500]]), changed[500:600]

    def bits(rehearsal):
        logs = dynamic_log_probabilities(
            network, TINY, N_SYMBOLS, primer, rest, rate=0.01, rehearsal=rehearsal
        )
        return bits_per_character(logs, rest)

    assert bits(500) < bits(0) - 0.5


def test_learning_while_reading_pays_when_the_text_changes(network, text):
    changed = (4 * text[:1500]) % N_SYMBOLS  # steps of 4 and 2 for those of 1 and 3
    arguments = (network, TINY, N_SYMBOLS, text[:2500], changed)
    static = bits_per_character(static_log_probabilities(*arguments), changed)
    dynamic = bits_per_character(dynamic_log_probabilities(*arguments, rate=0.01), changed)
    assert dynamic < static - 1


def test_bits_per_character_by_hand():
    logs = np.log(np.array([[0.5, 0.5], [0.25, 0.75]]))
    assert bits_per_character(logs, np.array([1, 0])) == pytest.approx(1.5)


# --- Training ---


def test_a_training_that_was_killed_ends_as_if_it_had_not_been(
    network, text, tmp_path, monkeypatch
):
    path, begin = tmp_path / "b.npz", training.Epochs.on_epoch_begin

    def killed(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.Epochs, "on_epoch_begin", killed)
        train(TINY, N_SYMBOLS, text[:2500], None, 0, path)
    history = path.with_name(training.HISTORY)
    with history.open("a") as file:
        file.write("2,9.9,9.9\n")  # of an epoch that was logged, but not backed up
    resumed, _ = train(TINY, N_SYMBOLS, text[:2500], None, 0, path)
    assert list(pd.read_csv(history)["epoch"]) == [0, 1, 2]
    for one, other in zip(resumed.trainable_variables, network.trainable_variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_epoch_tells_how_good_the_network_is(text, tmp_path, capsys):
    train(TINY, N_SYMBOLS, text[:2500], text[2500:], 0, tmp_path / "b.npz")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert len(lines) == 3 and "on the validation part" in lines[0] and "about 0 s left" in lines[2]
    bits = [float(line.split(":")[1].split()[0]) for line in lines]
    assert bits == sorted(bits, reverse=True)


# --- The folder of a network, and the program ---


def start(*arguments, folder):
    program.main([*arguments, f"--folder={folder}"])


def stand_in_rows(task, network, trained, folder):
    return [{"predictor": network, "bits": 2.0, "weights": 9}]


def stand_in_rivals(task, path):
    return [{"predictor": "chance", "bits": rivals.uniform_bits(len(task.vocabulary))}]


@pytest.fixture(scope="module", autouse=True)
def tiny_ours():
    """Let our network be one that trains in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks.RECIPES, "ours", TINY)
        yield


@pytest.fixture(scope="module")
def poem(tmp_path_factory):
    """Return a file with some of Schiller's lines."""
    path = tmp_path_factory.mktemp("text") / "poem.txt"
    path.write_text(read_text("excerpt", path.parent)[20_000:26_000], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(poem):
    """Return the folder of a network that the program has trained on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "LONG", 60)
        start(f"--text={poem}", "--repetition", folder=poem.parent)
    return poem.parent / "poem-as-is-ours-seed0"


def test_the_table_has_a_row_per_predictor(finished):
    table = pd.read_csv(finished.parent / "tiny_schiller_poem.csv").set_index("predictor")
    bits = table["bits"]
    assert bits["ours"] < bits["how common each character is"] < bits["chance"]
    counts = bits["... mixed with words and recent n-grams"]
    assert counts < bits["n-grams, learning as they read"]
    assert bits["ours, learning as it reads, mixed with counts"] < min(counts + 0.01, bits["ours"])
    np.testing.assert_allclose(table["nats"], bits * np.log(2))
    assert table.loc["ours", "weights"] == n_weights(load(finished).network)


def test_figure_and_raw_numbers_lie_beside_it(finished):
    curves = pd.read_csv(finished.parent / "tiny_schiller_poem_curves.csv")
    assert list(curves["epoch"]) == [1, 2, 3] and curves["bits"].is_monotonic_decreasing
    repeats = pd.read_csv(finished.parent / "tiny_schiller_poem_repeats.csv")
    assert set(repeats["penalty"]) == {0, 2} and repeats["share"].between(0, 1).all()
    cold = repeats[repeats["temperature"] == 0.01].set_index("penalty")["share"]
    assert cold[2] < cold[0]
    with Image.open(finished.parent / "tiny_schiller_poem.png") as figure:
        assert figure.width > 900


def test_what_is_done_is_not_done_again(finished, poem, capsys, monkeypatch):
    table = (finished.parent / "tiny_schiller_poem.csv").read_text()
    monkeypatch.setattr(scoring, "static_bits", None)
    monkeypatch.setattr(task, "count", None)
    start(f"--text={poem}", folder=poem.parent)
    out = capsys.readouterr().out
    assert "5,400 to learn from, 600 to predict" in out and "Epoch" not in out
    assert "| ours, learning as it reads " in out
    assert (finished.parent / "tiny_schiller_poem.csv").read_text() == table


def test_scores_are_kept_one_by_one_and_made_again_for_others(tmp_path, capsys):
    path, made = tmp_path / "scores.json", []

    def measure(name, bits):
        made.append(name)
        if bits == "killed":
            raise KeyboardInterrupt
        return bits

    def scores(origin, **bits):
        return kept_scores(
            path, [b"weights", origin], {n: lambda n=n: measure(n, bits[n]) for n in bits}
        )

    with pytest.raises(KeyboardInterrupt):
        scores("one", a=1.5, b="killed")
    assert scores("one", a=9.0, b=2.5, c=None) == {"a": 1.5, "b": 2.5}
    assert scores("one", a=9.0, b=9.0, c=3.5) == {"a": 1.5, "b": 2.5, "c": 3.5}
    assert made == ["a", "b", "b", "c", "c"]
    assert scores("other", a=9.0) == {"a": 9.0}
    assert "b: 2.500 bits per character" in capsys.readouterr().out


def test_another_text_in_a_file_of_the_same_name_is_noticed(finished, poem, tmp_path):
    other = tmp_path / poem.name
    other.write_text(poem.read_text(encoding="utf-8")[::-1], encoding="utf-8")
    with pytest.raises(UserError, match="holds another network"):
        start(f"--text={other}", folder=poem.parent)


@pytest.fixture(scope="module")
def fewer(poem, tmp_path_factory):
    """Return the flags by which the program has compared two alphabets, and its folder."""
    folder = tmp_path_factory.mktemp("fewer")
    flags = (f"--text={poem}", "--epochs=1", "--length=9")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "rows_of_network", stand_in_rows)
        patch.setattr(measuring, "rows_of_rivals", stand_in_rivals)
        start(*flags, "--labels", "as-is", "merged", folder=folder)
    return flags, folder


def test_a_network_of_fewer_labels_writes_after_a_prompt_with_capitals(fewer, capsys):
    flags, folder = fewer
    start(*flags, "--labels=merged", "--write=ENE€", folder=folder)
    assert capsys.readouterr().out.startswith("ene\N{REPLACEMENT CHARACTER}")


def test_fewer_labels_are_compared_by_what_they_lose(fewer):
    table = pd.read_csv(fewer[1] / "tiny_schiller_poem.csv").set_index(["labels", "predictor"])
    assert table.loc[("as-is", "ours"), "restoring"] == 0
    assert 0.05 < table.loc[("merged", "ours"), "restoring"] < 1
    assert table.loc[("merged", "ours"), "bits and restoring"] > 2.05
    assert table.loc[("merged", "chance"), "bits"] < table.loc[("as-is", "chance"), "bits"]


def test_it_writes_after_a_prompt(finished, poem, capsys):
    text, folder = f"--text={poem}", poem.parent
    for _ in range(2):
        start(text, "--write=Tell", "--length=40", folder=folder)
    written = capsys.readouterr().out
    assert written.startswith("Tell") and len(written) == 2 * 45
    assert written[:45] == written[45:]
    start(text, "--write=Tell", "--length=40", "--writing-seed=1", folder=folder)
    assert capsys.readouterr().out != written[:45]
    with pytest.raises(UserError, match="has never seen '€' '漢'"):
        start(text, "--write=漢€", folder=folder)
    with pytest.raises(UserError, match="prompt is empty"):
        start(text, "--write=", folder=folder)
    with pytest.raises(UserError, match="there is no trained network"):
        start("--write=Tell", folder=folder)


def test_a_folder_of_another_network_or_a_damaged_one_is_refused(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    vocabulary, other = load(folder).vocabulary, replace(TINY, epochs=1)
    with pytest.raises(UserError, match="holds another network"):
        make_or_load(other, vocabulary, np.zeros(100, np.int32), None, 0, folder)
    (folder / WEIGHTS).write_bytes(b"PK")
    with pytest.raises(UserError, match="is damaged") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_finished_network_may_come_from_another_back_end(text, tmp_path):
    vocabulary, again = Vocabulary("abcde"), (text[:2500], None, 0, tmp_path)
    made = make_or_load(replace(TINY, epochs=1), vocabulary, *again)
    described = json.loads((tmp_path / DESCRIPTION).read_text())
    (tmp_path / DESCRIPTION).write_text(json.dumps(described | {"computed": "float16, other"}))
    loaded = make_or_load(replace(TINY, epochs=1), vocabulary, *again)
    for one, other in zip(made.network.weights, loaded.network.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    (tmp_path / WEIGHTS).unlink()  # to go on with a training of other numbers is another thing
    with pytest.raises(UserError, match="holds another network"):
        make_or_load(replace(TINY, epochs=1), vocabulary, *again)


def test_writing_reads_as_scoring_does(finished, poem):
    trained = load(finished)
    numbers = trained.vocabulary.encode(poem.read_text(encoding="utf-8")[:60])
    expected = dynamic_log_probabilities(
        trained.network, TINY, len(trained.vocabulary), numbers[:1], numbers[1:], rate=0.0
    )
    read = reader_of(trained)()
    np.testing.assert_allclose([read(k) for k in numbers[:-1]], expected, atol=1e-4)
    symbols = write(read, numbers, Style(), 0)
    assert len(list(itertools.islice(symbols, 250))) == 250  # without end


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network=hours"], "invalid choice: 'hours'"),
        (["--epochs=0"], "--epochs must be from 1 to 1000, got 0"),
        (["--top-p=1.5"], "--top-p must be from 0 to 1, got 1.5"),
        (["--temperature=-1"], "--temperature must be from 0 to 100"),
        (["--labels=few"], "invalid choice: 'few'"),
        (["--text=missing.txt"], "cannot read missing.txt"),
        (["--epoch=3"], "unknown flag '--epoch'"),
        (["--validate", "--write-docs"], "leave out --validate"),
        (["--epochs=3", "--seed=1", "--write-docs"], "leave out --epochs, --seed"),
        (["--network=ours", "--labels=lower", "--write-docs"], "leave out --labels, --network"),
        (["--text=novel.txt", "--write-docs"], "documented texts: excerpt and tiny_schiller"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(arguments, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        start(*arguments, folder=tmp_path)
    assert "\n" not in str(caught.value)
