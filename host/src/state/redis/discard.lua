-- Forgets what the caller has prepared, sealed or not. ARGV: epoch, attempt.
if tonumber(ARGV[2]) < tonumber(redis.call('HGET', store, 'attempt')) then return 0 end
local pending = store .. '.pending.' .. epoch .. '.'
redis.call('UNLINK', pending .. '0', pending .. '1')
redis.call('HDEL', store, 'list.' .. epoch)
return 0
