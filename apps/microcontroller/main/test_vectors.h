/* Test images of the data set, quantised, and what the network makes of each. */
#ifndef TEST_VECTORS_H
#define TEST_VECTORS_H

#include <stdint.h>

#include "model.h"
#include "preprocess.h"

#define N_TEST_VECTORS {{ n_vectors }}

#ifdef __cplusplus
extern "C" {
#endif

extern const int8_t test_images[N_TEST_VECTORS][DIGIT_SIDE * DIGIT_SIDE];
extern const int8_t test_outputs[N_TEST_VECTORS][MODEL_CLASSES];

#ifdef __cplusplus
}
#endif

#endif
