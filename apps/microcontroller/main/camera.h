/* Grey frames of 160 x 120 pixels from the board's camera. */
#ifndef CAMERA_H
#define CAMERA_H

#include "esp_camera.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Start the camera; prints what is wrong and returns 0 if it does not start. */
int start_camera(void);

#ifdef __cplusplus
}
#endif

#endif
