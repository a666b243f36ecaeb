/**
 * Does the task for each item, so many at the same time, in their order. The first failure is thrown once
 * those under way have ended; the rest is not begun.
 */
export async function someAtATime<T>(
  items: Iterable<T>,
  limit: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]()
  const failures: unknown[] = []
  const work = async () => {
    for (let next = rest.next(); next.done !== true; next = rest.next()) {
      if (failures.length > 0) return
      try {
        await task(next.value)
      } catch (reason) {
        failures.push(reason)
      }
    }
  }
  await Promise.all(Array.from({ length: limit }, work))
  if (failures.length > 0) throw failures[0]
}
