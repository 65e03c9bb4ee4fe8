// onnx_top1.cjs NODE_FOLDER MODEL.onnx PIXELS.u8 SIDE MEAN SCALE: ONNX Runtime's best output of each image.
const { createRequire } = require("node:module");
const fs = require("node:fs");

const [folder, model, pixels, side, mean, scale] = process.argv.slice(2);
const ort = createRequire(folder + "/")("onnxruntime-node");

async function main() {
    const session = await ort.InferenceSession.create(model);
    const bytes = fs.readFileSync(pixels);
    const plane = side * side;
    for (let at = 0; at < bytes.length; at += 3 * plane) {
        const x = new Float32Array(3 * plane);
        for (let p = 0; p < plane; p++)
            for (let c = 0; c < 3; c++) x[c * plane + p] = (bytes[at + 3 * p + c] - mean) * scale;
        const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", x, [1, 3, Number(side), Number(side)]) };
        const logits = (await session.run(feeds)).logits.data;
        console.log(logits.reduce((best, v, i) => (v > logits[best] ? i : best), 0));
    }
}
main();
