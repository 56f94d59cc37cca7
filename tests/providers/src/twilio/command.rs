//! Requests, judged without the account. Numbers that stand for refusals are those of Twilio's test credentials:
//! <https://www.twilio.com/docs/iam/test-credentials>.

use super::Status;
use super::error::Refusal;

/// Longest body, in characters.
pub const BODY_CHARS_MAX: usize = 1_600;
/// Most messages of a page.
pub const PAGE_MAX: usize = 1_000;
/// Messages of a page when nothing is said.
const PAGE: usize = 50;

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Send {
    /// The number that it goes to.
    pub to: String,
    /// From whom it comes.
    pub sender: Sender,
    /// What it says.
    pub body: String,
    /// Where its news go.
    pub callback: Option<String>,
}

/// From whom a message comes.
#[derive(Clone, Debug)]
pub enum Sender {
    /// A number or a name.
    Number(String),
    /// A service that chooses a number, by its SID.
    Service(String),
}

/// Which messages are asked for.
#[derive(Clone, Debug)]
pub struct List {
    /// The first page is zero.
    pub page: usize,
    /// Most messages of it.
    pub size: usize,
    to: Option<String>,
    from: Option<String>,
}

impl Send {
    /// Reads a form.
    pub fn read(form: &str) -> Result<Self, Refusal> {
        let (mut to, mut from, mut service, mut body, mut callback) = (None, None, None, None, None);
        for (name, value) in form_urlencoded::parse(form.as_bytes()).into_owned() {
            let place = match name.as_str() {
                "To" => &mut to,
                "From" => &mut from,
                "MessagingServiceSid" => &mut service,
                "Body" => &mut body,
                "StatusCallback" => &mut callback,
                _ => return Err(Refusal::param(20001, &format!("The simulator does not have the parameter '{name}'"))),
            };
            *place = Some(value).filter(|value| !value.is_empty());
        }
        let to = to.ok_or_else(|| Refusal::param(21604, "A 'To' phone number is required."))?;
        let sender = match (from, service) {
            (_, Some(service)) => Sender::Service(service),
            (Some(from), None) => Sender::Number(from),
            (None, None) => return Err(Refusal::param(21603, "A 'From' phone number is required.")),
        };
        let body = body.ok_or_else(|| Refusal::param(21602, "Message body is required."))?;
        let send = Self { to, sender, body, callback };
        send.judge()?;
        Ok(send)
    }

    fn judge(&self) -> Result<(), Refusal> {
        let to = &self.to;
        match to.as_str() {
            "+15005550004" => return Err(Refusal::param(21610, "Attempt to send to unsubscribed recipient")),
            "+15005550009" => {
                return Err(Refusal::param(21614, &format!("'To' number {to} is not a valid mobile number")));
            }
            "+15005550001" => {}
            number if is_number(number) => return self.judge_rest(),
            _ => {}
        }
        Err(Refusal::param(21211, &format!("The 'To' number {to} is not a valid phone number.")))
    }

    fn judge_rest(&self) -> Result<(), Refusal> {
        match &self.sender {
            Sender::Number(from) if from == "+15005550001" || !is_sender(from) => {
                let why = format!(
                    "The 'From' number {from} is not a valid phone number, shortcode, or alphanumeric sender ID."
                );
                return Err(Refusal::param(21212, &why));
            }
            Sender::Service(sid) if sid.len() != 34 || !sid.starts_with("MG") => {
                return Err(Refusal::param(21705, "The Messaging Service Sid is invalid."));
            }
            Sender::Number(_) | Sender::Service(_) => {}
        }
        if self.body.chars().count() > BODY_CHARS_MAX {
            return Err(Refusal::param(21617, "The concatenated message body exceeds the 1600 character limit"));
        }
        match &self.callback {
            Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
                Err(Refusal::param(21609, &format!("The StatusCallback URL {url} is not a valid URL.")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What becomes of it: a number that ends with a code of [`reason`] meets that reason.
    pub(super) fn fate(&self) -> Status {
        match self.to.get(self.to.len().saturating_sub(5)..).and_then(|code| code.parse().ok()) {
            Some(code @ (30003 | 30005 | 30006)) => Status::Undelivered(code),
            Some(code @ 30001) => Status::Failed(code),
            Some(_) | None => Status::Delivered,
        }
    }

    /// Into how many it is cut: by septets when all of it is plain, by UTF-16 units otherwise.
    pub fn segments(&self) -> usize {
        let (units, one, each) =
            if self.body.is_ascii() { (self.body.len(), 160, 153) } else { (self.body.encode_utf16().count(), 70, 67) };
        if units <= one { 1 } else { units.div_ceil(each) }
    }
}

/// Why a message did not arrive: <https://www.twilio.com/docs/api/errors>.
pub fn reason(code: u32) -> &'static str {
    match code {
        30001 => "Queue overflow",
        30003 => "Unreachable destination handset",
        30005 => "Unknown destination handset",
        30006 => "Landline or unreachable carrier",
        _ => "Unknown error",
    }
}

impl List {
    /// Reads a query.
    pub fn read(query: &str) -> Result<Self, Refusal> {
        let mut list = Self { page: 0, size: PAGE, to: None, from: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            let number = || value.parse::<usize>().map_err(|_| Refusal::param(20001, &format!("{name} is no number")));
            match name.as_str() {
                "To" => list.to = Some(value),
                "From" => list.from = Some(value),
                "Page" => list.page = number()?.min(usize::from(u16::MAX)),
                "PageSize" => list.size = number()?.clamp(1, PAGE_MAX),
                _ => return Err(Refusal::param(20001, &format!("The simulator does not have the parameter '{name}'"))),
            }
        }
        Ok(list)
    }

    /// Whether a message is asked for.
    pub fn holds(&self, send: &Send) -> bool {
        let from = match &send.sender {
            Sender::Number(from) => Some(from),
            Sender::Service(_) => None,
        };
        self.to.as_ref().is_none_or(|to| *to == send.to) && (self.from.is_none() || self.from.as_ref() == from)
    }

    /// What asks for another page.
    pub fn query(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("PageSize", &self.size.to_string()).append_pair("Page", &page.to_string());
        for (name, value) in [("To", &self.to), ("From", &self.from)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

/// E.164.
fn is_number(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else { return false };
    (8..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0')
}

/// A number, a short code or a name.
fn is_sender(text: &str) -> bool {
    let is_code = (3..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = text.len() <= 11
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" +-_&".contains(&byte));
    is_number(text) || is_code || is_name
}
