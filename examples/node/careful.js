// A sound at-least-once consumer: a commit says that the work is done, and nothing else does.
//
// One record after the other, so each partition stays in order. kafkajs has no thread of its own that
// keeps the membership: heartbeats are sent while an action runs and between two attempts, and it is their answer
// that tells of a rebalance. Then the record in hand is finished, what is done is committed, and
// nothing more is begun until the member has joined again.

import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import * as effects from './effects.js'
import * as settings from './settings.js'

const ACTION_TIMEOUT = 20_000 // ms; below what a pod is given to stop
const DRAIN = Math.min(ACTION_TIMEOUT, 0.8 * settings.rebalanceTimeout) // ms; then the group goes on without us
const BACKOFF_FIRST = 200, BACKOFF_MAX = 10_000 // ms; doubled for each attempt, ±20 %

const { Kafka, Partitioners, logLevel } = kafkajs
const kafka = new Kafka({ ...settings.client, logLevel: logLevel.WARN })
const consumer = kafka.consumer(settings.consumer)
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false })

let stopping = false // SIGTERM: finish the record in hand, commit, leave; the rest was never begun
let broken = null // the error that ended this membership, until kafkajs has joined again
const MEMBERSHIP = ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'NOT_COORDINATOR_FOR_GROUP']
consumer.on(consumer.events.GROUP_JOIN, () => { broken = null })

/** One batch of one partition, as kafkajs has fetched it. */
class Batch {
  constructor({ batch, heartbeat, resolveOffset, commitOffsetsIfNecessary, isStale }) {
    Object.assign(this, { batch, heartbeat, resolveOffset, commitOffsetsIfNecessary, isStale })
    this.next = this.committed = BigInt(batch.firstOffset() ?? 0)
    this.failure = null
  }

  over() {
    return stopping || broken !== null || this.failure !== null || this.isStale()
  }

  async run() {
    let done = 0
    try {
      for (const message of this.batch.messages) {
        // kafkajs hands out what it had fetched also when a rebalance has begun.
        await this.beat()
        if (this.over() || !(await this.handle(message))) break
        // From here kafkajs fetches on. What is not resolved comes again.
        this.resolveOffset(message.offset)
        this.next = BigInt(message.offset) + 1n
        if (++done % settings.batchSize === 0) await this.commit()
      }
    } finally {
      await this.commit()
    }
    if (broken ?? this.failure) throw broken ?? this.failure // kafkajs joins again, or tries again
  }

  /** True once the record has reached an end: its effect, or its dead letter. */
  async handle(message) {
    const { topic, partition } = this.batch
    const where = `${topic}/${partition}@${message.offset}`
    for (let attempt = 1; ; attempt++) {
      const { fate, reason, retryAfter } = await this.keepAlive(
        effects.apply(settings.sink, { topic, partition, message }, broken ? DRAIN : ACTION_TIMEOUT))
      if (fate === effects.APPLIED) return true
      if (fate === effects.NOT_OWNER) {
        this.drop(reason)
        return false
      }
      console.error(`${where}: attempt ${attempt} of ${settings.maxAttempts}: ${reason}`)
      if (fate === effects.POISON || attempt >= settings.maxAttempts) {
        await this.keepAlive(this.deadLetter(message, attempt, reason))
        return true
      }
      const backoff = Math.min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** (attempt - 1)) * (0.8 + 0.4 * Math.random())
      await this.wait(Math.max(backoff, Math.min(retryAfter, BACKOFF_MAX)))
      if (this.over()) return false // not finished, so not committed: the next owner begins anew
    }
  }

  /** Resolves once the brokers have the dead letter, and only then. */
  async deadLetter(message, attempts, reason) {
    if (!settings.deadLetters) throw new Error(`${reason}; set KSIM_DLQ_TOPIC to go on without such records`)
    const { topic, partition } = this.batch
    const origin = { topic, partition, offset: message.offset, group: settings.groupId, 'delivery.count': attempts, message: reason.slice(0, 1024) }
    const headers = { ...message.headers } // KIP-1191's names for what is added
    for (const [name, value] of Object.entries(origin)) headers[`__dlq.errors.${name}`] = String(value)
    await producer.send({ topic: settings.deadLetters, acks: -1, messages: [{ key: message.key, value: message.value, headers }] })
  }

  /** Another owns the partition, says the downstream system: drop the batch, commit nothing. If it is ours after all, begin again. */
  drop(reason) {
    const { topic, partition } = this.batch
    console.error(`${topic}/${partition}: dropped: ${reason}`)
    this.next = this.committed
    consumer.seek({ topic, partition, offset: String(this.committed) })
  }

  // The group

  /** Waits for the promise, and keeps the membership meanwhile. */
  async keepAlive(promise) {
    for (let ended = false; !ended;) {
      const timer = new AbortController()
      const tick = sleep(settings.heartbeatInterval, false, { signal: timer.signal }).catch(() => false)
      ended = await Promise.race([promise.then(() => true), tick])
      timer.abort()
      if (!ended) await this.beat()
    }
    return promise
  }

  /** Waits for the next attempt. Cut short when the record may no longer be ours, or at the end. */
  async wait(ms) {
    for (const end = Date.now() + ms; Date.now() < end && !this.over();) {
      await sleep(Math.min(50, Math.max(1, end - Date.now())))
      await this.beat()
    }
  }

  async beat() {
    if (broken ?? this.failure) return
    try {
      await this.heartbeat() // sent when one is due
    } catch (error) {
      this.fail(error)
    }
  }

  async commit() {
    if (this.next === this.committed) return
    // When a rebalance has begun a commit is still taken. After any other refusal the partition may be another's.
    if (broken && broken.type !== 'REBALANCE_IN_PROGRESS') return
    const { topic, partition } = this.batch
    try {
      // Not consumer.commitOffsets: that does nothing, and says nothing, once the consumer has begun to stop.
      await this.commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition, offset: String(this.next) }] }] })
      this.committed = this.next
    } catch (error) {
      console.error(`${topic}/${partition}: commit: ${error.message}`)
      this.fail(error)
    }
  }

  fail(error) {
    this.failure ??= error
    if (MEMBERSHIP.includes(error.type)) broken ??= error
  }
}

async function stop() {
  stopping = true
  // disconnect waits for the batch in hand, and for what the group has not answered: the latter must not keep us.
  const left = consumer.disconnect().then(() => producer.disconnect())
  await Promise.race([left, sleep(ACTION_TIMEOUT + 2_000)])
  process.exit(0)
}

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, stop)
// After an error that kafkajs does not restart from, the process would live on and consume nothing.
consumer.on(consumer.events.CRASH, ({ payload }) => { if (!payload.restart) process.exit(1) })

await Promise.all([producer.connect(), consumer.connect()])
await consumer.subscribe({ topic: settings.topic, fromBeginning: true })
await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: payload => new Batch(payload).run() })
