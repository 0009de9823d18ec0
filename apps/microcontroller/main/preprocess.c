/* The same steps as common/ink.py and common/pictures.py of the project, which say more on why:
 *
 *   frame -> how much ink is at each pixel -> which pixels are inked -> parts that are connected
 *   -> one digit, enlarged -> strokes as thick as MNIST's -> 28 x 28 pixels, centre of mass in the
 *   middle (Y. LeCun et al., Proceedings of the IEEE 86, 1998, section III A).
 */
#include "preprocess.h"

#include <math.h>
#include <string.h>

#include "ink.h"

#define LEAST_DIGIT 12 /* pixels of its longer side */
#define LEAST_PART 0.12f /* a part smaller than this share of the largest is a speck */
#define MAX_RUNS 1500 /* more is no writing, but texture */
#define SOFT_RIM 2 /* pixels around a digit that are its soft edges */
#define FINE 100 /* pixels of the longer side, while strokes are changed */
#define MARGIN 19
#define FINE_SIDE (FINE + 2 * MARGIN)
#define FINE_PIXELS (FINE_SIDE * FINE_SIDE)
#define BOX 20.0f /* pixels of a digit's longer side in the image */
#define STROKE_WIDTH 2.4f /* pixels in the image: thinner strokes get this one */
#define GREATEST_WIDTH 5.0f

typedef struct {
    uint8_t row, start, stop; /* the pixels start, ..., stop - 1 */
    uint8_t is_strong;        /* one of them is surely ink */
    uint16_t parent;          /* a run of the same part; itself, if it stands for the part */
} Run;

typedef struct {
    int left, top, right, bottom; /* right and bottom are outside */
} Box;

static uint8_t fine[FINE_PIXELS];
typedef char distances_fit_into_mask[FINE_PIXELS <= MAX_PIXELS ? 1 : -1];
static Run runs[MAX_RUNS];

static int longer_side(Box box) {
    return at_least(box.right - box.left, box.bottom - box.top);
}

/* ---- Parts -------------------------------------------------------------------------------- */

static int part_of(int run) {
    while (runs[run].parent != run) run = runs[run].parent;
    return run;
}

static void join(int one, int other) { /* the earlier run stands for both */
    one = part_of(one);
    other = part_of(other);
    if (one < other) runs[other].parent = (uint16_t)one;
    else runs[one].parent = (uint16_t)other;
}

/* Find the runs of inked pixels and join those that touch; return how many there are. */
static int find_runs(int width, int height, float low, float high) {
    int n_runs = 0, above = 0; /* the first run of the row above */
    for (int y = 0; y < height; y++) {
        int first = n_runs;
        for (int x = 0; x < width; x++) {
            if (ink[y * width + x] <= low) continue;
            if (n_runs == MAX_RUNS) return 0;
            Run run = {(uint8_t)y, (uint8_t)x, 0, 0, (uint16_t)n_runs};
            for (; x < width && ink[y * width + x] > low; x++)
                run.is_strong |= ink[y * width + x] > high;
            run.stop = (uint8_t)x;
            runs[n_runs] = run;
            for (int k = above; k < first; k++)
                if (runs[k].start <= run.stop && run.start <= runs[k].stop) join(k, n_runs);
            n_runs++;
        }
        above = first;
    }
    for (int k = 0; k < n_runs; k++) runs[k].parent = (uint16_t)part_of(k);
    return n_runs;
}

/* The box around a part; it is empty, at 0, if the part is not sure or touches the frame. */
static Box box_of(int part, int n_runs, int width, int height) {
    Box box = {width, height, 0, 0};
    int is_strong = 0;
    for (int k = part; k < n_runs; k++) {
        if (runs[k].parent != part) continue;
        box.left = at_most(box.left, runs[k].start);
        box.right = at_least(box.right, runs[k].stop);
        box.top = at_most(box.top, runs[k].row);
        box.bottom = at_least(box.bottom, runs[k].row + 1);
        is_strong |= runs[k].is_strong;
    }
    int touches = box.left == 0 || box.top == 0 || box.right == width || box.bottom == height;
    return is_strong && !touches ? box : (Box){0, 0, 0, 0};
}

/* Set the mask to the digit's parts and their soft edges; return the box around the parts. */
static Box find_parts(int n_runs, int width, int height) {
    int largest = 0;
    Box digit = {width, height, 0, 0};
    memset(mask, 0, sizeof mask);
    for (int k = 0; k < n_runs; k++)
        if (runs[k].parent == k)
            largest = at_least(largest, longer_side(box_of(k, n_runs, width, height)));
    if (largest < LEAST_DIGIT) return (Box){0, 0, 0, 0};
    for (int part = 0; part < n_runs; part++) {
        if (runs[part].parent != part) continue;
        Box box = box_of(part, n_runs, width, height);
        if ((float)longer_side(box) < LEAST_PART * (float)largest) continue;
        digit.left = at_most(digit.left, box.left);
        digit.top = at_most(digit.top, box.top);
        digit.right = at_least(digit.right, box.right);
        digit.bottom = at_least(digit.bottom, box.bottom);
        for (int k = part; k < n_runs; k++)
            if (runs[k].parent == part)
                memset(mask + runs[k].row * width + runs[k].start, 1,
                       (size_t)(runs[k].stop - runs[k].start));
    }
    grow(width, height, SOFT_RIM);
    return digit;
}

/* ---- A digit as MNIST has it -------------------------------------------------------------- */

/* The value at a place between pixels, whose middles lie at whole numbers. */
static float between_pixels(const uint8_t *pixels, int width, int height, float x, float y) {
    x = clipped(x, 0, (float)(width - 1));
    y = clipped(y, 0, (float)(height - 1));
    int left = at_most((int)x, width - 2), top = at_most((int)y, height - 2);
    const uint8_t *corner = pixels + top * width + left;
    float right = x - (float)left, down = y - (float)top;
    float above = (float)corner[0] + right * (float)(corner[1] - corner[0]);
    float below = (float)corner[width] + right * (float)(corner[width + 1] - corner[width]);
    return above + down * (below - above);
}

/* Set fine to the digit's ink, enlarged: 0 is paper. */
static void enlarge(Box box, int width, int height) {
    float step = (float)longer_side(box) / FINE; /* frame pixels per fine pixel */
    for (int i = 0; i < width * height; i++)
        ink[i] = mask[i] && ink[i] > INK_ZERO ? (uint8_t)(ink[i] - INK_ZERO) : 0;
    for (int v = 0; v < FINE_SIDE; v++)
        for (int u = 0; u < FINE_SIDE; u++) {
            float x = (float)box.left + ((float)(u - MARGIN) + 0.5f) * step - 0.5f;
            float y = (float)box.top + ((float)(v - MARGIN) + 0.5f) * step - 0.5f;
            int is_outside = x < 0 || y < 0 || x > (float)(width - 1) || y > (float)(height - 1);
            float value = is_outside ? 0 : between_pixels(ink, width, height, x, y);
            fine[v * FINE_SIDE + u] = (uint8_t)(value + 0.5f);
        }
}

static void shorten(uint8_t *distance, int other, int cost) {
    if (other + cost < *distance) *distance = (uint8_t)(other + cost);
}

/* Set mask to the distance, in thirds of a fine pixel, to pixels over the edge, or to the others
 * (G. Borgefors, "Distance transformations in digital images", 1986: steps of 3, diagonal 4). */
static void find_distances(float edge, int to_inside) {
    for (int i = 0; i < FINE_PIXELS; i++) mask[i] = (fine[i] > edge) == to_inside ? 0 : 255;
    for (int way = 1; way >= -1; way -= 2)
        for (int k = 0; k < FINE_PIXELS; k++) {
            int i = way > 0 ? k : FINE_PIXELS - 1 - k, x = i % FINE_SIDE, y = i / FINE_SIDE;
            int has_side = way > 0 ? x > 0 : x < FINE_SIDE - 1;
            int has_line = way > 0 ? y > 0 : y < FINE_SIDE - 1;
            int has_far = way > 0 ? x < FINE_SIDE - 1 : x > 0;
            int line = i - way * FINE_SIDE;
            if (has_side) shorten(&mask[i], mask[i - way], 3);
            if (has_line) shorten(&mask[i], mask[line], 3);
            if (has_line && has_side) shorten(&mask[i], mask[line - way], 4);
            if (has_line && has_far) shorten(&mask[i], mask[line + way], 4);
        }
}

/* The box around the fine pixels over a value. */
static Box fine_box(float edge) {
    Box box = {FINE_SIDE, FINE_SIDE, 0, 0};
    for (int i = 0; i < FINE_PIXELS; i++) {
        if (fine[i] <= edge) continue;
        box.left = at_most(box.left, i % FINE_SIDE);
        box.right = at_least(box.right, i % FINE_SIDE + 1);
        box.top = at_most(box.top, i / FINE_SIDE);
        box.bottom = at_least(box.bottom, i / FINE_SIDE + 1);
    }
    return box;
}

/* Let fine become coverage, 0 to 255, by strokes that are as thick as MNIST's. */
static void set_strokes(float edge) {
    uint32_t count[256] = {0};
    float sum = 0, n_inside = 0;
    find_distances(edge, 0);
    for (int i = 0; i < FINE_PIXELS; i++) {
        if (fine[i] <= edge) continue;
        count[fine[i]]++;
        sum += (float)mask[i] / 3;
        n_inside++;
    }
    /* Along a stroke, depths of 1, 2, ..., width / 2 are equally frequent. */
    float width = fmaxf(1, 4 * sum / n_inside - 2);
    float longer = (float)longer_side(fine_box(edge));
    float wanted = clipped(width * BOX / longer, STROKE_WIDTH, GREATEST_WIDTH);
    /* By growing a rim on all sides, strokes get thicker and the digit gets larger. */
    float rim = (wanted * longer / BOX - width) / (2 * (1 - wanted / BOX));
    float full = (float)quantile(count, 0.5f);
    if (rim >= 0.5f) find_distances(edge, 1);
    else if (rim <= -0.5f) rim = fmaxf(rim, -0.25f * width); /* breaks no thin stroke */
    for (int i = 0; i < FINE_PIXELS; i++) {
        float distance = (float)mask[i] / 3, coverage = (float)fine[i] / full;
        if (rim >= 0.5f) coverage = rim + 1 - distance;
        else if (rim <= -0.5f) coverage = rim + distance;
        fine[i] = (uint8_t)(255 * clipped(coverage, 0, 1) + 0.5f);
    }
}

/* Average fine down to 20 pixels, with the centre of mass in the middle of 28. */
static void place(uint8_t image[DIGIT_SIDE * DIGIT_SIDE]) {
    float sum = 0, sum_x = 0, sum_y = 0;
    for (int i = 0; i < FINE_PIXELS; i++) {
        sum += fine[i];
        sum_x += fine[i] * ((float)(i % FINE_SIDE) + 0.5f);
        sum_y += fine[i] * ((float)(i / FINE_SIDE) + 0.5f);
    }
    Box box = fine_box(127);
    float scale = (float)longer_side(box) / BOX, half = 0.5f * DIGIT_SIDE * scale;
    float reach = half - 0.5f * scale; /* what is inked has to lie in the image */
    float x = fminf(fmaxf(sum_x / sum, (float)box.right - reach), (float)box.left + reach);
    float y = fminf(fmaxf(sum_y / sum, (float)box.bottom - reach), (float)box.top + reach);
    for (int i = 0; i < DIGIT_SIDE * DIGIT_SIDE; i++) {
        float column = x - half + scale * (float)(i % DIGIT_SIDE);
        float row = y - half + scale * (float)(i / DIGIT_SIDE);
        int left = (int)floorf(column + 0.5f), right = (int)floorf(column + scale + 0.5f);
        int top = (int)floorf(row + 0.5f), bottom = (int)floorf(row + scale + 0.5f), total = 0;
        for (int v = at_least(0, top); v < at_most(FINE_SIDE, bottom); v++)
            for (int u = at_least(0, left); u < at_most(FINE_SIDE, right); u++)
                total += fine[v * FINE_SIDE + u];
        image[i] = (uint8_t)((float)total / (float)((right - left) * (bottom - top)) + 0.5f);
    }
}

int find_digit(const uint8_t *frame, int width, int height,
               uint8_t image[DIGIT_SIDE * DIGIT_SIDE]) {
    float low, high;
    int is_small = width < LEAST_DIGIT || height < LEAST_DIGIT;
    if (is_small || width > MAX_WIDTH || height > MAX_HEIGHT) return 0;
    if (!find_ink(frame, width, height, &low, &high)) return 0;
    Box box = find_parts(find_runs(width, height, low, high), width, height);
    if (longer_side(box) < LEAST_DIGIT) return 0;
    enlarge(box, width, height);
    set_strokes(low - INK_ZERO);
    place(image);
    return 1;
}
