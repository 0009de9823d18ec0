// The drawing field: pointers become strokes, and strokes become smooth lines on the screen.

const PEN = 0.055; // width of the line on the screen, of the field's side; the network's is its own
const BEYOND = 0.1; // of the side: so far may a stroke run over the edge

// Return the pad of a canvas: its `strokes`, and what changes them.
//
// onChange(isDown) is called after each change; isDown says that a pen is on the field.
function createPad(canvas, onChange) {
  const pad = { strokes: [], isDown: false };

  function change() {
    redraw(canvas, pad.strokes);
    onChange(pad.isDown);
  }

  function add(event) {
    const field = canvas.getBoundingClientRect();
    const limit = (value) => Math.min(Math.max(value, -BEYOND), 1 + BEYOND);
    // A browser reports several movements at once, and names them all here.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) {
      const x = limit((one.clientX - field.left) / field.width);
      const y = limit((one.clientY - field.top) / field.height);
      const stroke = pad.strokes.at(-1);
      const last = stroke.at(-1);
      if (!last || Math.hypot(x - last.x, y - last.y) > 0.002) stroke.push({ x, y });
    }
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return; // a second finger, or a right click
    canvas.setPointerCapture(event.pointerId); // to follow the pen beyond the edge
    pad.isDown = true;
    pad.strokes.push([]);
    add(event);
    change();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pad.isDown || !event.isPrimary) return;
    add(event);
    change();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (!pad.isDown || !event.isPrimary) return;
      pad.isDown = false;
      change();
    });
  }
  canvas.addEventListener("contextmenu", (event) => event.preventDefault()); // of a long touch

  pad.undo = () => {
    pad.isDown = false;
    pad.strokes.pop();
    change();
  };
  pad.clear = () => {
    pad.isDown = false;
    pad.strokes = [];
    change();
  };
  new ResizeObserver(() => redraw(canvas, pad.strokes)).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    redraw(canvas, pad.strokes);
  });
  return pad;
}

// Draw the strokes, at the resolution of the screen.
function redraw(canvas, strokes) {
  const side = Math.round(canvas.clientWidth * devicePixelRatio);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, side, side);
  context.strokeStyle = getComputedStyle(canvas).color;
  context.lineWidth = PEN * side;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    const points = stroke.map((point) => [point.x * side, point.y * side]);
    context.beginPath();
    context.moveTo(...points[0]);
    // Through the middles of the segments, with the points between as handles: no corners.
    for (let i = 1; i < points.length - 1; i++) {
      const middle = [0, 1].map((axis) => (points[i][axis] + points[i + 1][axis]) / 2);
      context.quadraticCurveTo(...points[i], ...middle);
    }
    context.lineTo(...points.at(-1));
    context.stroke();
  }
}
