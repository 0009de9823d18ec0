// The sum behind a pixel of a feature map: which inputs, times which weights.

// Return the parts of one output value of a convolution.
//
// {value, before, bias, size, parts}: `before` is the sum that the activation makes `value` of;
// parts has an entry an input channel, {channel, sum, inputs, weights}, the strongest first.
// inputs and weights are lists of numbers, row by row; size is [rows, columns].
function explainPixel(step, input, output, y, x, channel) {
  const [height, width, inChannels] = step.input;
  const outChannels = step.output[2];
  const [rows, columns] = step.size;
  const parts = Array.from({ length: inChannels }, (_, c) => {
    const [inputs, weights] = [[], []];
    for (let v = 0; v < rows; v++) {
      for (let h = 0; h < columns; h++) {
        const row = y * step.strides[0] + step.start[0] + v;
        const column = x * step.strides[1] + step.start[1] + h;
        const isInside = row >= 0 && row < height && column >= 0 && column < width;
        inputs.push(isInside ? input[(row * width + column) * inChannels + c] : 0);
        weights.push(step.kernel[((v * columns + h) * inChannels + c) * outChannels + channel]);
      }
    }
    const sum = inputs.reduce((total, value, i) => total + value * weights[i], 0);
    return { channel: c, sum, inputs, weights };
  });
  const bias = step.bias[channel];
  const before = parts.reduce((total, part) => total + part.sum, bias);
  parts.sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const value = output[(y * step.output[1] + x) * outChannels + channel];
  return { value, before, bias, size: step.size, parts };
}
