/* How much ink is at each pixel of a frame, and what else both steps of preprocess.c need. */
#ifndef INK_H
#define INK_H

#include <stdint.h>

#include "preprocess.h"

#define MAX_PIXELS (MAX_WIDTH * MAX_HEIGHT)
#define INK_ZERO 64 /* ink is kept in a byte: paper is 64, what is lighter than paper is less, */
#define INK_FULL 191 /* and full ink is 64 + 191 */

extern uint8_t ink[MAX_PIXELS];
extern uint8_t mask[MAX_PIXELS]; /* 1 or 0 a pixel; later: distances in the enlarged digit */

/* Set ink, and two thresholds: over the high one, a pixel is surely ink, and over the low one if
 * it is connected with such a pixel. Returns 0 if there is no ink. */
int find_ink(const uint8_t *frame, int width, int height, float *low, float *high);

/* Let the mask grow by some pixels to all sides. */
void grow(int width, int height, int reach);

/* The value below which a share of the counted values lies. */
int quantile(const uint32_t count[256], float share);

static inline int at_most(int value, int limit) { return value < limit ? value : limit; }
static inline int at_least(int value, int limit) { return value > limit ? value : limit; }
static inline float clipped(float value, float low, float high) {
    return value < low ? low : value > high ? high : value;
}

#endif
