#include "test_vectors.h"

const int8_t test_images[N_TEST_VECTORS][DIGIT_SIDE * DIGIT_SIDE] = {
{% for rows in image_rows %}
{
{{ rows }}
},
{% endfor %}
};

const int8_t test_outputs[N_TEST_VECTORS][MODEL_CLASSES] = {
{% for row in output_rows %}
{ {{ row }} },
{% endfor %}
};
