// Runs a TensorFlow.js graph model as published, in plain JavaScript, to check a translation against.
// node run_tfjs.js TF_MIN_JS MODEL_JSON WEIGHTS_BIN INPUT_INT32 ROWS COLUMNS OUTPUT_FLOAT32 NODE...
const fs = require("fs");
const [library, topology, weights, input, rows, columns, output, ...nodes] = process.argv.slice(2);
const tf = require(library);

const bytes = (path) => { const b = fs.readFileSync(path); return b.buffer.slice(b.byteOffset, b.byteOffset + b.length); };

async function main() {
  await tf.setBackend("cpu");
  const document = JSON.parse(fs.readFileSync(topology));
  const model = await tf.loadGraphModel({
    load: async () => ({
      modelTopology: document.modelTopology,
      weightSpecs: document.weightsManifest.flatMap((group) => group.weights),
      weightData: bytes(weights),
      signature: document.signature,
    }),
  });
  const image = tf.tensor(new Int32Array(bytes(input)), [1, Number(rows), Number(columns), 3], "int32");
  const results = await model.executeAsync(image, nodes);
  const flat = results.flatMap((tensor) => Array.from(tensor.dataSync()));
  fs.writeFileSync(output, Buffer.from(new Float32Array(flat).buffer));
}

main();
