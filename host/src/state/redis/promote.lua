-- Applies a part of the prepared commit and takes it off the list, so that
-- whoever goes on later goes on from there. Returns 1 until all is applied.
-- ARGV: epoch, whose list it is, to, the most changes and about the most bytes
-- of one part.
local owner = ARGV[2]
local list = redis.call('HGET', store, 'list.' .. owner)
if not list then
  -- Done before, and the answer was lost.
  return redis.call('HGET', store, 'position') == ARGV[3] and 0 or -2
end
local slot, to = string.match(list, '^([01]) (.+)$')
if to ~= ARGV[3] then return -3 end
local pending = store .. '.pending.' .. owner .. '.' .. slot
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
until #items < 96 or changes >= tonumber(ARGV[4]) or bytes >= tonumber(ARGV[5])
if redis.call('EXISTS', pending) == 1 then
  redis.call('HSET', store, 'promoting', owner)
  return 1
end
redis.call('HSET', store, 'position', to)
redis.call('HDEL', store, 'promoting')
-- Of all that were prepared from where the store stood, one is committed.
local fields = redis.call('HKEYS', store)
for _, field in ipairs(fields) do
  local other = string.match(field, '^list%.(%d+)$')
  if other then
    local lists = store .. '.pending.' .. other .. '.'
    redis.call('UNLINK', lists .. '0', lists .. '1')
    redis.call('HDEL', store, field)
  end
end
return 0
