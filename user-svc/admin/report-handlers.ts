import type { AdminServiceServer } from '#proto/admin/v1/admin.ts'
import type { Handlers } from '#runtime/grpc/call.ts'
import { invalidArgument } from '#runtime/status.ts'
import { toUserFigures } from './admin-message.ts'
import type { ReportRepository, SignupsDayRow, UserOrder } from './report-repository.ts'

export type ReportHandlers = Pick<Handlers<AdminServiceServer>, 'reportSignups' | 'reportUsers'>

const DEFAULT_DAYS = 30
const DEFAULT_LIMIT = 20

export function createReportHandlers(reports: ReportRepository): ReportHandlers {
  return {
    async reportSignups({ days, timeZone }) {
      const found = await signupsOf(reports, days || DEFAULT_DAYS, timeZone || 'UTC')
      return { days: found, total: found.reduce((sum, { signups }) => sum + signups, 0) }
    },
    async reportUsers({ minDocs, orderBy, limit }) {
      const users = await reports.users(minDocs, (orderBy || '-docCount') as UserOrder, limit || DEFAULT_LIMIT)
      return { users: users.map(toUserFigures) }
    },
  }
}

// PostgreSQL's invalid_parameter_value: what it says of a time zone that it does not know.
const INVALID_VALUE = '22023'

async function signupsOf(reports: ReportRepository, days: number, timeZone: string): Promise<SignupsDayRow[]> {
  try {
    return await reports.signups(days, timeZone)
  } catch (error) {
    if ((error as { code?: string }).code !== INVALID_VALUE) throw error
    throw invalidArgument([{ field: 'timeZone', description: 'is no time zone of the IANA, such as Europe/Zurich' }])
  }
}
