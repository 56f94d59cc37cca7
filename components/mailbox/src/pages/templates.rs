//! Which file each page is made from.
#![allow(unused_qualifications, reason = "askama's derive writes whole paths")]

use askama::Template;

/// A mail as the pages show it.
pub(super) struct Mail<'a> {
    /// Its key, percent-encoded.
    pub(super) path: String,
    pub(super) recipient: &'a str,
    pub(super) subject: &'a str,
    pub(super) at: String,
}

/// A part of a text.
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) is_link: bool,
}

/// The newest mails.
#[derive(Template)]
#[template(path = "list.html")]
pub(super) struct List<'a> {
    pub(super) to: &'a str,
    pub(super) mails: Vec<Mail<'a>>,
    pub(super) count: u64,
}

/// One mail.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct One<'a> {
    pub(super) mail: Mail<'a>,
    pub(super) has_html: bool,
    pub(super) pieces: Vec<Piece<'a>>,
}
