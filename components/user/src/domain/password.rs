//! Which passwords are accepted: long enough, and not what guessing starts with.
//!
//! There is no rule about kinds of characters. Whether a password has leaked elsewhere is not known here.

use souk_kit::check::Check;

/// Fewest bytes.
pub const PASSWORD_BYTES_MIN: usize = 10;

/// Most bytes; what the `passwords` port takes.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Longest group of characters whose repetition makes up a password that is refused.
const REPEATED_CHARS_MAX: usize = 4;

/// The most common passwords of ten bytes or more, one a line, in lower case and sorted.
const COMMON: &str = include_str!("common_passwords.txt");

/// Checks a new password without knowing whose it is.
pub fn check(check: &mut Check, pointer: &str, password: &str) {
    let length = password.len();
    if length == 0 {
        check.fail(pointer, "required", "this is required");
    } else if length < PASSWORD_BYTES_MIN {
        check.fail(pointer, "out_of_range", format!("at least {PASSWORD_BYTES_MIN} characters"));
    } else if length > PASSWORD_BYTES_MAX {
        check.fail(pointer, "too_long", format!("at most {PASSWORD_BYTES_MAX} bytes"));
    } else if is_common(password) || is_repetition(password) || is_run(password) {
        check.fail(pointer, "malformed", "this password is among the first that anyone would guess");
    }
}

/// Checks that a new password is not the owner's address, the part before its `@`, or their name.
pub fn check_owner(check: &mut Check, pointer: &str, password: &str, email: &str, name: &str) {
    let password = password.to_lowercase();
    let email = email.to_lowercase();
    let local = email.split_once('@').map_or(email.as_str(), |(local, _)| local);
    if password == email || password == local || password == name.to_lowercase() {
        check.fail(pointer, "malformed", "the password must differ from the name and the e-mail address");
    }
}

/// Checks a password that someone claims to have: only what the `passwords` port would not even look at.
pub fn check_claimed(check: &mut Check, pointer: &str, password: &str) {
    if password.is_empty() {
        check.fail(pointer, "required", "this is required");
    } else if password.len() > PASSWORD_BYTES_MAX {
        check.fail(pointer, "too_long", format!("at most {PASSWORD_BYTES_MAX} bytes"));
    }
}

fn is_common(password: &str) -> bool {
    let password = password.to_lowercase();
    COMMON.lines().any(|common| common == password)
}

/// `aaaaaaaaaa`, `123123123123`: a few characters over and over.
fn is_repetition(password: &str) -> bool {
    let chars: Vec<char> = password.chars().collect();
    (1..=REPEATED_CHARS_MAX.min(chars.len() / 2))
        .any(|unit| (unit..chars.len()).all(|at| chars[at] == chars[at - unit]))
}

/// `abcdefghijkl`, `9876543210`: each character follows its neighbor, all in one direction.
fn is_run(password: &str) -> bool {
    let codes: Vec<u32> = password.chars().map(u32::from).collect();
    let all = |follows: fn(u32, u32) -> bool| codes.windows(2).all(|pair| follows(pair[0], pair[1]));
    all(|a, b| a + 1 == b) || all(|a, b| b + 1 == a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(password: &str) -> String {
        let mut errors = Check::new();
        check(&mut errors, "/password", password);
        check_owner(&mut errors, "/password", password, "Ada.Lovelace@example.org", "Augusta Ada King");
        errors.done().err().map_or_else(|| "fine".to_owned(), |errors| errors[0].code.clone())
    }

    #[test]
    fn passwords_are_long_enough_and_not_the_first_guess() {
        for (password, expected) in [
            ("", "required"),
            ("short", "out_of_range"),
            ("nine char", "out_of_range"),
            ("ten chars!", "fine"),
            ("ünïcödé", "fine"), // eleven bytes
            ("correct horse battery staple", "fine"),
            ("Password123", "malformed"),
            ("qwertyuiop", "malformed"),
            ("aaaaaaaaaaaaaaaaaaaaaaa", "malformed"),
            ("ababababababab", "malformed"),
            ("xyz1xyz1xyz1xy", "malformed"),
            ("xyz12xyz12xyz12", "fine"),
            ("cdefghijklmno", "malformed"),
            ("zyxwvutsrqponm", "malformed"),
            ("ada.lovelace@example.org", "malformed"),
            ("ADA.LOVELACE", "malformed"),
            ("augusta ada king", "malformed"),
            ("augusta ada king!", "fine"),
        ] {
            assert_eq!(verdict(password), expected, "{password}");
        }
        assert_eq!(verdict(&"Ab".repeat(512)), "malformed");
        let long: String =
            (0..1024u32).map(|n| char::from(b'a' + u8::try_from(n * n % 23).expect("below 23"))).collect();
        assert_eq!(verdict(&long), "fine");
        assert_eq!(verdict(&format!("{long}!")), "too_long");
    }

    #[test]
    fn the_list_of_common_passwords_is_sorted_lower_case_and_long_enough() {
        let common: Vec<&str> = COMMON.lines().collect();
        assert!(common.len() >= 300);
        assert!(common.is_sorted_by(|a, b| a < b), "sorted and without repetition");
        for password in common {
            assert!(password.len() >= PASSWORD_BYTES_MIN, "{password}: shorter ones are refused anyway");
            assert_eq!(password, password.to_lowercase());
        }
    }
}
