// The feature maps of every convolution, and the pixel that somebody points at.

const TILE = { few: 52, many: 42, onPhone: 0.65 }; // about a map's side on the screen, in pixels
const MANY = 64; // maps in a layer
const GAP = 4;

// Colours by strength: from black over blue to white; what is below 0, over vermilion.
const COLOURS = {
  positive: colourTable([[0, 0, 0], [0, 90, 150], [86, 180, 233], [255, 255, 255]]),
  negative: colourTable([[0, 0, 0], [150, 60, 0], [230, 130, 40], [255, 255, 255]]),
};

// Return 256 colours between some stops, each as the 32 bits that a canvas keeps of a pixel.
function colourTable(stops) {
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) ** 0.8 * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    const mix = (k) => Math.round(stops[low][k] + (stops[low + 1][k] - stops[low][k]) * (place - low));
    return (255 << 24) | (mix(2) << 16) | (mix(1) << 8) | mix(0);
  });
}

// Return the maps of a pass, in a container: {draw(isEmpty)}. Only what is on the screen is drawn.
//
// onPixel(layer, pixel, event) is called for the pixel {channel, y, x} that is pointed at, or with
// pixel null. A layer is {number, step, input(), output}.
function createMaps(container, pass, image, onPixel) {
  const layers = convolutionsOf(pass, image).map((layer) => addLayer(container, layer, onPixel));
  const arrange = () => layers.forEach((layer) => arrangeTiles(layer, container.clientWidth));
  arrange();
  const maps = {
    layers,
    draw(isEmpty) {
      maps.isEmpty = isEmpty;
      for (const layer of layers) if (layer.isOnScreen) drawLayer(layer, isEmpty);
    },
  };
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const layer = layers.find((one) => one.canvas === entry.target);
      layer.isOnScreen = entry.isIntersecting;
      if (layer.isOnScreen) drawLayer(layer, maps.isEmpty);
    }
  });
  for (const layer of layers) observer.observe(layer.canvas);
  maps.draw(true);
  new ResizeObserver(() => {
    arrange();
    maps.draw(maps.isEmpty);
  }).observe(container);
  return maps;
}

// Return the convolutions of a pass, each with where its input and its output lie.
function convolutionsOf(pass, image) {
  return pass.steps
    .map((step, place) => ({
      step,
      input: place ? pass.outputs[place - 1] : image,
      output: pass.outputs[place],
    }))
    .filter((layer) => layer.step.kind === "convolution")
    .map((layer, i) => ({ ...layer, number: i + 1 }));
}

function addLayer(container, layer, onPixel) {
  const [height, width, channels] = layer.step.output;
  const title = document.createElement("h3");
  const size = document.createElement("span");
  size.textContent = ` · ${channels} maps of ${height} × ${width}`;
  title.append(`Convolution ${layer.number}`, size);
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Maps of convolution ${layer.number}; arrow keys choose a pixel`);
  container.append(title, canvas);
  layer = { ...layer, canvas, chosen: null, isOnScreen: true };

  function choose(pixel, event) {
    layer.chosen = pixel;
    paint(layer);
    onPixel(layer, pixel, event);
  }
  const point = (event) => choose(pixelAt(layer, event), event);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") point(event); // fingers scroll
  });
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") choose(null, event);
  });
  canvas.addEventListener("blur", (event) => choose(null, event));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(neighbour(layer, ...step), event);
  });
  return layer;
}

// Lay the maps out in rows, each enlarged by a whole number.
function arrangeTiles(layer, width) {
  const [height, mapWidth, channels] = layer.step.output;
  const size = (channels < MANY ? TILE.few : TILE.many) * (width < 480 ? TILE.onPhone : 1);
  const zoom = Math.max(1, Math.round(size / mapWidth));
  const pitch = { x: mapWidth * zoom + GAP, y: height * zoom + GAP };
  const most = Math.max(1, Math.floor((width + GAP) / pitch.x));
  const columns = Math.ceil(channels / Math.ceil(channels / most)); // rows of about equal length
  layer.tiles = { zoom, pitch, columns };
  const { canvas } = layer;
  canvas.width = columns * pitch.x - GAP;
  canvas.height = Math.ceil(channels / columns) * pitch.y - GAP;
  layer.picture = new ImageData(canvas.width, canvas.height);
  layer.corners = Int32Array.from({ length: 2 * channels }, (_, i) => {
    return cornerOf(layer.tiles, i >> 1, 0, 0)[i % 2];
  });
}

// Draw a layer's maps; bright is the layer's largest value, so that maps compare.
function drawLayer(layer, isEmpty) {
  const { output, picture, step, corners } = layer;
  const { zoom } = layer.tiles;
  const [height, width, channels] = step.output;
  const pixels = new Uint32Array(picture.data.buffer);
  let largest = 1e-6;
  for (let i = 0; i < output.length; i++) largest = Math.max(largest, Math.abs(output[i]));
  const strength = isEmpty ? 0 : 255 / largest;
  for (let i = 0, y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++, i++) {
        const table = output[i] < 0 ? COLOURS.negative : COLOURS.positive;
        const colour = table[Math.round(Math.abs(output[i]) * strength)];
        const left = corners[2 * c] + x * zoom;
        const top = corners[2 * c + 1] + y * zoom;
        for (let row = 0; row < zoom; row++) {
          const start = (top + row) * picture.width + left;
          for (let column = 0; column < zoom; column++) pixels[start + column] = colour;
        }
      }
    }
  }
  paint(layer);
}

// Put the picture onto the screen, with a frame around the pixel that is pointed at.
function paint({ canvas, picture, tiles, chosen }) {
  const context = canvas.getContext("2d");
  context.putImageData(picture, 0, 0);
  if (!chosen) return;
  const [left, top] = cornerOf(tiles, chosen.channel, chosen.y, chosen.x);
  context.strokeStyle = "#e69f00";
  context.lineWidth = 2;
  context.strokeRect(left - 1, top - 1, tiles.zoom + 2, tiles.zoom + 2);
}

function cornerOf({ zoom, pitch, columns }, channel, y, x) {
  return [
    (channel % columns) * pitch.x + x * zoom,
    Math.floor(channel / columns) * pitch.y + y * zoom,
  ];
}

// Return the pixel {channel, y, x} under a pointer, or null between the maps.
function pixelAt({ canvas, tiles, step }, event) {
  const field = canvas.getBoundingClientRect();
  const left = ((event.clientX - field.left) / field.width) * canvas.width;
  const top = ((event.clientY - field.top) / field.height) * canvas.height;
  const { zoom, pitch, columns } = tiles;
  const channel = Math.floor(top / pitch.y) * columns + Math.floor(left / pitch.x);
  const [y, x] = [Math.floor((top % pitch.y) / zoom), Math.floor((left % pitch.x) / zoom)];
  const [height, width, channels] = step.output;
  return y < height && x < width && channel < channels ? { channel, y, x } : null;
}

// Return the pixel beside the chosen one, across to the next map where one ends.
function neighbour({ chosen, tiles, step }, down, right) {
  const [height, width, channels] = step.output;
  if (!chosen) return { channel: 0, y: height >> 1, x: width >> 1 };
  const [y, x] = [chosen.y + down, chosen.x + right];
  const across = Math.floor(x / width) + Math.floor(y / height) * tiles.columns;
  const channel = chosen.channel + across;
  if (channel < 0 || channel >= channels) return chosen;
  return { channel, y: (y + height) % height, x: (x + width) % width };
}
