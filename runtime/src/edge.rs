//! Calling what answers HTTP, with typed values and a fresh instance per request.
//!
//! The types here are those of `wit/http.wit`, `wit/types.wit`, `wit/events.wit` and `wit/audit.wit`. This
//! module never reads a header or a path.

use std::sync::Arc;

use wasmtime::component::{ComponentExportIndex, ComponentNamedList, ComponentType, Func, Lift, Lower, TypedFunc};

use crate::call::{Failure, Scope, Unit, within};

/// The interface of edges.
pub const HTTP: &str = "souk:shop/http@0.1.0";
/// The interface of those who hear events.
pub const SUBSCRIBER: &str = "souk:shop/subscriber@0.1.0";
/// The interface of those who check their own books.
pub const AUDIT: &str = "souk:shop/audit@0.1.0";
/// The interface of a component that compares its books with somebody's outside.
pub const RECONCILE: &str = "souk:shop/reconcile@0.1.0";
/// The interface of a component that can compute anew what it keeps for speed.
pub const REPAIR: &str = "souk:shop/repair@0.1.0";

/// A request as an edge gets it.
#[derive(ComponentType, Lower)]
#[component(record)]
pub struct Request {
    /// The identity of the request.
    pub id: String,
    /// The method in upper case.
    pub method: String,
    /// The whole path as it was sent.
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

/// A response as an edge gives it.
#[derive(ComponentType, Lift)]
#[component(record)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What accompanies a call that the host makes itself.
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub struct Context {
    /// The identity of the event or command.
    #[component(name = "request-id")]
    pub request_id: String,
    /// On whose behalf.
    pub actor: Actor,
    /// The network address of the client; empty here.
    pub client: String,
}

/// On whose behalf a call is made.
#[derive(Clone, ComponentType, Lower)]
#[component(variant)]
pub enum Actor {
    /// A shopper who is not signed in.
    #[component(name = "guest")]
    Guest,
    /// A signed-in shopper.
    #[component(name = "user")]
    User(String),
    /// A member of staff.
    #[component(name = "staff")]
    Staff(String),
    /// The host itself.
    #[component(name = "system")]
    System(String),
}

impl Context {
    /// A context for a call of the host itself.
    pub fn system(request_id: &str, name: &str) -> Self {
        Self { request_id: request_id.into(), actor: Actor::System(name.into()), client: String::new() }
    }
}

/// An event as a subscriber gets it.
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub struct Event {
    /// The identity of the event.
    pub id: String,
    /// What happened.
    pub topic: String,
    /// What it happened to.
    pub key: String,
    /// The fact as a JSON object.
    pub payload: String,
    /// When it was committed, in milliseconds since 1970.
    #[component(name = "committed-at")]
    pub committed_at: i64,
    /// Which delivery this is.
    pub attempt: u32,
}

/// Something that does not add up.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub struct Discrepancy {
    /// The invariant.
    pub invariant: String,
    /// What it is broken for.
    pub subject: String,
    /// What was found and what was expected.
    pub detail: String,
}

/// One step of an audit.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub struct AuditPage {
    /// Subjects checked in this step.
    pub checked: u64,
    /// What does not add up.
    pub findings: Vec<Discrepancy>,
    /// Where the next step starts.
    pub next: Option<String>,
}

/// Parameters and result of `http.handle`.
pub type Handle = ((Request,), (Response,));
/// Parameters and result of `subscriber.handle`.
pub type Hear = ((Context, Event), (Result<(), String>,));
/// Parameters and result of `audit.check` and of `reconcile.check`.
pub type Check = ((Context, Option<String>), (Result<AuditPage, String>,));

/// Parameters and result of `repair.rebuild`.
pub type Rebuild = ((Context, String), (Result<bool, String>,));

/// A function of a known type that a component exports.
#[derive(Clone)]
pub struct Typed {
    /// The component.
    pub unit: Arc<Unit>,
    /// Its place in the component.
    pub index: ComponentExportIndex,
    /// The interface without package and version.
    pub interface: &'static str,
    /// The function.
    pub function: &'static str,
}

impl Typed {
    /// Calls the function in an instance of its own. The caller holds a turn.
    pub async fn call<Params, Return>(
        &self,
        scope: &Arc<Scope>,
        span_id: u64,
        params: Params,
    ) -> Result<Return, Failure>
    where
        Params: ComponentNamedList + Lower + Send + Sync,
        Return: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let deadline = self.unit.deadline(scope);
        let (mut store, instance) = self.unit.instantiate(scope, span_id, deadline).await?;
        let function = instance
            .get_func(&mut store, self.index)
            .ok_or_else(|| Failure::Trap(wasmtime::Error::msg("the export is not a function")))?;
        let function = known_type::<Params, Return>(function);
        within(deadline, function.call_async(&mut store, params)).await
    }
}

/// Gives a function its type without comparing the two again: that costs as much as a small call.
#[allow(
    unsafe_code,
    reason = "`app::check` compared the types of every function that is called here, when it was loaded"
)]
fn known_type<Params, Return>(function: Func) -> TypedFunc<Params, Return>
where
    Params: ComponentNamedList + Lower,
    Return: ComponentNamedList + Lift,
{
    // SAFETY: an application is made of components that `app::check` has found to have `Handle`, `Hear` and `Check`.
    unsafe { TypedFunc::new_unchecked(function) }
}
