-- Writes a chunk of a prepared commit. The last chunk seals it: until then, what
-- was prepared before still stands, in the other of two slots.
-- ARGV: epoch, attempt, items that the chunks before it brought, to (empty
-- unless it is the last), then three items a change: key, note, value.

-- Refused where memory is full, as the first write always is: before anything changed.
redis.call('HSET', store, 'epoch', epoch)
local list = 'list.' .. epoch
local attempt, sealed = unpack(redis.call('HMGET', store, 'attempt', list))
local was = sealed and string.match(sealed, '^[01]')
local slot = was == '0' and '1' or '0'
local pending = store .. '.pending.' .. epoch .. '.'
if ARGV[3] == '0' then
  -- A chunk that was held up on the way comes after a later attempt's.
  if tonumber(ARGV[2]) <= tonumber(attempt) then return -3 end
  redis.call('HSET', store, 'attempt', ARGV[2])
  if not sealed then redis.call('HSET', store, list, '') end
  redis.call('UNLINK', pending .. slot)
elseif ARGV[2] ~= attempt or redis.call('LLEN', pending .. slot) ~= tonumber(ARGV[3]) then
  return -3
end
if #ARGV > 4 then redis.call('RPUSH', pending .. slot, unpack(ARGV, 5)) end
if ARGV[4] ~= '' then
  redis.call('HSET', store, list, slot .. ' ' .. ARGV[4])
  if was then redis.call('UNLINK', pending .. was) end
end
return 0
