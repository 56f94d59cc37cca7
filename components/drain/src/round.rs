//! One round of deliveries.

/// Deliveries of one round: an instance only gains memory, and whoever asks waits for the answer.
pub const DELIVERIES_MAX: u32 = 100;
/// How long a round goes on taking events, in milliseconds.
pub const ROUND_MS_MAX: i64 = 20_000;

/// Where events come from and go to.
pub trait Office {
    /// An event on its way to one subscriber.
    type Delivery;

    /// Begins a round, unless someone else is busy with one.
    fn begin(&self) -> Result<bool, String>;
    /// Stores what came of a delivery and takes the next.
    fn next(&self, last: Option<Outcome<Self::Delivery>>) -> Result<Option<Self::Delivery>, String>;
    /// Stores what came of a delivery.
    fn settle(&self, last: Outcome<Self::Delivery>) -> Result<(), String>;
    /// Hands an event to its subscriber.
    fn hand_over(&self, delivery: &Self::Delivery) -> Result<(), String>;
    /// Ends the round.
    fn finish(&self) -> Result<(), String>;
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
}

/// What came of a delivery.
#[derive(Debug, PartialEq)]
pub struct Outcome<D> {
    /// Which.
    pub delivery: D,
    /// Why the subscriber did not take the event.
    pub failure: Option<String>,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Events that were taken.
    pub delivered: u32,
    /// Events that were not.
    pub failed: u32,
    /// Whether something may still be due: the round ended early, or someone else is busy with another.
    pub more: bool,
}

/// Delivers what is due, one after the other, until nothing is or the round is over. An error says that the outbox is away;
/// what was delivered by then and not stored comes again.
pub fn run<O: Office>(office: &O) -> Result<Report, String> {
    if !office.begin()? {
        return Ok(Report { more: true, ..Report::default() });
    }
    let over_at = office.now_ms().saturating_add(ROUND_MS_MAX);
    let mut report = Report::default();
    let mut last = None;
    loop {
        if report.delivered + report.failed >= DELIVERIES_MAX || office.now_ms() >= over_at {
            report.more = true;
            if let Some(last) = last {
                office.settle(last)?;
            }
            break;
        }
        let Some(delivery) = office.next(last)? else { break };
        let failure = office.hand_over(&delivery).err();
        match failure {
            None => report.delivered += 1,
            Some(_) => report.failed += 1,
        }
        last = Some(Outcome { delivery, failure });
    }
    office.finish()?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::{DELIVERIES_MAX, Office, Outcome, ROUND_MS_MAX, Report, run};

    /// An outbox of numbers; every third is not taken. A delivery takes `pace` milliseconds.
    struct Numbers {
        left: Cell<u32>,
        settled: RefCell<Vec<(u32, bool)>>,
        busy: bool,
        finished: Cell<bool>,
        now: Cell<i64>,
        pace: i64,
    }

    impl Numbers {
        fn new(count: u32, pace: i64) -> Numbers {
            let settled = RefCell::new(Vec::new());
            let (finished, now) = (Cell::new(false), Cell::new(0));
            Numbers { left: Cell::new(count), settled, busy: false, finished, now, pace }
        }
    }

    impl Office for Numbers {
        type Delivery = u32;

        fn begin(&self) -> Result<bool, String> {
            Ok(!self.busy)
        }

        fn next(&self, last: Option<Outcome<u32>>) -> Result<Option<u32>, String> {
            last.map(|last| self.settle(last)).transpose()?;
            let next = self.left.get();
            self.left.set(next.saturating_sub(1));
            Ok((next > 0).then_some(next))
        }

        fn settle(&self, last: Outcome<u32>) -> Result<(), String> {
            self.settled.borrow_mut().push((last.delivery, last.failure.is_none()));
            Ok(())
        }

        fn hand_over(&self, delivery: &u32) -> Result<(), String> {
            self.now.set(self.now.get() + self.pace);
            if delivery.is_multiple_of(3) { Err("not now".into()) } else { Ok(()) }
        }

        fn finish(&self) -> Result<(), String> {
            self.finished.set(true);
            Ok(())
        }

        fn now_ms(&self) -> i64 {
            self.now.get()
        }
    }

    #[test]
    fn while_someone_else_is_busy_nothing_is_taken() {
        let numbers = Numbers { busy: true, ..Numbers::new(4, 0) };
        assert_eq!(run(&numbers), Ok(Report { delivered: 0, failed: 0, more: true }));
        assert_eq!((numbers.left.get(), numbers.finished.get()), (4, false));
    }

    #[test]
    fn everything_due_is_delivered_and_settled() {
        let numbers = Numbers::new(4, 0);
        assert_eq!(run(&numbers), Ok(Report { delivered: 3, failed: 1, more: false }));
        assert_eq!(*numbers.settled.borrow(), [(4, true), (3, false), (2, true), (1, true)]);
        assert!(numbers.finished.get());
    }

    #[test]
    fn a_round_ends_by_number_and_by_time_with_everything_settled() {
        let many = Numbers::new(1_000, 0);
        let report = run(&many).expect("nothing fails");
        assert_eq!((report.delivered + report.failed, report.more), (DELIVERIES_MAX, true));
        let slow = Numbers::new(1_000, ROUND_MS_MAX / 2);
        assert_eq!(run(&slow), Ok(Report { delivered: 1, failed: 1, more: true }));
        assert_eq!((many.settled.borrow().len(), slow.settled.borrow().len()), (DELIVERIES_MAX as usize, 2));
    }
}
