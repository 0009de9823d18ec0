// From strokes to the image that the network sees.
//
// A stroke is a list of points {x, y}; the unit is the side of the drawing field. They are drawn
// into the image by arithmetic alone: a browser that guards its user's privacy returns noise when
// a canvas is read back.

const SAMPLES = 10; // a side: each pixel of the image is sampled 10 x 10 times
const SMALLEST = 0.05; // of the field's side: what is smaller is a dot, and no digit

// Return {pixels, isDigit}, or null for no stroke.
//
// pixels: Float32Array(side * side), 0 (black) to 1 (white), as MNIST's images are made: the
// longer side of the ink, with the width of its line, is `box` pixels long, and its centre of mass
// lies in the middle of the image. A pixel is as bright as the share of it that ink covers; ink is
// what lies within half a strokeWidth of a stroke.
function drawStrokes(strokes, { side, box, strokeWidth }) {
  const points = strokes.flat();
  if (!points.length) return null;
  const [left, right] = extremes(points.map((point) => point.x));
  const [top, bottom] = extremes(points.map((point) => point.y));
  const longest = Math.max(right - left, bottom - top);
  const scale = (box - strokeWidth) / Math.max(longest, SMALLEST);
  const radius = strokeWidth / 2;
  // First with the ink's upper left corner in the image's corner, to learn its centre of mass.
  const corner = { scale, x: radius - left * scale, y: radius - top * scale };
  const mass = massOf(coverage(strokes, corner, side, radius), side);
  // The shift is a real number: no rounding makes the image jump. None may push ink out of it.
  const limit = (shift, length) => Math.min(Math.max(shift, 0), side - length - strokeWidth);
  const placed = {
    scale,
    x: corner.x + limit(side / 2 - mass.x, (right - left) * scale),
    y: corner.y + limit(side / 2 - mass.y, (bottom - top) * scale),
  };
  return { pixels: coverage(strokes, placed, side, radius), isDigit: longest >= SMALLEST };
}

function extremes(values) {
  return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}

// Return the centre of mass {x, y} of an image, in pixels from its upper left corner.
function massOf(pixels, side) {
  let [sum, x, y] = [0, 0, 0];
  pixels.forEach((value, i) => {
    sum += value;
    x += value * ((i % side) + 0.5);
    y += value * (Math.floor(i / side) + 0.5);
  });
  return { x: x / sum, y: y / sum };
}

// Return the share of each pixel that the strokes cover, moved and scaled by `place`.
function coverage(strokes, place, side, radius) {
  const width = side * SAMPLES;
  const covered = new Uint8Array(width * width);
  for (const stroke of strokes) {
    const moved = stroke.map((point) => ({
      x: (point.x * place.scale + place.x) * SAMPLES,
      y: (point.y * place.scale + place.y) * SAMPLES,
    }));
    moved.forEach((point, i) => {
      coverSegment(covered, width, moved[Math.max(i - 1, 0)], point, radius * SAMPLES);
    });
  }
  const pixels = new Float32Array(side * side);
  for (let i = 0; i < covered.length; i++) {
    if (!covered[i]) continue;
    const [row, column] = [Math.floor(i / width / SAMPLES), Math.floor((i % width) / SAMPLES)];
    pixels[row * side + column] += 1;
  }
  return pixels.map((count) => count / SAMPLES ** 2);
}

// Mark the samples that lie within the radius of the line from a to b.
function coverSegment(covered, width, a, b, radius) {
  const inside = (value) => Math.min(Math.max(value, 0), width);
  const [fromX, toX] = [Math.min(a.x, b.x) - radius, Math.max(a.x, b.x) + radius];
  const [fromY, toY] = [Math.min(a.y, b.y) - radius, Math.max(a.y, b.y) + radius];
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const squaredLength = dx * dx + dy * dy || 1; // of a dot, any number
  for (let row = inside(Math.floor(fromY)); row < inside(Math.ceil(toY)); row++) {
    for (let column = inside(Math.floor(fromX)); column < inside(Math.ceil(toX)); column++) {
      const [x, y] = [column + 0.5 - a.x, row + 0.5 - a.y];
      const along = Math.min(Math.max((x * dx + y * dy) / squaredLength, 0), 1);
      const [restX, restY] = [x - along * dx, y - along * dy];
      if (restX * restX + restY * restY <= radius * radius) covered[row * width + column] = 1;
    }
  }
}
