CREATE TABLE users ( id INT PRIMARY KEY, name TEXT );
-- Doc
CREATE VIEW v AS SELECT u.id FROM users u JOIN orders o ON o.uid = u.id;
CREATE FUNCTION f(a int) RETURNS int AS $$ SELECT 1 $$ LANGUAGE sql;
