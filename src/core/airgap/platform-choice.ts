import type { PlatformChoice } from '../../oci/platform.ts'
import { formatPlatform, parsePlatform } from '../../oci/platform.ts'
import { MaintenanceError } from '../maintenance/maintenance-error.ts'

/** What a warming does where nobody says otherwise: as configured. */
export interface WarmDefaults {
  /** `all` alone, or platforms. */
  readonly platforms: readonly string[]
  readonly referrers: boolean
}

/** `all` alone, or platforms such as `linux/arm64`. Throws MaintenanceError `invalid`. */
export function readPlatformChoice(texts: readonly string[]): PlatformChoice {
  if (texts.length === 1 && texts[0] === 'all') return 'all'
  if (texts.length === 0) throw new MaintenanceError('invalid', `no platform is named: ${FORM}`)
  return texts.map((text) => {
    const platform = parsePlatform(text)
    if (platform !== undefined) return platform
    throw new MaintenanceError('invalid', `${JSON.stringify(text)} is no platform: ${FORM}`)
  })
}

/** The other way round: what reports say. */
export function formatPlatformChoice(choice: PlatformChoice): readonly string[] {
  return choice === 'all' ? ['all'] : choice.map(formatPlatform)
}

const FORM = 'write linux/amd64, linux/arm64/v8, or all alone'
