//! A sound at-least-once consumer on rdkafka: a commit says that the work is done, and nothing else does.
//!
//! One record after the other, so each partition stays in order. The business action runs in a second
//! thread, while this one keeps polling: however slow it is, the member stays in the group and hears of
//! rebalances. The callbacks run inside of poll, on this thread; the lock is never held over a poll.

mod dead_letters;
mod effects;
mod settings;

use dead_letters::DeadLetters;
use effects::{Answer, Effects, Fate};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};
use settings::Settings;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const KEEP_ALIVE: Duration = Duration::from_millis(500); // between polls while a batch is worked on
const BACKOFF_FIRST: Duration = Duration::from_millis(200); // doubled for each attempt, ±20 %
const BACKOFF_MAX: Duration = Duration::from_secs(10);

#[derive(Default)]
struct State {
    batch: VecDeque<OwnedMessage>,  // delivered, not yet begun, in order
    done: HashMap<i32, i64>,        // partition -> next offset: finished, not yet committed
    current: Option<(i32, i64)>,    // partition and offset of the record in hand; None once it is another's
    action: Option<Receiver<Answer>>, // its business action, while it runs
    answer: Option<Answer>,         // what a revoke has waited for
}

/// Hears of rebalances.
struct Group {
    topic: String,
    drain: Duration, // how long a revoke waits for the action in hand
    state: Mutex<State>,
}

impl ClientContext for Group {}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(tpl) => eprintln!("assigned {:?}", partitions(tpl)),
            // Another member may have them by now: no commit.
            Rebalance::Revoke(tpl) if consumer.assignment_lost() => self.forget(consumer, tpl, "lost"),
            Rebalance::Revoke(tpl) => {
                self.finish(&partitions(tpl));
                self.commit(consumer, Some(&partitions(tpl)));
                self.forget(consumer, tpl, "revoked");
            }
            Rebalance::Error(e) => eprintln!("rebalance: {e}"),
        }
    }
}

fn partitions(tpl: &TopicPartitionList) -> HashSet<i32> {
    tpl.elements().iter().map(|e| e.partition()).collect()
}

impl Group {
    /// Waits for the action in hand, if it is on one of these partitions.
    fn finish(&self, gone: &HashSet<i32>) {
        let mut s = self.state.lock().unwrap();
        let (Some((partition, offset)), Some(action)) = (s.current, s.action.take()) else { return };
        if !gone.contains(&partition) {
            s.action = Some(action);
        } else if let Ok(answer) = action.recv_timeout(self.drain) {
            if answer.fate == Fate::Applied {
                s.done.insert(partition, offset + 1);
            }
            s.answer = Some(answer);
        } else {
            s.action = Some(action);
        }
    }

    /// Commits what is done, of these partitions or of all, and waits for the answer.
    fn commit(&self, consumer: &BaseConsumer<Self>, of: Option<&HashSet<i32>>) {
        let mut s = self.state.lock().unwrap();
        let mut offsets = TopicPartitionList::new();
        for (&p, &next) in s.done.iter().filter(|(p, _)| of.is_none_or(|of| of.contains(p))) {
            offsets.add_partition_offset(&self.topic, p, Offset::Offset(next)).expect("an offset");
        }
        if offsets.count() == 0 {
            return;
        }
        if let Err(e) = consumer.commit(&offsets, CommitMode::Sync) {
            // Refused, most often because of a rebalance. What is still ours is committed
            // with the next batch; what is not is another's to repeat.
            eprintln!("commit: {e}");
            return;
        }
        s.done.retain(|&p, _| offsets.find_partition(&self.topic, p).is_none());
    }

    fn forget(&self, consumer: &BaseConsumer<Self>, tpl: &TopicPartitionList, why: &str) {
        // A pause outlives the assignment: a partition that comes back paused would never be read again.
        if let Err(e) = consumer.resume(tpl) {
            eprintln!("resume: {e}");
        }
        let (gone, mut s) = (partitions(tpl), self.state.lock().unwrap());
        s.batch.retain(|m| !gone.contains(&m.partition()));
        s.done.retain(|p, _| !gone.contains(p));
        s.current = s.current.filter(|(p, _)| !gone.contains(p));
        eprintln!("{why} {gone:?}");
    }
}

struct Careful {
    settings: Settings,
    consumer: BaseConsumer<Group>,
    letters: DeadLetters,
    actions: Sender<(OwnedMessage, Sender<Answer>)>,
    stopping: Arc<AtomicBool>, // SIGTERM: finish the record in hand, commit, leave; the rest was never begun
    paused: bool,
    polled: Instant,
}

impl Careful {
    fn new(settings: Settings, stopping: Arc<AtomicBool>) -> Self {
        // After max.poll.interval the group goes on without us.
        let drain = effects::TIMEOUT.min(Duration::from_millis(settings.max_poll_interval * 8 / 10));
        let group = Group { topic: settings.topic.clone(), drain, state: Mutex::default() };
        let (actions, work) = channel::<(OwnedMessage, Sender<Answer>)>();
        let sink = Effects::new(&settings.sink);
        thread::spawn(move || work.iter().for_each(|(m, to)| drop(to.send(sink.apply(&m)))));
        Careful {
            consumer: settings.consumer().create_with_context(group).expect("the consumer's settings"),
            letters: DeadLetters::new(&settings),
            actions,
            stopping,
            paused: false,
            polled: Instant::now(),
            settings,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.consumer.subscribe(&[&self.settings.topic]).map_err(|e| e.to_string())?;
        while !self.stopped() {
            self.fill()?;
            while let Some(m) = self.next() {
                self.handle(&m)?;
                self.keep_alive()?;
            }
            self.resume();
            self.group().commit(&self.consumer, None);
        }
        if self.consumer.assignment().is_ok_and(|a| a.count() == 0) {
            // librdkafka closes a cooperative member that owns nothing without leaving the group.
            self.consumer.unsubscribe();
        }
        Ok(())
    } // dropped, the consumer revokes what it has, and leaves

    fn group(&self) -> &Group {
        self.consumer.context()
    }

    fn stopped(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The next record of the batch. It is in hand from here on.
    fn next(&self) -> Option<OwnedMessage> {
        let mut s = self.group().state.lock().unwrap();
        let m = if self.stopped() { None } else { s.batch.pop_front() };
        s.current = m.as_ref().map(|m| (m.partition(), m.offset()));
        m
    }

    /// Whether the record in hand is still this member's.
    fn ours(&self) -> bool {
        self.group().state.lock().unwrap().current.is_some()
    }

    // Polling

    /// One poll, in which callbacks run. What it brings waits in the batch.
    fn poll(&mut self, timeout: Duration) -> Result<bool, String> {
        self.polled = Instant::now();
        match self.consumer.poll(timeout) {
            None => return Ok(false),
            Some(Ok(m)) => self.group().state.lock().unwrap().batch.push_back(m.detach()),
            Some(Err(KafkaError::MessageConsumptionFatal(e))) => return Err(e.to_string()),
            Some(Err(e)) => eprintln!("poll: {e}"),
        }
        Ok(true)
    }

    fn fill(&mut self) -> Result<(), String> {
        let mut more = self.poll(Duration::from_millis(200))?;
        let end = Instant::now() + self.settings.batch_wait;
        while more && !self.stopped() && self.group().state.lock().unwrap().batch.len() < self.settings.batch_size {
            more = self.poll(end.saturating_duration_since(Instant::now()))? || Instant::now() < end;
        }
        Ok(())
    }

    /// Tells the group that this member lives, without taking more records.
    fn keep_alive(&mut self) -> Result<(), String> {
        if self.polled.elapsed() < KEEP_ALIVE {
            return Ok(());
        }
        if !self.paused {
            let all = self.consumer.assignment().map_err(|e| e.to_string())?;
            self.consumer.pause(&all).map_err(|e| e.to_string())?;
            self.paused = true;
        }
        self.poll(Duration::ZERO).map(drop)
    }

    fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            // All that is assigned: what came meanwhile was not paused, and that does no harm.
            if let Err(e) = self.consumer.assignment().and_then(|all| self.consumer.resume(&all)) {
                eprintln!("resume: {e}");
            }
        }
    }

    /// Waits for the next attempt. Cut short when the record is no longer ours, or at the end.
    fn wait(&mut self, d: Duration) -> Result<(), String> {
        let end = Instant::now() + d;
        while self.ours() && !self.stopped() && Instant::now() < end {
            thread::sleep(Duration::from_millis(50).min(end.saturating_duration_since(Instant::now())));
            self.keep_alive()?;
        }
        Ok(())
    }

    // One record

    fn handle(&mut self, m: &OwnedMessage) -> Result<(), String> {
        let ended = self.attempts(m)?;
        let mut s = self.group().state.lock().unwrap();
        if s.current.take().is_some() && ended {
            s.done.insert(m.partition(), m.offset() + 1);
        }
        Ok(())
    }

    /// True once the record has reached an end: its effect, or its dead letter.
    fn attempts(&mut self, m: &OwnedMessage) -> Result<bool, String> {
        for attempt in 1.. {
            let a = self.act(m)?;
            match a.fate {
                Fate::Applied => return Ok(true),
                Fate::NotOwner => return self.abandon(m, &a.reason),
                _ => eprintln!("{}: attempt {attempt} of {}: {}", place(m), self.settings.max_attempts, a.reason),
            }
            if !self.ours() {
                break; // taken away meanwhile: its new owner begins anew
            }
            if a.fate == Fate::Poison || attempt >= self.settings.max_attempts {
                return self.dead_letter(m, attempt, &a.reason);
            }
            let doubled = BACKOFF_MAX.min(BACKOFF_FIRST * 2u32.pow(attempt.min(10) - 1)).mul_f64(rand::random_range(0.8..1.2));
            self.wait(doubled.max(a.retry_after.min(BACKOFF_MAX)))?;
            if !self.ours() || self.stopped() {
                break; // not finished, so not committed
            }
        }
        Ok(false)
    }

    fn act(&mut self, m: &OwnedMessage) -> Result<Answer, String> {
        let (to, action) = channel();
        self.actions.send((m.clone(), to)).map_err(|e| e.to_string())?;
        self.group().state.lock().unwrap().action = Some(action);
        loop {
            // The receiver is put back over a poll: a revoke may have to wait for it.
            let (answer, action) = {
                let mut s = self.group().state.lock().unwrap();
                (s.answer.take(), s.action.take())
            };
            if let Some(answer) = answer {
                return Ok(answer);
            }
            let action = action.expect("an action under way");
            match action.recv_timeout(Duration::from_millis(100)) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => return Err("the worker has ended".into()),
                Err(RecvTimeoutError::Timeout) => self.group().state.lock().unwrap().action = Some(action),
            }
            self.keep_alive()?;
        }
    }

    fn dead_letter(&mut self, m: &OwnedMessage, attempt: u32, reason: &str) -> Result<bool, String> {
        let refused = |e: String| format!("{}: the dead letter was not accepted: {e}", place(m));
        let delivered = self.letters.send(m, attempt, reason).map_err(refused)?;
        loop {
            match delivered.recv_timeout(Duration::from_millis(50)) {
                Ok(result) => break result.map_err(refused)?,
                Err(RecvTimeoutError::Disconnected) => return Err(refused("the producer has ended".into())),
                Err(RecvTimeoutError::Timeout) => self.keep_alive()?,
            }
        }
        eprintln!("{}: dead letter after {attempt} attempts: {reason}", place(m));
        Ok(true)
    }

    /// The downstream system says that another owns the partition: drop the batch, commit nothing.
    /// Should this member own it after all, it begins again at the last commit.
    fn abandon(&mut self, m: &OwnedMessage, reason: &str) -> Result<bool, String> {
        eprintln!("{}: dropped: {reason}", place(m));
        let mut tpl = TopicPartitionList::new();
        tpl.add_partition(m.topic(), m.partition());
        self.group().forget(&self.consumer, &tpl, "abandoned");
        let at = self.consumer.committed_offsets(tpl, Duration::from_secs(10)).map_err(|e| e.to_string())?;
        let offset = match at.elements()[0].offset() {
            Offset::Offset(n) => Offset::Offset(n),
            _ => Offset::Beginning,
        };
        if let Err(e) = self.consumer.seek(m.topic(), m.partition(), offset, Duration::from_secs(5)) {
            eprintln!("{}: not sought back: {e}", place(m)); // it is not ours: as it should be
        }
        thread::sleep(BACKOFF_FIRST);
        Ok(false)
    }
}

fn place(m: &OwnedMessage) -> String {
    format!("{}/{}@{}", m.topic(), m.partition(), m.offset())
}

fn main() -> Result<(), String> {
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, stopping.clone()).map_err(|e| e.to_string())?;
    }
    Careful::new(Settings::from_env(), stopping).run()
}
