-- Where the events stand now: all read at one moment.
-- KEYS  live stream, state, one import's stream, its newest
-- ARGV  an epoch for a Redis that has none yet
local live, state, own, newest = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local function edge(stream, added)
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if not first then return {'', '', 0, added, '', ''} end
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local kind, major = '', ''
  for at = 1, #first[2], 2 do
    if first[2][at] == 'type' then kind = first[2][at + 1] end
    if first[2][at] == 'major' then major = first[2][at + 1] end
  end
  return {first[1], last[1], redis.call('XLEN', stream), added, kind, major}
end

redis.call('HSETNX', state, 'epoch', ARGV[1])
local now = redis.call('HMGET', state, 'epoch', 'ms', 'n', 'added')
local told = redis.call('HMGET', newest, 'added', 'import:major')
return {now[1], now[2] or '0', now[3] or '0', now[4] or '0',
        edge(live, now[4] or '0'), edge(own, told[1] or '0'), told[2] or '0'}
