// Made by `make schema` from the migrations, to be compared with tables.ts; do not edit.
import type { Generated, GeneratedAlways } from 'kysely'

export interface Schema {
  account_change_cursor: {
    sequence: bigint
  }
  accounts: {
    user_id: string
    email: string | null
    password_hash: string | null
    password_scheme: string | null
    role: 'user' | 'editor' | 'moderator' | 'admin'
    status: 'pending' | 'active' | 'closed'
    sign_up_name: string | null
    created_at: Generated<Date>
    closed_at: Date | null
    erased_at: Date | null
  }
  revocations: {
    id: GeneratedAlways<bigint>
    kind: 'sid' | 'jti' | 'user'
    target: string
    not_after: Date | null
    expires_at: Date
    published_at: Date | null
  }
  sessions: {
    id: string
    user_id: string
    refresh_nonce: Buffer
    user_agent: string
    address: string
    created_at: Generated<Date>
    expires_at: Date
    ended_at: Date | null
    end_reason: 'logout' | 'ended' | 'reuse' | 'closed' | null
  }
  signing_keys: {
    kid: string
    public_key: string
    private_key: Buffer
    activates_at: Date
  }
}
