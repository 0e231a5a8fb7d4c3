/**
 * `chargeBucket` of token-bucket.ts as a Lua script: charges any number of buckets in one call, by the clock of Redis.
 * A bucket is stored as `level:at:unitsPerToken` and expires when it would be full; a missing bucket is full.
 *
 * KEYS: one per bucket. ARGV: one `cost:capacity:refill:unitsPerToken` per bucket, in units. Returns an `Outcome` each.
 */
export const CHARGE_SCRIPT = `
local time = redis.call('TIME')
-- All numbers are integers below 2^53, which a double represents exactly.
local now = time[1] * 1000000 + time[2]
local outcomes = {}
for index, key in ipairs(KEYS) do
  local cost, capacity, refill, unitsPerToken = string.match(ARGV[index], '^(-?%d+):(%d+):(%d+):(%d+)$')
  cost, capacity, refill = tonumber(cost), tonumber(capacity), tonumber(refill)
  local level = capacity
  local isClockSetBack = false
  -- A key of another type or format counts as a full bucket, so that it does not fail the whole call.
  local stored = redis.pcall('GET', key)
  if type(stored) == 'string' then
    local storedLevel, at, scale = string.match(stored, '^(%d+):(%d+):(%d+)$')
    if storedLevel then
      -- Convert the level if a gateway with another refill rate wrote it.
      if scale ~= unitsPerToken then storedLevel = math.floor(storedLevel * unitsPerToken / scale) end
      isClockSetBack = tonumber(at) > now
      level = math.min(capacity, storedLevel + math.max(0, now - at) * refill)
    end
  end
  local isAdmitted = cost <= level
  if isAdmitted then level = math.min(capacity, level - cost) end
  outcomes[index] = isAdmitted and level or -1 - level
  -- A rejection stores nothing, unless the clock was set back: the bucket then refills from the new time on.
  if isAdmitted or isClockSetBack then
    local msUntilFull = math.max(1, math.ceil((capacity - level) / refill / 1000))
    -- tostring() would round to 14 digits.
    local value = string.format('%.0f:%.0f:%s', level, now, unitsPerToken)
    redis.call('SET', key, value, 'PX', string.format('%.0f', msUntilFull))
  end
end
return outcomes
`
