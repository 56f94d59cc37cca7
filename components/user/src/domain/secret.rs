//! Secrets that are given out once and kept as digests: refresh tokens, mailed tokens, the setup token.
//!
//! A refresh token has two parts. The family, 128 bits, is the same through all renewals of a session and finds it; the
//! secret, 256 bits, changes with each. So a token that names a family but is neither its present nor its previous one
//! can only be an older one: whoever shows it held a token of this session, and nobody else can make the session end.
//!
//! All these secrets are uniformly random, so a plain SHA-256 of them cannot be turned back. Passwords never come here.

use souk_kit::Instant;
use souk_kit::ids::{digest, hex};
use subtle::ConstantTimeEq;

/// Random bytes that one command may use.
pub const ENTROPY_BYTES: usize = 128;

const FAMILY_DIGITS: usize = 32;
const SECRET_DIGITS: usize = 64;

/// Random bytes for one command, each handed out once.
pub struct Entropy {
    bytes: [u8; ENTROPY_BYTES],
    taken: usize,
}

impl Entropy {
    /// Bytes from the host's generator; in tests, from a seed.
    pub fn new(bytes: [u8; ENTROPY_BYTES]) -> Self {
        Self { bytes, taken: 0 }
    }

    /// Takes the next bytes.
    pub fn take<const N: usize>(&mut self) -> [u8; N] {
        let end = self.taken + N;
        assert!(end <= ENTROPY_BYTES, "a command takes no more random bytes than it was given");
        let taken = self.bytes[self.taken..end].try_into().expect("the range has N bytes");
        self.taken = end;
        taken
    }
}

/// A refresh token: `rft_`, the family and the secret in hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    family: String,
    secret: String,
}

impl RefreshToken {
    /// The first token of a new family.
    pub fn mint(entropy: &mut Entropy) -> Self {
        Self { family: hex(&entropy.take::<16>()), secret: hex(&entropy.take::<32>()) }
    }

    /// Reads a token as a client shows it; none when it does not have the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let (family, secret) = text.strip_prefix("rft_")?.split_once('_')?;
        let sound = is_hex(family, FAMILY_DIGITS) && is_hex(secret, SECRET_DIGITS);
        sound.then(|| Self { family: family.to_owned(), secret: secret.to_owned() })
    }

    /// The token as a client keeps it.
    pub fn text(&self) -> String {
        format!("rft_{}_{}", self.family, self.secret)
    }

    /// What finds the session.
    pub fn family_hash(&self) -> String {
        digest(&["souk refresh family v1", &self.family])
    }

    /// What is kept of the token.
    pub fn hash(&self) -> String {
        digest(&["souk refresh token v1", &self.family, &self.secret])
    }

    /// The token that replaces this one. The salt is kept with the session, so the same successor can be made again for
    /// whoever still has this token; neither the salt nor the token alone tells it.
    pub fn successor(&self, salt: &str) -> Self {
        let secret = digest(&["souk refresh successor v1", salt, &self.family, &self.secret]);
        Self { family: self.family.clone(), secret }
    }
}

/// What a mailed token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Setting a new password.
    PasswordReset,
    /// Proving that mail arrives.
    Verification,
}

impl Purpose {
    /// The purpose as it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::Verification => "verification",
        }
    }

    /// How long such a token works, in milliseconds: an hour, three days.
    pub fn lifetime(self) -> Instant {
        match self {
            Self::PasswordReset => 60 * 60 * 1000,
            Self::Verification => 3 * 24 * 60 * 60 * 1000,
        }
    }
}

/// A token to be mailed: 256 bits in hexadecimal digits.
pub fn mint_mail_token(entropy: &mut Entropy) -> String {
    hex(&entropy.take::<32>())
}

/// What is kept of a mailed token; none for a text that cannot be one. A token for one purpose is unknown to the other.
pub fn mail_token_hash(purpose: Purpose, token: &str) -> Option<String> {
    is_hex(token, SECRET_DIGITS).then(|| digest(&["souk mail token v1", purpose.name(), token]))
}

/// Whether two secrets are the same, in a time that does not depend on where they differ or how long they are.
pub fn same(known: &str, shown: &str) -> bool {
    let digest = |text| digest(&["souk comparison v1", text]);
    digest(known).as_bytes().ct_eq(digest(shown).as_bytes()).into()
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use souk_kit::testing::{Dice, law};

    fn entropy(dice: &mut Dice) -> Entropy {
        Entropy::new(std::array::from_fn(|_| u8::try_from(dice.below(256)).expect("a byte")))
    }

    #[test]
    fn a_refresh_token_comes_back_as_it_went_and_nothing_else_is_taken() {
        law(50, |dice| {
            let token = RefreshToken::mint(&mut entropy(dice));
            let text = token.text();
            assert!(RefreshToken::parse(&text).expect("it is a token") == token);
            for other in ["", "rft_", &text[4..], &text[..text.len() - 1], &format!("{text}0"), &text.to_uppercase()] {
                assert!(RefreshToken::parse(other).is_none(), "{other}");
            }
        });
    }

    #[test]
    fn a_successor_keeps_the_family_and_follows_from_token_and_salt_alone() {
        law(50, |dice| {
            let token = RefreshToken::mint(&mut entropy(dice));
            let next = token.successor("salt");
            assert!(next == token.successor("salt"));
            assert!(next != token.successor("another"));
            assert_eq!(next.family_hash(), token.family_hash());
            assert_ne!(next.hash(), token.hash());
            assert!(RefreshToken::parse(&next.text()).expect("a successor has the form of a token") == next);
            assert!(!token.text().contains(&token.hash()) && !token.text().contains(&token.family_hash()));
        });
    }

    #[test]
    fn a_mailed_token_is_for_one_purpose() {
        let token = mint_mail_token(&mut entropy(&mut Dice::new(1)));
        let reset = mail_token_hash(Purpose::PasswordReset, &token);
        assert!(reset.is_some());
        assert_ne!(reset, mail_token_hash(Purpose::Verification, &token));
        assert_eq!(mail_token_hash(Purpose::Verification, ""), None);
        assert_eq!(mail_token_hash(Purpose::Verification, "\0"), None);
    }

    #[test]
    #[should_panic(expected = "no more random bytes")]
    fn entropy_is_never_handed_out_twice() {
        let mut entropy = Entropy::new([7; ENTROPY_BYTES]);
        for _ in 0..ENTROPY_BYTES {
            entropy.take::<1>();
        }
        entropy.take::<1>();
    }

    #[test]
    fn secrets_are_the_same_or_not() {
        assert!(same("a", "a"));
        assert!(!same("a", "b"));
        assert!(!same("a", "aa"));
    }
}
