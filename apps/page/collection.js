// Drawings that were labelled: kept in memory and, where the browser allows it, beyond the visit.

// Of a class, one image to learn from, one to choose by and one to test on.
const LEAST_OF_CLASS = 3;
const USUAL_SHARES = [0.1, 0.2, 0.3, 0.5]; // of the training images, for validation

// Return the kept drawings, a list of {label, pixels}: pixels as Uint8Array, white on black.
//
// add and remove keep the browser's memory up to date; `isLasting` says whether there is one.
function createCollection(nClasses, nPixels) {
  const key = `draw-a-digit-${nClasses}-${nPixels}`; // pages of equal kind share their drawings
  const collection = { items: [], isLasting: false };

  function write() {
    try {
      const items = collection.items.map(({ label, pixels }) => [label, [...pixels]]);
      localStorage.setItem(key, JSON.stringify(items));
      collection.isLasting = true;
    } catch {
      collection.isLasting = false; // a private window, a full memory or the like
    }
  }

  try {
    collection.items = (JSON.parse(localStorage.getItem(key)) ?? [])
      .filter(([label, pixels]) => label in [...Array(nClasses)] && pixels.length === nPixels)
      .map(([label, pixels]) => ({ label, pixels: Uint8Array.from(pixels) }));
  } catch {
    // No memory, or what lies there is not ours.
  }
  write();
  collection.add = (label, image) => {
    collection.items.push({ label, pixels: Uint8Array.from(image, (value) => Math.round(255 * value)) });
    write();
  };
  collection.remove = (place) => {
    collection.items.splice(place, 1);
    write();
  };
  return collection;
}

// Return the table that the project reads: a header, then a label and its pixels a row.
function toCsv(items, nPixels) {
  const header = ["label", ...Array.from({ length: nPixels }, (_, i) => `pixel${i}`)];
  const rows = items.map(({ label, pixels }) => [label, ...pixels]);
  return [header, ...rows].map((row) => row.join(",") + "\n").join("");
}

// Let the browser save a text as a file.
function download(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it only now
}

// Return how many drawings there are of the rarest class that was drawn.
function rarestOf(items) {
  const counts = new Map();
  for (const { label } of items) counts.set(label, (counts.get(label) ?? 0) + 1);
  return Math.min(...counts.values());
}

// Return the smallest usual share that leaves each class an image for validation.
//
// The project sets a seventh of each class aside for the test, at least one.
function shareFor(rarest) {
  const forTraining = rarest - Math.max(1, Math.floor(rarest / 7));
  return USUAL_SHARES.find((share) => share * forTraining >= 1);
}

// Return what to say of how many drawings of each class there are.
function adviceFor(rarest) {
  return rarest < LEAST_OF_CLASS
    ? `To train on them, keep at least ${LEAST_OF_CLASS} of each digit that you draw: ` +
      "one to learn from, one to choose by, one to test on."
    : "A network learns digits from thousands of images; from few, it learns your hand.";
}
