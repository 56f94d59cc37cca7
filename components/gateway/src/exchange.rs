//! One request on its way through the gateway: who asks, for what, when, and where new ids come from.

use souk_kit::http::Request;
use souk_kit::tokens::Claims;
use souk_kit::{Actor, Context, Id, Instant, ids};

use crate::ports::Ports;
use crate::problem::{Code, Problem};
use crate::reply;
use crate::routes::{self, Route};

/// Longest text of a client about itself, in characters.
const DEVICE_CHARS_MAX: usize = 200;

/// What a request brings that it did not send: the present and fresh randomness.
pub struct Arrival {
    /// When it came.
    pub now: Instant,
    /// Random bytes, other ones at each call. Called only by what mints an id, so that reads cost nothing.
    pub entropy: fn() -> [u8; 16],
}

/// The identity of a command that its client named: whose key, and the key.
#[derive(Clone, Debug)]
pub struct CommandKey {
    /// Whose: a user id, or the guest that a path stands for.
    pub principal: String,
    /// The `Idempotency-Key`.
    pub key: String,
}

/// Which version of a subject a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It does not say.
    Unsaid,
    /// Whatever is there: `If-Match: *`.
    Present,
    /// This one.
    Version(u64),
}

impl Expected {
    /// The version, where leaving it out and `*` mean the same.
    pub fn version(self) -> Option<u64> {
        match self {
            Self::Unsaid | Self::Present => None,
            Self::Version(version) => Some(version),
        }
    }
}

/// One request on its way.
pub struct Exchange<'a> {
    /// What stands below the gateway.
    pub ports: &'a dyn Ports,
    /// The request.
    pub request: &'a Request,
    /// The route that was found for it.
    pub route: &'static Route,
    /// On whose behalf services are called.
    pub ctx: Context,
    /// What the bearer's token says, when one was shown.
    pub bearer: Option<Claims>,
    /// When the request came.
    pub now: Instant,
    /// The identity of the command, when its client named it.
    pub key: Option<CommandKey>,
    path: &'a str,
    entropy: fn() -> [u8; 16],
}

impl<'a> Exchange<'a> {
    /// A request that has passed the door.
    pub fn new(
        ports: &'a dyn Ports,
        arrival: &Arrival,
        request: &'a Request,
        route: &'static Route,
        path: &'a str,
        bearer: Option<Claims>,
    ) -> Self {
        let ctx = Context {
            request_id: request.id.clone(),
            actor: actor(route, bearer.as_ref()),
            client: request.client.clone(),
        };
        Self { ports, request, route, ctx, bearer, now: arrival.now, key: None, path, entropy: arrival.entropy }
    }

    /// The value of a part of the path that the route names.
    pub fn part(&self, name: &str) -> &'a str {
        routes::parameter(self.route.path, self.path, name).expect("a handler asks only for parts that its route has")
    }

    /// The value of a part of the path that must be an id; anything else names nothing.
    pub fn id(&self, name: &str, prefix: &str) -> Result<&'a str, Problem> {
        let id = self.part(name);
        if ids::is_id(prefix, id) { Ok(id) } else { Err(Code::NotFound.into()) }
    }

    /// Whose request it is, on routes for the signed in.
    pub fn user(&self) -> &Claims {
        self.bearer.as_ref().expect("the route lets only the signed in pass")
    }

    /// Mints an id for what this request makes; `what` tells several apart. A command that its client named gives
    /// the same id at every repeat.
    pub fn mint(&self, prefix: &str, what: &str) -> Id {
        match &self.key {
            Some(CommandKey { principal, key }) => {
                ids::derive(prefix, &[principal, &self.request.method, self.path, key, what])
            }
            None => {
                let [random @ .., _, _, _, _, _, _] = (self.entropy)();
                ids::mint(prefix, self.now, random)
            }
        }
    }

    /// An id that nobody can guess, another one at every call: whoever knows it may use what it names.
    pub fn secret_id(&self, prefix: &str) -> Id {
        format!("{prefix}_{}", ids::hex(&(self.entropy)()))
    }

    /// The version that `If-Match` names. A tag that is not one of ours can match nothing.
    pub fn if_match(&self) -> Result<Expected, Problem> {
        if !self.request.headers.iter().any(|(name, _)| name == "if-match") {
            return Ok(Expected::Unsaid);
        }
        match self.request.header("if-match").map(str::trim) {
            Some("*") => Ok(Expected::Present),
            Some(tag) => match reply::version_of(tag) {
                Some(version) => Ok(Expected::Version(version)),
                None => Err(Problem::new(Code::PreconditionFailed, "if-match takes one strong entity tag of this API")),
            },
            None => Err(Problem::new(Code::PreconditionFailed, "if-match stands more than once")),
        }
    }

    /// The version that `If-Match` names, where it must name one.
    pub fn required_if_match(&self) -> Result<Expected, Problem> {
        match self.if_match()? {
            Expected::Unsaid => Err(Code::PreconditionRequired.into()),
            named @ (Expected::Present | Expected::Version(_)) => Ok(named),
        }
    }

    /// What the client says of itself.
    pub fn device(&self) -> String {
        self.request.header("user-agent").unwrap_or_default().chars().take(DEVICE_CHARS_MAX).collect()
    }

    /// The path of the request, decoded.
    pub fn path(&self) -> &'a str {
        self.path
    }
}

/// Staff act as staff in the admin API alone: in the shop they are shoppers, and see what is theirs.
fn actor(route: &Route, bearer: Option<&Claims>) -> Actor {
    match bearer {
        None => Actor::Guest,
        Some(claims) if route.access == routes::Access::Staff => Actor::Staff(claims.user_id.clone()),
        Some(claims) => Actor::User(claims.user_id.clone()),
    }
}
