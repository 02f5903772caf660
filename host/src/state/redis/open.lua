-- Takes the next epoch, so that every handle opened before is fenced.
-- ARGV: the format that the caller writes, its clock in microseconds.
local store = KEYS[1]
local was = redis.call('HMGET', store, 'format', 'epoch', 'position', 'from', 'to', 'promoting')
if was[1] and was[1] ~= ARGV[1] then return {was[1], '', '', '', '', ''} end
-- A first write that needs no memory: after it, a full Redis refuses none, so
-- that state can still be read.
redis.call('HDEL', store, '')
-- The clock keeps epochs apart that a Redis which lost its data hands out.
local epoch = math.max(tonumber(was[2] or 0) + 1, tonumber(ARGV[2]))
epoch = string.format('%.0f', epoch)
redis.call('HSET', store, 'format', ARGV[1], 'epoch', epoch, 'attempt', '0')
return {ARGV[1], epoch, was[3] or '', was[4] or '', was[5] or '', was[6] or ''}
