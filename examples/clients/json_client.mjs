// A prediction over JSON, in Node or a browser: node json_client.mjs http://127.0.0.1:8000 breast-cancer
const [, , url, model] = process.argv;

const described = await (await fetch(`${url}/v2/models/${model}`)).json();
const [features] = described.inputs;
const data = Array(features.shape[1]).fill(0.5);
const tensor = { name: features.name, datatype: "FP32", shape: [1, data.length], data };
const answer = await fetch(`${url}/v2/models/${model}/infer`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ inputs: [tensor] }),
});
if (!answer.ok) throw new Error(await answer.text());
for (const output of (await answer.json()).outputs) console.log(output.name, output.data);
