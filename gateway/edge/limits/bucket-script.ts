/**
 * `take` of token-bucket.ts in Redis, for as many buckets as one turn of the event loop asks for: one key a bucket, by
 * Redis' clock, so that all gateways count alike. A bucket is `level:at:perToken`; it expires when it would be full, which
 * is what an absent one is.
 *
 * KEYS: the buckets. ARGV: for each, `cost:capacity:gain:perToken` in units.
 * Returns an `Outcome` for each.
 */
export const TAKE = `
local time = redis.call('TIME')
-- Whole numbers below 2^53, as everything here: a double holds them exactly.
local now = time[1] * 1000000 + time[2]
local outcomes = {}
for index, key in ipairs(KEYS) do
  local cost, capacity, gain, perToken = string.match(ARGV[index], '^(-?%d+):(%d+):(%d+):(%d+)$')
  cost, capacity, gain = tonumber(cost), tonumber(capacity), tonumber(gain)
  local level = capacity
  local isSetBack = false
  -- What is no bucket of ours counts as a full one: it must not fail the others.
  local stored = redis.pcall('GET', key)
  if type(stored) == 'string' then
    local had, at, scale = string.match(stored, '^(%d+):(%d+):(%d+)$')
    if had then
      -- Written by a gateway with another gateway.yaml.
      if scale ~= perToken then had = math.floor(had * perToken / scale) end
      isSetBack = tonumber(at) > now
      level = math.min(capacity, had + math.max(0, now - at) * gain)
    end
  end
  local isAdmitted = cost <= level
  if isAdmitted then level = math.min(capacity, level - cost) end
  outcomes[index] = isAdmitted and level or -1 - level
  -- A refusal changes nothing, unless the clock was set back: then time goes on by what it shows now.
  if isAdmitted or isSetBack then
    local untilFull = math.max(1, math.ceil((capacity - level) / gain / 1000))
    -- tostring() would round to 14 digits.
    redis.call('SET', key, string.format('%.0f:%.0f:%s', level, now, perToken), 'PX', string.format('%.0f', untilFull))
  end
end
return outcomes
`
