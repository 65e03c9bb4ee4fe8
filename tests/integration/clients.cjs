// clients.cjs NODE_FOLDER PROTOS SCENARIO {json}: grpc-js talks to the daemon; what came back goes to stdout as JSON.
// The JSON has address, model, picture (base64) and what else a scenario wants.
const { createRequire } = require("node:module");
const fs = require("node:fs");

const [folder, protos, scenario, text] = process.argv.slice(2);
const load = createRequire(folder + "/");
const grpc = load("@grpc/grpc-js");
const loader = load("@grpc/proto-loader");
const asked = JSON.parse(text);
const picture = Buffer.from(asked.picture || "", "base64");
const options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };
const credentials = () => (asked.ca ? grpc.credentials.createSsl(fs.readFileSync(asked.ca)) : grpc.credentials.createInsecure());

function service(file, more) {
    const all = grpc.loadPackageDefinition(loader.loadSync(`${protos}/${file}`, options));
    const type = file === "health.proto" ? all.grpc.health.v1.Health : all.inference.GRPCInferenceService;
    return new type(asked.address, credentials(), more || {});
}

function question(data, more) {
    return {
        model_name: asked.model,
        inputs: [{ name: "input", datatype: "BYTES", shape: [1], contents: { bytes_contents: [data] } }],
        outputs: [{ name: "probabilities" }],
        ...more,
    };
}

const floats = (b) => Array.from(new Float32Array(new Uint8Array(b).buffer));
const failure = (e) => ({ code: e.code, details: e.details, trailers: e.metadata ? e.metadata.getMap() : {} });
const answer = (a) => ({ id: a.id, model: a.model_name, scores: floats(a.raw_output_contents[0]) });

function call(client, method, request, metadata, more) {
    return new Promise((resolve) => {
        const c = client[method](request, metadata || new grpc.Metadata(), more || {}, (e, a) => resolve(e ? failure(e) : a));
        if (more && more.cancel_after) setTimeout(() => c.cancel(), more.cancel_after);
    });
}

async function infer(client, request, metadata, more) {
    const a = await call(client, "ModelInfer", request, metadata, more);
    return "code" in a ? a : answer(a);
}

const raw = { inputs: [{ name: "input", datatype: "BYTES", shape: [1] }], raw_input_contents: [picture] };

const scenarios = {
    async unary() {
        const c = service("inference.proto");
        return {
            live: await call(c, "ServerLive", {}),
            ready: await call(c, "ServerReady", {}),
            server: await call(c, "ServerMetadata", {}),
            model: await call(c, "ModelMetadata", { name: asked.model }),
            config: await call(c, "ModelConfig", { name: asked.model }),
            contents: await infer(c, question(picture, { id: "one" })),
            raw: await infer(c, question(picture, raw)),
        };
    },
    async gzip() {
        const c = service("inference.proto", { "grpc.default_compression_algorithm": 2, "grpc.default_compression_level": 2 });
        return { contents: await infer(c, question(picture)), large: await infer(c, question(Buffer.concat([picture, Buffer.alloc(500000)]))) };
    },
    async many() {
        const c = service("inference.proto");
        return Promise.all(Array.from({ length: asked.count }, (_, i) => infer(c, question(picture, { id: String(i) }))));
    },
    stream() {
        const s = service("inference.proto").ModelStreamInfer();
        const got = [];
        return new Promise((resolve) => {
            s.on("data", (a) => got.push(a.error_message ? { id: a.infer_response.id, error: a.error_message } : answer(a.infer_response)));
            s.on("error", (e) => resolve({ got, ...failure(e) }));
            s.on("end", () => resolve({ got, code: 0 }));
            for (let i = 0; i < asked.count; i++) s.write(question(i % 5 === 3 ? Buffer.from("broken") : picture, { id: String(i) }));
            s.end();
        });
    },
    // As perf_analyzer asks, by Triton's C++ client: what the model looks like, then the tensor alone in raw contents, with
    // the parameter that this client puts into every request; then the same on one stream.
    async perf_analyzer() {
        const c = service("inference.proto");
        const server = await call(c, "ServerMetadata", {});
        const model = await call(c, "ModelMetadata", { name: asked.model });
        const config = await call(c, "ModelConfig", { name: asked.model });
        const before = await call(c, "ModelStatistics", { name: asked.model });
        const [input, output] = [model.inputs[0], model.outputs[0]];
        const shape = input.shape.map((n) => (n === "-1" ? 1 : Number(n)));
        const bytes = shape.reduce((a, b) => a * b, 1) * (input.datatype === "FP32" ? 4 : 1);
        const request = (id, final) => ({
            model_name: asked.model,
            id,
            parameters: { triton_enable_empty_final_response: { bool_param: final } },
            inputs: [{ name: input.name, datatype: input.datatype, shape }],
            outputs: [{ name: output.name }],
            raw_input_contents: [Buffer.alloc(bytes, 1)],
        });
        const unary = await call(c, "ModelInfer", request("", false));
        const stream = c.ModelStreamInfer();
        const got = [];
        const code = await new Promise((resolve) => {
            stream.on("data", (a) => got.push({ error: a.error_message, final: a.infer_response.parameters, ...answer(a.infer_response) }));
            stream.on("error", (e) => resolve(e.code));
            stream.on("end", () => resolve(0));
            for (let i = 0; i < asked.count; i++) stream.write(request(String(i), i % 2 === 1));
            stream.end();
        });
        return { server, model, config, before, after: await call(c, "ModelStatistics", { name: asked.model }),
            unary: "code" in unary ? unary : { parameters: unary.parameters, ...answer(unary) }, code, got };
    },
    async deadline() {
        const c = service("inference.proto");
        const late = await infer(c, question(picture), null, { deadline: Date.now() + asked.ms });
        return { late, live: await call(c, "ServerLive", {}) };
    },
    async cancel() {
        const c = service("inference.proto");
        const all = Array.from({ length: asked.count }, () => infer(c, question(picture), null, { cancel_after: 300 }));
        return { calls: await Promise.all(all), live: await call(c, "ServerLive", {}) };
    },
    async errors() {
        const c = service("inference.proto");
        const metadata = new grpc.Metadata();
        metadata.set("x-request-id", "mine-7");
        return {
            model: await infer(c, question(picture, { model_name: "ü%20" }), metadata),
            picture: await infer(c, question(Buffer.from("no picture"))),
            output: await infer(c, question(picture, { outputs: [{ name: "nothing" }] })),
            method: await new Promise((resolve) =>
                c.makeUnaryRequest("/no/No", (x) => x, (x) => x, Buffer.alloc(0), (e) => resolve(failure(e)))),
        };
    },
    async large() {
        return infer(service("inference.proto"), question(Buffer.alloc(asked.bytes)));
    },
    async key() {
        const metadata = new grpc.Metadata();
        if (asked.key) metadata.set("authorization", `Bearer ${asked.key}`);
        return infer(service("inference.proto"), question(picture), metadata);
    },
    // A ping each second would be a flood to some servers.
    async keepalive() {
        const c = service("inference.proto", { "grpc.keepalive_time_ms": 1000, "grpc.keepalive_timeout_ms": 900, "grpc.keepalive_permit_without_calls": 1 });
        const first = await infer(c, question(picture));
        await new Promise((resolve) => setTimeout(resolve, 3500));
        return { first, second: await infer(c, question(picture)), state: c.getChannel().getConnectivityState(false) };
    },
    async health() {
        const c = service("health.proto");
        return {
            check: await call(c, "Check", { service: asked.service }),
            unknown: await call(c, "Check", { service: "no" }),
            list: await call(c, "List", {}),
        };
    },
    // "watching" on stderr once the first state is here: then the test stops the daemon.
    watch() {
        const states = [];
        const s = service("health.proto").Watch({ service: "" });
        return new Promise((resolve) => {
            s.on("data", (a) => {
                if (states.push(a.status) === 1) process.stderr.write("watching\n");
            });
            s.on("error", (e) => resolve({ states, ...failure(e) }));
            s.on("end", () => resolve({ states, code: 0 }));
        });
    },
    // Nothing from files: the client is built from what the server tells of itself.
    async reflection() {
        const { GrpcReflection } = load("grpc-js-reflection-client");
        const r = new GrpcReflection(asked.address, credentials(), {}, asked.version);
        const services = await r.listServices();
        const methods = {};
        for (const s of services) methods[s] = (await r.listMethods(s)).map((m) => m.name);
        const descriptor = await r.getDescriptorBySymbol("inference.GRPCInferenceService");
        const type = descriptor.getPackageObject(options).inference.GRPCInferenceService;
        const c = new type(asked.address, credentials());
        const unknown = await r.getDescriptorBySymbol("no.Such").catch((e) => e.message);
        return { services, methods, unknown, live: await call(c, "ServerLive", {}), infer: await infer(c, question(picture)) };
    },
};

scenarios[scenario]().then((a) => {
    process.stdout.write(JSON.stringify(a), () => process.exit(0));
});
