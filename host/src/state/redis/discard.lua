-- Forgets what was prepared, sealed or not.
-- ARGV: epoch, attempt, the source offset that the store stands at (empty: it stays).
if tonumber(ARGV[2]) < tonumber(redis.call('HGET', store, 'attempt')) then return 0 end
redis.call('UNLINK', store .. '.pending.0', store .. '.pending.1')
redis.call('HDEL', store, 'slot', 'from', 'to', 'promoting')
if ARGV[3] ~= '' then redis.call('HSET', store, 'position', ARGV[3]) end
return 0
