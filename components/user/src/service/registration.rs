//! Making accounts.
//!
//! A repeat is recognised by the account itself, for as long as there is one. The password proves that it is a repeat,
//! and a wrong one counts like any other try of a password.

use souk_kit::check::Check;
use souk_kit::passwords::Verdict;
use souk_kit::user::{Profile, Registration, Role, Session, UserError};
use souk_kit::{Call, Config};

use super::{Ports, done, hash, invalid, mails_token, settle, throttle, verify};
use crate::domain::account::{self, Account, Registering, Taken};
use crate::domain::password;
use crate::domain::secret::{self, Entropy, Purpose};
use crate::domain::session::{self, Opening, Seed};
use crate::service::sessions;
use crate::store::{self, Commit, accounts::Applicants};

/// Makes an account and opens its first session.
pub fn register(
    ports: &impl Ports,
    call: &Call,
    registration: &Registration,
    device: &str,
    mut entropy: Entropy,
) -> Result<Session, UserError> {
    check(registration)?;
    throttle::register(ports, call)?;
    let seed = Seed::mint(call.now, &mut entropy);
    let opening = session::open(&seed, &registration.user_id, device, call.now);
    let token = secret::mint_mail_token(&mut entropy);
    let token_hash = secret::mail_token_hash(Purpose::Verification, &token).expect("a minted token has its form");
    settle(|| {
        let Applicants { by_id, by_email, .. } = load(ports, call, registration)?;
        match account::register(by_id, by_email, &registration.email).map_err(taken)? {
            Registering::Again(known) => again(ports, call, &known, registration, &opening),
            Registering::New => {
                let profile = profile(call, registration, Role::Shopper);
                let session = sessions::grant(ports, call, &opening.session, &opening.token, &profile)?;
                let expires_at = call.now + Purpose::Verification.lifetime();
                let writes = vec![
                    store::accounts::insert(&profile, &hash(ports, &registration.password)?, call.now),
                    store::mail_tokens::put(&profile.id, Purpose::Verification, &token_hash, expires_at),
                    store::sessions::insert(&opening.session),
                ];
                let events = vec![mails_token("user.registered", &profile, &token)];
                let commit = store::commit(ports, sessions::opening_batch(&opening), writes, events)?;
                Ok((commit == Commit::Done).then_some(session))
            }
        }
    })
}

/// Makes the first member of staff.
pub fn create_first_staff(
    ports: &impl Ports,
    call: &Call,
    setup_token: &str,
    registration: &Registration,
    device: &str,
    mut entropy: Entropy,
) -> Result<Session, UserError> {
    check(registration)?;
    throttle::register(ports, call)?;
    // A shop without a setup token in its configuration has none that could be right.
    let known = Config::get(ports, "setup_token").filter(|known| !known.is_empty());
    if !known.is_some_and(|known| secret::same(&known, setup_token)) {
        return Err(UserError::InvalidToken);
    }
    let seed = Seed::mint(call.now, &mut entropy);
    let opening = session::open(&seed, &registration.user_id, device, call.now);
    settle(|| {
        let Applicants { by_id, by_email, active_staff } = load(ports, call, registration)?;
        match account::register_first_staff(by_id, by_email, &registration.email, active_staff).map_err(taken)? {
            Registering::Again(known) => again(ports, call, &known, registration, &opening),
            Registering::New => {
                let profile = profile(call, registration, Role::Staff);
                let session = sessions::grant(ports, call, &opening.session, &opening.token, &profile)?;
                let writes = vec![
                    store::accounts::count_staff(0, 1),
                    store::accounts::insert(&profile, &hash(ports, &registration.password)?, call.now),
                    store::sessions::insert(&opening.session),
                ];
                let commit = store::commit(ports, sessions::opening_batch(&opening), writes, Vec::new())?;
                Ok((commit == Commit::Done).then_some(session))
            }
        }
    })
}

fn check(registration: &Registration) -> Result<(), UserError> {
    let mut check = Check::new();
    check.id("/user_id", "usr", &registration.user_id);
    check.email("/email", &registration.email);
    check.text("/name", &registration.name, 1, 200);
    password::check(&mut check, "/password", &registration.password);
    password::check_owner(&mut check, "/password", &registration.password, &registration.email, &registration.name);
    done(check)
}

fn load(ports: &impl Ports, call: &Call, registration: &Registration) -> Result<Applicants, UserError> {
    store::accounts::load_applicants(ports, &registration.user_id, &registration.email, call.now)
}

fn profile(call: &Call, registration: &Registration, role: Role) -> Profile {
    Profile {
        id: registration.user_id.clone(),
        email: registration.email.clone(),
        email_verified: match role {
            Role::Shopper => false,
            Role::Staff => true, // the setup token proves more than a mail could
        },
        name: registration.name.clone(),
        role,
        disabled: false,
        created_at: call.now,
        version: 1,
    }
}

fn again(
    ports: &impl Ports,
    call: &Call,
    known: &Account,
    registration: &Registration,
    opening: &Opening,
) -> Result<Option<Session>, UserError> {
    let tries = throttle::sign_in(ports, call, &known.profile.email)?;
    match verify(ports, &registration.password, &known.password_hash)? {
        Verdict::Right | Verdict::RightRehash if !known.profile.disabled => {}
        Verdict::Right | Verdict::RightRehash | Verdict::Wrong => return Err(UserError::EmailTaken),
    }
    tries.forgive(ports);
    sessions::open(ports, call, known, &known.password_hash, opening)
}

fn taken(taken: Taken) -> UserError {
    match taken {
        Taken::Id => invalid("/user_id", "taken", "an account with another address has this id"),
        Taken::Email => UserError::EmailTaken,
    }
}
