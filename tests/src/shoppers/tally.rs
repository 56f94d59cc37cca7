//! What became of the orders of a shop that was killed, cut off or left without a disk, in numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::AddAssign,
};

use rusqlite::Connection;

use super::Checkout;
use crate::{
    checker::{Books, pairs},
    client::Answer,
};

/// Carts for which the provider holds or took money twice, or took more than the total.
const DOUBLE_CAPTURES: &str = "
    SELECT COUNT(*) FROM (SELECT o.cart_id FROM provider_objects p JOIN order_orders o ON o.id = p.order_id
        WHERE p.state IN ('authorized', 'processing') GROUP BY o.cart_id
        HAVING COUNT(*) > 1 OR SUM(p.captured) > MAX(o.total))";

/// Units that orders hold or took away beyond those that ever came in.
const OVERSOLD: &str = "
    SELECT COALESCE(SUM(MAX(wanted - came, 0)), 0) FROM (
        SELECT variant_id, SUM(quantity - l.withdrawn - l.returned) AS wanted, (SELECT COALESCE(SUM(on_hand_delta), 0)
            FROM catalog_movements m WHERE m.variant_id = l.variant_id AND m.order_id = '') AS came
        FROM order_lines l JOIN order_orders o ON o.id = l.order_id AND o.stage IN ('confirmed', 'completed')
        GROUP BY variant_id)";

/// Transfers of the ledger whose entries do not add up to zero.
const UNBALANCED: &str = "
    SELECT COUNT(*) FROM (SELECT transfer_id FROM payment_entries GROUP BY transfer_id, currency
        HAVING SUM(amount_minor) <> 0)";

/// The numbers of one shop, or of several together. Those that should be zero are checked against the database alone,
/// without asking any service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Orders in the database.
    pub orders: usize,
    /// Checkouts whose answer says what became of them.
    pub acknowledged: usize,
    /// Checkouts without such an answer that made an order all the same.
    pub begun: usize,
    /// Acknowledged orders that are not there, or are not what they were acknowledged to be.
    pub lost: usize,
    /// Orders that nobody asked for, beside the one that a cart makes, or confirmed without a card that pays.
    pub phantoms: usize,
    /// Orders that nobody was told of and that ended otherwise than any other with their card.
    pub astray: usize,
    /// Carts that were paid twice.
    pub double_captures: i64,
    /// Units that were sold and never came in.
    pub oversold: i64,
    /// Transfers that do not add up to zero.
    pub unbalanced: i64,
    /// The sum of the ledger, by currency.
    pub ledger: BTreeMap<String, i64>,
}

impl Tally {
    /// Counts in a shop at rest, all of whose orders are of these checkouts: those that were answered, and those that were not.
    pub fn of<'a>(
        books: &Books,
        acknowledged: impl IntoIterator<Item = &'a (Checkout, Answer)>,
        unanswered: &[Checkout],
    ) -> Self {
        books.snapshot(|db| {
            let mut tally = Self {
                double_captures: number(db, DOUBLE_CAPTURES),
                oversold: number(db, OVERSOLD),
                unbalanced: number(db, UNBALANCED),
                ledger: ledger(db),
                ..Self::default()
            };
            tally.compare(db, acknowledged, unanswered);
            tally
        })
    }

    /// Orders beside what shoppers know.
    fn compare<'a>(
        &mut self,
        db: &Connection,
        acknowledged: impl IntoIterator<Item = &'a (Checkout, Answer)>,
        unanswered: &[Checkout],
    ) {
        let stages: BTreeMap<String, String> = pairs(db, "SELECT id, stage FROM order_orders").into_iter().collect();
        let mut told: BTreeMap<&str, String> = BTreeMap::new();
        for (checkout, answer) in acknowledged {
            self.acknowledged += 1;
            let id = answer.text_at("/id");
            let stage = stages.get(&id).map(String::as_str);
            // A confirmed order stays confirmed; one that was pending became what its card makes of it.
            let kept =
                stage == Some(checkout.stage) && (answer.json["state"] != "confirmed" || stage == Some("confirmed"));
            self.lost += usize::from(!kept);
            told.insert(&checkout.cart, id);
        }
        let asked: BTreeMap<&str, &str> =
            unanswered.iter().map(|checkout| (checkout.cart.as_str(), checkout.stage)).collect();
        let mut seen = BTreeSet::new();
        for (id, cart) in pairs(db, "SELECT id, cart_id FROM order_orders ORDER BY id") {
            self.orders += 1;
            let stage = stages[&id].as_str();
            match (told.get(cart.as_str()), asked.get(cart.as_str())) {
                (Some(known), _) => self.phantoms += usize::from(*known != id),
                (None, Some(ends)) => {
                    self.begun += 1;
                    let unpaid = stage == "confirmed" && *ends != "confirmed";
                    let second = !seen.insert(cart);
                    self.phantoms += usize::from(unpaid || second);
                    self.astray += usize::from(stage != *ends);
                }
                (None, None) => self.phantoms += 1,
            }
        }
    }

    /// Whether nothing was lost, made up, sold or taken twice, and the ledger is in balance.
    pub fn is_sound(&self) -> bool {
        let Self {
            orders: _,
            acknowledged: _,
            begun: _,
            lost,
            phantoms,
            astray,
            double_captures,
            oversold,
            unbalanced,
            ledger,
        } = self;
        (*lost, *phantoms, *astray) == (0, 0, 0)
            && (*double_captures, *oversold, *unbalanced) == (0, 0, 0)
            && ledger.values().all(|sum| *sum == 0)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.orders += other.orders;
        self.acknowledged += other.acknowledged;
        self.begun += other.begun;
        self.lost += other.lost;
        self.phantoms += other.phantoms;
        self.astray += other.astray;
        self.double_captures += other.double_captures;
        self.oversold += other.oversold;
        self.unbalanced += other.unbalanced;
        for (currency, sum) in other.ledger {
            *self.ledger.entry(currency).or_default() += sum;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { orders, acknowledged, begun, lost, phantoms, astray, double_captures, oversold, unbalanced, ledger } =
            self;
        write!(
            f,
            "{orders} orders, {acknowledged} acknowledged, {begun} without an answer; {lost} lost, \
            {double_captures} double captures, {phantoms} phantom orders, {astray} ended otherwise, {oversold} oversold, \
            {unbalanced} unbalanced, ledger sum"
        )?;
        ledger.iter().try_for_each(|(currency, sum)| write!(f, " {sum} {currency}"))
    }
}

fn number(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn ledger(db: &Connection) -> BTreeMap<String, i64> {
    let sums = "SELECT currency, CAST(SUM(amount_minor) AS TEXT) FROM payment_entries GROUP BY currency";
    let number = |sum: String| sum.parse().expect("it is a sum");
    pairs(db, sums).into_iter().map(|(currency, sum)| (currency, number(sum))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checker::prepare_memory;

    /// The columns that a tally reads, and of them: an order that was told of and one that was not.
    const BOOKS: &str = "
        CREATE TABLE order_orders (id TEXT, cart_id TEXT, stage TEXT, total BIGINT);
        CREATE TABLE order_lines (order_id TEXT, variant_id TEXT, quantity BIGINT, withdrawn BIGINT, returned BIGINT);
        CREATE TABLE catalog_movements (variant_id TEXT, order_id TEXT, on_hand_delta BIGINT);
        CREATE TABLE payment_entries (transfer_id TEXT, amount_minor BIGINT, currency TEXT);
        CREATE TABLE payment_commands (payment_id TEXT, kind TEXT, progress TEXT, amount_minor BIGINT);
        CREATE TABLE souk_deliveries (topic TEXT, key TEXT);
        CREATE TABLE test_payments_objects (key TEXT, order_id TEXT, amount_minor BIGINT, currency TEXT, capture_policy TEXT,
            refunded BIGINT, state TEXT, captured BIGINT, token TEXT, ready_at BIGINT);
        INSERT INTO order_orders VALUES ('told', 'cart_told', 'confirmed', 500), ('untold', 'cart_untold', 'canceled', 500);
        INSERT INTO order_lines VALUES ('told', 'var', 2, 0, 0), ('untold', 'var', 2, 0, 0);
        INSERT INTO catalog_movements VALUES ('var', '', 2), ('var', 'told', -2);
        INSERT INTO payment_entries VALUES ('t1', 500, 'USD'), ('t1', -500, 'USD'), ('t2', 9, 'JPY'), ('t2', -9, 'JPY');
        INSERT INTO test_payments_objects VALUES
            ('told', 'told', 500, 'USD', 'automatic', 0, 'authorized', 500, 'tok_success', NULL),
            ('untold', 'untold', 500, 'USD', 'automatic', 0, 'declined', 0, 'tok_declined', NULL);
    ";

    fn checkout(cart: &str, stage: &'static str) -> Checkout {
        Checkout { cart: cart.into(), key: String::new(), body: Value::Null, stage }
    }

    /// The tally after some damage, when one checkout was confirmed and one with a bad card was never answered.
    fn tally(damage: &str) -> Tally {
        let db = Connection::open_in_memory().expect("there is memory");
        db.execute_batch(BOOKS).expect("the tables can be made");
        prepare_memory(&db);
        db.execute_batch(damage).unwrap_or_else(|error| panic!("{damage}: {error}"));
        let json = json!({"id": "told", "state": "confirmed"});
        let answer = Answer { status: 201, headers: Default::default(), text: json.to_string(), json };
        let acknowledged = [(checkout("cart_told", "confirmed"), answer)];
        Tally::of(&Books::File(db), &acknowledged, &[checkout("cart_untold", "canceled")])
    }

    #[test]
    fn every_number_counts() {
        let sound = tally("");
        assert!(sound.is_sound());
        assert_eq!(
            sound.to_string(),
            "2 orders, 1 acknowledged, 1 without an answer; 0 lost, 0 double captures, 0 phantom orders, \
            0 ended otherwise, 0 oversold, 0 unbalanced, ledger sum 0 JPY 0 USD"
        );
        let cases: &[(&str, Tally)] = &[
            ("DELETE FROM order_orders WHERE id = 'told'", Tally { orders: 1, lost: 1, ..sound.clone() }),
            ("UPDATE order_orders SET stage = 'canceled'", Tally { lost: 1, ..sound.clone() }),
            (
                "INSERT INTO order_orders VALUES ('other', 'cart_other', 'canceled', 500)",
                Tally { orders: 3, phantoms: 1, ..sound.clone() },
            ),
            (
                "INSERT INTO order_orders VALUES ('told_twice', 'cart_told', 'canceled', 500)",
                Tally { orders: 3, phantoms: 1, ..sound.clone() },
            ),
            (
                "INSERT INTO order_orders VALUES ('untold_twice', 'cart_untold', 'canceled', 500)",
                Tally { orders: 3, begun: 2, phantoms: 1, ..sound.clone() },
            ),
            (
                "UPDATE order_orders SET stage = 'confirmed'",
                Tally { phantoms: 1, astray: 1, oversold: 2, ..sound.clone() },
            ),
            (
                "UPDATE order_orders SET stage = 'completed' WHERE id = 'untold'",
                Tally { astray: 1, oversold: 2, ..sound.clone() },
            ),
            (
                "UPDATE test_payments_objects SET captured = 501 WHERE key = 'told'",
                Tally { double_captures: 1, ..sound.clone() },
            ),
            (
                "UPDATE test_payments_objects SET order_id = 'told', state = 'processing' WHERE key = 'untold'",
                Tally { double_captures: 1, ..sound.clone() },
            ),
            (
                "UPDATE catalog_movements SET on_hand_delta = 1 WHERE order_id = ''",
                Tally { oversold: 1, ..sound.clone() },
            ),
            (
                "UPDATE payment_entries SET amount_minor = 10 WHERE amount_minor = 9",
                Tally { unbalanced: 1, ledger: [("JPY".into(), 1), ("USD".into(), 0)].into(), ..sound.clone() },
            ),
        ];
        for (damage, expected) in cases {
            let found = tally(damage);
            assert_eq!(found, *expected, "{damage}");
            assert!(!found.is_sound(), "{damage}");
        }
    }

    #[test]
    fn tallies_add_up() {
        let mut sum = tally("");
        sum += tally("DELETE FROM payment_entries WHERE amount_minor = 500");
        let ledger = [("JPY".into(), 0), ("USD".into(), -500)].into();
        assert_eq!(sum, Tally { orders: 4, acknowledged: 2, begun: 2, unbalanced: 1, ledger, ..Tally::default() });
    }
}
