//! Every stage of an order meets every step.

use souk_kit::order::{FulfillmentLine, OrderLine, OrderState, Shipment, Totals};
use souk_kit::payment::PaymentState;
use souk_kit::payment_extension::{CapturePolicy, Decline};
use souk_kit::testing::START;
use souk_kit::{Money, ids};

use super::world::{SHIRT, address, order_id};
use crate::domain::decide::{Asker, Refusal, Shelf, Step, decide};
use crate::domain::task::{OpenCommand, Outside, Request, Task};
use crate::domain::{Funds, Line, Order, Stage, Units};

const TOTAL: i64 = 2000;

fn eur(minor: i64) -> Money {
    Money::new(minor, "EUR")
}

fn funds(captured: i64, refunded: i64) -> Funds {
    Funds { state: Some(PaymentState::Authorized), authorized: TOTAL, captured, refunded }
}

/// Two units at 1000, nothing happened yet.
fn placed() -> Order {
    let item = OrderLine {
        variant_id: SHIRT.to_owned(),
        product_id: "prod_1".to_owned(),
        title: "Shirt".to_owned(),
        variant_title: String::new(),
        sku: "S".to_owned(),
        image_url: String::new(),
        quantity: 2,
        fulfilled: 0,
        unit_price: eur(1000),
        total: eur(TOTAL),
        tax: eur(0),
    };
    Order {
        id: order_id(1),
        number: "S-1".to_owned(),
        access_token: ids::hex(&[1; 20]),
        user_id: None,
        cart_id: "cart_1".to_owned(),
        cart_version: 1,
        email: "ann@example.org".to_owned(),
        placement: String::new(),
        stage: Stage::Pending,
        lines: vec![Line { item, withdrawn: 0, returned: 0 }],
        totals: Totals { subtotal: eur(TOTAL), shipping: eur(0), tax: eur(0), total: eur(TOTAL) },
        shipping_method: "standard".to_owned(),
        shipping_address: address(),
        billing_address: address(),
        payment_provider: "test".to_owned(),
        payment_token: "tok".to_owned(),
        return_url: "https://shop.example".to_owned(),
        capture: CapturePolicy::Manual,
        funds: Funds::NONE,
        action_url: String::new(),
        decline: None,
        cancel_reason: String::new(),
        announce: false,
        shipments: Vec::new(),
        open: None,
        placed_at: START,
        confirmed_at: None,
        canceled_at: None,
        version: 3,
    }
}

fn open(task: Task) -> Option<OpenCommand> {
    Some(OpenCommand { id: "open".to_owned(), task, opened_at: START })
}

/// An order at the head of a column.
fn order(column: &str) -> Order {
    let order = placed();
    let confirmed = Order {
        stage: Stage::Confirmed,
        payment_token: String::new(),
        confirmed_at: Some(START),
        funds: funds(500, 0),
        ..order.clone()
    };
    let mut parted = confirmed.clone();
    parted.lines[0].item.fulfilled = 1;
    parted.funds = funds(TOTAL, 0);
    let parcel = |id: &str, quantity| Shipment {
        id: id.to_owned(),
        lines: vec![FulfillmentLine { variant_id: SHIRT.to_owned(), quantity }],
        carrier: String::new(),
        tracking_number: String::new(),
        at: START,
    };
    parted.shipments = vec![parcel("a", 1)];
    let mut completed = Order { stage: Stage::Completed, shipments: vec![parcel("a", 2)], ..parted.clone() };
    completed.lines[0].item.fulfilled = 2;
    let cancel = open(Task::Cancel { reason: "no".to_owned() });
    match column {
        "pending" => order,
        "awaiting" => Order { stage: Stage::AwaitingAction, action_url: "https://a".to_owned(), ..order },
        "giving_up" => Order { stage: Stage::GivingUp, cancel_reason: "out_of_stock".to_owned(), ..order },
        "confirmed" => confirmed,
        "parted" => parted,
        "busy" => {
            let task = Task::Refund { amount: 100, reason: String::new(), restock: Units::new() };
            Order { open: open(task), ..confirmed }
        }
        "canceling" => Order { stage: Stage::Canceling, open: cancel, cancel_reason: "no".to_owned(), ..confirmed },
        "completed" => completed,
        "canceled" => Order { stage: Stage::Canceled, canceled_at: Some(START), ..order },
        other => panic!("no column is called {other}"),
    }
}

/// A step at the head of a row.
fn step(row: &str) -> Step {
    let pending = Funds { state: Some(PaymentState::Pending), ..Funds::NONE };
    let shirts = |quantity| vec![FulfillmentLine { variant_id: SHIRT.to_owned(), quantity }];
    let ask = |by, request: Request| Step::Ask { id: "c".to_owned(), digest: request.digest(), request, by };
    let staff = |request| ask(Asker::Staff, request);
    let refund = |minor, restock| Request::Refund { amount: eur(minor), reason: String::new(), restock };
    let ship = |lines| Request::Ship { lines, carrier: String::new(), tracking_number: String::new() };
    let cancel = || Request::Cancel { reason: "no".to_owned() };
    match row {
        "await answer" => Step::AwaitAnswer(pending),
        "await action" => Step::AwaitAction { funds: pending, url: "https://b".to_owned() },
        "confirm" => Step::Confirm(funds(0, 0)),
        "give up" => Step::GiveUp { reason: "out_of_stock", decline: None, announce: false },
        "stay" => Step::Stay(Decline { code: "rejected".to_owned(), message: String::new() }),
        "undone" => Step::Undone { funds: None, announce: false },
        "shopper cancels" => ask(Asker::Shopper, cancel()),
        "staff cancels" => staff(cancel()),
        "capture" => staff(Request::Capture { amount: None }),
        "capture 1501" => staff(Request::Capture { amount: Some(eur(1501)) }),
        "capture in USD" => staff(Request::Capture { amount: Some(Money::new(1, "USD")) }),
        "refund 500" => staff(refund(500, vec![])),
        "refund 2001" => staff(refund(2001, vec![])),
        "refund 1, shelve 2" => staff(refund(1, shirts(2))),
        "refund 1, shelve 3" => staff(refund(1, shirts(3))),
        "refund 0" => staff(refund(0, vec![])),
        "ship" => staff(ship(vec![])),
        "ship 1" => staff(ship(shirts(1))),
        "ship 2" => staff(ship(shirts(2))),
        "ship 0" => staff(ship(shirts(0))),
        "finish" => Step::Finish { funds: Some(funds(500, 100)), shelf: Shelf::Stocked },
        "refuse" => Step::Refuse(Outside::Exceeds { left: 1 }),
        "sync" => Step::Sync(funds(700, 0)),
        other => panic!("no row is called {other}"),
    }
}

/// The stage afterwards, with `+` when a command is open; or why not.
fn outcome(column: &str, row: &str) -> String {
    let order = order(column);
    match decide(&order, step(row), START + 1) {
        Ok(change) => {
            assert_eq!(change.next.version, order.version + 1, "every change raises the version");
            assert!(!change.entries.is_empty() || change.command.is_some(), "a change leaves a trace: {column}, {row}");
            let open = if change.next.open.is_some() { "+" } else { "" };
            let stage = match change.next.stage {
                Stage::Pending => "pending",
                Stage::AwaitingAction => "awaiting",
                Stage::GivingUp => "giving_up",
                Stage::Confirmed => "confirmed",
                Stage::Canceling => "canceling",
                Stage::Completed => "completed",
                Stage::Canceled => "canceled",
            };
            format!("{stage}{open}")
        }
        Err(Refusal::WrongState(_)) => "-".to_owned(),
        Err(Refusal::Exceeds(left)) => format!("> {left}"),
        Err(Refusal::Unpaid) => "unpaid".to_owned(),
        Err(Refusal::Busy) => "busy".to_owned(),
        Err(Refusal::Invalid { .. }) => "invalid".to_owned(),
    }
}

fn check(table: &str) {
    let mut rows = table.lines().map(str::trim).filter(|row| !row.is_empty());
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let head = cells(rows.next().expect("a table has a head"));
    for row in rows {
        let row = cells(row);
        let told: Vec<String> = head[1..].iter().map(|column| outcome(column, &row[0])).collect();
        assert_eq!(told, row[1..], "{} in {:?}", row[0], &head[1..]);
    }
}

#[test]
fn every_stage_meets_every_step() {
    check(
        "
        step               | pending    | awaiting   | giving_up  | confirmed  | parted     | busy       | canceling  | completed  | canceled
        await answer       | pending    | pending    | -          | -          | -          | -          | -          | -          | -
        await action       | awaiting   | awaiting   | -          | -          | -          | -          | -          | -          | -
        confirm            | confirmed  | confirmed  | -          | -          | -          | -          | -          | -          | -
        give up            | giving_up  | giving_up  | -          | -          | -          | -          | -          | -          | -
        stay               | -          | -          | -          | -          | -          | -          | confirmed  | -          | -
        undone             | -          | -          | canceled   | -          | -          | -          | canceled   | -          | -
        shopper cancels    | giving_up+ | giving_up+ | -          | -          | -          | -          | -          | -          | -
        staff cancels      | giving_up+ | giving_up+ | -          | canceling+ | -          | busy       | -          | -          | -
        capture            | -          | -          | -          | confirmed+ | > 0        | busy       | -          | > 0        | -
        capture 1501       | -          | -          | -          | > 1500     | > 0        | > 1500     | -          | > 0        | -
        capture in USD     | invalid    | invalid    | invalid    | invalid    | invalid    | invalid    | invalid    | invalid    | invalid
        refund 500         | -          | -          | -          | confirmed+ | confirmed+ | busy       | -          | completed+ | -
        refund 2001        | -          | -          | -          | > 500      | > 2000     | > 500      | -          | > 2000     | -
        refund 1, shelve 2 | -          | -          | -          | confirmed+ | confirmed+ | busy       | -          | completed+ | -
        refund 1, shelve 3 | -          | -          | -          | > 2        | > 2        | > 2        | -          | > 2        | -
        refund 0           | invalid    | invalid    | invalid    | invalid    | invalid    | invalid    | invalid    | invalid    | invalid
        ship               | -          | -          | -          | confirmed+ | completed  | busy       | -          | -          | -
        ship 1             | -          | -          | -          | confirmed+ | completed  | busy       | -          | -          | -
        ship 2             | -          | -          | -          | confirmed+ | > 1        | busy       | -          | -          | -
        ship 0             | invalid    | invalid    | invalid    | invalid    | invalid    | invalid    | invalid    | invalid    | invalid
        finish             | -          | -          | -          | -          | -          | confirmed  | -          | -          | -
        refuse             | -          | -          | -          | -          | -          | confirmed  | -          | -          | -
        sync               | -          | -          | -          | confirmed  | confirmed  | confirmed+ | -          | completed  | canceled
        ",
    );
}

#[test]
fn what_was_put_back_on_the_shelf_is_never_handed_over() {
    // Fulfilled, put back: left, withdrawn, returned.
    for (fulfilled, shelved, left, withdrawn, returned) in
        [(0, 1, 1, 1, 0), (0, 2, 0, 2, 0), (1, 1, 0, 1, 0), (1, 2, 0, 1, 1), (2, 1, 0, 0, 1), (2, 2, 0, 0, 2)]
    {
        let mut order = order(["confirmed", "parted", "completed"][fulfilled as usize]);
        order.funds = funds(TOTAL, 0);
        let restock = Units::from([(SHIRT.to_owned(), shelved)]);
        order.open = open(Task::Refund { amount: 1, reason: String::new(), restock });
        let step = Step::Finish { funds: Some(funds(TOTAL, 1)), shelf: Shelf::Stocked };
        let next = decide(&order, step, START).expect("it is finished").next;
        let line = &next.lines[0];
        assert_eq!((line.left(), line.withdrawn, line.returned), (left, withdrawn, returned));
        let complete = fulfilled > 0 && left == 0;
        assert_eq!(next.stage.state(), if complete { OrderState::Completed } else { OrderState::Confirmed });
    }
}

#[test]
fn units_that_the_catalog_would_not_take_are_still_to_be_handed_over() {
    let mut order = order("confirmed");
    let restock = Units::from([(SHIRT.to_owned(), 2)]);
    order.open = open(Task::Refund { amount: 1, reason: String::new(), restock });
    let step = Step::Finish { funds: Some(funds(500, 1)), shelf: Shelf::Refused };
    let change = decide(&order, step, START).expect("it is finished");
    assert_eq!(change.next.lines[0].left(), 2);
    assert!(change.entries.iter().any(|(kind, _)| *kind == "restock_refused"));
}

#[test]
#[should_panic(expected = "all of it is held")]
fn an_order_is_never_confirmed_on_less_than_its_total() {
    let step = Step::Confirm(Funds { authorized: TOTAL - 1, ..funds(0, 0) });
    let _ = decide(&placed(), step, START);
}

#[test]
fn an_event_holds_the_longest_order() {
    let mut order = placed();
    let long = "\u{10348}".repeat(200);
    let line = order.lines[0].clone();
    order.lines = (0..100)
        .map(|place| {
            let mut line = line.clone();
            line.item.variant_id = format!("var_{place}");
            line.item.title = long.clone();
            line.item.variant_title = long.clone();
            line.item.sku = long.clone();
            line
        })
        .collect();
    let event = crate::domain::facts::event(&order, &crate::domain::facts::Fact::Placed);
    assert!(event.payload.len() <= 64 * 1024, "{} bytes", event.payload.len());
    order.lines.truncate(1);
    let event = crate::domain::facts::event(&order, &crate::domain::facts::Fact::Placed);
    assert!(event.payload.contains(&long), "texts are cut only when they must be");
}
