"""The page at ``/docs``: reads ``openapi.json`` and lets a person try each model. Self-contained."""

from __future__ import annotations

from typing import Final

DOCS_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Penstock</title>
<style>
  :root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: light-dark(#0a7a6c, #3cc4b1); }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
  a { color: var(--accent) } h1 { margin-bottom: 0 } h1 + p { margin-top: .2rem } main > p { margin: .4rem 0 }
  h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
  table { border-collapse: collapse; margin: .5rem 0 } td, th { padding: .15rem 1rem .15rem 0; text-align: left }
  code, pre, textarea { font: 13px/1.45 ui-monospace, monospace }
  pre, textarea { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: .7rem;
    width: 100%; box-sizing: border-box; overflow: auto; white-space: pre-wrap; word-break: break-word; max-height: 24rem }
  textarea { min-height: 9rem } .method { color: var(--accent); font-weight: 700 }
  button { font: inherit; padding: .3rem 1.1rem; border: 0; border-radius: 6px; background: #0a7a6c; color: #fff; cursor: pointer }
  .bad { color: #c33 } summary { cursor: pointer; padding: .3rem 0 } .dim { opacity: .65 }
</style>
<h1>Penstock</h1>
<p class="dim">Open Inference Protocol v2 &middot; <a href="openapi.json">openapi.json</a>
  &middot; <a href="metrics">metrics</a> &middot; <a href="v2/models">models</a></p>
<main>Loading&hellip;</main>
<script>
const make = (tag, text, parent, cls) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (cls) node.className = cls;
  if (parent) parent.append(node);
  return node;
};
let token = {};
const load = async () => {
  const reply = await fetch("openapi.json", { headers: token });
  if (reply.status !== 401 && reply.status !== 403) return reply.json();
  const given = prompt("This server asks for a token.");
  if (!given) return Promise.reject("It needs a token: load the page again.");
  token = { authorization: `Bearer ${given}` };
  return load();
};
const tensors = (title, schema, parent) => {
  make("strong", title, parent);
  const table = make("table", undefined, parent);
  for (const { properties: p } of schema.items?.oneOf ?? []) {
    const row = make("tr", undefined, table);
    make("code", p.name.const, make("td", undefined, row));
    const shape = (p.shape.prefixItems ?? []).map(d => d.const ?? -1).join(", ");
    make("code", `${p.datatype.const} [${shape}]`, make("td", undefined, row));
  }
};
const json = content => content?.["application/json"] ?? {};
// An operation that is no prediction has no tensors: its fields are listed as they are described.
const fields = (schema, doc, parent) => {
  while (schema && !schema.properties)
    schema = schema.$ref ? doc.components.schemas[schema.$ref.split("/").pop()] : schema.oneOf?.[0];
  const list = make("ul", undefined, parent);
  for (const [name, one] of Object.entries(schema?.properties ?? {})) {
    const item = make("li", undefined, list);
    make("code", name, item); make("span", "  " + (one.description ?? ""), item);
  }
};
const render = (path, post, base, doc, parent) => {
  const box = make("details", undefined, parent);
  const line = make("summary", undefined, box);
  make("span", "POST ", line, "method"); make("code", path, line); make("span", "  " + post.summary, line, "dim");
  const body = json(post.requestBody?.content), asked = body.schema?.properties;
  if (asked?.inputs) {
    tensors("Inputs", asked.inputs, box);
    tensors("Outputs", json(post.responses["200"].content).schema.properties.outputs, box);
  } else fields(body.schema, doc, box);
  const area = make("textarea", undefined, box);
  area.value = body.example ? JSON.stringify(body.example) : "";
  if (!body.example) area.placeholder = "An example would be too large to show here.";
  area.setAttribute("aria-label", "request body");
  const send = make("button", "Send", box);
  const state = make("p", "", box, "dim"), out = make("pre", "", box); out.hidden = true;
  send.onclick = async () => {
    const began = performance.now();
    try {
      const reply = await fetch(base + path, { method: "POST", body: area.value,
        headers: { "content-type": "application/json", ...token } });
      const text = await reply.text();
      state.textContent = `${reply.status} in ${(performance.now() - began).toFixed(1)} ms, ` +
        `version ${reply.headers.get("x-model-version") ?? "-"}, request ${reply.headers.get("x-request-id")}`;
      out.textContent = text; out.className = reply.ok ? "" : "bad"; out.hidden = false;
    } catch (problem) { state.textContent = String(problem); }
  };
  return box;
};
load().then(doc => {
  const main = document.querySelector("main"); main.textContent = "";
  const base = location.pathname.replace(/\\/docs$/, "");
  const posts = Object.entries(doc.paths).filter(([, { post }]) => post);
  const predicts = ([, { post }]) => json(post.requestBody?.content).schema?.properties?.inputs;
  let heading, first = true;
  for (const [path, { post }] of posts.filter(predicts)) {
    if (heading !== post.tags[0]) make("h2", heading = post.tags[0], main);
    const box = render(path, post, base, doc, main);
    box.open = first; first = false;
  }
  if (first) make("p", "No model is served yet.", main);
  make("h2", "Server", main);
  for (const [path, { post }] of posts.filter(one => !predicts(one))) render(path, post, base, doc, main);
  for (const [path, { get }] of Object.entries(doc.paths)) {
    if (!get) continue;
    const line = make("p", undefined, main);
    make("span", "GET ", line, "method");
    const link = make("a", path, line); link.href = base + path;
    make("span", "  " + get.summary, line, "dim");
  }
}).catch(problem => { document.querySelector("main").textContent = String(problem); });
</script>
</html>
"""
