// One model, one input, one thread of ONNX Runtime: ort_net.mjs MODEL.onnx INPUT OUTPUT VALUE; talks as run_net does.
// The input is NCHW floats; VALUE is the output to write, empty: the only one.
import { createRequire } from "node:module";
import { takeTurns } from "../lib/turns.mjs";
import { readFileSync, writeFileSync } from "node:fs";

const ort = createRequire(process.env.PEERS_NODE + "/")("onnxruntime-node");
const [model, input, output, value] = process.argv.slice(2);
const session = await ort.InferenceSession.create(model, {
    executionProviders: ["cpu"],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    graphOptimizationLevel: "all",
});
const bytes = readFileSync(input);
const x = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
const side = Math.round(Math.sqrt(x.length / 3));
const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", x, [1, 3, side, side]) };
const wanted = [value || session.outputNames[0]];
const y = (await session.run(feeds, wanted))[wanted[0]].data;
writeFileSync(output, new Uint8Array(Float32Array.from(y).buffer));

await takeTurns(() => session.run(feeds, wanted));
