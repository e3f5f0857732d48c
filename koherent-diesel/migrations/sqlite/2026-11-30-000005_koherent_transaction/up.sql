-- Transactions that were made under an idempotency key: claimed together with the change, so that the same write, sent again,
-- finds that it is done. Rows may be deleted when no client sends again what is as old.
CREATE TABLE koherent_transaction (
    transaction_id TEXT PRIMARY KEY NOT NULL,
    payload TEXT NOT NULL,
    attempt TEXT NOT NULL,
    transaction_date TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX koherent_transaction_date ON koherent_transaction (transaction_date);
