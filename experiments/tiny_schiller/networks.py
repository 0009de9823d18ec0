"""The networks: layers that read a text character by character and remember what they read.

What a layer remembers at the end of one piece of text, it begins the next piece with. So a piece
can be short, and the memory long. `streams` texts are read side by side.
"""

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import layers, ops


@dataclass(frozen=True)
class Recipe:
    """A network, and how it is trained."""

    cell: str = "LSTM"  # or GRU
    units: tuple[int, ...] = (256, 256)  # of the recurrent layers
    embedding: int = 0  # numbers that a character becomes; 0: as many as there are characters
    dense: tuple[int, ...] = ()  # units of ReLU layers between the last memory and the answer
    dropout: float = 0.2
    drops_memories: bool = True  # dropout behind the recurrent layers too, not only the dense ones
    streams: int = 64  # texts that are read side by side
    window: int = 64  # characters through which gradients flow back
    # Whether it learns from single windows, as the published one: of each, the last answer alone
    # counts, and the next window begins with an empty memory.
    single_windows: bool = False
    epochs: int = 10
    steps: int | None = None  # of an epoch of single windows; else as many as the text has
    learning_rate: float = 1e-3  # of Adam: its peak, if the rate rises and falls
    rises_and_falls: bool = False  # else it is constant
    beta_2: float = 0.999  # Adam's memory of squared gradients
    clip: float | None = None  # the longest gradient: a rare long one would undo much


# As published: LSTM 256, LSTM 256, Dense 128, Dropout 0.2, Dense 128, Dropout 0.2, softmax; Adam,
# windows of 100 characters, batches of 1,024. Of an earlier network, only the GRU layers are known.
# An epoch is all windows there, 1,590 steps: ten take ten minutes of a large GPU, and a day of two
# cores. Here it has so many that ten take half an hour.
PUBLISHED = Recipe(
    dense=(128, 128), drops_memories=False, streams=1024, window=100, single_windows=True, steps=40
)
OURS = Recipe(
    embedding=96, epochs=16, learning_rate=3e-3, rises_and_falls=True, beta_2=0.99, clip=1.0
)
RECIPES = {
    "ours": OURS,
    "published": PUBLISHED,
    "published_in_full": replace(PUBLISHED, steps=1590),
    "published_gru": replace(PUBLISHED, cell="GRU", units=(256, 128), dense=(), steps=60),
    # The published layers, trained as ours are.
    "published_in_streams": replace(OURS, embedding=0, dense=(128, 128), drops_memories=False),
}


def build(recipe: Recipe, n_symbols: int, streams: int, window: int, dropout: float) -> keras.Model:
    """Return a network that remembers.

    Args:
        recipe: its layers.
        n_symbols: size of the vocabulary.
        streams, window: how many texts it reads side by side, and in pieces of how many characters.
        dropout: in place of the recipe's; 0 for a network that is only used, or that learns as
            it reads.

    Returns:
        int32 (streams, window) in; the logits of each next character, float32
        (streams, window, n_symbols), out.
    """
    inputs = keras.Input(batch_shape=(streams, window), dtype="int32")
    width = recipe.embedding or n_symbols
    first = "uniform" if recipe.embedding else "identity"  # one-hot, where nothing is embedded
    hidden = layers.Embedding(
        n_symbols, width, embeddings_initializer=first, trainable=bool(recipe.embedding)
    )(inputs)
    for units in recipe.units:
        hidden = Memory(recipe.cell, units)(hidden)
        if dropout and recipe.drops_memories:
            hidden = layers.Dropout(dropout)(hidden)
    for units in recipe.dense:
        hidden = layers.Dense(units, activation="relu")(hidden)
        if dropout:
            hidden = layers.Dropout(dropout)(hidden)
    outputs = layers.Dense(n_symbols, dtype="float32")(hidden)
    return keras.Model(inputs, outputs)


def forget(network: keras.Model) -> None:
    """Let all memories be empty, as at the beginning of a text."""
    for layer in network.layers:
        if isinstance(layer, Memory):
            layer.forget()


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give a network the weights of another of the same layers; memories stay as they are."""
    for new, old in zip(target.trainable_variables, source.trainable_variables, strict=True):
        new.assign(ops.convert_to_numpy(old))  # JAX would share the array, and give it away


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return natural logarithms of probabilities, float64, of logits along the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


class Memory(layers.Layer):
    """A recurrent layer that begins a piece of text with what it remembers of the one before.

    Keras has it, too, as `stateful=True`, but there JAX loses the memory between two pieces.

    Args:
        cell: LSTM or GRU.
        units: how many numbers it answers with, and remembers (an LSTM: twice as many).
    """

    def __init__(self, cell: str, units: int) -> None:
        super().__init__()
        kind = {"LSTM": layers.LSTM, "GRU": layers.GRU}[cell]
        self.units, self.n_memories = units, 2 if cell == "LSTM" else 1
        # On a GPU, cuDNN's kernels refuse bfloat16.
        use_cudnn = "auto" if self.compute_dtype == "float32" else False
        self.recurrence = kind(units, return_sequences=True, return_state=True, use_cudnn=use_cudnn)

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make room for the memory of each stream."""
        self.recurrence.build(input_shape)
        self.memories = [
            self.add_weight(
                shape=(input_shape[0], self.units), initializer="zeros", trainable=False,
                name=f"memory_{number}",
            )
            for number in range(self.n_memories)
        ]  # fmt: skip

    def call(self, inputs: Any) -> Any:
        """Return (streams, window, units) of (streams, window, n_inputs), and remember."""
        before = [ops.copy(ops.cast(memory, self.compute_dtype)) for memory in self.memories]
        outputs, *after = self.recurrence(inputs, initial_state=before)
        for memory, state in zip(self.memories, after, strict=True):
            memory.assign(ops.cast(state, memory.dtype))
        return outputs

    def forget(self) -> None:
        """Let the memory be empty."""
        for memory in self.memories:
            memory.assign(np.zeros(memory.shape, "float32"))


class Keep(layers.Layer):
    """Hands its inputs on, and keeps a copy that can be read after a step of training."""

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make room for the copy."""
        self.kept = self.add_weight(
            shape=input_shape, initializer="zeros", trainable=False, dtype="float32", name="kept"
        )

    def call(self, inputs: Any) -> Any:
        """Return the inputs."""
        self.kept.assign(ops.cast(inputs, "float32"))
        return inputs
