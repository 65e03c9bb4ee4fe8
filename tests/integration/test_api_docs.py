"""The document that describes the API is held to it: OpenAPI. Examples: test_documented_curl.py."""
import re


def test_openapi_is_the_table_of_routes(tiny):
    r = tiny.request("GET", "/openapi.json")
    assert r.status == 200 and r.headers["Content-Type"] == "application/json"
    document = r.json
    assert document["openapi"] == "3.1.0" and document["info"]["title"] == "mobilenetd"
    listed = {}
    for line in tiny.request("GET", "/").body.decode().splitlines():
        m = re.match(r"([A-Z, ]+?)  +(/\S*)  ", line)
        if m:
            listed[m[2]] = {v.strip().lower() for v in m[1].split(",")}
    paths = {re.sub(r"\{\w+\}", "{}", p): v for p, v in document["paths"].items()}
    assert len(paths) == len(document["paths"]) and set(paths) == set(listed) and len(listed) > 30
    ids = set()
    for path, item in document["paths"].items():
        parameters = item.pop("parameters")
        holes = [p for p in parameters if p["in"] == "path"]
        assert [p["name"] for p in holes] == re.findall(r"\{(\w+)\}", path) and all(p["required"] for p in holes)
        query = {p["name"]: p["schema"]["type"] for p in parameters if p["in"] == "query"}
        assert len(holes) + len(query) == len(parameters)
        assert query.get("top_k") == ("integer" if path.endswith("classify") else None)
        assert set(item) == listed[re.sub(r"\{\w+\}", "{}", path)]
        for operation in item.values():
            assert operation["summary"] and {"200", "default"} == set(operation["responses"])
            ids.add(operation["operationId"])
    assert len(ids) == sum(len(v) for v in document["paths"].values())


def test_openapi_against_live_answers(tiny):
    values = {"model": "colour_16", "version": "1", "label": "stable"}
    for path, item in tiny.request("GET", "/openapi.json").json["paths"].items():
        live = re.sub(r"\{(\w+)\}", lambda m: values[m[1]], path)
        if "get" in item:
            r = tiny.request("GET", live + ("?lines=1" if path == "/v1/events" else ""))
            assert r.status == (501 if "sharedmemory" in path or "trace" in path else 403 if "debug" in path else 200), (live, r.body)
        else:
            assert tiny.request("GET", live).status == 405
