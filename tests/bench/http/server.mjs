// What people put together for this: fastify, sharp and onnxruntime-node, a process a core:
// server.mjs MODEL.onnx PORT PROCESSES. PUT a picture, get its five best classes as JSON. Says "ready".
import cluster from "node:cluster";
import { createRequire } from "node:module";

const [model, port, processes] = process.argv.slice(2);

async function serve() {
    const require = createRequire(process.env.PEERS_NODE + "/");
    const fastify = require("fastify")({ bodyLimit: 1 << 24 });
    const sharp = require("sharp");
    const ort = require("onnxruntime-node");
    const side = 224;
    sharp.concurrency(1);
    sharp.cache(false);
    const session = await ort.InferenceSession.create(model, {
        executionProviders: ["cpu"],
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        graphOptimizationLevel: "all",
    });

    async function classify(bytes) {
        const pixels = await sharp(bytes).resize(side, side, { fit: "cover", kernel: "linear" }).removeAlpha().raw().toBuffer();
        const map = side * side;
        const tensor = new Float32Array(3 * map);
        for (let i = 0; i < map; i++)
            for (let c = 0; c < 3; c++) tensor[c * map + i] = (pixels[3 * i + c] - 127.5) / 127.5;
        const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", tensor, [1, 3, side, side]) };
        const scores = Object.values(await session.run(feeds))[0].data;
        const best = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a]).slice(0, 5);
        return { predictions: best.map((i) => ({ class: i, score: scores[i] })) };
    }

    fastify.addContentTypeParser("*", { parseAs: "buffer" }, (request, body, done) => done(null, body));
    fastify.put("/v1/classify", (request) => classify(request.body));
    await fastify.listen({ port: Number(port), host: "127.0.0.1" });
}

if (cluster.isPrimary && Number(processes) > 1) {
    let listening = 0;
    for (let i = 0; i < Number(processes); i++) cluster.fork();
    cluster.on("listening", () => ++listening === Number(processes) && console.log("ready"));
    process.stdin.on("end", () => process.exit(0)).resume();
} else {
    await serve();
    if (cluster.isPrimary) {
        console.log("ready");
        process.stdin.on("end", () => process.exit(0)).resume();
    }
}
