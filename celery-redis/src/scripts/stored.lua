-- Stores a result and tells who waits for it, except where a success is stored already; `seen` is what the caller has read
-- there and may be overwritten.
--
-- Returns 1 when it was stored, 0 when a success is kept, what is there when that cannot be told, and a list with the error
-- for a key of another type.
local function store(key, document, lifetime, seen)
    local there = redis.pcall('GET', key)
    if type(there) == 'table' then
        return { there.err }
    end
    if there and there ~= seen then
        local status = string.match(there, '^{"status": "([^"\\]*)"')
        if status == 'SUCCESS' then
            return 0
        end
        if not status then
            return there
        end
    end
    if lifetime == '0' then
        redis.call('SET', key, document)
    else
        redis.call('SET', key, document, 'PX', lifetime)
    end
    redis.call('PUBLISH', key, document)
    return 1
end

