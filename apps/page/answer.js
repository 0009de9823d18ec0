// What the page says: the answer, its bars, and the sum behind a pixel.


// Return {first, second, isDoubtful}: the two likeliest classes.
function judge(probabilities) {
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  const [first, second] = order;
  return { first, second, isDoubtful: probabilities[first] - probabilities[second] < settings.doubtful_margin };
}

function inPercent(probability) {
  const isNearly = probability >= 0.9995 && probability < 1;
  const text = isNearly ? "> 99.9 %" : `${(100 * probability).toFixed(1)} %`;
  return text.replaceAll(" ", "\u00a0"); // not to be broken
}

// Return the answer in words.
function sentenceFor(probabilities, names) {
  const { first, second, isDoubtful } = judge(probabilities);
  const [best, next] = [first, second].map((k) => `${names[k]} (${inPercent(probabilities[k])})`);
  return isDoubtful ? `Doubtful: a ${best}, or a ${next}?` : `This is a ${best}.`;
}

// Show probabilities as a large digit, words and bars; null is no answer, with `words` instead.
function showAnswer(page, probabilities, names, words) {
  const verdict = probabilities && judge(probabilities);
  page.answer.textContent = verdict ? names[verdict.first] : "–";
  page.answer.classList.toggle("none", !verdict);
  page.answer.classList.toggle("doubtful", Boolean(verdict?.isDoubtful));
  page.sentence.textContent = words ?? sentenceFor(probabilities, names);
  [...page.bars.children].forEach((bar, k) => {
    bar.classList.toggle("first", verdict?.first === k);
    bar.classList.toggle("second", Boolean(verdict?.isDoubtful) && verdict.second === k);
    bar.querySelector(".fill").style.transform = `scaleX(${probabilities?.[k] ?? 0})`;
    bar.querySelector(".percent").textContent = verdict ? inPercent(probabilities[k]) : "";
  });
}

// Draw an image of numbers from 0 to 1, white on black, onto a canvas of its size.
function drawImage(canvas, pixels) {
  const picture = new ImageData(canvas.width, canvas.height);
  for (let i = 0; i < canvas.width * canvas.height; i++) {
    picture.data.fill(Math.round(255 * (pixels?.[i] ?? 0)), 4 * i, 4 * i + 3);
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// --- The sum behind a pixel ---------------------------------------------------------------------

const STRONGEST = 3; // so many inputs are shown one by one

function element(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

// Return a number with three digits or so, and a true minus sign.
function signed(value, digits = 2) {
  const places = Math.max(0, digits - (Math.abs(value) >= 10) - (Math.abs(value) >= 100));
  const text = value.toFixed(places);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "\u2212");
}

// Return a grid of numbers, each the stronger coloured the larger it is: blue, or orange below 0.
function cellsOf(values, columns) {
  const largest = Math.max(...values.map(Math.abs), 1e-6);
  const cells = values.map((value) => {
    const cell = element("span", "", signed(value, columns > 3 ? 1 : 2));
    const tone = value < 0 ? "--negative" : "--positive";
    cell.style.backgroundColor = `rgba(var(${tone}), ${(0.45 * Math.abs(value)) / largest})`;
    return cell;
  });
  const grid = element("div", columns > 3 ? "cells large" : "cells", ...cells);
  grid.style.gridTemplateColumns = `repeat(${columns}, auto)`;
  return grid;
}

// Write into the card what `explainPixel` found out.
function showSum(card, layer, pixel, sum) {
  const { parts, size, bias, before, value } = sum;
  const shown = parts.slice(0, STRONGEST);
  const rest = parts.slice(STRONGEST).reduce((total, part) => total + part.sum, 0);
  const lines = [];
  if (parts.length > STRONGEST) lines.push([`${parts.length - STRONGEST} weaker inputs`, signed(rest)]);
  lines.push(["bias", signed(bias)], ["sum", signed(before)]);
  const name = { relu: "ReLU: 0 if below 0" }[layer.step.activation] ?? layer.step.activation;
  if (name !== "linear") lines.push([`after ${name}`, signed(value)]);
  const total = element("dl", "total");
  lines.forEach(([words, number], i) => {
    const end = i === lines.length - 1 ? "end" : "";
    total.append(element("dt", end, words), element("dd", end, number));
  });
  const place = `row ${pixel.y + 1}, column ${pixel.x + 1}`;
  card.replaceChildren(
    element("h2", "", `Convolution ${layer.number}, map ${pixel.channel + 1}: ${place}`),
    element("div", "quiet", describeInputs(parts.length, shown.length)),
    ...shown.map((part) => partLine(part, size[1], parts.length)),
    total,
  );
}

function describeInputs(nInputs, nShown) {
  if (nInputs === 1) return "the image × the kernel";
  return `${nInputs} inputs, each × its kernel; the strongest ${nShown}:`;
}

function partLine({ channel, sum, inputs, weights }, columns, nInputs) {
  const result = element("strong", "", `= ${signed(sum)}`);
  if (nInputs > 1) result.append(element("small", "", `input ${channel + 1}`));
  return element("div", "part", cellsOf(inputs, columns), "×", cellsOf(weights, columns), result);
}

// Put the card beside the pointer, or the chosen pixel, within the screen.
function placeCard(card, x, y) {
  const [width, height] = [card.offsetWidth, card.offsetHeight];
  const room = document.documentElement.clientWidth;
  if (room <= 480) {
    card.style.left = card.style.top = ""; // at the lower edge, by the style sheet
    return;
  }
  const left = x + 18 + width < room ? x + 18 : x - 18 - width;
  card.style.left = `${Math.max(8, left)}px`;
  card.style.top = `${Math.max(8, Math.min(y + 18, innerHeight - height - 8))}px`;
}
