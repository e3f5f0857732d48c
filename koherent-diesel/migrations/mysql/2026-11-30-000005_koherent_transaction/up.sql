-- Transactions that were made under an idempotency key: claimed together with the change, so that the same write, sent again,
-- finds that it is done. Rows may be deleted when no client sends again what is as old.
CREATE TABLE koherent_transaction (
    transaction_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,
    payload CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    attempt CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    transaction_date DATETIME(6) NOT NULL,
    KEY koherent_transaction_date (transaction_date)
) ENGINE = InnoDB;
