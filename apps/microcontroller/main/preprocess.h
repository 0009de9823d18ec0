/* From a grey camera frame to what the network was trained on: a digit of MNIST. */
#ifndef PREPROCESS_H
#define PREPROCESS_H

#include <stdint.h>

#define MAX_WIDTH 160 /* pixels of a frame: QQVGA */
#define MAX_HEIGHT 120
#define DIGIT_SIDE 28 /* pixels of the image that the network takes */

#ifdef __cplusplus
extern "C" {
#endif

/* Find the digit in a frame; all ink is one digit, but for what touches the frame's edge.
 *
 * frame: grey, row by row; dark ink on light paper or light on dark, in uneven light.
 * image: is set to the digit, white (255) on black (0), 20 pixels tall or wide, and centred.
 *
 * Returns 1, or 0 if there is no digit, or the frame is larger than MAX_WIDTH x MAX_HEIGHT; the
 * image then is as before. It works in static memory: call it from one task only.
 */
int find_digit(const uint8_t *frame, int width, int height,
               uint8_t image[DIGIT_SIDE * DIGIT_SIDE]);

#ifdef __cplusplus
}
#endif

#endif
