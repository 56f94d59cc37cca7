//! What Souk is compared with: the same work as one native program, axum and rusqlite, with no isolation between its parts.
//!
//! `rival LISTS ORDERS` reads the product list from the database of a Souk shop and writes checkouts to a database of
//! its own, each in one transaction that is on disk when it is answered.

use std::{cell::RefCell, path::PathBuf, sync::Arc};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use rusqlite::{Connection, OpenFlags, params};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait for the writer.
const QUEUE_MAX: usize = 1024;

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
    let app = Router::new().route("/products", get(list)).route("/checkout", post(checkout)).with_state(shop);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    println!("http://{}", listener.local_addr().expect("it is bound"));
    axum::serve(listener, app).await.expect("it serves until it is killed");
}

async fn list(State(shop): State<Arc<Shop>>, Query(wanted): Query<Wanted>) -> impl IntoResponse {
    thread_local!(static READER: RefCell<Option<Connection>> = const { RefCell::new(None) });
    let limit = wanted.limit as usize;
    let mut data = READER.with_borrow_mut(|reader| {
        let reader = reader.get_or_insert_with(|| {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(&shop.lists, flags).expect("the shop's database can be read")
        });
        let mut statement = reader.prepare_cached(LIST).expect("the list is valid SQL");
        let rows = statement.query_map(params!["USD", wanted.limit + 1], |row| {
            let (price, price_max): (i64, i64) = (row.get(5)?, row.get(6)?);
            Ok(Summary {
                id: row.get(0)?,
                slug: row.get(1)?,
                title: row.get(2)?,
                status: "published",
                image_url: row.get(3)?,
                image_alt: row.get(4)?,
                price: Price { amount: price, currency: "USD" },
                price_varies: price_max > price,
                available: row.get(7)?,
            })
        });
        rows.expect("the list can be read").collect::<Result<Vec<_>, _>>().expect("the list can be read")
    });
    let has_more = data.len() > limit;
    data.truncate(limit);
    let next_cursor = has_more.then(|| data[limit - 1].id.clone());
    ([(header::CACHE_CONTROL, "public, max-age=0, s-maxage=30")], Json(List { data, has_more, next_cursor }))
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
