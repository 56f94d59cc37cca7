//! The component: bindings and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::{audit, notification, subscriber};
use souk_kit::events::Event;
use souk_kit::guest::{self, Host};
use souk_kit::notification::{NotificationError, NotificationPage};
use souk_kit::notification_channels;
use souk_kit::notification_extension::{ChannelError, RenderedMessage};
use souk_kit::types::{Context, Id, PageRequest};

use crate::service::{self, Channels};

mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "notification-service",
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "souk:shop/types@0.1.0": souk_kit::types,
            "souk:shop/events@0.1.0": souk_kit::events,
            "souk:shop/sql@0.1.0": souk_kit::bindings::souk::shop::sql,
            "souk:shop/config@0.1.0": souk_kit::bindings::souk::shop::config,
            "souk:shop/log@0.1.0": souk_kit::bindings::souk::shop::log,
            "souk:shop/notification-extension@0.1.0": souk_kit::notification_extension,
            "souk:shop/notification-channels@0.1.0": souk_kit::notification_channels,
            "souk:shop/notification@0.1.0/delivery-state": souk_kit::notification::DeliveryState,
            "souk:shop/notification@0.1.0/notification-error": souk_kit::notification::NotificationError,
            "souk:shop/notification@0.1.0/notification-page": souk_kit::notification::NotificationPage,
            "souk:shop/notification@0.1.0/notification-summary": souk_kit::notification::NotificationSummary,
        },
    });
}

struct Component;

impl Channels for Host {
    fn send(&self, ctx: &Context, provider: &str, message: &RenderedMessage) -> Result<String, ChannelError> {
        notification_channels::send(ctx, provider, message)
    }
}

impl notification::Guest for Component {
    fn list_notifications(
        ctx: Context,
        recipient: String,
        page: PageRequest,
    ) -> Result<NotificationPage, NotificationError> {
        service::list(&Host, &guest::start(ctx), &recipient, &page)
    }

    fn resend(ctx: Context, command_id: Id, notification_id: Id) -> Result<(), NotificationError> {
        service::resend(&Host, &guest::start(ctx), &command_id, &notification_id)
    }
}

impl subscriber::Guest for Component {
    fn handle(ctx: Context, event: Event) -> Result<(), String> {
        service::handle(&Host, &guest::start(ctx), &event)
    }
}

impl audit::Guest for Component {
    fn check(ctx: Context, cursor: Option<String>) -> Result<audit::AuditPage, String> {
        let page = crate::audit::check(&Host, &guest::start(ctx), cursor.as_deref())?;
        let finding = |finding: crate::audit::Finding| audit::Finding {
            invariant: finding.invariant.to_owned(),
            subject: finding.subject,
            detail: finding.detail,
        };
        Ok(audit::AuditPage {
            checked: page.checked,
            findings: page.findings.into_iter().map(finding).collect(),
            next: page.next,
        })
    }
}

bindings::export!(Component with_types_in bindings);
