import type { AdminServiceServer } from '#proto/admin/v1/admin.ts'
import type { Handlers } from '#runtime/grpc/call.ts'
import { invalidArgument } from '#runtime/status.ts'
import { toUserFigures } from './admin-message.ts'
import type { ReportRepository, SignupsDayRow, UserOrder } from './report-repository.ts'

export type ReportHandlers = Pick<Handlers<AdminServiceServer>, 'reportSignups' | 'reportUsers'>

const DEFAULT_DAYS = 30
const DEFAULT_LIMIT = 20

/** The report methods of `admin.v1.AdminService`. */
export function createReportHandlers(reports: ReportRepository): ReportHandlers {
  return {
    async reportSignups({ days, timeZone }) {
      const counts = await countSignups(reports, days || DEFAULT_DAYS, timeZone || 'UTC')
      return { days: counts, total: counts.reduce((sum, { signups }) => sum + signups, 0) }
    },
    async reportUsers({ minDocs, orderBy, limit }) {
      const users = await reports.users(minDocs, (orderBy || '-docCount') as UserOrder, limit || DEFAULT_LIMIT)
      return { users: users.map(toUserFigures) }
    },
  }
}

// SQLSTATE invalid_parameter_value: PostgreSQL does not know the time zone.
const INVALID_PARAMETER_VALUE = '22023'

async function countSignups(reports: ReportRepository, days: number, timeZone: string): Promise<SignupsDayRow[]> {
  try {
    return await reports.signups(days, timeZone)
  } catch (error) {
    if ((error as { code?: string }).code !== INVALID_PARAMETER_VALUE) throw error
    throw invalidArgument([{ field: 'timeZone', description: 'must be an IANA time zone such as Europe/Zurich' }])
  }
}
