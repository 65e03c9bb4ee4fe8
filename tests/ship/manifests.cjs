// Validates Kubernetes manifests: node manifests.cjs NODE_MODULES <YAML. Prints one line for each fault; exit status 1 if there is any.
//
// The validators are those of the packages kubernetes-models and its siblings. They let unknown members pass, so every object is
// wrapped: a member that a validator never reads is one that the kind does not have.
const path = require("path");
const modules = process.argv[2];
const use = name => require(path.join(modules, name));
const yaml = use("yaml");

const KINDS = {
  "apps/v1 Deployment": "kubernetes-models/apps/v1/Deployment",
  "v1 Service": "kubernetes-models/v1/Service",
  "policy/v1 PodDisruptionBudget": "kubernetes-models/policy/v1/PodDisruptionBudget",
  "autoscaling/v2 HorizontalPodAutoscaler": "kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler",
  "networking.k8s.io/v1 NetworkPolicy": "kubernetes-models/networking.k8s.io/v1/NetworkPolicy",
  "keda.sh/v1alpha1 ScaledObject": "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject",
  "monitoring.coreos.com/v1 ServiceMonitor": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor",
  "serving.knative.dev/v1 Service": "@kubernetes-models/knative/serving.knative.dev/v1/Service",
};
// No package has KServe's kinds: their own members by this list (of its API reference), their containers as those of a pod.
const KSERVE = {
  "serving.kserve.io/v1alpha1 ClusterServingRuntime": {
    spec: ["supportedModelFormats", "protocolVersions", "containers", "multiModel", "annotations", "labels"],
    containers: doc => doc.spec.containers,
  },
  "serving.kserve.io/v1beta1 InferenceService": {
    spec: ["predictor"],
    containers: doc => [(({ modelFormat, runtime, protocolVersion, storageUri, ...rest }) => ({ name: "model", ...rest }))(doc.spec.predictor.model)],
  },
};

function watched(value, at, unread) {
  if (value === null || typeof value !== "object") return value;
  const left = new Set(Object.keys(value));
  const inner = Array.isArray(value) ? value.map((v, i) => watched(v, `${at}/${i}`, unread))
    : Object.fromEntries(Object.entries(value).map(([k, v]) => [k, watched(v, `${at}/${k}`, unread)]));
  if (Array.isArray(value)) return inner;
  unread.push(() => [...left].map(key => `${at}/${key}: there is no such member`));
  return new Proxy(inner, {
    get(target, key) { left.delete(key); return target[key]; },
    ownKeys(target) { left.clear(); return Reflect.ownKeys(target); },
  });
}

function validate(name, module, doc) {
  const kind = name.split(" ")[1], unread = [], faults = [];
  const { apiVersion, kind: _, metadata, ...rest } = doc;
  const model = new (use(module)[kind])({ metadata });
  for (const key of Object.keys(rest)) model[key] = watched(rest[key], `/${key}`, unread);
  try {
    model.validate();
  } catch (e) {
    faults.push(e.message);
  }
  if (!faults.length) for (const f of unread) faults.push(...f());
  return faults;
}

function kserve(name, rules, doc) {
  const faults = Object.keys(doc.spec).filter(k => !rules.spec.includes(k)).map(k => `/spec/${k}: there is no such member`);
  const template = { spec: { containers: rules.containers(doc) } };
  const pod = { apiVersion: "apps/v1", metadata: { name: "x" }, spec: { selector: {}, template } };
  return faults.concat(validate("apps/v1 Deployment", KINDS["apps/v1 Deployment"], pod));
}

let n = 0, bad = 0;
for (const parsed of yaml.parseAllDocuments(require("fs").readFileSync(0, "utf8"))) {
  const doc = parsed.toJS();
  if (!doc) continue;
  const name = `${doc.apiVersion} ${doc.kind}`;
  const faults = parsed.errors.map(e => e.message);
  if (KINDS[name]) faults.push(...validate(name, KINDS[name], doc));
  else if (KSERVE[name]) faults.push(...kserve(name, KSERVE[name], doc));
  else faults.push("an unknown kind");
  for (const f of faults) console.log(`${name} ${doc.metadata && doc.metadata.name}: ${f}`);
  bad += faults.length;
  n += 1;
}
console.log(`${n} manifests, ${bad} faults`);
process.exit(bad || !n ? 1 : 0);
