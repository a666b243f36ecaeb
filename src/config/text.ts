import * as z from 'zod'
import type { Reading } from './reading.ts'

/** A schema for a text with a grammar of its own, which says the same sentence for a wrong type. */
export function text<T>(expected: string, reader: (text: string) => Reading<T>) {
  return z
    .string({ error: `expected ${expected}` })
    .transform((given, context) => finish(reader(given), context))
}

/** The same where a number without a unit also means something: bytes, or a port. */
export function textOrNumber<T>(expected: string, reader: (given: string | number) => Reading<T>) {
  return z
    .union([z.string(), z.number()], { error: `expected ${expected}` })
    .transform((given, context) => finish(reader(given), context))
}

/** The same where `false` means that there is none. */
export function textOrFalse<T>(
  expected: string,
  reader: (given: string | number | false) => Reading<T>,
) {
  return z
    .union([z.string(), z.number(), z.literal(false)], { error: `expected ${expected}` })
    .transform((given, context) => finish(reader(given), context))
}

function finish<T>(reading: Reading<T>, context: z.RefinementCtx): T {
  if ('value' in reading) return reading.value
  context.addIssue({ code: 'custom', message: `expected ${reading.expected}` })
  return z.NEVER
}
