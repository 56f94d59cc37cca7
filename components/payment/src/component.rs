//! The component: bindings, conversions and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::{audit as audit_export, payment as exported, reconcile, subscriber};
use souk_kit::payment::{self, PaymentError};
use souk_kit::payment_extension::{
    Hook, HookError, News, ProviderAuthorization, ProviderCommand, ProviderError, ProviderObject, ProviderPayment,
};
use souk_kit::ports::Call;
use souk_kit::types::{Context, Id, Money};
use souk_kit::{guest, payment_providers};

use crate::audit;
use crate::domain::Kind;
use crate::service::{self, Providers, Wish};

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes_without_reason,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "payment-service",
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "souk:shop/types@0.1.0": souk_kit::bindings::souk::shop::types,
            "souk:shop/events@0.1.0": souk_kit::bindings::souk::shop::events,
            "souk:shop/sql@0.1.0": souk_kit::bindings::souk::shop::sql,
            "souk:shop/config@0.1.0": souk_kit::bindings::souk::shop::config,
            "souk:shop/log@0.1.0": souk_kit::bindings::souk::shop::log,
            "souk:shop/payment-extension@0.1.0": souk_kit::bindings::souk::shop::payment_extension,
            "souk:shop/payment-providers@0.1.0": souk_kit::bindings::souk::shop::payment_providers,
        },
    });
}

struct Component;

impl exported::Guest for Component {
    fn authorize(
        ctx: Context,
        asked: exported::Authorization,
    ) -> Result<exported::PaymentView, exported::PaymentError> {
        let asked = payment::Authorization {
            payment_id: asked.payment_id,
            order_id: asked.order_id,
            amount: asked.amount,
            provider: asked.provider,
            token: asked.token,
            return_url: asked.return_url,
            capture: asked.capture,
        };
        answer(service::authorize(&guest::Host, &guest::start(ctx), &asked))
    }

    fn refresh(ctx: Context, payment_id: Id) -> Result<exported::PaymentView, exported::PaymentError> {
        answer(service::refresh(&guest::Host, &guest::start(ctx), &payment_id))
    }

    fn get_payment(ctx: Context, payment_id: Id) -> Result<exported::PaymentView, exported::PaymentError> {
        guest::start(ctx);
        answer(service::get(&guest::Host, &payment_id))
    }

    fn list_paid_orders(_ctx: Context, after: Id, limit: u32) -> Result<Vec<Id>, exported::PaymentError> {
        guest::report_panics();
        service::paid_orders(&guest::Host, &after, limit).map_err(refusal)
    }

    fn capture(
        ctx: Context,
        command_id: Id,
        payment_id: Id,
        amount: Money,
    ) -> Result<exported::PaymentView, exported::PaymentError> {
        command(guest::start(ctx), command_id, payment_id, Kind::Capture, Some(amount), String::new())
    }

    fn void(ctx: Context, command_id: Id, payment_id: Id) -> Result<exported::PaymentView, exported::PaymentError> {
        command(guest::start(ctx), command_id, payment_id, Kind::Void, None, String::new())
    }

    fn refund(
        ctx: Context,
        command_id: Id,
        payment_id: Id,
        amount: Money,
        reason: String,
    ) -> Result<exported::PaymentView, exported::PaymentError> {
        command(guest::start(ctx), command_id, payment_id, Kind::Refund, Some(amount), reason)
    }

    fn take_hook(ctx: Context, provider: String, hook: Hook) -> Result<(), HookError> {
        service::take_hook(&guest::Host, &guest::start(ctx), &provider, &hook)
    }

    fn list_providers(ctx: Context) -> Vec<String> {
        guest::start(ctx);
        service::list_providers(&guest::Host)
    }
}

impl audit_export::Guest for Component {
    fn check(ctx: Context, cursor: Option<String>) -> Result<audit_export::AuditPage, String> {
        audit::check(&guest::Host, &guest::start(ctx), cursor.as_deref()).map(audit_page)
    }
}

impl reconcile::Guest for Component {
    fn check(ctx: Context, cursor: Option<String>) -> Result<reconcile::AuditPage, String> {
        audit::reconcile(&guest::Host, &guest::start(ctx), cursor.as_deref()).map(audit_page)
    }
}

fn audit_page(page: audit::Page) -> audit_export::AuditPage {
    let findings = page.findings.into_iter().map(|finding| audit_export::Finding {
        invariant: finding.invariant.to_owned(),
        subject: finding.subject,
        detail: finding.detail,
    });
    audit_export::AuditPage { checked: page.checked, findings: findings.collect(), next: page.next }
}

impl subscriber::Guest for Component {
    fn handle(ctx: Context, event: subscriber::Event) -> Result<(), String> {
        let call = guest::start(ctx);
        let payload: serde_json::Value = serde_json::from_str(&event.payload).map_err(|error| error.to_string())?;
        let field = |name: &str| {
            payload[name].as_str().map(str::to_owned).ok_or_else(|| format!("{} has no {name}", event.topic))
        };
        let outcome = match event.topic.as_str() {
            "payment.check-due" => service::check_due(&guest::Host, &call, &field("payment_id")?),
            "payment.news-due" => {
                let attempt = payload["attempt"].as_u64().ok_or_else(|| format!("{} has no attempt", event.topic))?;
                service::news_due(&guest::Host, &call, &field("hook_id")?, attempt)
            }
            "payment-provider.changed" => {
                service::provider_changed(&guest::Host, &call, &event.id, &field("provider")?, &field("payment_id")?)
            }
            other => return Err(format!("nobody here hears {other}")),
        };
        outcome.map_err(|error| format!("{error:?}"))
    }
}

fn command(
    call: Call,
    command_id: Id,
    payment_id: Id,
    kind: Kind,
    amount: Option<Money>,
    reason: String,
) -> Result<exported::PaymentView, exported::PaymentError> {
    answer(service::command(&guest::Host, &call, &Wish { command_id, payment_id, kind, amount, reason }))
}

fn answer(
    outcome: Result<payment::PaymentView, PaymentError>,
) -> Result<exported::PaymentView, exported::PaymentError> {
    match outcome {
        Ok(view) => Ok(exported::PaymentView {
            id: view.id,
            order_id: view.order_id,
            provider: view.provider,
            provider_reference: view.provider_reference,
            state: state(view.state),
            amount: view.amount,
            authorized: view.authorized,
            captured: view.captured,
            refunded: view.refunded,
            in_flight: view.in_flight,
            action_url: view.action_url,
            decline: view.decline,
            refunds: view
                .refunds
                .into_iter()
                .map(|refund| exported::RefundEntry {
                    id: refund.id,
                    amount: refund.amount,
                    done: refund.done,
                    created_at: refund.created_at,
                })
                .collect(),
            created_at: view.created_at,
        }),
        Err(error) => Err(refusal(error)),
    }
}

fn refusal(error: PaymentError) -> exported::PaymentError {
    match error {
        PaymentError::Invalid(fields) => exported::PaymentError::Invalid(fields),
        PaymentError::NotFound => exported::PaymentError::NotFound,
        PaymentError::UnknownProvider => exported::PaymentError::UnknownProvider,
        PaymentError::WrongState(of) => exported::PaymentError::WrongState(state(of)),
        PaymentError::Exceeds(left) => exported::PaymentError::Exceeds(left),
        PaymentError::Refused(why) => exported::PaymentError::Refused(why),
        PaymentError::Conflict => exported::PaymentError::Conflict,
        PaymentError::StorageFull => exported::PaymentError::StorageFull,
        PaymentError::Unavailable(why) => exported::PaymentError::Unavailable(why),
    }
}

fn state(state: payment::PaymentState) -> exported::PaymentState {
    match state {
        payment::PaymentState::Pending => exported::PaymentState::Pending,
        payment::PaymentState::RequiresAction => exported::PaymentState::RequiresAction,
        payment::PaymentState::Authorized => exported::PaymentState::Authorized,
        payment::PaymentState::Declined => exported::PaymentState::Declined,
        payment::PaymentState::Voided => exported::PaymentState::Voided,
    }
}

impl Providers for guest::Host {
    fn authorize(
        &self,
        ctx: &Context,
        provider: &str,
        authorization: &ProviderAuthorization,
    ) -> Result<ProviderPayment, ProviderError> {
        payment_providers::authorize(ctx, provider, authorization)
    }

    fn lookup(&self, ctx: &Context, provider: &str, object: &ProviderObject) -> Result<ProviderPayment, ProviderError> {
        payment_providers::lookup(ctx, provider, object)
    }

    fn capture(
        &self,
        ctx: &Context,
        provider: &str,
        object: &ProviderObject,
        command: &ProviderCommand,
        amount: &Money,
    ) -> Result<ProviderPayment, ProviderError> {
        payment_providers::capture(ctx, provider, object, command, amount)
    }

    fn void(
        &self,
        ctx: &Context,
        provider: &str,
        object: &ProviderObject,
        command: &ProviderCommand,
    ) -> Result<ProviderPayment, ProviderError> {
        payment_providers::void(ctx, provider, object, command)
    }

    fn refund(
        &self,
        ctx: &Context,
        provider: &str,
        object: &ProviderObject,
        command: &ProviderCommand,
        amount: &Money,
    ) -> Result<ProviderPayment, ProviderError> {
        payment_providers::refund(ctx, provider, object, command, amount)
    }

    fn read_hook(&self, ctx: &Context, provider: &str, hook: &Hook) -> Result<Option<News>, HookError> {
        payment_providers::read_hook(ctx, provider, hook)
    }
}

bindings::export!(Component with_types_in bindings);
