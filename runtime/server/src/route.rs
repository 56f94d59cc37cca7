//! Routes: which component answers a path.
//!
//! The notation is Spin's: `/about` is that path alone; `/api/...` is `/api` and everything below it. An exact
//! route beats a wildcard, a longer wildcard beats a shorter one. Paths are compared as they were sent,
//! percent-encoding included. This module never looks at methods or hosts.

use std::fmt;

/// The paths of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This path and no other.
    Exact(String),
    /// This prefix, without a final slash, and everything below it.
    Below(String),
}

impl Pattern {
    /// Reads a route, or says what to write instead.
    pub fn parse(route: &str) -> Result<Self, &'static str> {
        if !route.starts_with('/') {
            return Err("starts with a slash; write \"/path\" or \"/path/...\"");
        }
        if route.contains(['?', '#', ' ']) {
            return Err("is a path alone, without query, fragment or spaces");
        }
        let pattern = match route.strip_suffix("/...") {
            Some(prefix) => Self::Below(prefix.to_owned()),
            None => Self::Exact(route.to_owned()),
        };
        let (Self::Exact(text) | Self::Below(text)) = &pattern;
        if text.split('/').any(|segment| segment.starts_with(':') || segment.contains("...")) {
            return Err("has a wildcard within; here only a final `/...` is one");
        }
        Ok(pattern)
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => path == exact,
            Self::Below(prefix) => {
                path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }

    /// Routes are tried in the order of this rank.
    fn rank(&self) -> (u8, std::cmp::Reverse<usize>) {
        match self {
            Self::Exact(exact) => (0, std::cmp::Reverse(exact.len())),
            Self::Below(prefix) => (1, std::cmp::Reverse(prefix.len())),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Below(prefix) => write!(f, "{prefix}/..."),
        }
    }
}

/// All routes, the strongest first.
#[derive(Debug)]
pub struct Table<T> {
    routes: Vec<(Pattern, T)>,
}

impl<T> Table<T> {
    /// A table of these routes, whatever their order.
    pub fn new(mut routes: Vec<(Pattern, T)>) -> Self {
        routes.sort_by_key(|(pattern, _)| pattern.rank());
        Self { routes }
    }

    /// What the strongest route that takes the path leads to.
    pub fn find(&self, path: &str) -> Option<&T> {
        self.routes.iter().find(|(pattern, _)| pattern.matches(path)).map(|(_, target)| target)
    }

    /// Every target, the strongest route first.
    pub fn targets(&self) -> impl Iterator<Item = &T> {
        self.routes.iter().map(|(_, target)| target)
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Table};

    #[test]
    fn the_longest_route_that_fits_answers() {
        let routes = ["/...", "/api/...", "/api/v1/...", "/api/v1", "/about"];
        let table =
            Table::new(routes.iter().map(|route| (Pattern::parse(route).expect("a valid route"), *route)).collect());
        for (path, expected) in [
            ("/", "/..."),
            ("/x", "/..."),
            ("/api", "/api/..."),
            ("/api/", "/api/..."),
            ("/apis", "/..."),
            ("/api/v2/x", "/api/..."),
            ("/api/v1", "/api/v1"),
            ("/api/v1/x", "/api/v1/..."),
            ("/about", "/about"),
            ("/about/", "/..."),
        ] {
            assert_eq!(table.find(path), Some(&expected), "{path}");
        }
        assert_eq!(Table::new(vec![(Pattern::Exact("/a".into()), ())]).find("/b"), None);
    }

    #[test]
    fn only_the_end_of_a_route_is_a_wildcard() {
        for route in ["api", "", "/a/:id", "/a/.../b", "/a?b", "/a...", "/a b"] {
            assert!(Pattern::parse(route).is_err(), "{route}");
        }
    }
}
