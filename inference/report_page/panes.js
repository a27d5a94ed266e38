"use strict";
// Panes: each compares two pictures of the shown frame under a slider; zoom and position are common to all.

const ZOOMS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]; // screen pixels for a picture's pixel, beside `fit`
const KEPT_VISIBLE = 8; // a pane is never narrower than so many screen pixels

const view = { zoom: null, x: 0.5, y: 0.5 }; // zoom: null is fit; x, y: the picture's point in the panes' center
const panes = [];
const sources = new Map(); // choice -> canvas with its picture at one screen pixel for a pixel

/** What a side of a pane can show: {id, label}; id: the number of a method, of the target after them, or flip-number. */
function choices() {
  const { methods, flip } = scenes[0];
  const labels = methods.map((name) => (name === "denoised" ? "reconstruction" : name));
  const found = labels.map((label, index) => ({ id: `${index}`, label }));
  if (!scenes.some((scene) => scene.frames.some((frame) => frame.target))) return found;
  found.push({ id: `${methods.length}`, label: "target" });
  if (flip) found.push(...labels.map((label, index) => ({ id: `flip-${index}`, label: `FLIP of ${label}` })));
  return found;
}

/** The pairs of choices to begin with. */
function firstPairs(found) {
  const { methods, flip } = scenes[0];
  const target = methods.length;
  const others = methods.slice(2).map((_, index) => [`${index + 2}`, "1"]);
  if (found.length === target) return [["0", "1"], ...others];
  const pairs = [["0", "1"], ["1", `${target}`], ...others];
  if (flip) pairs.push([others.length ? "flip-2" : "flip-0", "flip-1"]);
  if (pairs.length % 2) pairs.push(["1", flip ? "flip-1" : "0"]); // an even number fills two columns
  return pairs;
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Adds a pane to the page. changed: called when another picture is chosen. */
function addPane(pair, found, changed) {
  const sides = pair.map((id, index) => {
    const name = ["left", "right"][index];
    const options = found.map((choice) => element("option", { value: choice.id, textContent: choice.label }));
    const select = element("select", { ariaLabel: `${name} picture` }, ...options);
    select.value = id;
    select.addEventListener("change", changed);
    const canvas = element("canvas", { slot: ["first", "second"][index] });
    return { select, canvas, numbers: element("output") };
  });
  const grip = element("div", { slot: "handle", className: "grip" });
  const slider = element("img-comparison-slider", { ariaLabel: "divider between left and right picture" });
  slider.setAttribute("handle", "true"); // so that dragging elsewhere moves the enlarged part
  slider.append(...sides.map((side) => side.canvas), grip);
  const captions = sides.map((side) => element("div", {}, side.select, side.numbers));
  const figure = element("figure", {}, element("figcaption", {}, ...captions), element("div", { className: "frame" }, slider));
  document.getElementById("panes").append(figure);
  const pane = { figure, slider, grip, sides, frame: null };
  addGestures(pane);
  panes.push(pane);
}

/** Screen pixels for a picture's pixel where the whole picture is shown: a whole number unless it is too wide. */
function fitZoom(pane) {
  const available = Math.max(KEPT_VISIBLE, Math.floor(pane.figure.clientWidth * devicePixelRatio));
  return available >= pane.frame.width ? Math.floor(available / pane.frame.width) : available / pane.frame.width;
}

/** Draws a pane's two pictures, as far as they are there, at the common zoom and position. */
function drawPane(pane) {
  const { width, height } = pane.frame;
  const fit = fitZoom(pane);
  const zoom = Math.max(fit, view.zoom ?? fit);
  const [columns, rows] = [width, height].map((extent) => Math.max(1, Math.round(extent * fit)));
  // the visible part stays inside the picture, and its pixels on the screen's
  const left = Math.round(Math.min(0, Math.max(columns - width * zoom, columns / 2 - view.x * width * zoom)));
  const top = Math.round(Math.min(0, Math.max(rows - height * zoom, rows / 2 - view.y * height * zoom)));
  for (const { canvas, select } of pane.sides) {
    Object.assign(canvas, { width: columns, height: rows });
    canvas.style.width = `${columns / devicePixelRatio}px`;
    canvas.style.height = `${rows / devicePixelRatio}px`;
    const context = canvas.getContext("2d");
    const source = sources.get(select.value);
    context.imageSmoothingEnabled = zoom < 1;
    context.imageSmoothingQuality = "high";
    if (source) context.drawImage(source, left, top, Math.round(width * zoom), Math.round(height * zoom));
  }
  pane.grip.style.height = `${rows / devicePixelRatio}px`;
  pane.slider.style.touchAction = view.zoom === null ? "pan-y" : "none";
}

function drawPanes() {
  panes.forEach(drawPane);
  const zoom = view.zoom ?? fitZoom(panes[0]);
  const text = zoom >= 1 ? `${zoom}×` : `${Math.round(100 * zoom)}%`;
  document.getElementById("zoom").value = view.zoom === null ? `fit, ${text}` : text;
}

/** Zooms in (1) or out (-1) by a step, about a point of the picture (0 to 1), which stays where it is. */
function zoomBy(direction, x = view.x, y = view.y) {
  const fit = fitZoom(panes[0]);
  const before = view.zoom ?? fit;
  const steps = ZOOMS.filter((zoom) => (direction > 0 ? zoom > before : zoom < before && zoom > fit));
  if (direction > 0 && !steps.length) return;
  view.zoom = (direction > 0 ? steps[0] : steps.at(-1)) ?? null;
  const after = view.zoom ?? fit;
  view.x = x + ((view.x - x) * before) / after;
  view.y = y + ((view.y - y) * before) / after;
  moveBy(0, 0);
}

/** Moves the view by parts of the picture, and keeps it inside. */
function moveBy(x, y) {
  const half = Math.min(0.5, fitZoom(panes[0]) / (view.zoom ?? fitZoom(panes[0])) / 2);
  view.x = Math.min(1 - half, Math.max(half, view.x + x));
  view.y = Math.min(1 - half, Math.max(half, view.y + y));
  drawPanes();
}

function fit() {
  Object.assign(view, { zoom: null, x: 0.5, y: 0.5 });
  drawPanes();
}

/** Drag to move, two fingers, Ctrl and wheel, or double click to zoom. */
function addGestures(pane) {
  const { slider, grip } = pane;
  const pointers = new Map();
  let spread = 0; // of two fingers, at the last step

  // a point on the screen as a point of the picture, and the picture's extent on the screen
  const extent = () => {
    const box = slider.getBoundingClientRect();
    return { box, scale: (view.zoom ?? fitZoom(pane)) / fitZoom(pane) };
  };
  const point = (x, y) => {
    const { box, scale } = extent();
    return [view.x + ((x - box.left) / box.width - 0.5) / scale, view.y + ((y - box.top) / box.height - 0.5) / scale];
  };
  const distance = () => {
    const [a, b] = pointers.values();
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  };

  slider.addEventListener("pointerdown", (event) => {
    const box = grip.getBoundingClientRect();
    if (event.clientX >= box.left && event.clientX <= box.right) return; // the divider's
    pointers.set(event.pointerId, event);
    slider.setPointerCapture(event.pointerId);
    if (pointers.size === 2) spread = distance();
  });
  slider.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    pointers.set(event.pointerId, event);
    if (pointers.size === 1 && view.zoom !== null) {
      const { box, scale } = extent();
      moveBy((last.clientX - event.clientX) / box.width / scale, (last.clientY - event.clientY) / box.height / scale);
    } else if (pointers.size === 2 && Math.abs(Math.log2(distance() / spread)) > 0.4) {
      const [a, b] = pointers.values();
      zoomBy(Math.sign(distance() - spread), ...point((a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2));
      spread = distance();
    }
  });
  for (const name of ["pointerup", "pointercancel"])
    slider.addEventListener(name, (event) => pointers.delete(event.pointerId));
  slider.addEventListener("dblclick", (event) => {
    if (view.zoom !== null) fit();
    else zoomBy(1, ...point(event.clientX, event.clientY));
  });
  let turned = 0; // a touch pad turns by little, many times
  const wheel = (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    turned += event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1);
    if (Math.abs(turned) < 30) return;
    zoomBy(turned < 0 ? 1 : -1, ...point(event.clientX, event.clientY));
    turned = 0;
  };
  slider.addEventListener("wheel", wheel, { passive: false });
}
