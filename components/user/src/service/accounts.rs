//! Reading and changing profiles.

use souk_kit::check::Check;
use souk_kit::user::{Profile, Role, UserError, UserPage};
use souk_kit::{Call, PageRequest, cursor};

use super::{Ports, done, invalid, owned, refused, settle, staff_only};
use crate::domain::account::{self, Command};
use crate::store::{self, Commit, accounts::After};

/// Longest start of an address or an id that is looked for, in characters.
const SEARCH_CHARS_MAX: usize = 200;

/// Reads an account.
pub fn get_profile(ports: &impl Ports, call: &Call, user_id: &str) -> Result<Profile, UserError> {
    owned(call, user_id)?;
    let loaded = store::accounts::load(ports, user_id, call.now, None)?;
    loaded.account.map(|account| account.profile).ok_or(UserError::NotFound)
}

/// Changes the display name, of a version that was read or of whatever is there.
pub fn set_name(
    ports: &impl Ports,
    call: &Call,
    user_id: &str,
    name: &str,
    version: Option<u64>,
) -> Result<Profile, UserError> {
    let mut check = Check::new();
    check.text("/name", name, 1, 200);
    done(check)?;
    owned(call, user_id)?;
    change(ports, call, user_id, &Command::SetName(name.to_owned()), version)
}

/// Makes someone staff or shopper and ends their sessions.
pub fn set_role(ports: &impl Ports, call: &Call, user_id: &str, role: Role) -> Result<Profile, UserError> {
    staff_only(call)?;
    owned(call, user_id)?;
    change(ports, call, user_id, &Command::SetRole(role), None)
}

/// Disables an account and ends its sessions.
pub fn disable(ports: &impl Ports, call: &Call, user_id: &str) -> Result<Profile, UserError> {
    staff_only(call)?;
    owned(call, user_id)?;
    change(ports, call, user_id, &Command::Disable, None)
}

/// Enables an account again.
pub fn enable(ports: &impl Ports, call: &Call, user_id: &str) -> Result<Profile, UserError> {
    staff_only(call)?;
    owned(call, user_id)?;
    change(ports, call, user_id, &Command::Enable, None)
}

fn change(
    ports: &impl Ports,
    call: &Call,
    user_id: &str,
    command: &Command,
    version: Option<u64>,
) -> Result<Profile, UserError> {
    let batch = |version: u64| format!("{}/{user_id}/{version}", command.identity());
    let asked = version.map(batch);
    settle(|| {
        let loaded = store::accounts::load(ports, user_id, call.now, asked.as_deref())?;
        let profile = loaded.account.ok_or(UserError::NotFound)?.profile;
        if loaded.committed {
            return Ok(Some(profile)); // this command committed before; only its answer was lost
        }
        if version.is_some_and(|version| version != profile.version) {
            return Err(UserError::Conflict);
        }
        let Some(change) = account::decide(&profile, loaded.active_staff, command).map_err(refused)? else {
            return Ok(Some(profile));
        };
        let writes = store::accounts::change(&profile, loaded.active_staff, &change);
        let commit = store::commit(ports, batch(profile.version), writes, Vec::new())?;
        Ok((commit == Commit::Done).then_some(change.profile))
    })
}

/// Accounts whose address or id starts with a text, newest first.
pub fn list_users(ports: &impl Ports, call: &Call, search: &str, page: &PageRequest) -> Result<UserPage, UserError> {
    let mut check = Check::new();
    check.text("/search", search, 0, SEARCH_CHARS_MAX);
    done(check)?;
    let (key, limit) = cursor::decode::<2>(page).map_err(|error| UserError::Invalid(vec![error]))?;
    let after = match key {
        None => After::start(),
        Some([created_at, id]) => After { created_at: created_at.parse().map_err(|_| no_cursor())?, id },
    };
    if after.id.contains('\0') {
        return Err(no_cursor());
    }
    staff_only(call)?;
    // One more than is wanted tells whether there is another page.
    let mut items = store::accounts::page(ports, search, &after, limit + 1, call.now)?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let last = items.last().filter(|_| more);
    let next = last.map(|profile| cursor::encode(&[&profile.created_at.to_string(), &profile.id]));
    Ok(UserPage { items, next })
}

fn no_cursor() -> UserError {
    invalid("/cursor", "malformed", "the cursor is not one that this list gave")
}
