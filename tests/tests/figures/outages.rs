//! Answers of Stripe that nobody heard, and then Stripe away, for as long as 25 hours. No webhook tells the shop
//! anything: it asks by itself. The clocks of the shop and of Stripe are moved.

use std::time::Instant;

use souk_providers::faults::Fault;
use souk_tests::checker::{Books, Finding};
use souk_tests::crowd::machine;
use souk_tests::stripe::Scene;
use souk_tests::time::Time;
use souk_tests::wait::{SOON, eventually};

use crate::{report, scaled};

/// Checkouts whose answer is not known, and as many refunds, before each outage.
const UNKNOWN: usize = 200;
/// How that came about.
const FAULTS: [Fault; 4] = [Fault::LostBefore, Fault::LostAfter, Fault::ErrorBefore, Fault::ErrorAfter];
const MINUTE_MS: u32 = 60_000;
/// How long Stripe is away afterwards; at last for longer than it keeps idempotency keys.
const OUTAGES_MS: [u32; 3] = [0, 10 * MINUTE_MS, 25 * 60 * MINUTE_MS];
/// The longest from its return until nothing is unknown.
const SETTLED_MS_MAX: i64 = 60_000;
/// The clocks are moved so far at a time, while Stripe is away and after its return.
const STEP_AWAY_MS: std::ops::RangeInclusive<u32> = 15_000..=20 * MINUTE_MS;
const STEP_BACK_MS: u32 = 1_000;

/// What is not decided: payments, commands, orders.
const OPEN: &str = "SELECT (SELECT COUNT(*) FROM payment_payments WHERE state = 'pending')
    + (SELECT COUNT(*) FROM payment_commands WHERE progress = 'in_flight')
    + (SELECT COUNT(*) FROM order_orders WHERE stage IN ('pending', 'giving_up', 'canceling'))";

struct Story {
    scene: Scene,
    time: Time,
    books: Books,
    variant: String,
}

impl Story {
    async fn begin() -> Self {
        let time = Time::new();
        let scene = Scene::at(&time, "automatic").await;
        let variant = scene.staff.stocked_variant("vase", 1_000_000).await;
        Self { books: Books::of(&scene.shop), scene, time, variant }
    }

    /// Checkouts and refunds whose answers are lost; answers the orders whose refund nobody knows of.
    async fn lose_answers(&self, count: usize) -> Vec<String> {
        let mut paid = Vec::new();
        for _ in 0..count {
            paid.push(self.scene.buy(&self.variant, "pm_card_visa").await.expect(201).text_at("/id"));
        }
        for (order, fault) in paid.iter().zip(FAULTS.iter().cycle()) {
            self.scene.company.shared.lock().faults.plan([*fault]);
            let placed = self.scene.buy(&self.variant, "pm_card_visa").await;
            assert!(matches!(placed.status, 200..=202), "{fault:?}: {}", placed.text);
            self.scene.company.shared.lock().faults.plan([*fault]);
            let refund = self.scene.act(order, "refund", 100).await;
            assert!(matches!(refund.status, 200 | 503), "{fault:?}: {}", refund.text);
        }
        paid
    }

    /// Moves the clocks on, has one more shopper come, and waits until the shop has done what is due by then.
    async fn pass(&self, ms: u32) {
        self.scene.company.shared.lock().clock.advance(ms.into());
        self.time.advance(ms);
        // Who sells also wakes the deliverer of timers, which sleeps until the next one by a clock that nobody moves.
        let placed = self.scene.buy(&self.variant, "pm_card_visa").await;
        assert!(matches!(placed.status, 200..=202), "{}", placed.text);
        let due = "SELECT COUNT(*) FROM souk_deliveries WHERE not_before <= ?1";
        let now = self.time.now();
        eventually(SOON, "all that is due is delivered", async || (self.books.number(due, [now]) == 0).then_some(()))
            .await;
    }

    fn set_outage(&self, outage: bool) {
        self.scene.company.shared.lock().faults.set_outage(outage);
    }

    async fn stay_away(&self, ms: u32) {
        let mut passed = 0;
        while passed < ms {
            let step = (passed / 4).clamp(*STEP_AWAY_MS.start(), *STEP_AWAY_MS.end()).min(ms - passed);
            self.pass(step).await;
            passed += step;
        }
    }

    /// Waits until all is known; answers how long that took by the shop's clock.
    async fn settle(&self) -> i64 {
        let back = self.time.now();
        loop {
            let (now, open) = (self.time.now(), self.books.number(OPEN, []));
            if open == 0 {
                return now - back;
            }
            assert!(now - back <= SETTLED_MS_MAX, "{open} are not known {} ms after Stripe is back", now - back);
            self.pass(STEP_BACK_MS).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_settled_within_a_minute_of_the_providers_return() {
    let _machine = machine().await;
    let begin = Instant::now();
    let mut story = Story::begin().await;
    let mut lines = Vec::new();
    for outage in OUTAGES_MS {
        story.set_outage(false);
        let refunded = story.lose_answers(scaled(UNKNOWN)).await;
        story.set_outage(outage > 0);
        story.stay_away(outage).await;
        let unknown = story.books.number(OPEN, []);
        assert!(unknown > 0, "something is not known");
        story.set_outage(false);
        let took = story.settle().await;
        for order in &refunded {
            let refunds = "SELECT refunded FROM payment_payments WHERE order_id = ?1";
            assert_eq!(story.books.number(refunds, [order]), 100, "{order} is given back once");
        }
        lines.push(format!("{unknown} after {} min within {} s", outage / MINUTE_MS, took / 1_000));
    }
    assert_eq!(story.books.findings(), Vec::<Finding>::new());
    assert_eq!(story.scene.differences(), [""; 0]);
    story.scene.shop.assert_audit();
    let twice = "SELECT COUNT(*) FROM (SELECT 1 FROM payment_payments WHERE captured > refunded
        GROUP BY order_id HAVING COUNT(*) > 1)";
    assert_eq!(story.books.number(twice, []), 0, "no order is charged twice");
    // Not killed: libfaketime has something to remove.
    let (well, log) = story.scene.shop.stop();
    assert!(well, "{log}");
    report("unknown results", begin, format!("settled {}; 0 charged twice", lines.join(", ")));
}
