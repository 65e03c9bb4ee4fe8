-- wrk script: PUTs photos in turn and prints throughput, percentiles and every answer that was no 2xx.
--   wrk -t2 -c64 -d10s --latency -s tests/load/post_image.lua http://HOST:PORT/v1/classify -- a.jpg b.png …

local threads = {}
local bodies = {}
local turn = 0

function setup(thread)
    thread:set("first", #threads)
    table.insert(threads, thread)
end

function init(args)
    for _, path in ipairs(args) do
        local f = assert(io.open(path, "rb"))
        table.insert(bodies, f:read("*a"))
        f:close()
    end
    assert(#bodies > 0, "name photos after --")
    turn = first * 7
    ok, wrong, last_wrong = 0, 0, ""
end

function request()
    turn = turn + 1
    return wrk.format("PUT", nil, { ["Content-Type"] = "application/octet-stream" }, bodies[turn % #bodies + 1])
end

function response(status, headers, body)
    if status >= 200 and status < 300 then
        ok = ok + 1
    else
        wrong = wrong + 1
        last_wrong = status .. " " .. body:sub(1, 200)
    end
end

function done(summary, latency, requests)
    local wrong, said = 0, ""
    for _, thread in ipairs(threads) do
        wrong = wrong + thread:get("wrong")
        if thread:get("last_wrong") ~= "" then
            said = thread:get("last_wrong")
        end
    end
    local e = summary.errors
    print(string.format("throughput %.1f images/s", summary.requests / (summary.duration / 1e6)))
    print(string.format("latency ms p50 %.2f p90 %.2f p99 %.2f p99.9 %.2f max %.2f", latency:percentile(50) / 1e3,
        latency:percentile(90) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, latency.max / 1e3))
    print(string.format("requests %d non-2xx %d socket errors %d", summary.requests, wrong,
        e.connect + e.read + e.write + e.timeout))
    if said ~= "" then
        print("last refusal: " .. said)
    end
end
