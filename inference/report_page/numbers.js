"use strict";
// Numbers: those of metrics.json, as a table and over the frames. METRICS, from data/report.js, says what they are.

const LINES = ["#9a9a9a", "#ffa94d", "#5bc0ff", "#a3e36b", "#ff7eb6", "#c9a4ff", "#f4e04d"]; // by method, in turn
const PLOT_HEIGHT = 180;

const plots = [];

const label = (method) => (method === "denoised" ? "reconstruction" : method);
const measured = () => Object.keys(METRICS).filter((name) => name in metrics.mean.denoised);
const written = (name, value) => (value === null ? "–" : value.toFixed(METRICS[name].digits));

/** The metrics of a frame of a scene, by method. */
function frameMetrics(scene, frame, method) {
  return metrics.frames[scene.name][method][frame.sequence][frame.index];
}

/** Fills the table with the means of each scene, and of all. The best value of each is bold. */
function fillTable(summary) {
  const names = measured();
  const head = element("tr", {}, element("th", { textContent: "scene" }), element("th"));
  for (const name of names) {
    const { title, description, higher } = METRICS[name];
    head.append(element("th", { textContent: `${title} ${higher ? "↑" : "↓"}`, title: `${description}; ${higher ? "higher" : "lower"} is better` }));
  }
  const rows = [...scenes.map((scene) => [scene.name, summary.scenes[scene.name]]), ["mean", summary.mean]];
  const bodies = rows.filter(([, methods]) => methods).map(([scene, methods]) => tableBody(scene, methods, names));
  document.getElementById("metrics").replaceChildren(element("thead", {}, head), ...bodies);
}

function tableBody(scene, methods, names) {
  const best = {};
  for (const name of names) {
    const values = Object.values(methods).map((values) => values[name]).filter(Number.isFinite);
    best[name] = METRICS[name].higher ? Math.max(...values) : Math.min(...values);
  }
  const rows = Object.entries(methods).map(([method, values], index) => {
    const cells = names.map((name) => {
      const cell = element("td", { textContent: written(name, values[name]) });
      Object.assign(cell.dataset, { scene, method, metric: name });
      if (values[name] === best[name]) cell.classList.add("best");
      return cell;
    });
    return element("tr", {}, element("th", { textContent: index ? "" : scene }), element("th", { textContent: label(method) }), ...cells);
  });
  return element("tbody", {}, ...rows);
}

/** Plots each metric over the frames of a scene. chosen: called with the frame that is clicked. */
function plotScene(scene, shown, chosen) {
  plots.splice(0).forEach((plot) => plot.destroy());
  const place = document.getElementById("plots");
  place.replaceChildren();
  for (const name of measured()) {
    const rows = scene.methods.map((method) => scene.frames.map((frame) => frameMetrics(scene, frame, method)[name]));
    if (rows.flat().every((value) => value === null)) continue;
    const box = element("div", { className: "plot" });
    place.append(box);
    plots.push(new uPlot(plotOptions(scene, name, box, shown, chosen), plotData(scene, name, rows), box));
  }
  document.getElementById("plots-note").hidden = !plots.length;
}

/** Marks the shown frame in the plots, with its numbers below them. */
function markFrame(frame) {
  for (const plot of plots) {
    plot.setLegend({ idx: plot.data[0].indexOf(frame.number) });
    plot.redraw(false);
  }
}

/** Frames and values for uPlot, with a break between sequences. */
function plotData(scene, name, rows) {
  const data = [[], ...rows.map(() => [])];
  scene.frames.forEach((frame, at) => {
    if (at && scene.frames[at - 1].sequence !== frame.sequence) {
      data[0].push(frame.number - 0.5);
      data.slice(1).forEach((values) => values.push(null));
    }
    data[0].push(frame.number);
    const plain = (value) => Number.isFinite(value) && (value > 0 || !METRICS[name].logarithmic) ? value : null;
    rows.forEach((values, row) => data[row + 1].push(plain(values[at])));
  });
  return data;
}

function plotOptions(scene, name, box, shown, chosen) {
  const { title, logarithmic } = METRICS[name];
  const axis = { stroke: "#bbb", grid: { stroke: "#3a3a3a", width: 1 }, ticks: { stroke: "#3a3a3a", width: 1 } };
  const mark = (plot) => {
    const x = plot.valToPos(shown().number, "x", true);
    plot.ctx.fillStyle = "#ffffff80";
    plot.ctx.fillRect(x, plot.bbox.top, devicePixelRatio, plot.bbox.height);
  };
  const listen = (plot) => {
    plot.over.addEventListener("click", () => {
      const at = scene.frames.findIndex((frame) => frame.number === plot.data[0][plot.cursor.idx]);
      if (at >= 0) chosen(at);
    });
    plot.over.addEventListener("mouseleave", () => setTimeout(() => markFrame(shown())));
  };
  const lines = scene.methods.map((method, index) => ({
    label: label(method),
    show: index > 0, // the noisy renderings would hide how the methods differ
    stroke: LINES[index % LINES.length],
    width: 2,
    points: { show: scene.frames.length < 40, size: 5 },
    value: (_, value) => (value === null ? "–" : written(name, value)),
  }));
  return {
    title: logarithmic ? `${title}, logarithmic` : title,
    width: box.clientWidth,
    height: PLOT_HEIGHT,
    scales: { x: { time: false }, y: logarithmic ? { distr: 3 } : {} },
    axes: [{ ...axis, size: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] }, { ...axis, size: 60 }],
    series: [{ label: "frame" }, ...lines],
    cursor: { sync: { key: "frames" }, drag: { x: false, y: false } },
    hooks: { draw: [mark], ready: [listen] },
  };
}

function resizePlots() {
  for (const plot of plots) plot.setSize({ width: plot.root.parentElement.clientWidth, height: PLOT_HEIGHT });
}
