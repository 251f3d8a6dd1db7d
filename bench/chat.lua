-- For wrk: one chat completion after the other; an argument is another model, which streams. Prints the result as a line of JSON.
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer sk-bench"
wrk.body = '{"messages":[{"role":"system","content":"You are the harbour master\'s assistant. '
    .. 'Answer briefly and to the point."},{"role":"user","content":"Which ships are in the harbour '
    .. 'today, and which of them leave with the evening tide? Please list them in the order of their '
    .. 'departure, with the pier where each of them lies."}],"model":"bench","temperature":0.7,'
    .. '"top_p":0.95,"max_tokens":256,"stream":false,"user":"bench"}'

function init(arguments)
    if arguments[1] then
        wrk.body = wrk.body:gsub('"model":"bench"', '"model":"' .. arguments[1] .. '"')
            :gsub('"stream":false', '"stream":true'):gsub('"max_tokens":256', '"max_tokens":1000')
    end
end

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '\n{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"mean_us":%.2f,"errors":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        latency.mean, e.connect + e.read + e.write + e.status + e.timeout))
end
