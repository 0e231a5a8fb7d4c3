/**
 * One operation on a budget as a Lua script, by the clock of Redis. A budget is a hash that expires when it is full and
 * unused: `level` and `at` in microseconds, `h:<attempt>` and `w:<attempt>` with the expiry of a reservation or of a
 * waiting attempt. A missing hash is a full budget. A clock that is set back neither adds tokens nor extends a
 * reservation.
 *
 * KEYS: budget. ARGV: operation, attempt, `failures`, `tokenUs`, `holdUs`, `waitUs`, `maxWaiting`. Operations:
 *
 * - `take` reserves a token, or registers the attempt as waiting; `queue` only registers it.
 * - `renew` extends a reservation.
 * - `fail` turns a reservation into a charge; `release` drops a reservation or a waiting attempt.
 *
 * Returns the outcome and the level. `lost` means that the attempt has no reservation.
 */
export const BUDGET_SCRIPT = `
local operation, attempt = ARGV[1], ARGV[2]
local token, hold, wait = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local capacity = tonumber(ARGV[3]) * token
local time = redis.call('TIME')
-- All numbers are integers below 2^53, which a double represents exactly.
local now = time[1] * 1000000 + time[2]

local function store(field, value)
  -- tostring() would round to 14 digits.
  redis.call('HSET', KEYS[1], field, string.format('%.0f', value))
end

local level, at = capacity, now
local holds, waiting, latest = 0, 0, 0
local isHeld, isWaiting = false, false
local stored = redis.call('HGETALL', KEYS[1])
for index = 1, #stored, 2 do
  local field, value = stored[index], tonumber(stored[index + 1])
  if field == 'level' then
    level = value
  elseif field == 'at' then
    at = value
  elseif value <= now then
    redis.call('HDEL', KEYS[1], field)
  else
    local isHold = string.sub(field, 1, 2) == 'h:'
    local span = isHold and hold or wait
    if value > now + span then
      value = now + span
      store(field, value)
    end
    latest = math.max(latest, value)
    if isHold then holds = holds + 1 else waiting = waiting + 1 end
    if field == 'h:' .. attempt then isHeld = true end
    if field == 'w:' .. attempt then isWaiting = true end
  end
end
local isClockSetBack = at > now
level = math.min(capacity, level + math.max(0, now - at))

local function extend(field, span)
  store(field, now + span)
  latest = math.max(latest, now + span)
end

local outcome
local isCharged = false
if operation == 'take' or operation == 'queue' then
  if isHeld then
    outcome = 'reserved'
    extend('h:' .. attempt, hold)
  elseif level < token then
    outcome = 'exhausted'
    redis.call('HDEL', KEYS[1], 'w:' .. attempt)
  elseif operation == 'take' and level >= (holds + 1) * token then
    outcome = 'reserved'
    redis.call('HDEL', KEYS[1], 'w:' .. attempt)
    extend('h:' .. attempt, hold)
  elseif isWaiting then
    outcome = 'waiting'
  elseif waiting >= tonumber(ARGV[7]) then
    outcome = 'crowded'
  else
    outcome = 'waiting'
    extend('w:' .. attempt, wait)
  end
elseif operation == 'renew' then
  outcome = isHeld and 'reserved' or 'lost'
  if isHeld then extend('h:' .. attempt, hold) end
else
  outcome = isHeld and 'settled' or 'lost'
  isCharged = isHeld and operation == 'fail'
  redis.call('HDEL', KEYS[1], 'h:' .. attempt, 'w:' .. attempt)
  if isCharged then level = math.max(0, level - token) end
end

if level == capacity then
  redis.call('HDEL', KEYS[1], 'level', 'at')
elseif isCharged or isClockSetBack then
  store('level', level)
  store('at', now)
end
-- Does nothing if the hash is empty, and so deleted.
local expiry = math.max(latest - now, capacity - level)
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(expiry / 1000) + 1))
return {outcome, string.format('%.0f', level)}
`
