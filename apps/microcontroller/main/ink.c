/* Telling ink from paper, as common/ink.py of the project does, which says more on why. */
#include "ink.h"

#include <math.h>

#define LEAST_CONTRAST (0.05f * INK_FULL) /* between ink and paper */
#define EVEN 0.03f /* spread of the border's brightness, as a share of the frame's */
#define COARSE 4 /* the paper's brightness is found on blocks of 4 x 4 pixels */
#define REACH 6 /* blocks to each side: more than a stroke is wide */

uint8_t ink[MAX_PIXELS];
uint8_t mask[MAX_PIXELS];
static uint8_t blocks[2][(MAX_WIDTH / COARSE) * (MAX_HEIGHT / COARSE)];

int quantile(const uint32_t count[256], float share) {
    uint32_t total = 0, below = 0;
    int value = 0;
    for (int i = 0; i < 256; i++) total += count[i];
    while (value < 255 && (float)(below += count[value]) <= share * (float)total) value++;
    return value;
}

/* The threshold that divides values into two classes as far apart as possible (N. Otsu, 1979). */
static float otsu_threshold(const uint32_t count[256]) {
    float total = 0, sum = 0, below = 0, sum_below = 0, best = -1;
    int first = 0, last = 0;
    for (int i = 0; i < 256; i++) {
        total += (float)count[i];
        sum += (float)count[i] * (float)i;
    }
    for (int i = 0; i < 255; i++) {
        below += (float)count[i];
        sum_below += (float)count[i] * (float)i;
        if (below == 0 || below == total) continue;
        float distance = sum_below / below - (sum - sum_below) / (total - below);
        float between = below * (total - below) * distance * distance;
        if (between > best) first = i;
        if (between >= best) {
            best = between;
            last = i; /* equal values on both sides of a gap */
        }
    }
    return 0.5f * (float)(first + last) + 0.5f;
}

static int middle_of(uint8_t *values, int n) { /* the median; sorts the values */
    for (int i = 1; i < n; i++) {
        uint8_t value = values[i];
        int j = i;
        for (; j > 0 && values[j - 1] > value; j--) values[j] = values[j - 1];
        values[j] = value;
    }
    return values[n / 2];
}

/* The median along one direction removes strokes, but keeps slopes and the edges of shadows. */
static void median_along(const uint8_t *from, uint8_t *to, int columns, int rows, int dx, int dy) {
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            uint8_t near[2 * REACH + 1];
            for (int k = -REACH; k <= REACH; k++) {
                int column = at_least(0, at_most(columns - 1, x + k * dx));
                int row = at_least(0, at_most(rows - 1, y + k * dy));
                near[k + REACH] = from[row * columns + column];
            }
            to[y * columns + x] = (uint8_t)middle_of(near, 2 * REACH + 1);
        }
}

/* The brightness of the frame's border if it is the same all around, so that it is paper; or -1. */
static int even_border(const uint8_t *frame, int width, int height) {
    uint32_t border[256] = {0};
    int low = 255, high = 0;
    for (int i = 0; i < width * height; i++) {
        int x = i % width, y = i / width;
        low = at_most(low, frame[i]);
        high = at_least(high, frame[i]);
        if (x == 0 || y == 0 || x == width - 1 || y == height - 1) border[frame[i]]++;
    }
    float spread = (float)(quantile(border, 0.75f) - quantile(border, 0.25f));
    return spread <= EVEN * (float)(high - low) ? quantile(border, 0.5f) : -1;
}

/* Set blocks[0] to the paper's brightness, block by block. */
static void find_paper(const uint8_t *frame, int width, int height) {
    int columns = width / COARSE, rows = height / COARSE;
    int even = even_border(frame, width, height);
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            int sum = 0;
            for (int k = 0; k < COARSE * COARSE; k++)
                sum += frame[(y * COARSE + k / COARSE) * width + x * COARSE + k % COARSE];
            blocks[0][y * columns + x] = (uint8_t)(even >= 0 ? even : sum / (COARSE * COARSE));
        }
    median_along(blocks[0], blocks[1], columns, rows, 1, 0);
    median_along(blocks[1], blocks[0], columns, rows, 0, 1);
}

/* The paper's brightness at a pixel of some brightness: at the edge of a shadow, the paper has any
 * brightness between those of the blocks around, so the nearest of these is taken. */
static float paper_at(int pixel, int width, int height, float brightness) {
    int columns = width / COARSE, rows = height / COARSE, low = 255, high = 0;
    int column = pixel % width / COARSE, row = pixel / width / COARSE;
    for (int y = at_least(0, row - 1); y <= at_most(rows - 1, row + 1); y++)
        for (int x = at_least(0, column - 1); x <= at_most(columns - 1, column + 1); x++) {
            low = at_most(low, blocks[0][y * columns + x]);
            high = at_least(high, blocks[0][y * columns + x]);
        }
    return clipped(brightness, (float)low, (float)high);
}

/* Set ink: how much darker than the paper a pixel is, or lighter, whichever stands out. */
static void set_ink(const uint8_t *frame, int width, int height) {
    float darker = 0, lighter = 0;
    find_paper(frame, width, height);
    for (int i = 0; i < width * height; i++) {
        float difference = paper_at(i, width, height, frame[i]) - (float)frame[i];
        if (difference > 0) darker += difference * difference;
        else lighter += difference * difference;
    }
    for (int i = 0; i < width * height; i++) {
        float value = frame[i], paper = paper_at(i, width, height, value);
        if (lighter > darker) {
            paper = 255 - paper;
            value = 255 - value;
        }
        float share = 1 - value / clipped(paper, 0.05f * 255, 255);
        ink[i] = (uint8_t)clipped(INK_ZERO + INK_FULL * share + 0.5f, 0, 255);
    }
}

/* ---- Which pixels are inked --------------------------------------------------------------- */

void grow(int width, int height, int reach) {
    for (int turn = 0; turn < 2; turn++) {
        int n_lines = turn ? width : height, n = turn ? height : width;
        int step = turn ? width : 1, next_line = turn ? 1 : width;
        for (int line = 0; line < n_lines; line++) {
            uint8_t *first = mask + line * next_line, old[MAX_WIDTH];
            for (int i = 0; i < n; i++) old[i] = first[i * step];
            for (int i = 0; i < n; i++)
                if (old[i])
                    for (int k = at_least(0, i - reach); k <= at_most(n - 1, i + reach); k++)
                        first[k * step] = 1;
        }
    }
}

/* Set a high threshold, over which a pixel is surely ink, and a low one; return 0 without ink. */
static int find_thresholds(int width, int height, float *low, float *high) {
    uint32_t count[256] = {0}, near[256] = {0};
    int n_pixels = width * height, n_inked = 0;
    for (int i = 0; i < n_pixels; i++) count[ink[i]]++;
    /* Mean and deviation of the paper, if its grain is normal, from the lightest quarter. */
    float quarter = (float)quantile(count, 0.25f);
    float grain = (quarter - (float)quantile(count, 0.05f)) / 0.971f;
    float paper = quarter + 0.674f * grain;
    *high = fmaxf(otsu_threshold(count), paper + 5 * grain);
    for (int i = 0; i < n_pixels; i++) n_inked += mask[i] = ink[i] > *high;
    if (!n_inked) return 0;
    /* Where ink is rare, the threshold lies too near to the paper: again beside the ink. */
    grow(width, height, 3);
    for (int i = 0; i < n_pixels; i++)
        if (mask[i]) near[ink[i]]++;
    *high = fmaxf(otsu_threshold(near), paper + 4 * grain);
    float sum = 0;
    n_inked = 0;
    for (int i = 0; i < n_pixels; i++)
        if (ink[i] > *high) {
            sum += ink[i];
            n_inked++;
        }
    *low = fmaxf(INK_ZERO + 0.45f * (*high - INK_ZERO), paper + 3 * grain);
    return n_inked && sum / (float)n_inked - paper >= LEAST_CONTRAST;
}

int find_ink(const uint8_t *frame, int width, int height, float *low, float *high) {
    set_ink(frame, width, height);
    return find_thresholds(width, height, low, high);
}
