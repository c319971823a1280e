// One exported file in ONNX Runtime's WebAssembly build: labels, certified radii, logits.
// No page, no drawing: what the page and its test share.

/** A certified classifier of 8 x 8 pictures with values in [0, 1]. */
export class Certified {
  static async load(ort, url, wasmPaths) {
    ort.env.wasm.wasmPaths = wasmPaths;
    ort.env.wasm.numThreads = 1; // pages without cross-origin isolation have no more
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the network's file could not be read (${response.status})`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    return new Certified(ort, session);
  }

  constructor(ort, session) {
    this.ort = ort;
    this.session = session;
    this.pixels = 64;
    this.queue = Promise.resolve(); // a session runs one batch at a time
  }

  /**
   * @param {Float32Array} pictures N x 64 values in [0, 1], row by row.
   * @returns {Promise<{label: number[], radius: Float32Array, logits: Float32Array, classes: number}>}
   * @throws {RangeError} a length that is no multiple of 64, NaN, or a value outside [0, 1].
   */
  predict(pictures) {
    if (!(pictures instanceof Float32Array) || !pictures.length || pictures.length % this.pixels)
      throw new RangeError(`expected a Float32Array of N x ${this.pixels} values, got ${pictures?.length}`);
    const wrong = pictures.findIndex((value) => !(value >= 0 && value <= 1));
    if (wrong >= 0) {
      const [picture, pixel] = [Math.floor(wrong / this.pixels), wrong % this.pixels];
      throw new RangeError(
        `pixel ${pixel} of picture ${picture} is ${pictures[wrong]}: no certificate speaks about values outside [0, 1]`,
      );
    }
    const run = async () => {
      const shape = [pictures.length / this.pixels, 1, 8, 8];
      const out = await this.session.run({ input: new this.ort.Tensor("float32", pictures, shape) });
      return {
        label: Array.from(out.label.data, Number),
        radius: out.radius.data,
        logits: out.logits.data,
        classes: out.logits.dims[1],
      };
    };
    const result = this.queue.then(run);
    this.queue = result.catch(() => {});
    return result;
  }
}

/** A repeatable source of numbers in [0, 1): mulberry32. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A number >= 0 with so many decimals, not above it: of radii, which promise. */
export function roundedDown(value, decimals) {
  const near = value.toFixed(decimals);
  return Number(near) <= value ? near : (Number(near) - 10 ** -decimals).toFixed(decimals);
}

/** The same, not below it: of attacks, which need so much. */
export function roundedUp(value, decimals) {
  const near = value.toFixed(decimals);
  return Number(near) >= value ? near : (Number(near) + 10 ** -decimals).toFixed(decimals);
}

const inBox = (value) => Math.min(1, Math.max(0, value));

/** The nearest float32 to value that is at most `eps` away from `centre`, in exact arithmetic. */
function within(centre, value, eps) {
  let result = Math.fround(inBox(value));
  // Differences of float32 numbers in [0, 1] are exact in float64 down to 2^-29 of the larger one.
  for (let step = 2 ** -25; Math.abs(result - centre) > eps; step *= 2)
    result = Math.fround(result > centre ? result - step : result + step);
  return result;
}

/** A picture with every pixel moved by up to `eps`, signs and sizes drawn at random. */
export function noisy(picture, eps, draw) {
  return Float32Array.from(picture, (value) => within(value, value + (2 * draw() - 1) * eps, eps));
}

function worstMargins(answer, label) {
  const { logits, classes } = answer;
  return Array.from({ length: logits.length / classes }, (_, row) => {
    let other = -Infinity;
    for (let k = 0; k < classes; k++) if (k !== label) other = Math.max(other, logits[row * classes + k]);
    return logits[row * classes + label] - other;
  });
}

/**
 * Search the ball of radius eps for a picture with another label, without gradients: every pixel is
 * tried at both ends of its interval, the better ends are taken together, then the best single
 * moves one after the other.
 * @returns {Promise<Float32Array|null>} a picture with another label, inside the ball; null if none was found.
 */
export async function attack(certified, picture, label, eps, { rounds = 12, seed = 1 } = {}) {
  const draw = random(seed);
  const size = picture.length;
  const ends = Array.from(picture, (value) => [within(value, value - eps, eps), within(value, value + eps, eps)]);
  let best = null;
  let bestMargin = Infinity;
  const judge = async (candidates) => {
    const batch = new Float32Array(candidates.length * size);
    candidates.forEach((candidate, row) => batch.set(candidate, row * size));
    const answer = await certified.predict(batch);
    const margins = worstMargins(answer, label);
    let found = null;
    candidates.forEach((candidate, row) => {
      if (answer.label[row] !== label) found ??= candidate;
      if (margins[row] < bestMargin) [best, bestMargin] = [candidate, margins[row]];
    });
    return { margins, found };
  };
  const starts = [Float32Array.from(picture)];
  for (let i = 0; i < 7; i++) starts.push(Float32Array.from(ends, (end) => end[draw() < 0.5 ? 0 : 1]));
  let state = (await judge(starts)).found;
  if (state) return state;
  for (let round = 0; round < rounds; round++) {
    const from = Float32Array.from(best);
    const before = bestMargin;
    const moves = [];
    for (let i = 0; i < size; i++)
      for (const end of ends[i])
        if (end !== from[i]) {
          const moved = Float32Array.from(from);
          moved[i] = end;
          moves.push([i, end, moved]);
        }
    const { margins, found } = await judge(moves.map((move) => move[2]));
    if (found) return found;
    const order = moves.map((_, index) => index).sort((a, b) => margins[a] - margins[b]);
    const together = [];
    for (const share of [1, 0.5, 0.25, 0.1]) {
      const moved = Float32Array.from(from);
      const touched = new Set();
      for (const index of order.slice(0, Math.ceil(order.length * share))) {
        const [pixel, end] = moves[index];
        if (touched.has(pixel) || margins[index] >= before) continue;
        touched.add(pixel);
        moved[pixel] = end;
      }
      together.push(moved);
    }
    state = (await judge(together)).found;
    if (state) return state;
    if (!(bestMargin < before)) break;
  }
  return null;
}

/**
 * The smallest radius at which `attack` succeeds, up to 1/256, and its picture.
 * @returns {Promise<{eps: number, picture: Float32Array}|null>} null where even radius 1 does not fool it.
 */
export async function smallestAttack(certified, picture, label) {
  let low = 0;
  let high = 1;
  let best = await attack(certified, picture, label, high);
  if (!best) return null;
  while (high - low > 1 / 256) {
    const middle = (low + high) / 2;
    const found = await attack(certified, picture, label, middle);
    if (found) [high, best] = [middle, found];
    else low = middle;
  }
  return { eps: high, picture: best };
}
