/**
 * Settings of the k6 scripts, as environment variables:
 *
 *   BASE_URL=https://api.example USERS="$(cat users.json)" k6 run deploy/k6/load.ts
 *
 * BASE_URL   URL of the gateway. Default http://127.0.0.1:3000
 * USERS      existing accounts as JSON: [{"email": "…", "password": "…"}, …]. Required. gateway.yaml allows each user
 *            10 requests/s, so a rate of R needs R / 8 users. The scripts do not sign up users, because sign-ups are
 *            limited per address
 * RATE       reads per second at full load. Default 50. The rates of the other requests are proportional to it. Above 60,
 *            the sign-ins and refreshes of one address exceed the classes auth and session of gateway.yaml: raise them
 *            or use several load generators
 * DURATION   time at full load, such as 10m. The default depends on the script
 */
export interface User {
  readonly email: string
  readonly password: string
}

export const baseUrl = (__ENV['BASE_URL'] ?? 'http://127.0.0.1:3000').replace(/\/$/, '')
export const users: readonly User[] = JSON.parse(__ENV['USERS'] ?? '[]')
export const rate = Number(__ENV['RATE'] ?? 50)
export const durationOr = (defaultDuration: string): string => __ENV['DURATION'] ?? defaultDuration

if (users.length === 0) throw new Error('USERS is not set. See deploy/k6/environment.ts.')
