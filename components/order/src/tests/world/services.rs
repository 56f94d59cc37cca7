//! Carts, stock and payments of the tests: small, but as their contracts say.

use std::collections::{BTreeMap, BTreeSet};

use souk_kit::cart::{CartError, CartState, CartView, LineItem};
use souk_kit::catalog::{CatalogError, Reservation, ReservationState, Shortage, StockLine};
use souk_kit::events::Event;
use souk_kit::payment::{Authorization, PaymentError, PaymentState, PaymentView};
use souk_kit::payment_extension::{CapturePolicy, Decline};
use souk_kit::{Actor, Context, Id, Money};

use super::{FakeCart, FakePayment, MUG, SHIRT, Shelf, World};
use crate::domain::payment_id;
use crate::ports::{Carts, Payments, Stock};

impl World<'_> {
    fn tell(&self, payment: &FakePayment) {
        let state = match payment.state {
            PaymentState::Authorized => "authorized",
            PaymentState::Declined => "declined",
            PaymentState::Voided => "voided",
            PaymentState::Pending | PaymentState::RequiresAction => return,
        };
        let id = &payment.asked.payment_id;
        let payload = serde_json::json!({ "payment_id": id, "order_id": payment.asked.order_id, "state": state });
        self.news.borrow_mut().push(Event {
            id: format!("{id}/{state}/0"),
            topic: "payment.settled".to_owned(),
            key: id.clone(),
            payload: payload.to_string(),
            committed_at: self.ports.now(),
            attempt: 1,
        });
    }

    /// The provider decides on a payment that it had not decided on.
    pub fn decide(&self, order: &str, verdict: PaymentState) {
        let mut payments = self.payments.borrow_mut();
        let Some(payment) = payments.get_mut(&payment_id(order)) else { return };
        self.settle(payment, verdict);
    }

    /// An authorization that a slow run had sent off arrives only now, as if there had been no payment before.
    pub fn hold_late(&self, order: &str) {
        let mut payments = self.payments.borrow_mut();
        let payment = payments.get_mut(&payment_id(order)).expect("there is a payment");
        payment.commands.clear();
        payment.state = PaymentState::Authorized;
        payment.authorized = payment.asked.amount.minor;
        self.tell(payment);
    }

    /// A call that needs the provider.
    fn provider<T>(&self, effect: impl FnOnce() -> Result<T, PaymentError>) -> Result<T, PaymentError> {
        let down = || Err(PaymentError::Unavailable("down".to_owned()));
        self.point(|| if self.away.get() { down() } else { effect() }, down)
    }

    fn settle(&self, payment: &mut FakePayment, verdict: PaymentState) {
        match payment.state {
            PaymentState::Pending | PaymentState::RequiresAction => {}
            PaymentState::Authorized | PaymentState::Declined | PaymentState::Voided => return,
        }
        payment.state = verdict;
        match verdict {
            PaymentState::Authorized => {
                payment.authorized = payment.asked.amount.minor;
                if payment.asked.capture == CapturePolicy::Automatic {
                    payment.captured = payment.authorized;
                }
            }
            PaymentState::Declined => {
                payment.decline =
                    Some(Decline { code: "card_declined".to_owned(), message: "The card was declined.".to_owned() });
            }
            PaymentState::Voided | PaymentState::Pending | PaymentState::RequiresAction => {}
        }
        self.tell(payment);
    }

    fn command(
        &self,
        command_id: &str,
        payment_id: &str,
        kind: &'static str,
        amount: i64,
    ) -> Result<PaymentView, PaymentError> {
        let mut payments = self.payments.borrow_mut();
        let payment = payments.get_mut(payment_id).ok_or(PaymentError::NotFound)?;
        if let Some(known) = payment.commands.get(command_id) {
            assert_eq!(*known, (kind, amount), "a repeat asks for the same");
            return Ok(view(payment));
        }
        let keeps = kind == "refund" && payment.state == PaymentState::Authorized && self.keeps_money.get();
        if keeps || payment.refused.contains(command_id) {
            payment.refused.insert(command_id.to_owned());
            let why = Decline { code: "rejected".to_owned(), message: "The card is closed.".to_owned() };
            return Err(PaymentError::Refused(why));
        }
        match (kind, payment.state) {
            ("void", PaymentState::Voided) => return Ok(view(payment)),
            ("void", PaymentState::Pending | PaymentState::RequiresAction) => {
                self.settle(payment, PaymentState::Voided);
            }
            ("void", PaymentState::Authorized) if payment.captured == 0 => {
                payment.state = PaymentState::Voided;
                payment.authorized = 0;
                self.tell(payment);
            }
            ("capture", PaymentState::Authorized) => {
                let left = payment.authorized - payment.captured;
                if amount > left {
                    return Err(PaymentError::Exceeds(left));
                }
                payment.captured += amount;
            }
            ("refund", PaymentState::Authorized) => {
                let left = payment.captured - payment.refunded;
                if amount > left {
                    return Err(PaymentError::Exceeds(left));
                }
                payment.refunded += amount;
            }
            (_, state) => return Err(PaymentError::WrongState(state)),
        }
        payment.commands.insert(command_id.to_owned(), (kind, amount));
        Ok(view(payment))
    }
}

fn view(payment: &FakePayment) -> PaymentView {
    PaymentView {
        id: payment.asked.payment_id.clone(),
        order_id: payment.asked.order_id.clone(),
        provider: payment.asked.provider.clone(),
        provider_reference: "ref".to_owned(),
        state: payment.state,
        amount: payment.asked.amount.clone(),
        authorized: payment.authorized,
        captured: payment.captured,
        refunded: payment.refunded,
        in_flight: false,
        action_url: match payment.state {
            PaymentState::RequiresAction => "https://provider.example/action".to_owned(),
            PaymentState::Pending | PaymentState::Authorized | PaymentState::Declined | PaymentState::Voided => {
                String::new()
            }
        },
        decline: payment.decline.clone(),
        refunds: Vec::new(),
        created_at: 0,
    }
}

impl Carts for World<'_> {
    fn get_cart(&self, ctx: &Context, cart_id: &str) -> Result<CartView, CartError> {
        let effect = || {
            let carts = self.carts.borrow();
            let cart = carts.get(cart_id).ok_or(CartError::NotFound)?;
            let sees = match (&ctx.actor, &cart.user) {
                (Actor::Staff(_) | Actor::System(_), _) | (_, None) => true,
                (Actor::User(user), Some(owner)) => user == owner,
                (Actor::Guest, Some(_)) => false,
            };
            if sees { Ok(self.price(cart_id, cart)) } else { Err(CartError::NotFound) }
        };
        self.point(effect, || Err(CartError::Unavailable("down".to_owned())))
    }

    fn begin_checkout(
        &self,
        _ctx: &Context,
        cart_id: &str,
        version: u64,
        order_id: &str,
    ) -> Result<CartView, CartError> {
        let effect = || {
            let mut carts = self.carts.borrow_mut();
            let cart = carts.get_mut(cart_id).ok_or(CartError::NotFound)?;
            match &cart.state {
                CartState::CheckingOut(order) if order == order_id => {}
                CartState::Open if cart.version == version => {
                    cart.state = CartState::CheckingOut(order_id.to_owned());
                    cart.version += 1;
                }
                CartState::Open | CartState::CheckingOut(_) => return Err(CartError::Conflict),
                CartState::Completed(_) | CartState::Merged(_) => return Err(CartError::Closed),
            }
            Ok(self.price(cart_id, &carts[cart_id]))
        };
        self.point(effect, || Err(CartError::Unavailable("down".to_owned())))
    }

    fn end_checkout(&self, _ctx: &Context, cart_id: &str, order_id: &str, confirmed: bool) -> Result<(), CartError> {
        let effect = || {
            let mut carts = self.carts.borrow_mut();
            let cart = carts.get_mut(cart_id).ok_or(CartError::NotFound)?;
            if cart.state == CartState::CheckingOut(order_id.to_owned()) {
                cart.state = if confirmed { CartState::Completed(order_id.to_owned()) } else { CartState::Open };
                cart.version += 1;
            }
            Ok(())
        };
        self.point(effect, || Err(CartError::Unavailable("down".to_owned())))
    }
}

impl World<'_> {
    fn price(&self, cart_id: &str, cart: &FakeCart) -> CartView {
        let line = |(variant, quantity): (&'static str, u32)| {
            let price = Money::new(cart.prices[variant], "EUR");
            let (on_hand, reserved) = self.units(variant);
            LineItem {
                variant_id: variant.to_owned(),
                product_id: "prod_00000000000000000000000000000001".to_owned(),
                slug: "thing".to_owned(),
                title: "Thing".to_owned(),
                variant_title: "M".to_owned(),
                sku: "T-M".to_owned(),
                image_url: String::new(),
                quantity,
                unit_price: price.clone(),
                set_unit_price: price.clone(),
                total: Money::new(price.minor * i64::from(quantity), "EUR"),
                available: on_hand - reserved,
                weight_grams: 100,
                warnings: Vec::new(),
            }
        };
        CartView {
            id: cart_id.to_owned(),
            user_id: cart.user.clone(),
            currency: "EUR".to_owned(),
            state: cart.state.clone(),
            lines: [(SHIRT, 2), (MUG, 1)].map(line).into(),
            subtotal: Money::new(0, "EUR"),
            version: cart.version,
        }
    }

    /// Promises that have expired are given back, as the catalog's own timer does.
    fn expire(&self, shelf: &mut Shelf) {
        for reservation in shelf.reservations.values_mut() {
            if reservation.state == ReservationState::Held && reservation.expires_at <= self.ports.now() {
                reservation.state = ReservationState::Released;
                for line in &reservation.lines {
                    *shelf.reserved.get_mut(&line.variant_id).expect("it was promised") -= i64::from(line.quantity);
                }
            }
        }
    }

    fn shortages(shelf: &Shelf, lines: &[StockLine]) -> Vec<Shortage> {
        let available = |id: &str| shelf.on_hand[id] - shelf.reserved.get(id).copied().unwrap_or(0);
        let short = lines.iter().filter(|line| available(&line.variant_id) < i64::from(line.quantity));
        short
            .map(|line| Shortage { variant_id: line.variant_id.clone(), available: available(&line.variant_id) })
            .collect()
    }
}

impl Stock for World<'_> {
    fn reserve(
        &self,
        _ctx: &Context,
        order_id: &str,
        lines: &[StockLine],
        ttl_seconds: u32,
    ) -> Result<Reservation, CatalogError> {
        let effect = || {
            let shelf = &mut *self.shelf.borrow_mut();
            self.expire(shelf);
            if let Some(known) = shelf.reservations.get(order_id) {
                return Ok(known.clone());
            }
            let short = Self::shortages(shelf, lines);
            if !short.is_empty() {
                return Err(CatalogError::OutOfStock(short));
            }
            for line in lines {
                *shelf.reserved.entry(line.variant_id.clone()).or_default() += i64::from(line.quantity);
            }
            let reservation = Reservation {
                order_id: order_id.to_owned(),
                state: ReservationState::Held,
                lines: lines.to_vec(),
                expires_at: self.ports.now() + i64::from(ttl_seconds) * 1000,
            };
            shelf.reservations.insert(order_id.to_owned(), reservation.clone());
            Ok(reservation)
        };
        self.point(effect, || Err(CatalogError::Unavailable("down".to_owned())))
    }

    fn commit_reservation(&self, _ctx: &Context, order_id: &str) -> Result<Reservation, CatalogError> {
        let effect = || {
            let shelf = &mut *self.shelf.borrow_mut();
            self.expire(shelf);
            let Some(mut reservation) = shelf.reservations.get(order_id).cloned() else {
                return Err(CatalogError::NotFound);
            };
            match reservation.state {
                ReservationState::Committed => return Ok(reservation),
                ReservationState::Held => {
                    for line in &reservation.lines {
                        *shelf.reserved.get_mut(&line.variant_id).expect("promised") -= i64::from(line.quantity);
                    }
                }
                ReservationState::Released => {
                    if reservation.lines.is_empty() || !Self::shortages(shelf, &reservation.lines).is_empty() {
                        return Err(CatalogError::Expired);
                    }
                }
            }
            for line in &reservation.lines {
                *shelf.on_hand.get_mut(&line.variant_id).expect("it exists") -= i64::from(line.quantity);
            }
            reservation.state = ReservationState::Committed;
            shelf.reservations.insert(order_id.to_owned(), reservation.clone());
            Ok(reservation)
        };
        self.point(effect, || Err(CatalogError::Unavailable("down".to_owned())))
    }

    fn release_reservation(&self, _ctx: &Context, order_id: &str) -> Result<Reservation, CatalogError> {
        let effect = || {
            let shelf = &mut *self.shelf.borrow_mut();
            self.expire(shelf);
            let mut reservation = shelf.reservations.get(order_id).cloned().unwrap_or_else(|| Reservation {
                order_id: order_id.to_owned(),
                state: ReservationState::Released,
                lines: Vec::new(),
                expires_at: self.ports.now(),
            });
            match reservation.state {
                ReservationState::Committed => return Err(CatalogError::Settled),
                ReservationState::Released => {}
                ReservationState::Held => {
                    for line in &reservation.lines {
                        *shelf.reserved.get_mut(&line.variant_id).expect("promised") -= i64::from(line.quantity);
                    }
                }
            }
            reservation.state = ReservationState::Released;
            shelf.reservations.insert(order_id.to_owned(), reservation.clone());
            Ok(reservation)
        };
        self.point(effect, || Err(CatalogError::Unavailable("down".to_owned())))
    }

    fn get_reservation(&self, _ctx: &Context, order_id: &str) -> Result<Reservation, CatalogError> {
        let effect = || {
            let shelf = &mut *self.shelf.borrow_mut();
            self.expire(shelf);
            shelf.reservations.get(order_id).cloned().ok_or(CatalogError::NotFound)
        };
        self.point(effect, || Err(CatalogError::Unavailable("down".to_owned())))
    }

    fn list_reserved_orders(&self, _ctx: &Context, after: &str, limit: u32) -> Result<Vec<Id>, CatalogError> {
        let effect = || {
            let shelf = self.shelf.borrow();
            let ids = shelf.reservations.keys().filter(|id| id.as_str() > after);
            Ok(ids.take(limit as usize).cloned().collect())
        };
        self.point(effect, || Err(CatalogError::Unavailable("down".to_owned())))
    }

    fn restock(
        &self,
        _ctx: &Context,
        command_id: &str,
        order_id: &str,
        lines: &[StockLine],
    ) -> Result<(), CatalogError> {
        let effect = || {
            let shelf = &mut *self.shelf.borrow_mut();
            if shelf.commands.contains(command_id) {
                return Ok(());
            }
            let reservation = shelf.reservations.get(order_id).cloned().ok_or(CatalogError::NotFound)?;
            if reservation.state != ReservationState::Committed {
                return Err(CatalogError::Settled);
            }
            assert!(!lines.is_empty(), "a restocking has lines");
            for line in lines {
                let key = format!("{order_id}/{}", line.variant_id);
                let restocked = shelf.restocked.entry(key).or_default();
                *restocked += i64::from(line.quantity);
                let took = reservation.lines.iter().find(|took| took.variant_id == line.variant_id);
                let took = took.map_or(0, |took| i64::from(took.quantity));
                assert!(*restocked <= took, "no more goes back than was taken");
                *shelf.on_hand.get_mut(&line.variant_id).expect("it exists") += i64::from(line.quantity);
            }
            shelf.commands.insert(command_id.to_owned());
            Ok(())
        };
        self.point(effect, || Err(CatalogError::Unavailable("down".to_owned())))
    }
}

impl Payments for World<'_> {
    fn authorize(&self, _ctx: &Context, asked: &Authorization) -> Result<PaymentView, PaymentError> {
        let effect = || {
            assert!(asked.amount.minor > 0, "nothing is never asked for");
            let mut payments = self.payments.borrow_mut();
            if let Some(known) = payments.get_mut(&asked.payment_id) {
                assert_eq!(known.asked, *asked, "a repeat asks for the same");
                if let Some(verdict) = self.verdict.get().filter(|_| known.state == PaymentState::Pending) {
                    self.settle(known, verdict);
                }
                return Ok(view(known));
            }
            let mut payment = FakePayment {
                asked: asked.clone(),
                state: PaymentState::Pending,
                authorized: 0,
                captured: 0,
                refunded: 0,
                decline: None,
                commands: BTreeMap::new(),
                refused: BTreeSet::new(),
            };
            match asked.token.as_str() {
                "tok_ok" => self.settle(&mut payment, PaymentState::Authorized),
                "tok_declined" => self.settle(&mut payment, PaymentState::Declined),
                "tok_action" => payment.state = PaymentState::RequiresAction,
                "tok_pending" => {}
                other => panic!("no token is called {other}"),
            }
            let answer = view(&payment);
            payments.insert(asked.payment_id.clone(), payment);
            Ok(answer)
        };
        self.provider(effect)
    }

    fn refresh(&self, _ctx: &Context, payment_id: &str) -> Result<PaymentView, PaymentError> {
        let effect = || {
            let mut payments = self.payments.borrow_mut();
            let payment = payments.get_mut(payment_id).ok_or(PaymentError::NotFound)?;
            if let Some(verdict) = self.verdict.get() {
                self.settle(payment, verdict);
            }
            Ok(view(payment))
        };
        self.provider(effect)
    }

    fn get_payment(&self, _ctx: &Context, payment_id: &str) -> Result<PaymentView, PaymentError> {
        let effect = || self.payments.borrow().get(payment_id).map(view).ok_or(PaymentError::NotFound);
        self.point(effect, || Err(PaymentError::Unavailable("down".to_owned())))
    }

    fn list_paid_orders(&self, _ctx: &Context, after: &str, limit: u32) -> Result<Vec<Id>, PaymentError> {
        let effect = || {
            let payments = self.payments.borrow();
            let mut ids: Vec<Id> = payments.values().map(|payment| payment.asked.order_id.clone()).collect();
            ids.retain(|id| id.as_str() > after);
            ids.sort();
            ids.truncate(limit as usize);
            Ok(ids)
        };
        self.point(effect, || Err(PaymentError::Unavailable("down".to_owned())))
    }

    fn capture(
        &self,
        _ctx: &Context,
        command_id: &str,
        payment_id: &str,
        amount: &Money,
    ) -> Result<PaymentView, PaymentError> {
        let effect = || self.command(command_id, payment_id, "capture", amount.minor);
        self.provider(effect)
    }

    fn void(&self, _ctx: &Context, command_id: &str, payment_id: &str) -> Result<PaymentView, PaymentError> {
        let effect = || self.command(command_id, payment_id, "void", 0);
        self.provider(effect)
    }

    fn refund(
        &self,
        _ctx: &Context,
        command_id: &str,
        payment_id: &str,
        amount: &Money,
        _reason: &str,
    ) -> Result<PaymentView, PaymentError> {
        let effect = || self.command(command_id, payment_id, "refund", amount.minor);
        self.provider(effect)
    }

    fn list_providers(&self, _ctx: &Context) -> Vec<String> {
        vec!["test".to_owned()]
    }
}
