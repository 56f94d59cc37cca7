//! Use cases on the test ports: a real SQLite in memory with this service's migration.

mod accounts;
mod addresses;
mod credentials;
mod faults;
mod registration;
mod secrecy;
mod sessions;

use std::cell::{Cell, RefCell};

use souk_kit::kv::{Condition, Entry, KvError};
use souk_kit::passwords::{PasswordError, Verdict};
use souk_kit::sql::{Batch, Read, Snapshot, SqlError};
use souk_kit::testing::{Dice, TestPorts};
use souk_kit::tokens::{self, Claims};
use souk_kit::types::{Address, PageRequest};
use souk_kit::user::{Profile, Registration, Role, SavedAddress, Session, UserError};
use souk_kit::{Actor, Call, Config, Kv, Passwords, Sql};

use super::{accounts as use_accounts, audit, registration as use_registration, sessions as use_sessions};
use crate::domain::secret::Entropy;

const MIGRATION: &str = include_str!("../../migrations/0001_accounts.sql");
const PASSWORD: &str = "correct horse battery staple";
const OTHER_PASSWORD: &str = "a wholly different phrase";
const SETUP_TOKEN: &str = "the setup token of this shop";
const MINUTE: i64 = 60 * 1000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What happens once, between a use case's reading and its commit: the other side of a race.
type Interruption = Box<dyn FnOnce(&Shop)>;

/// The test ports, with a record of the calls, interruptions, and a source of entropy.
struct Shop {
    ports: TestPorts,
    dice: RefCell<Dice>,
    calls: RefCell<Vec<String>>,
    interruptions: RefCell<Vec<Interruption>>,
    /// Whether known hashes have older parameters.
    hashes_are_old: Cell<bool>,
}

impl Shop {
    fn new() -> Self {
        let ports = TestPorts::new("user", &[MIGRATION]);
        ports.configure("token_private_key", &tokens::test_keys().0);
        ports.configure("setup_token", SETUP_TOKEN);
        Self {
            ports,
            dice: RefCell::new(Dice::new(42)),
            calls: RefCell::default(),
            interruptions: RefCell::default(),
            hashes_are_old: Cell::new(false),
        }
    }

    /// Lets something happen right before the next commit. Interruptions that are asked for first happen first.
    fn interrupt(&self, with: impl FnOnce(&Shop) + 'static) {
        self.interruptions.borrow_mut().push(Box::new(with));
    }

    fn entropy(&self) -> Entropy {
        Entropy::new(std::array::from_fn(|_| u8::try_from(self.dice.borrow_mut().below(256)).expect("a byte")))
    }

    fn guest(&self) -> Call {
        self.ports.call(Actor::Guest)
    }

    fn as_user(&self, id: &str) -> Call {
        self.ports.call(Actor::User(id.to_owned()))
    }

    fn as_system(&self) -> Call {
        self.ports.call(Actor::System("test".to_owned()))
    }

    fn register(&self, number: u64) -> Result<Session, UserError> {
        use_registration::register(self, &self.guest(), &registration(number), "Firefox", self.entropy())
    }

    /// Registers, and takes the verification token out of the mail.
    fn registered(&self, number: u64) -> (Session, String) {
        let session = self.register(number).expect("nobody has this address");
        (session, self.mailed("user.registered"))
    }

    fn first_staff(&self) -> Result<Session, UserError> {
        let (call, registration) = (self.guest(), registration(1));
        use_registration::create_first_staff(self, &call, SETUP_TOKEN, &registration, "Firefox", self.entropy())
    }

    fn sign_in(&self, number: u64, password: &str) -> Result<Session, UserError> {
        use_sessions::sign_in(self, &self.guest(), &email(number), password, "Safari", self.entropy())
    }

    fn refresh(&self, token: &str) -> Result<Session, UserError> {
        use_sessions::refresh(self, &self.guest(), token, self.entropy())
    }

    fn profile(&self, number: u64) -> Profile {
        use_accounts::get_profile(self, &self.as_system(), &user_id(number)).expect("the account exists")
    }

    /// The token of the one mail that went out, with a look at its other fields.
    fn mailed(&self, topic: &str) -> String {
        let events = self.ports.take_due_events();
        assert_eq!(events.iter().map(|event| event.topic.as_str()).collect::<Vec<_>>(), [topic]);
        let payload: serde_json::Value = serde_json::from_str(&events[0].payload).expect("an event is JSON");
        let profile = use_accounts::get_profile(self, &self.as_system(), &events[0].key).expect("keyed by user id");
        assert_eq!(payload["user_id"], profile.id);
        assert_eq!(payload["email"], profile.email);
        assert_eq!(payload["name"], profile.name);
        assert_eq!(payload.as_object().map(serde_json::Map::len), Some(4));
        payload["token"].as_str().expect("the token is a text").to_owned()
    }

    fn open_sessions(&self, number: u64) -> usize {
        let id = user_id(number);
        use_sessions::list_sessions(self, &self.as_system(), &id).expect("the account exists").len()
    }

    /// Fails unless all the tables add up.
    fn audit(&self) {
        let page = audit::check(self, &self.as_system(), None).expect("it can be read");
        assert_eq!(page.findings, []);
    }

    /// The calls since the last look, in order.
    fn take_calls(&self) -> Vec<String> {
        self.calls.take()
    }

    fn note(&self, call: &str) {
        self.calls.borrow_mut().push(call.to_owned());
    }
}

fn user_id(number: u64) -> String {
    format!("usr_{number:032x}")
}

fn address_id(number: u64) -> String {
    format!("adr_{number:032x}")
}

fn email(number: u64) -> String {
    format!("User{number}@Example.org")
}

fn registration(number: u64) -> Registration {
    Registration {
        user_id: user_id(number),
        email: email(number),
        password: PASSWORD.to_owned(),
        name: format!("User {number}"),
    }
}

fn saved_address(number: u64) -> SavedAddress {
    let address = Address {
        name: format!("User {number}"),
        company: String::new(),
        line1: "1 Analytical Street".to_owned(),
        line2: String::new(),
        city: "London".to_owned(),
        region: String::new(),
        postal_code: "N1".to_owned(),
        country: "GB".to_owned(),
        phone: String::new(),
    };
    SavedAddress { id: address_id(number), address, default_shipping: false, default_billing: false }
}

fn first_page(limit: u32) -> PageRequest {
    PageRequest { cursor: None, limit }
}

/// What the edges read in an access token.
fn claims(shop: &Shop, session: &Session) -> Claims {
    let (_, public) = tokens::test_keys();
    tokens::verify(&public, &session.access_token, shop.ports.now()).expect("the edges verify what this service signs")
}

/// The case of an error, with the pointers and codes of an invalid input.
fn case<T>(result: &Result<T, UserError>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(UserError::Invalid(errors)) => {
            errors.iter().map(|error| format!("{} {}", error.pointer, error.code)).collect::<Vec<_>>().join(", ")
        }
        Err(UserError::EmailTaken) => "email-taken".to_owned(),
        Err(UserError::WrongCredentials) => "wrong-credentials".to_owned(),
        Err(UserError::InvalidToken) => "invalid-token".to_owned(),
        Err(UserError::Throttled(seconds)) => format!("throttled {seconds}"),
        Err(UserError::NotFound) => "not-found".to_owned(),
        Err(UserError::LimitReached) => "limit-reached".to_owned(),
        Err(UserError::Conflict) => "conflict".to_owned(),
        Err(UserError::StorageFull) => "storage-full".to_owned(),
        Err(UserError::Unavailable(_)) => "unavailable".to_owned(),
    }
}

impl Sql for Shop {
    fn query(&self, reads: &[Read], batch_id: Option<&str>) -> Result<Snapshot, SqlError> {
        self.note("query");
        self.ports.query(reads, batch_id)
    }

    fn commit(&self, batch: &Batch) -> Result<Vec<u64>, SqlError> {
        self.note("commit");
        let next = {
            let mut interruptions = self.interruptions.borrow_mut();
            if interruptions.is_empty() { None } else { Some(interruptions.remove(0)) }
        };
        if let Some(interruption) = next {
            let waiting = self.interruptions.take();
            interruption(self);
            self.interruptions.replace(waiting);
        }
        self.ports.commit(batch)
    }
}

impl Kv for Shop {
    fn get(&self, key: &str) -> Result<Option<Entry>, KvError> {
        self.note("kv get");
        Kv::get(&self.ports, key)
    }

    fn set(&self, key: &str, value: &str, condition: Condition, ttl_seconds: Option<u64>) -> Result<u64, KvError> {
        self.note("kv set");
        self.ports.set(key, value, condition, ttl_seconds)
    }

    fn delete(&self, key: &str, condition: Condition) -> Result<(), KvError> {
        self.note("kv delete");
        self.ports.delete(key, condition)
    }

    fn increment(&self, key: &str, by: i64, ttl_seconds: Option<u64>) -> Result<i64, KvError> {
        self.note("kv increment");
        self.ports.increment(key, by, ttl_seconds)
    }
}

impl Passwords for Shop {
    fn hash(&self, password: &str) -> Result<String, PasswordError> {
        self.note("hash");
        self.ports.hash(password)
    }

    fn verify(&self, password: &str, hash: &str) -> Result<Verdict, PasswordError> {
        self.note("verify");
        match self.ports.verify(password, hash)? {
            Verdict::Right if self.hashes_are_old.get() => Ok(Verdict::RightRehash),
            verdict => Ok(verdict),
        }
    }
}

impl Config for Shop {
    fn get(&self, name: &str) -> Option<String> {
        Config::get(&self.ports, name)
    }
}
