#include "camera.h"

#include <stdio.h>

#include "sdkconfig.h"

/* The pins between chip and camera: for another board, take them from its documentation. */
#if CONFIG_IDF_TARGET_ESP32S3 /* ESP32-S3-EYE */
#define PINS                                                                              \
    .pin_pwdn = -1, .pin_reset = -1, .pin_xclk = 15, .pin_sccb_sda = 4, .pin_sccb_scl = 5, \
    .pin_d7 = 16, .pin_d6 = 17, .pin_d5 = 18, .pin_d4 = 12, .pin_d3 = 10, .pin_d2 = 8,     \
    .pin_d1 = 9, .pin_d0 = 11, .pin_vsync = 6, .pin_href = 7, .pin_pclk = 13
#else /* ESP32-CAM of AI-Thinker */
#define PINS                                                                               \
    .pin_pwdn = 32, .pin_reset = -1, .pin_xclk = 0, .pin_sccb_sda = 26, .pin_sccb_scl = 27, \
    .pin_d7 = 35, .pin_d6 = 34, .pin_d5 = 39, .pin_d4 = 36, .pin_d3 = 21, .pin_d2 = 19,     \
    .pin_d1 = 18, .pin_d0 = 5, .pin_vsync = 25, .pin_href = 23, .pin_pclk = 22
#endif

int start_camera(void) {
    const camera_config_t config = {
        PINS,
        .xclk_freq_hz = 20000000,
        .ledc_timer = LEDC_TIMER_0,
        .ledc_channel = LEDC_CHANNEL_0,
        .pixel_format = PIXFORMAT_GRAYSCALE,
        .frame_size = FRAMESIZE_QQVGA,
        .fb_count = 1,
        .fb_location = CAMERA_FB_IN_DRAM, /* 19 KB: also on boards without external RAM */
        .grab_mode = CAMERA_GRAB_WHEN_EMPTY,
    };
    esp_err_t error = esp_camera_init(&config);
    if (error != ESP_OK)
        printf("camera: error 0x%x. Check its cable and the pins in camera.c\n", (unsigned)error);
    return error == ESP_OK;
}
