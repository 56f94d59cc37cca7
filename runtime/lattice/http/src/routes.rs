//! The edges that links lead to, as the server sees them.

use std::sync::Arc;

use souk_server::{
    Application, Edge, Problem, Request, Response,
    rate::Limiter,
    route::{Pattern, Table},
    trace::Trace,
};

use crate::{calls::Target, link::Terms};

/// Who answers which path.
pub struct Routes {
    routes: Vec<(Pattern, Arc<Route>)>,
    table: Table<Arc<Route>>,
}

/// One route to one edge.
pub struct Route {
    name: String,
    target: Arc<Target>,
    limiter: Option<Limiter>,
}

impl Routes {
    /// The routes of one link.
    pub fn new(target: &Arc<Target>, terms: &Terms) -> Self {
        let route = |pattern: &Pattern| {
            let limiter = terms.rate_on(pattern).map(Limiter::new);
            let route = Route { name: pattern.to_string(), target: target.clone(), limiter };
            (pattern.clone(), Arc::new(route))
        };
        Self::of(terms.routes.iter().map(route).collect())
    }

    /// The routes of several links together.
    pub fn joined<'a>(links: impl Iterator<Item = &'a Self>) -> Self {
        Self::of(links.flat_map(|link| link.routes.iter().cloned()).collect())
    }

    fn of(routes: Vec<(Pattern, Arc<Route>)>) -> Self {
        Self { table: Table::new(routes.clone()), routes }
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl Application for Routes {
    type Edge = Route;

    fn edge(&self, path: &str) -> Option<&Arc<Route>> {
        self.table.find(path)
    }

    fn unready(&self) -> Option<&'static str> {
        self.routes.is_empty().then_some("no link leads to an edge")
    }
}

impl Edge for Route {
    fn route(&self) -> &str {
        &self.name
    }

    fn component(&self) -> &str {
        self.target.component()
    }

    fn body_bytes_max(&self) -> usize {
        self.target.body_bytes_max()
    }

    fn limiter(&self) -> Option<&Limiter> {
        self.limiter.as_ref()
    }

    async fn handle(&self, request: Request, trace: Trace) -> Result<Response, Problem> {
        self.target.ask(request, trace).await
    }
}
