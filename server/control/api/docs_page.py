"""The admin port's page at ``/docs``: what there is to ask and to do. Self-contained."""

from __future__ import annotations

from typing import Final

DOCS_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Penstock admin</title>
<style>
  :root { color-scheme: light dark; --line: #8884; --accent: #0a7a6c; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { margin-bottom: 0 } section { border-top: 1px solid var(--line); padding: .6rem 0 }
  code { font: 13px/1.45 ui-monospace, monospace } .method { color: var(--accent); font-weight: 700 }
  .dim { opacity: .65 } ul { margin: .2rem 0 }
</style>
<h1>Penstock admin</h1>
<p class="dim"><a href="openapi.json">openapi.json</a> &middot; <a href="admin/status">status</a>
  &middot; <a href="metrics">metrics</a> &middot; commands need a token:
  <code>authorization: Bearer &hellip;</code></p>
<main>Loading&hellip;</main>
<script>
const make = (tag, text, parent, cls) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (cls) node.className = cls;
  if (parent) parent.append(node);
  return node;
};
fetch("openapi.json").then(reply => reply.json()).then(doc => {
  const main = document.querySelector("main"); main.textContent = "";
  for (const [path, verbs] of Object.entries(doc.paths))
    for (const [verb, operation] of Object.entries(verbs)) {
      const box = make("section", undefined, main);
      make("span", verb.toUpperCase() + " ", box, "method"); make("code", path, box);
      make("div", operation.summary, box);
      const scope = operation.security?.[0].token[0];
      if (scope) make("div", `scope: ${scope}`, box, "dim");
      const list = make("ul", undefined, box);
      const say = (name, text) => { const item = make("li", undefined, list);
        make("code", name, item); make("span", ` ${text ?? ""}`, item); };
      for (const one of operation.parameters ?? []) if (one.in === "query") say(`?${one.name}=`, one.description);
      const body = operation.requestBody?.content?.["application/json"]?.schema?.properties ?? {};
      for (const [name, one] of Object.entries(body)) say(name, one.description);
    }
}).catch(problem => { document.querySelector("main").textContent = String(problem); });
</script>
</html>
"""
