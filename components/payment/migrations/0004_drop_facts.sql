-- What connectors said is kept in the inbox, beside what webhooks say.
DROP TABLE payment_facts;
