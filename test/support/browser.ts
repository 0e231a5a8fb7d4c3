/** A real browser: CHROMIUM_PATH, else one on the PATH, else Debian's package where it can be installed. */
import { execa } from 'execa'
import { type Browser, chromium } from 'playwright-core'
import type { Test } from 'tap'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** @returns undefined where there is no browser and none can be had; the test then says that it did not run. */
export async function launchBrowser(t: Test): Promise<Browser | undefined> {
  const executablePath = process.env['CHROMIUM_PATH'] || ((await which(NAMES)) ?? (await install(t)))
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

async function install(t: Test): Promise<string | undefined> {
  if (process.getuid?.() !== 0 || (await which(['apt-get'])) === undefined) return undefined
  t.comment('No browser on the PATH: installing the package chromium')
  const options = { env: { DEBIAN_FRONTEND: 'noninteractive' }, stdin: 'ignore', reject: false } as const
  await execa('apt-get', ['update', '-qq'], options)
  await execa('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], options)
  return which(NAMES)
}

async function which(names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const { exitCode, stdout } = await execa('sh', ['-c', 'command -v "$1"', 'sh', name], { reject: false })
    if (exitCode === 0) return stdout
  }
  return undefined
}
