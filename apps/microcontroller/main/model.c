#include "model.h"

__attribute__((aligned(16))) const uint8_t model_data[MODEL_SIZE] = {
{{ model_rows }}
};
