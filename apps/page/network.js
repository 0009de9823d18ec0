// The network: weights from the page, and the loops that compute its steps.
//
// A tensor lies in a Float32Array, row by row, a pixel's channels side by side. Each pass of the
// network keeps the outputs of its steps, so that the maps and the sums can be shown afterwards,
// and so that nothing is allocated while somebody draws.

// Return the numbers of all kernels: base64 holds them as int16 or float32, little-endian.
function decodeNumbers(base64, precision) {
  const { buffer } = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return precision === "int16" ? new Int16Array(buffer) : new Float32Array(buffer);
}

// Return the network ready to compute: steps with their weights, passes with their outputs.
function loadNetwork(description, base64) {
  const numbers = decodeNumbers(base64, description.precision);
  const steps = description.steps.map((step) => {
    const ready = { ...step, activate: ACTIVATIONS[step.activation ?? "linear"] };
    for (const [name, values] of Object.entries(step.weights)) {
      if (name !== "kernel") ready[name] = Float32Array.from(values);
    }
    if (step.weights.kernel) {
      const { start, shape, unit } = step.weights.kernel;
      const stored = numbers.subarray(start, start + sizeOf(shape));
      ready.kernel = Float32Array.from(stored, (value) => value * unit);
      ready.size = shape.slice(0, 2);
    }
    return ready;
  });
  const passes = description.passes.map(({ share, steps: places }) => ({
    share,
    steps: places.map((place) => steps[place]),
    outputs: places.map((place) => new Float32Array(sizeOf(steps[place].output))),
  }));
  return { passes, nClasses: sizeOf(passes[0].steps.at(-1).output) };
}

function sizeOf(shape) {
  return shape.reduce((product, side) => product * side, 1);
}

// Compute one pass for an image (Float32Array, 0 to 1); return its probabilities.
function runPass(pass, image) {
  let input = image;
  pass.steps.forEach((step, place) => {
    const output = pass.outputs[place];
    STEPS[step.kind](step, input, output);
    step.activate(output);
    input = output;
  });
  return input;
}

// Return what the whole network makes of an image: the mean of its passes.
function classify(network, image) {
  const mean = new Float32Array(network.nClasses);
  for (const pass of network.passes) addShare(mean, pass, runPass(pass, image));
  return mean;
}

function addShare(mean, pass, probabilities) {
  probabilities.forEach((value, k) => (mean[k] += pass.share * value));
}

// --- Steps: from an input into an output of the right size -------------------------------------

const STEPS = { convolution, dense, scale, pool, window: cutWindow, flatten: copy, activation: copy };

// For each output pixel, gather the values under the kernel that are not 0 (after ReLU, and on
// black, most are), then add each times its row of the kernel: a weight for every output channel.
function convolution(step, input, output) {
  const [inHeight, inWidth, inChannels] = step.input;
  const [outHeight, outWidth, outChannels] = step.output;
  const [kernelHeight, kernelWidth] = step.size;
  const gathered = scratch(kernelHeight * kernelWidth * inChannels, outChannels);
  const { values, rows, sums } = gathered;
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      let count = 0;
      for (let v = 0; v < kernelHeight; v++) {
        const row = y * step.strides[0] + step.start[0] + v;
        if (row < 0 || row >= inHeight) continue;
        for (let h = 0; h < kernelWidth; h++) {
          const column = x * step.strides[1] + step.start[1] + h;
          if (column < 0 || column >= inWidth) continue;
          const from = (row * inWidth + column) * inChannels;
          let weights = (v * kernelWidth + h) * inChannels * outChannels;
          for (let c = 0; c < inChannels; c++, weights += outChannels) {
            const value = input[from + c];
            if (value === 0) continue;
            values[count] = value;
            rows[count++] = weights;
          }
        }
      }
      sums.set(step.bias);
      addRows(step.kernel, gathered, count, outChannels);
      output.set(sums, (y * outWidth + x) * outChannels);
    }
  }
}

function dense(step, input, output) {
  const gathered = scratch(input.length, output.length);
  let count = 0;
  for (let c = 0; c < input.length; c++) {
    if (input[c] === 0) continue;
    gathered.values[count] = input[c];
    gathered.rows[count++] = c * output.length;
  }
  gathered.sums.set(step.bias);
  addRows(step.kernel, gathered, count, output.length);
  output.set(gathered.sums);
}

// Add values times rows of the kernel to the sums, four rows at a time: a sum is then read and
// written once for four products.
function addRows(kernel, { values, rows, sums }, count, length) {
  let i = 0;
  for (; i + 3 < count; i += 4) {
    const [a, b, c, d] = [values[i], values[i + 1], values[i + 2], values[i + 3]];
    const [p, q, r, s] = [rows[i], rows[i + 1], rows[i + 2], rows[i + 3]];
    for (let k = 0; k < length; k++) {
      sums[k] += a * kernel[p + k] + b * kernel[q + k] + c * kernel[r + k] + d * kernel[s + k];
    }
  }
  for (; i < count; i++) {
    for (let k = 0; k < length; k++) sums[k] += values[i] * kernel[rows[i] + k];
  }
}

// Return working memory for so many inputs and outputs, always the same for the same sizes.
function scratch(nInputs, nOutputs) {
  const key = nInputs * 65536 + nOutputs;
  let memory = scratch.kept.get(key);
  if (!memory) {
    memory = {
      values: new Float64Array(nInputs),
      rows: new Int32Array(nInputs),
      sums: new Float64Array(nOutputs),
    };
    scratch.kept.set(key, memory);
  }
  return memory;
}
scratch.kept = new Map();

// Batch normalisation that stands alone.
function scale(step, input, output) {
  const channels = step.scale.length;
  for (let i = 0, c = 0; i < input.length; i++) {
    output[i] = input[i] * step.scale[c] + step.shift[c];
    if (++c === channels) c = 0;
  }
}

// The largest value, or the mean, of each window; what lies outside the image does not count.
function pool(step, input, output) {
  const [inHeight, inWidth, channels] = step.input;
  const [outHeight, outWidth] = step.output;
  for (let y = 0, to = 0; y < outHeight; y++) {
    const firstRow = y * step.strides[0] + step.start[0];
    const [top, bottom] = [Math.max(firstRow, 0), Math.min(firstRow + step.size[0], inHeight)];
    for (let x = 0; x < outWidth; x++, to += channels) {
      const first = x * step.strides[1] + step.start[1];
      const [left, right] = [Math.max(first, 0), Math.min(first + step.size[1], inWidth)];
      const area = (bottom - top) * (right - left);
      for (let c = 0; c < channels; c++) {
        let result = step.max ? -Infinity : 0;
        for (let row = top; row < bottom; row++) {
          for (let column = left; column < right; column++) {
            const value = input[(row * inWidth + column) * channels + c];
            if (!step.max) result += value / area;
            else if (value > result) result = value;
          }
        }
        output[to + c] = result;
      }
    }
  }
}

// Padding and cropping: the window on the image, with zeros where it reaches beyond.
function cutWindow(step, input, output) {
  const [inHeight, inWidth, channels] = step.input;
  const [outHeight, outWidth] = step.output;
  for (let y = 0, to = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      const [row, column] = [y + step.start[0], x + step.start[1]];
      const isInside = row >= 0 && row < inHeight && column >= 0 && column < inWidth;
      const from = (row * inWidth + column) * channels;
      for (let c = 0; c < channels; c++) output[to++] = isInside ? input[from + c] : 0;
    }
  }
}

function copy(step, input, output) {
  output.set(input);
}

// --- Activations: in place ----------------------------------------------------------------------

const ACTIVATIONS = {
  linear() {},
  relu(values) {
    for (let i = 0; i < values.length; i++) if (values[i] < 0) values[i] = 0;
  },
  sigmoid(values) {
    values.forEach((value, i) => (values[i] = 1 / (1 + Math.exp(-value))));
  },
  tanh(values) {
    values.forEach((value, i) => (values[i] = Math.tanh(value)));
  },
  softmax(values) {
    const largest = values.reduce((a, b) => Math.max(a, b));
    let sum = 0;
    for (let i = 0; i < values.length; i++) {
      values[i] = Math.exp(values[i] - largest); // so that none overflows
      sum += values[i];
    }
    for (let i = 0; i < values.length; i++) values[i] /= sum;
  },
};
