// sharp (libvips) as its users call it: sharp.mjs FILE…; talks as bare.c says. Its defaults but one thread, no
// cache, and the cheaper of its filters.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const require = createRequire(process.env.PEERS_NODE + "/");
const sharp = require("sharp");
sharp.concurrency(1);
sharp.cache(false);
const side = 224;
const files = process.argv.slice(2).map((name) => readFileSync(name));
const tensor = new Float32Array(side * side * 3);

async function once(bytes) {
    const start = process.hrtime.bigint();
    const pixels = await sharp(bytes).resize(side, side, { fit: "cover", kernel: "linear" }).raw().toBuffer();
    for (let i = 0; i < tensor.length; i++) tensor[i] = (pixels[i] - 127.5) * (1 / 127.5);
    return Number(process.hrtime.bigint() - start) / 1e6;
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
for (const bytes of files) await once(bytes);
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
    const end = performance.now() + Number(line) * 1e3;
    const ms = files.map(() => []);
    do {
        for (let i = 0; i < files.length; i++) ms[i].push(await once(files[i]));
    } while (performance.now() < end);
    for (const m of ms) m.sort((a, b) => a - b);
    console.log(`${mean(ms.map((m) => m[m.length >> 1]))} ${mean(ms.map((m) => m[0]))}`);
}
