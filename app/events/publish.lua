-- Publishes one event to the live stream and to its import's own, with one id, unless it isn't newer.
-- KEYS  live stream, import's stream, import's newest, state
-- ARGV  new epoch, live length, import's length, seconds kept after the end, type, major, minor, ended, import id, labels, data,
--       the event's progress as JSON members ('' = none), and how new that is: attempt, seq
local live, own, newest, state = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local kind, major, minor, ended = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]

local known = redis.call('HMGET', newest, kind .. ':major', kind .. ':minor', 'ended')
if known[1] then
  local known_major, known_minor = tonumber(known[1]), tonumber(known[2])
  if major < known_major or (major == known_major and minor <= known_minor) then return 0 end
end
if kind == 'progress' and known[3] == '1' then return 0 end

-- A whole import is never told with older progress than was told before: it would seem to go backwards.
local data = ARGV[11]
if kind == 'import' and ARGV[12] ~= '' then
  local kept = redis.call('HMGET', newest, 'progress:major', 'progress:minor', 'progress:members')
  local members = ARGV[12]
  if kept[3] and kept[1] == ARGV[13] and tonumber(kept[2]) > tonumber(ARGV[14]) then members = kept[3] end
  data = '{' .. members .. ',' .. string.sub(data, 2)
end

redis.call('HSETNX', state, 'epoch', ARGV[1])
local last = redis.call('HMGET', state, 'epoch', 'ms', 'n')
local time = redis.call('TIME')
local ms, n = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), 0
if last[2] and ms <= tonumber(last[2]) then ms, n = tonumber(last[2]), tonumber(last[3]) + 1 end
local id = string.format('%.0f-%.0f', ms, n)

-- Readers see by a gap in `added` that events were trimmed before they read them.
local added = redis.call('HINCRBY', state, 'added', 1)
local fields = {'epoch', last[1], 'added', added, 'type', kind, 'major', ARGV[6], 'minor', ARGV[7], 'ended', ended,
                'import_id', ARGV[9], 'labels', ARGV[10], 'data', data}
redis.call('XADD', live, 'MAXLEN', '~', ARGV[2], id, unpack(fields))
redis.call('XADD', own, 'MAXLEN', '~', ARGV[3], id, unpack(fields))
redis.call('HSET', state, 'ms', string.format('%.0f', ms), 'n', string.format('%.0f', n))
redis.call('HINCRBY', newest, 'added', 1)
redis.call('HSET', newest, kind .. ':major', ARGV[6], kind .. ':minor', ARGV[7])

if kind == 'progress' then redis.call('HSET', newest, 'progress', data, 'progress:members', ARGV[12]) end
if kind == 'import' then
  redis.call('HSET', newest, 'ended', ended)
  if ended == '1' then
    redis.call('HDEL', newest, 'progress', 'progress:members')
    redis.call('EXPIRE', own, ARGV[4])
    redis.call('EXPIRE', newest, ARGV[4])
  else
    redis.call('PERSIST', own)
    redis.call('PERSIST', newest)
  end
end
return 1
