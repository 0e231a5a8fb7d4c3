/** Programs that no npm package brings: the machine's own, else Debian's package of them, where that can be installed. */
import { execa } from 'execa'

export interface DebianCommand {
  /** Any of these will do. */
  names: readonly string[]
  package: string
  /** Says what is done when that takes a while. */
  tell: (text: string) => void
}

/** @returns its path; undefined when there is none and none can be installed. */
export async function findCommand({ names, package: name, tell }: DebianCommand): Promise<string | undefined> {
  const found = await which(names)
  if (found !== undefined) return found
  if (process.getuid?.() !== 0 || (await which(['apt-get'])) === undefined) return undefined
  tell(`No ${names[0]} on the PATH: installing the package ${name}`)
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
