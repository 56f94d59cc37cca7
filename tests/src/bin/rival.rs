//! What Souk is compared with: the same work as one native program, axum and rusqlite, with no isolation between its parts.
//!
//! The list is answered as a shop in production would: the same body and headers byte for byte but for the id of the
//! request, with the layers that Souk's host has too (request ids, a deadline, limits of bodies and of requests at once, a span and
//! a histogram per request), from the usual libraries.
//!
//! `rival LISTS ORDERS` reads the product list from the database of a Souk shop and writes checkouts to a database of
//! its own, each in one transaction that is on disk when it is answered.

use std::{
    cell::RefCell,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, MatchedPath, OriginalUri, Query, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use prometheus::{HistogramVec, Registry};
use rusqlite::{Connection, OpenFlags, params};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tower::{ServiceBuilder, limit::ConcurrencyLimitLayer};
use tower_http::{ServiceBuilderExt as _, request_id::MakeRequestUuid, timeout::TimeoutLayer, trace::TraceLayer};

/// Commands that may wait for the writer.
const QUEUE_MAX: usize = 1024;
/// Requests at once, as the manifest says for Souk's gateway.
const CONCURRENCY_MAX: usize = 256;
/// The longest that a request may take, as the manifest says for Souk's gateway.
const DEADLINE: Duration = Duration::from_secs(20);
/// The largest body, as Souk's host has it.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The columns and the order of Souk's own list.
const LIST: &str = "SELECT product_id, slug, title, image_url, image_alt, price_minor, price_max, available, created_at \
     FROM catalog_listings WHERE published = 1 AND currency = ?1 ORDER BY created_at DESC, product_id DESC LIMIT ?2";

/// The rows that a checkout of Souk leaves behind, in one schema.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE stock (variant_id TEXT PRIMARY KEY, on_hand BIGINT NOT NULL CHECK (on_hand >= 0));
    CREATE TABLE orders (id TEXT PRIMARY KEY, number BIGINT NOT NULL, state TEXT NOT NULL, total BIGINT NOT NULL, address TEXT NOT NULL);
    CREATE TABLE lines (order_id TEXT NOT NULL, variant_id TEXT NOT NULL, quantity BIGINT NOT NULL, price BIGINT NOT NULL);
    CREATE TABLE movements (order_id TEXT NOT NULL, variant_id TEXT NOT NULL, delta BIGINT NOT NULL);
    CREATE TABLE payments (id TEXT PRIMARY KEY, order_id TEXT NOT NULL, captured BIGINT NOT NULL);
    CREATE TABLE entries (payment_id TEXT NOT NULL, account TEXT NOT NULL, amount BIGINT NOT NULL);
    CREATE TABLE outbox (id TEXT PRIMARY KEY, topic TEXT NOT NULL, payload TEXT NOT NULL);
    INSERT INTO stock VALUES ('variant', 1000000000);
";

#[derive(Serialize)]
struct Price<'a> {
    amount: i64,
    currency: &'a str,
}

#[derive(Serialize)]
struct Summary<'a> {
    id: String,
    slug: String,
    title: String,
    status: &'static str,
    image_url: String,
    image_alt: String,
    price: Price<'a>,
    price_varies: bool,
    available: i64,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<Summary<'a>>,
    has_more: bool,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    limit: u32,
}

#[derive(Deserialize)]
struct Order {
    id: String,
    address: String,
}

type Command = (Order, oneshot::Sender<bool>);

struct Shop {
    lists: PathBuf,
    writer: mpsc::Sender<Command>,
}

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1).map(PathBuf::from);
    let (Some(lists), Some(orders)) = (words.next(), words.next()) else {
        eprintln!("usage: rival LISTS.db ORDERS.db");
        std::process::exit(2);
    };
    let (writer, commands) = mpsc::channel(QUEUE_MAX);
    std::thread::spawn(move || write(&orders, commands));
    let shop = Arc::new(Shop { lists, writer });
    let layers = ServiceBuilder::new()
        .set_x_request_id(MakeRequestUuid)
        .layer(TraceLayer::new_for_http())
        .propagate_x_request_id()
        .layer(ConcurrencyLimitLayer::new(CONCURRENCY_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, DEADLINE))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let app = Router::new()
        .route("/api/v1/store/products", get(list))
        .route("/checkout", post(checkout))
        .route_layer(middleware::from_fn_with_state(histogram(), measure))
        .layer(layers)
        .with_state(shop);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    println!("http://{}", listener.local_addr().expect("it is bound"));
    axum::serve(listener, app).await.expect("it serves until it is killed");
}

/// Seconds per request, by method, route and status.
fn histogram() -> HistogramVec {
    let options = prometheus::HistogramOpts::new("request_seconds", "Seconds per request.");
    let histogram = HistogramVec::new(options, &["method", "route", "status"]).expect("the name is a valid one");
    Registry::new().register(Box::new(histogram.clone())).expect("the registry is empty");
    histogram
}

async fn measure(State(histogram): State<HistogramVec>, path: MatchedPath, request: Request, next: Next) -> Response {
    let (started, method) = (Instant::now(), request.method().clone());
    let response = next.run(request).await;
    let status = response.status();
    let labels = [method.as_str(), path.as_str(), status.as_str()];
    histogram.with_label_values(&labels).observe(started.elapsed().as_secs_f64());
    response
}

async fn list(
    State(shop): State<Arc<Shop>>,
    OriginalUri(uri): OriginalUri,
    Query(wanted): Query<Wanted>,
) -> impl IntoResponse {
    thread_local!(static READER: RefCell<Option<Connection>> = const { RefCell::new(None) });
    let limit = wanted.limit as usize;
    let mut rows = READER.with_borrow_mut(|reader| {
        let reader = reader.get_or_insert_with(|| {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(&shop.lists, flags).expect("the shop's database can be read")
        });
        let mut statement = reader.prepare_cached(LIST).expect("the list is valid SQL");
        let rows = statement.query_map(params!["USD", wanted.limit + 1], |row| {
            let (price, price_max): (i64, i64) = (row.get(5)?, row.get(6)?);
            let summary = Summary {
                id: row.get(0)?,
                slug: row.get(1)?,
                title: row.get(2)?,
                status: "published",
                image_url: row.get(3)?,
                image_alt: row.get(4)?,
                price: Price { amount: price, currency: "USD" },
                price_varies: price_max > price,
                available: row.get(7)?,
            };
            Ok((summary, row.get(8)?))
        });
        let rows: Result<Vec<(Summary<'_>, i64)>, _> = rows.expect("the list can be read").collect();
        rows.expect("the list can be read")
    });
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| has_more).map(|(last, created_at)| {
        let parts = ["newest", &created_at.to_string(), &last.id];
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&parts).expect("three texts are always JSON"))
    });
    let link = next_cursor.as_deref().map(|cursor| {
        let (path, limit) = (uri.path(), wanted.limit);
        [(header::LINK, format!("<{path}?limit={limit}&cursor={cursor}>; rel=\"next\""))]
    });
    let headers = [
        (header::CACHE_CONTROL, "public, max-age=0, s-maxage=30, stale-while-revalidate=60"),
        (header::VARY, "authorization"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let data = rows.into_iter().map(|(summary, _)| summary).collect();
    (headers, link, Json(List { data, has_more, next_cursor }))
}

async fn checkout(State(shop): State<Arc<Shop>>, Json(order): Json<Order>) -> StatusCode {
    let (answer, done) = oneshot::channel();
    if shop.writer.send((order, answer)).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if done.await.unwrap_or(false) { StatusCode::CREATED } else { StatusCode::CONFLICT }
}

fn write(path: &PathBuf, mut commands: mpsc::Receiver<Command>) {
    let mut db = Connection::open(path).expect("the rival's database can be made");
    db.execute_batch(SCHEMA).expect("the schema is valid SQL");
    let mut number = 0;
    while let Some((order, answer)) = commands.blocking_recv() {
        number += 1;
        // Whoever asked may have gone away meanwhile.
        let _ = answer.send(place(&mut db, &order, number).is_ok());
    }
}

fn place(db: &mut Connection, order: &Order, number: i64) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| transaction.prepare_cached(sql)?.execute(params);
    let payment = format!("pay-{}", order.id);
    run("UPDATE stock SET on_hand = on_hand - 1 WHERE variant_id = 'variant' AND on_hand >= 1", &[])?;
    run("INSERT INTO orders VALUES (?1, ?2, 'confirmed', 1999, ?3)", &[&order.id, &number, &order.address])?;
    run("INSERT INTO lines VALUES (?1, 'variant', 1, 1999)", &[&order.id])?;
    run("INSERT INTO movements VALUES (?1, 'variant', -1)", &[&order.id])?;
    run("INSERT INTO payments VALUES (?1, ?2, 1999)", &[&payment, &order.id])?;
    run("INSERT INTO entries VALUES (?1, 'provider', 1999), (?1, 'captured', -1999)", &[&payment])?;
    run("INSERT INTO outbox VALUES (?1, 'order.placed', '{}')", &[&order.id])?;
    transaction.commit()
}
