"use strict";
// The page: which scene, frame and exposure are shown, and the controls and keys that change them.

const FRAMES_PER_SECOND = 12; // as in animation.mp4
const shown = { scene: 0, frame: 0, stops: 0, playing: false };
const control = (id) => document.getElementById(id);
const scene = () => scenes[shown.scene];
const frame = () => scene().frames[shown.frame];

let table = { exposure: null }; // the last exposure table
let call = 0; // counts the calls of `show`: only the last one draws

/** The key of a picture's script, or null where it does not exist. */
function keyOf(choice, sceneIndex, frameIndex) {
  const there = scenes[sceneIndex].frames[frameIndex].target;
  const needsTarget = choice.startsWith("flip") || Number(choice) === scenes[sceneIndex].methods.length;
  return needsTarget && !there ? null : `${sceneIndex}/${frameIndex}-${choice}`;
}

const chosen = () => [...new Set(panes.flatMap((pane) => pane.sides.map((side) => side.select.value)))];

/** Loads what the panes show of a frame: pairs of a choice and its half floats, or null. */
function loadFrame(sceneIndex, frameIndex) {
  const { width, height } = scenes[sceneIndex].frames[frameIndex];
  const pairs = chosen().map(async (choice) => {
    const key = keyOf(choice, sceneIndex, frameIndex);
    return [choice, key && (await load(key, 3 * width * height))];
  });
  return Promise.all(pairs);
}

/** Shows the scene, frame and exposure that `shown` names. Resolves once it is drawn, or overtaken by a later call. */
async function show() {
  // controls at once
  const here = frame();
  const mine = ++call;
  control("scene").value = shown.scene;
  control("frame").max = scene().frames.length - 1;
  control("frame").value = shown.frame;
  control("frame-name").value = `${here.name} (${shown.frame + 1} of ${scene().frames.length})`;
  control("exposure").value = shown.stops;
  control("stops").value = `${shown.stops > 0 ? "+" : ""}${shown.stops} EV`;
  control("panes").ariaBusy = "true";

  // pictures
  const found = await loadFrame(shown.scene, shown.frame);
  if (mine !== call) return;
  const exposure = scene().exposure * 2 ** shown.stops;
  if (table.exposure !== exposure) table = { exposure, bytes: exposureTable(exposure) };
  for (const [choice, halves] of found) {
    if (halves) {
      if (!sources.has(choice)) sources.set(choice, document.createElement("canvas"));
      paint(sources.get(choice), halves, here.width, here.height, table.bytes);
    } else sources.delete(choice);
  }
  for (const pane of panes) {
    pane.frame = here;
    for (const side of pane.sides) side.numbers.value = caption(side.select.value, here);
  }
  drawPanes();
  markFrame(here);
  control("panes").ariaBusy = "false";
}

/** What stands below a picture's name: its metrics in this frame. */
function caption(choice, here) {
  const { methods } = scene();
  if (keyOf(choice, shown.scene, shown.frame) === null) return "no target in this frame";
  const [kind, index] = choice.startsWith("flip") ? ["flip", choice.slice(5)] : ["picture", choice];
  if (Number(index) === methods.length || !here.target) return "";
  const values = frameMetrics(scene(), here, methods[index]);
  const names = kind === "flip" ? ["flip"] : ["psnr", "flip"].filter((name) => name in values);
  return names.map((name) => `${METRICS[name].title.replace(" (dB)", "")} ${written(name, values[name])}`).join("  ");
}

function setFrame(index) {
  const count = scene().frames.length;
  shown.frame = (index + count) % count;
  return show();
}

function setScene(index) {
  shown.scene = (index + scenes.length) % scenes.length;
  shown.frame = Math.min(shown.frame, scene().frames.length - 1);
  plotScene(scene(), frame, setFrame);
  return show();
}

function setStops(stops) {
  shown.stops = Math.min(8, Math.max(-8, stops));
  return show();
}

/** Plays or pauses; frames follow each other at FRAMES_PER_SECOND, or as fast as they load. */
async function play(playing = !shown.playing) {
  const started = playing && !shown.playing;
  shown.playing = playing;
  control("play").textContent = playing ? "⏸" : "▶";
  control("play").ariaLabel = playing ? "pause" : "play";
  while (started && shown.playing) {
    const due = new Promise((resolve) => setTimeout(resolve, 1000 / FRAMES_PER_SECOND));
    await setFrame(shown.frame + 1);
    loadFrame(shown.scene, (shown.frame + 1) % scene().frames.length); // ahead
    await due;
  }
}

const KEYS = {
  ",": () => setFrame(shown.frame - 1),
  ".": () => setFrame(shown.frame + 1),
  ArrowLeft: () => setFrame(shown.frame - 1),
  ArrowRight: () => setFrame(shown.frame + 1),
  " ": () => play(),
  "+": () => zoomBy(1),
  "=": () => zoomBy(1),
  "-": () => zoomBy(-1),
  0: fit,
  b: () => setStops(shown.stops + 0.5),
  d: () => setStops(shown.stops - 0.5),
  r: () => setStops(0),
  n: () => setScene(shown.scene + 1),
  p: () => setScene(shown.scene - 1),
};
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const move = event.shiftKey && MOVES[event.key];
  let users = "select"; // what the key belongs to while it has the focus
  if (event.key === " ") users = "select, button, summary, [type=checkbox]";
  if (event.key.startsWith("Arrow")) users = "select, [type=range], img-comparison-slider";
  if (move) moveBy(...move.map((part) => (part * 0.1 * fitZoom(panes[0])) / (view.zoom ?? fitZoom(panes[0]))));
  else if (event.key in KEYS && !event.target.closest(users)) KEYS[event.key]();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function start() {
  // texts
  scenes.forEach(({ name }, index) => control("scene").append(element("option", { value: index, textContent: name })));
  const { frames_left_out: leftOut } = metrics.after_warm_up;
  control("warm-up-label").lastElementChild.textContent = `without the first ${leftOut} frames of each sequence`;
  control("flip-colors").style.background = `linear-gradient(to right, ${MAGMA.join(", ")})`;
  const found = choices();
  control("flip-note").hidden = !found.some((choice) => choice.id.startsWith("flip"));
  if (!Object.keys(metrics.scenes).length) {
    control("metrics").parentElement.replaceChildren("Nothing was scored, so there are no metrics.");
  } else fillTable(metrics);

  // controls
  control("scene").addEventListener("change", (event) => setScene(Number(event.target.value)));
  control("frame").addEventListener("input", (event) => setFrame(Number(event.target.value)));
  control("exposure").addEventListener("input", (event) => setStops(Number(event.target.value)));
  control("play").addEventListener("click", () => play());
  control("zoom-in").addEventListener("click", () => zoomBy(1));
  control("zoom-out").addEventListener("click", () => zoomBy(-1));
  control("fit").addEventListener("click", fit);
  control("warm-up")?.addEventListener("change", (event) =>
    fillTable(event.target.checked ? metrics.after_warm_up : metrics),
  );
  document.addEventListener("keydown", onKey, { capture: true });

  // pictures
  firstPairs(found).forEach((pair) => addPane(pair, found, show));
  panes.forEach((pane) => (pane.frame = frame()));
  new ResizeObserver(() => {
    drawPanes();
    resizePlots();
  }).observe(document.querySelector("main"));
  setScene(0);
}

window.addEventListener("unhandledrejection", (event) => {
  control("panes").prepend(element("p", { className: "error", textContent: event.reason.message }));
});
start();
