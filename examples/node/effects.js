// The downstream system: one HTTP POST for each record. fetch keeps its connections.

export const APPLIED = 'applied', POISON = 'poison', NOT_OWNER = 'not owner', UNAVAILABLE = 'unavailable'

/** Posts the effect of a record: { fate, reason, retryAfter }, the last in milliseconds, 0 where nothing is asked. */
export async function apply(url, { topic, partition, message }, timeout) {
  let response, body
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'Ksim-Record': `${topic}/${partition}/${message.offset}` },
      body: message.value ?? '', // a tombstone has no value; it is an effect like any other
      signal: AbortSignal.timeout(timeout),
    })
    body = await response.text()
  } catch (error) {
    // Nobody knows whether it was applied: at-least-once means again.
    return { fate: UNAVAILABLE, reason: `no answer: ${error.cause ?? error}`, retryAfter: 0 }
  }
  const seconds = Number(response.headers.get('retry-after')) // NaN for a date
  return { fate: fate(response.status), reason: `HTTP ${response.status}: ${body}`, retryAfter: 1000 * (seconds || 0) }
}

function fate(status) {
  if (status >= 200 && status < 300) return APPLIED
  if (status === 409) return NOT_OWNER
  // 408 and 429 are about the moment, other 4xx about the record.
  return status >= 400 && status < 500 && status !== 408 && status !== 429 ? POISON : UNAVAILABLE
}
