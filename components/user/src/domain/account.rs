//! Accounts: what may change in a profile, and who keeps the shop in staff.

use souk_kit::ids::digest;
use souk_kit::user::{Profile, Role};

/// An account as it is kept.
#[derive(Clone)]
pub struct Account {
    /// What its owner and staff see.
    pub profile: Profile,
    /// What the `passwords` port compares with. Never empty.
    pub password_hash: String,
    /// How many sessions are open.
    pub open_sessions: u64,
}

/// The form of an address under which accounts are unique: ASCII letters in lower case.
pub fn email_key(email: &str) -> String {
    email.to_ascii_lowercase()
}

/// A change of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Another display name.
    SetName(String),
    /// Another role.
    SetRole(Role),
    /// No more sign-ins.
    Disable,
    /// Sign-ins again.
    Enable,
    /// Mail arrives.
    VerifyEmail,
}

impl Command {
    /// Names the command and what it carries, for the identity of its batch.
    pub fn identity(&self) -> String {
        match self {
            Self::SetName(name) => format!("set-name/{}", &digest(&[name])[..32]),
            Self::SetRole(Role::Shopper) => "set-role/shopper".to_owned(),
            Self::SetRole(Role::Staff) => "set-role/staff".to_owned(),
            Self::Disable => "disable".to_owned(),
            Self::Enable => "enable".to_owned(),
            Self::VerifyEmail => "verify-email".to_owned(),
        }
    }
}

/// What follows from a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The profile from now on.
    pub profile: Profile,
    /// What becomes of the sessions.
    pub sessions: Sessions,
    /// How many members of staff can sign in from now on.
    pub active_staff: u64,
}

/// What becomes of the sessions of an account that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// They go on.
    Stay,
    /// They are over.
    End,
}

/// Why a profile stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody would be left who can run the shop.
    LastStaff,
}

/// Applies one command; none when it would change nothing.
///
/// Invariant: once there is a member of staff who can sign in, there always is one.
pub fn decide(profile: &Profile, active_staff: u64, command: &Command) -> Result<Option<Change>, Refusal> {
    let mut next = profile.clone();
    let sessions = match command {
        Command::SetName(name) => {
            next.name.clone_from(name);
            Sessions::Stay
        }
        Command::SetRole(role) => {
            next.role = *role;
            Sessions::End
        }
        Command::Disable => {
            next.disabled = true;
            Sessions::End
        }
        Command::Enable => {
            next.disabled = false;
            Sessions::Stay
        }
        Command::VerifyEmail => {
            next.email_verified = true;
            Sessions::Stay
        }
    };
    if next == *profile {
        return Ok(None);
    }
    let others = active_staff
        .checked_sub(u64::from(is_active_staff(profile)))
        .expect("whoever is active staff is counted among it");
    let staff = others + u64::from(is_active_staff(&next));
    if active_staff > 0 && staff == 0 {
        return Err(Refusal::LastStaff);
    }
    next.version += 1;
    Ok(Some(Change { profile: next, sessions, active_staff: staff }))
}

/// Whether someone is counted as staff who can sign in.
pub fn is_active_staff(profile: &Profile) -> bool {
    profile.role == Role::Staff && !profile.disabled
}

/// What a registration meets.
pub enum Registering {
    /// Nothing: the account can be made.
    New,
    /// The account that the same command made before.
    Again(Account),
}

/// Why no account is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The id belongs to an account with another address.
    Id,
    /// The address belongs to another account, or the place of the first staff is filled.
    Email,
}

/// Decides about a registration from the accounts that have its id and its address.
pub fn register(by_id: Option<Account>, by_email: Option<Account>, email: &str) -> Result<Registering, Taken> {
    match (by_id, by_email) {
        (Some(known), _) if email_key(&known.profile.email) == email_key(email) => Ok(Registering::Again(known)),
        (Some(_), _) => Err(Taken::Id),
        (None, Some(_)) => Err(Taken::Email),
        (None, None) => Ok(Registering::New),
    }
}

/// Decides about the first member of staff: like [`register`], and there must be no staff yet.
pub fn register_first_staff(
    by_id: Option<Account>,
    by_email: Option<Account>,
    email: &str,
    active_staff: u64,
) -> Result<Registering, Taken> {
    match register(by_id, by_email, email)? {
        Registering::Again(known) if known.profile.role == Role::Staff => Ok(Registering::Again(known)),
        Registering::Again(_) => Err(Taken::Email),
        Registering::New if active_staff > 0 => Err(Taken::Email),
        Registering::New => Ok(Registering::New),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use souk_kit::testing::law;

    fn profile(role: &str, state: &str) -> Profile {
        Profile {
            id: "usr_1".to_owned(),
            email: "Ada@example.org".to_owned(),
            email_verified: false,
            name: "Ada".to_owned(),
            role: match role {
                "shopper" => Role::Shopper,
                "staff" => Role::Staff,
                other => panic!("{other} is no role"),
            },
            disabled: match state {
                "enabled" => false,
                "disabled" => true,
                other => panic!("{other} is no state"),
            },
            created_at: 0,
            version: 7,
        }
    }

    fn command(text: &str) -> Command {
        match text {
            "name" => Command::SetName("Grace".to_owned()),
            "same-name" => Command::SetName("Ada".to_owned()),
            "shopper" => Command::SetRole(Role::Shopper),
            "staff" => Command::SetRole(Role::Staff),
            "disable" => Command::Disable,
            "enable" => Command::Enable,
            "verify" => Command::VerifyEmail,
            other => panic!("{other} is no command"),
        }
    }

    /// Rows: role, state, active staff before | command | outcome: what changed, the sessions, active staff after.
    fn check(table: &str) {
        for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let state: Vec<&str> = cells[0].split_whitespace().collect();
            let before = profile(state[0], state[1]);
            let outcome = match decide(&before, state[2].parse().expect("a number"), &command(cells[1])) {
                Ok(None) => "unchanged".to_owned(),
                Ok(Some(change)) => {
                    assert_eq!(change.profile.version, 8, "{row}");
                    let role = if change.profile.role == Role::Staff { "staff" } else { "shopper" };
                    let state = if change.profile.disabled { "disabled" } else { "enabled" };
                    format!("{role} {state} {} {:?}", change.active_staff, change.sessions)
                }
                Err(refusal) => format!("{refusal:?}"),
            };
            assert_eq!(outcome, cells[2], "{row}");
        }
    }

    #[test]
    fn every_account_answers_every_command() {
        check(
            "
            shopper enabled  0 | name      | shopper enabled 0 Stay
            shopper enabled  0 | same-name | unchanged
            shopper enabled  0 | shopper   | unchanged
            shopper enabled  0 | staff     | staff enabled 1 End
            shopper enabled  0 | disable   | shopper disabled 0 End
            shopper enabled  0 | enable    | unchanged
            shopper enabled  0 | verify    | shopper enabled 0 Stay
            shopper enabled  2 | staff     | staff enabled 3 End
            shopper enabled  2 | disable   | shopper disabled 2 End
            shopper disabled 1 | name      | shopper disabled 1 Stay
            shopper disabled 1 | shopper   | unchanged
            shopper disabled 1 | staff     | staff disabled 1 End
            shopper disabled 1 | disable   | unchanged
            shopper disabled 1 | enable    | shopper enabled 1 Stay
            shopper disabled 1 | verify    | shopper disabled 1 Stay
            staff   enabled  1 | name      | staff enabled 1 Stay
            staff   enabled  1 | shopper   | LastStaff
            staff   enabled  1 | staff     | unchanged
            staff   enabled  1 | disable   | LastStaff
            staff   enabled  1 | enable    | unchanged
            staff   enabled  1 | verify    | staff enabled 1 Stay
            staff   enabled  2 | shopper   | shopper enabled 1 End
            staff   enabled  2 | disable   | staff disabled 1 End
            staff   disabled 1 | name      | staff disabled 1 Stay
            staff   disabled 1 | shopper   | shopper disabled 1 End
            staff   disabled 1 | staff     | unchanged
            staff   disabled 1 | disable   | unchanged
            staff   disabled 1 | enable    | staff enabled 2 Stay
            staff   disabled 1 | verify    | staff disabled 1 Stay
            ",
        );
    }

    #[test]
    fn staff_is_never_all_gone_and_a_command_done_twice_is_done_once() {
        const COMMANDS: [&str; 7] = ["name", "same-name", "shopper", "staff", "disable", "enable", "verify"];
        law(300, |dice| {
            let mut people: Vec<Profile> = (0..3).map(|_| profile("shopper", "enabled")).collect();
            people[0].role = Role::Staff;
            let mut staff = 1;
            for _ in 0..30 {
                let at = usize::try_from(dice.below(3)).expect("small");
                let command = command(dice.pick::<&str>(&COMMANDS));
                if let Ok(Some(change)) = decide(&people[at], staff, &command) {
                    people[at] = change.profile;
                    staff = change.active_staff;
                    assert_eq!(decide(&people[at], staff, &command), Ok(None));
                }
                let counted = people.iter().filter(|profile| is_active_staff(profile)).count();
                assert_eq!(staff, counted as u64);
                assert!(staff > 0);
            }
        });
    }

    fn account(id: &str, email: &str, role: Role) -> Option<Account> {
        let profile = Profile { id: id.to_owned(), email: email.to_owned(), role, ..profile("shopper", "enabled") };
        Some(Account { profile, password_hash: "x".to_owned(), open_sessions: 0 })
    }

    #[test]
    fn a_registration_is_new_a_repeat_or_taken() {
        let shopper = || account("usr_1", "Ada@example.org", Role::Shopper);
        let staff = || account("usr_1", "Ada@example.org", Role::Staff);
        let other = || account("usr_2", "b@example.org", Role::Shopper);
        let name = |outcome| match outcome {
            Ok(Registering::New) => "new",
            Ok(Registering::Again(_)) => "again",
            Err(Taken::Id) => "id taken",
            Err(Taken::Email) => "email taken",
        };
        // by id, by e-mail, active staff | as a shopper | as the first staff
        for (by_id, by_email, active, as_shopper, as_staff) in [
            (None, None, 0, "new", "new"),
            (None, None, 1, "new", "email taken"),
            (shopper(), shopper(), 0, "again", "email taken"),
            (staff(), staff(), 1, "again", "again"),
            (None, shopper(), 0, "email taken", "email taken"),
            (None, staff(), 1, "email taken", "email taken"),
            (other(), None, 0, "id taken", "id taken"),
            (other(), shopper(), 1, "id taken", "id taken"),
        ] {
            assert_eq!(name(register(by_id.clone(), by_email.clone(), "ADA@example.org")), as_shopper);
            assert_eq!(name(register_first_staff(by_id, by_email, "ADA@example.org", active)), as_staff);
        }
    }
}
