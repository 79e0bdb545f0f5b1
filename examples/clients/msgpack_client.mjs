// A prediction over msgpack: node msgpack_client.mjs http://127.0.0.1:8000 breast-cancer
// It needs the package @msgpack/msgpack.
import { decode, encode } from "@msgpack/msgpack";

const [, , url, model] = process.argv;
const bytes = new Uint8Array(new Float32Array(30).fill(0.5).buffer);
const tensor = { name: "features", datatype: "FP32", shape: [1, 30], data: bytes };
const answer = await fetch(`${url}/v2/models/${model}/infer`, {
  method: "POST",
  headers: { "content-type": "application/msgpack" },
  body: encode({ inputs: [tensor] }),
});
if (!answer.ok) throw new Error(await answer.text());
const [label, probabilities] = decode(await answer.arrayBuffer()).outputs;
console.log("label", new DataView(label.data.buffer, label.data.byteOffset).getBigInt64(0, true));
console.log("probabilities", new Float32Array(probabilities.data.slice().buffer));
