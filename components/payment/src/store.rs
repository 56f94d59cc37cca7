//! The only SQL: rows to payments and back.

pub mod inbox;

use serde_json::json;
use souk_kit::events::NewEvent;
use souk_kit::payment::{PaymentState, RefundEntry};
use souk_kit::payment_extension::{CapturePolicy, Decline};
use souk_kit::sql::{Batch, Cells, Read, SqlError, Value, Write, guarded, read};
use souk_kit::types::{Id, Instant, Money};
use souk_kit::{Sql, ids};

use crate::domain::ledger::{ACCOUNTS, Account, Transfer};
use crate::domain::{Command, CommandChange, Fact, Kind, Payment, Progress, Step, policy_name};

/// Most refunds that a view lists.
pub const REFUNDS_SHOWN_MAX: u32 = 100;

const PAYMENT: &str = "SELECT id, order_id, provider, provider_reference, request, token, return_url, capture_policy, state, \
     amount_minor, currency, authorized, captured, refunded, action_url, decline_code, decline_message, problem, \
     watch_until, check_at, take_by, created_at, heard_at, version FROM payment_payments";
const COMMAND: &str = "SELECT id, payment_id, kind, amount_minor, reason, progress, decline_code, decline_message, created_at FROM payment_commands";

/// A payment with what its view and a decision need.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The payment.
    pub payment: Payment,
    /// Its refunds, oldest first; refused ones are not among them.
    pub refunds: Vec<RefundEntry>,
}

/// Reads a payment.
pub fn load(ports: &impl Sql, id: &Id) -> Result<Option<Loaded>, SqlError> {
    let snapshot = ports.query(&payment_reads(id), None)?;
    Ok(loaded(&snapshot.results))
}

/// Reads a payment, and the command with this id, whichever payment it belongs to.
pub fn load_with_command(
    ports: &impl Sql,
    id: &Id,
    command_id: &Id,
) -> Result<(Option<Loaded>, Option<Command>), SqlError> {
    let mut reads = payment_reads(id).to_vec();
    reads.push(read(&format!("{COMMAND} WHERE id = $1"), [command_id.into()]));
    let snapshot = ports.query(&reads, None)?;
    Ok((loaded(&snapshot.results), snapshot.results[3].first(command)))
}

/// Reads a payment, and the id of the payment of this order that is not declined or voided.
pub fn load_with_active(ports: &impl Sql, id: &Id, order_id: &Id) -> Result<(Option<Loaded>, Option<Id>), SqlError> {
    let mut reads = payment_reads(id).to_vec();
    reads.push(read(
        "SELECT id FROM payment_payments WHERE order_id = $1 AND state IN ('pending', 'requires_action', 'authorized')",
        [order_id.into()],
    ));
    let snapshot = ports.query(&reads, None)?;
    Ok((loaded(&snapshot.results), snapshot.results[3].first(|cells| cells.text())))
}

fn payment_reads(id: &Id) -> [Read; 3] {
    [
        read(&format!("{PAYMENT} WHERE id = $1"), [id.into()]),
        read(&format!("{COMMAND} WHERE payment_id = $1 AND progress = 'in_flight'"), [id.into()]),
        read(
            &format!(
                "{COMMAND} WHERE payment_id = $1 AND kind = 'refund' AND progress <> 'refused' ORDER BY created_at, id LIMIT {REFUNDS_SHOWN_MAX}"
            ),
            [id.into()],
        ),
    ]
}

fn loaded(results: &[souk_kit::sql::Rows]) -> Option<Loaded> {
    let mut payment = results[0].first(payment)?;
    payment.in_flight = results[1].first(command);
    let refunds = results[2].map(|cells| {
        let command = command(cells);
        RefundEntry {
            id: command.id,
            amount: Money::new(command.amount, &payment.currency),
            done: command.progress == Progress::Done,
            created_at: command.created_at,
        }
    });
    Some(Loaded { payment, refunds })
}

/// Stores an intent, with its timer. The guard misses when the payment exists or the order has an active one.
pub fn insert(ports: &impl Sql, step: &Step, now: Instant) -> Result<(), SqlError> {
    let p = &step.next;
    let insert = guarded(
        "INSERT INTO payment_payments (id, order_id, provider, provider_reference, request, token, return_url, capture_policy, \
         state, amount_minor, currency, authorized, captured, refunded, action_url, problem, watch_until, check_at, \
         take_by, created_at, heard_at, version) \
         VALUES ($1, $2, $3, '', $4, $5, $6, $7, 'pending', $8, $9, 0, 0, 0, '', '', 0, $10, 0, $11, $12, 1) ON CONFLICT DO NOTHING",
        [
            (&p.id).into(),
            (&p.order_id).into(),
            (&p.provider).into(),
            (&p.request).into(),
            (&p.token).into(),
            (&p.return_url).into(),
            policy_name(p.capture).into(),
            p.amount.into(),
            (&p.currency).into(),
            p.check_at.into(),
            now.into(),
            now.into(),
        ],
    );
    // The request is in the id: another request with the same payment id is another batch, and misses the guard.
    let id = format!("{}/intent/{}", p.id, p.request);
    ports.commit(&Batch { id, writes: vec![insert], events: events(step) }).map(|_| ())
}

/// Commits a step. The guard misses when the payment changed since `before` was read.
///
/// Amounts move by differences under a guard of their own, so that they stay in order even if a decision was wrong.
pub fn commit(ports: &impl Sql, before: &Payment, step: &Step, now: Instant) -> Result<(), SqlError> {
    let mut writes = vec![update(before, &step.next)];
    for change in &step.commands {
        writes.push(match change {
            CommandChange::Added(command) => insert_command(command),
            CommandChange::Ended(id, progress) => end_command(id, progress),
        });
    }
    writes.extend(step.transfers.iter().map(|transfer| insert_transfer(transfer, &step.next, now)));
    // What is decided is in the id: two that decide otherwise at the same version are two batches, and one misses.
    let decided = ids::digest(&[&format!("{step:?}")]);
    let id = format!("{}/{}/{decided}", before.id, before.version);
    ports.commit(&Batch { id, writes, events: events(step) }).map(|_| ())
}

fn update(before: &Payment, next: &Payment) -> Write {
    guarded(
        "UPDATE payment_payments SET state = $1, provider_reference = $2, token = $3, authorized = authorized + $4, \
         captured = captured + $5, refunded = refunded + $6, action_url = $7, decline_code = $8, decline_message = $9, \
         problem = $10, watch_until = $11, check_at = $12, take_by = $13, heard_at = $14, version = version + 1 \
         WHERE id = $15 AND version = $16 AND refunded + $6 <= captured + $5 AND captured + $5 <= authorized + $4",
        [
            state_name(next.state).into(),
            (&next.reference).into(),
            (&next.token).into(),
            (next.authorized - before.authorized).into(),
            (next.captured - before.captured).into(),
            (next.refunded - before.refunded).into(),
            (&next.action_url).into(),
            next.decline.as_ref().map(|decline| &decline.code).into(),
            next.decline.as_ref().map(|decline| &decline.message).into(),
            (&next.problem).into(),
            next.watch_until.into(),
            next.check_at.into(),
            next.take_by.into(),
            next.heard_at.into(),
            (&before.id).into(),
            before.version.into(),
        ],
    )
}

fn insert_command(command: &Command) -> Write {
    let (progress, decline) = progress_cells(&command.progress);
    guarded(
        "INSERT INTO payment_commands (id, payment_id, kind, amount_minor, reason, progress, decline_code, decline_message, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        [
            (&command.id).into(),
            (&command.payment_id).into(),
            kind_name(command.kind).into(),
            command.amount.into(),
            (&command.reason).into(),
            progress.into(),
            decline.map(|decline| &decline.code).into(),
            decline.map(|decline| &decline.message).into(),
            command.created_at.into(),
        ],
    )
}

fn end_command(id: &Id, progress: &Progress) -> Write {
    let (progress, decline) = progress_cells(progress);
    guarded(
        "UPDATE payment_commands SET progress = $1, decline_code = $2, decline_message = $3 WHERE id = $4 AND progress = 'in_flight'",
        [
            progress.into(),
            decline.map(|decline| &decline.code).into(),
            decline.map(|decline| &decline.message).into(),
            id.into(),
        ],
    )
}

/// Both rows of a transfer in one statement: neither stands alone.
fn insert_transfer(transfer: &Transfer, payment: &Payment, now: Instant) -> Write {
    let sql = "INSERT INTO payment_entries (transfer_id, account, payment_id, amount_minor, currency, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6), ($1, $7, $3, $8, $5, $6)";
    let params = vec![
        (&transfer.id).into(),
        transfer.debit.name().into(),
        (&payment.id).into(),
        transfer.amount.into(),
        (&payment.currency).into(),
        now.into(),
        transfer.credit.name().into(),
        (-transfer.amount).into(),
    ];
    Write { sql: sql.to_owned(), params, expect: Some(2) }
}

fn events(step: &Step) -> Vec<NewEvent> {
    let p = &step.next;
    let event = |topic: &str, payload: serde_json::Value, not_before| NewEvent {
        topic: topic.to_owned(),
        key: p.id.clone(),
        payload: payload.to_string(),
        not_before,
    };
    let settled = || json!({ "payment_id": p.id, "order_id": p.order_id, "state": state_name(p.state) });
    step.facts
        .iter()
        .map(|fact| match fact {
            Fact::Settled => event("payment.settled", settled(), None),
            Fact::Changed => event("payment.changed", json!({ "payment_id": p.id, "order_id": p.order_id }), None),
            Fact::CheckDue => event("payment.check-due", json!({ "payment_id": p.id }), Some(p.check_at)),
        })
        .collect()
}

/// Orders with payments, by id, after this one.
pub fn orders_after(ports: &impl Sql, after: &str, limit: u32) -> Result<Vec<Id>, SqlError> {
    let sql = "SELECT DISTINCT order_id FROM payment_payments WHERE order_id > $1 ORDER BY order_id LIMIT $2";
    Ok(ports.query(&[read(sql, [after.into(), limit.into()])], None)?.results[0].map(|cells| cells.text()))
}

/// What the books say of one payment, for the audit.
#[derive(Debug)]
pub struct Books {
    /// The payment, with its command on the way.
    pub payment: Payment,
    /// What each account holds, in the order of [`ACCOUNTS`].
    pub balances: Vec<(Account, i64)>,
    /// The sum of its refunds that are done or on their way.
    pub refunds: i64,
    /// Transfers whose two rows do not sum to zero, or are not two.
    pub lopsided: i64,
}

/// Reads the books of up to `limit` payments after an id, in the order of ids.
pub fn books(ports: &impl Sql, after: &str, limit: u32) -> Result<Vec<Books>, SqlError> {
    let page = format!("(SELECT id FROM payment_payments WHERE id > $1 ORDER BY id LIMIT {limit})");
    let params = || [Value::from(after)];
    let reads = [
        read(&format!("{PAYMENT} WHERE id > $1 ORDER BY id LIMIT {limit}"), params()),
        read(&format!("{COMMAND} WHERE progress = 'in_flight' AND payment_id IN {page}"), params()),
        read(
            &format!(
                "SELECT payment_id, account, CAST(SUM(amount_minor) AS BIGINT) FROM payment_entries \
                 WHERE payment_id IN {page} GROUP BY payment_id, account"
            ),
            params(),
        ),
        read(
            &format!(
                "SELECT payment_id, CAST(SUM(amount_minor) AS BIGINT) FROM payment_commands \
                 WHERE kind = 'refund' AND progress <> 'refused' AND payment_id IN {page} GROUP BY payment_id"
            ),
            params(),
        ),
        read(
            &format!(
                "SELECT payment_id FROM payment_entries WHERE payment_id IN {page} \
                 GROUP BY payment_id, transfer_id HAVING SUM(amount_minor) <> 0 OR COUNT(*) <> 2"
            ),
            params(),
        ),
    ];
    let results = ports.query(&reads, None)?.results;
    let commands = results[1].map(command);
    let sums = results[2].map(|cells| (cells.text(), cells.text(), cells.integer()));
    let refunds = results[3].map(|cells| (cells.text(), cells.integer()));
    let lopsided = results[4].map(|cells| cells.text());
    let mut books =
        results[0].map(|cells| Books { payment: payment(cells), balances: Vec::new(), refunds: 0, lopsided: 0 });
    for book in &mut books {
        let id = &book.payment.id;
        book.payment.in_flight = commands.iter().find(|command| &command.payment_id == id).cloned();
        book.balances = ACCOUNTS
            .into_iter()
            .map(|account| {
                let sum = sums.iter().find(|(of, name, _)| of == id && name == account.name());
                (account, sum.map_or(0, |(_, _, sum)| *sum))
            })
            .collect();
        book.refunds = refunds.iter().find(|(of, _)| of == id).map_or(0, |(_, sum)| *sum);
        book.lopsided = lopsided.iter().filter(|of| *of == id).map(|_| 1).sum();
    }
    Ok(books)
}

fn payment(cells: &mut Cells<'_>) -> Payment {
    Payment {
        id: cells.text(),
        order_id: cells.text(),
        provider: cells.text(),
        reference: cells.text(),
        request: cells.text(),
        token: cells.text(),
        return_url: cells.text(),
        capture: match cells.str() {
            "automatic" => CapturePolicy::Automatic,
            "manual" => CapturePolicy::Manual,
            other => panic!("a constraint allows no policy {other}"),
        },
        state: match cells.str() {
            "pending" => PaymentState::Pending,
            "requires_action" => PaymentState::RequiresAction,
            "authorized" => PaymentState::Authorized,
            "declined" => PaymentState::Declined,
            "voided" => PaymentState::Voided,
            other => panic!("a constraint allows no state {other}"),
        },
        amount: cells.integer(),
        currency: cells.text(),
        authorized: cells.integer(),
        captured: cells.integer(),
        refunded: cells.integer(),
        in_flight: None,
        action_url: cells.text(),
        decline: decline(cells),
        problem: cells.text(),
        watch_until: cells.integer(),
        check_at: cells.integer(),
        take_by: cells.integer(),
        created_at: cells.integer(),
        heard_at: cells.integer(),
        version: cells.count(),
    }
}

fn command(cells: &mut Cells<'_>) -> Command {
    let (id, payment_id) = (cells.text(), cells.text());
    let kind = match cells.str() {
        "capture" => Kind::Capture,
        "void" => Kind::Void,
        "refund" => Kind::Refund,
        other => panic!("a constraint allows no kind {other}"),
    };
    let (amount, reason, progress) = (cells.integer(), cells.text(), cells.text());
    let decline = decline(cells);
    let progress = match progress.as_str() {
        "in_flight" => Progress::InFlight,
        "done" => Progress::Done,
        "refused" => Progress::Refused(decline.expect("a refused command is written with its reason")),
        other => panic!("a constraint allows no progress {other}"),
    };
    Command { id, payment_id, kind, amount, reason, progress, created_at: cells.integer() }
}

fn decline(cells: &mut Cells<'_>) -> Option<Decline> {
    let (code, message) = (cells.optional_text(), cells.optional_text());
    code.zip(message).map(|(code, message)| Decline { code, message })
}

fn progress_cells(progress: &Progress) -> (&'static str, Option<&Decline>) {
    match progress {
        Progress::InFlight => ("in_flight", None),
        Progress::Done => ("done", None),
        Progress::Refused(decline) => ("refused", Some(decline)),
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Capture => "capture",
        Kind::Void => "void",
        Kind::Refund => "refund",
    }
}

/// The name of a state in rows and events.
pub fn state_name(state: PaymentState) -> &'static str {
    match state {
        PaymentState::Pending => "pending",
        PaymentState::RequiresAction => "requires_action",
        PaymentState::Authorized => "authorized",
        PaymentState::Declined => "declined",
        PaymentState::Voided => "voided",
    }
}
