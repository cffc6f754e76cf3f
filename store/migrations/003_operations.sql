-- Operations on whole hosts with what a person wishes of them, and hosts that take no VMs.

CREATE TABLE rec.operation (
    id VARCHAR, created_at DOUBLE, ended_at DOUBLE, state VARCHAR, ended BOOLEAN, kind VARCHAR,
    host VARCHAR, actor VARCHAR, owner VARCHAR, body VARCHAR
);
CREATE TABLE rec.operation_wish (id VARCHAR, wish VARCHAR, moment DOUBLE, actor VARCHAR);
CREATE TABLE rec.cordon (host VARCHAR, since DOUBLE, actor VARCHAR, reason VARCHAR);

CREATE VIEW operations AS
SELECT
    id, utc(created_at) AS created, utc(ended_at) AS ended, state, kind, host, actor, body
FROM rec.operation;
COMMENT ON COLUMN operations.body IS 'The whole operation as JSON: its plan, moves and outcomes';

CREATE VIEW cordons AS SELECT host, utc(since) AS since, actor, reason FROM rec.cordon;
COMMENT ON COLUMN cordons.since IS 'UTC';
