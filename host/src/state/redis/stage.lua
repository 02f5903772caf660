-- Writes a chunk of a prepared commit. The last chunk seals it: until then, what
-- was prepared before still stands, in the other of two slots.
-- ARGV: epoch, attempt, items that the chunks before it brought, from, to (both
-- empty unless it is the last), then three items a change: key, note, value.

-- Refused where memory is full, as the first write always is: before anything changed.
redis.call('HSET', store, 'epoch', epoch)
local attempt, sealed = unpack(redis.call('HMGET', store, 'attempt', 'slot'))
local slot = sealed == '0' and '1' or '0'
local pending = store .. '.pending.' .. slot
if ARGV[3] == '0' then
  -- A chunk that was held up on the way comes after a later attempt's.
  if tonumber(ARGV[2]) <= tonumber(attempt) then return -3 end
  redis.call('HSET', store, 'attempt', ARGV[2])
  redis.call('UNLINK', pending)
elseif ARGV[2] ~= attempt or redis.call('LLEN', pending) ~= tonumber(ARGV[3]) then
  return -3
end
if #ARGV > 5 then redis.call('RPUSH', pending, unpack(ARGV, 6)) end
if ARGV[5] ~= '' then
  redis.call('HSET', store, 'slot', slot, 'from', ARGV[4], 'to', ARGV[5])
  if sealed then redis.call('UNLINK', store .. '.pending.' .. sealed) end
end
return 0
