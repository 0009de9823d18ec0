# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Handwritten digits: a walkthrough
#
# This notebook tells the whole story of a network that reads digits: the images, the split, the
# training, the mistakes, and a digit of your own.
# All code that matters is in the project's files; each cell calls some of it.
# So whenever you ask how a step is done, open the file that the cell imports from.
#
# Run the cells from top to bottom, with Shift+Enter. On two CPU cores, all of them take three to
# six minutes. **Stop at each question, and write down your guess before you go on.**
#
# On your own computer: `pip install -r requirements.txt jupyterlab`, then
# `jupyter lab notebooks/walkthrough.ipynb`.
# In Colab: put the address of your copy of the project into `REPOSITORY` below.
#
# For those who maintain the project: edit `walkthrough.py`, and make the notebook anew by
# `python -m notebooks.refresh`.

# %%
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

# Only Colab needs it: where your copy of the project can be cloned from.
REPOSITORY = "https://github.com/YOUR-NAME/YOUR-REPOSITORY"

if find_spec("_00_main") is None:  # the project's files cannot be imported yet
    project = Path.cwd().parent  # seen from notebooks/
    if "google.colab" in sys.modules:
        project = Path.cwd() / "handwritten-digits"
        if not project.exists():
            if "YOUR-NAME" in REPOSITORY:
                raise ValueError("put the address of your copy of the project into REPOSITORY")
            subprocess.run(["git", "clone", "--depth=1", REPOSITORY, str(project)], check=True)
        requirements = str(project / "requirements.txt")
        pip_install = [sys.executable, "-m", "pip", "install", "--quiet", "-r", requirements]
        subprocess.run(pip_install, check=True)
    if not (project / "_00_main.py").is_file():
        raise FileNotFoundError("open this notebook where it lies, in the project's notebooks/")
    sys.path.insert(0, str(project))

# %% [markdown]
# These are the constants of this notebook. Change them after the first reading.

# %% tags=["parameters"]
DATASET = "mnist"  # or fashion_mnist; or digits: 1,797 small images that need no internet
RECIPE = "speedrun_995"  # a small network that learns in a minute; others: common/recipes.py
EPOCHS = 3  # passes over the varied images; one pass over unchanged images follows
SEED = 2  # of all that is random: equal seed, equal result
PICTURE = None  # the path of a photo of your own digit; None draws one

# %%
import os

from common.keras_start import load_keras

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # hushes what TensorFlow says to its makers
load_keras()  # takes some seconds

# %%
import tempfile
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from PIL import Image, ImageDraw

from _00_main import make_settings, run
from _01_data_loader import DATA_SETS, load_data
from _02_data_preprocess import load_splits, scale
from _05_model_plot import read_run
from common.command_line import PROJECT_DIR
from common.pictures import find_digits, read_picture
from common.recipes import NO_AUGMENTATION
from figures.data import plot_augmentation, plot_clusters, plot_samples
from figures.network import plot_activations, plot_embeddings, plot_filters, plot_network
from figures.run import plot_confusion_matrix, plot_curves, plot_misclassified
from figures.style import RC_PARAMS, draw_image
from training.augmentation import RandomAffine

plt.style.use(RC_PARAMS)
plt.rc("figure", dpi=90)
folder = tempfile.TemporaryDirectory()  # for the runs; your own runs/ and record stay as they are

# %% [markdown]
# ## 1. The data
#
# `load_data` gives the data set as it was published: images of 28 × 28 pixels, and for each a
# label, the digit that it shows.
# A pixel is a whole number from 0 to 255. Ink is 255 and paper is 0, and the figures show it as
# black on white.
# The test images are kept for the end, because other people wrote them: they tell how well the
# network reads strangers.
#
# **Question:** Which two digits will the network confuse most often?

# %%
arrays = load_data(DATASET)
names = DATA_SETS[DATASET].class_names
for name, array in arrays._asdict().items():
    print(f"{name:8} {array.dtype} {array.shape}, from {array.min()} to {array.max()}")
figure = plot_samples(scale(arrays.x_train), arrays.y_train, names)

# %% [markdown]
# ## 2. The split
#
# While you choose among networks, you need images that no network was trained on.
# If you took the test images for it, you would choose what suits them, and they would no longer
# tell the truth.
# So `load_splits` sets some of the training images aside, the **validation images**, and every
# class keeps its share.
# It also scales the pixels to numbers from 0 to 1, because a network learns best from small
# numbers. (`scale` did that for the figure above.)
#
# `make_settings` returns the constants at the top of `_00_main.py`, changed by a recipe and then by
# what else is named.

# %%
settings = make_settings(
    RECIPE,
    dataset=DATASET,
    epochs=EPOCHS,
    seed=SEED,
    val_size=0.1,  # a tenth of the training images
    precision="float32",
    figures="none",  # we draw our own
    output_dir=folder.name,
)
splits = load_splits(settings)
labels = {"training": splits.y_train, "validation": splits.y_val, "test": splits.y_test}
counts = {name: np.bincount(part, minlength=len(names)) for name, part in labels.items()}
display(pd.DataFrame(counts, index=names).T)

# %% [markdown]
# ## 3. How far does one get without a network?
#
# An image is a list of 784 numbers, so it is a point in a space of 784 dimensions.
# **t-SNE** draws such points in the plane and tries to keep neighbours together.
# **k-means** looks for ten groups, without knowing a single label.
# The purity says how often an image belongs to the majority of its group.
#
# **Question:** Why do the 4s and the 9s lie together, when you tell them apart at a glance?

# %%
figure = plot_clusters(splits.x_train, splits.y_train, names)

# %% [markdown]
# ## 4. More images than there are
#
# A 7 that leans a little more is still a 7.
# So the program varies each image whenever it is shown: it is rotated, zoomed, shifted and sheared,
# a little and at random.
# This is called **augmentation**. The network never sees the same image twice, and cannot learn
# the images by heart.
#
# **Question:** Why are the images not mirrored as well?

# %%
augmentation = RandomAffine(
    settings.rotation, settings.zoom, settings.shift, settings.shear, seed=settings.seed
)
name = names[splits.y_train[0]]
figure = plot_augmentation(augmentation, splits.x_train[0], name)

# %% [markdown]
# ## 5. Training
#
# `run` is the whole program: it loads, splits, builds the network, trains it, evaluates it and
# saves it.
# In training, the network sees a batch of images, compares its answers with the labels, and changes
# its weights a little. An **epoch** is one pass over all the training images.
# The last epoch is the polish, on images as they are.
# The cell prints a line per epoch, instead of all that the program prints.
#
# **Question:** Will the accuracy be higher on the training images, or on the validation images,
# which the network never trains on?


# %%
def train(settings):
    """Run the program; print a line per epoch. Return what the run left in its folder."""
    screen = sys.stdout

    def say(epoch, logs):
        accuracy = 100 * logs["val_accuracy"]
        print(f"Epoch {epoch + 1}: {accuracy:.2f} % of the validation images right", file=screen)

    watch = keras.callbacks.LambdaCallback(on_epoch_end=say)
    with redirect_stdout(StringIO()):
        result = run(settings, callbacks=[watch])
    return read_run(result.run_folder)


varied = train(settings)
figure = plot_curves(varied.history, settings.monitor, varied.label_entropy)

# %% [markdown]
# ## 6. Reading the curves
#
# Probably the validation images did better, and that is no mistake.
# The training images are varied, so they are harder, and a part of the network is switched off for
# each of them (**dropout**).
# Besides, the training accuracy is a mean over the whole epoch, while the validation images come
# at its end, when the network is better.
# The learning rate falls to 0, so that the network comes to rest. (It first rises, because large
# steps need good weights, but that is over before the first epoch ends.)
#
# This is the network that was trained. Convolutions slide small filters over the image; pooling
# halves the maps that they make; the dense layer gives a probability to each digit.
#
# **Question:** Where are most of the parameters?

# %%
figure = plot_network(varied.network)

# %% [markdown]
# ## 7. The mistakes
#
# Now, at the end, come the test images. A row of the matrix is a digit, and a column is what the
# network took it for.
# A cell beside the diagonal that is far fuller than others means two digits that are hard to tell
# apart. With so few mistakes, one or two more or less are chance.
#
# **Question:** Was your guess from chapter 1 right?

# %%
n_wrong, n_test = varied.metrics["n_misclassified"], len(splits.y_test)
print(f"{n_wrong:,} of {n_test:,} test images are wrong: {100 * n_wrong / n_test:.2f} %")
figure = plot_confusion_matrix(splits.y_test, varied.predicted, names)

# %% [markdown]
# Numbers do not say why. So look at the images themselves, the most confident mistakes first.
# Some are the network's fault. Some were badly written, and with a few, you may side with the
# network against the label.
#
# From here on, you know the test images. If you changed a constant because of what you see below,
# you would fit the program to them: that is what the validation images are for.
#
# **Question:** How many of these would you have read right? What accuracy can be reached at all?

# %%
figure = plot_misclassified(splits.x_test, splits.y_test, varied.probabilities, names)

# %% [markdown]
# ## 8. What the filters look for
#
# A filter of the first convolution is a picture of 3 × 3 weights. It answers strongly where the
# image looks like it: purple is where it wants ink, and orange is where it wants none.
# Nobody drew these filters. They began as random numbers, and the training made them.
#
# **Question:** Which of them answer to horizontal strokes, and which to slanted ones? The next
# figure will tell.

# %%
figure = plot_filters(varied.network)

# %% [markdown]
# And this is what they see: a map for each filter, bright where it found what it looks for.
# Compare the maps with the filters of the same number.
# The next convolution slides its filters over all these maps at once. So it can find more than
# strokes: a corner, where two of them meet.

# %%
title = f"test image 0 ({names[splits.y_test[0]]})"
figure = plot_activations(varied.network, splits.x_test[0], title)

# %% [markdown]
# ## 9. Where the digits end up
#
# Just before its last layer, the network has turned each image into a shorter list of numbers.
# Here is t-SNE again, this time of these numbers. Compare it with chapter 3: it is as if somebody
# had tidied up.
# The last layer only has to draw borders between the groups. The circles are the mistakes; all of
# them are drawn, but only some of the other images.
#
# **Question:** Where do the mistakes lie, and why there?

# %%
figure = plot_embeddings(varied.network, splits.x_test, splits.y_test, varied.predicted, names)

# %% [markdown]
# ## 10. Your own digit
#
# A photo is not an MNIST image: it is large, its paper is grey, its ink is blue, and the digit is
# somewhere in it.
# `read_picture` turns it into ink (1) on paper (0). `find_digits` finds the digit and makes of it
# what MNIST's makers made of theirs: 20 pixels long, and centred in 28 × 28 by its weight.
# The cell draws a 4 with a few strokes of a pen and turns the page a little. For a digit of yours,
# put the path of a photo into `PICTURE`, above.
#
# Then `best_model.keras` reads it, the best network that the project has; for this, you need no
# training.
#
# **Question:** A network has to answer. What will it say to a letter?


# %%
def draw_a_digit(path):
    """Draw a 4 in blue ink on a crooked page, and save it."""
    page = Image.new("RGB", (400, 320), "#F4F1E8")
    pen = ImageDraw.Draw(page)
    for stroke in ([(190, 60), (130, 175), (255, 170)], [(228, 105), (216, 265)]):
        pen.line(stroke, fill="#1B2A6B", width=15, joint="curve")
    page.rotate(-7, resample=Image.Resampling.BICUBIC, fillcolor="#F4F1E8").save(path)
    return path


path = Path(PICTURE) if PICTURE else draw_a_digit(Path(folder.name) / "digit.png")
picture = read_picture(path)
digits = find_digits(picture, single=True)
if not digits:
    raise ValueError(f"no digit was found in {path}: write it larger, or darker")
image = digits[0].image[..., np.newaxis]

best = keras.saving.load_model(PROJECT_DIR / "best_model.keras")
probabilities = best.predict(image[np.newaxis], verbose=0)[0]
for digit in probabilities.argsort()[:-4:-1]:
    print(f"{digit}: {100 * probabilities[digit]:.2f} %")

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
left.imshow(picture, cmap="gray_r")
left.set_title("the picture: ink on paper")
draw_image(right, image)
right.set_title("what the network sees")
for panel in (left, right):
    panel.axis("off")

# %% [markdown]
# ## 11. Change one thing
#
# Does the augmentation help? Only a second training can tell: the same settings, the same seed, but
# images as they are.
# Change one thing at a time. If you change two, you never know which of them it was.
#
# **Question:** What do you expect of the accuracy on the training images, and on the validation
# images?

# %%
unvaried = train(replace(settings, **NO_AUGMENTATION))
figure = plot_curves(unvaried.history, settings.monitor, unvaried.label_entropy)

# %% [markdown]
# Compare this figure with that of chapter 5. Without variations, the training images overtake the
# validation images: the network begins to learn them by heart. This is called **overfitting**.
#
# The table leaves the test images out, because which of the two is better is a choice.

# %%
runs = {"varied images": varied, "images as they are": unvaried}
table = {
    name: {
        "training accuracy in % (last epoch)": 100 * one.history["accuracy"].iloc[-1],
        "validation accuracy in %": 100 * one.metrics["val_accuracy"],
        "validation loss": one.metrics["val_loss"],
    }
    for name, one in runs.items()
}
display(pd.DataFrame(table).round(4))
error, n = 1 - varied.metrics["val_accuracy"], len(splits.y_val)
chance = 100 * (error * (1 - error) / n) ** 0.5
print(f"Chance alone moves an accuracy on {n:,} images by about {chance:.2f} points.")

# %% [markdown]
# ## 12. How much this proves
#
# Little. These are two trainings with one seed each, and another seed can turn a small difference
# round.
# With a share p of mistakes, an accuracy on n images has a standard deviation of √(p (1 - p) / n)
# from one sample of images to the next; the last line above says how much that is here.
# Both networks read the same images, so some of this cancels out. What the seeds do comes on top.
# To find out, train both with ten seeds, and compare the mean values and their deviations. The
# project has a program for it (`pip install -r requirements-extras.txt`, and some patience):
#
# ```bash
# python -m benchmarks.seeds --n 10 --recipe speedrun_995 --epochs 3 --val-size 0.1 --study varied
# python -m benchmarks.seeds --n 10 --recipe speedrun_995 --epochs 3 --val-size 0.1 \
#     --study unvaried --rotation 0 --zoom 0 --shift 0 --shear 0
# ```
#
# **Now you.** Pick one:
#
# - Set `EPOCHS` to 1, then to 6. When does the gain end?
# - Replace `**NO_AUGMENTATION` in chapter 11 by `learning_rate=0.0003`. What do the curves say?
# - Set `DATASET` to `fashion_mnist`. Which clothes are confused, and would you confuse them?
# - Draw a 7 with a bar, or a 1 with a long upstroke. Does the network still read it?
#
# How the project's own recipe was found, with all that did not help, is in `docs/recipe.md`.
