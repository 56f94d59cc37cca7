//! Tokens that were mailed. There is one of each purpose for a user; a new one replaces it.

use souk_kit::Instant;
use souk_kit::sql::{Write, guarded, write};

use crate::domain::secret::Purpose;

/// Stores the digest of a token for a user. For a `user_id` that nobody has it does the same work and changes nothing.
pub fn put(user_id: &str, purpose: Purpose, token_hash: &str, expires_at: Instant) -> Write {
    write(
        "INSERT INTO user_mail_tokens (user_id, purpose, token_hash, expires_at) \
         SELECT u.id, $1, $2, CAST($3 AS BIGINT) FROM user_users u WHERE u.id = $4 \
         ON CONFLICT (user_id, purpose) DO UPDATE SET token_hash = excluded.token_hash, expires_at = excluded.expires_at",
        [purpose.name().into(), token_hash.into(), expires_at.into(), user_id.into()],
    )
}

/// Uses up a token. The guard is missed when it was used, replaced, or has expired.
pub fn spend(token_hash: &str, now: Instant) -> Write {
    guarded("DELETE FROM user_mail_tokens WHERE token_hash = $1 AND expires_at > $2", [token_hash.into(), now.into()])
}

/// Makes the token of a purpose useless.
pub fn forget(user_id: &str, purpose: Purpose) -> Write {
    write("DELETE FROM user_mail_tokens WHERE user_id = $1 AND purpose = $2", [user_id.into(), purpose.name().into()])
}
