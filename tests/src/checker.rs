//! An independent check of a shop's books.
//!
//! It stands outside Souk: it opens the database itself (of a Postgres one it makes a copy in SQLite, so that the laws are
//! written once) and adds up stock and money with SQL of its own, across the tables of all
//! services, which none of them may do. What `souk audit` finds and what this finds are two opinions.
//!
//! It is long because every invariant stands here on its own, next to the SQL that recomputes it.
//!
//! Beside a running host it sees one committed snapshot; of a host that was killed it sees what a restart would.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, Params};

use crate::{client::Client, postgres, shop::Shop, wait::eventually};

/// Findings that an assertion prints.
const FINDINGS_SHOWN_MAX: usize = 25;
/// How long one look may take.
const LOOK_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the checker waits for a lock that the host holds.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);

/// The time that laws go by: that of this machine.
const CLOCK: &str = "
    PRAGMA temp_store = MEMORY;
    CREATE TEMP VIEW clock AS SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now;
";

/// What the laws read beside tables: the provider's objects as they are now, since a delayed decision falls by itself, and
/// orders that were never agreed, whose money the provider was asked for and refuses to give back.
const VIEWS: &str = "
    CREATE TEMP VIEW provider_objects AS
        SELECT key, order_id, amount_minor, currency, capture_policy, refunded,
            CASE WHEN late = 1 THEN 'authorized' WHEN late = 2 THEN 'declined' ELSE state END AS state,
            CASE WHEN late = 1 AND capture_policy = 'automatic' THEN amount_minor ELSE captured END AS captured
        FROM (SELECT o.*, CASE WHEN state <> 'processing' OR ready_at > now THEN 0
                WHEN token = 'tok_delayed_declined' THEN 2 ELSE 1 END AS late
            FROM test_payments_objects o, clock);
    CREATE TEMP VIEW commands_on_their_way AS
        SELECT payment_id, SUM(CASE kind WHEN 'capture' THEN amount_minor ELSE 0 END) AS capturing,
            SUM(CASE kind WHEN 'refund' THEN amount_minor ELSE 0 END) AS refunding
        FROM payment_commands WHERE progress = 'in_flight' GROUP BY payment_id;
    CREATE TEMP VIEW refused_money AS
        SELECT DISTINCT o.id AS order_id FROM order_orders o JOIN payment_payments p ON p.order_id = o.id
        JOIN payment_commands c ON c.payment_id = p.id JOIN test_payments_objects t ON t.key = p.id
        WHERE o.confirmed_at IS NULL AND c.kind = 'refund' AND c.progress = 'refused' AND t.token = 'tok_refund_refused';
    CREATE TEMP VIEW events_on_their_way AS SELECT DISTINCT topic, key FROM souk_deliveries;
";

/// What must hold at any moment: a name, and SQL that answers subject and detail of every case in which it does not.
const LAWS: &[(&str, &str)] = &[
    // Stock.
    (
        "stock_is_what_moved",
        "SELECT variant_id, printf('%d on hand and %d reserved, movements say %d and %d', on_hand, reserved, counted, promised)
        FROM (SELECT s.variant_id, s.on_hand, s.reserved, COALESCE(SUM(m.on_hand_delta), 0) AS counted,
                COALESCE(SUM(m.reserved_delta), 0) AS promised
            FROM catalog_stock s LEFT JOIN catalog_movements m ON m.variant_id = s.variant_id GROUP BY s.variant_id)
        WHERE on_hand <> counted OR reserved <> promised",
    ),
    (
        "stock_is_never_negative",
        "SELECT variant_id, printf('%d on hand, %d reserved', on_hand, reserved) FROM catalog_stock
        WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand",
    ),
    (
        "reserved_is_what_orders_hold",
        "SELECT variant_id, printf('%d reserved, orders hold %d', reserved, held)
        FROM (SELECT s.variant_id, s.reserved, COALESCE(SUM(l.quantity) FILTER (WHERE r.state = 'held'), 0) AS held
            FROM catalog_stock s LEFT JOIN catalog_reservation_lines l ON l.variant_id = s.variant_id
            LEFT JOIN catalog_reservations r ON r.order_id = l.order_id GROUP BY s.variant_id)
        WHERE reserved <> held",
    ),
    (
        "what_came_in_is_here_or_sold",
        "SELECT variant_id, printf('%d came in, %d were sold, %d of them came back, %d are on hand', came, sold, back, on_hand)
        FROM (SELECT s.variant_id, s.on_hand,
                (SELECT COALESCE(SUM(on_hand_delta), 0) FROM catalog_movements m
                    WHERE m.variant_id = s.variant_id AND m.order_id = '') AS came,
                COALESCE(SUM(l.quantity) FILTER (WHERE r.state = 'committed'), 0) AS sold,
                COALESCE(SUM(l.restocked) FILTER (WHERE r.state = 'committed'), 0) AS back
            FROM catalog_stock s LEFT JOIN catalog_reservation_lines l ON l.variant_id = s.variant_id
            LEFT JOIN catalog_reservations r ON r.order_id = l.order_id GROUP BY s.variant_id)
        WHERE came - sold + back <> on_hand",
    ),
    (
        "lists_show_what_is_available",
        "SELECT product_id, printf('%d in %s lists, %d on the shelf', shown, currency, there)
        FROM (SELECT l.product_id, l.currency, l.available AS shown,
                (SELECT COALESCE(SUM(s.on_hand - s.reserved), 0) FROM catalog_stock s
                    WHERE s.product_id = l.product_id AND s.listed = 1) AS there FROM catalog_listings l)
        WHERE shown <> there",
    ),
    (
        "a_reservation_moves_its_own_units",
        "SELECT order_id, printf('%s %s: %d units, %d back, moved %d and %d', state, variant_id, quantity, restocked, counted, promised)
        FROM (SELECT l.order_id, l.variant_id, r.state, l.quantity, l.restocked,
                COALESCE(SUM(m.on_hand_delta), 0) AS counted, COALESCE(SUM(m.reserved_delta), 0) AS promised
            FROM catalog_reservation_lines l JOIN catalog_reservations r ON r.order_id = l.order_id
            LEFT JOIN catalog_movements m ON m.order_id <> '' AND m.order_id = l.order_id AND m.variant_id = l.variant_id
            GROUP BY l.order_id, l.variant_id)
        WHERE promised <> CASE state WHEN 'held' THEN quantity ELSE 0 END
            OR counted <> CASE state WHEN 'committed' THEN restocked - quantity ELSE 0 END
        UNION ALL SELECT order_id, 'units of ' || variant_id || ' moved without a reservation' FROM catalog_movements m
            WHERE order_id <> '' AND NOT EXISTS (SELECT 1 FROM catalog_reservation_lines l
                WHERE l.order_id = m.order_id AND l.variant_id = m.variant_id)",
    ),
    (
        "stock_is_promised_to_orders_alone",
        "SELECT order_id, state FROM catalog_reservations WHERE order_id NOT IN (SELECT id FROM order_orders)",
    ),
    // Orders.
    (
        "an_order_is_the_sum_of_its_lines",
        "SELECT id, printf('%d and %d and %d make %d; the lines %d, %d of them tax', subtotal, shipping, tax, total, goods, taxes)
        FROM (SELECT o.*, COALESCE(SUM(l.unit_minor * l.quantity), 0) AS goods, COALESCE(SUM(l.total_minor), 0) AS totals,
                COALESCE(SUM(l.tax_minor), 0) AS taxes, COALESCE(SUM(l.quantity), 0) AS wanted,
                COALESCE(SUM(l.fulfilled), 0) AS gone, COALESCE(SUM(l.withdrawn), 0) AS kept
            FROM order_orders o LEFT JOIN order_lines l ON l.order_id = o.id GROUP BY o.id)
        WHERE total <> subtotal + shipping + tax OR subtotal <> goods OR subtotal <> totals OR taxes > tax
            OR (shipping = 0 AND taxes <> tax) OR units <> wanted OR fulfilled <> gone OR withdrawn <> kept",
    ),
    (
        "numbers_are_given_once",
        "SELECT MIN(id), number || ' was given more than once' FROM order_orders GROUP BY number HAVING COUNT(*) > 1
        UNION ALL SELECT id, number || ' was never counted' FROM order_orders
            WHERE CAST(substr(number, 3) AS INTEGER) NOT BETWEEN 1001 AND (SELECT value FROM order_counters WHERE name = 'number')",
    ),
    (
        "a_cart_makes_one_order",
        "SELECT cart_id, printf('%d orders', COUNT(*)) FROM order_orders WHERE stage <> 'canceled'
        GROUP BY cart_id HAVING COUNT(*) > 1",
    ),
    (
        "an_agreed_order_has_its_stock",
        "SELECT id, stage || ', and its reservation is not committed with its lines' FROM order_orders o
        WHERE stage IN ('confirmed', 'completed') AND (
            NOT EXISTS (SELECT 1 FROM catalog_reservations r WHERE r.order_id = o.id AND r.state = 'committed')
            OR EXISTS (SELECT variant_id, quantity FROM order_lines WHERE order_id = o.id
                EXCEPT SELECT variant_id, quantity FROM catalog_reservation_lines WHERE order_id = o.id)
            OR EXISTS (SELECT variant_id, quantity FROM catalog_reservation_lines WHERE order_id = o.id
                EXCEPT SELECT variant_id, quantity FROM order_lines WHERE order_id = o.id))",
    ),
    (
        "an_agreed_order_has_one_payment",
        "SELECT id, printf('%s over %d, and %d payments hold it', stage, total, good)
        FROM (SELECT o.id, o.stage, o.total, COUNT(*) FILTER (WHERE p.state = 'authorized' AND p.authorized = o.total
                AND p.currency = o.currency AND (p.captured = o.total OR (o.capture = 'manual' AND o.stage = 'confirmed'))) AS good,
                COUNT(*) FILTER (WHERE p.state NOT IN ('declined', 'voided')) AS active
            FROM order_orders o LEFT JOIN payment_payments p ON p.order_id = o.id GROUP BY o.id)
        WHERE stage IN ('confirmed', 'completed') AND (good <> (total > 0) OR active <> (total > 0))",
    ),
    (
        "a_canceled_order_holds_nothing",
        "SELECT o.id, 'its reservation is ' || r.state FROM order_orders o JOIN catalog_reservations r ON r.order_id = o.id
            LEFT JOIN catalog_reservation_lines l ON l.order_id = o.id
            WHERE o.stage = 'canceled' AND (r.state = 'held' OR (r.state = 'committed' AND l.restocked <> l.quantity))
        UNION ALL SELECT o.id, printf('its payment is %s with %d taken, %d given back', p.state, p.captured, p.refunded)
            FROM order_orders o JOIN payment_payments p ON p.order_id = o.id WHERE o.stage = 'canceled'
            AND NOT (p.state IN ('declined', 'voided') OR (p.state = 'authorized' AND p.captured > 0 AND p.captured = p.refunded))
            AND o.id NOT IN (SELECT order_id FROM refused_money)",
    ),
    (
        "what_left_was_agreed_and_paid",
        "SELECT id, printf('%s, %d of %d units handed over, %d of %d paid', stage, fulfilled, units, captured, total)
        FROM order_orders WHERE (fulfilled > 0 AND (stage NOT IN ('confirmed', 'completed') OR captured <> total))
            OR (stage = 'completed' AND fulfilled + withdrawn <> units)",
    ),
    (
        "parcels_hold_what_was_handed_over",
        "SELECT order_id, printf('%s: %d handed over, %d in parcels', variant_id, fulfilled, shipped)
        FROM (SELECT l.order_id, l.variant_id, l.fulfilled, (SELECT COALESCE(SUM(u.value), 0)
                FROM order_shipments s, json_each(s.units) u
                WHERE s.order_id = l.order_id AND u.key = l.variant_id) AS shipped FROM order_lines l)
        WHERE fulfilled <> shipped",
    ),
    // Money.
    (
        "payment_amounts_are_in_order",
        "SELECT id, printf('%s: %d asked for, %d held, %d taken, %d given back', state, amount_minor, authorized, captured, refunded)
        FROM payment_payments WHERE NOT (0 <= refunded AND refunded <= captured AND captured <= authorized
            AND authorized <= amount_minor AND (authorized = 0 OR state = 'authorized'))",
    ),
    (
        "a_payment_is_over_the_total_of_its_order",
        "SELECT p.id, printf('%d for %s', p.amount_minor, p.order_id) FROM payment_payments p
        LEFT JOIN order_orders o ON o.id = p.order_id
        WHERE o.id IS NULL OR o.total <> p.amount_minor OR o.currency <> p.currency",
    ),
    (
        "a_transfer_is_two_equal_halves",
        "SELECT transfer_id, printf('%d rows, sum %d', COUNT(*), SUM(amount_minor)) FROM payment_entries
        GROUP BY transfer_id, payment_id, currency HAVING SUM(amount_minor) <> 0 OR COUNT(*) <> 2",
    ),
    (
        "the_ledger_says_what_payments_say",
        "SELECT id, printf('%s holds %d, the payment says %d', account, booked, said)
        FROM (SELECT p.id, a.account, COALESCE((SELECT SUM(e.amount_minor) FROM payment_entries e
                    WHERE e.payment_id = p.id AND e.account = a.account), 0) AS booked,
                CASE a.account
                    WHEN 'shopper' THEN p.refunded - COALESCE(w.refunding, 0) - p.authorized
                    WHEN 'held' THEN p.authorized - p.captured
                    WHEN 'capture_in_transit' THEN COALESCE(w.capturing, 0)
                    WHEN 'provider_clearing' THEN p.captured - COALESCE(w.capturing, 0) - p.refunded
                    ELSE COALESCE(w.refunding, 0) END AS said
            FROM payment_payments p LEFT JOIN commands_on_their_way w ON w.payment_id = p.id,
                (SELECT 'shopper' AS account UNION SELECT 'held' UNION SELECT 'capture_in_transit'
                UNION SELECT 'provider_clearing' UNION SELECT 'refund_in_transit') a)
        WHERE booked <> said",
    ),
    (
        "payments_are_what_commands_did",
        "SELECT id, printf('%d taken and %d given back; commands say %d and %d', captured, refunded, took, gave)
        FROM (SELECT p.id, p.state, p.captured, p.refunded,
                CASE p.capture_policy WHEN 'automatic' THEN p.authorized ELSE
                COALESCE(SUM(c.amount_minor) FILTER (WHERE c.kind = 'capture' AND c.progress <> 'refused'), 0) END AS took,
                COALESCE(SUM(c.amount_minor) FILTER (WHERE c.kind = 'refund' AND c.progress <> 'refused'), 0) AS gave
            FROM payment_payments p LEFT JOIN payment_commands c ON c.payment_id = p.id GROUP BY p.id)
        WHERE state = 'authorized' AND (captured <> took OR refunded <> gave)",
    ),
    (
        "a_payment_is_believed",
        "SELECT id, problem FROM payment_payments WHERE problem <> ''",
    ),
    // The provider, whose tables stand for the world outside.
    (
        "the_provider_knows_our_payments_alone",
        "SELECT key, 'held at the provider without an intent of ours' FROM provider_objects
        WHERE key NOT IN (SELECT id FROM payment_payments)",
    ),
    (
        "the_provider_took_no_amount_twice",
        "SELECT key, printf('%d taken of %d; %d by command', captured, amount_minor, commanded)
        FROM (SELECT o.*, (SELECT COALESCE(SUM(c.amount_minor), 0) FROM test_payments_commands c
                WHERE c.key = o.key AND c.kind = 'capture' AND c.decline_code IS NULL) AS commanded FROM provider_objects o)
        WHERE captured > amount_minor
            OR captured <> commanded + CASE WHEN capture_policy = 'automatic' AND state = 'authorized' THEN amount_minor ELSE 0 END
        UNION ALL SELECT key, printf('%d given back, %d by command', refunded, commanded)
        FROM (SELECT o.*, (SELECT COALESCE(SUM(c.amount_minor), 0) FROM test_payments_commands c
                WHERE c.key = o.key AND c.kind = 'refund' AND c.decline_code IS NULL) AS commanded FROM provider_objects o)
        WHERE refunded > captured OR refunded <> commanded
        UNION ALL SELECT order_id, printf('%d objects hold or took money for it', COUNT(*)) FROM provider_objects
        WHERE state = 'authorized' AND (captured = 0 OR captured > refunded) GROUP BY order_id HAVING COUNT(*) > 1",
    ),
    (
        "the_provider_does_what_we_asked",
        "SELECT c.id, printf('%s of %d', c.kind, c.amount_minor) FROM test_payments_commands c
        JOIN payment_payments p ON p.id = c.key LEFT JOIN payment_commands w ON w.id = c.id
        WHERE c.decline_code IS NULL AND p.state = 'authorized'
            AND (w.id IS NULL OR w.payment_id <> c.key OR w.kind <> c.kind OR w.amount_minor <> c.amount_minor)",
    ),
];

/// What must hold once nothing is on its way any more, beside [`LAWS`].
const LAWS_AT_REST: &[(&str, &str)] = &[
    (
        "orders_say_what_payments_say",
        "SELECT o.id, printf('%s %s %d %d %d, and %s %d %d %d', o.stage, COALESCE(o.payment_state, 'none'), o.authorized,
            o.captured, o.refunded, p.state, p.authorized, p.captured, p.refunded)
        FROM order_orders o JOIN payment_payments p ON p.order_id = o.id
        WHERE o.payment_state IS NOT p.state OR o.authorized <> p.authorized OR o.captured <> p.captured OR o.refunded <> p.refunded",
    ),
    (
        "the_provider_says_what_payments_say",
        "SELECT p.id, printf('%s %d %d, and %s %d %d', p.state, p.captured, p.refunded, o.state, o.captured, o.refunded)
        FROM payment_payments p LEFT JOIN provider_objects o ON o.key = p.id
        WHERE CASE p.state
            WHEN 'authorized' THEN o.state IS NOT 'authorized' OR o.captured <> p.captured OR o.refunded <> p.refunded
                OR o.amount_minor <> p.amount_minor OR o.currency <> p.currency OR o.order_id <> p.order_id
            ELSE o.state = 'authorized' AND (o.captured = 0 OR o.captured <> o.refunded) END",
    ),
    (
        "the_provider_keeps_money_of_agreed_orders_alone",
        "SELECT b.order_id, printf('%s; the provider keeps %d, the order says %d', COALESCE(o.stage, 'no order'), b.kept,
            COALESCE(o.captured - o.refunded, 0))
        FROM (SELECT order_id, SUM(captured - refunded) AS kept FROM provider_objects GROUP BY order_id) b
        LEFT JOIN order_orders o ON o.id = b.order_id
        WHERE b.kept <> CASE WHEN o.stage IN ('confirmed', 'completed') OR o.id IN (SELECT order_id FROM refused_money)
            THEN o.captured - o.refunded ELSE 0 END",
    ),
    (
        "an_agreed_order_is_told_once",
        "SELECT id, printf('%s: %d mails, %d events on their way', stage, mails, events)
        FROM (SELECT o.id, o.stage, o.confirmed_at, COALESCE(m.mails, 0) AS mails, e.key IS NOT NULL AS events
            FROM order_orders o LEFT JOIN (SELECT COUNT(*) AS mails,
                    CAST(substr(event_id, 7, instr(substr(event_id, 7), '/') - 1) AS TEXT) AS order_id
                FROM notification_messages WHERE template = 'order-placed' GROUP BY order_id) m ON m.order_id = o.id
            LEFT JOIN events_on_their_way e ON e.topic = 'order.placed' AND e.key = o.id)
        WHERE mails > 1 OR (mails + events > 0) <> (confirmed_at IS NOT NULL)",
    ),
    (
        "every_mail_is_sent",
        "SELECT id, last_error FROM notification_messages WHERE state = 'failed'
        UNION ALL SELECT key, 'in the mailbox and never written' FROM mailbox_messages
            WHERE substr(key, 1, instr(key, '-') - 1) NOT IN (SELECT id FROM notification_messages)",
    ),
];

/// What is still on its way: answers the same columns as a law, and holds no reproach unless it stays.
const UNSETTLED: &[(&str, &str)] = &[
    (
        "an_order_is_moving",
        "SELECT id, stage FROM order_orders WHERE stage IN ('pending', 'giving_up', 'canceling')
        UNION ALL SELECT order_id, 'command ' || id FROM order_commands WHERE state = 'open'",
    ),
    (
        "a_payment_is_open",
        "SELECT id, state FROM payment_payments WHERE state = 'pending'
        UNION ALL SELECT payment_id, kind FROM payment_commands WHERE progress = 'in_flight'",
    ),
    // One that could not be sent is sent again after a minute and more.
    ("a_mail_is_on_its_way", "SELECT id, last_error FROM notification_messages WHERE state = 'queued'"),
    ("an_event_was_given_up", "SELECT key, topic || ' to ' || subscriber || ': ' || error FROM souk_dead_letters"),
];

/// Events whose time has come. A running shop takes them within moments; for one that stands still, time goes on.
const DUE: &[(&str, &str)] = &[(
    "an_event_is_due",
    "SELECT key, printf('%s to %s, %d tries', topic, subscriber, attempts) FROM souk_deliveries, clock WHERE not_before <= now",
)];

/// Something that does not add up, or is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which law.
    pub law: &'static str,
    /// Of what.
    pub subject: String,
    /// What was found and what was expected.
    pub detail: String,
}

/// The database of a shop, to be read.
pub enum Books {
    /// A file of SQLite, opened.
    File(Connection),
    /// The address of a Postgres database, which is copied for each look.
    Postgres(String),
}

impl Books {
    /// Opens the books of a shop, whether it runs or not.
    pub fn of(shop: &Shop) -> Self {
        match &shop.database {
            // What a killed Spin left half written is taken back by whoever opens the file first, and that is a write.
            None if shop.platform.is_spin() => Self::open_as(&shop.database_file(), OpenFlags::SQLITE_OPEN_READ_WRITE),
            None => Self::open(&shop.database_file()),
            Some(url) => Self::Postgres(url.clone()),
        }
    }

    /// Opens a file.
    pub fn open(file: &Path) -> Self {
        Self::open_as(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    fn open_as(file: &Path, access: OpenFlags) -> Self {
        let db = Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .expect("the shop has a database");
        db.busy_timeout(LOCK_WAIT_MAX).expect("a time-out can be set");
        db.execute_batch(&[CLOCK, VIEWS].concat()).expect("the views fit the tables");
        Self::File(db)
    }

    /// What does not hold although it must at any moment.
    pub fn findings(&self) -> Vec<Finding> {
        self.look(&[LAWS])
    }

    /// What does not hold although nothing is on its way any more.
    pub fn findings_at_rest(&self) -> Vec<Finding> {
        self.look(&[LAWS, LAWS_AT_REST, UNSETTLED])
    }

    /// What is still on its way in a running shop.
    pub fn unsettled(&self) -> Vec<Finding> {
        self.look(&[UNSETTLED, DUE])
    }

    /// One number, for a test's own question.
    pub fn number(&self, sql: &str, params: impl Params) -> i64 {
        let number = |db: &Connection| db.query_row(sql, params, |row| row.get(0));
        self.snapshot(number).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Two columns of text, for a test's own question.
    pub fn pairs(&self, sql: &str) -> Vec<(String, String)> {
        self.snapshot(|db| pairs(db, sql))
    }

    fn look(&self, tables: &[&[(&'static str, &str)]]) -> Vec<Finding> {
        self.snapshot(|db| look(db, tables))
    }

    /// Looks at all tables as they were at one moment.
    pub(crate) fn snapshot<T>(&self, look: impl FnOnce(&Connection) -> T) -> T {
        match self {
            Self::File(db) => {
                let snapshot = db.unchecked_transaction().expect("a snapshot can be taken");
                let seen = look(db);
                snapshot.finish().expect("what was only read can be let go");
                seen
            }
            Self::Postgres(url) => {
                let copy = postgres::copy(url);
                copy.execute_batch(&[CLOCK, VIEWS].concat()).expect("the views fit the tables");
                look(&copy)
            }
        }
    }
}

fn look(db: &Connection, tables: &[&[(&'static str, &str)]]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (law, sql) in tables.iter().flat_map(|laws| laws.iter()) {
        let rows = pairs(db, sql).into_iter();
        findings.extend(rows.map(|(subject, detail)| Finding { law, subject, detail }));
    }
    findings
}

/// Prepares the database of a simulated shop, which has a time of its own, for [`findings_in_memory`].
pub fn prepare_memory(db: &Connection) {
    let clock = "CREATE TEMP TABLE clock (now BIGINT NOT NULL); INSERT INTO clock VALUES (0);";
    db.execute_batch(&[clock, VIEWS].concat()).expect("the views fit the tables");
}

/// What does not hold in a simulated shop at this instant although nothing is on its way any more.
pub fn findings_in_memory(db: &Connection, now: i64) -> Vec<Finding> {
    db.execute("UPDATE temp.clock SET now = ?1", [now]).expect("the database was prepared");
    look(db, &[LAWS, LAWS_AT_REST, UNSETTLED])
}

/// Two columns of text.
pub(crate) fn pairs(db: &Connection, sql: &str) -> Vec<(String, String)> {
    let mut statement = db.prepare_cached(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("it takes no parameters");
    rows.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Waits until nothing is on its way in a running shop, at most `longest`.
pub async fn settle(shop: &Shop, longest: Duration) {
    let books = Books::of(shop);
    let end = Instant::now() + longest;
    // Between requests nothing runs under Spin: there the operator's clock has events delivered.
    let clock =
        shop.platform.is_spin().then(|| (Client::guest(shop), format!("Bearer {}", shop.secret("drain_token"))));
    eventually(longest + LOOK_TIME_MAX, "a shop at rest", async || {
        if let Some((client, bearer)) = &clock {
            client.send("POST", "/souk/drain", &[("authorization", bearer)], None).await.expect(200);
        }
        let unsettled = books.unsettled();
        assert!(unsettled.is_empty() || Instant::now() < end, "not settled after {longest:?}:\n{}", shown(&unsettled));
        unsettled.is_empty().then_some(())
    })
    .await;
}

/// Asserts that the books add up and that nothing is left to do, by this checker and by the shop's own audit.
#[track_caller]
pub fn assert_sound(shop: &Shop) {
    let findings = Books::of(shop).findings_at_rest();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), shown(&findings));
    shop.assert_audit();
}

fn shown(findings: &[Finding]) -> String {
    let lines = findings.iter().take(FINDINGS_SHOWN_MAX);
    lines.map(|Finding { law, subject, detail }| format!("{law} {subject}: {detail}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rusqlite::Connection;
    use serde_json::json;

    use super::*;

    /// For every law, what breaks it.
    const DAMAGE: &[(&str, &str)] = &[
        ("stock_is_what_moved", "UPDATE catalog_stock SET on_hand = on_hand + 1"),
        ("stock_is_what_moved", "DELETE FROM catalog_movements WHERE reason = 'reserved'"),
        ("stock_is_never_negative", "UPDATE catalog_stock SET reserved = -1"),
        ("reserved_is_what_orders_hold", "UPDATE catalog_reservations SET state = 'held'"),
        ("what_came_in_is_here_or_sold", "DELETE FROM catalog_movements WHERE order_id = ''"),
        ("lists_show_what_is_available", "UPDATE catalog_listings SET available = available + 1"),
        ("a_reservation_moves_its_own_units", "DELETE FROM catalog_movements WHERE reason = 'sold'"),
        (
            "a_reservation_moves_its_own_units",
            "UPDATE catalog_movements SET order_id = 'ord_none' WHERE reason = 'sold'",
        ),
        ("stock_is_promised_to_orders_alone", "INSERT INTO catalog_reservations VALUES ('ord_none', 'released', 0)"),
        ("an_order_is_the_sum_of_its_lines", "UPDATE order_lines SET unit_minor = unit_minor + 1"),
        ("an_order_is_the_sum_of_its_lines", "UPDATE order_orders SET tax = tax + 1"),
        ("numbers_are_given_once", "UPDATE order_counters SET value = value - 1"),
        (
            "a_cart_makes_one_order",
            "DROP INDEX order_orders_active_cart; UPDATE order_orders SET stage = 'confirmed', cart_id = 'cart_one'",
        ),
        ("an_agreed_order_has_its_stock", "UPDATE catalog_reservation_lines SET quantity = quantity + 1"),
        ("an_agreed_order_has_its_stock", "DELETE FROM catalog_reservations"),
        ("an_agreed_order_has_one_payment", "UPDATE payment_payments SET state = 'voided'"),
        ("an_agreed_order_has_one_payment", "UPDATE payment_payments SET authorized = authorized - 1"),
        ("a_canceled_order_holds_nothing", "UPDATE order_orders SET stage = 'canceled'"),
        ("what_left_was_agreed_and_paid", "UPDATE order_orders SET captured = captured - 1"),
        ("parcels_hold_what_was_handed_over", "UPDATE order_shipments SET units = '{}'"),
        ("payment_amounts_are_in_order", "UPDATE payment_payments SET refunded = captured + 1"),
        ("a_payment_is_over_the_total_of_its_order", "UPDATE payment_payments SET amount_minor = amount_minor + 1"),
        ("a_payment_is_over_the_total_of_its_order", "DELETE FROM order_orders"),
        ("a_transfer_is_two_equal_halves", "DELETE FROM payment_entries WHERE account = 'held'"),
        ("the_ledger_says_what_payments_say", "DELETE FROM payment_entries"),
        ("payments_are_what_commands_did", "UPDATE payment_commands SET amount_minor = amount_minor + 1"),
        ("a_payment_is_believed", "UPDATE payment_payments SET problem = 'nobody believes it'"),
        ("the_provider_knows_our_payments_alone", "DELETE FROM payment_payments"),
        ("the_provider_took_no_amount_twice", "UPDATE test_payments_objects SET captured = captured * 2"),
        ("the_provider_took_no_amount_twice", "UPDATE test_payments_objects SET order_id = 'ord_one'"),
        ("the_provider_does_what_we_asked", "UPDATE payment_commands SET id = id || 'x'"),
        ("orders_say_what_payments_say", "UPDATE order_orders SET refunded = refunded + 1"),
        ("the_provider_says_what_payments_say", "UPDATE test_payments_objects SET captured = captured + 1"),
        ("the_provider_keeps_money_of_agreed_orders_alone", "UPDATE order_orders SET stage = 'canceled'"),
        ("an_agreed_order_is_told_once", "DELETE FROM notification_messages"),
        ("an_agreed_order_is_told_once", "UPDATE notification_messages SET template = 'order-placed'"),
        ("every_mail_is_sent", "UPDATE notification_messages SET state = 'failed'"),
        ("every_mail_is_sent", "DELETE FROM notification_messages"),
        ("an_order_is_moving", "UPDATE order_orders SET stage = 'giving_up'"),
        ("a_payment_is_open", "UPDATE payment_commands SET progress = 'in_flight' WHERE kind = 'refund'"),
        ("a_mail_is_on_its_way", "UPDATE notification_messages SET state = 'queued', due_event = 'x', due_at = 0"),
        ("an_event_is_due", "INSERT INTO souk_deliveries VALUES ('order', 'a.b', 'key', 1, 0, 0, 0, 1)"),
        (
            "an_event_was_given_up",
            "INSERT INTO souk_dead_letters VALUES (1, 'order', 'e', 'c', 'a.b', 'key', '{}', 0, 10, 'why', 0)",
        ),
    ];

    /// A shop in which something of every kind happened: shipped, refunded, declined, canceled.
    async fn eventful_shop() -> Shop {
        let shop = Shop::start(&[("CAPTURE", "manual")]);
        let (guest, staff) = (Client::guest(&shop), Client::staff(&shop).await);
        let variant = staff.stocked_variant("checked", 10).await;
        let mut orders = Vec::new();
        for (place, token) in ["tok_success", "tok_success", "tok_declined", "tok_delayed"].into_iter().enumerate() {
            let (cart, mut body) = guest.quoted_cart(&variant, 2).await;
            body["payment"]["token"] = token.into();
            let path = format!("/api/v1/store/carts/{cart}/checkout");
            let placed = guest.post_once(&path, &format!("key-{place}"), &body).await;
            assert!(matches!(placed.status, 200 | 201), "{}", placed.text);
            orders.push(placed.text_at("/id"));
        }
        settle(&shop, Duration::from_secs(10)).await;
        let command = async |order: &str, verb: &str, body| {
            staff.post_once(&format!("/api/v1/admin/orders/{order}/{verb}"), verb, &body).await.expect(200);
        };
        command(&orders[0], "ship", json!({})).await;
        command(&orders[0], "refund", json!({"amount": {"amount": 500, "currency": "USD"}})).await;
        command(&orders[1], "capture", json!({})).await;
        command(&orders[3], "cancel", json!({})).await;
        settle(&shop, Duration::from_secs(10)).await;
        shop
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn damage_of_every_kind_is_found() {
        let mut shop = eventful_shop().await;
        assert_sound(&shop);
        shop.kill();
        assert_eq!(Books::of(&shop).findings_at_rest(), [], "a host that was killed leaves the same");

        let source = Connection::open(shop.database_file()).expect("nobody else has it open");
        for (place, (law, damage)) in DAMAGE.iter().enumerate() {
            let copy = shop.folder.path().join(format!("{place}.db"));
            source.execute("VACUUM INTO ?1", [copy.to_str().expect("paths are text")]).expect("there is room");
            let damaged = Connection::open(&copy).expect("it was made a moment ago");
            damaged
                .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
                .expect("SQLite knows both");
            damaged.execute_batch(damage).unwrap_or_else(|error| panic!("{damage}: {error}"));
            drop(damaged);
            let books = Books::open(&copy);
            let found = [books.findings_at_rest(), books.unsettled()].concat();
            let found: BTreeSet<_> = found.iter().map(|finding| finding.law).collect();
            assert!(found.contains(law), "{damage}: found {found:?}");
        }
        let broken: BTreeSet<_> = DAMAGE.iter().map(|(law, _)| *law).collect();
        let laws: BTreeSet<_> = [LAWS, LAWS_AT_REST, UNSETTLED, DUE].concat().iter().map(|(law, _)| *law).collect();
        assert_eq!(broken, laws, "every law is broken once");
    }
}
