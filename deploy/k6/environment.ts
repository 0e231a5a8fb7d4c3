/**
 * What the k6 scripts are told:
 *
 *   BASE_URL=https://api.example USERS="$(cat users.json)" k6 run deploy/k6/load.ts
 *
 * BASE_URL   of the gateway; http://127.0.0.1:3000 unless given
 * USERS      accounts that exist, as JSON: [{"email": "…", "password": "…"}, …]. By the limits of gateway.yaml each may
 *            ask ten times a second: a rate of R takes R / 8 of them. Sign-ups are limited by address, so none are made
 * RATE       reads a second at full load, 50 unless given; the other requests follow from it
 * DURATION   of the part at full load, such as 10m
 */
export interface User {
  readonly email: string
  readonly password: string
}

export const baseUrl = (__ENV['BASE_URL'] ?? 'http://127.0.0.1:3000').replace(/\/$/, '')
export const users: readonly User[] = JSON.parse(__ENV['USERS'] ?? '[]')
export const rate = Number(__ENV['RATE'] ?? 50)
export const durationOr = (standard: string): string => __ENV['DURATION'] ?? standard

if (users.length === 0) throw new Error('USERS is not set: see environment.ts')
