import { fullName } from './full-name.ts'

/** What a source file or an archive is called, and an image hardly ever. */
const FILE_ENDING =
  /\.(?:c|cc|cfg|conf|cpp|crt|cs|css|csv|d|go|gz|h|html|ini|jar|java|js|json|jsx|key|lock|log|md|mjs|pem|php|pl|properties|proto|py|rb|rs|sh|so|sock|sql|tar|tf|tgz|toml|tpl|ts|tsx|txt|vue|xml|yaml|yml|zip)$/
/** Words that are tags without a digit. */
const TAG_WORD =
  /^(?:latest|stable|main|master|edge|nightly|dev|develop|release|canary|alpine|slim|lts|current|rolling)\b/
/** Longer than any reference. */
const MAX_LENGTH = 600

/**
 * Whether a text from anywhere looks like an image. It has to have a slash, and a tag or a digest; where it
 * names no registry, the tag has to look like one: `default/web:8080` is a port, `apps/v1:Scale` is a kind.
 */
export function looksLikeImage(text: string): boolean {
  const slash = text.indexOf('/')
  if (text.length > MAX_LENGTH || slash < 1 || /[\s*{}$]/.test(text)) return false
  const isTransport = /^(?:docker|docker-image|oci):\/\//.test(text)
  if ((text.includes('://') && !isTransport) || fullName(text) === undefined) return false
  if (text.includes('@')) return true
  const colon = text.lastIndexOf(':')
  const tag = text.slice(colon + 1)
  if (colon < text.lastIndexOf('/') || FILE_ENDING.test(text.slice(0, colon))) return false
  return namesRegistry(text.slice(0, slash)) || isTransport || looksLikeTag(tag)
}

/** As `looksLikeImage`, where a key says that it is an image: then `nginx:1.29` does, too. */
export function looksLikeNamedImage(text: string): boolean {
  if (text.length > MAX_LENGTH || text.includes('://') || fullName(text) === undefined) return false
  return text.includes('/') || /[:@]/.test(text)
}

function namesRegistry(first: string): boolean {
  return (
    /\.[a-z][a-z0-9-]+(?::\d+)?$/.test(first) || /^[\d.]+:\d+$|^localhost(?::\d+)?$/.test(first)
  )
}

function looksLikeTag(tag: string): boolean {
  return (/\d/.test(tag) && !/^\d{4,5}$/.test(tag)) || TAG_WORD.test(tag)
}
