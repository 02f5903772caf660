-- Takes keys out of the index whose entries are gone. ARGV: epoch, keys.
redis.call('HDEL', store .. '.index', unpack(ARGV, 2))
return 0
