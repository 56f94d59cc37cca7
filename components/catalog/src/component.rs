//! The component: bindings, conversions and exports.
#![allow(unsafe_code, reason = "the generated exports are called through the canonical ABI")]

use bindings::exports::souk::shop::{audit, catalog, repair, subscriber};
use souk_kit::events::Event;
use souk_kit::guest::{Host, report_panics, start};
use souk_kit::types::{Context, Id, PageRequest};

use crate::service::{self, categories, media, products, stock};
use crate::values::{
    CatalogError, Category, MediaFile, MovementPage, Offer, Product, ProductPage, ProductQuery, Reservation, StockLine,
    VariantDetail, Visibility,
};

pub mod bindings {
    //! The bindings of the world `catalog-service`.
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from wit/, where the documentation is"
    )]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "catalog-service",
        with: {
            "wasi:clocks/wall-clock@0.2.0": souk_kit::bindings::wasi::clocks::wall_clock,
            "souk:shop/types@0.1.0": souk_kit::bindings::souk::shop::types,
            "souk:shop/events@0.1.0": souk_kit::bindings::souk::shop::events,
            "souk:shop/sql@0.1.0": souk_kit::bindings::souk::shop::sql,
            "souk:shop/log@0.1.0": souk_kit::bindings::souk::shop::log,
        },
        additional_derives: [PartialEq, Eq],
    });
}

struct Component;

/// The topic of the timer that this service sets for itself.
const RESERVATION_DUE: &str = "catalog.reservation-due";

impl subscriber::Guest for Component {
    fn handle(ctx: Context, event: Event) -> Result<(), String> {
        match event.topic.as_str() {
            RESERVATION_DUE => stock::reservation_due(&Host, &start(ctx), &event.key),
            other => Err(format!("this service does not hear {other}")),
        }
    }
}

impl catalog::Guest for Component {
    fn list_products(_ctx: Context, query: ProductQuery, page: PageRequest) -> Result<ProductPage, CatalogError> {
        report_panics();
        products::list_products(&Host, query, &page)
    }

    fn get_product(_ctx: Context, key: String, visibility: Visibility) -> Result<Product, CatalogError> {
        report_panics();
        products::get_product(&Host, &key, visibility)
    }

    fn get_offers(_ctx: Context, variant_ids: Vec<Id>, currency: String) -> Result<Vec<Offer>, CatalogError> {
        report_panics();
        products::get_offers(&Host, &variant_ids, &currency)
    }

    fn list_categories(_ctx: Context) -> Result<Vec<Category>, CatalogError> {
        report_panics();
        categories::list_categories(&Host)
    }

    fn create_product(ctx: Context, product: Product) -> Result<Product, CatalogError> {
        products::create_product(&Host, &start(ctx), &product)
    }

    fn update_product(ctx: Context, product: Product) -> Result<Product, CatalogError> {
        products::update_product(&Host, &start(ctx), &product)
    }

    fn delete_product(ctx: Context, product_id: Id, version: Option<u64>) -> Result<(), CatalogError> {
        products::delete_product(&Host, &start(ctx), &product_id, version)
    }

    fn set_category(_ctx: Context, category: Category) -> Result<Category, CatalogError> {
        report_panics();
        categories::set_category(&Host, &category)
    }

    fn delete_category(_ctx: Context, category_id: Id) -> Result<(), CatalogError> {
        report_panics();
        categories::delete_category(&Host, &category_id)
    }

    fn put_media(ctx: Context, file: MediaFile) -> Result<Id, CatalogError> {
        media::put_media(&Host, &start(ctx), &file)
    }

    fn get_media(_ctx: Context, media_id: Id) -> Result<MediaFile, CatalogError> {
        report_panics();
        media::get_media(&Host, &media_id)
    }

    fn adjust_stock(
        ctx: Context,
        movement_id: Id,
        variant_id: Id,
        delta: i64,
        reason: String,
    ) -> Result<VariantDetail, CatalogError> {
        stock::adjust_stock(&Host, &start(ctx), &movement_id, &variant_id, delta, &reason)
    }

    fn list_stock_movements(_ctx: Context, variant_id: Id, page: PageRequest) -> Result<MovementPage, CatalogError> {
        report_panics();
        stock::list_stock_movements(&Host, &variant_id, &page)
    }

    fn reserve(
        ctx: Context,
        order_id: Id,
        lines: Vec<StockLine>,
        ttl_seconds: u32,
    ) -> Result<Reservation, CatalogError> {
        stock::reserve(&Host, &start(ctx), &order_id, &lines, ttl_seconds)
    }

    fn commit_reservation(ctx: Context, order_id: Id) -> Result<Reservation, CatalogError> {
        stock::commit_reservation(&Host, &start(ctx), &order_id)
    }

    fn release_reservation(ctx: Context, order_id: Id) -> Result<Reservation, CatalogError> {
        stock::release_reservation(&Host, &start(ctx), &order_id)
    }

    fn get_reservation(_ctx: Context, order_id: Id) -> Result<Reservation, CatalogError> {
        report_panics();
        stock::get_reservation(&Host, &order_id)
    }

    fn list_reserved_orders(_ctx: Context, after: Id, limit: u32) -> Result<Vec<Id>, CatalogError> {
        report_panics();
        stock::reserved_orders(&Host, &after, limit)
    }

    fn restock(ctx: Context, command_id: Id, order_id: Id, lines: Vec<StockLine>) -> Result<(), CatalogError> {
        stock::restock(&Host, &start(ctx), &command_id, &order_id, &lines)
    }
}

impl audit::Guest for Component {
    fn check(ctx: Context, cursor: Option<String>) -> Result<audit::AuditPage, String> {
        let step = service::audit::check(&Host, &start(ctx), cursor)?;
        let finding = |found: service::audit::Finding| audit::Finding {
            invariant: found.invariant.to_owned(),
            subject: found.subject,
            detail: found.detail,
        };
        let findings = step.findings.into_iter().map(finding).collect();
        Ok(audit::AuditPage { checked: step.checked, findings, next: step.next })
    }
}

impl repair::Guest for Component {
    fn rebuild(ctx: Context, subject: String) -> Result<bool, String> {
        service::audit::rebuild(&Host, &start(ctx), &subject)
    }
}

bindings::export!(Component with_types_in bindings);
