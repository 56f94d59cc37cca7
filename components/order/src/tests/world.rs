//! The world of the tests: order's own rows in a real SQLite, and carts, stock and payments as their contracts say,
//! each harmless to repeat. Every call to any of them is a point at which the world can go wrong.

mod services;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use souk_kit::cart::CartState;
use souk_kit::catalog::Reservation;
use souk_kit::events::Event;
use souk_kit::order::{OrderError, OrderView, Placement, QuoteRequest};
use souk_kit::payment::{Authorization, PaymentState};
use souk_kit::payment_extension::Decline;
use souk_kit::sql::{Batch, Read, Snapshot, SqlError};
use souk_kit::testing::TestPorts;
use souk_kit::{Actor, Address, Call, Config, Sql, ids};

use crate::domain::task::Request;
use crate::domain::{Order, Stage, payment_id};
use crate::service::{audit, command, events, place};
use crate::store;

/// The cart that tests check out.
pub const CART: &str = "cart_00000000000000000000000000000001";
/// Two variants; the cart holds 2 of the first and 1 of the second.
pub const SHIRT: &str = "var_00000000000000000000000000000001";
/// See [`SHIRT`].
pub const MUG: &str = "var_00000000000000000000000000000002";
/// The signed-in shopper of tests.
pub const ANN: &str = "usr_00000000000000000000000000000001";
/// The staff of tests.
pub const STAFF: &str = "usr_00000000000000000000000000000009";
/// Units of each variant on the shelf at first.
pub const SHELF: i64 = 5;
/// What the cart's order costs: 2 x 1000 + 500, 450 of shipping, 19 % on each line and on shipping.
pub const TOTAL: i64 = 3511;
/// How often an event is delivered before it is given up, as hosts do.
const TRIES_MAX: u32 = 10;

/// The orders that tests place.
pub fn order_id(number: u8) -> String {
    format!("ord_000000000000000000000000000000{number:02x}")
}

/// What goes wrong at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens, and the caller hears that.
    FailBefore,
    /// It happens, and the caller hears that it is unknown.
    LostReply,
    /// The caller dies before it happens.
    DieBefore,
    /// It happens, and the caller dies.
    DieAfter,
}

/// All faults.
pub const FAULTS: [Fault; 4] = [Fault::FailBefore, Fault::LostReply, Fault::DieBefore, Fault::DieAfter];

type Meanwhile<'w> = Box<dyn FnOnce(&World<'w>) + 'w>;

/// What is planned for a point.
enum Plan<'w> {
    Fault(Fault),
    Before(Meanwhile<'w>),
    After(Meanwhile<'w>),
}

/// The payload with which a caller dies; it passes the panic hook by.
struct Death;

struct FakeCart {
    user: Option<String>,
    state: CartState,
    version: u64,
    prices: BTreeMap<&'static str, i64>,
}

#[derive(Clone)]
struct FakePayment {
    asked: Authorization,
    state: PaymentState,
    authorized: i64,
    captured: i64,
    refunded: i64,
    decline: Option<Decline>,
    commands: BTreeMap<String, (&'static str, i64)>,
    refused: BTreeSet<String>,
}

#[derive(Default)]
struct Shelf {
    on_hand: BTreeMap<String, i64>,
    reserved: BTreeMap<String, i64>,
    reservations: BTreeMap<String, Reservation>,
    restocked: BTreeMap<String, i64>,
    commands: BTreeSet<String>,
}

/// The world.
pub struct World<'w> {
    /// The rows, the clock and the configuration.
    pub ports: TestPorts,
    carts: RefCell<BTreeMap<String, FakeCart>>,
    shelf: RefCell<Shelf>,
    payments: RefCell<BTreeMap<String, FakePayment>>,
    news: RefCell<Vec<Event>>,
    late: RefCell<Vec<Event>>,
    /// What others heard, in the order of delivery.
    pub heard: RefCell<Vec<Event>>,
    points: Cell<usize>,
    plans: RefCell<BTreeMap<usize, Plan<'w>>>,
    quiet: Cell<bool>,
    /// What a provider that had not decided decides when it is asked next.
    pub verdict: Cell<Option<PaymentState>>,
    /// Whether refunds are refused for good.
    pub keeps_money: Cell<bool>,
    /// Whether the payment provider is away.
    pub away: Cell<bool>,
    /// The token that placements carry: `tok_ok`, `tok_declined`, `tok_action`, `tok_pending`.
    pub token: Cell<&'static str>,
}

impl<'w> World<'w> {
    /// A guest's cart, a full shelf, and money taken at once.
    pub fn new() -> Self {
        let ports = TestPorts::new("order", &[include_str!("../../migrations/0001_orders.sql")]);
        ports.configure("tax_rates", "DE=1900,*=0");
        let cart = FakeCart {
            user: None,
            state: CartState::Open,
            version: 7,
            prices: BTreeMap::from([(SHIRT, 1000), (MUG, 500)]),
        };
        let shelf =
            Shelf { on_hand: BTreeMap::from([(SHIRT.to_owned(), SHELF), (MUG.to_owned(), SHELF)]), ..Shelf::default() };
        Self {
            ports,
            carts: RefCell::new(BTreeMap::from([(CART.to_owned(), cart)])),
            shelf: RefCell::new(shelf),
            payments: RefCell::default(),
            news: RefCell::default(),
            late: RefCell::default(),
            heard: RefCell::default(),
            points: Cell::new(0),
            plans: RefCell::default(),
            quiet: Cell::new(false),
            verdict: Cell::new(None),
            keeps_money: Cell::new(false),
            away: Cell::new(false),
            token: Cell::new("tok_ok"),
        }
    }

    /// The cart belongs to a user.
    pub fn give_cart_to(&self, user: &str) {
        self.carts.borrow_mut().get_mut(CART).expect("it is there").user = Some(user.to_owned());
    }

    /// Sets a price, as a merchant does.
    pub fn set_price(&self, variant: &'static str, price: i64) {
        self.carts.borrow_mut().get_mut(CART).expect("it is there").prices.insert(variant, price);
    }

    /// The shopper changes the cart.
    pub fn touch_cart(&self) {
        self.carts.borrow_mut().get_mut(CART).expect("it is there").version += 1;
    }

    /// Where the cart is.
    pub fn cart_state(&self) -> CartState {
        self.carts.borrow()[CART].state.clone()
    }

    /// Somebody else buys units.
    pub fn take_from_shelf(&self, variant: &str, units: i64) {
        *self.shelf.borrow_mut().on_hand.get_mut(variant).expect("it is there") -= units;
    }

    /// Units counted and promised.
    pub fn units(&self, variant: &str) -> (i64, i64) {
        let shelf = self.shelf.borrow();
        (shelf.on_hand[variant], shelf.reserved.get(variant).copied().unwrap_or(0))
    }

    /// What was authorized, taken and given back for an order.
    pub fn money(&self, order: &str) -> Option<(PaymentState, i64, i64, i64)> {
        let payments = self.payments.borrow();
        payments.get(&payment_id(order)).map(|p| (p.state, p.authorized, p.captured, p.refunded))
    }

    /// How many refunds of an order were refused.
    pub fn refusals(&self, order: &str) -> usize {
        self.payments.borrow()[&payment_id(order)].refused.len()
    }

    /// How many payments there ever were.
    pub fn payments(&self) -> usize {
        self.payments.borrow().len()
    }

    /// Where the next call is.
    pub fn points(&self) -> usize {
        self.points.get()
    }

    /// Plans a fault at a point.
    pub fn fail_at(&self, point: usize, fault: Fault) {
        self.plans.borrow_mut().insert(point, Plan::Fault(fault));
    }

    /// Plans that something else happens just before a point.
    pub fn meanwhile_before(&self, point: usize, what: impl FnOnce(&World<'w>) + 'w) {
        self.plans.borrow_mut().insert(point, Plan::Before(Box::new(what)));
    }

    /// Plans that something else happens just after a point.
    pub fn meanwhile_after(&self, point: usize, what: impl FnOnce(&World<'w>) + 'w) {
        self.plans.borrow_mut().insert(point, Plan::After(Box::new(what)));
    }

    /// Runs something that may die; none when it did.
    pub fn survive<T>(&self, run: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(outcome) => Some(outcome),
            Err(payload) if payload.is::<Death>() => None,
            Err(payload) => resume_unwind(payload),
        }
    }

    /// Nothing goes wrong from here on.
    pub fn calm_down(&self) {
        self.plans.borrow_mut().clear();
    }

    /// A call on behalf of an actor.
    pub fn call(&self, actor: Actor) -> Call {
        self.ports.call(actor)
    }

    /// A call of a guest.
    pub fn guest(&self) -> Call {
        self.call(Actor::Guest)
    }

    /// A call of staff.
    pub fn staff(&self) -> Call {
        self.call(Actor::Staff(STAFF.to_owned()))
    }

    /// A placement that agrees to what the cart costs now.
    pub fn placement(&self, call: &Call, order: &str) -> Placement {
        let quiet = self.quiet.replace(true);
        let request = QuoteRequest { cart_id: CART.to_owned(), shipping_address: address(), shipping_method: None };
        let quote = place::get_quote(self, call, &request).expect("the cart has a price");
        self.quiet.set(quiet);
        Placement {
            order_id: order.to_owned(),
            cart_id: CART.to_owned(),
            quote_hash: quote.hash,
            email: "Ann@example.org".to_owned(),
            shipping_address: address(),
            billing_address: address(),
            shipping_method: quote.shipping_method,
            payment_provider: "test".to_owned(),
            payment_token: self.token.get().to_owned(),
            return_url: "https://shop.example/orders/{order}".to_owned(),
        }
    }

    /// Places an order as a guest.
    pub fn place(&self, placement: &Placement) -> Result<OrderView, OrderError> {
        place::place(self, &self.guest(), placement, [7; 20])
    }

    /// Quotes and places an order as a guest.
    pub fn buy(&self, order: &str) -> Result<OrderView, OrderError> {
        self.place(&self.placement(&self.guest(), order))
    }

    /// A command of staff.
    pub fn ask(&self, command: &str, order: &str, request: Request) -> Result<OrderView, OrderError> {
        command::execute(self, &self.staff(), command, order, request)
    }

    /// The order as it is stored.
    pub fn order(&self, id: &str) -> Option<Order> {
        let loaded = store::load(&self.ports, id, None).expect("the rows are there");
        loaded.map(|loaded| loaded.order)
    }

    /// Delivers what is due to order, once each; what fails or dies is delivered again next time, up to [`TRIES_MAX`] times.
    pub fn deliver(&self) {
        let mut due = self.late.take();
        due.extend(self.ports.take_due_events());
        due.extend(self.news.take());
        for mut event in due {
            let own = matches!(event.topic.as_str(), "order.checkout-due" | "payment.settled" | "payment.changed");
            if !own {
                self.heard.borrow_mut().push(event);
                continue;
            }
            let call = self.call(Actor::System("events".to_owned()));
            match self.survive(|| events::handle(self, &call, &event)) {
                Some(Ok(())) => {}
                Some(Err(_)) | None => {
                    assert!(event.attempt < TRIES_MAX, "an event is given up: {event:?}");
                    event.attempt += 1;
                    self.late.borrow_mut().push(event);
                }
            }
        }
    }

    /// Lets hours pass, with all that is delivered in them.
    pub fn pass_time(&self) {
        for minutes in [1, 1, 1, 2, 3, 5, 10, 20, 40, 61, 61, 61, 61, 61] {
            self.ports.advance(minutes * 60_000);
            self.deliver();
        }
    }

    /// Lets days pass, an hour at a time.
    pub fn pass_days(&self, days: u32) {
        for _ in 0..days * 24 {
            self.ports.advance(3_600_000);
            self.deliver();
        }
    }

    /// The facts of a topic that others heard.
    pub fn facts(&self, topic: &str) -> Vec<serde_json::Value> {
        let heard = self.heard.borrow();
        let facts = heard.iter().filter(|event| event.topic == topic);
        facts.map(|event| serde_json::from_str(&event.payload).expect("payloads are JSON")).collect()
    }

    /// Every order is at rest, and cart, stock, money and events agree with it.
    pub fn assert_at_rest(&self) {
        assert!(self.late.borrow().is_empty(), "every event was taken: {:?}", self.late.borrow());
        let mut sold: BTreeMap<&str, i64> = BTreeMap::new();
        let mut standing = Vec::new();
        for number in 1..=3 {
            let id = order_id(number);
            let Some(order) = self.order(&id) else { continue };
            order.assert_sound();
            assert!(!order.is_unfinished(), "{id} has ended: {:?} {:?}", order.stage, order.open);
            let placed = self.facts("order.placed").iter().filter(|fact| fact["order_id"] == *id).count();
            assert_eq!(placed, usize::from(order.confirmed_at.is_some()), "placed is told once");
            match order.stage {
                Stage::Confirmed | Stage::Completed => {
                    standing.push(id.clone());
                    for line in &order.lines {
                        let gone = line.item.quantity - line.withdrawn - line.returned;
                        *sold.entry(if line.item.variant_id == SHIRT { SHIRT } else { MUG }).or_default() +=
                            i64::from(gone);
                    }
                    let (state, authorized, captured, refunded) = self.money(&id).expect("it is paid for");
                    assert_eq!((state, authorized), (PaymentState::Authorized, order.total()));
                    assert_eq!((captured, refunded), (order.funds.captured, order.funds.refunded));
                    assert_eq!(self.cart_state(), CartState::Completed(id.clone()));
                }
                Stage::Canceled => {
                    if let Some((state, _, captured, refunded)) = self.money(&id) {
                        let held = state == PaymentState::Authorized && captured == 0;
                        let open = matches!(state, PaymentState::Pending | PaymentState::RequiresAction);
                        assert!(!held && !open && captured == refunded, "{id} holds money: {state:?}");
                    }
                    assert_ne!(self.cart_state(), CartState::CheckingOut(id.clone()));
                    let told = self.facts("order.canceled").iter().filter(|fact| fact["order_id"] == *id).count();
                    assert_eq!(told, usize::from(order.announce), "a cancellation is told once, if at all");
                }
                Stage::Pending | Stage::AwaitingAction | Stage::GivingUp | Stage::Canceling => {
                    unreachable!("it is at rest")
                }
            }
        }
        assert!(standing.len() <= 1, "one cart makes one order: {standing:?}");
        for variant in [SHIRT, MUG] {
            let (on_hand, reserved) = self.units(variant);
            let sold = sold.get(variant).copied().unwrap_or(0);
            assert_eq!((on_hand + sold, reserved), (SHELF, 0), "{variant} was sold exactly once");
        }
        assert_eq!(self.audit(), [], "the audit agrees");
    }

    /// What the audit finds.
    pub fn audit(&self) -> Vec<audit::Finding> {
        self.quiet.set(true);
        let call = self.call(Actor::System("audit".to_owned()));
        let (mut findings, mut cursor) = (Vec::new(), None);
        loop {
            let page = audit::check(self, &call, cursor).expect("all answer");
            findings.extend(page.findings);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        self.quiet.set(false);
        findings
    }

    /// One call to the outside: what is planned for this point happens.
    fn point<T>(&self, effect: impl FnOnce() -> T, unavailable: impl FnOnce() -> T) -> T {
        if self.quiet.get() {
            return effect();
        }
        let point = self.points.get();
        self.points.set(point + 1);
        let plan = self.plans.borrow_mut().remove(&point);
        match plan {
            None => effect(),
            Some(Plan::Fault(Fault::FailBefore)) => unavailable(),
            Some(Plan::Fault(Fault::LostReply)) => {
                effect();
                unavailable()
            }
            Some(Plan::Fault(Fault::DieBefore)) => resume_unwind(Box::new(Death)),
            Some(Plan::Fault(Fault::DieAfter)) => {
                effect();
                resume_unwind(Box::new(Death))
            }
            Some(Plan::Before(what)) => {
                self.meanwhile(what);
                effect()
            }
            Some(Plan::After(what)) => {
                let outcome = effect();
                self.meanwhile(what);
                outcome
            }
        }
    }

    /// What others do meanwhile is no point of the run under test.
    fn meanwhile(&self, what: Meanwhile<'w>) {
        self.quiet.set(true);
        what(self);
        self.quiet.set(false);
    }
}

/// An address in Germany.
pub fn address() -> Address {
    Address {
        name: "Ann Bee".to_owned(),
        company: String::new(),
        line1: "Main Street 1".to_owned(),
        line2: String::new(),
        city: "Berlin".to_owned(),
        region: String::new(),
        postal_code: "10115".to_owned(),
        country: "DE".to_owned(),
        phone: String::new(),
    }
}

impl Config for World<'_> {
    fn get(&self, name: &str) -> Option<String> {
        Config::get(&self.ports, name)
    }
}

impl Sql for World<'_> {
    fn query(&self, reads: &[Read], batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        self.point(|| self.ports.query(reads, batch_id), || Err(SqlError::Unavailable("down".to_owned())))
    }

    fn commit(&self, batch: &Batch) -> Result<Vec<u64>, SqlError> {
        assert!(batch.id.len() <= 200, "{}", batch.id);
        self.point(|| self.ports.commit(batch), || Err(SqlError::Unavailable("down".to_owned())))
    }
}

/// A command id.
pub fn command_id(number: u32) -> String {
    ids::derive("cmd", &["test", &number.to_string()])
}
