// What a person does on the page, in a real browser: page.cjs CHROMIUM URL KEY PHOTO FOLDER. Prints one JSON object of what was seen;
// page.py starts it, test_page.py judges. Screenshots of each state are left in FOLDER.
"use strict";
const fs = require("fs");
const path = require("path");
const { chromium } = require(require.resolve("playwright-core", { paths: [process.env.PEERS] }));
const axe = require.resolve("axe-core/axe.min.js", { paths: [process.env.PEERS] });
const [program, url, key, photo, folder] = process.argv.slice(2);
const seen = { requests: [], console: [], errors: [], axe: {}, shots: [] };
const PATIENCE = 120000;

async function shot(page, name) {
  await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
  seen.shots.push(name);
}

// The policy of the page lets no script in; the debugger's world is another one.
async function judge(page, name) {
  await page.evaluate(fs.readFileSync(axe, "utf8"));
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  seen.axe[name] = found.violations.map((v) => `${v.impact}: ${v.id}: ${v.nodes[0].target} ${v.nodes[0].failureSummary}`);
}

// waitForFunction() would need eval() in the page.
async function until(page, check) {
  const end = Date.now() + PATIENCE;
  while (!await page.evaluate(check)) {
    if (Date.now() > end) throw new Error(`it never came: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function listen(page) {
  page.setDefaultTimeout(PATIENCE);
  page.on("request", (r) => seen.requests.push(r.url()));
  page.on("console", (m) => seen.console.push(`${m.type()}: ${m.text()}`));
  page.on("pageerror", (e) => seen.errors.push(String(e)));
}

async function answered(page) {
  await page.waitForSelector("#result:not([hidden]) #classes li");
  return page.$$eval("#classes li", (all) => all.map((li) => li.textContent));
}

async function without_key(context) {
  const page = await context.newPage();
  listen(page);
  await page.goto(url);
  await page.waitForSelector("#problem:not([hidden])");
  seen.refused = await page.textContent("#problem");
  seen.key_asked = await page.evaluate(() => document.activeElement.id);
  await shot(page, "desktop-key");
  await page.fill("#key", key);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#list tbody tr");
  seen.models = await page.$$eval("#list tbody tr th", (all) => all.map((th) => th.textContent));
  return page;
}

async function drop(page, file, type) {
  const data = fs.readFileSync(file).toString("base64");
  const transfer = await page.evaluateHandle(([data, type]) => {
    const t = new DataTransfer();
    t.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], "dropped.png", { type }));
    return t;
  }, [data, type]);
  await page.dispatchEvent("#drop", "drop", { dataTransfer: transfer });
}

async function paste(page, file) {
  const data = fs.readFileSync(file).toString("base64");
  await page.evaluate((data) => {
    const t = new DataTransfer();
    t.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], "pasted.png", { type: "image/png" }));
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: t }));
  }, data);
}

async function try_it(page) {
  await page.setInputFiles("#file", photo);
  seen.classes = await answered(page);
  seen.stages = await page.$$eval("#stages tbody tr", (all) => all.map((tr) => tr.textContent));
  seen.who = await page.textContent("#who");
  seen.curl = await page.textContent("#curl");
  await judge(page, "answered");
  await shot(page, "desktop-answer");
  await page.setInputFiles("#file", []);
  await drop(page, photo, "image/png");
  await until(page, () => document.querySelector("#hint").textContent.includes("dropped.png"));
  seen.dropped = await answered(page);
  await paste(page, photo);
  await until(page, () => document.querySelector("#hint").textContent.includes("pasted.png"));
  seen.pasted = await answered(page);
}

async function ladder_layers(page) {
  await page.click("#climb");
  await page.waitForSelector("#climb:not([disabled])");
  seen.ladder = await page.$$eval("#ladder tbody tr", (all) => all.map((tr) => tr.innerText.split("\t")));
  await page.click("#list tbody tr:first-child button");
  await page.waitForSelector("#layers:not([hidden]) tbody tr");
  seen.layers = await page.$$eval("#layers tbody tr", (all) => all.length);
}

async function live(page) {
  await page.click("#watch");
  const stop = await page.evaluateHandle(() => {
    const state = { on: true };
    (async () => {
      while (state.on) await ask("v1/classify", { method: "PUT", body: picture }).catch(() => 0);
    })();
    return state;
  });
  await until(page, () => Number(document.querySelector("#board dd")?.firstChild.textContent) > 0);
  await until(page, () => document.querySelectorAll("#board polyline")[0].getAttribute("points").split(" ").length > 2);
  seen.board = await page.$$eval("#board div", (all) => Object.fromEntries(all.map((d) => [d.querySelector("dt").textContent, d.querySelector("dd").textContent])));
  seen.in_use = await page.$$eval("#in-use tbody tr", (all) => all.map((tr) => tr.innerText));
  await judge(page, "live");
  await shot(page, "desktop-board");
  await stop.evaluate((s) => { s.on = false; });
  await page.click("#watch");
  await page.waitForSelector("#watch[aria-pressed=false]");
}

async function teach(page) {
  await page.fill("#as", "taught_here");
  const real = await page.$$eval("#teacher option", (all) => all.map((o) => o.value).find((v) => v.startsWith("mobilenet")));
  if (real) await page.selectOption("#teacher", real);
  for (const n of [1, 2]) {
    await page.fill(`#class-${n}`, `class_${n}`);
    await page.setInputFiles(`#photos-${n}`, [1, 2, 3].map((i) => path.join(folder, `class${n}-${i}.png`)));
  }
  await page.click("#lesson button:not([type])");
  await until(page, () => document.querySelector("#taught").textContent.includes("knows") || !document.querySelector("#problem").hidden);
  seen.taught = await page.textContent("#taught");
  await shot(page, "desktop-taught");
}

async function errors(page) {
  await drop(page, __filename, "image/png");
  await page.waitForSelector("#problem:not([hidden])");
  seen.broken = await page.textContent("#problem");
  await judge(page, "error");
  await shot(page, "desktop-error");
}

// Nothing but the keyboard: from the top to the picture's button, which opens the chooser.
async function keyboard(page) {
  await page.reload();
  await page.waitForSelector("#list tbody tr");
  seen.tabs = [];
  for (let i = 0; i < 14; i++) {
    await page.keyboard.press("Tab");
    seen.tabs.push(await page.evaluate(() => document.activeElement.id || document.activeElement.getAttribute("href") || document.activeElement.tagName));
  }
  await page.focus("#file");
  const chooser = page.waitForEvent("filechooser");
  await page.keyboard.press("Space");
  await (await chooser).setFiles(photo);
  seen.by_keyboard = await answered(page);
}

async function small_and_dark(browser) {
  const context = await browser.newContext({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, colorScheme: "dark" });
  const page = await context.newPage();
  listen(page);
  await page.addInitScript((key) => sessionStorage.setItem("key", key), key);
  await page.goto(url);
  await page.waitForSelector("#list tbody tr");
  await page.setInputFiles("#file", photo);
  await answered(page);
  seen.overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  await judge(page, "phone-dark");
  await shot(page, "phone-dark");
  await context.close();
}

async function camera(context) {
  await context.grantPermissions(["camera"], { origin: new URL(url).origin });
  const page = await context.newPage();
  listen(page);
  await page.addInitScript((key) => sessionStorage.setItem("key", key), key);
  await page.goto(url);
  await page.waitForSelector("#list tbody tr");
  await page.click("#camera");
  await until(page, () => document.querySelector("#video").videoWidth > 0);
  await page.click("#shoot");
  seen.photographed = await answered(page);
  await page.close();
}

(async () => {
  const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream", "--disable-dev-shm-usage"] });
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
  const page = await without_key(context);
  await judge(page, "first");
  for (const step of [try_it, ladder_layers, live, teach, errors, keyboard]) await step(page);
  await camera(context);
  await small_and_dark(browser);
  await browser.close();
  console.log(JSON.stringify(seen));
})().catch((e) => {
  console.log(JSON.stringify({ ...seen, failed: String(e.stack || e) }));
  process.exit(1);
});
