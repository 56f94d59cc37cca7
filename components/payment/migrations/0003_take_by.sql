-- When what is held is taken without anybody asking; zero when the provider does not say until when it holds.
ALTER TABLE payment_payments ADD COLUMN take_by BIGINT NOT NULL DEFAULT 0;
