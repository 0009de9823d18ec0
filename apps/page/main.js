// The page: strokes in, an answer and maps out.
//
// While somebody draws, each frame computes the first pass of the network. When the pen rests, a
// mean of several networks or shifts is computed in full, in slices, so that the page stays awake.

const REST = 250; // milliseconds without a movement: the pen rests, even on the field
const SLICE = 30; // milliseconds of computing at a stretch

const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((node) => [node.id.replaceAll("-", "_"), node]),
);
const settings = JSON.parse(page.description.textContent);
const network = loadNetwork(settings.network, page.weights.textContent);
const names = settings.class_names;
const nPixels = settings.picture.side ** 2;
const image = new Float32Array(nPixels); // what the network sees
const collection = createCollection(names.length, nPixels);
const pad = createPad(page.pad, onStroke);
const maps = createMaps(page.maps, network.passes[0], image, onPixel);
const state = { isDigit: false, isAtRest: true, probabilities: null, frame: 0, timer: 0, turn: 0 };

// --- From a stroke to an answer -----------------------------------------------------------------

// Ask for an answer in the next frame, however many movements there are until then.
function onStroke(isDown) {
  state.turn++; // what is being computed for an older drawing stops
  state.isAtRest = false;
  state.frame ||= requestAnimationFrame(() => {
    state.frame = 0;
    answerLive();
  });
  clearTimeout(state.timer);
  state.timer = setTimeout(() => answerAtRest(), isDown ? REST : 0);
}

// Compute the first pass for what is drawn now, and show it.
function answerLive() {
  const drawing = drawStrokes(pad.strokes, settings.picture);
  state.isDigit = Boolean(drawing?.isDigit);
  if (drawing) image.set(drawing.pixels);
  else image.fill(0);
  state.probabilities = state.isDigit ? runPass(network.passes[0], image).slice() : null;
  drawImage(page.seen, image);
  maps.draw(!state.isDigit);
  refreshSum();
  const words = drawing ? "This is too small for a digit." : "Nothing is drawn yet.";
  showAnswer(page, state.probabilities, names, state.isDigit ? undefined : words);
  sayBasis("live");
  if (drawing) page.announcement.textContent = ""; // so that an equal answer is said again
  enableButtons();
}

// Compute the whole network, show its answer, and say it to those who do not see the page.
async function answerAtRest() {
  if (state.frame) {
    cancelAnimationFrame(state.frame);
    state.frame = 0;
    answerLive();
  }
  const turn = ++state.turn;
  if (state.isDigit) {
    const mean = await meanOfPasses(() => turn === state.turn);
    if (!mean) return; // the drawing has changed
    state.probabilities = mean;
    showAnswer(page, mean, names);
  }
  sayBasis("rest");
  if (pad.strokes.length) page.announcement.textContent = page.sentence.textContent;
  state.isAtRest = true;
}

// Return the mean of all passes, or null if it is no longer wanted; the first is computed already.
async function meanOfPasses(isWanted) {
  const mean = new Float32Array(names.length);
  addShare(mean, network.passes[0], network.passes[0].outputs.at(-1));
  let started = performance.now();
  for (const pass of network.passes.slice(1)) {
    if (performance.now() - started > SLICE) {
      await new Promise((resolve) => setTimeout(resolve));
      if (!isWanted()) return null;
      started = performance.now();
    }
    addShare(mean, pass, runPass(pass, image));
  }
  return mean;
}

// Say what the answer rests on, where that is more than one pass.
function sayBasis(moment) {
  const n = network.passes.length;
  const words = { live: `live: the first of ${n} answers`, rest: `the mean of ${n} answers` };
  page.basis.textContent = n > 1 && state.isDigit ? words[moment] : "";
}

function enableButtons() {
  page.undo.disabled = page.clear.disabled = pad.strokes.length === 0;
  for (const button of page.labels.children) button.disabled = !state.isDigit;
  const n = pad.strokes.length;
  const words = n === 0 ? "empty" : n === 1 ? "one stroke" : `${n} strokes`;
  page.pad.setAttribute("aria-label", `Drawing field, ${words}`);
  page.pad_hint.hidden = n > 0;
}

// --- The sum behind a pixel ---------------------------------------------------------------------

const pointed = { layer: null, pixel: null };

function onPixel(layer, pixel, event) {
  Object.assign(pointed, { layer, pixel });
  refreshSum();
  if (page.sum.hidden) return;
  const field = layer.canvas.getBoundingClientRect();
  placeCard(page.sum, event.clientX ?? field.left, event.clientY ?? field.top);
}

function refreshSum() {
  const { layer, pixel } = pointed;
  page.sum.hidden = !pixel || !state.isDigit;
  if (page.sum.hidden) return;
  const sum = explainPixel(layer.step, layer.input, layer.output, pixel.y, pixel.x, pixel.channel);
  showSum(page.sum, layer, pixel, sum);
}

// --- Drawings that are kept ---------------------------------------------------------------------

function keep(label) {
  if (!state.isDigit) return;
  collection.add(label, image);
  pad.clear();
  showCollection();
  page.announcement.textContent = `Kept as a ${names[label]}.`;
}

function showCollection() {
  const { items } = collection;
  page.collection.hidden = items.length === 0;
  page.place.textContent = collection.isLasting ? "in this browser" : "until you close this page";
  page.to_collection.hidden = items.length === 0;
  page.to_collection.textContent = `${items.length} kept`;
  page.count.textContent = `My digits: ${items.length}`;
  const rarest = rarestOf(items);
  page.advice.textContent = adviceFor(rarest);
  page.training.hidden = rarest < LEAST_OF_CLASS;
  page.share.textContent = shareFor(rarest) ?? "";
  page.thumbnails.replaceChildren(...items.map(thumbnailOf));
}

function thumbnailOf({ label, pixels }, place) {
  const canvas = element("canvas", "");
  canvas.width = canvas.height = settings.picture.side;
  drawImage(canvas, Array.from(pixels, (value) => value / 255));
  const button = element("button", "", "×");
  button.type = "button";
  button.setAttribute("aria-label", `Remove this ${names[label]}`);
  button.addEventListener("click", () => {
    collection.remove(place);
    showCollection();
    (page.thumbnails.querySelectorAll("button")[place] ?? page.save).focus();
  });
  return element("li", "", canvas, button, names[label]);
}

// --- Buttons and keys ---------------------------------------------------------------------------

page.undo.addEventListener("click", pad.undo);
page.clear.addEventListener("click", pad.clear);
page.save.addEventListener("click", () => download(toCsv(collection.items, nPixels), settings.file_name));
[...page.labels.children].forEach((button, label) => {
  button.addEventListener("click", () => keep(label));
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own
  const key = event.key.toLowerCase();
  if (key === "u") pad.undo();
  else if (["c", "escape", "delete"].includes(key)) pad.clear();
  else if (/^[0-9]$/.test(key) && Number(key) < names.length) keep(Number(key));
});

drawImage(page.seen, null);
showCollection();
// For the curious, and for tests: in the browser's console, drawADigit.classify(pixels).
window.drawADigit = {
  classify: (pixels) => classify(network, pixels),
  classifyLive: (pixels) => runPass(network.passes[0], pixels).slice(),
  drawStrokes: (strokes) => drawStrokes(strokes, settings.picture),
  image,
  maps,
  state,
};
