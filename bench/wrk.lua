-- What wrk sends: requests for many hosts, each with a cookie of its own, or one upload.
--   wrk -s wrk.lua URL -- PATH HOSTS BODY_BYTES
-- Requests are written beforehand; the running test only takes the next one. Results are JSON.

local texts, next_text = {}, 0

function init(args)
    local path, hosts, size = args[1], tonumber(args[2]), tonumber(args[3])
    local body = size > 0 and string.rep("x", size) or nil
    local count = body and 1 or math.min(math.max(hosts, 1000), 20000)
    math.randomseed(1)
    for i = 1, count do
        -- An even stride through all hosts: 100,000 of them are all there, if not all asked for.
        local host = math.floor((i - 1) * hosts / count)
        texts[i] = wrk.format(body and "POST" or "GET", path, {
            ["Host"] = string.format("w%05d.wiki.test", host),
            ["User-Agent"] = "bench",
            ["Accept"] = "*/*",
            ["Cookie"] = string.format("WMF-Uniq=%08x%08x", math.random(0, 2 ^ 31), math.random(0, 2 ^ 31)),
        }, body)
    end
end

function request()
    next_text = next_text % #texts + 1
    return texts[next_text]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        'JSON {"done": %d, "seconds": %.6f, "errors": %d, "bytes": %d, "p50": %.1f, "p99": %.1f}\n',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        summary.bytes, latency:percentile(50), latency:percentile(99)))
end
