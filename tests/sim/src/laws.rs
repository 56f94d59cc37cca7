//! What must hold after every commit, asked of the rows that it wrote, and what must hold at rest.
//!
//! The laws at rest are those of `souk_tests::checker`, which also looks at shops on real hosts, and the components' own audits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension};
use souk_store::Memory;

use crate::world::Inner;

/// Violations that one run keeps; the first ones say most.
const VIOLATIONS_MAX: usize = 10;

/// Laws of single rows: a table, a name, and SQL that answers subject and detail when the row with this number breaks it.
const ROW_LAWS: &[(&str, &str, &str)] = &[
    (
        "catalog_stock",
        "stock_is_what_moved",
        "SELECT variant_id, printf('%d on hand, %d reserved', on_hand, reserved) FROM catalog_stock s
        WHERE rowid = ?1 AND (reserved < 0 OR on_hand < reserved
            OR on_hand <> (SELECT COALESCE(SUM(on_hand_delta), 0) FROM catalog_movements m WHERE m.variant_id = s.variant_id)
            OR reserved <> (SELECT COALESCE(SUM(reserved_delta), 0) FROM catalog_movements m WHERE m.variant_id = s.variant_id))",
    ),
    (
        "catalog_reservations",
        "stock_is_promised_to_orders_alone",
        "SELECT order_id, state FROM catalog_reservations r
        WHERE rowid = ?1 AND NOT EXISTS (SELECT 1 FROM order_orders o WHERE o.id = r.order_id)",
    ),
    (
        "order_orders",
        "a_cart_makes_one_order",
        "SELECT cart_id, id FROM order_orders o WHERE rowid = ?1 AND stage <> 'canceled'
            AND (SELECT COUNT(*) FROM order_orders t WHERE t.cart_id = o.cart_id AND t.stage <> 'canceled') > 1",
    ),
    (
        "order_orders",
        "an_order_adds_up",
        "SELECT id, printf('%d of %d, taken %d, back %d', authorized, total, captured, refunded) FROM order_orders
        WHERE rowid = ?1 AND (total <> subtotal + shipping + tax OR authorized NOT BETWEEN 0 AND total
            OR captured NOT BETWEEN 0 AND authorized OR refunded NOT BETWEEN 0 AND captured)",
    ),
    (
        "order_orders",
        "an_agreed_order_has_its_stock",
        "SELECT id, stage FROM order_orders o WHERE rowid = ?1 AND stage IN ('confirmed', 'completed') AND (
            NOT EXISTS (SELECT 1 FROM catalog_reservations r WHERE r.order_id = o.id AND r.state = 'committed')
            OR (SELECT SUM(quantity) FROM catalog_reservation_lines l WHERE l.order_id = o.id) IS NOT o.units)",
    ),
    (
        "order_orders",
        "an_agreed_order_is_paid",
        "SELECT id, stage FROM order_orders o WHERE rowid = ?1 AND stage IN ('confirmed', 'completed') AND total > 0
            AND (SELECT COUNT(*) FROM payment_payments p WHERE p.order_id = o.id AND p.state = 'authorized'
                AND p.authorized = o.total AND p.currency = o.currency) <> 1",
    ),
    (
        "payment_payments",
        "payment_amounts_are_in_order",
        "SELECT id, printf('%s: %d held, %d taken, %d given back', state, authorized, captured, refunded)
        FROM payment_payments WHERE rowid = ?1 AND NOT (0 <= refunded AND refunded <= captured AND captured <= authorized
            AND authorized <= amount_minor AND (authorized = 0 OR state = 'authorized'))",
    ),
    (
        "payment_payments",
        "the_ledger_says_what_payments_say",
        "SELECT id, printf('held %d, taken %d, back %d', authorized, captured, refunded) FROM payment_payments p
        WHERE rowid = ?1 AND (
            (SELECT COALESCE(SUM(amount_minor), 0) FROM payment_entries e WHERE e.payment_id = p.id AND account = 'held')
                <> authorized - captured
            OR (SELECT COALESCE(SUM(amount_minor), 0) FROM payment_entries e WHERE e.payment_id = p.id) <> 0)",
    ),
    (
        "payment_entries",
        "a_transfer_is_two_equal_halves",
        "SELECT transfer_id, printf('%d rows, sum %d', COUNT(*), SUM(amount_minor)) FROM payment_entries
        WHERE transfer_id = (SELECT transfer_id FROM payment_entries WHERE rowid = ?1)
        GROUP BY transfer_id, payment_id, currency HAVING SUM(amount_minor) <> 0 OR COUNT(*) <> 2",
    ),
    (
        "test_payments_objects",
        "the_provider_holds_for_orders_alone",
        "SELECT key, printf('%d taken, %d back of %d', captured, refunded, amount_minor) FROM test_payments_objects o
        WHERE rowid = ?1 AND (captured > amount_minor OR refunded > captured
            OR NOT EXISTS (SELECT 1 FROM payment_payments p WHERE p.id = o.key AND p.order_id = o.order_id)
            OR NOT EXISTS (SELECT 1 FROM order_orders d WHERE d.id = o.order_id AND d.total = o.amount_minor)
            OR (SELECT COUNT(*) FROM test_payments_objects t WHERE t.order_id = o.order_id AND t.state = 'authorized'
                AND t.captured > t.refunded) > 1)",
    ),
    (
        "test_payments_commands",
        "the_provider_took_no_amount_twice",
        "SELECT o.key, printf('%d taken, %d back', o.captured, o.refunded) FROM test_payments_commands c
        JOIN test_payments_objects o ON o.key = c.key WHERE c.rowid = ?1 AND o.capture_policy = 'manual' AND (
            o.captured <> (SELECT COALESCE(SUM(amount_minor), 0) FROM test_payments_commands d
                WHERE d.key = o.key AND d.kind = 'capture' AND d.decline_code IS NULL)
            OR o.refunded <> (SELECT COALESCE(SUM(amount_minor), 0) FROM test_payments_commands d
                WHERE d.key = o.key AND d.kind = 'refund' AND d.decline_code IS NULL))",
    ),
    (
        "notification_messages",
        "a_fact_is_told_once",
        "SELECT id, template FROM notification_messages n WHERE rowid = ?1 AND (SELECT COUNT(*) FROM notification_messages m
            WHERE m.event_id = n.event_id AND m.template = n.template) > 1",
    ),
    (
        "mailbox_messages",
        "a_mail_is_sent_once",
        "SELECT key, recipient FROM mailbox_messages n WHERE rowid = ?1 AND (SELECT COUNT(*) FROM mailbox_messages m
            WHERE substr(m.key, 1, instr(m.key, '-') - 1) = substr(n.key, 1, instr(n.key, '-') - 1)) > 1",
    ),
];

/// What a broken law means for a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// More was sold than there is, or stock does not add up.
    Oversold,
    /// Something that was promised, answered or stated is gone or never ends.
    Lost,
    /// More was taken or given back than was agreed.
    DoubleCharged,
    /// Stock stays promised to nobody.
    LeakedReservation,
    /// Money stays held for nobody.
    LeakedHold,
    /// Any other law.
    Other,
}

impl Harm {
    /// Every kind.
    pub const ALL: [Harm; 6] =
        [Harm::Oversold, Harm::Lost, Harm::DoubleCharged, Harm::LeakedReservation, Harm::LeakedHold, Harm::Other];

    /// What a violation means, by the law that it begins with.
    pub fn of(violation: &str) -> Harm {
        let law = violation.split_whitespace().next().unwrap_or_default();
        HARMS.iter().find(|(_, laws)| laws.contains(&law)).map_or(Harm::Other, |(harm, _)| *harm)
    }

    /// Its name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Harm::Oversold => "oversold",
            Harm::Lost => "lost",
            Harm::DoubleCharged => "double-charged",
            Harm::LeakedReservation => "leaked reservations",
            Harm::LeakedHold => "leaked holds",
            Harm::Other => "other",
        }
    }
}

const HARMS: &[(Harm, &[&str])] = &[
    (
        Harm::Oversold,
        &[
            "stock_is_what_moved",
            "stock_is_never_negative",
            "what_came_in_is_here_or_sold",
            "a_reservation_moves_its_own_units",
            "an_agreed_order_has_its_stock",
        ],
    ),
    (
        Harm::Lost,
        &[
            "an_answer_is_a_promise",
            "a_key_has_one_answer",
            "everything_comes_to_an_end",
            "an_event_was_given_up",
            "an_order_is_moving",
            "an_agreed_order_is_told_once",
            "every_mail_is_sent",
            "orders_go_forward",
        ],
    ),
    (
        Harm::DoubleCharged,
        &[
            "a_cart_makes_one_order",
            "an_agreed_order_has_one_payment",
            "an_order_adds_up",
            "payment_amounts_are_in_order",
            "payments_are_what_commands_did",
            "the_provider_took_no_amount_twice",
            "the_provider_does_what_we_asked",
            "the_provider_says_what_payments_say",
        ],
    ),
    (Harm::LeakedReservation, &["reserved_is_what_orders_hold", "stock_is_promised_to_orders_alone"]),
    (
        Harm::LeakedHold,
        &[
            "a_canceled_order_holds_nothing",
            "a_payment_is_open",
            "the_provider_keeps_money_of_agreed_orders_alone",
            "the_provider_holds_for_orders_alone",
        ],
    ),
];

/// From which stage an order may go where.
const STAGES: &[(&str, &[&str])] = &[
    ("pending", &["pending", "awaiting_action", "giving_up", "confirmed"]),
    ("awaiting_action", &["pending", "awaiting_action", "giving_up", "confirmed"]),
    ("giving_up", &["giving_up", "canceled"]),
    ("confirmed", &["confirmed", "canceling", "completed"]),
    ("canceling", &["canceling", "canceled", "confirmed", "completed"]),
    ("completed", &["completed"]),
    ("canceled", &["canceled"]),
];

/// Rows that were written since they were last looked at, and what was known of orders.
#[derive(Clone, Default)]
pub struct Watch {
    changes: Arc<Mutex<Vec<(usize, i64)>>>,
    stages: BTreeMap<i64, String>,
}

impl Watch {
    /// Watches a database.
    pub fn of(memory: &mut Memory) -> anyhow::Result<Watch> {
        let watch = Watch::default();
        let changes = watch.changes.clone();
        memory.on_change(move |table, row| {
            let laws = ROW_LAWS.iter().enumerate().filter(|(_, (of, _, _))| *of == table);
            let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
            changes.extend(laws.map(|(place, _)| (place, row)));
        })?;
        Ok(watch)
    }

    /// Forgets everything, for another world.
    pub fn forget(&mut self) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.stages.clear();
    }

    fn take(&self) -> Vec<(usize, i64)> {
        let mut changes = std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner));
        changes.sort_unstable();
        changes.dedup();
        changes
    }
}

impl Inner {
    /// Looks at the rows that were written since the last look.
    pub fn check_changes(&mut self) {
        for (place, row) in self.watch.take() {
            let (table, law, sql) = ROW_LAWS[place];
            if let Some((subject, detail)) = pair(self.memory.connection(), sql, row) {
                self.violate(format!("{law} {subject}: {detail}"));
            }
            if table == "order_orders" && law == "a_cart_makes_one_order" {
                self.check_stage(row);
            }
        }
    }

    fn check_stage(&mut self, row: i64) {
        let now = pair(self.memory.connection(), "SELECT id, stage FROM order_orders WHERE rowid = ?1", row);
        let Some((id, now)) = now else { return };
        let before = self.watch.stages.insert(row, now.clone());
        let allowed = match &before {
            None => now == "pending",
            Some(before) => STAGES.iter().any(|(from, to)| from == before && to.contains(&now.as_str())),
        };
        if !allowed {
            self.violate(format!("orders_go_forward {id}: {} to {now}", before.as_deref().unwrap_or("nothing")));
        }
    }

    /// Notes something that does not add up.
    pub fn violate(&mut self, text: String) {
        let now = self.now;
        self.trace.note(now, "violation", &text, "");
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(text);
        }
    }

    /// Whether anything is on its way that has to come to an end.
    pub fn is_at_rest(&self) -> bool {
        const MOVING: &str = "SELECT EXISTS (SELECT 1 FROM order_orders WHERE stage IN ('pending', 'awaiting_action', 'giving_up', 'canceling'))
            OR EXISTS (SELECT 1 FROM order_commands WHERE state = 'open')
            OR EXISTS (SELECT 1 FROM payment_payments WHERE state IN ('pending', 'requires_action'))
            OR EXISTS (SELECT 1 FROM payment_commands WHERE progress = 'in_flight')
            OR EXISTS (SELECT 1 FROM catalog_reservations WHERE state = 'held')
            OR EXISTS (SELECT 1 FROM souk_deliveries WHERE topic NOT IN ('payment.check-due', 'catalog.reservation-due'))";
        let connection = self.memory.connection();
        let moving =
            connection.prepare_cached(MOVING).and_then(|mut asked| asked.query_row([], |row| row.get::<_, bool>(0)));
        !moving.unwrap_or_else(|error| panic!("the simulation's own statement: {error}"))
    }

    /// Whether the provider refuses to give an order's money back: for as long as it does, the audit tells of it.
    pub fn is_refused(&self, order: &str) -> bool {
        let refused = "SELECT EXISTS (SELECT 1 FROM refused_money WHERE order_id = ?1)";
        let found = self.memory.connection().query_row(refused, [order], |row| row.get(0));
        found.unwrap_or_else(|error| panic!("{refused}: {error}"))
    }

    /// What must hold at rest, by rows alone.
    pub fn check_at_rest(&mut self) {
        self.check_changes();
        let findings = souk_tests::checker::findings_in_memory(self.memory.connection(), self.now);
        for finding in findings {
            self.violate(format!("{} {}: {}", finding.law, finding.subject, finding.detail));
        }
        let promised = std::mem::take(&mut self.promised);
        for (order, state) in &promised {
            let confirmed =
                "SELECT id, stage FROM order_orders WHERE id = ?1 AND (?2 <> 'confirmed' OR confirmed_at IS NOT NULL)";
            let connection = self.memory.connection();
            let kept = connection
                .prepare_cached(confirmed)
                .and_then(|mut asked| asked.query_row((order, state), |row| row.get::<_, String>(0)).optional());
            if !matches!(kept, Ok(Some(_))) {
                self.violate(format!("an_answer_is_a_promise {order}: a shopper was told that it is {state}"));
            }
        }
        let orders = "SELECT COUNT(*) FROM order_orders WHERE stage IN ('confirmed', 'completed')";
        let orders = self.memory.connection().query_row(orders, [], |row| row.get::<_, i64>(0));
        self.tally.orders = orders.map_or(0, i64::unsigned_abs);
    }
}

fn pair(connection: &Connection, sql: &str, row: i64) -> Option<(String, String)> {
    let found = connection
        .prepare_cached(sql)
        .and_then(|mut asked| asked.query_row([row], |row| Ok((row.get(0)?, row.get(1)?))).optional());
    found.unwrap_or_else(|error| panic!("{sql}: {error}"))
}
