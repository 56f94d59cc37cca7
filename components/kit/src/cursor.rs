//! Page requests and opaque cursors: where a keyset page starts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::types::{FieldError, PageRequest};

/// Longest page.
pub const PAGE_ITEMS_MAX: u32 = 100;

/// Writes the sort key of the last item of a page as an opaque cursor.
pub fn encode(key: &[&str]) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).expect("a list of texts is always JSON"))
}

/// Reads a page request whose sort key has `N` parts: the key after which the page starts, and how many items it has.
pub fn decode<const N: usize>(page: &PageRequest) -> Result<(Option<[String; N]>, u32), FieldError> {
    if !(1..=PAGE_ITEMS_MAX).contains(&page.limit) {
        return Err(FieldError {
            pointer: "/limit".to_owned(),
            code: "out_of_range".to_owned(),
            detail: format!("limit is from 1 to {PAGE_ITEMS_MAX}"),
        });
    }
    let Some(cursor) = &page.cursor else { return Ok((None, page.limit)) };
    let key = URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Vec<String>>(&bytes).ok())
        .and_then(|parts| <[String; N]>::try_from(parts).ok());
    match key {
        Some(key) => Ok((Some(key), page.limit)),
        None => Err(FieldError {
            pointer: "/cursor".to_owned(),
            code: "malformed".to_owned(),
            detail: "the cursor is not one that this list gave".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_nothing_else_is_taken() {
        let page = |cursor: &str, limit| PageRequest { cursor: Some(cursor.to_owned()), limit };
        let cursor = encode(&["a/b", "ü"]);
        let (key, limit) = decode::<2>(&page(&cursor, 20)).expect("it is a cursor");
        assert_eq!((key, limit), (Some(["a/b".to_owned(), "ü".to_owned()]), 20));
        assert_eq!(decode::<3>(&page(&cursor, 20)).expect_err("parts differ").pointer, "/cursor");
        assert_eq!(decode::<2>(&page("%%", 20)).expect_err("not base64").pointer, "/cursor");
        for limit in [0, 101] {
            assert_eq!(decode::<2>(&page(&cursor, limit)).expect_err("limit").pointer, "/limit");
        }
    }
}
