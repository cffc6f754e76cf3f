-- What a person may ask with SQL: names instead of ids, real units instead of codes, UTC times.

CREATE MACRO rate(code, per_unit) AS (exp(code / 50.0) - 1) / per_unit;
CREATE MACRO utc(seconds) AS make_timestamp(CAST(floor(CAST(seconds AS DOUBLE) * 1000000) AS BIGINT));

CREATE VIEW vm_samples AS
SELECT
    utc(s.ts) AS time, s.ts, d.name AS vm, d.uuid, s.cpu / 10.0 AS cpu, s.steal / 10.0 AS steal,
    s.delay / 10.0 AS delay, s.mem_used * 262144::DOUBLE AS mem_used,
    s.rss * 262144::DOUBLE AS rss, rate(s.read_bps, 1) AS read_bps,
    rate(s.write_bps, 1) AS write_bps, rate(s.read_iops, 10) AS read_iops,
    rate(s.write_iops, 10) AS write_iops, rate(s.read_ms, 100) AS read_ms,
    rate(s.write_ms, 100) AS write_ms, rate(s.rx_bps, 1) AS rx_bps, rate(s.tx_bps, 1) AS tx_bps
FROM (SELECT * FROM rec.vm_hist UNION ALL SELECT * FROM rec.vm_live) AS s
JOIN rec.vm AS d ON d.id = s.vm;
COMMENT ON COLUMN vm_samples.time IS 'UTC';
COMMENT ON COLUMN vm_samples.ts IS 'Seconds since the epoch; the fast way to name a range';
COMMENT ON COLUMN vm_samples.cpu IS 'Percent of the allotted vCPUs';
COMMENT ON COLUMN vm_samples.steal IS 'Percent';
COMMENT ON COLUMN vm_samples.delay IS 'Percent of the allotted vCPUs spent waiting for a host CPU';
COMMENT ON COLUMN vm_samples.mem_used IS 'Bytes used inside the guest';
COMMENT ON COLUMN vm_samples.rss IS 'Resident bytes of the QEMU process';
COMMENT ON COLUMN vm_samples.read_bps IS 'Bytes a second read from storage';
COMMENT ON COLUMN vm_samples.write_bps IS 'Bytes a second written to storage';
COMMENT ON COLUMN vm_samples.read_iops IS 'Reads a second';
COMMENT ON COLUMN vm_samples.write_iops IS 'Writes a second';
COMMENT ON COLUMN vm_samples.read_ms IS 'Mean milliseconds a read';
COMMENT ON COLUMN vm_samples.write_ms IS 'Mean milliseconds a write';
COMMENT ON COLUMN vm_samples.rx_bps IS 'Bytes a second received';
COMMENT ON COLUMN vm_samples.tx_bps IS 'Bytes a second sent';

CREATE VIEW vm_minutes AS
SELECT
    utc(s.ts) AS time, s.ts, d.name AS vm, d.uuid, s.n AS samples, s.cpu / 10.0 AS cpu,
    s.steal / 10.0 AS steal, s.delay / 10.0 AS delay, s.mem_used * 262144::DOUBLE AS mem_used,
    s.rss * 262144::DOUBLE AS rss, rate(s.read_bps, 1) AS read_bps,
    rate(s.write_bps, 1) AS write_bps, rate(s.read_iops, 10) AS read_iops,
    rate(s.write_iops, 10) AS write_iops, rate(s.read_ms, 100) AS read_ms,
    rate(s.write_ms, 100) AS write_ms, rate(s.rx_bps, 1) AS rx_bps, rate(s.tx_bps, 1) AS tx_bps,
    s.cpu_max / 10.0 AS cpu_max, s.steal_max / 10.0 AS steal_max,
    s.delay_max / 10.0 AS delay_max, s.mem_used_max * 262144::DOUBLE AS mem_used_max,
    s.rss_max * 262144::DOUBLE AS rss_max, rate(s.read_bps_max, 1) AS read_bps_max,
    rate(s.write_bps_max, 1) AS write_bps_max, rate(s.read_iops_max, 10) AS read_iops_max,
    rate(s.write_iops_max, 10) AS write_iops_max, rate(s.read_ms_max, 100) AS read_ms_max,
    rate(s.write_ms_max, 100) AS write_ms_max, rate(s.rx_bps_max, 1) AS rx_bps_max,
    rate(s.tx_bps_max, 1) AS tx_bps_max
FROM rec.vm_1m AS s
JOIN rec.vm AS d ON d.id = s.vm;
COMMENT ON COLUMN vm_minutes.time IS 'Start, UTC';
COMMENT ON COLUMN vm_minutes.samples IS 'Samples behind the means';

CREATE VIEW vm_hours AS
SELECT
    utc(s.ts) AS time, s.ts, d.name AS vm, d.uuid, s.n AS samples, s.cpu / 10.0 AS cpu,
    s.steal / 10.0 AS steal, s.delay / 10.0 AS delay, s.mem_used * 262144::DOUBLE AS mem_used,
    s.rss * 262144::DOUBLE AS rss, rate(s.read_bps, 1) AS read_bps,
    rate(s.write_bps, 1) AS write_bps, rate(s.read_iops, 10) AS read_iops,
    rate(s.write_iops, 10) AS write_iops, rate(s.read_ms, 100) AS read_ms,
    rate(s.write_ms, 100) AS write_ms, rate(s.rx_bps, 1) AS rx_bps, rate(s.tx_bps, 1) AS tx_bps,
    s.cpu_max / 10.0 AS cpu_max, s.steal_max / 10.0 AS steal_max,
    s.delay_max / 10.0 AS delay_max, s.mem_used_max * 262144::DOUBLE AS mem_used_max,
    s.rss_max * 262144::DOUBLE AS rss_max, rate(s.read_bps_max, 1) AS read_bps_max,
    rate(s.write_bps_max, 1) AS write_bps_max, rate(s.read_iops_max, 10) AS read_iops_max,
    rate(s.write_iops_max, 10) AS write_iops_max, rate(s.read_ms_max, 100) AS read_ms_max,
    rate(s.write_ms_max, 100) AS write_ms_max, rate(s.rx_bps_max, 1) AS rx_bps_max,
    rate(s.tx_bps_max, 1) AS tx_bps_max
FROM rec.vm_1h AS s
JOIN rec.vm AS d ON d.id = s.vm;
COMMENT ON COLUMN vm_hours.time IS 'Start, UTC';
COMMENT ON COLUMN vm_hours.samples IS 'Samples behind the means';

CREATE VIEW host_samples AS
SELECT
    utc(s.ts) AS time, s.ts, d.name AS host, s.cpu / 10.0 AS cpu, s.iowait / 10.0 AS iowait,
    s.steal / 10.0 AS steal, s.load1 / 100.0 AS load1, s.psi_cpu / 10.0 AS psi_cpu,
    s.psi_memory / 10.0 AS psi_memory, s.psi_io / 10.0 AS psi_io,
    s.mem_used * 262144::DOUBLE AS mem_used, s.swap_used * 262144::DOUBLE AS swap_used,
    rate(s.read_bps, 1) AS read_bps, rate(s.write_bps, 1) AS write_bps,
    rate(s.rx_bps, 1) AS rx_bps, rate(s.tx_bps, 1) AS tx_bps, rate(s.rtt_ms, 100) AS rtt_ms
FROM (SELECT * FROM rec.host_hist UNION ALL SELECT * FROM rec.host_live) AS s
JOIN rec.host AS d ON d.id = s.host;
COMMENT ON COLUMN host_samples.time IS 'UTC';
COMMENT ON COLUMN host_samples.ts IS 'Seconds since the epoch; the fast way to name a range';
COMMENT ON COLUMN host_samples.cpu IS 'Percent of all CPUs';
COMMENT ON COLUMN host_samples.iowait IS 'Percent of all CPUs';
COMMENT ON COLUMN host_samples.steal IS 'Percent';
COMMENT ON COLUMN host_samples.load1 IS 'Load average of one minute';
COMMENT ON COLUMN host_samples.psi_cpu IS 'Percent of time some task waited for a CPU';
COMMENT ON COLUMN host_samples.psi_memory IS 'Percent of time some task waited for memory';
COMMENT ON COLUMN host_samples.psi_io IS 'Percent of time some task waited for I/O';
COMMENT ON COLUMN host_samples.mem_used IS 'Bytes in use';
COMMENT ON COLUMN host_samples.swap_used IS 'Bytes of swap in use';
COMMENT ON COLUMN host_samples.read_bps IS 'Bytes a second read from storage';
COMMENT ON COLUMN host_samples.write_bps IS 'Bytes a second written to storage';
COMMENT ON COLUMN host_samples.rx_bps IS 'Bytes a second received';
COMMENT ON COLUMN host_samples.tx_bps IS 'Bytes a second sent';
COMMENT ON COLUMN host_samples.rtt_ms IS 'Milliseconds of a small request to the host';

CREATE VIEW host_minutes AS
SELECT
    utc(s.ts) AS time, s.ts, d.name AS host, s.n AS samples, s.cpu / 10.0 AS cpu,
    s.iowait / 10.0 AS iowait, s.steal / 10.0 AS steal, s.load1 / 100.0 AS load1,
    s.psi_cpu / 10.0 AS psi_cpu, s.psi_memory / 10.0 AS psi_memory, s.psi_io / 10.0 AS psi_io,
    s.mem_used * 262144::DOUBLE AS mem_used, s.swap_used * 262144::DOUBLE AS swap_used,
    rate(s.read_bps, 1) AS read_bps, rate(s.write_bps, 1) AS write_bps,
    rate(s.rx_bps, 1) AS rx_bps, rate(s.tx_bps, 1) AS tx_bps, rate(s.rtt_ms, 100) AS rtt_ms,
    s.cpu_max / 10.0 AS cpu_max, s.iowait_max / 10.0 AS iowait_max,
    s.steal_max / 10.0 AS steal_max, s.load1_max / 100.0 AS load1_max,
    s.psi_cpu_max / 10.0 AS psi_cpu_max, s.psi_memory_max / 10.0 AS psi_memory_max,
    s.psi_io_max / 10.0 AS psi_io_max, s.mem_used_max * 262144::DOUBLE AS mem_used_max,
    s.swap_used_max * 262144::DOUBLE AS swap_used_max, rate(s.read_bps_max, 1) AS read_bps_max,
    rate(s.write_bps_max, 1) AS write_bps_max, rate(s.rx_bps_max, 1) AS rx_bps_max,
    rate(s.tx_bps_max, 1) AS tx_bps_max, rate(s.rtt_ms_max, 100) AS rtt_ms_max
FROM rec.host_1m AS s
JOIN rec.host AS d ON d.id = s.host;
COMMENT ON COLUMN host_minutes.time IS 'Start, UTC';
COMMENT ON COLUMN host_minutes.samples IS 'Samples behind the means';

CREATE VIEW host_hours AS
SELECT
    utc(s.ts) AS time, s.ts, d.name AS host, s.n AS samples, s.cpu / 10.0 AS cpu,
    s.iowait / 10.0 AS iowait, s.steal / 10.0 AS steal, s.load1 / 100.0 AS load1,
    s.psi_cpu / 10.0 AS psi_cpu, s.psi_memory / 10.0 AS psi_memory, s.psi_io / 10.0 AS psi_io,
    s.mem_used * 262144::DOUBLE AS mem_used, s.swap_used * 262144::DOUBLE AS swap_used,
    rate(s.read_bps, 1) AS read_bps, rate(s.write_bps, 1) AS write_bps,
    rate(s.rx_bps, 1) AS rx_bps, rate(s.tx_bps, 1) AS tx_bps, rate(s.rtt_ms, 100) AS rtt_ms,
    s.cpu_max / 10.0 AS cpu_max, s.iowait_max / 10.0 AS iowait_max,
    s.steal_max / 10.0 AS steal_max, s.load1_max / 100.0 AS load1_max,
    s.psi_cpu_max / 10.0 AS psi_cpu_max, s.psi_memory_max / 10.0 AS psi_memory_max,
    s.psi_io_max / 10.0 AS psi_io_max, s.mem_used_max * 262144::DOUBLE AS mem_used_max,
    s.swap_used_max * 262144::DOUBLE AS swap_used_max, rate(s.read_bps_max, 1) AS read_bps_max,
    rate(s.write_bps_max, 1) AS write_bps_max, rate(s.rx_bps_max, 1) AS rx_bps_max,
    rate(s.tx_bps_max, 1) AS tx_bps_max, rate(s.rtt_ms_max, 100) AS rtt_ms_max
FROM rec.host_1h AS s
JOIN rec.host AS d ON d.id = s.host;
COMMENT ON COLUMN host_hours.time IS 'Start, UTC';
COMMENT ON COLUMN host_hours.samples IS 'Samples behind the means';

CREATE VIEW placements AS
SELECT
    v.uuid, v.name AS vm, h.name AS host, p.state, utc(p.moment) AS since,
    utc(lead(p.moment) OVER (PARTITION BY p.vm ORDER BY p.moment)) AS until
FROM rec.placement AS p
JOIN rec.vm AS v ON v.id = p.vm
JOIN rec.host AS h ON h.id = p.host;
COMMENT ON COLUMN placements.until IS 'UTC; NULL for where it is now';

CREATE VIEW vms AS
SELECT v.uuid, v.name AS vm, p.host, p.state, p.since, utc(v.seen) AS last_seen
FROM rec.vm AS v
LEFT JOIN placements AS p ON p.uuid = v.uuid AND p.until IS NULL;
COMMENT ON COLUMN vms.since IS 'UTC; when it came to this host or state';
COMMENT ON COLUMN vms.last_seen IS 'UTC; up to an hour behind';

CREATE VIEW hosts AS SELECT name AS host, utc(seen) AS last_seen FROM rec.host;
COMMENT ON COLUMN hosts.last_seen IS 'UTC; up to an hour behind';

CREATE VIEW events AS
SELECT utc(moment) AS time, severity, kind, host, vm_name AS vm, vm AS uuid, text, detail
FROM rec.event;
COMMENT ON COLUMN events.vm IS 'Name of the VM at that time';

CREATE VIEW jobs AS
SELECT
    id, utc(created_at) AS created, utc(ended_at) AS ended, state, action, vm_name AS vm, vm AS uuid,
    host, title, body
FROM rec.job;
COMMENT ON COLUMN jobs.body IS 'The whole job as JSON';
