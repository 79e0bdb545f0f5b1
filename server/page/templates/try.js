// A form for one operation of an OpenAPI document of the prediction port: fields by its schema, the
// body that they make, the answer with its probabilities and times, and the same request as code.
const inJson = content => content?.["application/json"] ?? {};
const described = (schema, doc) => {
  while (schema && !schema.properties)
    schema = schema.$ref ? doc.components.schemas[schema.$ref.split("/").pop()] : schema.oneOf?.[0];
  return schema?.properties ?? {};
};
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const MOST_OPTIONS = 500, MOST_SHOWN = 200000, MOST_BARS = 100;
const labelled = (text, note, parent) => {
  const box = make("label", undefined, parent);
  make("span", text, box, "name");
  if (note) make("span", note, box, "dim");
  return box;
};
const choice = (names, parent) => {
  const input = make("select", undefined, parent);
  names.forEach((name, place) => { make("option", name, input).value = String(place); });
  return input;
};

// One column of a row. `read` gives its JSON text: numbers keep all of their digits.
const columnField = (name, schema, start, parent) => {
  const types = [schema.type ?? []].flat();
  const missing = types.includes("null") || (schema.enum ?? []).includes(null);
  const values = schema.enum ?? (types.includes("boolean") ? [false, true, ...(missing ? [null] : [])] : null);
  if (values && values.length <= MOST_OPTIONS) {
    const box = labelled(name, "", parent);
    const input = choice(values.map(one => one === null ? "(missing)" : String(one)), box);
    input.value = String(Math.max(0, values.indexOf(start)));
    return {input, read: () => JSON.stringify(values[Number(input.value)])};
  }
  const numeric = types.includes("number") || (types.includes("integer") && !types.includes("string"));
  const what = numeric ? "number" : "text";
  const box = labelled(name, missing ? `${what}; empty if it is missing` : what, parent);
  const input = make("input", undefined, box);
  if (numeric) input.inputMode = "decimal";
  input.autocomplete = "off";
  input.value = start === null || start === undefined ? "" : String(start);
  const read = () => {
    const text = numeric ? input.value.trim() : input.value;
    if (text === "" && (missing || numeric)) return "null";
    return numeric && NUMBER.test(text) ? text : JSON.stringify(text);
  };
  return {input, read};
};

// Whether a tensor is a picture: [rows, C, H, W], [rows, H, W, C], or one of them without rows.
const pictureOf = (sizes, datatype) => {
  if (!["UINT8", "FP16", "FP32", "FP64"].includes(datatype)) return null;
  const [c, h, w] = sizes.slice(-3), [height, width, last] = sizes.slice(-3);
  const channels = one => one === 1 || one === 3 || one === 4, side = one => one === -1 || one >= 8;
  const rows = sizes.length === 3 || (sizes.length === 4 && (sizes[0] === -1 || sizes[0] === 1));
  if (rows && sizes.length > 2 && channels(c) && side(h) && side(w))
    return {channels: c, height: h, width: w, first: true};
  if (rows && sizes.length > 2 && channels(last) && side(height) && side(width))
    return {channels: last, height, width, first: false};
  if (sizes.length === 3 && (sizes[0] === -1 || sizes[0] === 1) && side(sizes[1]) && side(sizes[2]))
    return {channels: 1, height: sizes[1], width: sizes[2], first: true, flat: true};
  return null;
};
const SCALES = {"0 to 1": one => one / 255, "0 to 255": one => one, "-1 to 1": one => one / 127.5 - 1};
const pixels = async (file, picture, scale) => {
  const image = await createImageBitmap(file);
  const width = picture.width === -1 ? image.width : picture.width;
  const height = picture.height === -1 ? image.height : picture.height;
  if (width * height > 4194304) throw new Error("the picture has more than 4 million pixels");
  const canvas = document.createElement("canvas");
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, width, height);
  const {data} = context.getImageData(0, 0, width, height);
  const count = width * height, {channels} = picture, values = new Array(count * channels);
  for (let place = 0; place < count; place++) {
    const [r, g, b, a] = [data[4 * place], data[4 * place + 1], data[4 * place + 2], data[4 * place + 3]];
    const given = channels === 1 ? [Math.round(0.299 * r + 0.587 * g + 0.114 * b)] : [r, g, b, a];
    for (let channel = 0; channel < channels; channel++)
      values[picture.first ? channel * count + place : place * channels + channel] = scale(given[channel]);
  }
  const sizes = picture.flat ? [height, width]
    : picture.first ? [channels, height, width] : [height, width, channels];
  return {sizes, text: `[${values.map(one => Number.isInteger(one) ? one : one.toPrecision(6)).join(",")}]`};
};

// One tensor. `read` gives its JSON text, empty for one that is left out.
const tensorField = (schema, example, parent, changed) => {
  const name = schema.name.const, datatype = schema.datatype.const;
  const sizes = (schema.shape.prefixItems ?? []).map(one => one.const ?? -1);
  const open = sizes.filter(one => one === -1).length;
  const shown = sizes.map(one => one === -1 ? "any" : one).join(" × ");
  const box = labelled(name, `${datatype} ${shown ? `[${shown}]` : "one value"}; empty leaves it out`, parent);
  const input = make("textarea", undefined, box);
  input.rows = 3; input.spellcheck = false;
  input.value = example ? JSON.stringify(example.data).slice(1, -1) : "";
  if (!example) input.placeholder = "An example would be too large to show here.";
  let shape = null, given = null;
  if (open) {
    shape = make("input", undefined, labelled(`shape of ${name}`, "", parent));
    shape.value = (example?.shape ?? sizes.map(one => Math.abs(one))).join(", ");
  }
  const picture = pictureOf(sizes, datatype);
  if (picture) {
    const upload = make("input", undefined, labelled(`picture for ${name}`, "any size; it is fitted", parent));
    upload.type = "file"; upload.accept = "image/*";
    const scale = datatype === "UINT8" ? null : choice(Object.keys(SCALES), labelled("values of a pixel", "", parent));
    const take = async () => {
      if (!upload.files.length) return;
      const how = scale ? Object.values(SCALES)[Number(scale.value)] : SCALES["0 to 255"];
      try {
        const made = await pixels(upload.files[0], picture, how);
        const rows = sizes.length > made.sizes.length ? [1] : [];
        given = {text: made.text, shape: [...rows, ...made.sizes]};
        if (shape) shape.value = given.shape.join(", ");
        input.value = ""; input.placeholder = `${given.shape.join(" × ")} values of ${upload.files[0].name}`;
      } catch (problem) { given = null; input.placeholder = `The picture cannot be read: ${problem.message}`; }
      changed();
    };
    upload.onchange = take;
    if (scale) scale.onchange = take;
  }
  input.addEventListener("input", () => { given = null; });
  const dimensions = values => {
    if (open === 1 && values !== null) {
      const others = sizes.reduce((all, one) => one === -1 ? all : all * one, 1);
      if (others && values % others === 0) return sizes.map(one => one === -1 ? values / others : one);
    }
    return shape ? (shape.value.match(/\d+/g) ?? []).map(Number) : sizes;
  };
  const read = () => {
    const typed = input.value.trim();
    if (given) return tensorText(name, datatype, given.shape, given.text);
    if (typed === "") return sizes.includes(0) || example?.data.length === 0 ? tensorText(name, datatype, dimensions(0), "[]") : "";
    const listOf = text => { try { const made = JSON.parse(text); return Array.isArray(made) ? made : null; } catch { return null; } };
    const whole = listOf(typed), text = whole ? typed : `[${typed}]`;
    const values = whole ?? listOf(text);  // where it is none, the server says what is wrong
    return tensorText(name, datatype, dimensions(values && values.flat(Infinity).length), text);
  };
  return {input, shape, read};
};
const tensorText = (name, datatype, shape, data) =>
  `{"name": ${JSON.stringify(name)}, "datatype": ${JSON.stringify(datatype)}, "shape": [${shape.join(", ")}], "data": ${data}}`;

// The fields of an operation and the body that they make; null for one whose body is typed.
const fieldsOf = (body, parent, changed) => {
  const asked = body.schema?.properties ?? {};
  let fields = [], text = null;
  const row = asked.instances?.items?.anyOf?.[0];
  if (row?.properties) {
    const start = body.example?.instances?.[0] ?? {};
    fields = row.required.map(name => [name, columnField(name, row.properties[name], start[name], parent)]);
    text = () => `{"instances": [{${fields.map(([name, one]) => `${JSON.stringify(name)}: ${one.read()}`).join(", ")}}]}`;
  } else if (asked.inputs) {
    const examples = new Map((body.example?.inputs ?? []).map(one => [one.name, one]));
    const { items } = asked.inputs; // one tensor, several, or none
    const listed = items ? (items.oneOf ?? [items]) : [];
    fields = listed.map(one => [one.title, tensorField(one.properties, examples.get(one.title), parent, changed)]);
    text = () => `{"inputs": [${fields.map(([, one]) => one.read()).filter(Boolean).join(", ")}]}`;
  }
  for (const [, one] of fields) {
    one.input.addEventListener("input", changed);
    one.shape?.addEventListener("input", changed);
  }
  return text;
};

// The answer: classes with their probabilities as bars, everything else as it is.
const bar = (name, share, words, parent, kind) => {
  const row = make("div", undefined, parent, "bar-row");
  make("span", name, row, "name");
  make("span", undefined, make("span", undefined, row, "track"), `fill ${kind ?? ""}`).style.width =
    `${100 * Math.min(1, Math.max(0, share))}%`;
  make("span", words, row, "value");
};
const isShare = one => typeof one === "number" && one >= 0 && one <= 1;
const probabilities = values => {
  const known = [...values];
  return known.length > 1 && known.length <= MOST_BARS && known.every(isShare)
    && Math.abs(known.reduce((all, one) => all + one, 0) - 1) < 0.02;
};
const showOutput = (name, pairs, parent) => {
  make("h4", name, parent);
  if (probabilities(pairs.map(([, value]) => value)))
    for (const [label, value] of pairs) bar(label, value, value.toPrecision(4), parent);
  else if (pairs.length === 1 && isShare(pairs[0][1]) && !Number.isInteger(pairs[0][1]))
    bar(pairs[0][0], pairs[0][1], pairs[0][1].toPrecision(4), parent);
  else {
    const shown = pairs.slice(0, MOST_BARS).map(([label, value]) =>
      (pairs.length > 1 ? `${label}: ` : "") + (typeof value === "string" ? value : JSON.stringify(value)));
    if (pairs.length > MOST_BARS) shown.push(`and ${pairs.length - MOST_BARS} more`);
    make("p", shown.join(", "), parent);
  }
};
const entries = value => value !== null && typeof value === "object"
  ? Object.entries(value) : [["value", value]];
const showAnswer = (text, classes, parent) => {
  let answer;
  try { answer = JSON.parse(text); } catch { return; }
  for (const [place, row] of (answer.predictions ?? []).slice(0, 5).entries()) {
    if (answer.predictions.length > 1) make("h3", `Row ${place}`, parent);
    const outputs = row !== null && typeof row === "object" && !Array.isArray(row) ? entries(row) : [["prediction", row]];
    for (const [name, value] of outputs) showOutput(name, entries(value), parent);
  }
  for (const one of answer.outputs ?? []) {
    const data = (one.data ?? []).flat(Infinity);
    const width = one.shape.length > 1 ? data.length / Math.max(1, one.shape[0]) : 1;
    const names = classes.get(one.name) ?? [];
    for (let row = 0; row < Math.min(5, Math.floor(data.length / Math.max(1, width))); row++) {
      const values = data.slice(row * width, (row + 1) * width);
      const heading = one.shape.length > 0 && one.shape[0] > 1 ? `${one.name}, row ${row}` : one.name;
      showOutput(heading, values.map((value, place) => [names[place] ?? (width > 1 ? String(place) : "value"), value]), parent);
    }
  }
};
const showTimes = (reply, browser, parent) => {
  const told = new Map([...(reply.headers.get("server-timing") ?? "").matchAll(/(\w+);dur=([\d.]+)/g)]
    .map(([, name, value]) => [name, Number(value)]));
  if (!told.has("total")) return;
  make("h4", "Time", parent);
  const ms = value => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
  const [queue, compute, total] = ["queue", "compute", "total"].map(name => told.get(name));
  const rest = Math.max(0, total - queue - compute), way = Math.max(0, browser - total);
  for (const [name, value] of [["waiting in the queue", queue], ["computing", compute],
    ["the rest of the server", rest], ["network and browser", way]])
    bar(name, value / Math.max(browser, total), ms(value), parent, "time");
};

// The same request for a terminal and for a program. Nothing of it is secret.
const shellQuoted = text => `'${text.replaceAll("'", "'\\''")}'`;
const asCurl = (url, body, secured) => [`curl -s ${shellQuoted(url)} \\`,
  ...(secured ? ['  -H "authorization: Bearer $PENSTOCK_TOKEN" \\'] : []),
  "  -H 'content-type: application/json' \\", `  -d ${shellQuoted(body)}`].join("\n");
const asPython = (url, body, secured) => ["import json", ...(secured ? ["import os"] : []), "import urllib.request", "",
  `body = ${JSON.stringify(body)}`,
  `headers = {"content-type": "application/json"}`,
  ...(secured ? ['headers["authorization"] = "Bearer " + os.environ["PENSTOCK_TOKEN"]'] : []),
  `request = urllib.request.Request(${JSON.stringify(url)}, body.encode(), headers)`,
  "with urllib.request.urlopen(request) as answer:", "    print(json.load(answer))"].join("\n");
const showCode = (url, body, secured, parent) => {
  parent.textContent = "";
  if (body.length > MOST_SHOWN) { make("p", "The request is too large to show here as code.", parent); return; }
  for (const [name, code] of [["curl", asCurl(url, body, secured)], ["Python", asPython(url, body, secured)]]) {
    make("h4", name, parent); make("pre", code, parent, "code").tabIndex = 0;
  }
};

// Names of the classes of each output, as far as a description of rows has them.
const classesOf = posts => {
  const found = new Map();
  for (const {post} of posts) {
    const outputs = inJson(post.responses?.["200"]?.content).schema?.properties?.predictions?.items?.properties ?? {};
    for (const [name, one] of Object.entries(outputs))
      if (one.properties) found.set(name, Object.keys(one.properties));
  }
  return found;
};

// The whole: `ask(path, body)` sends it, `url` is the prediction port as programs see it.
const tryIt = (path, post, doc, classes, url, ask, parent) => {
  const body = inJson(post.requestBody?.content), secured = Boolean(doc.security);
  const form = make("form", undefined, parent, "try");
  const fields = make("div", undefined, form, "fields");
  let made = null, whole = null;
  const typed = make("details", undefined, form);
  make("summary", "Request body", typed);
  const area = make("textarea", undefined, typed, "body");
  area.setAttribute("aria-label", "request body"); area.spellcheck = false; area.rows = 8;
  const renew = () => {
    if (!made) return;
    const text = made();
    whole = text.length > MOST_SHOWN ? text : null;
    area.readOnly = whole !== null;
    area.value = whole === null ? text : `${text.slice(0, 2000)} … (${text.length} characters in all)`;
  };
  made = fieldsOf(body, fields, renew);
  if (made) renew();
  else {
    typed.open = true;
    area.value = body.example ? JSON.stringify(body.example) : "";
    const list = make("ul", undefined, fields);
    for (const [name, one] of Object.entries(described(body.schema, doc))) {
      const item = make("li", undefined, list);
      make("code", name, item); make("span", `  ${one.description ?? ""}`, item);
    }
  }
  const send = make("button", "Send", form);
  const state = make("p", "", form, "state"); state.setAttribute("role", "status");
  const shown = make("div", undefined, form, "answer");
  const raw = make("details", undefined, form); raw.hidden = true;
  make("summary", "Answer as it came", raw);
  const out = make("pre", "", raw); out.tabIndex = 0;
  const code = make("details", undefined, form), codes = make("div");
  make("summary", "As curl and Python", code); code.append(codes);
  code.ontoggle = () => { if (code.open) showCode(url + path, whole ?? area.value, secured, codes); };
  form.onsubmit = async event => {
    event.preventDefault();
    send.disabled = true;
    const sent = whole ?? area.value, began = performance.now();
    try {
      const reply = await ask(path, sent), text = await reply.text(), took = performance.now() - began;
      const version = reply.headers.get("x-model-version"), id = reply.headers.get("x-request-id");
      state.textContent = `${reply.status} in ${took.toFixed(1)} ms` +
        (version ? `, version ${version}` : "") + (id ? `, request ${id}` : "");
      state.className = reply.ok ? "state" : "state bad";
      shown.textContent = "";
      if (reply.ok) { showAnswer(text, classes, shown); showTimes(reply, took, shown); }
      out.textContent = text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)} …` : text;
      raw.hidden = false; raw.open = !reply.ok || !shown.childNodes.length;
      if (code.open) showCode(url + path, sent, secured, codes);
    } catch (problem) { state.textContent = String(problem); state.className = "state bad"; }
    send.disabled = false;
  };
};

// Operations as boxes that are filled when they are opened; the first is open.
const operations = (posts, doc, url, ask, parent, opened) => {
  const classes = classesOf(posts);
  for (const {path, post} of posts) {
    const box = make("details", undefined, parent, "operation"), line = make("summary", undefined, box);
    make("span", "POST ", line, "method"); make("code", path, line); make("span", `  ${post.summary}`, line, "dim");
    let filled = false;
    const fill = () => { if (!filled) { filled = true; tryIt(path, post, doc, classes, url, ask, box); } };
    box.ontoggle = () => { if (box.open) fill(); };
    if (opened) { fill(); box.open = true; opened = false; }
  }
};
// Rows with names come first: people have those.
const ordered = posts => [...posts.filter(one => one.named), ...posts.filter(one => !one.named)];
const postsOf = doc => Object.entries(doc.paths).filter(([, {post}]) => post).map(([path, {post}]) => {
  const asked = inJson(post.requestBody?.content).schema?.properties ?? {};
  return {path, post, named: Boolean(asked.instances?.items?.anyOf), predicts: Boolean(asked.inputs || asked.instances)};
});
