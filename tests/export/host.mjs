// Runs models as an ONNX Runtime of JavaScript: node host.mjs ENTRY
//
// ENTRY is the file of onnxruntime-web or onnxruntime-node to import. Each line of standard input
// {"model": path, "optimize": level, "dims": [...], "data": base64 of float32} is answered by one line,
// {"outputs": {name: {"type", "dims", "data"}}} or {"error": message}.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const loaded = await import(pathToFileURL(process.argv[2]).href);
const ort = loaded.InferenceSession ? loaded : loaded.default;
ort.env.wasm.numThreads = 1;

const base64 = (array) =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");

async function answer({ model, optimize, dims, data }) {
  const session = await ort.InferenceSession.create(readFileSync(model), {
    executionProviders: [process.argv[3]],
    graphOptimizationLevel: optimize,
    logSeverityLevel: 3,
  });
  try {
    const bytes = Uint8Array.from(Buffer.from(data, "base64")).buffer;
    const input = new ort.Tensor("float32", new Float32Array(bytes), dims);
    const found = await session.run({ [session.inputNames[0]]: input });
    const outputs = {};
    for (const name of session.outputNames) {
      const { type, dims: shape, data: values } = found[name];
      outputs[name] = { type, dims: shape, data: base64(values) };
    }
    return { outputs };
  } finally {
    await session.release();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const done = await answer(JSON.parse(line)).catch((error) => ({ error: String(error.message) }));
  process.stdout.write(JSON.stringify(done) + "\n");
}
