// The page: a board to draw on, the answer beside it, noise and attacks below.
import { Certified, noisy, random, roundedDown, roundedUp, smallestAttack } from "./certified.js";

const SIDE = 8;
const FINE = 32; // strokes are drawn on 32 x 32 points; a pixel counts the inked ones of its 4 x 4
const here = new URL(".", import.meta.url);
const root = document.getElementById("sn-try");

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false) made.setAttribute(key, value === true ? "" : value);
  made.append(...children);
  return made;
};

function paint(canvas, picture) {
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(SIDE, SIDE);
  picture.forEach((value, i) => {
    const shade = 255 - Math.round(255 * value);
    pixels.data.set([shade, shade, shade, 255], 4 * i);
  });
  context.putImageData(pixels, 0, 0);
}

function fail(message) {
  root.replaceChildren(element("p", { class: "sn-error", role: "alert", "data-sn": "error" }, message));
}

async function start() {
  if (typeof WebAssembly !== "object" || typeof WebAssembly.instantiate !== "function") {
    fail("This browser has no WebAssembly, which the network needs to run. Any current browser has it.");
    return;
  }
  let certified;
  let scans;
  try {
    const vendor = new URL("vendor/", here);
    const ort = await import(new URL("ort.wasm.min.mjs", vendor));
    const [loaded, response] = await Promise.all([
      Certified.load(ort, new URL("model/digits.onnx", here), vendor.href),
      fetch(new URL("model/scans.json", here)),
    ]);
    certified = loaded;
    scans = await response.json();
  } catch (error) {
    fail(`The network could not be started: ${error.message}`);
    return;
  }
  build(certified, scans);
}

function build(certified, scans) {
  const fine = new Float32Array(FINE * FINE);
  let picture = new Float32Array(SIDE * SIDE);
  let cursor = 0;
  let chosen = -1;
  let answer = null;
  let epoch = 0;

  const board = element("canvas", {
    class: "sn-board",
    tabindex: 0,
    role: "application",
    "aria-label":
      "Drawing board of 8 by 8 pixels. Arrow keys move, space inks a pixel more, backspace less, delete clears.",
    "data-sn": "board",
  });
  const label = element("output", { class: "sn-label", "data-sn": "label" }, "–");
  const radius = element("output", { class: "sn-radius", "data-sn": "radius" });
  const band = ["every pixel lighter", "your picture", "every pixel darker"].map((text) => {
    const canvas = element("canvas", { role: "img", "aria-label": text });
    return { canvas, caption: element("figcaption", {}, text) };
  });
  const noise = element("input", {
    type: "range", min: 0, max: 0.5, step: 0.005, value: 0, "aria-label": "Noise in every pixel", "data-sn": "noise",
  });
  const mark = element("span", { class: "sn-mark", "aria-hidden": "true" });
  const noiseText = element("output", { "data-sn": "noise-text" });
  const noiseCanvas = element("canvas", { role: "img", "aria-label": "The picture with noise" });
  const attackButton = element("button", { type: "button", "data-sn": "attack", onclick: runAttack }, "Attack");
  const attackText = element("output", { "data-sn": "attack-text" });
  const attackCanvas = element("canvas", { role: "img", "aria-label": "The picture that fools the network" });
  const meter = element("div", { class: "sn-meter", "aria-hidden": "true" }, element("span"), element("i"));
  const scanText = element("small", { "data-sn": "scan" });
  const live = element("p", { class: "sn-hidden", role: "status", "data-sn": "live" });

  root.replaceChildren(
    element(
      "div", {},
      board,
      element(
        "div", { class: "sn-row" },
        element("button", { type: "button", "data-sn": "clear", onclick: () => set(new Float32Array(64), -1) }, "Clear"),
        element("button", { type: "button", "data-sn": "previous", onclick: () => pick(Math.max(chosen, 0) - 1) }, "◀ Scan"),
        element("button", { type: "button", "data-sn": "next", onclick: () => pick(chosen + 1) }, "Scan ▶"),
      ),
      scanText,
    ),
    element(
      "div", {},
      element("div", { class: "sn-answer" }, label, radius),
      element("h3", {}, "The certified band"),
      element("div", { class: "sn-band" }, ...band.map((b) => element("figure", {}, b.canvas, b.caption))),
      element("h3", {}, "Noise"),
      element("div", { class: "sn-slider" }, noise, mark),
      element("div", { class: "sn-pair" }, element("figure", {}, noiseCanvas), noiseText),
      element("h3", {}, "Attack"),
      meter,
      element("div", { class: "sn-pair" }, element("figure", {}, attackCanvas),
        element("div", {}, attackButton, element("p", {}, attackText))),
      live,
    ),
  );
  root.classList.add("sn-ready");

  function drawBoard(show = document.activeElement === board) {
    board.width = board.height = FINE * 8;
    const context = board.getContext("2d");
    const cell = board.width / SIDE;
    picture.forEach((value, i) => {
      const shade = 255 - Math.round(255 * value);
      context.fillStyle = `rgb(${shade}, ${shade}, ${shade})`;
      context.fillRect((i % SIDE) * cell, Math.floor(i / SIDE) * cell, cell, cell);
    });
    context.strokeStyle = "rgba(128, 128, 128, 0.35)";
    for (let k = 1; k < SIDE; k++) {
      context.strokeRect(k * cell, -1, 0, board.height + 2);
      context.strokeRect(-1, k * cell, board.width + 2, 0);
    }
    if (!show) return;
    context.strokeStyle = "#3f51b5";
    context.lineWidth = 4;
    context.strokeRect((cursor % SIDE) * cell + 2, Math.floor(cursor / SIDE) * cell + 2, cell - 4, cell - 4);
  }

  async function update() {
    const mine = ++epoch;
    drawBoard();
    if (!picture.some((value) => value > 0)) {
      label.textContent = "–";
      radius.textContent = "Draw a digit, or take a scan.";
      answer = null;
      return refresh();
    }
    const result = await certified.predict(picture);
    if (mine !== epoch) return;
    answer = { label: result.label[0], radius: result.radius[0] };
    label.textContent = String(answer.label);
    radius.textContent = answer.radius > 0
      ? `certified radius ${roundedDown(answer.radius, 4)} of the range from paper to ink`
      : "not certified: the two best classes are too close";
    live.textContent = `label ${answer.label}, ${radius.textContent}`;
    refresh();
  }

  function refresh() {
    const r = answer?.radius ?? 0;
    [-r, 0, r].forEach((shift, i) =>
      paint(band[i].canvas, picture.map((value) => Math.min(1, Math.max(0, value + shift)))));
    mark.style.left = `${(100 * Math.min(r, 0.5)) / 0.5}%`;
    meter.firstChild.style.width = `${100 * Math.min(1, r)}%`;
    meter.lastChild.style.left = "-1rem";
    attackText.textContent = "";
    attackButton.disabled = !answer;
    noise.disabled = !answer;
    paint(attackCanvas, picture);
    shake();
  }

  async function shake() {
    const eps = Number(noise.value);
    if (!answer) {
      noiseText.textContent = "";
      return paint(noiseCanvas, picture);
    }
    const mine = epoch;
    const draw = random(Math.round(eps * 1000) + 1);
    const count = 64;
    const many = new Float32Array(count * picture.length);
    for (let i = 0; i < count; i++) many.set(noisy(picture, eps, draw), i * picture.length);
    const result = await certified.predict(many);
    if (mine !== epoch || eps !== Number(noise.value)) return;
    paint(noiseCanvas, many.slice(0, picture.length));
    const kept = result.label.filter((one) => one === answer.label).length;
    const where = eps <= answer.radius ? "inside the certified radius" : "beyond the certified radius";
    noiseText.textContent =
      `up to ${eps.toFixed(3)} in every pixel, ${where}: ${kept} of ${count} noisy pictures keep the label ${answer.label}`;
  }

  async function runAttack() {
    const mine = epoch;
    attackButton.disabled = true;
    attackText.textContent = "Searching …";
    const found = await smallestAttack(certified, picture, answer.label);
    if (mine !== epoch) return;
    attackButton.disabled = false;
    if (!found) {
      attackText.textContent = "No picture that fools the network was found.";
      return;
    }
    const fooled = (await certified.predict(found.picture)).label[0];
    if (mine !== epoch) return;
    paint(attackCanvas, found.picture);
    meter.lastChild.style.left = `${100 * Math.min(1, found.eps)}%`;
    attackText.textContent =
      `At ${roundedUp(found.eps, 3)} the search finds a picture that is read as ${fooled}; ` +
      `the certified radius is ${roundedDown(answer.radius, 3)}. Below it none exists.`;
    live.textContent = attackText.textContent;
  }

  function set(next, scan) {
    picture = Float32Array.from(next);
    fine.fill(0);
    picture.forEach((value, i) => { // ink as many of a pixel's 16 points as it says
      for (let k = 0; k < Math.round(16 * value); k++) {
        const [row, column] = [4 * Math.floor(i / SIDE) + (k >> 2), 4 * (i % SIDE) + (k & 3)];
        fine[row * FINE + column] = 1;
      }
    });
    chosen = scan;
    scanText.textContent = scan < 0 ? "" : `held-out scan ${scan + 1} of ${scans.pictures.length}, written as ${scans.labels[scan]}`;
    return update();
  }

  function pick(index) {
    const count = scans.pictures.length;
    const scan = ((index % count) + count) % count;
    return set(Float32Array.from(scans.pictures[scan], (value) => value / 16), scan);
  }

  function ink(x, y) {
    for (let row = 0; row < FINE; row++)
      for (let column = 0; column < FINE; column++)
        if (Math.hypot(column + 0.5 - x, row + 0.5 - y) < 1.7) fine[row * FINE + column] = 1;
    for (let i = 0; i < SIDE * SIDE; i++) {
      let count = 0;
      for (let k = 0; k < 16; k++)
        count += fine[(4 * Math.floor(i / SIDE) + (k >> 2)) * FINE + 4 * (i % SIDE) + (k & 3)];
      picture[i] = count / 16;
    }
    chosen = -1;
    scanText.textContent = "";
    update();
  }

  let stroke = null;
  const place = (event) => {
    const box = board.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * FINE, ((event.clientY - box.top) / box.height) * FINE];
  };
  board.addEventListener("pointerdown", (event) => {
    board.setPointerCapture(event.pointerId);
    if (chosen >= 0) set(new Float32Array(64), -1); // a new drawing, not a scan scribbled over
    stroke = place(event);
    ink(...stroke);
  });
  board.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    const to = place(event);
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - stroke[0], to[1] - stroke[1])));
    for (let k = 1; k <= steps; k++)
      ink(stroke[0] + ((to[0] - stroke[0]) * k) / steps, stroke[1] + ((to[1] - stroke[1]) * k) / steps);
    stroke = to;
  });
  for (const end of ["pointerup", "pointercancel"]) board.addEventListener(end, () => { stroke = null; });
  board.addEventListener("focus", () => drawBoard(true));
  board.addEventListener("blur", () => drawBoard(false));
  board.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -SIDE, ArrowDown: SIDE };
    const next = Float32Array.from(picture);
    if (event.key in moves) {
      const to = cursor + moves[event.key];
      const sideways = Math.abs(moves[event.key]) === 1;
      if (to >= 0 && to < 64 && (!sideways || Math.floor(to / SIDE) === Math.floor(cursor / SIDE))) cursor = to;
      drawBoard(true);
    } else if (event.key === " " || event.key === "Enter") {
      next[cursor] = Math.min(1, next[cursor] + 0.5);
      set(next, -1);
    } else if (event.key === "Backspace") {
      next[cursor] = Math.max(0, next[cursor] - 0.5);
      set(next, -1);
    } else if (event.key === "Delete") set(new Float32Array(64), -1);
    else return;
    event.preventDefault();
  });
  noise.addEventListener("input", shake);

  window.sortnetTry = { certified, scans, pick, set }; // for tests and for the curious
  pick(0);
}

start();
