DROP TABLE koherent_transaction;
