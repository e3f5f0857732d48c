DROP FUNCTION koherent_admit_handed_over_task(text, text, text, text, text, text, text, text, text, text, text, text);
DROP TABLE koherent_transaction;
