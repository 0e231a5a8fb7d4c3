/** Programs that no npm package contains: found on the PATH, or installed from a Debian package. */
import { execa } from 'execa'

export interface DebianCommand {
  /** Names of the program; the first one found is used. */
  names: readonly string[]
  package: string
  /** Called with a message before an installation, which takes some seconds. */
  log: (text: string) => void
}

/**
 * Looks a program up on the PATH. If it is missing, installs its Debian package, which needs root and apt-get.
 * @returns the path of the program, or undefined if it cannot be installed.
 */
export async function findCommand({ names, package: name, log }: DebianCommand): Promise<string | undefined> {
  const found = await which(names)
  if (found !== undefined) return found
  if (process.getuid?.() !== 0 || (await which(['apt-get'])) === undefined) return undefined
  log(`${names[0]} is not on the PATH; installing the Debian package ${name}`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await execa('apt-get', ['update', '-qq'], { env, stdin: 'ignore', reject: false })
  await execa('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], {
    env,
    stdin: 'ignore',
    reject: false,
  })
  return which(names)
}

async function which(names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const { exitCode, stdout } = await execa('sh', ['-c', 'command -v "$1"', 'sh', name], { reject: false })
    if (exitCode === 0) return stdout
  }
  return undefined
}
