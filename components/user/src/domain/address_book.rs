//! Address books: at most fifty addresses, at most one default of each kind.

use souk_kit::user::SavedAddress;

/// Addresses that a user may have.
pub const ADDRESSES_MAX: usize = 50;

/// All addresses of a user.
///
/// Invariant: at most [`ADDRESSES_MAX`], each id once, at most one default for shipping and one for billing.
#[derive(Clone, Debug, PartialEq)]
pub struct Book {
    /// In the order of their making.
    pub addresses: Vec<SavedAddress>,
    /// Raised by every change.
    pub version: u64,
}

/// A change of a book.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command<'a> {
    /// Adds an address, or replaces the one with the same id in its place.
    Set(&'a SavedAddress),
    /// Removes an address.
    Delete(&'a str),
}

/// Why a book stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has no room for another address.
    Full,
}

/// Applies one command; none when it would change nothing.
pub fn decide(book: &Book, command: Command<'_>) -> Result<Option<Book>, Refusal> {
    let mut addresses = book.addresses.clone();
    match command {
        Command::Set(address) => {
            for other in addresses.iter_mut().filter(|other| other.id != address.id) {
                other.default_shipping &= !address.default_shipping;
                other.default_billing &= !address.default_billing;
            }
            match addresses.iter().position(|known| known.id == address.id) {
                Some(place) => addresses[place].clone_from(address),
                None if addresses.len() >= ADDRESSES_MAX => return Err(Refusal::Full),
                None => addresses.push(address.clone()),
            }
        }
        Command::Delete(id) => addresses.retain(|address| address.id != id),
    }
    if addresses == book.addresses {
        return Ok(None);
    }
    assert!(addresses.len() <= ADDRESSES_MAX);
    assert!(addresses.iter().filter(|address| address.default_shipping).count() <= 1);
    assert!(addresses.iter().filter(|address| address.default_billing).count() <= 1);
    Ok(Some(Book { addresses, version: book.version + 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use souk_kit::Address;
    use souk_kit::testing::law;

    /// `1sb` is the address `1`, default for shipping and billing.
    fn address(text: &str) -> SavedAddress {
        let id: String = text.chars().filter(char::is_ascii_digit).collect();
        SavedAddress {
            address: Address {
                name: format!("Name {id}"),
                company: String::new(),
                line1: "1 Street".to_owned(),
                line2: String::new(),
                city: "City".to_owned(),
                region: String::new(),
                postal_code: String::new(),
                country: "DE".to_owned(),
                phone: String::new(),
            },
            id,
            default_shipping: text.contains('s'),
            default_billing: text.contains('b'),
        }
    }

    fn text(book: &Book) -> String {
        let flag = |set, letter| if set { letter } else { "" };
        let addresses = book.addresses.iter();
        let texts: Vec<String> = addresses
            .map(|a| format!("{}{}{}", a.id, flag(a.default_shipping, "s"), flag(a.default_billing, "b")))
            .collect();
        texts.join(" ")
    }

    fn book(addresses: &str) -> Book {
        Book { addresses: addresses.split_whitespace().map(address).collect(), version: 3 }
    }

    /// Rows: book | command | book afterwards, or why not.
    fn check(table: &str) {
        for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let (verb, named) = cells[1].split_once(' ').expect("a verb and an address");
            let named = address(named);
            let command = match verb {
                "set" => Command::Set(&named),
                "delete" => Command::Delete(&named.id),
                other => panic!("{other} is no command"),
            };
            let outcome = match decide(&book(cells[0]), command) {
                Ok(None) => "unchanged".to_owned(),
                Ok(Some(next)) => {
                    assert_eq!(next.version, 4);
                    text(&next)
                }
                Err(Refusal::Full) => "full".to_owned(),
            };
            assert_eq!(outcome, cells[2], "{row}");
        }
    }

    #[test]
    fn every_book_answers_every_command() {
        check(
            "
                      | set 1      | 1
                      | set 1sb    | 1sb
                      | delete 1   | unchanged
            1sb 2     | set 3      | 1sb 2 3
            1sb 2     | set 3s     | 1b 2 3s
            1sb 2     | set 2b     | 1s 2b
            1sb 2     | set 2sb    | 1 2sb
            1sb 2     | set 1      | 1 2
            1sb 2     | set 1sb    | unchanged
            1sb 2     | delete 1   | 2
            1sb 2     | delete 2   | 1sb
            1sb 2     | delete 3   | unchanged
            ",
        );
    }

    #[test]
    fn a_full_book_takes_replacements_only() {
        let full: Vec<String> = (1..=ADDRESSES_MAX).map(|n| n.to_string()).collect();
        let full = book(&full.join(" "));
        assert_eq!(decide(&full, Command::Set(&address("51"))), Err(Refusal::Full));
        assert!(matches!(decide(&full, Command::Set(&address("50s"))), Ok(Some(_))));
        assert!(matches!(decide(&full, Command::Delete("50")), Ok(Some(_))));
    }

    #[test]
    fn there_is_one_default_of_a_kind_and_a_repeat_changes_nothing() {
        const TEXTS: [&str; 8] = ["1", "1s", "1b", "2sb", "2", "3s", "4b", "4"];
        law(200, |dice| {
            let mut book = book("");
            for _ in 0..20 {
                let named = address(dice.pick::<&str>(&TEXTS));
                let command = match dice.below(4) {
                    0 => Command::Delete(&named.id),
                    _ => Command::Set(&named),
                };
                if let Ok(Some(next)) = decide(&book, command) {
                    assert_eq!(next.version, book.version + 1);
                    book = next;
                }
                assert_eq!(decide(&book, command), Ok(None));
            }
        });
    }
}
