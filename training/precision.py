"""From a network that was trained in bfloat16 to one that runs anywhere."""

from typing import Any

import keras


def in_float32(network: keras.Model) -> keras.Model:
    """Return the network with the same weights, computing in float32; one that does, as it is.

    Weights are kept in float32 in training, too; only what is computed with them changes. Many
    converters and small devices know no bfloat16.
    """
    if all(layer.dtype_policy.name == "float32" for layer in network._flatten_layers()):
        return network
    config = _with_float32(keras.saving.serialize_keras_object(network))
    of_training = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # models and their inputs take this one
    try:
        converted = keras.saving.deserialize_keras_object(config)
    finally:
        keras.config.set_dtype_policy(of_training)
    converted.set_weights(network.get_weights())
    return converted


def _with_float32(config: Any) -> Any:
    """Return a copy of a layer's configuration in which every dtype policy is float32."""
    if isinstance(config, list | tuple):
        return type(config)(_with_float32(value) for value in config)
    if not isinstance(config, dict):
        return config
    if str(config.get("class_name", "")).endswith("DTypePolicy"):
        return keras.saving.serialize_keras_object(keras.DTypePolicy("float32"))
    return {key: _with_float32(value) for key, value in config.items() if key != "compile_config"}
