-- Appends an update to the stream KEYS[1], in one step, and returns its id.
--
-- The id is the clock of this Redis in microseconds, but greater than the stream's last one, and
-- than the last one of the server that asks (the stream may have lost it). Lua's numbers are exact
-- up to 2^53.

local deadline, newest, lost, kept = unpack(ARGV) -- then come the fields of the update
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(deadline) then
    return false -- it has waited here for so long that its sender has been told to send it again
end

-- The id of an entry, if it is an update. (Other programs can write to this stream, too.)
local function id_of(entry)
    local id = entry and entry[2][1] == 'after' and tonumber(entry[1]:match('^(%d+)-0$'))
    return id and id < 2 ^ 53 and id
end

local function all() return redis.call('XRANGE', KEYS[1], '-', '+') end

local last, entries = 0, {}
local info = redis.pcall('XINFO', 'STREAM', KEYS[1]) -- an error, without a first field, where none is
for at = 1, #info, 2 do
    if info[at] == 'last-generated-id' then last = tonumber(info[at + 1]:match('^%d+')) end
    if info[at] == 'last-entry' then entries = { info[at + 1] } end
end
if not id_of(entries[1]) then entries = all() end

local after = 0 -- the newest update that is there
for _, entry in ipairs(entries) do after = id_of(entry) or after end

-- One id is left out, at least: a list that begins again needs one for what is before it.
local id = math.max(now, after + 2, newest + 2)
if last < id + 3600 * 1000000 then
    id = math.max(id, last + 2)
else
    -- Somebody else's entry is hours ahead, and nothing of ours could come after it: without it.
    entries = all()
    redis.call('DEL', KEYS[1])
    for _, entry in ipairs(entries) do
        if id_of(entry) then redis.call('XADD', KEYS[1], entry[1], unpack(entry[2])) end
    end
end

local knew = tonumber(newest) > after and newest or lost
redis.call('XADD', KEYS[1], 'MAXLEN', '=', kept, string.format('%.0f-0', id),
    'after', string.format('%.0f', after), 'knew', knew, unpack(ARGV, 5))
return string.format('%.0f', id)
