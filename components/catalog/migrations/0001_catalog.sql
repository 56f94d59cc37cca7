-- Every change of the category tree raises its version, so that two changes that are each fine cannot make a circle together.
CREATE TABLE catalog_category_tree (
    id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);
INSERT INTO catalog_category_tree (id, version) VALUES (1, 0);

CREATE TABLE catalog_categories (
    id        TEXT   NOT NULL PRIMARY KEY,
    parent_id TEXT   REFERENCES catalog_categories (id),
    slug      TEXT   NOT NULL UNIQUE,
    title     TEXT   NOT NULL,
    position  BIGINT NOT NULL CHECK (position >= 0)
);

-- Each category with itself and all above it.
CREATE TABLE catalog_category_ancestors (
    category_id TEXT NOT NULL REFERENCES catalog_categories (id),
    ancestor_id TEXT NOT NULL REFERENCES catalog_categories (id),
    PRIMARY KEY (category_id, ancestor_id)
);
CREATE INDEX catalog_category_ancestors_below ON catalog_category_ancestors (ancestor_id, category_id);

-- Options and media are JSON: they are read and written whole and never searched.
CREATE TABLE catalog_products (
    id             TEXT   NOT NULL PRIMARY KEY,
    slug           TEXT   NOT NULL,
    title          TEXT   NOT NULL,
    title_key      TEXT   NOT NULL,
    description    TEXT   NOT NULL,
    status         TEXT   NOT NULL CHECK (status IN ('draft', 'published', 'archived')),
    options        TEXT   NOT NULL,
    media          TEXT   NOT NULL,
    image_url      TEXT   NOT NULL,
    image_alt      TEXT   NOT NULL,
    created_digest TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    deleted_at     BIGINT,
    version        BIGINT NOT NULL CHECK (version >= 1)
);
CREATE UNIQUE INDEX catalog_products_slug ON catalog_products (slug) WHERE deleted_at IS NULL;
CREATE INDEX catalog_products_newest ON catalog_products (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX catalog_products_title ON catalog_products (title_key, id) WHERE deleted_at IS NULL;

CREATE TABLE catalog_product_categories (
    product_id  TEXT   NOT NULL REFERENCES catalog_products (id),
    category_id TEXT   NOT NULL REFERENCES catalog_categories (id),
    position    BIGINT NOT NULL,
    PRIMARY KEY (product_id, category_id)
);
CREATE INDEX catalog_product_categories_in ON catalog_product_categories (category_id, product_id);

CREATE TABLE catalog_variants (
    id            TEXT   NOT NULL PRIMARY KEY,
    product_id    TEXT   NOT NULL REFERENCES catalog_products (id),
    position      BIGINT NOT NULL,
    sku           TEXT   NOT NULL,
    barcode       TEXT   NOT NULL,
    weight_grams  BIGINT NOT NULL CHECK (weight_grams >= 0),
    option_values TEXT   NOT NULL,
    deleted_at    BIGINT
);
CREATE UNIQUE INDEX catalog_variants_sku ON catalog_variants (sku) WHERE deleted_at IS NULL;
CREATE INDEX catalog_variants_of ON catalog_variants (product_id, position) WHERE deleted_at IS NULL;

CREATE TABLE catalog_variant_prices (
    variant_id TEXT   NOT NULL REFERENCES catalog_variants (id),
    currency   TEXT   NOT NULL CHECK (length(currency) = 3),
    minor      BIGINT NOT NULL CHECK (minor >= 0),
    PRIMARY KEY (variant_id, currency)
);

-- Stock outlives its variant, so that open reservations settle; `listed` is 0 once the variant is deleted.
CREATE TABLE catalog_stock (
    variant_id TEXT   NOT NULL PRIMARY KEY REFERENCES catalog_variants (id),
    product_id TEXT   NOT NULL REFERENCES catalog_products (id),
    listed     BIGINT NOT NULL CHECK (listed IN (0, 1)),
    on_hand    BIGINT NOT NULL,
    reserved   BIGINT NOT NULL,
    CHECK (reserved >= 0 AND on_hand >= reserved)
);
CREATE INDEX catalog_stock_of ON catalog_stock (product_id) WHERE listed = 1;

-- What a shopper's list shows: one row for each product that is not deleted and each currency it is sold in.
-- Everything here follows from the tables above and is written in the same batch as they are.
CREATE TABLE catalog_listings (
    product_id  TEXT   NOT NULL REFERENCES catalog_products (id),
    currency    TEXT   NOT NULL,
    published   BIGINT NOT NULL CHECK (published IN (0, 1)),
    slug        TEXT   NOT NULL,
    title       TEXT   NOT NULL,
    title_key   TEXT   NOT NULL,
    image_url   TEXT   NOT NULL,
    image_alt   TEXT   NOT NULL,
    price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
    price_max   BIGINT NOT NULL,
    available   BIGINT NOT NULL CHECK (available >= 0),
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (product_id, currency)
);
CREATE INDEX catalog_listings_newest ON catalog_listings (currency, created_at, product_id) WHERE published = 1;
CREATE INDEX catalog_listings_price ON catalog_listings (currency, price_minor, product_id) WHERE published = 1;
CREATE INDEX catalog_listings_title ON catalog_listings (currency, title_key, product_id) WHERE published = 1;

-- The sort keys of published listings for each category that holds the product or one below it, so that a
-- page of a category is read from an index however large the catalog is.
CREATE TABLE catalog_category_listings (
    category_id TEXT   NOT NULL,
    product_id  TEXT   NOT NULL REFERENCES catalog_products (id),
    currency    TEXT   NOT NULL,
    title_key   TEXT   NOT NULL,
    price_minor BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (product_id, category_id, currency)
);
CREATE INDEX catalog_category_listings_newest ON catalog_category_listings (category_id, currency, created_at, product_id);
CREATE INDEX catalog_category_listings_price ON catalog_category_listings (category_id, currency, price_minor, product_id);
CREATE INDEX catalog_category_listings_title ON catalog_category_listings (category_id, currency, title_key, product_id);

CREATE TABLE catalog_search_terms (
    term       TEXT NOT NULL,
    product_id TEXT NOT NULL REFERENCES catalog_products (id),
    PRIMARY KEY (term, product_id)
);
CREATE INDEX catalog_search_terms_of ON catalog_search_terms (product_id);

CREATE TABLE catalog_media (
    id           TEXT   NOT NULL PRIMARY KEY,
    content_type TEXT   NOT NULL,
    base64       TEXT   NOT NULL,
    created_at   BIGINT NOT NULL
);

CREATE TABLE catalog_reservations (
    order_id   TEXT   NOT NULL PRIMARY KEY,
    state      TEXT   NOT NULL CHECK (state IN ('held', 'committed', 'released')),
    expires_at BIGINT NOT NULL
);

CREATE TABLE catalog_reservation_lines (
    order_id   TEXT   NOT NULL REFERENCES catalog_reservations (order_id),
    variant_id TEXT   NOT NULL REFERENCES catalog_stock (variant_id),
    quantity   BIGINT NOT NULL CHECK (quantity >= 1),
    restocked  BIGINT NOT NULL CHECK (restocked BETWEEN 0 AND quantity),
    PRIMARY KEY (order_id, variant_id)
);
CREATE INDEX catalog_reservation_lines_of ON catalog_reservation_lines (variant_id, order_id);

CREATE TABLE catalog_movements (
    id             TEXT   NOT NULL PRIMARY KEY,
    variant_id     TEXT   NOT NULL REFERENCES catalog_stock (variant_id),
    on_hand_delta  BIGINT NOT NULL,
    reserved_delta BIGINT NOT NULL,
    reason         TEXT   NOT NULL,
    order_id       TEXT   NOT NULL,
    actor          TEXT   NOT NULL,
    moved_at       BIGINT NOT NULL
);
CREATE INDEX catalog_movements_of ON catalog_movements (variant_id, moved_at, id);
CREATE INDEX catalog_movements_for ON catalog_movements (order_id, variant_id) WHERE order_id <> '';
