/** RFC 7617, in UTF-8. */
export function basicHeader(login: {
  readonly username: string
  readonly password: string
}): string {
  return `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`
}
