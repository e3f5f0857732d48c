-- The guards are as good as those before: there is nothing to undo.
SELECT 1;
