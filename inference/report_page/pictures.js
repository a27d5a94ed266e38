"use strict";
// Pictures: loaded as scripts, decoded to half floats, and exposed to sRGB by a table of all 65536 half floats.

const CACHE_BYTES = 400e6; // of decoded pictures
const MAGMA = ["#000004", "#1d1147", "#51127c", "#822681", "#b73779", "#e75263", "#fc8961", "#fec488", "#fcfdbf"];
const INFINITY_BITS = 0x7c00; // positive half floats lie below it, NaN and negative ones above

// ---- loading ----

const arrived = new Map(); // key -> what to do with its content
const loaded = new Map(); // key -> promise of its half floats, the oldest first

/** Called by the scripts in data/: base64 of a deflated picture. */
function receive(key, content) {
  arrived.get(key)(content);
}

/** A promise of the half floats of a picture, (C, H, W). key: scene/frame-picture. */
function load(key, count) {
  if (!loaded.has(key)) loaded.set(key, fetchScript(key).then(inflate));
  const halves = loaded.get(key);
  loaded.delete(key); // to the end: used last
  loaded.set(key, halves);
  const room = Math.max(8, Math.floor(CACHE_BYTES / (2 * count)));
  for (const oldest of [...loaded.keys()].slice(0, Math.max(0, loaded.size - room))) loaded.delete(oldest);
  return halves;
}

function fetchScript(key) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    arrived.set(key, resolve);
    script.src = `data/${key}.js`;
    script.onload = () => script.remove();
    script.onerror = () => reject(new Error(`data/${key}.js cannot be loaded; is the report's folder complete?`));
    document.head.append(script);
  }).finally(() => arrived.delete(key));
}

async function inflate(content) {
  const packed = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const halves = new Uint16Array(bytes.length / 2); // upper bytes, then lower bytes
  for (let i = 0; i < halves.length; i++) halves[i] = (bytes[i] << 8) | bytes[i + halves.length];
  return halves;
}

// ---- colors ----

/** The value of a half float that is not negative. */
function halfToNumber(bits) {
  const exponent = bits >> 10;
  const mantissa = bits & 0x3ff;
  return exponent ? 2 ** (exponent - 15) * (1 + mantissa / 1024) : 2 ** -14 * (mantissa / 1024);
}

/** sRGB bytes of all half floats times an exposure; 0 for negative ones and NaN. As test.py's tone_map. */
function exposureTable(exposure) {
  const table = new Uint8ClampedArray(65536);
  for (let bits = 0; bits < INFINITY_BITS; bits++) {
    const x = Math.min(1, halfToNumber(bits) * exposure);
    table[bits] = 255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055);
  }
  table[INFINITY_BITS] = 255;
  return table;
}

/** The (R, G, B) of a FLIP error in [0, 1]. */
function magma(error) {
  const place = Math.min(error, 1) * (MAGMA.length - 1);
  const index = Math.min(Math.floor(place), MAGMA.length - 2);
  return [1, 3, 5].map((at) => {
    const [from, to] = [MAGMA[index], MAGMA[index + 1]].map((color) => parseInt(color.slice(at, at + 2), 16));
    return from + (to - from) * (place - index);
  });
}

/** magma of all half floats, three bytes each. */
const MAGMA_TABLE = (() => {
  const table = new Uint8ClampedArray(3 * 65536);
  for (let bits = 0; bits < INFINITY_BITS; bits++) table.set(magma(halfToNumber(bits)), 3 * bits);
  return table;
})();

/** Paints half floats onto a canvas of (width, height): three planes with an exposure table, or one of FLIP errors. */
function paint(canvas, halves, width, height, table) {
  const size = width * height;
  const image = new ImageData(width, height);
  const bytes = image.data;
  if (halves.length === size) {
    for (let i = 0; i < size; i++) {
      const from = 3 * halves[i];
      for (let c = 0; c < 3; c++) bytes[4 * i + c] = MAGMA_TABLE[from + c];
      bytes[4 * i + 3] = 255;
    }
  } else {
    for (let i = 0; i < size; i++) {
      for (let c = 0; c < 3; c++) bytes[4 * i + c] = table[halves[i + c * size]];
      bytes[4 * i + 3] = 255;
    }
  }
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
}
