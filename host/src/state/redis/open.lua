-- Takes the next epoch, so that every handle opened before is fenced. Nothing
-- changes where the store is not at the offset asked for: a host that knows an
-- old one fences nobody.
-- ARGV: the format that the caller writes, its clock in microseconds, the
-- group's committed offset.
-- Answers the format, the epoch (empty: not opened), where the store stands, and
-- whose list is to be promoted for that.
local store = KEYS[1]
local was = redis.call('HMGET', store, 'format', 'epoch', 'position', 'promoting')
if was[1] and was[1] ~= ARGV[1] then return {was[1], '', '', ''} end
local stands, chosen = was[3], was[4]
local owners, slots, ends = {}, {}, {}
local fields = redis.call('HGETALL', store)
for i = 1, #fields, 2 do
  local owner = string.match(fields[i], '^list%.(%d+)$')
  if owner then
    owners[#owners + 1] = owner
    slots[owner], ends[owner] = string.match(fields[i + 1], '^([01]) (.+)$')
    -- Of two that end there the newer is the one that could still be committed.
    if not was[4] and ends[owner] == ARGV[3] and (not chosen or tonumber(owner) > tonumber(chosen)) then
      chosen = owner
    end
  end
end
-- A promotion that has begun is decided.
if chosen then stands = ends[chosen] end
if stands and stands ~= ARGV[3] then return {ARGV[1], '', stands, ''} end
-- A first write that needs no memory: after it, a full Redis refuses none, so
-- that state can still be read.
redis.call('HDEL', store, '')
-- The clock keeps epochs apart that a Redis which lost its data hands out.
local epoch = math.max(tonumber(was[2] or 0) + 1, tonumber(ARGV[2]))
epoch = string.format('%.0f', epoch)
redis.call('HSET', store, 'format', ARGV[1], 'epoch', epoch, 'attempt', '0')
if not was[3] then redis.call('HSET', store, 'position', ARGV[3]) end
-- Nobody can seal any more what is not. What is stays: whoever calls may be
-- fenced by the group already, and the owner's offsets be committed any moment.
for _, owner in ipairs(owners) do
  local pending = store .. '.pending.' .. owner .. '.'
  if slots[owner] then
    redis.call('UNLINK', pending .. (slots[owner] == '0' and '1' or '0'))
  else
    redis.call('UNLINK', pending .. '0', pending .. '1')
    redis.call('HDEL', store, 'list.' .. owner)
  end
end
return {ARGV[1], epoch, was[3] or '', chosen or ''}
