-- Figures are kept as integer codes, which DuckDB packs to about a byte each: shares in tenths of a
-- percent, memory in units of 256 KiB, load in hundredths, and rates and latencies on a logarithmic
-- scale with steps of 2 %, so within 1 % (see the macro rate). Times are whole UTC seconds.
-- *_live holds samples as they come, *_hist the same in blocks of an hour, each VM on its own.

CREATE SCHEMA rec;

CREATE TABLE rec.mark (name VARCHAR, ts UINTEGER);
CREATE TABLE rec.vm (id INTEGER, uuid VARCHAR, name VARCHAR, seen UINTEGER);
CREATE TABLE rec.host (id INTEGER, name VARCHAR, seen UINTEGER);
CREATE TABLE rec.placement (moment DOUBLE, vm INTEGER, host INTEGER, state VARCHAR);
CREATE TABLE rec.event (
    moment DOUBLE, kind VARCHAR, severity VARCHAR, host VARCHAR, vm VARCHAR, vm_name VARCHAR,
    text VARCHAR, detail VARCHAR, change VARCHAR
);
CREATE TABLE rec.job (
    id VARCHAR, created_at DOUBLE, ended_at DOUBLE, state VARCHAR, ended BOOLEAN, action VARCHAR,
    vm VARCHAR, vm_name VARCHAR, host VARCHAR, title VARCHAR, body VARCHAR
);

CREATE TABLE rec.vm_live (
    ts UINTEGER, vm INTEGER, cpu SMALLINT, steal SMALLINT, delay SMALLINT, mem_used INTEGER,
    rss INTEGER, read_bps SMALLINT, write_bps SMALLINT, read_iops SMALLINT, write_iops SMALLINT,
    read_ms SMALLINT, write_ms SMALLINT, rx_bps SMALLINT, tx_bps SMALLINT
);
CREATE TABLE rec.vm_hist (
    ts UINTEGER, vm INTEGER, cpu SMALLINT, steal SMALLINT, delay SMALLINT, mem_used INTEGER,
    rss INTEGER, read_bps SMALLINT, write_bps SMALLINT, read_iops SMALLINT, write_iops SMALLINT,
    read_ms SMALLINT, write_ms SMALLINT, rx_bps SMALLINT, tx_bps SMALLINT
);
CREATE TABLE rec.vm_1m (
    ts UINTEGER, vm INTEGER, n USMALLINT, cpu SMALLINT, steal SMALLINT, delay SMALLINT,
    mem_used INTEGER, rss INTEGER, read_bps SMALLINT, write_bps SMALLINT, read_iops SMALLINT,
    write_iops SMALLINT, read_ms SMALLINT, write_ms SMALLINT, rx_bps SMALLINT, tx_bps SMALLINT,
    cpu_max SMALLINT, steal_max SMALLINT, delay_max SMALLINT, mem_used_max INTEGER,
    rss_max INTEGER, read_bps_max SMALLINT, write_bps_max SMALLINT, read_iops_max SMALLINT,
    write_iops_max SMALLINT, read_ms_max SMALLINT, write_ms_max SMALLINT, rx_bps_max SMALLINT,
    tx_bps_max SMALLINT
);
CREATE TABLE rec.vm_1h (
    ts UINTEGER, vm INTEGER, n USMALLINT, cpu SMALLINT, steal SMALLINT, delay SMALLINT,
    mem_used INTEGER, rss INTEGER, read_bps SMALLINT, write_bps SMALLINT, read_iops SMALLINT,
    write_iops SMALLINT, read_ms SMALLINT, write_ms SMALLINT, rx_bps SMALLINT, tx_bps SMALLINT,
    cpu_max SMALLINT, steal_max SMALLINT, delay_max SMALLINT, mem_used_max INTEGER,
    rss_max INTEGER, read_bps_max SMALLINT, write_bps_max SMALLINT, read_iops_max SMALLINT,
    write_iops_max SMALLINT, read_ms_max SMALLINT, write_ms_max SMALLINT, rx_bps_max SMALLINT,
    tx_bps_max SMALLINT
);
CREATE TABLE rec.host_live (
    ts UINTEGER, host INTEGER, cpu SMALLINT, iowait SMALLINT, steal SMALLINT, load1 INTEGER,
    psi_cpu SMALLINT, psi_memory SMALLINT, psi_io SMALLINT, mem_used INTEGER, swap_used INTEGER,
    read_bps SMALLINT, write_bps SMALLINT, rx_bps SMALLINT, tx_bps SMALLINT, rtt_ms SMALLINT
);
CREATE TABLE rec.host_hist (
    ts UINTEGER, host INTEGER, cpu SMALLINT, iowait SMALLINT, steal SMALLINT, load1 INTEGER,
    psi_cpu SMALLINT, psi_memory SMALLINT, psi_io SMALLINT, mem_used INTEGER, swap_used INTEGER,
    read_bps SMALLINT, write_bps SMALLINT, rx_bps SMALLINT, tx_bps SMALLINT, rtt_ms SMALLINT
);
CREATE TABLE rec.host_1m (
    ts UINTEGER, host INTEGER, n USMALLINT, cpu SMALLINT, iowait SMALLINT, steal SMALLINT,
    load1 INTEGER, psi_cpu SMALLINT, psi_memory SMALLINT, psi_io SMALLINT, mem_used INTEGER,
    swap_used INTEGER, read_bps SMALLINT, write_bps SMALLINT, rx_bps SMALLINT, tx_bps SMALLINT,
    rtt_ms SMALLINT, cpu_max SMALLINT, iowait_max SMALLINT, steal_max SMALLINT,
    load1_max INTEGER, psi_cpu_max SMALLINT, psi_memory_max SMALLINT, psi_io_max SMALLINT,
    mem_used_max INTEGER, swap_used_max INTEGER, read_bps_max SMALLINT, write_bps_max SMALLINT,
    rx_bps_max SMALLINT, tx_bps_max SMALLINT, rtt_ms_max SMALLINT
);
CREATE TABLE rec.host_1h (
    ts UINTEGER, host INTEGER, n USMALLINT, cpu SMALLINT, iowait SMALLINT, steal SMALLINT,
    load1 INTEGER, psi_cpu SMALLINT, psi_memory SMALLINT, psi_io SMALLINT, mem_used INTEGER,
    swap_used INTEGER, read_bps SMALLINT, write_bps SMALLINT, rx_bps SMALLINT, tx_bps SMALLINT,
    rtt_ms SMALLINT, cpu_max SMALLINT, iowait_max SMALLINT, steal_max SMALLINT,
    load1_max INTEGER, psi_cpu_max SMALLINT, psi_memory_max SMALLINT, psi_io_max SMALLINT,
    mem_used_max INTEGER, swap_used_max INTEGER, read_bps_max SMALLINT, write_bps_max SMALLINT,
    rx_bps_max SMALLINT, tx_bps_max SMALLINT, rtt_ms_max SMALLINT
);
