-- Take permits from token buckets and put back what was not used, as one step that nothing divides.
-- Time is Redis's own: the hosts that ask have clocks of their own. sender/limits.py has the same
-- arithmetic for one process.
--
-- KEYS[1]   sorted set: the senders that asked lately, by the time of their last question
-- KEYS[2..] one hash per bucket: level in permits, at in microseconds since 1970
-- ARGV[1]   who asks
-- ARGV[2]   seconds of silence after which a sender is forgotten
-- ARGV[3..] five numbers per bucket: permits per second, burst, grain, wanted, returned
-- Gives     the number of senders, then per bucket the permits granted and, where none were, the
--           milliseconds until there will be some

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

redis.call('ZADD', KEYS[1], clock[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', tonumber(clock[1]) - tonumber(ARGV[2]))
redis.call('EXPIRE', KEYS[1], ARGV[2])
local answer = {redis.call('ZCARD', KEYS[1])}

for bucket = 2, #KEYS do
    local first = 5 * bucket - 7
    local rate = tonumber(ARGV[first])
    local burst = tonumber(ARGV[first + 1])
    local grain = tonumber(ARGV[first + 2])
    local wanted = tonumber(ARGV[first + 3])
    local returned = tonumber(ARGV[first + 4])

    local kept = redis.call('HMGET', KEYS[bucket], 'level', 'at')
    -- A bucket that is not there has not been asked for so long that it is full.
    local level = tonumber(kept[1]) or burst
    -- A clock that was set back adds nothing.
    local passed = math.max(0, now - (tonumber(kept[2]) or now)) / 1000000
    level = math.min(burst, level + passed * rate + returned)

    local least = math.min(wanted, grain)
    local granted, wait = 0, 0
    if wanted > 0 then
        if level >= least then
            granted = math.min(wanted, math.floor(level))
        else
            wait = math.ceil((least - level) / rate * 1000)
        end
    end

    -- Redis writes numbers with 14 digits, which is too few for microseconds.
    redis.call('HSET', KEYS[bucket],
        'level', string.format('%.6f', level - granted), 'at', string.format('%.0f', now))
    redis.call('PEXPIRE', KEYS[bucket], math.ceil(burst / rate * 1000) + 1000)
    answer[#answer + 1] = granted
    answer[#answer + 1] = wait
end

return answer
