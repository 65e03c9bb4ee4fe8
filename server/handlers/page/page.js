"use strict";
const $ = (id) => document.getElementById(id);
let picture = null, models = [], asked = 0;

function make(tag, text, attributes) {
  const e = document.createElement(tag);
  if (text !== undefined && text !== null) e.textContent = text;
  for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
  return e;
}

function bar(share) {
  const b = make("div", null, { class: "bar", "aria-hidden": "true" }), i = make("i");
  i.style.setProperty("width", `${Math.max(0, Math.min(1, share)) * 100}%`);
  b.append(i);
  return b;
}

function problem(sentence) {
  $("problem").textContent = sentence || "";
  $("problem").hidden = !sentence;
}

// ---- asking the server ----

function headers() {
  const key = sessionStorage.getItem("key");
  return key ? { "X-API-Key": key } : {};
}

async function ask(path, options) {
  let r;
  try {
    r = await fetch(path, { ...options, headers: { ...headers(), ...(options && options.headers) } });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Error("The server cannot be reached.");
  }
  if (r.ok) return r;
  if (r.status === 401) {
    $("access").open = true;
    $("key").focus();
  }
  let sentence = `The server answered ${r.status}.`;
  try {
    sentence = (await r.json()).error || sentence;
  } catch (e) { /* not ours: the status has to do */ }
  const wait = r.headers.get("Retry-After");
  throw new Error(sentence[0].toUpperCase() + sentence.slice(1) + (wait ? ` (again in ${wait} s)` : ""));
}

async function attempt(work) {
  try {
    problem("");
    return await work();
  } catch (e) {
    if (e.name !== "AbortError") problem(e.message);
    return null;
  }
}

// ---- models ----

const millions = (n) => (n / 1e6).toLocaleString("en", { maximumFractionDigits: n < 1e7 ? 2 : 0 });
const families = () => [...new Set(models.map((m) => m.family).filter(Boolean))];

function fill(select, names) {
  const before = select.value;
  select.replaceChildren(...names.map(([value, text]) => make("option", text, { value })));
  if (names.some(([value]) => value === before)) select.value = before;
}

function cell(row, text, number) {
  row.append(make("td", text, number ? { class: "n" } : {}));
}

function listModels() {
  $("list").tBodies[0].replaceChildren(...models.map((m) => {
    const row = make("tr");
    row.append(make("th", m.name + (m.default ? " (default)" : ""), { scope: "row" }));
    cell(row, m.version);
    if (m.state !== "ready") {
      row.append(make("td", m.state, { colspan: 6 }));
      return row;
    }
    cell(row, `${m.input.width} × ${m.input.height}`);
    cell(row, m.precision);
    cell(row, m.classes || "–", true);
    cell(row, millions(m.mult_adds), true);
    cell(row, millions(m.parameters), true);
    const show = make("button", "Show", { type: "button", "aria-label": `Show the layers of ${m.name}` });
    show.addEventListener("click", () => attempt(() => showLayers(m.name)));
    row.append(make("td"));
    row.lastChild.append(show);
    return row;
  }));
}

async function loadModels() {
  models = (await (await ask("v1/models")).json()).models;
  const ready = models.filter((m) => m.state === "ready");
  fill($("model"), [["", "the default"], ...families().map((f) => [f, `${f} (family)`]), ...ready.map((m) => [m.name, m.name])]);
  fill($("family"), families().map((f) => [f, f]));
  fill($("teacher"), ready.map((m) => [m.name, m.name]));
  listModels();
  ready_to_climb();
}

async function showLayers(name) {
  const m = await (await ask(`v1/models/${encodeURIComponent(name)}/layers`)).json();
  const most = Math.max(1, ...m.layers.map((l) => l.mult_adds));
  $("layers").querySelector("figcaption").textContent =
    `${m.model}: ${m.layers.length} layers, ${(m.weight_bytes / 1e6).toFixed(1)} MB of weights in memory`;
  $("layers").querySelector("tbody").replaceChildren(...m.layers.map((l) => {
    const row = make("tr");
    row.append(make("th", l.name, { scope: "row" }));
    cell(row, l.kind);
    cell(row, `${l.width} × ${l.height} × ${l.channels}`);
    cell(row, l.kernel || "");
    cell(row, millions(l.mult_adds), true);
    row.append(make("td"));
    row.lastChild.append(bar(l.mult_adds / most));
    return row;
  }));
  $("layers").hidden = false;
}

// ---- one picture ----

async function show(file) {
  const canvas = $("shown");
  try {
    const image = await createImageBitmap(file);
    const scale = Math.min(1, 1024 / Math.max(image.width, image.height));
    canvas.width = Math.max(1, Math.round(image.width * scale));
    canvas.height = Math.max(1, Math.round(image.height * scale));
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.hidden = false;
  } catch (e) {
    canvas.hidden = true; // the server may know more formats, or says what is wrong
  }
  $("hint").textContent = file.name ? `${file.name}. Another one: drop it, paste it, or` : "Another one: drop it, paste it, or";
}

const quoted = (s) => `'${s.replace(/'/g, "'\\''")}'`;

function curlLine(path) {
  const key = sessionStorage.getItem("key") ? ' -H "X-API-Key: $KEY"' : "";
  return `curl -T ${quoted(picture.name || "photo.jpg")}${key} ${quoted(new URL(path, location.href).href)}`;
}

function tell(r, path) {
  $("classes").replaceChildren(...(r.predictions || []).map((p) => {
    const li = make("li");
    li.append(make("span", p.label || `class ${p.class}`), make("span", `${(p.score * 100).toFixed(1)} %`), bar(p.score));
    return li;
  }));
  $("who").textContent = `${r.model} version ${r.version}${r.variant ? `, variant ${r.variant}` : ""}` +
    `${r.degraded ? ", a lower one because of the load" : ""}${r.batch > 1 ? `, in a batch of ${r.batch}` : ""}`;
  const t = r.timing_ms;
  $("stages").tBodies[0].replaceChildren(...["queue", "decode", "preprocess", "inference", "total"].map((stage) => {
    const row = make("tr");
    row.append(make("th", stage, { scope: "row" }));
    cell(row, t[stage].toFixed(2), true);
    row.append(make("td"));
    row.lastChild.append(bar(t.total > 0 ? t[stage] / t.total : 0));
    return row;
  }));
  $("curl").textContent = curlLine(path);
  $("nothing").hidden = true;
  $("result").hidden = false;
}

async function classify() {
  const mine = ++asked, model = $("model").value;
  const path = `v1/classify?top_k=5${model ? `&model=${encodeURIComponent(model)}` : ""}`;
  $("answer").setAttribute("aria-busy", "true");
  $("result").hidden = true;
  $("nothing").hidden = false;
  $("nothing").textContent = "Asking…";
  const r = await attempt(async () => (await ask(path, { method: "PUT", body: picture })).json());
  if (mine !== asked) return; // another picture came meanwhile
  $("answer").setAttribute("aria-busy", "false");
  $("nothing").textContent = r ? "" : "No answer.";
  if (r) tell(r, path);
}

async function take(file) {
  if (!file) return;
  picture = file;
  ready_to_climb();
  await show(file);
  await classify();
}

// ---- the ladder ----

function ready_to_climb() {
  $("climb").disabled = !picture || families().length === 0;
}

const variants = (family) => models.filter((m) => m.family === family && m.state === "ready")
  .sort((a, b) => b.mult_adds - a.mult_adds);

async function climb() {
  const body = $("ladder").tBodies[0];
  body.replaceChildren();
  $("climb").disabled = true;
  await attempt(async () => {
    for (const m of variants($("family").value)) {
      const r = await (await ask(`v1/models/${encodeURIComponent(m.name)}/classify?top_k=1`, { method: "PUT", body: picture })).json();
      const row = make("tr"), best = r.predictions[0];
      row.append(make("th", m.variant.replace("_", " × "), { scope: "row" }));
      cell(row, best.label || `class ${best.class}`);
      cell(row, `${(best.score * 100).toFixed(1)} %`, true);
      cell(row, r.timing_ms.inference.toFixed(2), true);
      cell(row, millions(m.mult_adds), true);
      body.append(row);
    }
  });
  ready_to_climb();
}

// ---- the live board ----

const TILES = [["answers_per_s", "answers a second", 0], ["p50_ms", "p50, ms", 1], ["p99_ms", "p99, ms", 1], ["queue", "waiting", 0],
  ["batch", "images a batch", 1], ["busy", "workers busy, %", 0, 100], ["cpu", "CPUs used", 2], ["refused_per_s", "refused a second", 0]];
const history = {};
let watching = null;

function tile(key, title, digits, factor) {
  const past = history[key], most = Math.max(...past, 1e-9);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"),
    line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  svg.setAttribute("viewBox", "0 0 60 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("points", past.map((v, i) => `${past.length > 1 ? 60 * i / (past.length - 1) : 60},${19 - 18 * v / most}`).join(" "));
  svg.append(line);
  const div = make("div"), dd = make("dd", (past[past.length - 1] * (factor || 1)).toFixed(digits));
  dd.append(svg);
  div.append(make("dt", title), dd);
  return div;
}

function board(e) {
  for (const [key] of TILES) (history[key] = (history[key] || []).concat(e[key] || 0).slice(-60));
  $("board").replaceChildren(...TILES.map((t) => tile(...t)));
  $("in-use").tBodies[0].replaceChildren(...e.families.map((f) => {
    const row = make("tr");
    row.append(make("th", f.name, { scope: "row" }));
    cell(row, f.variant.replace("_", " × "));
    cell(row, f.level > 0 ? `step ${f.level} of ${f.variants - 1}` : "no");
    return row;
  }));
}

// EventSource cannot send keys, fetch can.
async function follow(signal) {
  const reader = (await ask("v1/events", { signal })).body.pipeThrough(new TextDecoderStream()).getReader();
  $("live-state").textContent = "Watching.";
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) board(JSON.parse(line));
  }
}

async function watch() {
  if (watching) {
    watching.abort();
    return;
  }
  const mine = watching = new AbortController();
  $("watch").textContent = "Stop";
  $("watch").setAttribute("aria-pressed", "true");
  await attempt(async () => {
    while (!mine.signal.aborted) await follow(mine.signal); // a stream ends after some minutes
  });
  watching = null;
  $("watch").textContent = "Watch";
  $("watch").setAttribute("aria-pressed", "false");
  $("live-state").textContent = "";
}

// ---- the camera ----

function stopCamera() {
  const stream = $("video").srcObject;
  if (stream) stream.getTracks().forEach((t) => t.stop());
  $("video").srcObject = null;
  $("viewfinder").close();
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    $("camera-note").textContent = "A browser lends its camera to pages over https or of this machine alone; on a phone the camera's own app is asked.";
    $("camera-note").hidden = false;
    $("capture").click();
    return;
  }
  try {
    $("video").srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    $("viewfinder").showModal();
    await $("video").play();
  } catch (e) {
    problem(`The camera cannot be used: ${e.message}`);
  }
}

function shoot() {
  const v = $("video"), c = document.createElement("canvas");
  c.width = v.videoWidth;
  c.height = v.videoHeight;
  c.getContext("2d").drawImage(v, 0, 0);
  c.toBlob((blob) => {
    stopCamera();
    take(new File([blob], "photo.jpg", { type: "image/jpeg" }));
  }, "image/jpeg", 0.92);
}

// ---- a lesson ----

function addGroup() {
  const n = $("groups").children.length + 1;
  const set = make("fieldset"), name = make("input", null, { id: `class-${n}`, required: "" }),
    files = make("input", null, { id: `photos-${n}`, type: "file", accept: "image/*", multiple: "", required: "" });
  set.append(make("legend", `Class ${n}`), make("label", "Name", { for: name.id }), name, make("label", "Photos", { for: files.id }), files);
  $("groups").append(set);
}

async function teach() {
  const form = new FormData();
  for (const set of $("groups").children) {
    const [name, files] = set.querySelectorAll("input");
    for (const f of files.files) form.append(name.value, f);
  }
  $("taught").textContent = "Learning…";
  const r = await attempt(async () => (await ask(
    `v1/models/${encodeURIComponent($("teacher").value)}/teach?as=${encodeURIComponent($("as").value)}`, { method: "POST", body: form })).json());
  $("taught").textContent = r ? `${r.model} knows ${r.classes.join(", ")}; ${r.held_out.right} of ${r.held_out.images} held out were right.` : "";
  if (r) {
    await attempt(loadModels);
    $("model").value = r.model;
    if (picture) await classify();
  }
}

// ---- what people do ----

$("file").addEventListener("change", (e) => take(e.target.files[0]));
$("capture").addEventListener("change", (e) => take(e.target.files[0]));
$("model").addEventListener("change", () => picture && classify());
$("camera").addEventListener("click", startCamera);
$("shoot").addEventListener("click", shoot);
$("close").addEventListener("click", stopCamera);
$("viewfinder").addEventListener("cancel", stopCamera);
$("climb").addEventListener("click", climb);
$("watch").addEventListener("click", watch);
$("another").addEventListener("click", addGroup);
$("lesson").addEventListener("submit", (e) => {
  e.preventDefault();
  teach();
});
$("key-form").addEventListener("submit", (e) => {
  e.preventDefault();
  sessionStorage.setItem("key", $("key").value);
  attempt(loadModels).then(() => picture && classify());
});
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("curl").textContent);
    $("copy").textContent = "Copied";
  } catch (e) {
    getSelection().selectAllChildren($("curl"));
  }
});
document.addEventListener("dragover", (e) => {
  e.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (e) => {
  e.preventDefault();
  $("drop").classList.remove("over");
  take([...e.dataTransfer.files][0]);
});
document.addEventListener("paste", (e) => {
  const file = [...(e.clipboardData || { files: [] }).files].find((f) => f.type.startsWith("image/"));
  if (file) take(file);
});
addGroup();
addGroup();
attempt(loadModels);
