//! A payment service on real SQLite, beside a provider that fails in every way that providers fail.

mod domain;
mod holds;
mod inbox;
mod laws;
mod service;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use souk_kit::events::Event;
use souk_kit::payment::{Authorization, PaymentError, PaymentView};
use souk_kit::payment_extension::{
    CapturePolicy, Decline, Hook, HookError, News, ProviderAuthorization, ProviderCommand, ProviderError,
    ProviderObject, ProviderPayment, ProviderState,
};
use souk_kit::ports::{Call, Config, Sql};
use souk_kit::sql::{Batch, Read, Snapshot, SqlError};
use souk_kit::testing::TestPorts;
use souk_kit::types::{Actor, Context, Id, Instant, Money};

use crate::audit;
use crate::domain::Kind;
use crate::service::{self as payments, Providers, Wish};

const MIGRATIONS: [&str; 4] = [
    include_str!("../migrations/0001_payments.sql"),
    include_str!("../migrations/0002_hooks.sql"),
    include_str!("../migrations/0003_take_by.sql"),
    include_str!("../migrations/0004_drop_facts.sql"),
];
const PAY: &str = "pay_00000000000000000000000000000001";
const ORD: &str = "ord_00000000000000000000000000000001";

/// What goes wrong with one call to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// Refused for good, remembered with the command.
    Refuse,
    /// Lost on its way there.
    LostBefore,
    /// Lost on its way back.
    LostAfter,
    /// Never sent.
    NotSent,
    /// Done, and answered with somebody else's order.
    WrongOrder,
    /// Done, and answered with another amount.
    WrongAmount,
    /// Done, and answered with another currency.
    WrongCurrency,
    /// Done, and answered with totals that are not what was asked for. Lookups tell the truth.
    WrongTotals,
    /// Answered without having been done.
    Pretend,
}

const TROUBLES: [Trouble; 10] = [
    Trouble::None,
    Trouble::Refuse,
    Trouble::LostBefore,
    Trouble::LostAfter,
    Trouble::NotSent,
    Trouble::WrongOrder,
    Trouble::WrongAmount,
    Trouble::WrongCurrency,
    Trouble::WrongTotals,
    Trouble::Pretend,
];

type Meanwhile = Box<dyn FnOnce(&World)>;

/// All ports, and a provider that guards nothing: it captures and refunds whatever it is asked to, once per command.
struct World {
    ports: TestPorts,
    objects: RefCell<BTreeMap<Id, ProviderPayment>>,
    done: RefCell<BTreeMap<Id, bool>>,
    trouble: RefCell<VecDeque<Trouble>>,
    opens_as: RefCell<ProviderState>,
    /// Until when it holds what it authorizes next.
    holds_until: Cell<Option<Instant>>,
    /// What another instance does while the provider is asked.
    meanwhile: RefCell<Option<Meanwhile>>,
    /// What another instance does right after a commit.
    committed: RefCell<Option<Meanwhile>>,
    holds_asked: Cell<u32>,
}

impl World {
    fn new() -> Self {
        Self {
            ports: TestPorts::new("payment", &MIGRATIONS),
            objects: RefCell::default(),
            done: RefCell::default(),
            trouble: RefCell::default(),
            opens_as: RefCell::new(ProviderState::Authorized),
            holds_until: Cell::new(None),
            meanwhile: RefCell::default(),
            committed: RefCell::default(),
            holds_asked: Cell::new(0),
        }
    }

    fn call(&self) -> Call {
        self.ports.call(Actor::System("test".to_owned()))
    }

    fn troubles(&self, troubles: &[Trouble]) {
        self.trouble.borrow_mut().extend(troubles);
    }

    fn calm(&self) {
        self.trouble.borrow_mut().clear();
    }

    fn authorize(&self, capture: CapturePolicy) -> Result<PaymentView, PaymentError> {
        payments::authorize(self, &self.call(), &asked(capture))
    }

    fn command(&self, id: &str, kind: Kind, amount: i64) -> Result<PaymentView, PaymentError> {
        payments::command(self, &self.call(), &wish(id, kind, amount))
    }

    fn refresh(&self) -> Result<PaymentView, PaymentError> {
        payments::refresh(self, &self.call(), &PAY.to_owned())
    }

    fn get(&self) -> PaymentView {
        payments::get(self, &PAY.to_owned()).expect("the payment is stored")
    }

    fn object(&self) -> ProviderPayment {
        self.objects.borrow()[PAY].clone()
    }

    fn alter(&self, change: impl FnOnce(&mut ProviderPayment)) {
        change(self.objects.borrow_mut().get_mut(PAY).expect("the provider has it"));
    }

    /// Delivers what is due as the host would, and answers what others would hear.
    fn deliver(&self) -> Vec<Event> {
        let mut others = Vec::new();
        for event in self.ports.take_due_events() {
            let taken = match event.topic.as_str() {
                "payment.check-due" => payments::check_due(self, &self.call(), &PAY.to_owned()),
                "payment.news-due" => self.deliver_news(&event),
                _ => {
                    others.push(event);
                    Ok(())
                }
            };
            taken.expect("a timer is handled");
        }
        others
    }

    fn deliver_news(&self, event: &Event) -> Result<(), PaymentError> {
        let payload: serde_json::Value = serde_json::from_str(&event.payload).expect("a payload is JSON");
        let id = payload["hook_id"].as_str().expect("an id").to_owned();
        payments::news_due(self, &self.call(), &id, payload["attempt"].as_u64().expect("a number"))
    }

    /// Lets timers run until none is left, without any trouble.
    fn settle(&self) -> Vec<Event> {
        self.calm();
        let mut heard = Vec::new();
        for _ in 0..40 {
            heard.extend(self.deliver());
            self.ports.advance(hear_step());
        }
        heard
    }

    fn findings(&self) -> Vec<&'static str> {
        let mut findings = Vec::new();
        let mut cursor = Some(String::new());
        while let Some(after) = cursor {
            let page = audit::check(&self.ports, &self.call(), Some(&after)).expect("the audit reads");
            findings.extend(page.findings.into_iter().map(|finding| finding.invariant));
            cursor = page.next;
        }
        findings
    }

    /// What must hold at every moment, whatever the provider did.
    fn assert_sound(&self) {
        let broken: Vec<&str> = self
            .findings()
            .into_iter()
            .filter(|name| !matches!(*name, "payment_has_news" | "payment_is_believed"))
            .collect();
        assert_eq!(broken, Vec::<&str>::new());
        for object in self.objects.borrow().values() {
            assert!(object.refunded <= object.captured && object.captured <= object.amount.minor, "{object:?}");
            assert!(object.state != ProviderState::Voided || object.captured == 0, "{object:?}");
        }
    }

    fn next_trouble(&self) -> Trouble {
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile(self);
        }
        self.trouble.borrow_mut().pop_front().unwrap_or(Trouble::None)
    }

    /// One command at the provider: the effect happens once per id, and a repeat answers as the first call did.
    fn effect(
        &self,
        asked: &ProviderObject,
        command: &ProviderCommand,
        change: impl FnOnce(&mut ProviderPayment),
    ) -> Result<ProviderPayment, ProviderError> {
        assert!(asked.asked_at <= command.asked_at, "a command is not older than its payment");
        let key = &asked.key;
        let trouble = self.next_trouble();
        match trouble {
            Trouble::LostBefore => return Err(ProviderError::Unknown("no reply".to_owned())),
            Trouble::NotSent => return Err(ProviderError::NotSent("no route".to_owned())),
            Trouble::Pretend => return self.objects.borrow().get(key).cloned().ok_or(ProviderError::NotFound),
            _ => {}
        }
        let mut objects = self.objects.borrow_mut();
        let object = objects.get_mut(key).ok_or(ProviderError::NotFound)?;
        let mut done = self.done.borrow_mut();
        let allowed = *done.entry(command.id.clone()).or_insert_with(|| {
            if trouble != Trouble::Refuse {
                change(object);
            }
            trouble != Trouble::Refuse
        });
        if !allowed {
            return Err(ProviderError::Refused(refusal()));
        }
        garble(trouble, object.clone())
    }
}

fn hear_step() -> i64 {
    crate::domain::CHECK_DELAY_MAX_MS
}

fn refusal() -> Decline {
    Decline { code: "rejected".to_owned(), message: "No.".to_owned() }
}

fn garble(trouble: Trouble, mut told: ProviderPayment) -> Result<ProviderPayment, ProviderError> {
    match trouble {
        Trouble::None | Trouble::Refuse | Trouble::LostBefore | Trouble::NotSent | Trouble::Pretend => {}
        Trouble::LostAfter => return Err(ProviderError::Unknown("no reply".to_owned())),
        Trouble::WrongOrder => told.order_id = "ord_00000000000000000000000000000009".to_owned(),
        Trouble::WrongAmount => told.amount.minor += 1,
        Trouble::WrongCurrency => told.amount.currency = "EUR".to_owned(),
        Trouble::WrongTotals => told.captured = if told.captured == 0 { 1 } else { told.captured - 1 },
    }
    Ok(told)
}

fn asked(capture: CapturePolicy) -> Authorization {
    Authorization {
        payment_id: PAY.to_owned(),
        order_id: ORD.to_owned(),
        amount: Money::new(100, "USD"),
        provider: "test".to_owned(),
        token: "tok".to_owned(),
        return_url: "/back".to_owned(),
        capture,
    }
}

fn wish(id: &str, kind: Kind, amount: i64) -> Wish {
    Wish {
        command_id: id.to_owned(),
        payment_id: PAY.to_owned(),
        kind,
        amount: (kind != Kind::Void).then(|| Money::new(amount, "USD")),
        reason: String::new(),
    }
}

impl Sql for World {
    fn query(&self, reads: &[Read], batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        self.ports.query(reads, batch_id)
    }

    fn commit(&self, batch: &Batch) -> Result<Vec<u64>, SqlError> {
        let changed = self.ports.commit(batch)?;
        if let Some(committed) = self.committed.take() {
            committed(self);
        }
        Ok(changed)
    }
}

impl Config for World {
    fn get(&self, name: &str) -> Option<String> {
        Config::get(&self.ports, name)
    }
}

impl Providers for World {
    fn authorize(&self, _: &Context, _: &str, asked: &ProviderAuthorization) -> Result<ProviderPayment, ProviderError> {
        self.holds_asked.set(self.holds_asked.get() + 1);
        let trouble = self.next_trouble();
        match trouble {
            Trouble::LostBefore => return Err(ProviderError::Unknown("no reply".to_owned())),
            Trouble::NotSent => return Err(ProviderError::NotSent("no route".to_owned())),
            Trouble::Refuse => return Err(ProviderError::Refused(refusal())),
            _ => {}
        }
        let mut objects = self.objects.borrow_mut();
        let object = objects.entry(asked.key.clone()).or_insert_with(|| {
            let state = self.opens_as.borrow().clone();
            let taken = state == ProviderState::Authorized && asked.capture == CapturePolicy::Automatic;
            ProviderPayment {
                reference: format!("ref-{}", asked.key),
                order_id: asked.order_id.clone(),
                amount: asked.amount.clone(),
                state,
                captured: if taken { asked.amount.minor } else { 0 },
                refunded: 0,
                held_until: self.holds_until.get().filter(|_| !taken),
            }
        });
        // A hold has no totals to be wrong about; another amount is caught all the same.
        garble(if trouble == Trouble::WrongTotals { Trouble::WrongAmount } else { trouble }, object.clone())
    }

    fn lookup(&self, _: &Context, _: &str, asked: &ProviderObject) -> Result<ProviderPayment, ProviderError> {
        let key = &asked.key;
        let trouble = self.next_trouble();
        match trouble {
            Trouble::LostBefore | Trouble::LostAfter | Trouble::NotSent | Trouble::Refuse => {
                Err(ProviderError::Unknown("no reply".to_owned()))
            }
            Trouble::None | Trouble::WrongTotals | Trouble::Pretend => {
                self.objects.borrow().get(key).cloned().ok_or(ProviderError::NotFound)
            }
            Trouble::WrongOrder | Trouble::WrongAmount | Trouble::WrongCurrency => {
                let told = self.objects.borrow().get(key).cloned().ok_or(ProviderError::NotFound)?;
                garble(trouble, told)
            }
        }
    }

    fn capture(
        &self,
        _: &Context,
        _: &str,
        object: &ProviderObject,
        command: &ProviderCommand,
        amount: &Money,
    ) -> Result<ProviderPayment, ProviderError> {
        self.effect(object, command, |object| object.captured += amount.minor)
    }

    fn void(
        &self,
        _: &Context,
        _: &str,
        object: &ProviderObject,
        command: &ProviderCommand,
    ) -> Result<ProviderPayment, ProviderError> {
        if self.objects.borrow().get(&object.key).is_some_and(|object| object.captured > 0) {
            return Err(ProviderError::Refused(refusal()));
        }
        self.effect(object, command, |object| object.state = ProviderState::Voided)
    }

    fn refund(
        &self,
        _: &Context,
        _: &str,
        object: &ProviderObject,
        command: &ProviderCommand,
        amount: &Money,
    ) -> Result<ProviderPayment, ProviderError> {
        self.effect(object, command, |object| object.refunded += amount.minor)
    }

    /// A webhook of tests is signed by its first header: the body is `event reference [key]`, or empty when it is of
    /// no interest.
    fn read_hook(&self, _: &Context, provider: &str, hook: &Hook) -> Result<Option<News>, HookError> {
        if !["test", "other"].contains(&provider) {
            return Err(HookError::UnknownProvider);
        }
        if hook.headers != [("signature".to_owned(), "good".to_owned())] {
            return Err(HookError::Forged("not by us".to_owned()));
        }
        let text = String::from_utf8(hook.body.clone()).map_err(|error| HookError::Malformed(error.to_string()))?;
        let mut words = text.split(' ').map(str::to_owned);
        let event_id = words.next().filter(|word| !word.is_empty());
        Ok(event_id.map(|event_id| News {
            event_id,
            reference: words.next().unwrap_or_default(),
            key: words.next().filter(|word| !word.is_empty()),
        }))
    }
}
