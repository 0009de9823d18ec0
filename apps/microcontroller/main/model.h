/* An int8 network, written by python -m apps.export; do not edit, export it again. */
#ifndef MODEL_H
#define MODEL_H

#include <stdint.h>

#define MODEL_SIZE {{ size }} /* bytes */
#define MODEL_CLASSES {{ n_classes }}
/* A number n stands for scale * (n - zero point): pixels in [0, 1] in, probabilities out. */
#define MODEL_INPUT_SCALE {{ input.scale }}f
#define MODEL_INPUT_ZERO_POINT ({{ input.zero_point }})
#define MODEL_OUTPUT_SCALE {{ output.scale }}f
#define MODEL_OUTPUT_ZERO_POINT ({{ output.zero_point }})
/* Memory to run in, in bytes: {{ arena_source }}. */
#define MODEL_ARENA_SIZE {{ arena }}
/* What the kernels with vector instructions (ESP32-S3, ESP32-P4) may need beside that. */
#define MODEL_VECTOR_SCRATCH {{ scratch }}
/* Operators: {{ operators|join(", ") }}. */

#ifdef __cplusplus
extern "C" {
#endif

extern const uint8_t model_data[MODEL_SIZE];

#ifdef __cplusplus
}
#endif

#endif
