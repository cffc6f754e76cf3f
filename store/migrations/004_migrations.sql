-- What migrations took, read out of the journal of jobs.

CREATE VIEW migrations AS
SELECT
    j.id AS job, utc(j.ended_at) AS ended, j.vm_name, j.vm, j.host AS source,
    json_extract_string(j.body, '$.plan.request.target') AS target,
    json_extract_string(j.body, '$.facts.mode') AS mode, j.state,
    CAST(json_extract_string(f.told, '$.seconds') AS DOUBLE) AS seconds,
    CAST(json_extract_string(f.told, '$.downtime_ms') AS DOUBLE) AS downtime_ms,
    CAST(json_extract_string(f.told, '$.bytes') AS UBIGINT) AS bytes,
    CAST(json_extract_string(f.told, '$.rate_bps') AS DOUBLE) AS rate_bps,
    CAST(json_extract_string(f.told, '$.dirty_bps') AS DOUBLE) AS dirty_bps,
    CAST(json_extract_string(f.told, '$.passes') AS INTEGER) AS passes,
    CAST(json_extract_string(f.told, '$.capped_mib') AS INTEGER) AS capped_mib
FROM rec.job AS j,
    LATERAL (SELECT json_extract_string(j.body, '$.facts.figures') AS told) AS f
WHERE j.action = 'migrate' AND j.ended;
COMMENT ON COLUMN migrations.ended IS 'UTC';
COMMENT ON COLUMN migrations.seconds IS 'From begin to end; empty where it did not arrive';
COMMENT ON COLUMN migrations.downtime_ms IS 'Pause of the guest, milliseconds';
COMMENT ON COLUMN migrations.bytes IS 'Sent in all, disks included';
COMMENT ON COLUMN migrations.rate_bps IS 'Mean bytes a second';
COMMENT ON COLUMN migrations.dirty_bps IS 'Bytes a second the guest rewrote at the end';
COMMENT ON COLUMN migrations.capped_mib IS 'MiB a second it was held to; 0 where nothing held it';
