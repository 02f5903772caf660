-- Stands before every script but open.lua. KEYS[1] is the store's hash, ARGV[1]
-- the epoch of whoever calls.
local store = KEYS[1]
local epoch = redis.call('HGET', store, 'epoch')
if not epoch then return -2 end
if epoch ~= ARGV[1] then return -1 end
