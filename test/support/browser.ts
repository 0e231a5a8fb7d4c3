import { type Browser, chromium } from 'playwright-core'
import type { Test } from 'tap'
import { findCommand } from '../../deploy/dev/debian-command.ts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/**
 * Launches Chromium: CHROMIUM_PATH, or one on the PATH, or the Debian package, which is installed if possible.
 * @returns undefined if there is none and it cannot be installed.
 */
export async function launchBrowser(t: Test): Promise<Browser | undefined> {
  const executablePath =
    process.env['CHROMIUM_PATH'] ||
    (await findCommand({ names: NAMES, package: 'chromium', log: text => t.comment(text) }))
  if (executablePath === undefined) return undefined
  const browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  t.teardown(() => browser.close())
  return browser
}
