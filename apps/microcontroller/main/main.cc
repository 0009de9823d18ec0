// Reads digits from the camera, after a self-test with images whose answers are known.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "camera.h"
#include "esp_heap_caps.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "model.h"
#include "preprocess.h"
#include "sdkconfig.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "test_vectors.h"

namespace {

constexpr int kPixels = DIGIT_SIDE * DIGIT_SIDE;
// Vector instructions round otherwise in the last place, which can add up to some steps of 256.
constexpr int kLargestDifference = 16;
#if CONFIG_IDF_TARGET_ESP32S3 || CONFIG_IDF_TARGET_ESP32P4
constexpr size_t kArenaSize = MODEL_ARENA_SIZE + MODEL_VECTOR_SCRATCH;
#else
constexpr size_t kArenaSize = MODEL_ARENA_SIZE;
#endif

tflite::MicroInterpreter* network = nullptr;

// Returns whether the network is ready to run.
bool StartNetwork() {
  static tflite::MicroMutableOpResolver<{{ operators|length }}> operators;
{% for name in operators %}
  operators.Add{{ name }}();
{% endfor %}
  void* arena = heap_caps_aligned_alloc(16, kArenaSize, MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT);
  if (arena == nullptr)  // slower, but larger
    arena = heap_caps_aligned_alloc(16, kArenaSize, MALLOC_CAP_SPIRAM | MALLOC_CAP_8BIT);
  if (arena == nullptr) {
    printf("memory: no %u bytes in one piece for the network\n", (unsigned)kArenaSize);
    return false;
  }
  static tflite::MicroInterpreter interpreter(tflite::GetModel(model_data), operators,
                                              static_cast<uint8_t*>(arena), kArenaSize);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    printf("memory: %u bytes are too few; raise MODEL_ARENA_SIZE\n", (unsigned)kArenaSize);
    return false;
  }
  printf("memory: the network uses %u of %u bytes\n", (unsigned)interpreter.arena_used_bytes(),
         (unsigned)kArenaSize);
  network = &interpreter;
  return true;
}

// Runs the network on a quantised image; returns its outputs, or null.
const int8_t* Run(const int8_t* image) {
  memcpy(network->input(0)->data.int8, image, kPixels);
  return network->Invoke() == kTfLiteOk ? network->output(0)->data.int8 : nullptr;
}

int Largest(const int8_t* outputs) {
  int best = 0;
  for (int k = 1; k < MODEL_CLASSES; k++)
    if (outputs[k] > outputs[best]) best = k;
  return best;
}

// Runs the network on known images and prints PASS or FAIL.
bool SelfTest() {
  int n_right = 0, difference = 0;
  const int64_t start = esp_timer_get_time();
  for (int i = 0; i < N_TEST_VECTORS; i++) {
    const int8_t* outputs = Run(test_images[i]);
    if (outputs == nullptr) break;
    n_right += Largest(outputs) == Largest(test_outputs[i]);
    for (int k = 0; k < MODEL_CLASSES; k++) {
      const int one = abs(outputs[k] - test_outputs[i][k]);
      if (one > difference) difference = one;
    }
  }
  const long microseconds = (long)((esp_timer_get_time() - start) / N_TEST_VECTORS);
  const bool passes = n_right == N_TEST_VECTORS && difference <= kLargestDifference;
  printf("self-test: %s, %d of %d images, largest difference %d of 256, %ld us an image\n",
         passes ? "PASS" : "FAIL", n_right, N_TEST_VECTORS, difference, microseconds);
  return passes;
}

// Prints what the network gets to see: light and contrast can be judged by it.
void Show(const uint8_t* image) {
  for (int y = 0; y < DIGIT_SIDE; y += 2) {  // letters are twice as tall as wide
    for (int x = 0; x < DIGIT_SIDE; x++) putchar(" .:-=+*#%@"[image[y * DIGIT_SIDE + x] * 10 / 256]);
    putchar('\n');
  }
}

// Reads the digit in a frame and prints it.
void Read(const camera_fb_t* frame) {
  static uint8_t image[kPixels];
  static int8_t quantised[kPixels];
  if (!find_digit(frame->buf, (int)frame->width, (int)frame->height, image)) {
    printf("no digit: more light, the whole digit in the middle, nothing else in the picture\n");
    return;
  }
  for (int i = 0; i < kPixels; i++) {
    const float number = (float)image[i] / 255.0f / MODEL_INPUT_SCALE + MODEL_INPUT_ZERO_POINT;
    quantised[i] = (int8_t)(number < 127.0f ? number + (number < 0 ? -0.5f : 0.5f) : 127.0f);
  }
  const int8_t* outputs = Run(quantised);
  if (outputs == nullptr) return;
  Show(image);
  const int digit = Largest(outputs);
  const float share = (float)(outputs[digit] - MODEL_OUTPUT_ZERO_POINT) * MODEL_OUTPUT_SCALE;
  printf("digit: %d (%d %%)\n", digit, (int)(100 * share + 0.5f));
}

}  // namespace

extern "C" void app_main() {
  if (!StartNetwork() || !SelfTest() || !start_camera()) return;
  while (true) {
    camera_fb_t* frame = esp_camera_fb_get();
    if (frame != nullptr) {
      Read(frame);
      esp_camera_fb_return(frame);
    }
    vTaskDelay(pdMS_TO_TICKS(500));
  }
}
