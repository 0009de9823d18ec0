"""The classics of image recognition, adapted to 28x28 pixels.

All but LeNet-5 were made for photos of 224x224 pixels, and their first layers shrink these; here
the first layers keep the size. `width` multiplies all numbers of filters and units, so that a CPU
can train them; 1 is the published width. Where ReLUs follow, weights begin as He et al. (ICCV 2015)
say, so that deep networks without normalisation learn from the start.
"""

import keras
from keras import layers

HE = "he_normal"
# Of GoogLeNet's nine modules, table 1: filters of 1x1; of 3x3 and before it; of 5x5 and before it;
# of 1x1 behind the pooling. None: a pooling that halves the maps.
INCEPTIONS = (
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), None,
    (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128), None,
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
)  # fmt: skip


def lenet5(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Return LeNet-5: 61,706 parameters at (28, 28, 1) and 10 classes.

    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86, 1998. As is usual today, all maps feed all maps, the
    pooling has no weights, and a softmax stands in place of the radial basis functions. Trained
    there for 20 epochs, one image a step, at falling rates; the best with distorted images.

    Args:
        input_shape: (height, width, channels); 28x28 are padded to the paper's 32x32.
        n_classes: width of the softmax output.
    """
    model = keras.Sequential([layers.Input(input_shape)], name="lenet5")
    for filters, padding in ((6, "same"), (16, "valid")):
        model.add(layers.Conv2D(filters, 5, padding=padding, activation="tanh"))
        model.add(layers.AveragePooling2D(2))
    model.add(layers.Flatten())
    for units in (120, 84):
        model.add(layers.Dense(units, activation="tanh"))
    # Probabilities in float32 also when the rest computes in bfloat16.
    model.add(layers.Dense(n_classes, activation="softmax", dtype="float32"))
    return model


def alexnet(input_shape: tuple[int, int, int], n_classes: int, width: float = 0.25) -> keras.Model:
    """Return AlexNet: 1,555,514 parameters at a quarter of its width.

    A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet classification with deep convolutional
    neural networks", NIPS 2012. The first kernels are 3x3 instead of 11x11 at a stride of 4; it is
    not divided between two GPUs, and has no local response normalisation. Trained there for 90
    epochs: SGD with momentum 0.9 and weight decay 0.0005, batches of 128, a rate of 0.01 that was
    divided by 10 three times, on crops, mirror images and changed colours.

    Args:
        input_shape: (height, width, channels).
        n_classes: width of the softmax output.
        width: factor of all filters and units.
    """
    model = keras.Sequential([layers.Input(input_shape)], name="alexnet")
    for filters, size, is_pooled in (
        (96, 3, True), (256, 5, True), (384, 3, False), (384, 3, False), (256, 3, True),
    ):  # fmt: skip
        model.add(_convolution(width * filters, size))
        if is_pooled:
            model.add(layers.MaxPooling2D(3, 2))
    _add_dense(model, width, n_classes)
    return model


def vgg16(input_shape: tuple[int, int, int], n_classes: int, width: float = 0.25) -> keras.Model:
    """Return VGG16: 2,112,442 parameters at a quarter of its width.

    K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image recognition",
    ICLR 2015, configuration D. The fifth pooling is left out: the maps are 1x1 before it. Trained
    there as AlexNet, for 74 epochs in batches of 256.

    Args: as of `alexnet`.
    """
    model = keras.Sequential([layers.Input(input_shape)], name="vgg16")
    for number, (filters, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        for _ in range(depth):
            model.add(_convolution(width * filters, 3))
        if number < 4:
            model.add(layers.MaxPooling2D(2))
    _add_dense(model, width, n_classes)
    return model


def _convolution(filters: float, size: int, strides: int = 1) -> layers.Layer:
    """Return a convolution with ReLU that keeps the size of the maps."""
    if filters <= 0:
        raise ValueError("width must be above 0")
    return layers.Conv2D(
        max(1, round(filters)), size, strides, padding="same", activation="relu",
        kernel_initializer=HE,
    )  # fmt: skip


def _add_dense(model: keras.Sequential, width: float, n_classes: int) -> None:
    """Add the two wide dense layers that AlexNet and VGG16 end in, and the output."""
    model.add(layers.Flatten())
    for _ in range(2):
        units = max(1, round(width * 4096))
        model.add(layers.Dense(units, activation="relu", kernel_initializer=HE))
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(n_classes, activation="softmax", dtype="float32"))


# --- GoogLeNet ----------------------------------------------------------------------------------


def googlenet(
    input_shape: tuple[int, int, int], n_classes: int, width: float = 0.25
) -> keras.Model:
    """Return GoogLeNet: 376,838 parameters at a quarter of its width.

    C. Szegedy et al., "Going deeper with convolutions", CVPR 2015. The first kernels are 3x3
    instead of 7x7, and of its four poolings of 3x3 the first two became one. It has no auxiliary
    outputs: its authors found later that they help little ("Rethinking the inception architecture
    for computer vision", CVPR 2016, section 4), and all networks here have one output. Trained
    there by SGD with momentum 0.9, at a rate that fell by 4 % every eight epochs.

    Args: as of `alexnet`.
    """
    inputs = layers.Input(input_shape)
    hidden = _convolution(width * 64, 3)(inputs)
    hidden = layers.MaxPooling2D(3, 2, padding="same")(hidden)
    hidden = _convolution(width * 64, 1)(hidden)
    hidden = _convolution(width * 192, 3)(hidden)
    for filters in INCEPTIONS:
        if filters is None:
            hidden = layers.MaxPooling2D(3, 2, padding="same")(hidden)
        else:
            hidden = _inception(hidden, [width * number for number in filters])
    hidden = layers.GlobalAveragePooling2D()(hidden)
    hidden = layers.Dropout(0.4)(hidden)
    outputs = layers.Dense(n_classes, activation="softmax", dtype="float32")(hidden)
    return keras.Model(inputs, outputs, name="googlenet")


def _inception(inputs: keras.KerasTensor, filters: list[float]) -> keras.KerasTensor:
    """Return four views of the same maps, side by side: 1x1, 3x3, 5x5 and pooled."""
    single, before_3, of_3, before_5, of_5, pooled = filters
    views = (
        _convolution(single, 1)(inputs),
        _convolution(of_3, 3)(_convolution(before_3, 1)(inputs)),
        _convolution(of_5, 5)(_convolution(before_5, 1)(inputs)),
        _convolution(pooled, 1)(layers.MaxPooling2D(3, 1, padding="same")(inputs)),
    )
    return layers.Concatenate()(views)


# --- ResNet -------------------------------------------------------------------------------------


def resnet20(input_shape: tuple[int, int, int], n_classes: int, width: float = 1.0) -> keras.Model:
    """Return the ResNet of 20 layers for small images: 273,754 parameters.

    K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016,
    section 4.2, made for CIFAR-10. Where the maps shrink, a convolution of 1x1 leads past the
    block (option B of the paper; for CIFAR-10, it pads with zeros). Trained there for 64,000 steps
    of 128 images: SGD with momentum 0.9 and weight decay 0.0001, a rate of 0.1 that was divided by
    10 after 32,000 and 48,000, on mirror images and shifts by up to four pixels.

    Args: as of `alexnet`.
    """
    inputs = layers.Input(input_shape)
    first = max(1, round(16 * width))
    hidden = layers.ReLU()(_normalised(inputs, first, 3, 1))
    for stage in range(3):
        for block in range(3):
            strides = 2 if stage and not block else 1
            hidden = _residual(hidden, first * 2**stage, strides)
    hidden = layers.GlobalAveragePooling2D()(hidden)
    outputs = layers.Dense(n_classes, activation="softmax", dtype="float32")(hidden)
    return keras.Model(inputs, outputs, name="resnet20")


def _residual(inputs: keras.KerasTensor, filters: int, strides: int) -> keras.KerasTensor:
    """Return the maps, plus what two convolutions make of them."""
    hidden = layers.ReLU()(_normalised(inputs, filters, 3, strides))
    hidden = _normalised(hidden, filters, 3, 1)
    past = inputs if strides == 1 else _normalised(inputs, filters, 1, strides)
    return layers.ReLU()(layers.Add()([hidden, past]))


def _normalised(
    inputs: keras.KerasTensor, filters: int, size: int, strides: int
) -> keras.KerasTensor:
    """Return what a convolution and a batch normalisation make of the maps."""
    convolution = layers.Conv2D(
        filters, size, strides, padding="same", use_bias=False, kernel_initializer=HE
    )
    return layers.BatchNormalization()(convolution(inputs))
