// Settings of the client, from the environment that ksim gives to each member.

const { env } = process
const number = (name, otherwise) => Number(env[name] || otherwise)

// kafkajs knows neither. Better no answer than one about something else.
if (env.KSIM_GROUP_PROTOCOL === 'consumer') throw new Error('kafkajs has no KIP-848 groups: run without --protocol consumer')
if (env.KSIM_INSTANCE_ID) throw new Error('kafkajs has no static membership: run without --static')

export const topic = env.KSIM_TOPIC
export const sink = env.KSIM_SINK_URL
export const deadLetters = env.KSIM_DLQ_TOPIC // may be absent
export const groupId = env.KSIM_GROUP_ID
export const batchSize = number('KSIM_BATCH_SIZE', 100)
export const maxAttempts = number('KSIM_MAX_ATTEMPTS', 5)

const sessionTimeout = number('KSIM_SESSION_TIMEOUT_MS', 10_000)
/** How long the group waits for a member that has to finish before it rejoins, ms. */
export const rebalanceTimeout = Math.max(number('KSIM_MAX_POLL_INTERVAL_MS', 300_000), sessionTimeout)
/** A member hears of a rebalance in the answer to a heartbeat. ms. */
export const heartbeatInterval = Math.max(1, Math.min(500, Math.floor(sessionTimeout / 6)))

export const client = {
  clientId: env.KSIM_MEMBER || 'careful',
  brokers: env.KSIM_BOOTSTRAP_SERVERS.split(','),
  retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 8 },
}

export const consumer = {
  groupId,
  sessionTimeout,
  rebalanceTimeout,
  heartbeatInterval,
  maxWaitTimeInMs: 100,
  allowAutoTopicCreation: false,
}
