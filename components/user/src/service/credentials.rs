//! Changing a password, and tokens that are mailed.
//!
//! A mailed token works once, so a repeat of its use is refused even when only the first answer was lost; the new
//! password works all the same.

use souk_kit::Call;
use souk_kit::check::Check;
use souk_kit::ids::hex;
use souk_kit::passwords::Verdict;
use souk_kit::user::{Profile, UserError};

use super::{Ports, done, hash, mails_token, owned, refused, settle, throttle, verify};
use crate::domain::account::{self, Account, Command};
use crate::domain::password;
use crate::domain::secret::{self, Entropy, Purpose};
use crate::store::{self, Commit};

/// What someone says to change their own password.
pub struct PasswordChange<'a> {
    /// Whose password.
    pub user_id: &'a str,
    /// The session that stays open.
    pub session_id: &'a str,
    /// What it was.
    pub current: &'a str,
    /// What it becomes.
    pub new: &'a str,
}

/// Replaces the password and ends every session but one.
pub fn change_password(
    ports: &impl Ports,
    call: &Call,
    change: &PasswordChange<'_>,
    mut entropy: Entropy,
) -> Result<(), UserError> {
    let mut check = Check::new();
    password::check_claimed(&mut check, "/current_password", change.current);
    password::check(&mut check, "/new_password", change.new);
    done(check)?;
    owned(call, change.user_id)?;
    // Named by chance: a repeat is another batch, which then fails at the current password that it names.
    let batch = format!("change-password/{}/{}", change.user_id, hex(&entropy.take::<16>()));
    let account = load(ports, call, change.user_id)?;
    check_owner("/new_password", change.new, &account)?;
    let tries = throttle::sign_in(ports, call, &account.profile.email)?;
    let outcome = settle(|| {
        let account = load(ports, call, change.user_id)?;
        match verify(ports, change.current, &account.password_hash)? {
            Verdict::Right | Verdict::RightRehash => {}
            Verdict::Wrong => return Err(UserError::WrongCredentials),
        }
        let session_id = if souk_kit::ids::is_id("ses", change.session_id) { change.session_id } else { "" };
        let writes = vec![
            store::accounts::set_password(&account, &hash(ports, change.new)?),
            store::sessions::end_others(change.user_id, session_id),
            store::mail_tokens::forget(change.user_id, Purpose::PasswordReset),
        ];
        let commit = store::commit(ports, batch.as_str(), writes, Vec::new())?;
        Ok((commit == Commit::Done).then_some(()))
    });
    tries.forgive_unless_wrong(ports, &outcome);
    outcome
}

/// Mails a reset token if the address has an account. The same calls of the ports are made when it has none.
pub fn request_password_reset(
    ports: &impl Ports,
    call: &Call,
    email: &str,
    mut entropy: Entropy,
) -> Result<(), UserError> {
    let mut check = Check::new();
    check.email("/email", email);
    done(check)?;
    throttle::request_reset(ports, call, email)?;
    let account = store::accounts::load_by_email(ports, email, call.now)?;
    let account = account.filter(|account| !account.profile.disabled);
    mail_token(ports, call, Purpose::PasswordReset, account.as_ref().map(|account| &account.profile), &mut entropy)
}

/// Sets a new password with a reset token and ends all sessions. The token came by mail, so mail arrives.
pub fn reset_password(
    ports: &impl Ports,
    call: &Call,
    token: &str,
    new_password: &str,
    mut entropy: Entropy,
) -> Result<(), UserError> {
    let mut check = Check::new();
    password::check(&mut check, "/new_password", new_password);
    done(check)?;
    let token_hash = secret::mail_token_hash(Purpose::PasswordReset, token).ok_or(UserError::InvalidToken)?;
    let attempt = hex(&entropy.take::<16>());
    settle(|| {
        let loaded = store::accounts::load_by_mail_token(ports, &token_hash, call.now)?;
        let account = loaded.account.filter(|account| !account.profile.disabled).ok_or(UserError::InvalidToken)?;
        check_owner("/new_password", new_password, &account)?;
        let verified =
            account::decide(&account.profile, loaded.active_staff, &Command::VerifyEmail).map_err(refused)?;
        let mut writes = vec![
            store::accounts::set_password(&account, &hash(ports, new_password)?),
            store::mail_tokens::spend(&token_hash, call.now),
            store::sessions::end_all(&account.profile.id),
        ];
        if let Some(change) = verified {
            writes.extend(store::accounts::change(&account.profile, loaded.active_staff, &change));
        }
        let commit = store::commit(ports, spending_batch(&token_hash, &attempt), writes, Vec::new())?;
        Ok((commit == Commit::Done).then_some(()))
    })
}

/// Mails a new verification token, unless the address is verified.
pub fn request_verification(
    ports: &impl Ports,
    call: &Call,
    user_id: &str,
    mut entropy: Entropy,
) -> Result<(), UserError> {
    owned(call, user_id)?;
    let account = load(ports, call, user_id)?;
    if account.profile.email_verified {
        return Ok(());
    }
    throttle::request_verification(ports, call, &account.profile.email)?;
    mail_token(ports, call, Purpose::Verification, Some(&account.profile), &mut entropy)
}

/// Marks the address as verified.
pub fn verify_email(ports: &impl Ports, call: &Call, token: &str, mut entropy: Entropy) -> Result<Profile, UserError> {
    let token_hash = secret::mail_token_hash(Purpose::Verification, token).ok_or(UserError::InvalidToken)?;
    let attempt = hex(&entropy.take::<16>());
    settle(|| {
        let loaded = store::accounts::load_by_mail_token(ports, &token_hash, call.now)?;
        let profile = loaded.account.ok_or(UserError::InvalidToken)?.profile;
        let verified = account::decide(&profile, loaded.active_staff, &Command::VerifyEmail).map_err(refused)?;
        let mut writes = Vec::new();
        let next = match verified {
            Some(change) => {
                writes.extend(store::accounts::change(&profile, loaded.active_staff, &change));
                change.profile
            }
            None => profile,
        };
        writes.push(store::mail_tokens::spend(&token_hash, call.now));
        let commit = store::commit(ports, spending_batch(&token_hash, &attempt), writes, Vec::new())?;
        Ok((commit == Commit::Done).then_some(next))
    })
}

fn load(ports: &impl Ports, call: &Call, user_id: &str) -> Result<Account, UserError> {
    store::accounts::load(ports, user_id, call.now, None)?.account.ok_or(UserError::NotFound)
}

fn check_owner(pointer: &str, password: &str, account: &Account) -> Result<(), UserError> {
    let mut check = Check::new();
    password::check_owner(&mut check, pointer, password, &account.profile.email, &account.profile.name);
    done(check)
}

/// Replaces the token of a purpose and mails the new one; does the same work for nobody.
fn mail_token(
    ports: &impl Ports,
    call: &Call,
    purpose: Purpose,
    profile: Option<&Profile>,
    entropy: &mut Entropy,
) -> Result<(), UserError> {
    let token = secret::mint_mail_token(entropy);
    let token_hash = secret::mail_token_hash(purpose, &token).expect("a minted token has its form");
    let topic = match purpose {
        Purpose::PasswordReset => "user.password-reset-requested",
        Purpose::Verification => "user.verification-requested",
    };
    let user_id = profile.map_or("", |profile| profile.id.as_str());
    let write = store::mail_tokens::put(user_id, purpose, &token_hash, call.now + purpose.lifetime());
    let events = profile.map(|profile| mails_token(topic, profile, &token)).into_iter().collect();
    match store::commit(ports, format!("mail-token/{token_hash}"), vec![write], events)? {
        Commit::Done => Ok(()),
        Commit::Missed => unreachable!("this batch has no guard"),
    }
}

/// The identity of the batch that uses up a token. Two that race with one token must not pass for the same batch, or
/// the later would hear that its password was set: so the identity also names the attempt.
fn spending_batch(token_hash: &str, attempt: &str) -> String {
    format!("spend-token/{}", souk_kit::ids::digest(&[token_hash, attempt]))
}
