// An image network on ONNX Runtime: ort.mjs MODEL.onnx THREADS BATCH; talks as peer.h says.
import { createRequire } from "node:module";
import { takeTurns } from "../../lib/turns.mjs";

const require = createRequire(process.env.PEERS_NODE + "/");
const ort = require("onnxruntime-node");
const [model, threads, batch] = process.argv.slice(2);
const session = await ort.InferenceSession.create(model, {
    executionProviders: ["cpu"],
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
    graphOptimizationLevel: "all",
});
const sides = session.inputMetadata?.[0]?.shape?.slice(1).map((d) => (Number(d) > 0 ? Number(d) : 224)) ?? [3, 224, 224];
const size = sides.reduce((a, b) => a * b, Number(batch));
const pixels = Float32Array.from({ length: size }, (_, i) => ((i * 7919) % 256 - 128) / 128);
const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", pixels, [Number(batch), ...sides]) };
const wanted = [session.outputNames[0]];

await takeTurns(() => session.run(feeds, wanted));
