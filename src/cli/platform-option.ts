import { Option } from 'commander'

/** `--platform linux/amd64,linux/arm64`, `--platform all`; what is no platform is refused by whoever is asked. */
export function platformOption(): Option {
  return new Option(
    '--platform <list>',
    'such as linux/amd64,linux/arm64, or all; default: warm.platforms',
  ).argParser((text: string, before: readonly string[] | undefined) => [
    ...(before ?? []),
    ...text.split(',').map((one) => one.trim()),
  ])
}
