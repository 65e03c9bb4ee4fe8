// The loop of an engine that takes turns with others: a line of seconds in, "least median" in ms out.
import { createInterface } from "node:readline";

export async function takeTurns(run) {
    async function once() {
        const start = process.hrtime.bigint();
        await run();
        return Number(process.hrtime.bigint() - start) / 1e6;
    }

    await once();
    await once();
    console.log("ready");
    for await (const line of createInterface({ input: process.stdin })) {
        const end = performance.now() + Number(line) * 1e3;
        const ms = [];
        do ms.push(await once());
        while (ms.length < 3 || performance.now() < end);
        ms.sort((a, b) => a - b);
        console.log(`${ms[0].toFixed(4)} ${ms[ms.length >> 1].toFixed(4)}`);
    }
}
