-- Applies a part of the prepared commit and takes it off the list, so that
-- whoever goes on later goes on from there. Returns 1 until all is applied.
-- ARGV: epoch, to, the most changes and about the most bytes of one part.
local slot, to = unpack(redis.call('HMGET', store, 'slot', 'to'))
if not slot then
  -- Done before, and the answer was lost.
  return redis.call('HGET', store, 'position') == ARGV[2] and 0 or -2
end
if to ~= ARGV[2] then return -3 end
local pending = store .. '.pending.' .. slot
local index = store .. '.index'
local changes, bytes = 0, 0
repeat
  local items = redis.call('LRANGE', pending, 0, 95)
  -- A first write that needs no memory: what Kafka has committed is not
  -- refused by a full Redis.
  redis.call('LTRIM', pending, 96, -1)
  local sets, notes = {}, {}
  for i = 1, #items, 3 do
    local key, note, value = items[i], items[i + 1], items[i + 2]
    if note == '-' then
      redis.call('UNLINK', store .. ':' .. key)
      redis.call('HDEL', index, key)
    else
      local at = #sets
      sets[at + 1], sets[at + 2] = store .. ':' .. key, value
      notes[at + 1], notes[at + 2] = key, note
    end
    changes = changes + 1
    bytes = bytes + #value
  end
  if #sets > 0 then
    redis.call('MSET', unpack(sets))
    redis.call('HSET', index, unpack(notes))
    for i = 1, #sets, 2 do
      local expiry = string.match(notes[i + 1], '^%d+')
      if expiry then redis.call('PEXPIREAT', sets[i], expiry) end
    end
  end
until #items < 96 or changes >= tonumber(ARGV[3]) or bytes >= tonumber(ARGV[4])
if redis.call('EXISTS', pending) == 1 then
  redis.call('HSET', store, 'promoting', '1')
  return 1
end
redis.call('HSET', store, 'position', to)
redis.call('HDEL', store, 'slot', 'from', 'to', 'promoting')
return 0
