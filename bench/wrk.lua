-- What wrk sends: requests for many hosts, each with a cookie of its own, or one upload.
--   wrk -s wrk.lua URL -- PATH HOSTS BODY_BYTES WARM [CPU_FILE...]
-- Requests are written beforehand; the running test only takes the next one. When request number WARM
-- leaves, connections are open and warm, and the proxy's CPU time is read for the first time; the second
-- time is the end. Results are one line of JSON.

local texts, sent, warm, cpu_files = {}, 0, 0, {}
local threads = {}

function setup(thread)
    threads[#threads + 1] = thread
end

-- CPU time in ns: the first number of each file, summed up.
local function cpu_time(files)
    local sum = 0
    for name in files:gmatch("%S+") do
        local file = io.open(name)
        if file then
            sum = sum + file:read("*n")
            file:close()
        end
    end
    return sum
end

function init(args)
    warm, cpu_files = tonumber(args[4]), table.concat(args, " ", 5)
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
    sent = sent + 1
    if sent == warm then
        cpu_before = cpu_time(cpu_files)
        files_read = cpu_files
    end
    return texts[(sent - 1) % #texts + 1]
end

function done(summary, latency)
    local errors, thread = summary.errors, threads[1]
    local before, files = thread:get("cpu_before"), thread:get("files_read")
    if before then
        io.write(string.format('CPU %.0f\n', cpu_time(files) - before))
    end
    io.write(string.format(
        'JSON {"done": %d, "seconds": %.6f, "errors": %d, "bytes": %d, "p50": %.1f, "p99": %.1f}\n',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        summary.bytes, latency:percentile(50), latency:percentile(99)))
end
