import { redactUrls } from './redact-urls.ts'

/** One thing that is wrong with a configuration, at the key that `path` leads to. */
export interface Problem {
  readonly path: Path
  readonly message: string
}

export type Path = readonly (string | number)[]

/** A configuration that cannot be used. `problems` are complete lines, each with its file or origin. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

/** `['upstreams', 'docker.io', 'endpoints', 0]` → `upstreams["docker.io"].endpoints[0]`. */
export function formatPath(path: Path): string {
  let result = ''
  for (const key of path) {
    if (typeof key === 'number') result += `[${key}]`
    else if (!/^[A-Za-z_$][\w$]*$/.test(key)) result += `[${quoteKey(key)}]`
    else result += result === '' ? key : `.${key}`
  }
  return result
}

function quoteKey(key: string): string {
  return JSON.stringify(redactUrls(key).slice(0, 100))
}
