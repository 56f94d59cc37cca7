//! Requests and responses as the edges handle them, natively and in a component.

use percent_encoding::percent_decode_str;

/// A request, as `http.wit` describes it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The identity of this request.
    pub id: String,
    /// The method in upper case.
    pub method: String,
    /// The path, percent-encoded.
    pub path: String,
    /// What came after the question mark.
    pub query: String,
    /// Scheme, host and port that the client used.
    pub origin: String,
    /// The network address of the client.
    pub client: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header that may stand once; none when it is absent or stands twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let value = values.next();
        if values.next().is_some() { None } else { value }
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.headers.iter().filter(|(n, _)| n == "cookie");
        cookies
            .flat_map(|(_, value)| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(n, value)| (n == name).then_some(value))
    }

    /// The parts of the path between slashes, decoded. None when a part is not UTF-8 or holds a slash or a control character.
    pub fn segments(&self) -> Option<Vec<String>> {
        let path = self.path.strip_prefix('/')?;
        path.split('/')
            .map(|part| {
                let part = percent_decode_str(part).decode_utf8().ok()?.into_owned();
                (!part.contains('/') && !part.chars().any(char::is_control)).then_some(part)
            })
            .collect()
    }

    /// The pairs of the query.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.query.as_bytes()).into_owned().collect()
    }

    /// The pairs of a form that was posted.
    pub fn form_pairs(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

/// An answer, as `http.wit` describes it.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer with a body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body: body.into() }
    }

    /// An answer that sends the browser elsewhere to read: 303.
    pub fn see_other(location: &str) -> Self {
        Self { status: 303, headers: vec![("location".to_owned(), location.to_owned())], body: Vec::new() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The value of the first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(n, v)| (n == name).then_some(v.as_str()))
    }
}

/// Encodes a text for use in a path or a query.
pub fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_and_hidden_slashes_refused() {
        let segments = |path: &str| Request { path: path.to_owned(), ..Request::default() }.segments();
        assert_eq!(segments("/a/b%20c"), Some(vec!["a".to_owned(), "b c".to_owned()]));
        assert_eq!(segments("/a%2Fb"), None);
        assert_eq!(segments("/a%00"), None);
        assert_eq!(segments("/%ff"), None);
        assert_eq!(segments("a"), None);
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let request = Request {
            headers: vec![("cookie".to_owned(), "__Host-cartx=1; __Host-cart=2".to_owned())],
            ..Request::default()
        };
        assert_eq!(request.cookie("__Host-cart"), Some("2"));
        assert_eq!(request.cookie("cart"), None);
    }

    #[test]
    fn a_header_that_stands_twice_is_no_header() {
        let headers = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert_eq!(Request { headers, ..Request::default() }.header("a"), None);
    }
}
