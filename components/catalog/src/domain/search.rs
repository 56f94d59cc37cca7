//! Words as search and sorting see them: lower case, without diacritics, cut at everything that is no letter or digit.
//!
//! Scripts that do not put spaces between words are found by the beginning of a run of letters only.

use std::collections::BTreeSet;

use crate::values::{CatalogError, Product};

use super::invalid;

/// Longest word that is kept, in characters; what is longer is found by its beginning.
pub const WORD_CHARS_MAX: usize = 40;

/// Most different words that are kept for one product: title first, then SKUs, then the description.
pub const TERMS_MAX: usize = 2_000;

/// Most words in one search.
pub const SEARCH_WORDS_MAX: usize = 16;

/// A text in lower case and without diacritics. It is what titles are sorted by.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        match plain(c) {
            Some(letters) => folded.push_str(letters),
            None => folded.push(c),
        }
    }
    folded
}

/// The words by which a product is found.
pub fn terms(product: &Product) -> BTreeSet<String> {
    let skus = product.variants.iter().map(|variant| variant.sku.as_str());
    let texts = std::iter::once(product.title.as_str()).chain(skus).chain([product.description.as_str()]);
    let mut terms = BTreeSet::new();
    for text in texts {
        for word in words(&fold(text)) {
            if terms.len() == TERMS_MAX {
                return terms;
            }
            terms.insert(word);
        }
    }
    terms
}

/// The words that must all occur, each as the beginning of one. A word that begins another is left out: it says nothing more.
pub fn query(search: &str) -> Result<Vec<String>, CatalogError> {
    let sorted: Vec<String> = words(&fold(search)).collect::<BTreeSet<String>>().into_iter().collect();
    let mut wanted: Vec<String> = Vec::new();
    for word in sorted {
        match wanted.last_mut() {
            // In sorted order a word directly precedes the first one that it begins.
            Some(last) if word.starts_with(last.as_str()) => *last = word,
            Some(_) | None => wanted.push(word),
        }
    }
    if wanted.len() > SEARCH_WORDS_MAX {
        return Err(invalid("/search", "too_long", format!("at most {SEARCH_WORDS_MAX} words")));
    }
    Ok(wanted)
}

/// Where the words end that begin with this one: below every text that does not, since no word holds U+10FFFF.
pub fn prefix_end(word: &str) -> String {
    format!("{word}\u{10FFFF}")
}

fn words(folded: &str) -> impl Iterator<Item = String> {
    folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(WORD_CHARS_MAX).collect())
}

/// The plain letters for a lower-case Latin letter with a diacritic; nothing at all for a combining mark.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{300}'..='\u{36f}' => "",
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĳ' => "ij",
        'ĵ' => "j",
        'ķ' | 'ĸ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' | 'ŉ' | 'ŋ' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' | 'ſ' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'þ' => "th",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_lose_their_case_and_their_diacritics() {
        for (text, folded) in [
            ("Crème Brûlée", "creme brulee"),
            ("Straße ŁÓDŹ", "strasse lodz"),
            ("e\u{301}te\u{301} İstanbul", "ete istanbul"),
            ("Ærø", "aero"),
            ("日本 茶", "日本 茶"),
        ] {
            assert_eq!(fold(text), folded);
        }
    }

    #[test]
    fn a_search_is_its_words_once_and_without_those_that_begin_another() {
        for (search, words) in [
            ("", ""),
            ("  !!! ", ""),
            ("Blue TEE", "blue tee"),
            ("tee te t tees", "tees"),
            ("TSH-RED/m", "m red tsh"),
            ("a ab b", "ab b"),
            ("a ab abc ac", "abc ac"),
        ] {
            assert_eq!(query(search).expect("few words").join(" "), words, "{search}");
        }
        let many: Vec<String> = (10..27).map(|n| n.to_string()).collect();
        assert!(matches!(query(&many.join(" ")), Err(CatalogError::Invalid(_))));
    }

    #[test]
    fn the_end_of_a_prefix_is_above_every_word_that_has_it_and_below_the_next() {
        for (word, other) in [("te", "te"), ("te", "teezzzz"), ("te", "teé"), ("te", "te日本")] {
            assert!(other >= word && *other < *prefix_end(word), "{other}");
        }
        for other in ["tf", "u", "td"] {
            assert!(other < "te" || *other >= *prefix_end("te"), "{other}");
        }
    }
}
